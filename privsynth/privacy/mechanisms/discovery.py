"""Finding what the schema keeps private: the values that occur, and the bounds of a number line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

BOUND_EXPONENTS = np.arange(-20, 54)  # |values| from 2^-20 (about 1e-6) to 2^53


def discovery_threshold(
    noise_multiplier: float, *, delta: float, max_records: int, units_per_one: int = 1
) -> int:
    """Return the least whole number of grid steps that a noisy count must exceed to be published.

    Noise ``R`` is rounded to the grid, so the chance that a count of ``c`` steps exceeds ``t`` is
    ``P(R > t - c)``, that of a Gaussian beyond ``t - c + 1/2``. A unit with ``m`` rows may hold ``m`` values
    that nobody else holds, ``floor(G / m)`` of the ``G`` steps in one unit each; the chance that any is
    published is at most ``m * P(R > t - floor(G / m))``, which is within ``delta`` for every ``m`` up to
    ``max_records``. Values that share the rows unevenly are published less often than the worst of these:
    the Gaussian tail is convex there.

    Args:
        noise_multiplier: Standard deviation of the noise before it is rounded, in units.
        delta: Probability that is booked, below 1/2.
        max_records: Largest number of rows of one unit; public.
        units_per_one: Grid steps in one unit, ``G``; public.

    Privacy:
        Public.
    """
    std = noise_multiplier * units_per_one
    m = np.arange(1, max_records + 1)
    held = units_per_one // m
    steps = np.ceil(held - 0.5 - std * ndtri(delta / m)).astype(np.int64)
    steps += np.where(m * ndtr((held - steps - 0.5) / std) > delta, 1, 0)  # doubles may round down to below
    return int(steps.max())


def published_values(
    counts: IntArray, *, threshold: float, max_values: int, add_noise: Callable[[IntArray], FloatArray]
) -> IntArray:
    """Return the positions of the observed values whose noisy count passes the threshold.

    Values of count zero are never considered: leaving them out is what ``delta`` pays for. That holds for
    values that occur only in rows which the cap cut away, too: the threshold does not reckon with them.
    If more than ``max_values`` pass, those with the largest noisy counts are kept, of equal ones the first.

    Args:
        counts: Exact count of each value in grid steps, ``(n_values,)``, in an order that rows do not decide.
        threshold: As `discovery_threshold` returns it, in units; both are exact in doubles.
        max_values: Largest number of values published; public.
        add_noise: Adds the noise that is accounted for, and returns units.

    Privacy:
        Accounted: one Gaussian event and a ``delta``. Positions must be turned into sorted values by the
        caller, so that no order of appearance leaks.
    """
    held = np.flatnonzero(counts > 0)
    noisy = add_noise(counts[held])
    best = np.argsort(-noisy, kind="stable")[:max_values]
    return held[best[noisy[best] > threshold]]


def bound_edges() -> FloatArray:
    """Return the edges of the public doubling bins, from -2^53 to 2^53, a bin around zero between."""
    positive = np.exp2(BOUND_EXPONENTS.astype(np.float64))
    return np.r_[-positive[::-1], positive]


def bound_bin(values: FloatArray) -> IntArray:
    """Return the doubling bin of each number, ``(n,)``; beyond the edges the outermost; NaN is -1."""
    edges = bound_edges()
    inside = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isnan(values), -1, inside).astype(np.int64)
