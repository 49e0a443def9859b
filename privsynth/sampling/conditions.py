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
    wants_missing = any(_is_missing(value) for value in values)
    if wants_missing and not domain.has_missing:
        raise RequestError(f"condition on {domain.column.name!r}: this column is never missing in the model")
    present = [value for value in values if not _is_missing(value)]
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
    known = _known_values(domain)
    code_of = _truth_values(domain) | known
    for value in values:
        text = category_text(value.item() if isinstance(value, np.generic) else value)
        if domain.column.type == "boolean" and text not in code_of:
            text = text.lower()
        if text not in code_of:
            listed = ", ".join(list(known)[:12]) + (", ..." if len(known) > 12 else "")
            raise RequestError(
                f"condition on {domain.column.name!r}: {value!r} is not among its values ({listed})"
            )
        share[code_of[text]] = 1.0
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


def _is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
