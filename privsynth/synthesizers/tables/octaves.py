"""Wide number lines: noisy counts of doubling bins say where cells are worth having.

Public bounds may be far wider than the values. Equal cells between such bounds would be as fine where nothing
is as where everything is, so each doubling bin is divided as its released count deserves. Post-processing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.doubling import bound_edges
from privsynth.domains.encoding import NumericGrid
from privsynth.schema import Column, whole_steps

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CLEAR = 3.0  # deviations of its noise from which a doubling bin is divided
SIGNAL = 2.0  # deviations of its noise that a cell should hold
MOST_PARTS = 128  # of one doubling bin
LEAST_PARTS = 1


def is_wide(column: Column) -> bool:
    """Whether public bounds of a number line may be far wider than its values; public."""
    low, high = column.bounds
    if not column.is_numeric or low is None or high is None:
        return False
    return (high - low) / (column.step or 1.0) >= column.line.wide


@dataclass(frozen=True)
class Octaves:
    """Released counts of the doubling bins of `bound_edges`, and their noise.

    Attributes:
        counts: In units, ``(n_bins,)``; may be negative.
        noise_std: Standard deviation of the noise in each.
    """

    counts: FloatArray
    noise_std: float

    def grid(self, column: Column, *, cell_noise: float) -> NumericGrid:
        """Return the grid between a column's public bounds, its doubling bins cut into as many cells as pay.

        Args:
            column: Whose bounds are public.
            cell_noise: About the noise that the count of each cell will have.
        """
        low, high = column.bounds
        assert low is not None
        assert high is not None
        discrete = column.step is not None
        if column.step is not None:
            low, high = whole_steps(low, high, column.step)
        edges = bound_edges()
        edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
        begin, end = np.clip(edges[:-1], low, high), np.clip(edges[1:], low, high)
        wanted = np.where(self.counts > CLEAR * self.noise_std, self.counts / (SIGNAL * cell_noise), 0.0)
        parts = np.clip(np.rint(wanted), LEAST_PARTS, MOST_PARTS).astype(np.int64)
        cuts = np.concatenate(
            [np.linspace(b, e, n, endpoint=False) for b, e, n in zip(begin, end, parts, strict=True) if e > b]
        )
        if discrete:
            cuts = np.ceil(cuts)
        return NumericGrid(low, high, discrete, np.unique(np.r_[low, cuts]))

    def reconciled(self, grid: NumericGrid, noisy: FloatArray, *, noise_std: float) -> FloatArray:
        """Return cell counts that agree with the counts of doubling bins: the best linear estimate from both.

        Args:
            grid: The cells, each within one doubling bin.
            noisy: Released count of each cell, ``(n_cells,)``.
            noise_std: Standard deviation of the noise in each.
        """
        edges = bound_edges()
        bin_of_cell = np.clip(np.searchsorted(edges, grid.edges, side="right") - 1, 0, len(edges) - 2)
        n_cells = np.bincount(bin_of_cell, minlength=len(self.counts))
        miss = self.counts - np.bincount(bin_of_cell, weights=noisy, minlength=len(self.counts))
        share = noise_std**2 / (n_cells * noise_std**2 + self.noise_std**2)
        return noisy + (miss * share)[bin_of_cell]
