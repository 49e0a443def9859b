"""Tables whose units were cut in length: how many times as high they stand as the table of all rows.

Where a unit's part of a table is cut to length C in L2 and the table is released over C, a unit's rows count
``1 / max(C, length)`` times: more than once, less where they repeat one cell than where they lie apart. So
a cut table is the table of all rows times a gain that is nearly a product of one factor for each value of
each column (RAND and Berka: within 1 % of all rows in total variation). The 1-way marginals are measured by
themselves and the model holds to them, so the factors are found by holding a cut table against the model's.
Reads releases only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SPREAD = 0.1  # standard deviation of a factor that is expected beforehand; in RAND 0.03, in Berka 0.08
_SWEEPS = 6


def gains(counts: FloatArray, variance: FloatArray, model: FloatArray, norm: float) -> FloatArray:
    """Return the gain of each cell of a cut table, from 1 to ``1 / norm``.

    One gain for all cells is found first, then a factor for each value of each column, each as the mean of
    a Gaussian posterior: noise leaves them near what is expected.

    Args:
        counts: The cut table over its norm, noisy, in units.
        variance: Of the noise of each cell.
        model: The model's table, in units, of the same shape.
        norm: What units were cut to.
    """
    most = 1.0 / norm
    middle, spread = (1.0 + most) / 2.0, (most - 1.0) / np.sqrt(12.0)
    precision = (model**2 / variance).sum()
    overall = ((model * counts / variance).sum() + middle / spread**2) / (precision + spread**-2)
    found = np.full(counts.shape, np.clip(overall, 1.0, most))
    for _ in range(_SWEEPS):
        for axis in range(counts.ndim):
            others = tuple(i for i in range(counts.ndim) if i != axis)
            fitted = model * found
            precision = (fitted**2 / variance).sum(axis=others, keepdims=True)
            pull = (fitted * counts / variance).sum(axis=others, keepdims=True)
            found = found * ((pull + SPREAD**-2) / (precision + SPREAD**-2))
    return np.clip(found, 1.0, most)


def anchored(model: FloatArray, one_way: list[FloatArray]) -> FloatArray:
    """Return a table scaled until it has the measured 1-way marginals."""
    found = np.maximum(model, 1e-9)
    for _ in range(_SWEEPS):
        for axis, counts in enumerate(one_way):
            others = tuple(i for i in range(found.ndim) if i != axis)
            own = found.sum(axis=others)
            factor = np.clip(counts / own, 0.2, 5.0)
            found = found * factor.reshape([-1 if i == axis else 1 for i in range(found.ndim)])
    return found
