"""How CSV files are written: delimiter, decimal mark, encoding, header; reads no file."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from privsynth.errors import SchemaError

PLAIN_ENCODING = "utf-8"
_NAMES = {"\t": "tab", " ": "blank", ",": "comma", ";": "semicolon", "|": "bar"}


@dataclass(frozen=True, kw_only=True)
class CsvDialect:
    """How the CSV files of a table are written, as declared; None is what is not declared.

    Attributes:
        delimiter: What separates fields; None: the one of comma, semicolon, tab and bar that splits the
            first line.
        decimal: What stands before decimals: a point (None too), or a comma, beside which points separate
            thousands.
        encoding: An encoding that Python knows; None: UTF-8, unless a byte order mark tells another.
        header: Whether a line holds the column names; None: yes, unless it looks like a record. Without one
            the schema's columns name the fields, in its order.

    Raises:
        SchemaError: If a value is none of these.

    Privacy:
        Public.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and not _is_delimiter(self.delimiter):
            raise SchemaError(
                f"csv: expected 'delimiter' to be one sign, such as \";\" or a tab, got {self.delimiter!r}"
            )
        if self.decimal not in (None, ".", ","):
            raise SchemaError(f'csv: expected \'decimal\' to be "." or ",", got {self.decimal!r}')
        if self.encoding is not None and not _is_encoding(self.encoding):
            raise SchemaError(
                f"csv: expected 'encoding' to name an encoding, such as \"cp1252\", got {self.encoding!r}"
            )
        if not isinstance(self.header, bool | None):
            raise SchemaError(f"csv: expected 'header' to be true or false, got {self.header!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return what is declared, as it stands in schema JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> CsvDialect:
        """Read it from schema JSON; an unknown key is an error."""
        known = ("delimiter", "decimal", "encoding", "header")
        if not isinstance(fields, Mapping):
            raise SchemaError(f"expected 'csv' to be an object with {', '.join(known)}, got {fields!r}")
        unknown = [name for name in fields if name not in known]
        if unknown:
            raise SchemaError(f"csv: unknown key {unknown[0]!r}; known are {', '.join(known)}")
        return cls(**fields)


def delimiter_name(delimiter: str) -> str:
    """Return how messages call a delimiter.

    Example:
        >>> delimiter_name(";")
        "semicolon ';'"
    """
    return " ".join(filter(None, (_NAMES.get(delimiter), repr(delimiter))))


def is_utf8(encoding: str) -> bool:
    """Whether an encoding is UTF-8, with a byte order mark or without."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


def _is_delimiter(text: object) -> bool:
    if not isinstance(text, str) or len(text) != 1 or not text.isascii():
        return False
    return text == "\t" or (text.isprintable() and not text.isalnum() and text not in '"._')


def _is_encoding(name: object) -> bool:
    try:
        return isinstance(name, str) and "a".encode(name) is not None  # no codec of other things, as base64
    except (LookupError, ValueError):
        return False
