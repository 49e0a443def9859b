"""How the fields of a number line are read: numbers, durations and times; and how they are held to bounds."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.records.single_values import Single, Unreadable, as_moment, as_number, of_single_precision
from privsynth.schema import Column
from privsynth.schema.plain_values import MAX_GRID_INTEGER, category_text
from privsynth.schema.times import read_duration, seconds_of

FloatArray = npt.NDArray[np.float64]
BrokenRules = dict[str, npt.NDArray[np.bool_]]  # a sentence for each rule that is broken, and where it is

NUMBER_HINT = "words for missing go into 'missing_values'; separators, currency or percent need a 'format'"
TIME_HINT = (
    "other ways of writing are said by a 'format', as in \"%d/%m/%Y\"; words for missing go into "
    "'missing_values'"
)
WHOLE_RULE = "a value is not a whole number"
BEYOND_RULE = (
    "a value is a whole number beyond 2^53, which a number column cannot keep exactly; declare the column "
    "'id' (made afresh), 'categorical', or leave it out by 'drop'"
)


class NumberReading:
    """How a number column is read: integers and reals, and durations in its unit."""

    what = f"a finite number ({NUMBER_HINT})"

    def __init__(self, column: Column) -> None:
        self._unit_seconds = column.unit_seconds
        self._written = column.number_format
        self.single = partial(as_number, unit_seconds=column.unit_seconds)

    def stored(self, raw: pd.Series) -> FloatArray | None:
        """Return a column that is stored as numbers, None if its fields have to be parsed."""
        kind = raw.dtype.kind
        if kind == "m" and isinstance(raw.dtype, np.dtype) and self._unit_seconds is not None:
            return raw.dt.total_seconds().to_numpy() / self._unit_seconds
        if kind == "f" and raw.dtype.itemsize < 8:
            return of_single_precision(raw.to_numpy(np.dtype(f"f{raw.dtype.itemsize}"), na_value=np.nan))
        return raw.to_numpy(dtype=np.float64, na_value=np.nan) if kind in "biuf" else None

    def number(self, value: Single) -> float:
        """Return a value as a number, NaN where it is none."""
        if isinstance(value, float):
            return value
        if not isinstance(value, str) or "_" in value:  # Python takes 1_000 for a number
            return math.nan
        try:
            return float(value if self._written is None else self._written.plain_text(value))
        except ValueError:
            return math.nan if self._unit_seconds is None else self._duration(value, self._unit_seconds)

    @staticmethod
    def _duration(text: str, unit_seconds: int) -> float:
        try:
            return read_duration(text) / unit_seconds
        except ValueError:
            return math.nan


class TimeReading:
    """How a datetime column is read: as whole steps of its resolution since 1970, by the wall clock."""

    def __init__(self, column: Column) -> None:
        self._written, self._resolution = column.time_format, column.resolution_seconds
        self.single = partial(as_moment, written=self._written)
        self.what = f"an ISO-8601 date or time ({TIME_HINT})"
        if column.format is not None:
            self.what = f"a date or time as in {column.format!r}, its 'format', or in ISO-8601"

    def stored(self, raw: pd.Series) -> FloatArray | None:
        """Return a column that is stored as times, None if its fields have to be parsed."""
        if raw.dtype.kind != "M" or not isinstance(raw.dtype, np.dtype | pd.DatetimeTZDtype):
            return None
        moments = pd.DatetimeIndex(raw)
        if moments.tz is not None and self._written.zone is not None:
            moments = moments.tz_convert(self._written.zone)
        seconds = (
            moments.tz_localize(None).to_numpy().astype("datetime64[s]")
        )  # rounds down, also before 1970
        steps = (seconds.astype(np.int64) // self._resolution).astype(np.float64)
        return np.where(np.isnat(seconds), np.nan, steps)

    def number(self, value: Single) -> float:
        """Return a time as steps, NaN where it is none."""
        if isinstance(value, Unreadable):
            return math.nan
        try:
            moment = value if isinstance(value, dt.datetime) else self._written.read(category_text(value))
        except ValueError:
            return math.nan
        return float(seconds_of(moment) // self._resolution)


READINGS: Mapping[str, type[NumberReading] | type[TimeReading]] = {"datetime": TimeReading}
"""How the fields of a type are read; `NumberReading` reads those of all others."""


def fit(numbers: FloatArray, column: Column) -> tuple[FloatArray, BrokenRules]:
    """Move numbers onto the column's grid and into its public bounds; name the rules they broke.

    Whole numbers that no float keeps exactly become missing, unless a bound brings them back.

    A real off its ``decimals`` is rounded and breaks no rule. A number counts as outside only if its
    rounded value is outside too.
    """
    broken: BrokenRules = {}
    rounded = numbers
    low, high = column.bounds
    if column.line.is_whole:
        rounded = np.rint(numbers)
        broken[WHOLE_RULE] = np.abs(numbers - rounded) > 0
    elif column.decimals is not None:
        with np.errstate(all="ignore"):  # a number too large to be rounded stays as it is
            tried = np.round(numbers, column.decimals)
        rounded = np.where(np.isfinite(tried), tried, numbers)
    if low is not None or high is not None:
        is_low = np.fmax(numbers, rounded) < (-np.inf if low is None else low)
        is_high = np.fmin(numbers, rounded) > (np.inf if high is None else high)
        broken[bounds_rule(column)] = is_low | is_high
        rounded = np.clip(rounded, low, high)
    if column.line.is_whole:
        broken[BEYOND_RULE] = np.abs(rounded) >= MAX_GRID_INTEGER
        rounded = np.where(broken[BEYOND_RULE], np.nan, rounded)
    return rounded + 0.0, broken  # -0.0 becomes 0.0


def bounds_rule(column: Column) -> str:
    """Return the rule that a number outside its column's public bounds breaks; public."""
    public = [f"{which}={getattr(column, which)}" for which in ("low", "high")]
    shown = [text for text, bound in zip(public, column.bounds, strict=True) if bound is not None]
    return f"a value is outside the public bounds ({', '.join(shown)})"
