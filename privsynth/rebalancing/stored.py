"""How a container stores a column: what a synthesizer is given of it, and how values go back into its type.

What numbers cannot hold is turned into what a schema knows: lengths of time into seconds, times of day into
seconds since midnight, periods into their beginnings, intervals into their texts. Zoned times keep their wall
clock. A type is a function of all records, and no guarantee covers it; see `privsynth.schema.Schema`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_extension_array_dtype, is_object_dtype

from privsynth.errors import SchemaError
from privsynth.schema import PRIVATE, Column, category_text

MOST_COUNT = 9.2e18  # of a type's smallest steps since 1970, below the 2^63 that it holds
BETWEEN = {"low": PRIVATE, "high": PRIVATE}
MOMENT = {"type": "datetime", "resolution": "second", **BETWEEN}
DAY = {"type": "datetime", "resolution": "day", **BETWEEN}
SECONDS_OF_DAY = {"type": "integer", "low": 0, "high": 86_399}  # what a time of day can be
CATEGORIES = {"type": "categorical", "categories": PRIVATE}
FIELDS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", **BETWEEN},
    "real": {"type": "real", **BETWEEN},
    "decimal": {"type": "real", **BETWEEN},
    "datetime": MOMENT,
    "date": DAY,
    "timedelta": {"type": "real", **BETWEEN},
    "time": SECONDS_OF_DAY,
    "interval": CATEGORIES,
    "category": CATEGORIES,
    "text": CATEGORIES,
}
NUMBERS, CHOICES = {"integer", "real"}, {"categorical", "boolean"}
HOLDS: dict[str, set[str]] = {  # types of a schema that a kind of storage can give back
    "boolean": NUMBERS | CHOICES,
    "integer": NUMBERS | CHOICES | {"id"},
    "real": NUMBERS | CHOICES | {"id"},
    "decimal": NUMBERS | CHOICES,
    "datetime": {"datetime", "categorical"},
    "date": {"datetime", "categorical"},
    "period": {"datetime"},
    "timedelta": NUMBERS,
    "time": NUMBERS,
    "interval": {"categorical"},
    "category": NUMBERS | CHOICES | {"datetime", "id"},
    "text": NUMBERS | CHOICES | {"datetime", "id", "text"},
}
KIND_OF_OBJECTS = {
    "boolean": "boolean",
    "integer": "integer",
    "floating": "real",
    "mixed-integer-float": "real",
    "decimal": "decimal",
    "date": "date",
    "time": "time",
    "bytes": "bytes",
    "complex": "complex",
}
KIND_OF_DTYPE = {
    "b": "boolean",
    "i": "integer",
    "u": "integer",
    "f": "real",
    "M": "datetime",
    "m": "timedelta",
    "c": "complex",
    "S": "bytes",
    "V": "record",
}


@dataclass(frozen=True)
class Stored:
    """A column's type in its container.

    Attributes:
        name: Name of the column, as messages call it.
        dtype: Its type, as it was given.
        kind: What its values are: a key of `HOLDS`.
    """

    name: str
    dtype: Any
    kind: str

    @classmethod
    def of(cls, column: pd.Series, name: str) -> Stored:
        """Find how a column is stored; the values of Python objects are looked at.

        Raises:
            SchemaError: If no schema has a type for it.
        """
        kind = _kind(column)
        if kind not in HOLDS:
            raise SchemaError(
                f"column {name!r} holds {kind} values ({column.dtype}), which no synthesizer learns; leave "
                "it out, or turn it into numbers or texts"
            )
        return cls(name, column.dtype, kind)

    @property
    def fields(self) -> dict[str, Any]:
        """The column's fields in a schema that declares nothing but the type."""
        if self.kind == "period":
            is_fine = self.dtype.freq.rule_code.lower() in ("h", "min", "t", "s")
            return dict(MOMENT if is_fine else DAY)
        return dict(FIELDS[self.kind])

    @property
    def can_be_missing(self) -> bool:
        """Whether a field can be empty: numpy's whole numbers and booleans cannot."""
        return not (isinstance(self.dtype, np.dtype) and self.dtype.kind in "iub")

    def to_table(self, column: pd.Series) -> pd.Series:
        """Return the column as a synthesizer reads it."""
        if isinstance(column.dtype, pd.SparseDtype):
            column = column.sparse.to_dense()
        if self.kind == "timedelta":
            return pd.Series(pd.to_timedelta(column).dt.total_seconds(), name=column.name)
        if self.kind == "time":
            return column.map(_seconds, na_action="ignore").astype("Float64")
        if self.kind == "decimal":
            return column.map(float, na_action="ignore").astype("Float64")
        if self.kind == "period":
            return column.dt.to_timestamp()
        if self.kind == "datetime" and getattr(column.dtype, "tz", None) is not None:
            return column.dt.tz_localize(None)
        is_of_intervals = self.kind == "category" and isinstance(
            column.cat.categories.dtype, pd.IntervalDtype
        )
        if self.kind == "interval" or is_of_intervals:
            return column.astype(object).map(str, na_action="ignore")
        return column

    def check(self, column: Column, *, is_label: bool = False) -> None:
        """Check, before anything is paid, that what a schema's column can become goes back into the type.

        Raises:
            SchemaError: If it does not; names the column and its type.

        Privacy:
            Public but for the type: looks at no record.
        """
        fits = column.type in HOLDS[self.kind] and not (column.type == "text" and column.drop)
        values = _examples(column)
        try:
            fits = fits and bool(self.give_back(values, column).notna().all())
        except (TypeError, ValueError, OverflowError):
            fits = False
        if not fits:
            what = "labels" if is_label else f"column {self.name!r}"
            raise SchemaError(
                f"{what}: stored as {self.dtype}, and the schema's {column.type} column {column.name!r} "
                "cannot be given back as that; leave the column out of X, convert it, or declare another type"
            )

    def give_back(self, values: pd.Series, column: Column) -> pd.Series:
        """Return released values in the type of the container, without what records alone decide of it.

        Categories are those of the values, sorted unless their order was declared, and texts are as long as
        they are: a value that one record holds must not show in a type. Numbers and times beyond what the
        type holds become its ends, and "other" is missing where it is no value of the type.
        """
        values = values.reset_index(drop=True)
        if isinstance(self.dtype, pd.CategoricalDtype):
            return _categorical(values, self.dtype, column)
        if isinstance(self.dtype, pd.SparseDtype):
            return _GIVE_BACK[self.kind](values, self.dtype.subtype, column).astype(self.dtype)
        return _GIVE_BACK[self.kind](values, self.dtype, column)


