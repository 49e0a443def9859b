"""Facts of a schema as Python, numpy and pandas give them, turned into what JSON holds."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

MAX_GRID_INTEGER = 2**53  # up to which every whole number is a double
LISTS = (list, tuple, range, np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)


def plain(value: Any) -> Any:
    """Return a fact as JSON holds it; what has no such form is returned as it is.

    Numbers of numpy and decimals become Python's (float32 by its shortest decimal), dates and times ISO-8601,
    intervals their text, and lists, arrays and columns of any kind lists. Sets have no order and are sorted.

    Example:
        >>> plain({"low": np.int64(0), "high": Decimal("0.5"), "categories": {"b", "a"}})
        {'low': 0, 'high': 0.5, 'categories': ['a', 'b']}
        >>> plain([pd.Timestamp("2020-01-01"), dt.date(2020, 1, 1), np.float32(0.1), range(2)])
        ['2020-01-01T00:00:00', '2020-01-01', 0.1, [0, 1]]
    """
    if isinstance(value, Mapping):
        return {plain(key): plain(fact) for key, fact in value.items()}
    if isinstance(value, set | frozenset):
        return _sorted([plain(fact) for fact in value])
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, LISTS):
        return [plain(fact) for fact in value]
    return _single(value)


def _single(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, np.float16 | np.float32):
        return float(str(value))
    if isinstance(value, np.datetime64):
        return str(value) if np.datetime_data(value.dtype)[0] == "D" else pd.Timestamp(value).isoformat()
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, pd.Period | pd.Interval) else value


def _sorted(values: list[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)


def category_text(value: object) -> str:
    """Return the text by which a table's value matches a category: 3, 3.0 and "3" are one.

    Letters with accents are composed (Unicode NFC), whichever way they are stored.

    Example:
        >>> [category_text(v) for v in (3, 3.0, "3", True, " a ")]
        ['3', '3', '3', 'true', 'a']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_GRID_INTEGER:
        return str(int(value))
    return unicodedata.normalize("NFC", str(value)).strip()
