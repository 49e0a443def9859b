"""Propose numbers and dates, in the format that people wrote them in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from privsynth.errors import SchemaError
from privsynth.records.coerce import conform_column
from privsynth.records.proposals import LIST_NOTE, MANY, NEARLY_ALL, Proposal, Values, categories
from privsynth.records.spellings import CURRENCIES, DATE_FORMATS, MISSING_NUMBERS, MONTH_FIRST, NUMBERS, UNITS
from privsynth.schema import PRIVATE, RESOLUTION_SECONDS, Column

MAX_DRAFTED_DECIMALS = 4  # a measurement with more is taken as it is
DIGITS = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
GROUP_OF_THREE = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d.*([zZ]|[+-]\d\d:?\d\d)")


def dates_of_digits(values: Values) -> Proposal | None:
    """Take 20210331 for a date, where every value is one."""
    if len(values.texts) < 2 or not values.texts.map(DIGITS.fullmatch).notna().all():
        return None
    proposal = dates(values)
    note = "eight digits are taken for dates (20210331); if they are none, set type to 'integer' or 'id'"
    return proposal and Proposal(proposal.fields, [note, *proposal.notes])


def numbers(values: Values) -> Proposal | None:
    is_plain = values.fits(type="real")
    if is_plain and values.has_leading_zeros:
        return categories(values.missing, "numbers with leading zeros are taken for codes", LIST_NOTE)
    written = None if is_plain else number_format(values)
    if not is_plain and written is None:
        return None
    kind = "integer" if values.fits(type="integer", format=written) else "real"
    fields: dict[str, Any] = {"type": kind, "low": PRIVATE, "high": PRIVATE}
    if kind == "real":
        fields |= _decimals(values, written)
    if written is not None:
        fields["format"] = written
    return Proposal(fields | values.missing, _doubts_of_numbers(values, kind, written))


def _doubts_of_numbers(values: Values, kind: str, written: str | None) -> list[str]:
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


def dates(values: Values) -> Proposal | None:
    written, notes = None, []
    if not values.fits(type="datetime"):
        written = date_format(values)
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


def nearly_numbers(values: Values) -> Proposal | None:
    """Take a column for numbers or dates although a few of its texts are none, and say so."""
    for kind, what in (("real", "numbers"), ("datetime", "dates")):
        read, _ = conform_column(values.texts, Column(name=values.name, type=kind, missing=True))
        is_read = ~np.isnan(np.asarray(read, dtype=float))
        if is_read.sum() < MANY or is_read.mean() < NEARLY_ALL:
            continue
        rest = replace(values, texts=values.texts[is_read])
        proposal = (numbers if kind == "real" else dates)(rest)
        if proposal is not None:
            note = (
                f"most fields are {what}, some are not, and a fit would stop at them: `privsynth check` "
                "shows them; list those that mean missing in missing_values"
            )
            return Proposal(proposal.fields, [note, *proposal.notes])
    return None


def number_format(values: Values) -> str | None:
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


def _affixes(values: Values) -> Iterator[tuple[str, str]]:
    """Yield the public signs that stand before and behind the numbers, if they are the same everywhere."""
    known = CURRENCIES | UNITS | {""}
    bare = values.texts.str.replace(r"[\d.,'’+()\u2212-]+", "#", regex=True).str.strip()
    found = {tuple(part.strip() for part in text.partition("#")[::2]) for text in bare.head(1000)}
    found = {(prefix, "" if "#" in suffix else suffix) for prefix, suffix in found}
    prefixes, suffixes = ({pair[i] for pair in found} - {""} for i in (0, 1))
    if len(prefixes) <= 1 and len(suffixes) <= 1 and prefixes | suffixes <= known:
        prefix, suffix = "".join(prefixes), "".join(suffixes)
        yield prefix + " " * prefix.isalpha(), " " * suffix.isalpha() + suffix


def date_format(values: Values) -> str | None:
    """Return the first of the public date formats that all values are written in."""
    few = replace(values, texts=values.texts.head(3))  # most formats are ruled out at once
    fitting = (
        written
        for written in DATE_FORMATS
        if few.fits(type="datetime", format=written) and values.fits(type="datetime", format=written)
    )
    return next(fitting, None)


def _decimals(values: Values, written: str | None) -> dict[str, int]:
    """Return the fewest digits after the point that lose nothing; nothing if values have more."""
    numbers, _ = conform_column(
        values.texts, Column(name=values.name, type="real", format=written, missing=True)
    )
    known = np.asarray(numbers, dtype=float)
    known = known[~np.isnan(known)]
    lossless = (d for d in range(1, MAX_DRAFTED_DECIMALS + 1) if (np.round(known, d) == known).all())
    decimals = next(lossless, None)
    return {} if decimals is None else {"decimals": decimals}


def _resolution(values: Values, written: str | None) -> str:
    """Return the coarsest resolution that loses nothing, "second" at the finest."""
    column = Column(name=values.name, type="datetime", resolution="second", format=written, missing=True)
    seconds = np.asarray(conform_column(values.texts, column)[0], dtype=float)
    known = seconds[~np.isnan(seconds)]
    lossless = [name for name, step in RESOLUTION_SECONDS.items() if (known % step == 0).all()]
    return lossless[0] if lossless else "second"
