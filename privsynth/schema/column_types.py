"""The types that a column may have: one object each, which knows all that is particular to its type.

Three kinds: number lines, whose values are numbers with an order (`NumberLine`); discrete types, whose values
are listed (`Discrete`); and what is made afresh and never learnt. Nothing in this module reads records.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE, RESOLUTION_SECONDS, Category, ColumnFacts
from privsynth.schema.number_format import NumberFormat
from privsynth.schema.plain_values import MAX_GRID_INTEGER, category_text
from privsynth.schema.times import TimeFormat, datetime_to_step, seconds_of

FARTHEST_BOUND = 1e300  # in steps from zero: sums of more are no floats
_OF_MODELLED = frozenset({"missing", "missing_values"})


@dataclass(frozen=True)
class ColumnType:
    """A type, as ``"type"`` in schema JSON names it.

    Attributes:
        name: Its name.
        fields: What a column of this type may declare beside type, role and drop.
        needed: Which of them have to be declared, public or ``"private"``, before a fit.
    """

    name: str
    fields: frozenset[str]
    needed: tuple[str, ...] = ()

    def check(self, column: ColumnFacts) -> None:
        """Raise a `SchemaError` unless what a modelled column declares is possible."""


class NumberLine(ColumnType):
    """A type whose values are numbers: of a line of steps, or any number."""

    wide = 2.0**20  # steps, or units where there are none, from which public bounds may be far wider
    has_number_format = True  # whether a format says how numbers are written, not times
    is_whole = True  # whether its numbers, in the column's units, are whole

    def step(self, column: ColumnFacts) -> float | None:
        """Return the distance of neighbouring values, None for any number."""
        return 1.0

    def number_format(self, column: ColumnFacts) -> NumberFormat | None:
        """Return how the table writes its numbers, None for plain ones; raises if it cannot be so."""
        if column.format is None or not self.has_number_format:
            return None
        return NumberFormat.parse(column.format, f"column {column.name!r}")

    def bounds(self, column: ColumnFacts) -> tuple[float | None, float | None]:
        """Return the public bounds as numbers, None where they are not public."""
        low, high = (
            None if value in (None, PRIVATE) else self.bound(column, which, value)
            for which, value in (("low", column.low), ("high", column.high))
        )
        return low, high

    def scale(self, column: ColumnFacts) -> tuple[str, float | None]:
        """Return what its numbers count and the length of a step: those of one scale can be compared."""
        return "numbers", self.step(column)

    def bound(self, column: ColumnFacts, which: str, value: Any) -> float:
        """Return a public bound as a number; raises a `SchemaError` if it is none."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SchemaError(
                f'column {column.name!r}: {which!r} is a finite number or "private", got {value!r}'
            )
        return value

    def number(self, column: ColumnFacts, value: Any) -> float:
        """Return a value of a request in the column's units; raises a `ValueError` if it is none."""
        written = self.number_format(column)
        if isinstance(value, str) and written is not None:
            value = written.plain_text(value)
        try:
            number = float(value)
        except (TypeError, OverflowError):
            number = math.nan
        if math.isnan(number) or isinstance(value, bool):
            raise ValueError(f"expected a number, got {value!r}")
        return number

    def wrong_number(self, column: ColumnFacts, value: Any) -> str | None:
        """Say what is wrong with a value that is no number, None if there is nothing particular."""
        return None

    def tick(self, column: ColumnFacts, number: float) -> float:
        """Return the tick of a number: the nearest, or the number itself where there are no steps."""
        step = self.step(column)
        return number if step is None else float(np.rint(number / step))

    def tick_text(self, column: ColumnFacts, tick: float) -> str:
        """Return a tick as people write it in requests."""
        step = self.step(column)
        number = tick if step is None else tick * step
        return f"{number:.15g}"

    def text(self, column: ColumnFacts, number: float) -> str:
        """Return a canonical number as a reader of figures writes it."""
        is_whole = float(number).is_integer() and abs(number) < 1e15
        return str(int(number)) if is_whole else f"{number:.4g}"

    def widest(self, column: ColumnFacts) -> tuple[float, float]:
        """Return the least and the largest number that there can be."""
        return -math.inf, math.inf

    def kind_of_values(self, column: ColumnFacts) -> str:
        """Say what its values are, for messages."""
        return "whole numbers"

    def values(self, column: ColumnFacts, ticks: np.ndarray[Any, Any]) -> pd.Series:
        """Return ticks as a column of the synthetic table; NaN becomes missing."""
        raise NotImplementedError

    def check(self, column: ColumnFacts) -> None:
        """See `ColumnType`."""
        where = f"column {column.name!r}"
        for field in ("resolution", "unit"):
            value = getattr(column, field)
            if value is not None and str(value) not in RESOLUTION_SECONDS:
                known = ", ".join(RESOLUTION_SECONDS)
                raise SchemaError(f"{where}: expected a {field} among {known}, got {value!r}")
        decimals = column.decimals
        is_count = isinstance(decimals, int) and not isinstance(decimals, bool) and 0 <= decimals <= 12
        if decimals is not None and not is_count:
            raise SchemaError(f"{where}: 'decimals' is a whole number from 0 to 12, got {decimals!r}")
        self.check_format(column)
        low, high = self.bounds(column)
        if low is None or high is None:
            return
        if low > high:
            raise SchemaError(f"{where}: expected low <= high, got low={column.low!r}, high={column.high!r}")
        step = self.step(column)
        if max(abs(low), abs(high)) / (step or 1.0) > FARTHEST_BOUND:
            raise SchemaError(
                f"{where}: expected bounds within {FARTHEST_BOUND:g} steps of zero, got "
                f'low={column.low!r}, high={column.high!r}; if they are not known, write "private"'
            )
        if step is not None:
            first, last = whole_steps(low, high, step)
            if first > last:
                raise SchemaError(
                    f"{where}: no number with {decimals} decimals lies between low={column.low!r} "
                    f"and high={column.high!r}"
                )

    def check_format(self, column: ColumnFacts) -> None:
        """Raise a `SchemaError` unless its ``format`` is one of numbers."""
        self.number_format(column)


