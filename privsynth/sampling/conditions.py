"""Conditions on columns: what a caller may ask for, and which codes and values that allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, Pieces
from privsynth.errors import RequestError
from privsynth.sampling.values import FORMS, Range, is_missing, number_of, plain_value, range_of
from privsynth.schema import Column, category_text

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Restriction:
    """What a condition leaves of a column.

    Attributes:
        share: How much of each code is allowed, ``(n_codes,)`` in [0, 1].
        pieces: The intervals from which allowed numbers are drawn; None for discrete columns.
    """

    share: FloatArray
    pieces: Pieces | None = None


def restrict(domain: Domain, condition: Any) -> Restriction:
    """Return what a condition leaves of a column.

    Args:
        domain: The column's domain.
        condition: A value, an inclusive range (see `privsynth.sampling.values.range_of`), a list or set of
            values and ranges, or None for missing.

    Raises:
        RequestError: If the condition has another form, names an unknown value, or lies outside the bounds.

    Privacy:
        Post-processing.
    """
    where = f"condition on {domain.column.name!r}"
    values: list[Any] = []
    ranges: list[Range] = []
    wants_missing = False
    for item in _items(domain, condition, where):
        if is_missing(item):
            wants_missing = True
        elif (found := _range_in(domain, item, where)) is not None:
            ranges.append(found)
        else:
            values.append(item)
    if not (values or ranges or wants_missing):
        raise RequestError(f"{where}: an empty list allows nothing")
    if wants_missing and not domain.has_missing:
        raise RequestError(f"{where}: this column is never missing in the model")
    if isinstance(domain, NumericDomain):
        return _restrict_numeric(domain, values, ranges, wants_missing)
    return _restrict_discrete(domain, values, ranges, wants_missing)


def _items(domain: Domain, condition: Any, where: str) -> list[Any]:
    """Return the values and ranges of a condition one by one."""
    if isinstance(condition, pd.DataFrame):
        raise RequestError(f"{where}: expected {FORMS}, got a frame")
    is_list = pd.api.types.is_list_like(condition) and not isinstance(condition, Mapping | tuple)
    if not is_list or range_of(domain.column, condition, where=where) is not None:
        return [condition]
    return list(condition)


def _range_in(domain: Domain, item: Any, where: str) -> Range | None:
    if isinstance(domain, DiscreteDomain) and isinstance(item, str) and category_text(item) in _texts(domain):
        return None  # the name of a value, with dots in it
    return range_of(domain.column, item, where=where)


def _ends(column: Column, given: Range, where: str) -> tuple[float, float]:
    low = -math.inf if given.low is None else number_of(column, given.low, where=where)
    high = math.inf if given.high is None else number_of(column, given.high, where=where)
    if low > high:
        raise RequestError(f"{where}: expected low <= high, got {given.low!r}..{given.high!r}")
    return low, high


def _restrict_discrete(
    domain: DiscreteDomain, values: Sequence[Any], ranges: Sequence[Range], wants_missing: bool
) -> Restriction:
    where = f"condition on {domain.column.name!r}"
    share = np.zeros(domain.size)
    share[[code_of(domain, value, where=where) for value in values]] = 1.0
    for given in ranges:
        low, high = _ends(domain.column, given, where)
        numbers = [v for v in domain.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) != len(domain.values):
            raise RequestError(f"{where}: a range needs numbers; list its values instead")
        is_in = [
            low <= number <= high
            and (given.with_low or number != low)
            and (given.with_high or number != high)
            for number in numbers
        ]
        share[: len(numbers)] = np.maximum(share[: len(numbers)], is_in)
    if wants_missing:
        share[-1] = 1.0
    if not share.any():
        raise RequestError(f"{where}: the range holds none of its values")
    return Restriction(share)


def code_of(domain: DiscreteDomain, value: Any, *, where: str) -> int:
    """Return the code of a value of a discrete column, by its text; booleans by other names, too.

    Raises:
        RequestError: If it is not among the column's values.
    """
    known = _known_values(domain)
    codes = _texts(domain)
    text = category_text(plain_value(value))
    if domain.column.type == "boolean" and text not in codes:
        text = text.lower()
    if text not in codes:
        listed = ", ".join(list(known)[:12]) + (", ..." if len(known) > 12 else "")
        raise RequestError(f"{where}: {value!r} is not among its values ({listed})")
    return codes[text]


def codes_of(domain: Domain, values: pd.Series, *, where: str) -> tuple[IntArray, FloatArray | None]:
    """Return the codes of a column of public values and, of a number line, their ticks.

    Args:
        domain: Of the column.
        values: One a row, as a table or a CSV file gives them; empty fields are missing.
        where: What the column is part of, for messages.

    Raises:
        RequestError: If a value is none of the column's, or lies outside its bounds.
    """
    name = domain.column.name
    position, distinct = pd.factorize(values.astype(object).mask(values.isna() | values.eq("")))
    missing_code, missing_tick = domain.size - 1, np.nan
    if (position < 0).any() and not domain.has_missing:
        raise RequestError(f"{where}: {name!r} is never missing in the model")
    if isinstance(domain, DiscreteDomain):
        codes = [code_of(domain, value, where=f"{where}: {name!r}") for value in distinct]
        return np.array([*codes, missing_code], dtype=np.int64)[position], None
    if len(distinct):
        _require_line(domain, where=f"{where}: {name!r}")
    numbers = np.array(
        [number_of(domain.column, value, where=f"{where}: {name!r}") for value in distinct], dtype=np.float64
    )
    column = domain.column
    ticks = np.array([column.line.tick(column, number) for number in numbers], dtype=np.float64)
    if ((ticks < domain.grid.low) | (ticks > domain.grid.high)).any():
        low, high = (column.line.tick_text(column, end) for end in (domain.grid.low, domain.grid.high))
        raise RequestError(f"{where}: expected {name!r} between {low} and {high}")
    codes_and_missing = np.r_[domain.code_of_ticks(ticks), missing_code].astype(np.int64)
    return codes_and_missing[position], np.r_[ticks, missing_tick][position]


def _known_values(domain: DiscreteDomain) -> dict[str, int]:
    """Return the code of each value's text, that of ``other`` included where it is written out."""
    code_of = {category_text(value): code for code, value in enumerate(domain.values)}
    if domain.has_other and domain.labels[len(domain.values)] is not None:
        code_of.setdefault(category_text(domain.labels[len(domain.values)]), len(domain.values))
    return code_of


