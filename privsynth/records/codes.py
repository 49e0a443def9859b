"""Canonical tables as whole numbers, for what judges them: bins of numbers, codes of categories, missing.

Where a model is fitted, codes come from public facts and releases (`privsynth.domains`); here bins are cut
where the rows themselves lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.coding import Coding, coding_of_breaks, coding_of_texts
from privsynth.schema.plain_values import category_text

N_BINS = 20
N_EQUAL_BINS = 16

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Discretiser:
    """A coding of each column of tables with the same columns and categories.

    Attributes:
        codings: Column to its coding; the last code is "missing".
    """

    codings: Mapping[str, Coding]

    @classmethod
    def fit(cls, table: pd.DataFrame, weights: FloatArray, *, n_bins: int = N_BINS) -> Discretiser:
        """Cut each numeric column at its weighted quantiles; a value filling a whole bin gets its own.

        Privacy:
            Not private: quantiles of real records.
        """
        return cls._cut([table], lambda values: _breaks(values, weights, n_bins))

    @classmethod
    def of_quantiles(cls, tables: Sequence[pd.DataFrame], *, n_bins: int = N_EQUAL_BINS) -> Discretiser:
        """Cut each numeric column at the quantiles of all tables together, into at most ``n_bins``.

        Privacy:
            Not private: reads the rows of the tables given.
        """
        inner = np.linspace(0, 1, n_bins + 1)[1:-1]

        def breaks(values: FloatArray) -> FloatArray:
            known = values[~np.isnan(values)]
            return np.unique(np.quantile(known, inner)) if len(known) else np.empty(0)

        return cls._cut(tables, breaks)

    @classmethod
    def _cut(cls, tables: Sequence[pd.DataFrame], breaks: Callable[[FloatArray], FloatArray]) -> Discretiser:
        codings: dict[str, Coding] = {}
        for name in tables[0].columns:
            column = tables[0][name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                codings[name] = coding_of_texts(map(category_text, column.cat.categories))
            else:
                values = np.concatenate([table[name].to_numpy(dtype=np.float64) for table in tables])
                codings[name] = coding_of_breaks(breaks(values))
        return cls(codings)

    @property
    def sizes(self) -> dict[str, int]:
        """Column to its number of codes."""
        return {name: coding.size for name, coding in self.codings.items()}

    def codes(self, table: pd.DataFrame) -> dict[str, IntArray]:
        """Return the code of every field, column by column, ``(n_rows,)``.

        Privacy:
            Not private: an encoding of the rows given.
        """
        return {name: coding.encode(table[name]) for name, coding in self.codings.items()}

    def matrix(self, table: pd.DataFrame) -> NDArray[np.uint64]:
        """Return a whole number for every field, 0 where missing, ``(n_rows, n_columns)``.

        Privacy:
            Not private: an encoding of the rows given.
        """
        columns = [(codes + 1) % self.codings[name].size for name, codes in self.codes(table).items()]
        empty = np.empty((len(table), 0), dtype=np.int64)
        return (np.stack(columns, axis=1) if columns else empty).astype(np.uint64)


def joint_cells(codes: Mapping[str, IntArray], columns: Sequence[str], sizes: Mapping[str, int]) -> IntArray:
    """Return the cell of each row in the table of counts of ``columns``, the last one moving fastest."""
    cells = np.zeros(len(codes[columns[0]]), dtype=np.int64)
    for name in columns:
        cells = cells * sizes[name] + codes[name]
    return cells


def as_numbers(column: pd.Series) -> FloatArray:
    """Return a canonical column as numbers, categories by their code; NaN where missing.

    Privacy:
        Not private: an encoding of the values given.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.float64)
        return np.where(codes < 0, np.nan, codes)
    return column.to_numpy(dtype=np.float64)


def weighted_quantiles(values: FloatArray, weights: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the smallest values below or at which the given shares of the weight lie; NaN is left out.

    Privacy:
        Not private: quantiles of real records.
    """
    present = ~np.isnan(values)
    order = np.argsort(values[present], kind="stable")
    ordered = values[present][order]
    if len(ordered) == 0:
        return np.empty(0)
    upper = np.cumsum(weights[present][order])
    positions = np.searchsorted(upper, levels * upper[-1] * (1 - 1e-12))
    return ordered[np.minimum(positions, len(ordered) - 1)]


def _breaks(values: FloatArray, weights: FloatArray, n_bins: int) -> FloatArray:
    quantiles = weighted_quantiles(values, weights, np.linspace(0, 1, n_bins + 1))
    distinct, times = np.unique(quantiles, return_counts=True)
    alone = distinct[times > 1]  # fills a whole quantile bin
    return np.unique(np.concatenate([distinct[1:-1], alone, np.nextafter(alone, np.inf)]))