class Integer(NumberLine):
    """Whole numbers."""

    def bound(self, column: ColumnFacts, which: str, value: Any) -> float:
        """See `NumberLine`."""
        number = super().bound(column, which, value)
        if number != int(number) or abs(number) > MAX_GRID_INTEGER:
            raise SchemaError(
                f"column {column.name!r}: {which!r} of an integer column is a whole number up to 2^53, "
                f"got {value!r}"
            )
        return number

    def values(self, column: ColumnFacts, ticks: np.ndarray[Any, Any]) -> pd.Series:
        """Return int64, or the nullable Int64 where the column can be missing."""
        if column.missing:
            return pd.Series(pd.array(ticks, dtype="Int64"))
        return pd.Series(ticks.astype(np.int64))


class Real(NumberLine):
    """Numbers, with so many decimals or any."""

    is_whole = False

    def step(self, column: ColumnFacts) -> float | None:
        """See `NumberLine`."""
        return None if column.decimals is None else 10.0**-column.decimals

    def kind_of_values(self, column: ColumnFacts) -> str:
        """See `NumberLine`."""
        if column.decimals:
            return f"numbers with {column.decimals} decimal{'s' if column.decimals > 1 else ''}"
        return "numbers" if self.step(column) is None else "whole numbers"

    def values(self, column: ColumnFacts, ticks: np.ndarray[Any, Any]) -> pd.Series:
        """Return float64 with the schema's decimals; zero is never negative."""
        return pd.Series((ticks / 10.0**column.decimals if column.decimals else ticks) + 0.0)


class Datetime(NumberLine):
    """Times, as whole steps of a resolution since 1970, as the clock shows them."""

    has_number_format = False
    wide = 2.0**16  # a century of days is no wide line, two are

    def scale(self, column: ColumnFacts) -> tuple[str, float | None]:
        """See `NumberLine`."""
        return "times", column.resolution_seconds

    def widest(self, column: ColumnFacts) -> tuple[float, float]:
        """Return the ends of the calendar: a bound found in noise must still be a date."""
        seconds = column.resolution_seconds
        return datetime_to_step("0001-01-01", seconds, ""), datetime_to_step("9999-12-31", seconds, "")

    def bound(self, column: ColumnFacts, which: str, value: Any) -> float:
        """See `NumberLine`."""
        where = f"column {column.name!r}: {which!r}"
        if not isinstance(value, str):
            raise SchemaError(f"{where} is an ISO-8601 text, got {value!r}")
        return datetime_to_step(value, column.resolution_seconds, where, zone=column.zone)

    def number(self, column: ColumnFacts, value: Any) -> float:
        """See `NumberLine`."""
        written = column.time_format
        is_time = isinstance(value, dt.date | dt.time)
        moment = written.on_the_wall(value) if is_time else written.read(str(value).strip())
        return math.floor(seconds_of(moment)) / column.resolution_seconds

    def wrong_number(self, column: ColumnFacts, value: Any) -> str:
        """See `NumberLine`."""
        as_in = f" or written as {column.format!r}" if column.format else ""
        return f"the value is not an ISO-8601 date or time{as_in}: {value!r}"

    def tick(self, column: ColumnFacts, number: float) -> float:
        """Return the step that a time lies in."""
        return float(np.floor(number))

    def tick_text(self, column: ColumnFacts, tick: float) -> str:
        """See `NumberLine`."""
        return str(np.datetime64(int(tick) * column.resolution_seconds, "s"))

    def text(self, column: ColumnFacts, number: float) -> str:
        """Return a date, with the time of day where the resolution is finer."""
        try:
            moment = dt.datetime.fromtimestamp(number * column.resolution_seconds, tz=dt.UTC)
        except (OverflowError, ValueError, OSError):
            return f"{number:g}"
        return moment.strftime("%Y-%m-%d" if column.resolution in (None, "day") else "%Y-%m-%d %H:%M:%S")

    def kind_of_values(self, column: ColumnFacts) -> str:
        """See `NumberLine`."""
        return f"whole {column.resolution or 'day'}s"

    def values(self, column: ColumnFacts, ticks: np.ndarray[Any, Any]) -> pd.Series:
        """Return ``datetime64[s]``."""
        missing = np.isnan(ticks)
        seconds = (np.where(missing, 0, ticks) * column.resolution_seconds).astype(np.int64)
        moments = pd.Series(seconds.astype("datetime64[s]"))
        return moments.mask(missing) if missing.any() else moments

    def check_format(self, column: ColumnFacts) -> None:
        """Raise a `SchemaError` unless format and zone are those of times."""
        TimeFormat.checked(column.format, column.zone, f"column {column.name!r}")


