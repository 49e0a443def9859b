"""Total variation distance between the marginals of two tables in codes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from privsynth.records.codes import Discretiser, joint_cells

_DENSE_CELLS = 2**20  # larger tables of counts are held by the cells that occur
_TRIPLES_SEED = 0  # public and fixed: the same triples of columns for every table of one schema


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
    cells = [joint_cells(table.codes, columns, sizes) for table in tables]
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
