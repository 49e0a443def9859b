"""Conditions on columns: what a caller may ask for, and which codes and values that allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.encoding import DiscreteDomain, Domain, NumericDomain, Pieces
from privsynth.errors import RequestError, SchemaError
from privsynth.schema import Column, category_text, datetime_to_step

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_FORMS = (
    'a value, a list of values, a range ({"low": 18, "high": 30} or a 2-tuple, inclusive), or None (missing)'
)


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
        condition: A value, a list or set of values, an inclusive range (a mapping with ``low`` and/or
            ``high``, or a 2-tuple), or None for missing.

    Raises:
        RequestError: If the condition has another form, names an unknown value, or lies outside the bounds.

    Privacy:
        Post-processing.
    """
    is_range = isinstance(condition, Mapping | tuple)
    if is_range:
        values, bounds = [], _range(domain.column, condition)
    else:
        values, bounds = _values(condition), None
    if not is_range and not values:
        raise RequestError(f"condition on {domain.column.name!r}: an empty list allows nothing")
    wants_missing = any(is_missing(value) for value in values)
    if wants_missing and not domain.has_missing:
        raise RequestError(f"condition on {domain.column.name!r}: this column is never missing in the model")
    present = [value for value in values if not is_missing(value)]
    if isinstance(domain, NumericDomain):
        return _restrict_numeric(domain, present, bounds, wants_missing)
    return _restrict_discrete(domain, present, bounds, wants_missing)


def _restrict_discrete(
    domain: DiscreteDomain,
    values: Sequence[Any],
    bounds: tuple[float, float] | None,
    wants_missing: bool,
) -> Restriction:
    share = np.zeros(domain.size)
    share[[code_of(domain, value, where=f"condition on {domain.column.name!r}") for value in values]] = 1.0
    if bounds is not None:
        numbers = [v for v in domain.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) != len(domain.values):
            raise RequestError(
                f"condition on {domain.column.name!r}: a range needs numbers; list its values instead"
            )
        share[: len(numbers)] = [bounds[0] <= number <= bounds[1] for number in numbers]
    if wants_missing:
        share[-1] = 1.0
    if not share.any():
        raise RequestError(f"condition on {domain.column.name!r}: the range holds none of its values")
    return Restriction(share)


def code_of(domain: DiscreteDomain, value: Any, *, where: str) -> int:
    """Return the code of a value of a discrete column, by its text; booleans by other names, too.

    Raises:
        RequestError: If it is not among the column's values.
    """
    known = _known_values(domain)
    codes = _truth_values(domain) | known
    text = category_text(value.item() if isinstance(value, np.generic) else value)
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
    numbers = np.array([_number(domain.column, value) for value in distinct], dtype=np.float64)
    if domain.column.type == "datetime":
        ticks = np.floor(numbers)
    else:
        ticks = numbers if domain.column.step is None else np.rint(numbers / domain.column.step)
    if ((ticks < domain.grid.low) | (ticks > domain.grid.high)).any():
        low, high = (_display(domain.column, tick) for tick in (domain.grid.low, domain.grid.high))
        raise RequestError(f"{where}: expected {name!r} between {low} and {high}")
    bins = domain.bin_of_cell[domain.grid.index(ticks)]
    codes_and_missing = np.r_[bins, missing_code].astype(np.int64)
    return codes_and_missing[position], np.r_[ticks, missing_tick][position]


def _known_values(domain: DiscreteDomain) -> dict[str, int]:
    """Return the code of each value's text, that of ``other`` included where it is written out."""
    code_of = {category_text(value): code for code, value in enumerate(domain.values)}
    if domain.has_other and domain.labels[len(domain.values)] is not None:
        code_of.setdefault(category_text(domain.labels[len(domain.values)]), len(domain.values))
    return code_of


def _truth_values(domain: DiscreteDomain) -> dict[str, int]:
    """Return other ways to name the values of a boolean column: true and false, and 1 and 0 for these."""
    if domain.column.type != "boolean":
        return {}
    names = {"false": 0, "true": 1}
    return names | {"0": 0, "1": 1} if domain.values == (False, True) else names


def _restrict_numeric(
    domain: NumericDomain,
    values: Sequence[Any],
    bounds: tuple[float, float] | None,
    wants_missing: bool,
) -> Restriction:
    column, grid = domain.column, domain.grid
    ranges = [bounds] if bounds is not None else [(n, n) for n in (_number(column, v) for v in values)]
    ticks = [_ticks(column, low, high) for low, high in ranges]
    inside = [(max(low, grid.low), min(high, grid.high)) for low, high in ticks]
    inside = sorted({(low, high) for low, high in inside if low <= high})
    if len(inside) < len(set(ticks)) or (not inside and not wants_missing):
        low, high = (_display(column, tick) for tick in (grid.low, grid.high))
        raise RequestError(
            f"condition on {column.name!r}: it allows nothing between the bounds {low} and {high}"
        )
    share = np.zeros(domain.size)
    pieces = None
    if inside:
        pieces = domain.pieces(inside)
        share[: domain.n_bins] = np.minimum(pieces.share_of_bins(domain.n_bins), 1.0)
    if wants_missing:
        share[-1] = 1.0
    return Restriction(share, pieces)


def _values(condition: Any) -> list[Any]:
    if isinstance(condition, list | set | frozenset | np.ndarray | pd.Series | pd.Index):
        return list(condition)
    return [condition]


def _range(column: Column, condition: Mapping[str, Any] | tuple[Any, ...]) -> tuple[float, float]:
    if isinstance(condition, tuple):
        if len(condition) != 2:
            raise RequestError(f"condition on {column.name!r}: expected {_FORMS}, got {condition!r}")
        low, high = condition
    else:
        if not condition or set(condition) - {"low", "high"}:
            raise RequestError(f"condition on {column.name!r}: expected {_FORMS}, got {dict(condition)!r}")
        low, high = condition.get("low"), condition.get("high")
    first = -math.inf if low is None else _number(column, low)
    last = math.inf if high is None else _number(column, high)
    if first > last:
        raise RequestError(f"condition on {column.name!r}: expected low <= high, got {low!r}..{high!r}")
    return first, last


def _number(column: Column, value: Any) -> float:
    """Return a value of a condition as a number; datetimes as steps of the resolution since 1970."""
    if column.type == "datetime":
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        try:
            seconds = datetime_to_step(text, 1, f"condition on {column.name!r}: the value")
        except SchemaError as error:
            raise RequestError(str(error)) from None
        return seconds / column.resolution_seconds
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number) or isinstance(value, bool):
        raise RequestError(f"condition on {column.name!r}: expected {_FORMS}, got {value!r}")
    return number


def _ticks(column: Column, low: float, high: float) -> tuple[float, float]:
    """Return the ticks from low to high, ends included; a hair of slack absorbs decimal rounding."""
    if column.step is None:
        return low, high
    first, last = low / column.step, high / column.step
    return float(np.ceil(first - _slack(first))), float(np.floor(last + _slack(last)))


def _slack(tick: float) -> float:
    return max(1e-6, 4.0 * math.ulp(tick)) if math.isfinite(tick) else 0.0


def _display(column: Column, tick: float) -> str:
    if column.type == "datetime":
        return str(np.datetime64(int(tick) * column.resolution_seconds, "s"))
    number = tick if column.step is None else tick * column.step
    return f"{number:.15g}"


def is_missing(value: Any) -> bool:
    """Say whether a value of a request stands for a missing field."""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