class Discrete(ColumnType):
    """A type whose values are listed."""

    def labels(self, column: ColumnFacts) -> tuple[Category, ...] | None:
        """Return the values that are public, None if they are not."""
        raise NotImplementedError


class Categorical(Discrete):
    """Any values that are listed."""

    def labels(self, column: ColumnFacts) -> tuple[Category, ...] | None:
        """See `Discrete`."""
        return column.categories if isinstance(column.categories, tuple) else None

    def check(self, column: ColumnFacts) -> None:
        """See `ColumnType`."""
        if column.categories is None or column.categories == PRIVATE:
            return
        if isinstance(column.categories, str) or not column.categories:
            raise SchemaError(
                f"column {column.name!r}: 'categories' is a list of at least one value, or \"private\""
            )
        _check_plain(column, "categories", column.categories)
        texts = [category_text(value) for value in column.categories]
        if len(set(texts)) != len(texts):
            raise SchemaError(f"column {column.name!r}: the same category is listed twice")
        if "" in texts:
            raise SchemaError(
                f"column {column.name!r}: an empty category is how missing fields are written; "
                "leave it out and set 'missing' to true"
            )
        both = sorted(set(texts) & set(column.missing_values))
        if both:
            raise SchemaError(f"column {column.name!r}: {both[0]!r} is both a category and a missing value")


class Boolean(Discrete):
    """Two values, false first."""

    def labels(self, column: ColumnFacts) -> tuple[Category, ...]:
        """See `Discrete`."""
        return column.boolean_values

    def check(self, column: ColumnFacts) -> None:
        """See `ColumnType`."""
        if column.values is not None and (
            isinstance(column.values, str)
            or len(column.values) != 2
            or category_text(column.values[0]) == category_text(column.values[1])
        ):
            raise SchemaError(
                f"column {column.name!r}: 'values' of a boolean column lists its two values, false first"
            )
        _check_plain(column, "values", column.boolean_values)


def _check_plain(column: ColumnFacts, field: str, values: tuple[Category, ...]) -> None:
    """Check that all are texts, finite numbers or booleans; 1 and true together would be one value."""
    if not isinstance(values, tuple):
        raise SchemaError(f"column {column.name!r}: expected {field!r} to be a list, got {values!r}")
    kinds = {
        bool if isinstance(v, bool) else float if isinstance(v, int | float) else type(v) for v in values
    }
    finite = all(math.isfinite(v) for v in values if isinstance(v, int | float))
    if not kinds <= {bool, float, str} or {bool, float} <= kinds or not finite:
        raise SchemaError(
            f"column {column.name!r}: {field!r} lists texts, finite numbers or booleans, and not numbers "
            f"beside booleans; got {list(values)!r}"
        )


def whole_steps(low: float, high: float, step: float) -> tuple[float, float]:
    """Return the first and last whole multiple of ``step`` within bounds; a hair of slack absorbs rounding.

    Example:
        >>> whole_steps(0.25, 3.9, 0.1)
        (3.0, 39.0)
    """
    first, last = low / step, high / step
    return (
        float(math.ceil(first - _slack(first))) if math.isfinite(first) else first,
        float(math.floor(last + _slack(last))) if math.isfinite(last) else last,
    )


def _slack(steps: float) -> float:
    return max(1e-6, 4.0 * math.ulp(steps))  # of many steps, rounding moves more


_NUMBER = frozenset({"low", "high", "unit", "format"})
_TIME = frozenset({"low", "high", "resolution", "format", "zone"})
_BOUNDS = ("low", "high")

PLAIN_NUMBERS = Real("real", _NUMBER | {"decimals"} | _OF_MODELLED, _BOUNDS)
COLUMN_TYPES: Mapping[str, ColumnType] = {
    kind.name: kind
    for kind in (
        Integer("integer", _NUMBER | _OF_MODELLED, _BOUNDS),
        PLAIN_NUMBERS,
        Categorical("categorical", frozenset({"categories"}) | _OF_MODELLED, ("categories",)),
        Boolean("boolean", frozenset({"values"}) | _OF_MODELLED),
        Datetime("datetime", _TIME | _OF_MODELLED, _BOUNDS),
        ColumnType("id", frozenset({"generator"})),
        ColumnType("text", frozenset({"generator"}), ("generator",)),
    )
}
