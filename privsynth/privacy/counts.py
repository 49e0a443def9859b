"""Tables of counts over coded columns, exact inside the curator and noisy outside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def count_table(
    codes: Sequence[IntArray],
    sizes: Sequence[int],
    weights: IntArray | None,
    *,
    n_rows: int,
    units_per_one: int,
) -> IntArray:
    """Count the joint codes of some columns.

    A row with a code of -1 in any of the columns is counted nowhere, so a unit adds at most 1 in all.

    Args:
        codes: Codes of each column, each ``(n_rows,)`` in ``[-1, size)``; no column counts all rows.
        sizes: Number of codes of each column; public.
        weights: Weight of each row in grid steps, ``(n_rows,)``; None is one unit each.
        n_rows: Number of rows.
        units_per_one: Grid steps in one unit.

    Returns:
        Counts in grid steps, shape ``sizes``, int64.

    Privacy:
        Not private: exact counts; L1 and L2 sensitivity is one unit.
    """
    joint = np.zeros(n_rows, dtype=np.int64)
    valid = np.ones(n_rows, dtype=bool)
    for column, size in zip(codes, sizes, strict=True):
        joint = joint * size + column
        valid = valid & (column >= 0)
    if not valid.all():
        joint = joint[valid]
        weights = None if weights is None else weights[valid]
    n_cells = math.prod(sizes)
    if weights is None:
        counts = np.bincount(joint, minlength=n_cells).astype(np.int64) * units_per_one
    else:  # sums of whole numbers below 2^53 are exact in doubles
        counts = np.rint(np.bincount(joint, weights=weights, minlength=n_cells)).astype(np.int64)
    return counts.reshape(tuple(sizes))
