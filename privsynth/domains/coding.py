"""Codings: how the values of one column become codes, as data; applied to each value by itself.

Real records are counted through codings, so what a coding can do is part of the guarantee: the code of a row
must hang on that row alone. The two kinds below are all there are. Each is a table that was fixed by public
facts and releases, and its `encode` looks one value up after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.schema.plain_values import category_text

MAX_TICKS_IN_TABLE = 2**16  # of a number line whose codes are looked up in a table, and not searched for

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Codes = NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class TextCoding:
    """Codes of a list of values, which match by their text.

    Attributes:
        code_of: From the text of a value to its code.
        other: Code of every value that is not listed; -1 is counted nowhere.
        missing: Code of a missing value, or -1.
        size: Number of codes.
    """

    code_of: Mapping[str, int]
    other: int
    missing: int
    size: int

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "code_of", dict(self.code_of)
        )  # no other kind of mapping, which may run code

    def encode(self, values: pd.Series) -> IntArray:
        """Return the code of each value of a canonical (categorical) column, ``(n,)``."""
        of_category = [self.code_of.get(category_text(value), self.other) for value in values.cat.categories]
        return np.array([*of_category, self.missing], dtype=np.int64)[values.cat.codes.to_numpy()]


@dataclass(frozen=True, eq=False)
class NumberCoding:
    """Codes of the cells of a number line; numbers beyond its ends belong to the outer cells.

    Attributes:
        step: Distance of neighbouring values, of which ticks are whole multiples; None for any number.
        low: Smallest tick.
        high: Largest tick.
        edges: Left ends of the cells in ticks, increasing, ``(n_cells,)``; the first is ``low``.
        code_of_cell: Code of each cell, ``(n_cells,)``.
        missing: Code of a missing value, or -1, which is counted nowhere.
        size: Number of codes.
    """

    step: float | None
    low: float
    high: float
    edges: FloatArray
    code_of_cell: IntArray
    missing: int
    size: int

    def encode(self, values: pd.Series) -> IntArray:
        """Return the code of each number of a canonical column, ``(n,)``."""
        ticks = as_ticks(values.to_numpy(dtype=np.float64), self.step)
        if not self._is_short:
            cell = cells_of(ticks, self.edges, self.low, self.high)
            return np.append(self.code_of_cell, self.missing)[cell]
        place = np.clip(ticks, self.low, self.high) - self.low
        return self._code_of_tick[np.where(np.isnan(ticks), -1, place).astype(np.int64)]

    @property
    def _is_short(self) -> bool:
        """Whether every tick may have its place in a table; beyond 2^52 they are no numbers to count with."""
        is_exact = max(abs(self.low), abs(self.high)) < 2.0**52
        return self.step is not None and is_exact and self.high - self.low < MAX_TICKS_IN_TABLE

    @cached_property
    def _code_of_tick(self) -> IntArray:
        """The code of every tick from ``low`` to ``high``, and last that of missing."""
        cell = cells_of(np.arange(self.low, self.high + 1), self.edges, self.low, self.high)
        codes = np.append(self.code_of_cell, self.missing)  # a line may have no cells
        return np.append(codes[cell], self.missing)


Coding = TextCoding | NumberCoding


def coding_of_texts(texts: Iterable[str]) -> TextCoding:
    """Return a coding of a list of texts, with one code more for all that is missing or not listed."""
    code_of = {text: code for code, text in enumerate(texts)}
    n = len(code_of)
    return TextCoding(code_of, other=n, missing=n, size=n + 1)


def coding_of_breaks(breaks: FloatArray) -> NumberCoding:
    """Return a coding of numbers: ``breaks[i - 1] <= x < breaks[i]`` has code ``i``, the last is missing."""
    n = len(breaks) + 1
    edges = np.append(-np.inf, breaks)
    return NumberCoding(
        step=None, low=-np.inf, high=np.inf, edges=edges, code_of_cell=np.arange(n), missing=n, size=n + 1
    )


def as_ticks(values: FloatArray, step: float | None) -> FloatArray:
    """Return numbers as ticks, whole multiples of ``step``; what is too large becomes NaN."""
    if step is None:
        return values
    with np.errstate(all="ignore"):
        ticks = np.rint(values / step)
    return np.where(np.isfinite(ticks), ticks, np.nan)


def cells_of(ticks: FloatArray, edges: FloatArray, low: float, high: float) -> IntArray:
    """Return the cell of each tick, ``(n,)``; ticks beyond the ends belong to the outer cells, NaN is -1."""
    cell = np.searchsorted(edges, np.clip(ticks, low, high), side="right") - 1
    return np.where(np.isnan(ticks), -1, cell).astype(np.int64)


def narrow(codes: Codes, size: int) -> Codes:
    """Return whole numbers from -1 to ``size - 1`` in the smallest signed type that holds them."""
    return codes.astype(np.min_scalar_type(-max(size, 1)), copy=False)
