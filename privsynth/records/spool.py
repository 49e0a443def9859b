"""Canonical rows in a file that has no name: nobody else can open it, and it is gone when the process is."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_PERSONS = None  # where the numbers of persons are kept, beside the columns' names


@dataclass(frozen=True)
class _Place:
    """Where the values of a column's part lie, and how they are written.

    Attributes:
        offset: First byte.
        n_bytes: Length.
        dtype: Type of the numbers or codes.
        missing: Whole number that stands for NaN; None where numbers are as they are.
        categories: Of a categorical: its categories, or where their texts lie.
    """

    offset: int
    n_bytes: int
    dtype: np.dtype[Any]
    missing: int | None = None
    categories: pd.Index | tuple[int, int] | None = None


class Spool:
    """Rows in canonical form, written once, part by part, and read by columns.

    Privacy:
        Not private: holds the records. The file is readable by its owner alone, and unlinked from the start.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with this object
        weakref.finalize(self, self._file.close)
        self._end = 0
        self._parts: list[tuple[int, dict[str | None, _Place]]] = []
        self._shared: dict[tuple[object, ...], pd.Index] = {}

    def append(
        self, n_rows: int, columns: Mapping[str, FloatArray | pd.Categorical], persons: IntArray | None
    ) -> None:
        """Write a part: its columns, and the number of each row's person."""
        places: dict[str | None, _Place] = {}
        for name, values in columns.items():
            if isinstance(values, pd.Categorical):
                places[name] = self._codes(values)
            else:
                places[name] = self._numbers(values)
        if persons is not None:
            places[_PERSONS] = self._written(_narrow(persons))
        self._parts.append((n_rows, places))

    def batches(
        self, names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, FloatArray | pd.Categorical], IntArray | None]]:
        """Yield the parts in their order: number of rows, columns, persons."""
        for n_rows, places in self._parts:
            columns = {name: self._column(places[name]) for name in names}
            of_persons = places.get(_PERSONS)
            persons = None if of_persons is None else self._array(of_persons).astype(np.int64)
            yield n_rows, columns, persons

    def _numbers(self, values: FloatArray) -> _Place:
        """Write numbers, whole ones in as few bytes as they take: what is read back is the same."""
        is_missing = np.isnan(values)
        known = values[~is_missing]
        if len(known) == 0 or (np.all(known == np.rint(known)) and np.abs(known).max() < 2**31 - 1):
            least = int(known.min(initial=0.0)) - 1
            whole = np.where(is_missing, least, values).astype(np.int64)
            return self._written(_narrow(whole), missing=least)
        return self._written(values)

    def _codes(self, values: pd.Categorical) -> _Place:
        labels = values.categories
        key = (len(labels), *labels[:3])
        known = self._shared.setdefault(key, labels) if len(labels) <= 2**10 else labels
        if known.equals(labels) and known.dtype == labels.dtype and len(labels) <= 2**10:
            return self._written(values.codes, categories=known)
        if not all(type(label) is str for label in labels):
            return self._written(values.codes, categories=labels)
        place = self._written(np.frombuffer(json.dumps(list(labels)).encode(), dtype=np.uint8))
        return self._written(values.codes, categories=(place.offset, place.n_bytes))

    def _written(self, values: NDArray[Any], **how: Any) -> _Place:
        content = np.ascontiguousarray(values).tobytes()
        place = _Place(self._end, len(content), values.dtype, **how)
        view = memoryview(content)
        while view:
            n_written = os.write(self._file.fileno(), view)
            view = view[n_written:]
        self._end += len(content)
        return place

    def _array(self, place: _Place) -> NDArray[Any]:
        return np.frombuffer(self._bytes(place.offset, place.n_bytes), dtype=place.dtype)

    def _bytes(self, offset: int, n_bytes: int) -> bytes:
        self._file.seek(offset)
        found = bytearray()
        while len(found) < n_bytes:
            found += self._file.read(n_bytes - len(found)) or _ended()
        self._file.seek(self._end)
        return bytes(found)

    def _column(self, place: _Place) -> FloatArray | pd.Categorical:
        values = self._array(place)
        if place.categories is None:
            if place.missing is None:
                return values
            return np.where(values == place.missing, np.nan, values.astype(np.float64))
        labels = place.categories
        if isinstance(labels, tuple):
            labels = pd.Index(json.loads(self._bytes(*labels)), dtype=object)
        return pd.Categorical.from_codes(values, categories=labels)


def _narrow(whole: IntArray) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them."""
    least, most = int(whole.min(initial=0)), int(whole.max(initial=0))
    return whole.astype(np.result_type(np.min_scalar_type(least), np.min_scalar_type(most)))


def _ended() -> bytes:
    raise OSError("a part of a temporary file is gone")