def _texts(domain: DiscreteDomain) -> dict[str, int]:
    """Return the code of every text by which a value may be named."""
    return _truth_values(domain) | _known_values(domain)


def _truth_values(domain: DiscreteDomain) -> dict[str, int]:
    """Return other ways to name two truth values: true and false, and 1 and 0 for these."""
    names = {"false": 0, "true": 1}
    if domain.column.type == "boolean":
        return names | {"0": 0, "1": 1} if domain.values == (False, True) else names
    numbers = {category_text(value): code for code, value in enumerate(domain.values)}
    if set(numbers) != {"0", "1"}:
        return {}
    return {name: numbers[str(number)] for name, number in names.items()}


def _restrict_numeric(
    domain: NumericDomain, values: Sequence[Any], ranges: Sequence[Range], wants_missing: bool
) -> Restriction:
    column, grid = domain.column, domain.grid
    where = f"condition on {column.name!r}"
    if values or ranges:
        _require_line(domain, where=where)
    inside = []
    for given in [*(Range(value, value) for value in values), *ranges]:
        first, last = _ticks(column, given, where)
        low, high = max(first, grid.low), min(last, grid.high)
        if low > high:
            ends = (column.line.tick_text(column, tick) for tick in (grid.low, grid.high))
            raise RequestError(f"{where}: it allows nothing between the bounds {' and '.join(ends)}")
        inside.append((low, high))
    share = np.zeros(domain.size)
    pieces = None
    if inside:
        pieces = domain.pieces(_disjoint(inside))
        share[: domain.n_bins] = np.minimum(pieces.share_of_bins(domain.n_bins), 1.0)
    if wants_missing:
        share[-1] = 1.0
    return Restriction(share, pieces)


def _require_line(domain: NumericDomain, *, where: str) -> None:
    """Raise a `RequestError` if the model knows no value of the column."""
    if not domain.n_bins:
        raise RequestError(
            f"{where}: the model knows no value of this column, which is missing in every row: its private "
            "bounds were not found; give 'low' and 'high' in the schema and fit again"
        )


def _disjoint(ranges: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return inclusive ranges without their overlaps, in order."""
    out: list[tuple[float, float]] = []
    for low, high in sorted(set(ranges)):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return out


def _ticks(column: Column, given: Range, where: str) -> tuple[float, float]:
    """Return the first and last tick of a range; a hair of slack absorbs decimal rounding.

    Raises:
        RequestError: If no value of the column lies in it, whatever the bounds.
    """
    low, high = _ends(column, given, where)
    if column.step is None:
        first = low if given.with_low else math.nextafter(low, math.inf)
        last = high if given.with_high else math.nextafter(high, -math.inf)
    else:
        begin, end = low / column.step, high / column.step
        first, last = np.ceil(begin - _slack(begin)), np.floor(end + _slack(end))
        first += not given.with_low and abs(first - begin) <= _slack(begin)
        last -= not given.with_high and abs(last - end) <= _slack(end)
    if first > last:
        is_value = given.low is given.high
        found = f"{given.low} is none of them" if is_value else f"none lies in {given}"
        raise RequestError(f"{where}: its values are {column.line.kind_of_values(column)}, and {found}")
    return float(first) + 0.0, float(last) + 0.0  # no negative zero


def _slack(tick: float) -> float:
    return max(1e-6, 4.0 * math.ulp(tick)) if math.isfinite(tick) else 0.0
