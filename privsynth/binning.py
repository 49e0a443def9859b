"""From a noisy histogram over fine public cells to bins with a shape inside. Post-processing: free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from privsynth.encoding import NumericDomain, NumericGrid
from privsynth.schema import Column

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NOISE_MARGIN = 4.0  # a bin holds at least this many standard deviations of its own noise


def bins_from_histogram(
    column: Column,
    grid: NumericGrid,
    noisy: FloatArray,
    *,
    noise_std: float,
    n_bins: int,
    has_missing: bool,
) -> NumericDomain:
    """Merge neighbouring cells into bins of about equal released mass; heavy single cells stay alone.

    Args:
        column: The column, as declared.
        grid: Fine cells; those of single values (spikes) each become a bin.
        noisy: Released count of each cell, ``(n_cells,)``; may be negative.
        noise_std: Standard deviation of the noise in each cell, in units.
        n_bins: Largest number of bins aimed at, spikes left out.
        has_missing: Whether the domain has a code for missing values.

    Privacy:
        Post-processing of a release.
    """
    n_line = len(grid.edges)
    line = noisy[:n_line]
    bin_of_line = merge_cells(line, noise_std=noise_std, n_bins=n_bins)
    n_merged = int(bin_of_line[-1]) + 1
    bin_of_cell = np.r_[bin_of_line, n_merged + np.arange(len(grid.spikes))].astype(np.int64)
    first, last = grid.intervals()
    width = np.where(first == last, 1.0, last - first + (1.0 if grid.discrete else 0.0))
    weight = _shape_in_bins(noisy, bin_of_cell, width, noise_std)
    return NumericDomain(column, grid, bin_of_cell, weight, has_missing)


def merge_cells(noisy: FloatArray, *, noise_std: float, n_bins: int) -> IntArray:
    """Return the bin of each cell: a run is closed when it holds its share and stands clear of its noise.

    A cell that alone holds a share closes the run before it, if that run stands clear, and then itself.
    """
    share = max(float(np.maximum(noisy, 0).sum()) / n_bins, 1e-12)
    bins = np.zeros(len(noisy), dtype=np.int64)
    current, mass, n_cells = 0, 0.0, 0
    for cell, count in enumerate(noisy):
        is_heavy = count >= max(share, NOISE_MARGIN * noise_std)
        if n_cells and is_heavy and mass >= NOISE_MARGIN * noise_std * np.sqrt(n_cells):
            current, mass, n_cells = current + 1, 0.0, 0
        bins[cell] = current
        mass, n_cells = mass + count, n_cells + 1
        clear = mass >= max(share, NOISE_MARGIN * noise_std * np.sqrt(n_cells))
        if clear and cell + 1 < len(noisy):
            current, mass, n_cells = current + 1, 0.0, 0
    if n_cells and current and mass < NOISE_MARGIN * noise_std * np.sqrt(n_cells):
        bins[bins == current] = current - 1  # the last run never became clear: it joins its neighbour
    return bins


def _shape_in_bins(
    noisy: FloatArray, bin_of_cell: IntArray, width: FloatArray, noise_std: float
) -> FloatArray:
    """Return each cell's share of its bin: the released counts shrunk towards a uniform density.

    Within a bin the counts are mixed with the uniform density by a James-Stein weight: what the counts
    vary beyond it, over what they vary in all, so that pure noise gives the uniform.
    """
    weight = np.zeros_like(noisy)
    for b in range(int(bin_of_cell.max()) + 1):
        cells = np.flatnonzero(bin_of_cell == b)
        total = max(float(noisy[cells].sum()), 0.0)
        uniform = width[cells] / width[cells].sum()
        excess = noisy[cells] - total * uniform
        spread = float((excess**2).sum())
        noise = noise_std**2 * (len(cells) - 1)
        keep = max(0.0, 1.0 - noise / spread) if spread > 0 and total > 0 else 0.0
        shape = np.maximum(total * uniform + keep * excess, 0.0)
        weight[cells] = shape / shape.sum() if shape.sum() > 0 else uniform
    return weight
