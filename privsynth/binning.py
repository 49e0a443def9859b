"""From a noisy histogram over fine public cells to bins with a shape inside. Post-processing: free."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privsynth.encoding import NumericDomain, NumericGrid
from privsynth.schema import Column

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

JUMP_PENALTY = 2.0  # of a stretch of equal counts, in variances of the noise times the log of the cells
FAINT = 0.1  # deviations of a cell's noise that the cells of a bin in which nothing is seen hold together
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
        grid: Fine cells; those of its spikes each become a bin.
        noisy: Released count of each cell, ``(n_cells,)``; may be negative.
        noise_std: Standard deviation of the noise in each cell, in units.
        n_bins: Largest number of bins aimed at, spikes left out.
        has_missing: Whether the domain has a code for missing values.

    Privacy:
        Post-processing of a release.
    """
    is_spike = np.isin(grid.edges, grid.spikes)
    cells = denoise(noisy[~is_spike], noise_std=noise_std)
    bin_of_cell = np.empty(grid.n_cells, dtype=np.int64)
    bin_of_cell[~is_spike] = merge_cells(cells, noise_std=noise_std, n_bins=n_bins)
    n_merged = int(bin_of_cell[~is_spike].max(initial=-1)) + 1
    bin_of_cell[is_spike] = n_merged + np.arange(is_spike.sum())
    mass, is_clear = noisy.copy(), is_spike.copy()
    mass[~is_spike], is_clear[~is_spike] = cells.mass, cells.is_clear
    weight = shape_in_bins(Cells(mass, is_clear), bin_of_cell, grid.widths(), noise_std)
    return NumericDomain(column, grid, bin_of_cell, weight, has_missing)


@dataclass(frozen=True)
class Cells:
    """What is known of neighbouring cells.

    Attributes:
        mass: Units in each cell, ``(n_cells,)``: the released count, and where nothing stands clear of the
            noise what is left of it when shrunk.
        is_clear: Whether a cell belongs to a stretch that stands clear of the noise, ``(n_cells,)``.
    """

    mass: FloatArray
    is_clear: NDArray[np.bool_]


def denoise(noisy: FloatArray, *, noise_std: float) -> Cells:
    """Find the cells, and stretches of them, in which something is; shrink the others by James and Stein.

    Args:
        noisy: Released count of each cell, ``(n_cells,)``.
        noise_std: Standard deviation of the noise in each cell, in units.

    Privacy:
        Post-processing of a release.
    """
    stretch = stretches(noisy, noise_std=noise_std)
    alone = noisy >= NOISE_MARGIN * noise_std
    size = np.maximum(np.bincount(stretch, weights=~alone), 1.0)
    total, noise = np.bincount(stretch, weights=np.where(alone, 0.0, noisy)), noise_std * np.sqrt(size)
    is_clear = alone | (total >= NOISE_MARGIN * noise)[stretch]
    left = np.where(total > noise, total - noise**2 / np.where(total > noise, total, 1.0), 0.0) / size
    return Cells(np.where(is_clear, noisy, left[stretch]), is_clear)


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


def merge_cells(cells: Cells, *, noise_std: float, n_bins: int) -> IntArray:
    """Return the bin of each cell: a bin holds its share of the mass and stands clear of its noise.

    A heavy cell is a bin of its own. The cells between two heavy ones are closed into bins from left to
    right; what is left over joins the bin before it, unless that is a heavy cell. Cells in which nothing is
    seen add neither mass nor noise, so a wide gap does not keep apart what lies beyond it from closing.
    """
    is_heavy, share = heavy_cells(cells.mass, noise_std=noise_std, n_bins=n_bins)
    bins = np.empty(len(cells.mass), dtype=np.int64)
    n_made = 0
    for heavy, group in itertools.groupby(range(len(bins)), key=is_heavy.__getitem__):
        run = list(group)
        part = Cells(cells.mass[run], cells.is_clear[run])
        bins[run] = n_made + (
            np.arange(len(run)) if heavy else _merge_run(part, share=share, noise_std=noise_std)
        )
        n_made = int(bins[run[-1]]) + 1
    return bins


