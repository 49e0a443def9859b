"""Private bounds of a number line: found from noisy counts of public doubling bins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from privsynth.accounting.gdp import noise_for
from privsynth.domains.doubling import bound_edges
from privsynth.domains.tails import clear_ends, likeliest_run
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import BoundCounts
from privsynth.schema import Column

FloatArray = NDArray[np.float64]

FALSE_BOUND_PROBABILITY = 0.01  # that noise alone passes for a bound
MOST_BINS_TOGETHER = 4  # doubling bins that may stand clear of their noise together


def find_bounds(curator: Curator, column: Column, share: float) -> tuple[float, float, bool]:
    """Return bounds in the column's units: public ones as they are, private ones from a release.

    Where nothing stands clear of its noise, the bounds are a guess from the same release; the last value
    says whether they are not.

    Privacy:
        Accounted: one release for a line with a private bound, with this share of ``mu**2``.
    """
    low, high = column.bounds
    if low is not None and high is not None:
        return low, high, True
    noise = noise_for(share * curator.allowance.mu_squared)
    release = curator.release(
        f"bounds/{column.name}",
        BoundCounts(purpose=f"bounds of {column.name!r}", column=column, noise_multiplier=noise),
    )
    least, most = _possible(column)
    counts = np.where(_bins_within(column, least, most), release.arrays["counts"], 0.0)
    noise = release.noise_multiplier
    found = bounds_from_counts(counts, noise_std=noise)
    first, last = found or likeliest_bounds(counts, noise_std=noise)
    if column.step is not None:
        first, last = math.ceil(first) * column.step, (math.ceil(last) - 1) * column.step
    first, last = (min(max(bound, least), most) for bound in (first, last))
    return (first if low is None else low), (last if high is None else high), found is not None


def _bins_within(column: Column, least: float, most: float) -> NDArray[np.bool_]:
    """Return which doubling bins can hold a value of a column; in the others there is noise alone."""
    edges = bound_edges()
    begin, end = edges[:-1] * (column.step or 1.0), edges[1:] * (column.step or 1.0)
    has_ticks = column.step is None or np.ceil(edges[:-1]) < np.ceil(edges[1:])
    return (end > least) & (begin <= most) & has_ticks


def _possible(column: Column) -> tuple[float, float]:
    """Return the least and the largest value that a column's type and its public bounds allow."""
    (low, high), (least, most) = column.bounds, column.line.widest(column)
    return (least if low is None else low), (most if high is None else high)


def clear_of_noise(noise_std: float) -> float:
    """Return the noisy count from which a single doubling bin stands clear of its noise; public."""
    n_windows = (len(bound_edges()) - 1) * MOST_BINS_TOGETHER
    return float(noise_std * ndtri(1.0 - FALSE_BOUND_PROBABILITY / n_windows))


def bounds_from_counts(noisy: FloatArray, *, noise_std: float) -> tuple[float, float] | None:
    """Return the outer edges of what stands clear of its noise, or None.

    Neighbouring bins, up to `MOST_BINS_TOGETHER`, may stand clear together: a long tail has little in each of
    its doubling bins. Bins of which a part stands clear already say nothing about the others.

    Privacy:
        Post-processing of noisy counts of every doubling bin, empty ones included.
    """
    ends = clear_ends(noisy, threshold=clear_of_noise(noise_std), most_together=MOST_BINS_TOGETHER)
    return None if ends is None else _edges(*ends)


def likeliest_bounds(noisy: FloatArray, *, noise_std: float) -> tuple[float, float]:
    """Return the outer edges of the neighbouring bins that stand out most: a guess where none is clear.

    Privacy:
        Post-processing of noisy counts of every doubling bin, empty ones included.
    """
    edges = bound_edges()
    from_zero = np.minimum(np.abs(edges[:-1]), np.abs(edges[1:]))
    run = likeliest_run(noisy, from_zero, noise_std=noise_std, most_together=MOST_BINS_TOGETHER)
    return _edges(*run)


def _edges(first: int, end: int) -> tuple[float, float]:
    edges = bound_edges()
    return float(edges[first]), float(edges[end])
