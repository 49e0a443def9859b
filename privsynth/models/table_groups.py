"""Tables of a mixture that share their first column: one product for all of them, and its gradient.

A wide table has far more pairs of columns than are measured, and only the measured ones are computed.
Probabilities are laid out as ``(n_codes, K)``, so that the codes of a column are whole rows of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Scaled = tuple[slice, slice, FloatArray, FloatArray]

COMPONENTS_PER_PRODUCT = 512


@dataclass(frozen=True, kw_only=True)
class TableGroup:
    """Tables of one column by several others, side by side; by class of the context, if there is one.

    Attributes:
        rows: Codes of the column that they share.
        cols: Codes of the others, table after table, ``(n_cols,)``.
        classes: Codes of the context, for tables within its classes; None for tables of two columns.
        shares: Measured shares, ``(n_rows, n_cols)``, by class ``(n_classes, n_rows, n_cols)``.
        weights: Weight of the squared error of each.
    """

    rows: slice
    cols: torch.Tensor
    classes: slice | None
    shares: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def over(cls, rows: slice, cols: Sequence[slice], classes: slice | None, *, device: str) -> TableGroup:
        """Return tables without measurements."""
        codes = torch.cat([torch.arange(span.start, span.stop) for span in cols]).to(device)
        none = torch.zeros((), device=device)
        return cls(rows=rows, cols=codes, classes=classes, shares=none, weights=none)

    def tables(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Return the tables in shares, laid out like `shares`."""
        return self._tables(self._left(probabilities), probabilities.index_select(0, self.cols))

    def add_gradient(self, probabilities: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        """Add the gradient in the probabilities to ``slope``, both ``(n_codes, K)``; return the loss."""
        k = probabilities.shape[1]
        left, right = self._left(probabilities), probabilities.index_select(0, self.cols)
        miss = self._tables(left, right) - self.shares
        pull = self.weights * miss
        loss = (pull * miss).sum()
        pull = pull.mul_(2.0 / k).flatten(0, -2)
        slope.index_add_(0, self.cols, pull.T @ left)
        back = pull @ right
        if self.classes is not None:
            by_class = back.view(-1, self.rows.stop - self.rows.start, k)
            slope[self.classes] += (by_class * probabilities[self.rows]).sum(dim=1)
            back = by_class.mul_(probabilities[self.classes, None]).sum(dim=0)
        slope[self.rows] += back
        return loss

    def _left(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of the shared column; with classes, jointly with each class."""
        rows = probabilities[self.rows]
        return rows if self.classes is None else (probabilities[self.classes, None] * rows).flatten(0, 1)

    def _tables(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        tables = cross(left, right).div_(left.shape[1])
        n_rows = self.rows.stop - self.rows.start
        return tables if self.classes is None else tables.view(-1, n_rows, len(right))


def group_tables(tables: Sequence[Scaled], classes: slice | None, *, device: str) -> list[TableGroup]:
    """Group measured tables by their first column.

    Args:
        tables: Codes of the first and of the second column, shares, and weights of their squared errors;
            ``(n_first, n_second)``, with classes ``(n_classes, n_first, n_second)``.
        classes: Codes of the context, if the tables are by its classes.
        device: Where torch computes.
    """
    groups = []
    for start in sorted({rows.start for rows, *_ in tables}):
        own = sorted((table for table in tables if table[0].start == start), key=lambda table: table[1].start)
        empty = TableGroup.over(own[0][0], [cols for _, cols, *_ in own], classes, device=device)
        shares, weights = (
            torch.from_numpy(np.concatenate([table[i] for table in own], axis=-1).astype(np.float32))
            for i in (2, 3)
        )
        groups.append(replace(empty, shares=shares.to(device), weights=weights.to(device)))
    return groups


def cross(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return ``left @ right.T``, added up over short runs of components in their order.

    A product over all components at once is divided among threads, so its last bits would follow their
    number.
    """
    runs = zip(left.split(COMPONENTS_PER_PRODUCT, 1), right.split(COMPONENTS_PER_PRODUCT, 1), strict=True)
    return torch.stack([a @ b.T for a, b in runs]).sum(dim=0)
