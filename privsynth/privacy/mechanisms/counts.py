"""Tables of counts over coded columns, exact inside the curator and noisy outside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

ROWS_AT_ONCE = 2**18  # bounds the memory, whatever the number of rows


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
    shape = [size + 1 for size in sizes]  # -1 has the first cell of each column, which is left out at the end
    counts = np.zeros(math.prod(shape))  # sums of whole numbers below 2^53 are exact in doubles
    for start in range(0, n_rows, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, n_rows))
        joint = np.zeros(rows.stop - start, dtype=np.int64)
        for column, size in zip(codes, shape, strict=True):
            joint = joint * size + 1 + column[rows]
        by = None if weights is None else weights[rows]
        counts += np.bincount(joint, weights=by, minlength=len(counts))
    inside = counts.reshape(shape)[(slice(1, None),) * len(shape)].astype(np.int64)
    return inside * (units_per_one if weights is None else 1)
