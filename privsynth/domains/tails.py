"""Number lines far longer than their values: where these lie, and tails beyond. Post-processing: free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.noisy_cells import NOISE_MARGIN, Cells

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

WIDE_MARGIN = 5.0  # deviations of its noise from which a part of a long line is taken to hold something
MOST_TOGETHER = 16  # cells that stand clear of their noise together at most
TAIL_SPREAD = 0.5  # standard deviation of what an octave of a tail holds, over what is extrapolated
SLOWEST_FALL = 0.45  # largest factor from one octave of a tail to the next


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
