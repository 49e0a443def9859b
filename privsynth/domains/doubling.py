"""Public doubling bins over the number line: where its values lie, whatever their order of magnitude."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.coding import NumberCoding

BOUND_EXPONENTS = np.arange(-20, 54)  # |values| from 2^-20 (about 1e-6) to 2^53


def bound_edges() -> NDArray[np.float64]:
    """Return the edges of the bins, from -2^53 to 2^53, a bin around zero between."""
    positive = np.exp2(BOUND_EXPONENTS.astype(np.float64))
    return np.r_[-positive[::-1], positive]


def doubling_bins(step: float | None) -> NumberCoding:
    """Return the coding of numbers, in ticks of ``step``, by their bin; beyond the edges the outermost."""
    edges = bound_edges()
    n_bins = len(edges) - 1
    return NumberCoding(
        step=step,
        low=edges[0],
        high=edges[-1],
        edges=edges[:-1],
        code_of_cell=np.arange(n_bins),
        missing=-1,
        size=n_bins,
    )