def _kind(column: pd.Series) -> str:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.IntervalDtype):
        return "interval"
    if isinstance(dtype, pd.PeriodDtype):
        return "period"
    if isinstance(dtype, pd.SparseDtype):
        return KIND_OF_DTYPE.get(dtype.subtype.kind, "text")
    if getattr(dtype, "kind", "O") != "O":
        return KIND_OF_DTYPE.get(dtype.kind, "text")
    if not is_object_dtype(dtype):
        return "text"
    return KIND_OF_OBJECTS.get(pd.api.types.infer_dtype(column, skipna=True), "text")


def _examples(column: Column) -> pd.Series:
    """Return values that a synthesizer may draw of a column, none missing."""
    if column.type == "integer":
        return pd.Series([0, 1], dtype="Int64")
    if column.type == "real":
        return pd.Series([0.0, 0.5])
    if column.type == "datetime":
        return pd.Series(np.array(["2001-01-01"], dtype="datetime64[s]"))
    if column.type == "boolean":
        return pd.Series(list(column.boolean_values))
    if isinstance(column.categories, tuple):
        return pd.Series(list(column.categories), dtype=object)
    return pd.Series([], dtype=object)  # private categories are values of the type itself


# -- back into a type ----------------------------------------------------------------------------------


def _booleans(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    if column.type in NUMBERS:
        known = values.map(bool, na_action="ignore")
    else:
        truth = {"true": True, "1": True, "false": False, "0": False}
        known = values.map(lambda value: truth.get(category_text(value).lower()), na_action="ignore")
    known = known.astype(object).where(known.notna(), None)
    return (
        known
        if is_object_dtype(dtype) or (isinstance(dtype, np.dtype) and known.isna().any())
        else known.astype(dtype)
    )


def _numbers(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    if is_object_dtype(dtype):
        numbers = numbers.convert_dtypes()
        return numbers.astype(object).where(numbers.notna(), None)
    stored = np.dtype(getattr(dtype, "numpy_dtype", dtype))
    if stored.kind in "iu":
        if isinstance(dtype, np.dtype) and numbers.isna().any():
            return numbers.astype(np.float64)  # as pandas does with a gap among whole numbers
        ends = np.iinfo(stored)
        whole = numbers.round().clip(ends.min, ends.max)
        if numbers.isna().any() or is_extension_array_dtype(dtype):
            return whole.astype("Int64" if stored.kind == "i" else "UInt64").astype(dtype)
        return whole.astype(dtype)
    floats = numbers.astype("Float64")
    most = float(np.finfo(stored).max)
    floats = floats.clip(-most, most)
    return (
        floats.astype(dtype)
        if is_extension_array_dtype(dtype)
        else pd.Series(floats.to_numpy(dtype=stored, na_value=np.nan))
    )


def _decimals(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype(object)
    return numbers.map(lambda number: Decimal(str(number)), na_action="ignore")


def _moments(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    seconds = _as_seconds(values)
    unit, zone = getattr(dtype, "unit", None), getattr(dtype, "tz", None)
    unit = unit or np.datetime_data(getattr(dtype, "numpy_dtype", dtype))[0]
    moments = _within(seconds, f"datetime64[{unit}]")
    if zone is not None:  # of an hour that the clock shows twice, the second; of one that it skips, its end
        ambiguous = np.zeros(len(moments), dtype=bool)
        moments = moments.dt.tz_localize(zone, ambiguous=ambiguous, nonexistent="shift_forward")
    return moments.astype(dtype)


def _dates(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    seconds = pd.Series(_as_seconds(values))
    days = seconds.astype("datetime64[s]").dt.date
    return days.where(seconds.notna(), None).astype(dtype)


def _periods(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    return _within(_as_seconds(values), "datetime64[ns]").dt.to_period(dtype.freq)


def _lengths(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    unit = np.datetime_data(getattr(dtype, "numpy_dtype", dtype))[0]
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return _within(numbers, f"timedelta64[{unit}]").astype(dtype)


def _times(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").clip(0, 86_399).astype(object)
    return numbers.map(lambda n: (dt.datetime.min + dt.timedelta(seconds=int(n))).time(), na_action="ignore")


def _intervals(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    found = [_interval(value, dtype) for value in values]
    if any(isinstance(interval, float) for interval in found) and dtype.subtype.kind in "iu":
        dtype = pd.IntervalDtype("float64", dtype.closed)  # as pandas does with a gap between whole ends
    return pd.Series(pd.arrays.IntervalArray(found, dtype=dtype))


def _interval(value: Any, dtype: Any) -> Any:
    """Return the interval that a text names; missing if it names none, such as "other"."""
    parts = value[1:-1].split(", ") if isinstance(value, str) else []
    if len(parts) != 2:
        return np.nan
    left, right = pd.Series(parts).astype(dtype.subtype)
    return pd.Interval(left, right, closed=dtype.closed)


def _texts(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    if column.type == "datetime":
        form = "%Y-%m-%d" if column.resolution_seconds == 86_400 else "%Y-%m-%dT%H:%M:%S"
        texts = values.dt.strftime(form).astype(object)
    else:
        texts = values.astype(object).map(category_text, na_action="ignore").astype(object)
    texts = texts.where(texts.notna(), None if is_object_dtype(dtype) else pd.NA)
    return texts if isinstance(dtype, np.dtype) else texts.astype(dtype)


def _categorical(values: pd.Series, dtype: pd.CategoricalDtype, column: Column) -> pd.Series:
    stored = Stored.of(pd.Series(dtype.categories), column.name)
    values = stored.give_back(values, column)
    held = set(values.dropna())
    known = sorted(held)
    if dtype.ordered:
        declared = [category for category in dtype.categories if category in held]
        known = [*declared, *sorted(held - set(declared))]
    values = values.where(values.notna(), None) if values.dtype == object else values
    return pd.Series(pd.Categorical(values, pd.Index(known, dtype=stored.dtype), ordered=dtype.ordered))


def _seconds(time: dt.time) -> int:
    return time.hour * 3600 + time.minute * 60 + time.second


def _as_seconds(values: pd.Series) -> np.ndarray[Any, Any]:
    """Return dates and times as seconds since 1970, NaN where they are none."""
    if values.dtype == object:
        values = pd.to_datetime(values, errors="coerce", format="ISO8601")
    moments = values.to_numpy().astype("datetime64[s]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64))


def _within(seconds: np.ndarray[Any, Any], dtype: str) -> pd.Series:
    """Return seconds as times of a type, those beyond it at its ends."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[np.datetime_data(dtype)[0]]
    most = MOST_COUNT / per_second
    counts = np.rint(np.clip(np.nan_to_num(seconds), -most, most) * per_second)
    return pd.Series(counts.astype(np.int64).astype(dtype)).mask(np.isnan(seconds))


_GIVE_BACK: dict[str, Callable[[pd.Series, Any, Column], pd.Series]] = {
    "boolean": _booleans,
    "integer": _numbers,
    "real": _numbers,
    "decimal": _decimals,
    "datetime": _moments,
    "date": _dates,
    "period": _periods,
    "timedelta": _lengths,
    "time": _times,
    "interval": _intervals,
    "text": _texts,
}
