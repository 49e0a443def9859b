"""How a table writes its numbers: separators of thousands and decimals, currency and percent signs.

A schema says it by an example: how the number 1234.5 is written. Nothing in this module reads records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from privsynth.errors import SchemaError

_EXAMPLE = re.compile(
    r"(?P<prefix>[^\d+\-]*?)1(?P<thousands>[^\d\w])?234(?:(?P<decimal>[^\d\w])50*)?(?P<suffix>[^\d+\-]*)"
)
_BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"})


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written; `parse` makes one from an example.

    Attributes:
        prefix: What may stand before a number, such as ``"$"``.
        suffix: What may stand behind it, such as ``" €"`` or ``"%"``.
        thousands: What separates thousands; empty for nothing.
        decimal: What stands before the decimals.
    """

    prefix: str
    suffix: str
    thousands: str
    decimal: str
    _number: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        thousands, decimal = re.escape(self.thousands), re.escape(self.decimal)
        grouped = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{2,3}})*{thousands}\d{{3}}|" if thousands else ""
        pattern = rf"(?P<whole>{grouped}\d*)(?:{decimal}(?P<part>\d*))?(?P<power>[eE][+-]?\d+)?"
        object.__setattr__(self, "_number", re.compile(pattern))

    @classmethod
    def parse(cls, example: str, where: str) -> NumberFormat:
        """Read a format off the number 1234.5 as it is written.

        Raises:
            SchemaError: If the text is not that number in any such way.

        Example:
            >>> NumberFormat.parse("1.234,50 €", "column 'cost'").plain_text("1.000.000,25 €")
            '1000000.25'
        """
        match = _EXAMPLE.fullmatch(example.translate(_BLANKS).strip()) if isinstance(example, str) else None
        parts = match.groupdict(default="") if match else {}
        if not parts or (parts["thousands"] and parts["thousands"] == parts["decimal"]):
            raise SchemaError(
                f'{where}: \'format\' shows how the number 1234.5 is written, as in "1,234.5", "1.234,5", '
                f'"$1,234.50" or "1234.5%"; got {example!r}'
            )
        decimal = parts["decimal"] or ("," if parts["thousands"] == "." else ".")
        return cls(parts["prefix"].strip(), parts["suffix"].strip(), parts["thousands"], decimal)

    def plain_text(self, text: str) -> str:
        """Return a number as Python writes it; a text that is no number in this format is left as it is.

        Signs may stand at either end, and brackets around a number make it negative. What the format does
        not read stays, so a plain number is read as well, unless the format gives it another meaning.

        Example:
            >>> dollars = NumberFormat.parse("$1,234.50", "column 'cost'")
            >>> [dollars.plain_text(text) for text in ("$12,000.00", "-$7.25", "($3)", "12", "1,2", "?")]
            ['12000.00', '-7.25', '-3', '12', '1,2', '?']
        """
        bare = text.translate(_BLANKS).strip()
        sign = ""
        if bare.startswith("(") and bare.endswith(")"):
            bare, sign = bare[1:-1].strip(), "-"
        for affix in (self.prefix, self.suffix, self.prefix):  # a sign may stand on both sides of either
            bare, more = _without_sign(bare)
            sign += more
            bare = bare.removeprefix(affix) if affix == self.prefix else bare.removesuffix(affix)
            bare = bare.strip()
        match = self._number.fullmatch(bare)
        if match is None or not (match["whole"] or match["part"]) or len(sign) > 1:
            return text
        whole = match["whole"].replace(self.thousands, "") if self.thousands else match["whole"]
        part = f".{match['part']}" if match["part"] else ""
        return f"{sign.replace('+', '')}{whole or '0'}{part}{match['power'] or ''}"


def _without_sign(text: str) -> tuple[str, str]:
    if text[:1] in ("-", "+"):
        return text[1:].strip(), text[:1]
    if text[-1:] in ("-", "+"):
        return text[:-1].strip(), text[-1:]
    return text, ""
