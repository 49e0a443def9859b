"""How a stored column is read in an engine, each field by itself: as `privsynth.records.coerce` reads it.

A column goes through three stages, each one expression: *stored*, its field as a text or a double, *read*,
what it means, and *rounded*. Whether a rule is broken, and the canonical value, are said of the last two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from privsynth.errors import TableError
from privsynth.records.coerce import MISSING_RULE, blanks_of, code_of_text, unknown_rule
from privsynth.records.number_lines import BEYOND_RULE, READINGS, WHOLE_RULE, NumberReading, bounds_rule
from privsynth.schema import Category, Column
from privsynth.schema.plain_values import MAX_GRID_INTEGER
from privsynth.warehouse.dialects import Dialect

MISSING, UNKNOWN = -1, -2  # of a listed column, where it is read
_NUMBER = r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?"


@dataclass(frozen=True)
class Field:
    """How one column is read.

    Attributes:
        column: Its declaration.
        stored: A field as a text or a double; NULL for one that is empty.
        read: What it means: a double, NULL for missing; a position among labels, `MISSING` or `UNKNOWN`; or,
            of a private list, the bytes of its text.
        rounded: The same, on the column's grid, of the name under which ``read`` stands.
        rules: By sentence, whether a field breaks a rule.
        canonical: The canonical value: a double, a position, or bytes; NULL for missing.
        ticks: The same as a number of steps, where they are not the value itself, of the name ``canonical``.
    """

    column: Column
    stored: str
    read: str
    rounded: str | None
    rules: Mapping[str, str]
    canonical: str
    ticks: str | None = None


def field_of(column: Column, stored: Any, d: Dialect, names: Names) -> Field:
    """Return how a column is read.

    Args:
        column: Its declaration, with every fact declared.
        stored: Its type in the engine, of Ibis.
        d: The engine's language.
        names: Under which the stages of the column stand.

    Raises:
        TableError: If columns that are stored so cannot be read in an engine.

    Privacy:
        Public: reads no record.
    """
    return _number_line(column, stored, d, names) if column.is_numeric else _listed(column, stored, d, names)


@dataclass(frozen=True)
class Names:
    """Names of a column in the stages of its reading, quoted."""

    raw: str
    stored: str
    read: str
    rounded: str


def text_of(raw: str, stored: Any, d: Dialect) -> str | None:
    """Return the text by which a stored field matches, blanks included; None if such columns have none."""
    if stored.is_string():
        return d.clean(d.as_text(raw))
    if stored.is_boolean():
        return f"CASE WHEN {raw} THEN 'true' WHEN NOT {raw} THEN 'false' END"
    if stored.is_integer() or stored.is_uuid() or stored.is_date():
        return d.as_text(raw)
    if stored.is_decimal():  # ids may be longer than a double is exact
        return d.decimal_as_text(raw)
    if stored.is_floating():
        return d.float_as_text(raw, is_single=not stored.is_float64())
    return None


def text_of_person(name: str, stored: Any, d: Dialect) -> str:
    """Return the text of an id, which `person_key` takes.

    Raises:
        TableError: If such columns hold no ids that can be read in an engine.
    """
    raw = d.name(name)
    text = d.clean_id(d.as_text(raw)) if stored.is_string() else text_of(raw, stored, d)
    if text is None:
        raise TableError(_no_reading(name, "ids", stored))
    return text


def person_key(text: str, d: Dialect) -> str:
    """Return the bytes by which a person matches, NULL for an empty id, whose row is a person of its own."""
    return f"CASE WHEN {text} <> '' THEN {d.key(text)} END"


# -- number lines --------------------------------------------------------------------------------------


def _number_line(column: Column, stored: Any, d: Dialect, names: Names) -> Field:
    reading = READINGS.get(column.type or "", NumberReading)(column)
    number = names.stored
    nothing = [math.nan, *(float(reading.number(text)) for text in column.missing_values)]
    is_missing = " OR ".join(f"{number} = {d.number(value)}" for value in dict.fromkeys(map(_same, nothing)))
    read = f"CASE WHEN {is_missing} THEN NULL ELSE {number} END"
    x, r = names.read, names.rounded
    low, high = column.bounds
    rules = {f"a field is not {reading.what}": d.is_infinite(x)}
    rounded, ticks, canonical = d.finite(x), None, r
    if column.line.is_whole:
        rounded = f"CASE WHEN {d.is_infinite(x)} THEN NULL ELSE {d.rint(x)} END"
        rules[WHOLE_RULE] = f"{x} <> {r}"
    elif column.decimals is not None:
        rounded = f"CASE WHEN {d.is_infinite(x)} THEN NULL ELSE {_to_decimals(x, column.decimals, d)} END"
    if low is not None or high is not None:
        least, most = f"LEAST({x}, {r})", f"GREATEST({x}, {r})"
        outside = [] if low is None else [f"{most} < {d.number(low)}"]
        outside += [] if high is None else [f"{least} > {d.number(high)}"]
        rules[bounds_rule(column)] = f"({r} IS NOT NULL AND ({' OR '.join(outside)}))"
        canonical = canonical if low is None else f"GREATEST({canonical}, {d.number(low)})"
        canonical = canonical if high is None else f"LEAST({canonical}, {d.number(high)})"
        canonical = f"CASE WHEN {r} IS NULL THEN NULL ELSE {canonical} END"
    if column.line.is_whole:
        beyond = f"ABS({canonical}) >= {d.number(MAX_GRID_INTEGER)}"
        rules[BEYOND_RULE] = beyond
        canonical = f"CASE WHEN {beyond} THEN NULL ELSE {canonical} END"
    canonical = f"{canonical} + {d.number(0.0)}"  # -0.0 becomes 0.0
    if column.missing is False:
        rules[MISSING_RULE] = f"{x} IS NULL"
    return Field(column, _stored_number(column, stored, d, names.raw), read, rounded, rules, canonical, ticks)


def _same(number: float) -> float:
    return math.nan if math.isnan(number) else number


def _stored_number(column: Column, stored: Any, d: Dialect, raw: str) -> str:
    """Return a stored field as a double of the column's line, before it is rounded."""
    if column.type == "datetime":
        if not stored.is_date() and not stored.is_timestamp():
            raise TableError(_no_reading(column.name, "times", stored))
        has_zone = stored.is_timestamp() and stored.timezone is not None
        zone = (column.time_format.zone or "UTC") if has_zone else None
        seconds = d.seconds(raw, is_date=stored.is_date(), zone=zone)
        return d.floor(f"({seconds}) / {d.number(column.resolution_seconds)}")
    if stored.is_boolean():
        return f"CASE WHEN {raw} THEN {d.number(1.0)} WHEN NOT {raw} THEN {d.number(0.0)} END"
    if stored.is_integer():
        return d.as_double(raw)
    if stored.is_decimal():
        return d.decimal_as_double(raw)
    if stored.is_float32() or stored.is_float16():
        return d.single_as_double(raw)
    if stored.is_floating():
        return raw
    raise TableError(_no_reading(column.name, "numbers", stored))


