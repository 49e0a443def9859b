"""Which cells of a noisy histogram hold something, and what is left of the others. Post-processing: free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NOISE_MARGIN = 4.0  # a bin holds at least this many standard deviations of its own noise
JUMP_PENALTY = 2.0  # of a stretch of equal counts, in variances of the noise times the log of the cells


@dataclass(frozen=True)
class Cells:
    """What is known of neighbouring cells.

    Attributes:
        mass: Units in each cell, ``(n_cells,)``: the released count, and where nothing stands clear of the
            noise what is left of it when shrunk.
        is_clear: Whether a cell belongs to a stretch that stands clear of the noise, ``(n_cells,)``.
        is_tail: Whether a cell lies beyond all that stand clear and its mass is extrapolated, ``(n_cells,)``.
    """

    mass: FloatArray
    is_clear: NDArray[np.bool_]
    is_tail: NDArray[np.bool_]

    def of(self, which: NDArray[Any] | slice) -> Cells:
        """Return some of the cells."""
        return Cells(self.mass[which], self.is_clear[which], self.is_tail[which])


def denoise(noisy: FloatArray, *, noise_std: float, margin: float = NOISE_MARGIN) -> Cells:
    """Find the cells, and stretches of them, in which something is; shrink the others by James and Stein.

    Args:
        noisy: Released count of each cell, ``(n_cells,)``.
        noise_std: Standard deviation of the noise in each cell, in units.
        margin: Deviations of its noise from which a cell, or a stretch of them, stands clear.

    Privacy:
        Post-processing of a release.
    """
    stretch = stretches(noisy, noise_std=noise_std)
    alone = noisy >= margin * noise_std
    size = np.maximum(np.bincount(stretch, weights=~alone), 1.0)
    total, noise = np.bincount(stretch, weights=np.where(alone, 0.0, noisy)), noise_std * np.sqrt(size)
    is_clear = alone | (total >= margin * noise)[stretch]
    left = np.where(total > noise, total - noise**2 / np.where(total > noise, total, 1.0), 0.0) / size
    return Cells(np.where(is_clear, noisy, left[stretch]), is_clear, np.zeros(len(noisy), dtype=bool))


def stretches(noisy: FloatArray, *, noise_std: float) -> IntArray:
    """Return which stretch each cell belongs to: counts that are constant but for noise.

    The division into stretches has the least sum of squares plus a penalty for each jump; the penalty is
    such that in noise alone jumps are rare. Found by dynamic programming (the Potts functional; Jackson et
    al. 2005, "An algorithm for optimal partitioning of data on an interval").
    """
    n = len(noisy)
    penalty = JUMP_PENALTY * noise_std**2 * np.log(max(n, 2))
    sums, squares = np.r_[0.0, np.cumsum(noisy)], np.r_[0.0, np.cumsum(noisy**2)]
    best, begin = np.zeros(n + 1), np.zeros(n + 1, dtype=np.int64)
    for end in range(1, n + 1):
        starts = np.arange(end)
        misfit = squares[end] - squares[:end] - (sums[end] - sums[:end]) ** 2 / (end - starts)
        cost = best[:end] + misfit + penalty
        begin[end] = int(np.argmin(cost))
        best[end] = cost[begin[end]]
    out, end, stretch = np.empty(n, dtype=np.int64), n, 0
    while end:
        out[begin[end] : end] = stretch
        end, stretch = int(begin[end]), stretch + 1
    return stretch - 1 - out
