"""Where an attack measures distance: every column as a number, or as one axis a category.

The axes are laid out from the attacker's own tables (synthetic and reference rows), never from the rows that
are scored, so that members and non-members are encoded alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

MAX_CATEGORY_AXES = 100
"""Categories with an axis of their own in one column; rarer ones share one."""

_CATEGORY_SIDE = np.sqrt(0.5)  # two different categories are then at distance 1, as are the ends of a number


@dataclass(frozen=True)
class _NumberAxis:
    values: np.ndarray  # sorted, of the attacker's tables
    n_axes: ClassVar[int] = 2

    def place(self, column: pd.Series) -> np.ndarray:
        """Return (n, 2): half rank and half position in the range, and whether the field is missing."""
        x = column.to_numpy(dtype=np.float64)
        missing = np.isnan(x)
        if len(self.values) == 0:
            return np.column_stack([np.where(missing, 0.5, 0.0), missing])
        low, high = self.values[0], self.values[-1]
        below = np.searchsorted(self.values, x, side="left") + np.searchsorted(self.values, x, side="right")
        rank = below / (2 * len(self.values))
        position = (x - low) / (high - low) if high > low else x - low
        return np.column_stack([np.where(missing, 0.5, (rank + np.clip(position, -1, 2)) / 2), missing])


@dataclass(frozen=True)
class _CategoryAxes:
    axes: np.ndarray  # axis of each category code, missing (the last entry) included
    n_axes: int

    def place(self, column: pd.Series) -> np.ndarray:
        """Return (n, n_axes), one entry of a row other than zero."""
        out = np.zeros((len(column), self.n_axes))
        out[np.arange(len(column)), self.axes[column.cat.codes.to_numpy()]] = _CATEGORY_SIDE
        return out


@dataclass(frozen=True)
class FeatureSpace:
    """Axes of one table, laid out by `fit`; `place` puts rows into it."""

    columns: dict[str, _NumberAxis | _CategoryAxes]

    @classmethod
    def fit(cls, tables: Sequence[pd.DataFrame]) -> FeatureSpace:
        """Lay out the axes from canonical tables with the same columns and categories.

        Privacy:
            Not private: reads the rows of the tables given.
        """
        columns: dict[str, _NumberAxis | _CategoryAxes] = {}
        for name in tables[0].columns:
            if isinstance(tables[0][name].dtype, pd.CategoricalDtype):
                codes = np.concatenate([table[name].cat.codes.to_numpy() for table in tables])
                columns[name] = _category_axes(codes, len(tables[0][name].cat.categories))
            else:
                values = np.concatenate([table[name].to_numpy(dtype=np.float64) for table in tables])
                columns[name] = _NumberAxis(np.sort(values[~np.isnan(values)]))
        return cls(columns)

    def place(self, table: pd.DataFrame) -> np.ndarray:
        """Return the rows as points, ``(n_rows, n_axes)`` float32; equal rows are equal points.

        Privacy:
            Not private: an encoding of the rows given.
        """
        points = np.empty((len(table), sum(axes.n_axes for axes in self.columns.values())), dtype=np.float32)
        at = 0
        for name, axes in self.columns.items():
            points[:, at : at + axes.n_axes] = axes.place(table[name])
            at += axes.n_axes
        return points


def _category_axes(codes: np.ndarray, n_categories: int) -> _CategoryAxes:
    counts = np.bincount(np.where(codes < 0, n_categories, codes), minlength=n_categories + 1)
    n_own = min(MAX_CATEGORY_AXES, n_categories + 1)
    axes = np.full(n_categories + 1, n_own)
    axes[np.argsort(-counts, kind="stable")[:n_own]] = np.arange(n_own)
    return _CategoryAxes(axes, int(axes.max()) + 1)
