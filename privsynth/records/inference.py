"""Propose the declaration of a column from its values, and say what the proposal is unsure of.

What is proposed is tried by the rules that a fit reads records with. A proposal names nothing but what stands
in the public lists of `privsynth.records.spellings`: no text and no number of a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import SchemaError
from privsynth.records.coerce import conform_column
from privsynth.records.spellings import (
    CURRENCIES,
    DATE_FORMATS,
    MISSING_NUMBERS,
    MISSING_WORDS,
    MONTH_FIRST,
    NUMBERS,
    SOME_REPEAT,
    TRUTH_PAIRS,
    UNITS,
    names_a_person,
    names_a_text,
    names_an_id,
)
from privsynth.schema import PRIVATE, RESOLUTION_SECONDS, Column

LEFT_OUT = {"type": "text", "drop": True}
MAX_DRAFTED_DECIMALS = 4  # a measurement with more is taken as it is
MANY = 20  # values, below which it means nothing that all differ
NEARLY_ALL = 0.9
MANY_CATEGORIES = 50
LONG_TEXT = 4  # words
MAX_EXACT = 2**53

LEADING_ZERO = re.compile(r"[+-]?0\d")  # 01234 is a code: as a number it would lose its zero
WHOLE = re.compile(r"[+-]?\d+")
DIGITS = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
GROUP_OF_THREE = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
AS_PERSON = (
    'if it names persons, give it "role": "person_id" and set "max_records_per_person": the guarantee then '
    "protects persons with all of their rows"
)
LIST_NOTE = (
    "a private list of categories, found under the budget: those that few hold become 'other' or missing"
)
ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d.*([zZ]|[+-]\d\d:?\d\d)")


@dataclass(frozen=True)
class Proposal:
    """What a draft says of one column.

    Attributes:
        fields: As in schema JSON.
        notes: What was assumed or is in doubt, a sentence each; they quote no record.
    """

    fields: dict[str, Any]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Values:
    """The distinct values of a column as texts, without empty fields and words that mean missing."""

    name: str
    texts: pd.Series
    words: list[str]
    distinct_share: float
    is_many: bool

    def fits(self, **declared: Any) -> bool:
        """Whether no value breaks a declaration."""
        return not self.breaking(**declared)

    def breaking(self, **declared: Any) -> list[str]:
        """Return the rules that values break."""
        return conform_column(self.texts, Column(name=self.name, missing=True, **declared))[1]

    @property
    def all_differ(self) -> bool:
        """Whether nearly every record has a value of its own."""
        return self.is_many and self.distinct_share > NEARLY_ALL

    @property
    def has_leading_zeros(self) -> bool:
        """Whether a value begins like a code."""
        return bool(self.texts.map(LEADING_ZERO.match).notna().any())

    @property
    def provider(self) -> str | None:
        """What would make such texts anew, if they are e-mail addresses or the name speaks of texts."""
        is_email = self.texts.map(EMAIL.fullmatch).notna().mean() > NEARLY_ALL
        return "email" if is_email else names_a_text(self.name)

    @property
    def missing(self) -> dict[str, Any]:
        return {"missing": PRIVATE} | ({"missing_values": self.words} if self.words else {})


def propose(raw: pd.Series, *, is_category: bool = False) -> Proposal:
    """Propose the declaration of a column: the first that its values fit.

    Args:
        raw: The column as a `privsynth.io.source.Source` gives it.
        is_category: Whether it is stored as one of categories.

    Privacy:
        *Not private*: types, formats and words for missing are a function of the records.
    """
    name = str(raw.name)
    anything = Column(name=name, type="categorical", categories=PRIVATE, missing=True)
    read, broken = conform_column(raw, anything)
    if broken:
        return Proposal(
            dict(LEFT_OUT), ["left out: its fields are no single number, text or date, and are never learnt"]
        )
    assert isinstance(read, pd.Categorical)
    n_known = int((read.codes >= 0).sum())
    if n_known == 0:
        if len(raw) == 0:
            return _categories({"missing": PRIVATE})
        return Proposal(dict(LEFT_OUT), ["left out: no field has a value"])
    every = [str(text) for text in read.categories]
    words = [text for text in every if text.lower() in MISSING_WORDS]
    known = pd.Series([text for text in every if text.lower() not in MISSING_WORDS], dtype=object, name=name)
    if len(known) == 0:
        return Proposal(dict(LEFT_OUT), [f"left out: it holds only words for missing ({_listed(words)})"])
    values = _Values(name, known, words, len(every) / n_known, n_known >= MANY)
    if is_category:
        return _of_texts(values)
    for rule in (_row_numbers, _truth, _dates_of_digits, _ids, _numbers, _dates, _nearly_numbers):
        proposal = rule(values)
        if proposal is not None:
            return _with_doubts(proposal, values)
    return _of_texts(values)


def _with_doubts(proposal: Proposal, values: _Values) -> Proposal:
    notes = list(proposal.notes)
    if "missing_values" in proposal.fields:
        notes.insert(
            0, f"{_listed(values.words)} taken as missing (missing_values); take out what is an answer"
        )
    if values.is_many and proposal.fields["type"] in ("integer", "categorical") and names_an_id(values.name):
        notes.append(f"it is named like an identifier: {AS_PERSON}")
    return Proposal(proposal.fields, notes)


# -- rules, in this order ------------------------------------------------------------------------------


def _row_numbers(values: _Values) -> Proposal | None:
    """Leave out the index that pandas writes: consecutive numbers in a column without a name."""
    if values.name.strip() and not values.name.startswith(("Unnamed:", "__index_level_")):
        return None
    if not _is_consecutive(values):
        return None
    return Proposal(
        dict(LEFT_OUT),
        ["left out: a column without a name that holds row numbers, as pandas writes its index"],
    )


def _truth(values: _Values) -> Proposal | None:
    if values.fits(type="categorical", categories=(0, 1)):
        return Proposal({"type": "boolean", "values": [0, 1], **values.missing})
    if values.fits(type="boolean"):
        return Proposal({"type": "boolean", **values.missing})
    spelt = {text.lower() for text in values.texts}
    pair = next((pair for pair in TRUTH_PAIRS if spelt == set(pair)), None)
    if pair is None:
        return None
    if len(values.texts) > 2:
        note = "yes and no in several spellings: write each in one way to declare a boolean with 'values'"
        return _categories(values.missing, note)
    false, true = sorted(values.texts, key=lambda text: pair.index(text.lower()))
    note = f"boolean: {false!r} is taken for false and {true!r} for true"
    return Proposal({"type": "boolean", "values": [false, true], **values.missing}, [note])


def _dates_of_digits(values: _Values) -> Proposal | None:
    """Take 20210331 for a date, where every value is one."""
    if len(values.texts) < 2 or not values.texts.map(DIGITS.fullmatch).notna().all():
        return None
    proposal = _dates(values)
    note = "eight digits are taken for dates (20210331); if they are none, set type to 'integer' or 'id'"
    return proposal and Proposal(proposal.fields, [note, *proposal.notes])


def _ids(values: _Values) -> Proposal | None:
    """Identifiers are made afresh: whole numbers beyond 2^53, row numbers, and what its name calls so."""
    if values.words or not values.texts.str.fullmatch(r"\S+").all() or values.provider:
        return None
    is_whole = bool(values.texts.map(WHOLE.fullmatch).notna().all())
    is_too_long = is_whole and values.texts.map(int).abs().max() > MAX_EXACT
    is_named = names_a_person(values.name) or (
        names_an_id(values.name) and values.distinct_share >= SOME_REPEAT
    )
    is_row_number = values.all_differ and _is_consecutive(values)
    if not (is_too_long or is_row_number or (values.is_many and is_named) or _are_codes(values)):
        return None
    notes = ['taken for an identifier, so numbered afresh and never learnt; "drop": true leaves it out']
    if values.distinct_share < 1:
        notes.append(f"its values repeat: {AS_PERSON}")
    if is_too_long and not values.all_differ:
        notes.append(
            "whole numbers beyond 2^53 are not learnt as numbers; if they are codes, declare categorical"
        )
    return Proposal({"type": "id"}, notes)


def _are_codes(values: _Values) -> bool:
    """Whether nearly all values differ, hold digits, and are neither numbers nor dates."""
    if not values.all_differ or not values.texts.str.contains(r"\d").all():
        return False
    if values.fits(type="real"):
        return values.has_leading_zeros
    return not (values.fits(type="datetime") or _number_format(values) or _date_format(values))


def _numbers(values: _Values) -> Proposal | None:
    is_plain = values.fits(type="real")
    if is_plain and values.has_leading_zeros:
        return _categories(values.missing, "numbers with leading zeros are taken for codes", LIST_NOTE)
    written = None if is_plain else _number_format(values)
    if not is_plain and written is None:
        return None
    kind = "integer" if values.fits(type="integer", format=written) else "real"
    fields: dict[str, Any] = {"type": kind, "low": PRIVATE, "high": PRIVATE}
    if kind == "real":
        fields |= _decimals(values, written)
    if written is not None:
        fields["format"] = written
    return Proposal(fields | values.missing, _doubts_of_numbers(values, kind, written))


def _doubts_of_numbers(values: _Values, kind: str, written: str | None) -> list[str]:
    notes = []
    if written is not None:
        notes.append(
            f"numbers are written as in {written!r} (format)" + "; 5% is read as 5" * ("%" in written)
        )
    other = {None: "1.234,5", "1,234.5": "1234,5"}.get(written)
    if other is not None and values.texts.map(GROUP_OF_THREE.fullmatch).notna().all():
        notes.append(
            "each point or comma may set off decimals or thousands: it is read as "
            + (f"{'decimals' if written is None else 'thousands'}; if that is wrong, set format to {other!r}")
        )
    negative = set(values.texts[values.texts.str.startswith("-")])
    if negative and negative <= MISSING_NUMBERS:
        notes.append(
            "its only negative numbers are such as often mean missing; if so, list them in missing_values"
        )
    if kind == "integer" and values.all_differ:
        notes.append("nearly every value differs: if it identifies rows, set type to 'id'")
    return notes


def _dates(values: _Values) -> Proposal | None:
    written, notes = None, []
    if not values.fits(type="datetime"):
        written = _date_format(values)
        if written is None:
            return None
        notes.append(f"dates are written as in {written!r} (format)")
        day, _, time = written.partition(" ")
        other = MONTH_FIRST.get(day)
        if other is not None and values.fits(type="datetime", format=f"{other} {time}".strip()):
            notes.append(
                f"day and month cannot be told apart: if the month comes first, set format to {other!r}"
            )
        if "%y" in written:
            notes.append("years of two digits are read as 1969 to 2068")
    elif values.texts.map(ZONE.fullmatch).notna().any():
        notes.append("its times name a zone: set 'zone' to keep the wall-clock time of one place")
    fields = {"type": "datetime", "low": PRIVATE, "high": PRIVATE, "resolution": _resolution(values, written)}
    if written is not None:
        fields["format"] = written
    return Proposal(fields | values.missing, notes)


def _nearly_numbers(values: _Values) -> Proposal | None:
    """Take a column for numbers or dates although a few of its texts are none, and say so."""
    for kind, what in (("real", "numbers"), ("datetime", "dates")):
        read, _ = conform_column(values.texts, Column(name=values.name, type=kind, missing=True))
        is_read = ~np.isnan(np.asarray(read, dtype=float))
        if is_read.sum() < MANY or is_read.mean() < NEARLY_ALL:
            continue
        rest = replace(values, texts=values.texts[is_read])
        proposal = (_numbers if kind == "real" else _dates)(rest)
        if proposal is not None:
            note = (
                f"most fields are {what}, some are not, and a fit would stop at them: `privsynth check` "
                "shows them; list those that mean missing in missing_values"
            )
            return Proposal(proposal.fields, [note, *proposal.notes])
    return None


def _of_texts(values: _Values) -> Proposal:
    """Leave out names, addresses and free text; everything else is a private list of categories."""
    provider = values.provider
    has_blanks = values.texts.str.split().str.len().mean() >= LONG_TEXT
    is_personal = provider is not None and len(values.texts) > MANY_CATEGORIES
    if values.is_many and (values.all_differ or is_personal or (has_blanks and values.distinct_share > 0.5)):
        why = (
            "nearly all of its texts differ"
            if values.all_differ
            else "it looks like free text, names or addresses"
        )
        make = f'; "generator": "{provider}" instead of "drop" makes new ones' if provider else ""
        return Proposal(dict(LEFT_OUT), [f"left out: {why}, and texts are never learnt{make}"])
    notes = []
    if values.words:
        notes.append(f"{_listed(values.words)} kept as categories; list in missing_values what means missing")
    if len(values.texts) > MANY_CATEGORIES:
        notes.append('it has many values: a public list of categories, or "drop", would serve it better')
    every = sorted([*values.texts, *values.words])
    if len({text.lower() for text in every}) < len(every):
        notes.append("some categories differ only in capitals")
    return _categories({"missing": PRIVATE}, LIST_NOTE, *notes)


# -- helpers -------------------------------------------------------------------------------------------


def _categories(missing: dict[str, Any], *notes: str) -> Proposal:
    return Proposal({"type": "categorical", "categories": PRIVATE, **missing}, list(notes))


def _is_consecutive(values: _Values) -> bool:
    """Whether the values are row numbers: each whole number of a range once."""
    if values.words or values.distinct_share < 1 or not values.texts.map(WHOLE.fullmatch).notna().all():
        return False
    numbers = values.texts.map(int)
    return bool(numbers.max() - numbers.min() == len(numbers) - 1)


def _number_format(values: _Values) -> str | None:
    """Return the first example of a number in whose way all values are written."""
    for prefix, suffix in _affixes(values):
        for number in NUMBERS if not (prefix or suffix) else ("1234.5", *NUMBERS):
            example = f"{prefix}{number}{suffix}"
            try:
                if values.fits(type="real", format=example):
                    return example
            except SchemaError:  # a sign around a number that a format cannot have
                continue
    return None


def _affixes(values: _Values) -> Iterator[tuple[str, str]]:
    """Yield the public signs that stand before and behind the numbers, if they are the same everywhere."""
    known = CURRENCIES | UNITS | {""}
    bare = values.texts.str.replace(r"[\d.,'’+()\u2212-]+", "#", regex=True).str.strip()
    found = {tuple(part.strip() for part in text.partition("#")[::2]) for text in bare.head(1000)}
    found = {(prefix, "" if "#" in suffix else suffix) for prefix, suffix in found}
    prefixes, suffixes = ({pair[i] for pair in found} - {""} for i in (0, 1))
    if len(prefixes) <= 1 and len(suffixes) <= 1 and prefixes | suffixes <= known:
        prefix, suffix = "".join(prefixes), "".join(suffixes)
        yield prefix + " " * prefix.isalpha(), " " * suffix.isalpha() + suffix


def _date_format(values: _Values) -> str | None:
    """Return the first of the public date formats that all values are written in."""
    few = replace(values, texts=values.texts.head(3))  # most formats are ruled out at once
    fitting = (
        written
        for written in DATE_FORMATS
        if few.fits(type="datetime", format=written) and values.fits(type="datetime", format=written)
    )
    return next(fitting, None)


def _decimals(values: _Values, written: str | None) -> dict[str, int]:
    """Return the fewest digits after the point that lose nothing; nothing if values have more."""
    numbers, _ = conform_column(
        values.texts, Column(name=values.name, type="real", format=written, missing=True)
    )
    known = np.asarray(numbers, dtype=float)
    known = known[~np.isnan(known)]
    lossless = (d for d in range(1, MAX_DRAFTED_DECIMALS + 1) if (np.round(known, d) == known).all())
    decimals = next(lossless, None)
    return {} if decimals is None else {"decimals": decimals}


def _resolution(values: _Values, written: str | None) -> str:
    """Return the coarsest resolution that loses nothing, "second" at the finest."""
    column = Column(name=values.name, type="datetime", resolution="second", format=written, missing=True)
    seconds = np.asarray(conform_column(values.texts, column)[0], dtype=float)
    known = seconds[~np.isnan(seconds)]
    lossless = [name for name, step in RESOLUTION_SECONDS.items() if (known % step == 0).all()]
    return lossless[0] if lossless else "second"


def _listed(words: list[str]) -> str:
    return ", ".join(map(repr, words))
