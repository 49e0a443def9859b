"""Tables of counts over coded columns, exact inside the curator and noisy outside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

ROWS_AT_ONCE = 2**18


def count_table(
    codes: Sequence[NDArray[np.signedinteger]],
    sizes: Sequence[int],
    weights: IntArray | None,
    *,
    n_rows: int,
    units_per_one: int,
) -> IntArray:
    """Count the joint codes of some columns.

    A row with a code of -1 in any of the columns is counted nowhere, so a unit adds at most 1 in all.

    Args:
        codes: Codes of each column, each ``(n_rows,)`` in ``[-1, size)`` and of any signed type; no column
            counts all rows.
        sizes: Number of codes of each column; public.
        weights: Weight of each row in grid steps, ``(n_rows,)``; None is one unit each.
        n_rows: Number of rows.
        units_per_one: Grid steps in one unit.

    Returns:
        Counts in grid steps, shape ``sizes``, int64.

    Privacy:
        Not private: exact counts; L1 and L2 sensitivity is one unit.
    """
    counts = np.zeros(math.prod(sizes), dtype=np.int64)
    at_once = max(ROWS_AT_ONCE, len(counts))  # bounds the memory, and no block costs more than its rows
    for start in range(0, n_rows, at_once):
        rows = slice(start, min(start + at_once, n_rows))
        joint = np.zeros(rows.stop - start, dtype=np.int64)
        for column, size in zip(codes, sizes, strict=True):
            joint = np.where((joint < 0) | (column[rows] < 0), -1, joint * size + column[rows])
        by = None if weights is None else weights[rows]
        # sums of whole numbers below 2^53 are exact in doubles; the first one is of what counts nowhere
        counts += np.rint(np.bincount(joint + 1, weights=by, minlength=len(counts) + 1)[1:]).astype(np.int64)
    return counts.reshape(tuple(sizes)) * (units_per_one if weights is None else 1)
