"""From a noisy histogram over fine public cells to bins with a shape inside. Post-processing: free."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import NumericDomain, NumericGrid
from privsynth.domains.noisy_cells import NOISE_MARGIN, Cells, denoise
from privsynth.domains.shape import shape_in_bins
from privsynth.domains.tails import TAIL_SPREAD, WIDE_MARGIN, with_tails
from privsynth.schema import Column

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

TAIL_END = 0.001  # of all units, left beyond the end of a tail


@dataclass(frozen=True)
class Bins:
    """The bins of a number line, and how many units each holds.

    Attributes:
        domain: The bins, and the shape inside each.
        counts: Number of units in each bin, ``(n_bins,)``.
        variance: Of each number, ``(n_bins,)``.
    """

    domain: NumericDomain
    counts: FloatArray
    variance: FloatArray


def bins_from_histogram(
    column: Column,
    grid: NumericGrid,
    noisy: FloatArray,
    *,
    noise_std: float,
    n_bins: int,
    has_missing: bool,
    is_wide: bool = False,
) -> Bins:
    """Merge neighbouring cells into bins of about equal released mass; heavy single cells stay alone.

    Args:
        column: The column, as declared.
        grid: Fine cells; those of its point masses each become a bin.
        noisy: Released count of each cell, ``(n_cells,)``; may be negative.
        noise_std: Standard deviation of the noise in each cell, in units.
        n_bins: Largest number of bins aimed at, point masses left out.
        has_missing: Whether the domain has a code for missing values.
        is_wide: Whether the bounds may be far wider than the values. Then these are taken to lie together
            where nothing stands clear of the noise, and what lies beyond them is extrapolated.

    Privacy:
        Post-processing of a release.
    """
    is_point_mass = np.isin(grid.edges, grid.point_masses)
    cells = _cells_between(grid, noisy, is_point_mass, noise_std=noise_std, is_wide=is_wide)
    bin_of_cell = np.empty(grid.n_cells, dtype=np.int64)
    bin_of_cell[~is_point_mass] = _merged(cells, noise_std=noise_std, n_bins=n_bins)
    n_merged = int(bin_of_cell[~is_point_mass].max(initial=-1)) + 1
    bin_of_cell[is_point_mass] = n_merged + np.arange(is_point_mass.sum())
    domain = NumericDomain(column, grid, bin_of_cell, np.ones(grid.n_cells), has_missing)
    return _filled(domain, noisy, is_point_mass, cells, noise_std=noise_std)


def bins_filled_anew(
    domain: NumericDomain, noisy: FloatArray, *, noise_std: float, is_wide: bool = False
) -> Bins:
    """Return the bins of a domain as they are, with counts and shapes by another histogram over its cells.

    Args:
        domain: The bins.
        noisy: As for `bins_from_histogram`.
        noise_std: As for `bins_from_histogram`.
        is_wide: As for `bins_from_histogram`.

    Privacy:
        Post-processing of a release.
    """
    is_point_mass = np.isin(domain.grid.edges, domain.grid.point_masses)
    cells = _cells_between(domain.grid, noisy, is_point_mass, noise_std=noise_std, is_wide=is_wide)
    return _filled(domain, noisy, is_point_mass, cells, noise_std=noise_std)


def _cells_between(
    grid: NumericGrid,
    noisy: FloatArray,
    is_point_mass: NDArray[np.bool_],
    *,
    noise_std: float,
    is_wide: bool,
) -> Cells:
    """Return what is known of the cells that are no point masses."""
    margin = WIDE_MARGIN if is_wide else NOISE_MARGIN
    cells = denoise(noisy[~is_point_mass], noise_std=noise_std, margin=margin)
    if is_wide:
        begin, last = (ends[~is_point_mass] for ends in grid.intervals())
        least = TAIL_END * max(float(noisy.sum()), 1.0)
        end = last + float(grid.discrete)
        cells = with_tails(cells, noisy[~is_point_mass], begin, end, least=least, noise_std=noise_std)
    return cells


def _filled(
    domain: NumericDomain,
    noisy: FloatArray,
    is_point_mass: NDArray[np.bool_],
    cells: Cells,
    *,
    noise_std: float,
) -> Bins:
    """Return the bins of a domain, how many units each holds, and the shape inside each."""
    grid, bin_of_cell = domain.grid, domain.bin_of_cell
    mass, is_clear, is_tail = noisy.copy(), is_point_mass.copy(), np.zeros(grid.n_cells, dtype=bool)
    mass[~is_point_mass], is_clear[~is_point_mass], is_tail[~is_point_mass] = (
        cells.mass,
        cells.is_clear,
        cells.is_tail,
    )
    cells = Cells(mass, is_clear, is_tail)
    weight = shape_in_bins(cells, bin_of_cell, grid.widths(), noise_std)
    # a tail counts as what was extrapolated: the sum of its many empty cells would be noise
    counts = np.bincount(bin_of_cell, weights=np.where(is_tail, mass, noisy)).astype(np.float64)
    n_counted = np.maximum(np.bincount(bin_of_cell, weights=~is_tail), 1.0)
    of_tail = np.bincount(bin_of_cell, weights=np.where(is_tail, mass, 0.0))
    variance = noise_std**2 * n_counted + (TAIL_SPREAD * of_tail) ** 2
    return Bins(replace(domain, cell_weight=weight), counts, variance)


def _merged(cells: Cells, *, noise_std: float, n_bins: int) -> IntArray:
    """Return the bin of each cell; a tail belongs to the bin that it goes on from."""
    own = np.flatnonzero(~cells.is_tail)
    bins = merge_cells(cells.of(own), noise_std=noise_std, n_bins=n_bins)
    nearest = np.clip(np.searchsorted(own, np.arange(len(cells.mass))), 0, max(len(own) - 1, 0))
    return bins[nearest] if len(own) else np.zeros(0, dtype=np.int64)


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
        run = np.fromiter(group, dtype=np.int64)
        part = cells.of(run)
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