def heavy_cells(mass: FloatArray, *, noise_std: float, n_bins: int) -> tuple[NDArray[np.bool_], float]:
    """Return which cells are bins by themselves, and the mass that other bins should hold.

    What heavy cells hold is not there to be shared, so a share is a part of the rest; and the smaller share
    may make more cells heavy. (Of a column that is nearly always zero, the rest still has all its bins.)
    """
    is_heavy, n_heavy, share = np.zeros(len(mass), dtype=bool), -1, 0.0
    while n_heavy < is_heavy.sum() < n_bins:  # heavy cells leave less to share, so more cells are heavy
        n_heavy = int(is_heavy.sum())
        share = max(float(np.maximum(mass, 0)[~is_heavy].sum()) / (n_bins - n_heavy), 1e-12)
        is_heavy |= mass >= max(share, NOISE_MARGIN * noise_std)
    return is_heavy, share


def _merge_run(cells: Cells, *, share: float, noise_std: float) -> IntArray:
    """Return the bins of neighbouring cells of which none is heavy."""
    bins = np.empty(len(cells.mass), dtype=np.int64)
    current, mass, n_clear = 0, 0.0, 0
    for cell, (count, is_clear) in enumerate(zip(cells.mass, cells.is_clear, strict=True)):
        bins[cell] = current
        mass, n_clear = mass + count, n_clear + int(is_clear)
        if is_clear and mass >= max(share, NOISE_MARGIN * noise_std * np.sqrt(n_clear)):
            current, mass, n_clear = current + 1, 0.0, 0
    if current and mass <= NOISE_MARGIN * noise_std * np.sqrt(max(n_clear, 1)):
        return np.minimum(bins, current - 1)  # what is left over is not clear of its noise
    return bins


def shape_in_bins(cells: Cells, bin_of_cell: IntArray, width: FloatArray, noise_std: float) -> FloatArray:
    """Return each cell's share of its bin.

    Clear cells of a bin share what they hold by their counts, shrunk towards a smooth shape: mixed with it by
    a James-Stein weight, what the counts vary beyond it over what they vary in all, so that pure noise gives
    the smooth shape. The others get no more than is left of them: a long tail in which nothing is seen would
    take over whatever a smooth shape gave it. But they get a little, however many they are: a rare value at
    the end of a line is not to be ruled out.

    Args:
        cells: What is known of each cell.
        bin_of_cell: Bin of each cell, ``(n_cells,)``.
        width: How much of the line each cell holds, ``(n_cells,)``; all alike where there is no line.
        noise_std: Standard deviation of the noise in each cell.
    """
    weight = np.zeros_like(cells.mass)
    for b in range(int(bin_of_cell.max()) + 1):
        own = np.flatnonzero(bin_of_cell == b)
        shape = np.maximum(cells.mass[own], 0.0)
        is_clear = cells.is_clear[own]
        shape[~is_clear] = np.maximum(shape[~is_clear], FAINT * noise_std / max(int((~is_clear).sum()), 1))
        if is_clear.any():
            clear = own[is_clear]
            shape[is_clear] = _shrunken(cells.mass[clear], width[clear], noise_std)
        weight[own] = shape / shape.sum() if shape.sum() > 0 else 1.0 / len(own)
    return weight


def _shrunken(counts: FloatArray, width: FloatArray, noise_std: float) -> FloatArray:
    """Return counts of cells, shrunk towards a smooth shape of the same sum."""
    total = max(float(counts.sum()), 0.0)
    smooth = _smooth_shape(counts, total, width)
    excess = counts - total * smooth
    spread = float((excess**2).sum())
    noise = noise_std**2 * (len(counts) - 1)
    keep = max(0.0, 1.0 - noise / spread) if spread > 0 and total > 0 else 0.0
    return np.maximum(total * smooth + keep * excess, 0.0)


def _smooth_shape(counts: FloatArray, total: float, width: FloatArray) -> FloatArray:
    """Return the mixture of equal shares by cell and by width that is nearest to the counts.

    Cells are logarithmic where the grid is: equal shares by cell are a heavy tail, by width a flat density.
    """
    by_cell = np.full(len(counts), 1.0 / len(counts))
    direction = width / width.sum() - by_cell
    length = total * float((direction**2).sum())
    flatness = float(((counts - total * by_cell) * direction).sum()) / length if length > 0 else 0.0
    return by_cell + min(max(flatness, 0.0), 1.0) * direction
