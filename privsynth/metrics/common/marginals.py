"""Total variation distance between the marginals of two tables, numbers cut into quantile bins."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

N_BINS = 20
_DENSE_CELLS = 2**20  # larger tables of counts are held by the cells that occur
_TRIPLES_SEED = 0  # public and fixed: the same triples of columns for every table of one schema


@dataclass(frozen=True)
class Discretiser:
    """How each column becomes a whole number: breaks of numbers, codes of categories, one for missing.

    Attributes:
        breaks: Column to increasing breaks; bin ``i`` holds ``breaks[i-1] <= x < breaks[i]``. None for
            categorical columns, whose codes are kept.
        sizes: Column to its number of codes; the last one is "missing".
    """

    breaks: dict[str, np.ndarray | None]
    sizes: dict[str, int]

    @classmethod
    def fit(cls, table: pd.DataFrame, weights: np.ndarray, *, n_bins: int = N_BINS) -> Discretiser:
        """Cut each numeric column at its weighted quantiles; a value filling a whole bin gets its own.

        Privacy:
            Not private: quantiles of real records.
        """
        breaks: dict[str, np.ndarray | None] = {}
        sizes: dict[str, int] = {}
        for name in table.columns:
            column = table[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                breaks[name], sizes[name] = None, len(column.cat.categories) + 1
            else:
                edges = _breaks(column.to_numpy(dtype=np.float64), weights, n_bins)
                breaks[name], sizes[name] = edges, len(edges) + 2
        return cls(breaks, sizes)

    def codes(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the code of every field, column by column, ``(n_rows,)`` int64.

        Privacy:
            Not private: an encoding of the rows given.
        """
        return {name: self._codes(table[name], edges) for name, edges in self.breaks.items()}

    def _codes(self, column: pd.Series, edges: np.ndarray | None) -> np.ndarray:
        last = self.sizes[str(column.name)] - 1
        if edges is None:
            codes = column.cat.codes.to_numpy().astype(np.int64)
            return np.where(codes < 0, last, codes)
        values = column.to_numpy(dtype=np.float64)
        return np.where(np.isnan(values), last, np.searchsorted(edges, values, side="right"))


@dataclass(frozen=True)
class Coded:
    """A table of codes with a weight for each row; the weights sum to one."""

    codes: dict[str, np.ndarray]
    weights: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, discretiser: Discretiser, weights: np.ndarray | None = None) -> Coded:
        """Return the table in codes; rows weigh the same unless told otherwise."""
        raw = np.ones(len(table)) if weights is None else weights
        return cls(discretiser.codes(table), raw / raw.sum())


def total_variation(a: Coded, b: Coded, columns: Sequence[str], sizes: dict[str, int]) -> float:
    """Return half the L1 distance of the two tables' marginals of ``columns``, in [0, 1].

    Privacy:
        Not private: of real records, if one table holds them.
    """
    shares_a, shares_b = marginal_shares([a, b], columns, sizes)
    return 0.5 * float(np.abs(shares_a - shares_b).sum())


def marginal_shares(
    tables: Sequence[Coded], columns: Sequence[str], sizes: dict[str, int]
) -> list[np.ndarray]:
    """Return each table's shares over the same cells of a marginal, ``(n_cells,)`` each.

    All cells if they are few, else those that occur in one of the tables.

    Privacy:
        Not private: of real records, if a table holds them.
    """
    cells = [_cells(table, columns, sizes) for table in tables]
    n_cells = math.prod(sizes[name] for name in columns)
    if n_cells > _DENSE_CELLS:
        occurring, together = np.unique(np.concatenate(cells), return_inverse=True)
        cells = np.split(together, np.cumsum([len(each) for each in cells])[:-1])
        n_cells = len(occurring)
    return [np.bincount(each, table.weights, n_cells) for each, table in zip(cells, tables, strict=True)]


def column_triples(columns: Sequence[str], max_triples: int) -> list[tuple[str, ...]]:
    """Return all triples of columns, or ``max_triples`` of them chosen by a fixed public seed.

    Privacy:
        Public: reads no record.
    """
    n_triples = math.comb(len(columns), 3)
    if n_triples <= max_triples:
        return list(itertools.combinations(columns, 3))
    generator = np.random.default_rng(_TRIPLES_SEED)
    chosen: dict[tuple[int, ...], None] = {}
    while len(chosen) < max_triples:
        triple = generator.choice(len(columns), size=3, replace=False)
        chosen[tuple(sorted(int(i) for i in triple))] = None
    return [tuple(columns[i] for i in triple) for triple in chosen]


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
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


def _breaks(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
    quantiles = weighted_quantiles(values, weights, np.linspace(0, 1, n_bins + 1))
    distinct, times = np.unique(quantiles, return_counts=True)
    alone = distinct[times > 1]  # fills a whole quantile bin
    return np.unique(np.concatenate([distinct[1:-1], alone, np.nextafter(alone, np.inf)]))


def _cells(table: Coded, columns: Sequence[str], sizes: dict[str, int]) -> np.ndarray:
    cells = np.zeros(len(table.weights), dtype=np.int64)
    for name in columns:
        cells = cells * sizes[name] + table.codes[name]
    return cells
