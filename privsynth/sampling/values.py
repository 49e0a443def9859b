"""Values as callers give them: of Python, numpy or pandas, alone or as a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import RequestError
from privsynth.schema import Column
from privsynth.schema.column_types import PLAIN_NUMBERS

FORMS = (
    'a value, a list of values, a range ("18..30", {"low": 18, "high": 30} or a 2-tuple, inclusive), or None '
    "(missing)"
)


@dataclass(frozen=True)
class Range:
    """A range as it was given; an end of None is open to that side.

    Attributes:
        low: First value.
        high: Last value.
        with_low: Whether the first value belongs to it.
        with_high: Whether the last value belongs to it.
    """

    low: Any
    high: Any
    with_low: bool = True
    with_high: bool = True

    def __str__(self) -> str:
        low, high = ("" if end is None else str(end) for end in (self.low, self.high))
        ends = "" if self.with_low and self.with_high else f", {self._left_out()} left out"
        return f"{low}..{high}{ends}"

    def _left_out(self) -> str:
        return " and ".join(
            str(end) for end, is_in in ((self.low, self.with_low), (self.high, self.with_high)) if not is_in
        )


def is_missing(value: Any) -> bool:
    """Say whether a value of a request stands for a missing field: None, NaN, or the empty text."""
    if isinstance(value, str):
        return value == ""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def plain_value(value: Any) -> Any:
    """Return a single value as Python would write it; what is none is returned as it is.

    Example:
        >>> plain_value(np.float32(0.3)), plain_value(Decimal("0.10")), plain_value(np.int64(3))
        (0.3, 0.1, 3)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.datetime64):
        return pd.Timestamp(value)
    if isinstance(value, np.floating):
        return float(str(value))  # as it is written: float32 knows 0.3, which is not the float64
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Decimal | Fraction):
        return int(value) if value == value // 1 else float(value)
    return value


def range_of(column: Column, value: Any, *, where: str) -> Range | None:
    """Return the range that a value stands for; None if it is no range.

    Args:
        column: The column that it is about. Text is a range where ``..`` stands between numbers, of dates
            between dates.
        value: Text ``low..high``, a mapping with ``low`` and/or ``high``, a 2-tuple, a slice (both ends
            included, as in pandas), a whole ``range``, or an interval or period of pandas.
        where: For messages.

    Raises:
        RequestError: If it begins like a range and is none.
    """
    if isinstance(value, str):
        return _range_of_text(column, value)
    if isinstance(value, Mapping):
        if not value or set(value) - {"low", "high"}:
            raise RequestError(f"{where}: expected {FORMS}, got {dict(value)!r}")
        return Range(value.get("low"), value.get("high"))
    if isinstance(value, tuple):
        if len(value) != 2:
            raise RequestError(f"{where}: expected {FORMS}, got {value!r}")
        return Range(*value)
    if isinstance(value, slice):
        if value.step is not None:
            raise RequestError(f"{where}: expected {FORMS}, got {value!r}")
        return Range(value.start, value.stop)
    if isinstance(value, range):
        if abs(value.step) != 1 or not len(value) or not column.is_numeric:
            return None  # a list of values
        return Range(min(value), max(value))
    if isinstance(value, pd.Interval):
        return Range(value.left, value.right, value.closed_left, value.closed_right)
    if isinstance(value, pd.Period):
        return Range(value.start_time, value.end_time)
    return None


def _range_of_text(column: Column, text: str) -> Range | None:
    low, dots, high = text.partition("..")
    low, high = low.strip(), high.strip()
    if not dots or not (column.is_numeric or all(_is_number(end) for end in (low, high) if end)):
        return None
    return Range(low or None, high or None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def number_of(column: Column, value: Any, *, where: str) -> float:
    """Return a value as a number in the column's units; datetimes as steps of the resolution since 1970.

    Raises:
        RequestError: If it is none.
    """
    value = plain_value(value)
    line = column.line if column.is_numeric else PLAIN_NUMBERS  # listed values may be numbers, too
    try:
        return line.number(column, value)
    except ValueError:
        wrong = line.wrong_number(column, value) or f"expected {FORMS}, got {value!r}"
        raise RequestError(f"{where}: {wrong}") from None
