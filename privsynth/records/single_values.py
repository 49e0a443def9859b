"""What one stored field means by itself: a text, a number, nothing, or something that cannot be read."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from privsynth.schema.plain_values import MAX_GRID_INTEGER
from privsynth.schema.times import EPOCH, TimeFormat

FloatArray = npt.NDArray[np.float64]

NO_UNIT = "a field is a duration; state the 'unit' in which it is counted: day, hour, minute or second"
NO_NUMBER = "a field is not a finite number but a date or time, whose type is 'datetime'"
NO_SINGLE_VALUE = "a field is not one number, text or date"
LARGEST = 2**1023  # beyond it an integer is no float


@dataclass(frozen=True)
class Unreadable:
    """A field that its column cannot hold, whatever its value, and the rule that it breaks."""

    rule: str


Single = str | float | dt.datetime | Unreadable


def as_text(value: object) -> Single | None:
    """Return what a stored value means as a category or an id: a text or a number, None if it is missing.

    Truth values are texts, and so are whole numbers that a float cannot hold; dates are ISO-8601.
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if _is_time(value):
        return None if pd.isna(value) else _iso(value)
    if _is_duration(value):
        return None if pd.isna(value) else _in_range(lambda: str(pd.Timedelta(value)))
    return str(value) if isinstance(value, uuid.UUID | pd.Period | pd.Interval) else _text_or_number(value)


def as_number(value: object, *, unit_seconds: int | None) -> Single | None:
    """Return what a stored value means as a number, or a text that may be one, None if it is missing.

    Args:
        value: The value.
        unit_seconds: Length of the unit in which durations, and times of day since midnight, are counted;
            None if the column states none.
    """
    if isinstance(value, bool | np.bool_):
        return float(value)
    if isinstance(value, dt.time):
        value = dt.datetime.combine(EPOCH, value.replace(tzinfo=None)) - EPOCH
    if _is_duration(value):
        if pd.isna(value):
            return None
        if unit_seconds is None:
            return Unreadable(NO_UNIT)
        return _in_range(lambda: pd.Timedelta(value).total_seconds() / unit_seconds)
    if _is_time(value):
        return None if pd.isna(value) else Unreadable(NO_NUMBER)
    return _text_or_number(value)


def as_moment(value: object, *, written: TimeFormat) -> Single | None:
    """Return what the clock shows at a stored value, or a text that may say it, None if it is missing."""
    if isinstance(value, bool | np.bool_):
        return Unreadable(NO_SINGLE_VALUE)
    if isinstance(value, pd.Period):
        return _in_range(lambda: written.on_the_wall(value.to_timestamp()))
    if isinstance(value, np.datetime64):
        return None if pd.isna(value) else _in_range(lambda: written.on_the_wall(_datetime(value)))
    if isinstance(value, dt.date | dt.time):
        return None if pd.isna(value) else _in_range(lambda: written.on_the_wall(value))
    if _is_duration(value):
        return None if pd.isna(value) else Unreadable("a field is a duration, which is no date or time")
    return _text_or_number(value)


def of_single_precision(values: npt.NDArray[np.floating]) -> FloatArray:
    """Return float32 or float16 numbers as the shortest decimals that are stored so, 0.1 for 0.10000000149.

    Whole numbers stay what they are.
    """
    if values.dtype == np.float16:
        decimals = np.array([float(str(value)) for value in values], dtype=np.float64)
    else:
        texts = pyarrow.compute.cast(pa.array(values), pa.string())
        decimals = pyarrow.compute.cast(texts, pa.float64()).to_numpy()
    return np.where(values == np.rint(values), values.astype(np.float64), decimals)


def _text_or_number(value: object) -> Single | None:
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | np.integer):
        return _whole(int(value))
    if isinstance(value, np.float16 | np.float32):
        return float(of_single_precision(np.array([value]))[0])
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, Decimal) and not value.is_nan():
        number = float(value)
        is_whole = math.isfinite(number) and value == value.to_integral_value()
        return _whole(int(value)) if is_whole else number
    return _decoded(value) if isinstance(value, bytes) else Unreadable(NO_SINGLE_VALUE)


def _whole(value: int) -> Single:
    if abs(value) < MAX_GRID_INTEGER:
        return float(value)
    return str(value) if abs(value) < LARGEST else Unreadable(NO_SINGLE_VALUE)


def _decoded(value: bytes) -> Single:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable("a field is bytes that are no text in UTF-8")


def _is_time(value: object) -> TypeGuard[dt.date | dt.time | np.datetime64]:
    return isinstance(value, dt.date | dt.time | np.datetime64)


def _is_duration(value: object) -> TypeGuard[dt.timedelta | np.timedelta64]:
    return isinstance(value, dt.timedelta | np.timedelta64)


def _iso(value: dt.date | dt.time | np.datetime64) -> str:
    """Return a date or time as ISO-8601, the same for every type that means the same."""
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value.astype("datetime64[us]"))).removesuffix(".000000")
    return value.isoformat()


def _datetime(value: np.datetime64) -> dt.datetime:
    moment = value.astype("datetime64[us]").item()
    if not isinstance(moment, dt.datetime):
        raise ValueError("out of range")
    return moment


def _in_range(read: Callable[[], Single]) -> Single:
    try:
        return read()
    except (ValueError, OverflowError):
        return Unreadable("a field is a date, time or duration out of range")
