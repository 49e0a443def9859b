"""Groups of rows by one or several columns, the same in every table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from privsynth.domains.coding import TextCoding
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.fidelity.distributions import interval_text
from privsynth.records.codes import Discretiser, joint_cells

N_NUMERIC_GROUPS = 4
"""A number that names groups is cut at its quartiles in the real table."""


@dataclass(frozen=True)
class Grouping:
    """The groups that some columns form.

    Attributes:
        columns: The group columns.
        groups: Column to value for each group that occurs in a table; None where missing.
        cells: Position of each group among all combinations, increasing, ``(n_groups,)``.
        discretiser: How the columns become codes.
    """

    columns: tuple[str, ...]
    groups: list[dict[str, Any]]
    cells: np.ndarray
    discretiser: Discretiser

    @classmethod
    def of(cls, tables: Tables, columns: Sequence[str]) -> Grouping:
        """Return the groups that occur in the real or the synthetic table.

        Privacy:
            Not private: says which groups occur in real records.
        """
        names = list(columns)
        discretiser = Discretiser.fit(tables.real.frame[names], tables.real_weights, n_bins=N_NUMERIC_GROUPS)
        occurring = [discretiser.codes(table.frame[names]) for table in (tables.real, tables.synthetic)]
        sizes = discretiser.sizes
        cells = np.unique(np.concatenate([joint_cells(codes, names, sizes) for codes in occurring]))
        values = {name: _values(tables, discretiser, name) for name in names}
        codes = np.array(np.unravel_index(cells, tuple(sizes.values()))).T
        groups = [{name: values[name][code] for name, code in zip(names, row, strict=True)} for row in codes]
        return cls(tuple(names), groups, cells, discretiser)

    def members(self, table: pd.DataFrame) -> np.ndarray:
        """Return the group of each row, -1 if it is none of `groups`.

        Privacy:
            Not private: an encoding of the rows given.
        """
        names = list(self.columns)
        cells = joint_cells(self.discretiser.codes(table[names]), names, self.discretiser.sizes)
        positions = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        return np.where(self.cells[positions] == cells, positions, -1)


def groupings(tables: Tables) -> list[Grouping]:
    """Return one grouping for each group column, each pair of them, and for all of them together.

    Privacy:
        Not private: see `Grouping.of`.
    """
    n_columns = len(tables.groups)
    sizes = sorted({size for size in (1, 2, n_columns) if 0 < size <= n_columns})
    chosen = (columns for size in sizes for columns in itertools.combinations(tables.groups, size))
    return [Grouping.of(tables, columns) for columns in chosen]


def count_units(members: np.ndarray, units: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the number of distinct units in each group, ``(n_groups,)``; rows with group -1 are left out.

    Privacy:
        Not private: counts of real units.
    """
    pairs = pd.DataFrame({"group": members, "unit": units})[members >= 0].drop_duplicates()
    return np.bincount(pairs["group"], minlength=n_groups)


def _values(tables: Tables, discretiser: Discretiser, name: str) -> list[Any]:
    """Return what a reader calls each code of a column; None for missing."""
    coding = discretiser.codings[name]
    if isinstance(coding, TextCoding):
        return [*tables.real.frame[name].cat.categories.tolist(), None]
    bounds = [None, *(float(edge) for edge in coding.edges[1:]), None]
    column = tables.schema.columns[name]
    return [
        *(interval_text(low, high, column) for low, high in itertools.pairwise(bounds)),
        None,
    ]