def _to_decimals(x: str, decimals: int, d: Dialect) -> str:
    """Return a number with so many decimals, as numpy rounds; one too large to be rounded stays as it is."""
    power = 10.0**decimals
    if decimals == 0:
        return d.rint(x)
    times = f"({x} * {d.number(power)})"
    rounded = f"({d.rint(times)}) / {d.number(power)}"
    return f"CASE WHEN ABS({x}) > {d.number(largest_that(lambda v: v * power))} THEN {x} ELSE {rounded} END"


def largest_that(stays_finite: Any) -> float:
    """Return the largest double that an increasing function keeps finite; public."""
    low, high = 0.0, float(np.finfo(np.float64).max)
    with np.errstate(over="ignore"):
        if np.isfinite(stays_finite(np.float64(high))):
            return high
        while True:
            middle = low + (high - low) / 2
            if middle in (low, high):
                return low
            low, high = (middle, high) if np.isfinite(stays_finite(np.float64(middle))) else (low, middle)


# -- listed values -------------------------------------------------------------------------------------


def _listed(column: Column, stored: Any, d: Dialect, names: Names) -> Field:
    as_stored, text = text_of(names.raw, stored, d), names.stored
    if as_stored is None:
        raise TableError(_no_reading(column.name, "categories", stored))
    labels, blanks, key = column.labels, blanks_of(column), d.key(text)
    missing = {MISSING_RULE: ""} if column.missing is False else {}
    if labels is None:  # a private list: texts whatever the table stores
        is_blank = " OR ".join(f"{key} = {d.key_of(blank)}" for blank in sorted(blanks))
        read = f"CASE WHEN {is_blank} THEN NULL ELSE {key} END"
        missing = dict.fromkeys(missing, f"{names.read} IS NULL")
        return Field(column, as_stored, read, None, missing, names.read)
    code_of = code_of_text(labels, is_boolean=column.type == "boolean")
    listed = dict.fromkeys(blanks, MISSING) | {t: c for t, c in code_of.items() if t not in blanks}
    read = d.code(key, list(listed.items()), UNKNOWN)
    if column.type == "categorical":
        read = _other_spellings(text, read, code_of, labels, stored, d)
    read = f"CASE WHEN {text} IS NULL THEN {MISSING} ELSE {read} END"
    x = names.read
    rules = {unknown_rule(column): f"{x} = {UNKNOWN}"} | dict.fromkeys(missing, f"{x} = {MISSING}")
    other = next((code for text, code in code_of.items() if text.lower() == "other"), None)
    instead = "NULL" if other is None or column.type != "categorical" else str(other)
    canonical = f"CASE WHEN {x} = {UNKNOWN} THEN {instead} WHEN {x} = {MISSING} THEN NULL ELSE {x} END"
    return Field(column, as_stored, read, None, rules, canonical)


def _other_spellings(
    text: str, code: str, code_of: Mapping[str, int], labels: tuple[Category, ...], stored: Any, d: Dialect
) -> str:
    """Return the code of texts that write a declared number otherwise: 1.0, and of numbers 01 or 1e0."""
    if not stored.is_string():
        return code
    whole = [(label, c) for label, c in code_of.items() if label.removeprefix("-").isdecimal()]
    numbers = {
        float(label): c
        for c, label in enumerate(labels)
        if not isinstance(label, bool | str) and abs(label) < MAX_GRID_INTEGER
    }
    with_zeros = r"-?[0-9]+\.0+"
    found = str(UNKNOWN)
    if numbers:
        pairs = " ".join(f"WHEN {d.parsed(text)} = {d.number(n)} THEN {c}" for n, c in numbers.items())
        found = f"CASE WHEN {d.matches(text, _NUMBER)} THEN CASE {pairs} ELSE {UNKNOWN} END ELSE {found} END"
    if whole:
        of_whole = d.code(d.key(d.without_zeros(text)), whole, UNKNOWN)
        found = f"CASE WHEN {d.matches(text, with_zeros)} THEN {of_whole} ELSE {found} END"
    return f"CASE WHEN {code} <> {UNKNOWN} THEN {code} ELSE {found} END" if numbers or whole else code


def _no_reading(name: str, kind: str, stored: Any) -> str:
    return (
        f"column {name!r} is stored as {stored}, and {kind} that are stored so are not read in an engine. "
        "Give a view that casts it, or read the table into memory: a Parquet file, or to_pyarrow() of an "
        "ibis.Table"
    )
