"""What one stored field means by itself: a text, a number, nothing, or something that cannot be read."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from privsynth.columns import MAX_GRID_INTEGER

FloatArray = npt.NDArray[np.float64]

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
    return _text_or_number(value)


def as_number(value: object) -> Single | None:
    """Return what a stored value means as a number or a time; as `as_text`, but truth values are 0 and 1."""
    if isinstance(value, bool | np.bool_):
        return float(value)
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
    if isinstance(value, dt.date | np.datetime64):
        return None if pd.isna(value) else _iso(value)
    if isinstance(value, bytes):
        return _decoded(value)
    return str(value) if isinstance(value, uuid.UUID) else Unreadable(NO_SINGLE_VALUE)


def _whole(value: int) -> Single:
    if abs(value) < MAX_GRID_INTEGER:
        return float(value)
    return str(value) if abs(value) < LARGEST else Unreadable(NO_SINGLE_VALUE)


def _decoded(value: bytes) -> Single:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return Unreadable("a field is bytes that are no text in UTF-8")


def _iso(value: dt.date | np.datetime64) -> str:
    """Return a date or time as ISO-8601, the same for every type that means the same."""
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value.astype("datetime64[us]"))).removesuffix(".000000")
    return value.isoformat()
