"""Pearson's test with the false alarm of the suite, and generators at the ends of their range."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chisquare

FALSE_ALARM = 1e-6  # per assertion: a suite of a thousand fails by chance once in a thousand seeds
SMALLEST_EXPECTED = 5.0


def fits(counts: ArrayLike, probabilities: ArrayLike) -> bool:
    """Say whether counts may come from these probabilities; what cannot happen must not have happened.

    Cells in which fewer than five are expected are taken together.
    """
    observed = np.ravel(np.asarray(counts, dtype=np.float64))
    expected = np.ravel(np.asarray(probabilities, dtype=np.float64))
    expected = expected / expected.sum() * observed.sum()
    if observed[expected == 0].any():
        return False
    rare = expected < SMALLEST_EXPECTED
    observed = np.r_[observed[~rare], observed[rare].sum()]
    expected = np.r_[expected[~rare], expected[rare].sum()]
    observed, expected = observed[expected > 0], expected[expected > 0]
    return len(expected) < 2 or bool(chisquare(observed, expected).pvalue >= FALSE_ALARM)


def tilted(probabilities: ArrayLike, by: float = 0.1) -> NDArray[np.float64]:
    """Return probabilities of which every second cell that can happen is larger by this share."""
    out = np.ravel(np.asarray(probabilities, dtype=np.float64)).copy()
    out[np.flatnonzero(out)[::2]] *= 1.0 + by
    return out / out.sum()


class Constant(np.random.Generator):
    """A generator that gives one number, or the whole number at its share of a range, to reach the ends."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.value = value

    def random(self, size: int) -> NDArray[np.float64]:  # one answer for every draw
        """Return the number, ``size`` times."""
        return np.full(size, self.value)

    def integers(self, low: int, high: int, size: int, dtype: type) -> NDArray:
        """Return the whole number at the share of the range, ``size`` times."""
        return np.full(size, low + int(self.value * (high - low)), dtype=dtype)


LARGEST = 1.0 - 2.0**-53  # of a draw in [0, 1)
