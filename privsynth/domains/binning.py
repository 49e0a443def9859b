"""From a noisy histogram over fine public cells to bins with a shape inside. Post-processing: free."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import NumericDomain, NumericGrid
from privsynth.schema import Column

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

JUMP_PENALTY = 2.0  # of a stretch of equal counts, in variances of the noise times the log of the cells
WIDE_MARGIN = 5.0  # deviations of its noise from which a part of a long line is taken to hold something
FAINT = 0.1  # deviations of a cell's noise that the cells of a bin in which nothing is seen hold together
MOST_TOGETHER = 16  # cells that stand clear of their noise together at most
SLOWEST_FALL = 0.45  # largest factor from one octave of a tail to the next
TAIL_END = 0.001  # of all units, left beyond the end of a tail
TAIL_SPREAD = 0.5  # standard deviation of what an octave of a tail holds, over what is extrapolated
NOISE_MARGIN = 4.0  # a bin holds at least this many standard deviations of its own noise


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
    margin = WIDE_MARGIN if is_wide else NOISE_MARGIN
    cells = denoise(noisy[~is_point_mass], noise_std=noise_std, margin=margin)
    if is_wide:
        begin, last = (ends[~is_point_mass] for ends in grid.intervals())
        least = TAIL_END * max(float(noisy.sum()), 1.0)
        end = last + float(grid.discrete)
        cells = with_tails(cells, noisy[~is_point_mass], begin, end, least=least, noise_std=noise_std)
    bin_of_cell = np.empty(grid.n_cells, dtype=np.int64)
    bin_of_cell[~is_point_mass] = _merged(cells, noise_std=noise_std, n_bins=n_bins)
    n_merged = int(bin_of_cell[~is_point_mass].max(initial=-1)) + 1
    bin_of_cell[is_point_mass] = n_merged + np.arange(is_point_mass.sum())
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
    return Bins(NumericDomain(column, grid, bin_of_cell, weight, has_missing), counts, variance)


def _merged(cells: Cells, *, noise_std: float, n_bins: int) -> IntArray:
    """Return the bin of each cell; a tail belongs to the bin that it goes on from."""
    own = np.flatnonzero(~cells.is_tail)
    part = Cells(cells.mass[own], cells.is_clear[own], cells.is_tail[own])
    bins = merge_cells(part, noise_std=noise_std, n_bins=n_bins)
    nearest = np.clip(np.searchsorted(own, np.arange(len(cells.mass))), 0, max(len(own) - 1, 0))
    return bins[nearest] if len(own) else np.zeros(0, dtype=np.int64)


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


def with_tails(
    cells: Cells,
    noisy: FloatArray,
    begin: FloatArray,
    end: FloatArray,
    *,
    least: float,
    noise_std: float,
) -> Cells:
    """Replace what lies beyond the clear cells, on either side, by an extrapolated tail.

    On a line far wider than its values, the noise of empty cells at its ends would move every mean.

    Args:
        cells: What is known of each cell.
        noisy: Released count of each cell, ``(n_cells,)``.
        begin: Where each cell begins, ``(n_cells,)``.
        end: Where it ends, ``(n_cells,)``.
        least: Units that a tail holds beyond its end, where it is cut off.
        noise_std: Standard deviation of the noise in each cell.

    Privacy:
        Post-processing of a release.
    """
    if not len(noisy):
        return cells
    ends = clear_ends(noisy, threshold=WIDE_MARGIN * noise_std, most_together=MOST_TOGETHER)
    if ends is None:
        from_zero = np.minimum(np.abs(begin), np.abs(end))
        first, stop = likeliest_run(noisy, from_zero, noise_std=noise_std, most_together=MOST_TOGETHER)
    else:  # a run that is clear may have begun, or may end, with cells that hold nothing
        inner = clear_ends(
            noisy[slice(*ends)], threshold=NOISE_MARGIN * noise_std, most_together=MOST_TOGETHER
        )
        first, stop = (ends[0] + of_ends for of_ends in inner or (0, ends[1] - ends[0]))
    is_clear = np.zeros(len(noisy), dtype=bool)
    is_clear[first:stop] = ends is None or cells.is_clear[first:stop]
    is_clear[[first, stop - 1]] = True
    cells = replace(cells, is_clear=is_clear)
    clear = np.flatnonzero(cells.is_clear)
    mass = np.where(cells.is_clear, np.maximum(noisy, 0.0), 0.0)
    middle_cell = int(np.searchsorted(np.cumsum(mass), mass.sum() / 2.0))
    middle = (begin[middle_cell] + end[middle_cell]) / 2.0
    right, left = np.arange(clear[-1] + 1, len(mass)), np.arange(clear[0])
    out, is_tail = cells.mass.copy(), np.zeros(len(mass), dtype=bool)
    out[right] = _tail(mass, noisy[right], begin - middle, end - middle, right, least, noise_std)
    out[left] = _tail(mass, noisy[left], middle - end, middle - begin, left, least, noise_std)
    is_tail[right] = is_tail[left] = True
    return replace(cells, mass=out, is_tail=is_tail)


def clear_ends(noisy: FloatArray, *, threshold: float, most_together: int) -> tuple[int, int] | None:
    """Return where what stands clear of its noise begins and ends (exclusive), or None.

    Neighbours may stand clear together: a long tail has little in each. Neighbours of which a part stands
    clear already say nothing about the others.

    Args:
        noisy: Released counts, ``(n,)``.
        threshold: From which a single one stands clear.
        most_together: How many may stand clear together.
    """
    first, last, is_clear = [], [], np.zeros(len(noisy) + 1, dtype=bool)
    for n_together in range(1, min(most_together, len(noisy)) + 1):
        total = run_totals(noisy, n_together)
        # of one less, from either end
        part_is_clear = is_clear[: len(total)] | is_clear[1 : len(total) + 1]
        new = ~part_is_clear & (total > threshold * np.sqrt(n_together))
        first += np.flatnonzero(new).tolist()
        last += (np.flatnonzero(new) + n_together).tolist()
        is_clear[: len(total)] = part_is_clear | new
    return (min(first), max(last)) if first else None


def likeliest_run(
    noisy: FloatArray, from_zero: FloatArray, *, noise_std: float, most_together: int
) -> tuple[int, int]:
    """Return begin and end (exclusive) of the few neighbours that stand out most, where none is clear.

    Of those that stand out by a deviation less at most, it is the nearest to zero: noise far out does harm.
    """
    runs = []
    for n_together in range(1, min(most_together, len(noisy)) + 1):
        score = run_totals(noisy, n_together) / (noise_std * np.sqrt(n_together))
        farthest = np.lib.stride_tricks.sliding_window_view(from_zero, n_together).max(axis=1)
        runs += [
            (float(s), float(f), i, i + n_together)
            for i, (s, f) in enumerate(zip(score, farthest, strict=True))
        ]
    least = max(runs)[0] - 1.0
    _, _, begin, end = min((run for run in runs if run[0] >= least), key=lambda run: (run[1], -run[0]))
    return begin, end


def run_totals(noisy: FloatArray, n_together: int) -> FloatArray:
    """Return the sum of each run of so many neighbours."""
    sums = np.r_[0.0, np.cumsum(noisy)]
    return sums[n_together:] - sums[:-n_together]


def _tail(
    mass: FloatArray,
    noisy: FloatArray,
    near: FloatArray,
    far: FloatArray,
    tail: IntArray,
    least: float,
    noise_std: float,
) -> FloatArray:
    """Return the units in each cell beyond the clear ones on one side, ``(n_tail,)``.

    The last two clear octaves, by distance from the middle, say by which factor the next ones fall, as in a
    power law, each corrected by its own released counts as far as noise lets them. Where octaves do not fall
    there is no tail, and it ends where hardly anything would be left.

    Args:
        mass: Units in each clear cell of the line, zero in the others, ``(n_cells,)``.
        noisy: Released counts of the tail's cells, ``(n_tail,)``.
        near: Distance of each cell's near end from the middle, ``(n_cells,)``.
        far: Distance of its far end, ``(n_cells,)``.
        tail: The tail's cells, ``(n_tail,)``.
        least: Units beyond the end of the tail.
        noise_std: Standard deviation of the noise in each cell.
    """

    def within(low: float, high: float) -> FloatArray:
        """Return how much of each cell's length lies between two distances."""
        return np.clip(np.minimum(far, high) - np.maximum(near, low), 0.0, None)

    out = np.zeros(len(tail))
    reach = float(far[mass > 0].max(initial=0.0))
    if not len(tail) or reach <= 0.0:
        return out
    length = np.maximum(far - near, np.finfo(float).tiny)
    before, last = (float((mass / length) @ within(reach / 2.0**k, reach / 2.0 ** (k - 1))) for k in (2, 1))
    fall = min(last / before, SLOWEST_FALL) if last < before else 0.0
    while reach < far[tail].max() and (expected := fall * last) > least * (1.0 - fall):
        part = within(reach, 2.0 * reach)[tail]
        share = part / length[tail]
        prior, noise = (TAIL_SPREAD * expected) ** 2, noise_std**2 * float((share**2).sum())
        seen = max((expected * noise + float(share @ noisy) * prior) / (noise + prior), 0.0)
        out += seen * part / part.sum()
        fall = min(float(np.sqrt(fall * seen / last)), SLOWEST_FALL) if seen > 0.0 else 0.0
        last, reach = seen, 2.0 * reach
    return out


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
        part = Cells(cells.mass[run], cells.is_clear[run], cells.is_tail[run])
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
        is_clear, is_faint = cells.is_clear[own], ~(cells.is_clear | cells.is_tail)[own]
        shape[is_faint] = np.maximum(shape[is_faint], FAINT * noise_std / max(int(is_faint.sum()), 1))
        if is_clear.any():
            clear = own[is_clear]
            shape[is_clear] = _shrunken(cells.mass[clear], width[clear], noise_std)
        if shape.sum() <= 0.0:
            shape = np.where(cells.is_tail[own].all() | ~cells.is_tail[own], 1.0, 0.0)
        weight[own] = shape / shape.sum()
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
