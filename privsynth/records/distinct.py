"""The distinct values of a raw column, found so that no field decides how another is read.

Every rule can then be applied once per distinct value and never once per row, so ten million rows cost
seconds. pandas does not serve for texts: it takes those that are equal up to a NUL for one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.records.single_values import Single, of_single_precision

IntArray = npt.NDArray[np.int64]

_AS_THEY_ARE = frozenset({str, float, type(None)})  # equal ones mean the same


def distinct(raw: pd.Series, single: Callable[[object], Single | None]) -> tuple[IntArray, list[Single]]:
    """Return each row's position among the distinct values, -1 for a missing one, and those values.

    Args:
        raw: The column as a table stores it.
        single: What one stored value means by itself, None for missing. It is asked for every value that is
            neither a Python text nor a Python float, and tells values apart by what it returns.

    Returns:
        ``(n,)`` codes, and the values that occur.

    Privacy:
        Not private: an encoding of the records.
    """
    if isinstance(raw.dtype, pd.CategoricalDtype):
        return _of_stored(raw.cat.codes.to_numpy(), raw.cat.categories, single)
    if raw.dtype.kind in "biufMm":  # numbers and times of one type: equal ones mean the same
        codes, stored = pd.factorize(raw.to_numpy() if isinstance(raw.dtype, np.dtype) else raw.array)
        return _of_stored(codes, stored, single)
    return _of_objects(raw.to_numpy(dtype=object), single)


def _of_stored(
    codes: npt.NDArray[np.signedinteger], stored: Any, single: Callable[[object], Single | None]
) -> tuple[IntArray, list[Single]]:
    """Return the distinct values of a column that is held as codes of stored values."""
    codes = codes.astype(np.int64)
    occurs = np.bincount(codes[codes >= 0], minlength=len(stored)) > 0
    values = np.asarray(stored)[occurs]
    if values.dtype in (np.float16, np.float32):
        values = of_single_precision(values)
    of_values, found = _of_objects(np.fromiter(values, dtype=object, count=len(values)), single)
    of_stored = np.full(len(stored) + 1, -1, dtype=np.int64)
    of_stored[:-1][occurs] = of_values
    return of_stored[codes], found


def _of_objects(
    values: npt.NDArray[np.object_], single: Callable[[object], Single | None]
) -> tuple[IntArray, list[Single]]:
    """Return the distinct values of Python objects."""
    if not set(map(type, values)) <= _AS_THEY_ARE:
        read = (value if type(value) in _AS_THEY_ARE else single(value) for value in values)
        values = np.fromiter(read, dtype=object, count=len(values))
    position: defaultdict[Any, int] = defaultdict(count().__next__)
    codes = np.fromiter(map(position.__getitem__, values), dtype=np.int64, count=len(values))
    is_missing = np.array([value is None or value != value for value in position], dtype=bool)
    if not is_missing.any():
        return codes, list(position)
    renumbered = np.where(is_missing, -1, np.cumsum(~is_missing) - 1)
    return renumbered[codes], [v for v, missing in zip(position, is_missing, strict=True) if not missing]
