"""Tables of a mixture that share their first column: one product for all of them, and its gradient.

A wide table has far more pairs of columns than are measured, and only the measured ones are computed.
Probabilities are laid out as ``(n_codes, K)``, so that the codes of a column are whole rows of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def add_gradient(self, probabilities: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        """Add the gradient in the probabilities to ``slope``, both ``(n_codes, K)``; return the loss."""
        k = probabilities.shape[1]
        left = jointly(probabilities, self.rows, self.classes)
        right = probabilities.index_select(0, self.cols)
        miss = cross(left, right).div_(k).view_as(self.shares) - self.shares
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
        cols = torch.cat([torch.arange(span.start, span.stop) for _, span, *_ in own]).to(device)
        _, _, *measured = zip(*own, strict=True)
        shares, weights = (np.concatenate(parts, axis=-1).astype(np.float32) for parts in measured)
        group = TableGroup(
            rows=own[0][0],
            cols=cols,
            classes=classes,
            shares=torch.from_numpy(shares).to(device),
            weights=torch.from_numpy(weights).to(device),
        )
        groups.append(group)
    return groups


def jointly(probabilities: torch.Tensor, rows: slice, classes: slice | None) -> torch.Tensor:
    """Return a column's probabilities, jointly with each class where there are classes.

    Returns:
        ``(n_rows, K)``, or ``(n_classes * n_rows, K)``, class after class.
    """
    if classes is None:
        return probabilities[rows]
    return (probabilities[classes, None] * probabilities[rows]).flatten(0, 1)


def cross(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return ``left @ right.T``, added up over short runs of components in their order.

    A product over all components at once is divided among threads, so its last bits would follow their
    number.
    """
    runs = zip(left.split(COMPONENTS_PER_PRODUCT, 1), right.split(COMPONENTS_PER_PRODUCT, 1), strict=True)
    return torch.stack([a @ b.T for a, b in runs]).sum(dim=0)
