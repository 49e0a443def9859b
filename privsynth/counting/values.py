"""How often each value, or combination of values, occurs in rows that come in parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.counting.persons import hashes
from privsynth.domains.coding import as_ticks
from privsynth.schema import PRIVATE, Column

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
CanonicalColumn: TypeAlias = "NDArray[np.float64] | pd.Categorical"

N_BUCKETS = 2**22
MAX_TICKS = 2**24  # of a number line of which every tick has a place
WAITING = 2**20  # counted values that are not yet added to the others


class ValueCounts:
    """Counts of the values of some columns, in grid steps; a row without a weight is one.

    Args:
        columns: Their declarations.

    Attributes:
        n_known: About how many values were found so far.

    Privacy:
        Not private: exact counts.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._code_of: list[dict[str, int]] = [{} for _ in columns]  # of texts of private lists
        self._codes: list[NDArray[Any]] = [np.empty((0, len(columns)))]  # numbers, positions, or codes
        self._counts: list[IntArray] = [np.empty(0, dtype=np.int64)]
        self.n_known = 0
        self._first, n_ticks = _ticks(columns)
        self._of_tick = np.zeros(n_ticks, dtype=np.int64)

    def add(self, values: Sequence[CanonicalColumn], weights: IntArray | None) -> None:
        """Add rows: canonical columns, and what each row weighs; None is one unit."""
        if len(self._of_tick):
            ticks = self._numbers(0, values[0])
            is_known = ~np.isnan(ticks)
            place = (ticks[is_known] - self._first).astype(np.int64)
            np.add.at(self._of_tick, place, 1 if weights is None else weights[is_known])
            return
        numbers = np.column_stack([self._numbers(i, of) for i, of in enumerate(values)])
        known, counts = _summed(numbers, weights)
        self._codes.append(known)
        self._counts.append(counts)
        if sum(map(len, self._counts[1:])) > max(WAITING, self.n_known):
            self._settle()

    def sorted(self, *, at_least: int = 1) -> tuple[list[NDArray[Any]], IntArray]:
        """Return the values that occur, column by column, and their counts, in the order of the values.

        Numbers are ticks and missing is None; of one column alone missing is left out. In the order of
        several columns missing comes first.

        Args:
            at_least: Values of fewer grid steps are left out.
        """
        if len(self._of_tick):
            occurs = np.flatnonzero(self._of_tick >= at_least)
            return [self._first + occurs.astype(np.float64)], self._of_tick[occurs]
        self._settle()
        codes, counts = self._codes[0], self._counts[0]
        kept = counts >= at_least
        if len(self._columns) == 1:
            kept &= ~np.isnan(codes[:, 0])
        codes, counts = codes[kept], counts[kept]
        ranks, values = zip(*(self._ranked(i, codes[:, i]) for i in range(len(self._columns))), strict=True)
        order = np.lexsort(ranks[::-1])
        return [of[order] for of in values], counts[order]

    def _numbers(self, i: int, values: CanonicalColumn) -> FloatArray:
        """Return a number for each value of a column, NaN for missing."""
        column = self._columns[i]
        if not isinstance(values, pd.Categorical):
            return as_ticks(np.asarray(values, dtype=np.float64), column.step) + 0.0
        codes = np.arange(len(values.categories), dtype=np.float64)
        if column.categories == PRIVATE:
            known = self._code_of[i]
            codes = np.array([known.setdefault(text, len(known)) for text in values.categories], dtype=float)
        return np.append(codes, np.nan)[values.codes]

    def _settle(self) -> None:
        codes, counts = np.concatenate(self._codes), np.concatenate(self._counts)
        known, counts = _summed(codes, counts)
        self._codes, self._counts, self.n_known = [known], [counts], len(known)

    def _ranked(self, i: int, codes: FloatArray) -> tuple[FloatArray, NDArray[Any]]:
        """Return what the values of a column are ordered by, and the values."""
        column, is_missing = self._columns[i], np.isnan(codes)
        at = np.where(is_missing, 0, codes).astype(np.int64)
        ranks = codes
        if column.is_numeric:
            values: NDArray[Any] = codes if len(self._columns) == 1 else codes.astype(object)
        elif column.categories == PRIVATE:
            texts = np.array([*self._code_of[i], None], dtype=object)
            order = sorted(range(len(texts) - 1), key=lambda code: texts[code])
            rank_of = np.zeros(len(texts))
            rank_of[order] = np.arange(len(order))
            ranks, values = rank_of[at], texts[at]
        else:
            values = np.array([*(column.labels or ()), None], dtype=object)[at]
        if len(self._columns) > 1:
            values = values.copy()
            values[is_missing] = None
        return np.where(is_missing, -np.inf, ranks), values


def buckets(columns: Sequence[Column], values: Sequence[CanonicalColumn], key: int) -> IntArray:
    """Return the bucket of each row's values, ``(n_rows,)``; equal ones have the same.

    Args:
        columns: Their declarations.
        values: Canonical columns.
        key: 64 secret bits.

    Privacy:
        Not private: a function of the records.
    """
    mixed = np.full(len(values[0]), key, dtype=np.uint64)
    for column, of in zip(columns, values, strict=True):
        if isinstance(of, pd.Categorical):
            words: Sequence[int] = range(len(of.categories))
            if column.categories == PRIVATE:
                words = [hash((key, text)) for text in of.categories]
            bits = np.array([*words, -1], dtype=np.int64)[of.codes].view(np.uint64)
        else:
            ticks = as_ticks(np.asarray(of, dtype=np.float64), column.step) + 0.0
            bits = np.where(np.isnan(ticks), np.inf, ticks).view(np.uint64)
        mixed = hashes(mixed ^ bits, np.zeros(len(mixed), dtype=np.int64))
    return (mixed % np.uint64(N_BUCKETS)).astype(np.int64)


def _ticks(columns: Sequence[Column]) -> tuple[float, int]:
    """Return the first tick of a single number line between near public bounds, and their number; else 0."""
    low, high = columns[0].bounds if len(columns) == 1 and columns[0].is_numeric else (None, None)
    step = columns[0].step
    if low is None or high is None or step is None or (high - low) / step > MAX_TICKS:
        return 0.0, 0
    first = math.floor(low / step) - 1  # a bound that is no tick is rounded to one
    return float(first), math.ceil(high / step) + 2 - first


def _summed(numbers: FloatArray, counts: IntArray | None) -> tuple[FloatArray, IntArray]:
    """Return the distinct rows of numbers, and the sums of their counts; NaN is one value."""
    if counts is None and numbers.shape[1] == 1:
        found, counts = np.unique(numbers[:, 0], return_counts=True)
        return found[:, None], counts.astype(np.int64)
    codes = np.zeros(len(numbers), dtype=np.int64)
    for column in numbers.T:
        found, code = np.unique(column, return_inverse=True)
        _, codes = np.unique(codes * max(len(found), 1) + code, return_inverse=True)
    first = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    first[codes] = np.arange(len(codes))
    sums = np.bincount(codes, weights=counts, minlength=len(first)).astype(np.int64)
    return numbers[first], sums
