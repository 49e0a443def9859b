"""Drawing from many finite distributions at once: one a row, each over the same codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_BITS = np.uint64(32)


class AliasTable:
    """Distributions over codes, drawn from in constant time (Walker 1977; built by a sweep as Vose 1991).

    Each distribution is cut into as many slots of equal probability as there are codes; a slot holds one
    code up to a threshold and another, its alias, above. One random number of 32 bits chooses the slot and
    the place in it, so a probability is off by at most one slot in ``2**32 / n_codes``; a code of weight
    zero is never drawn.

    Args:
        weights: At least zero, not normalised, ``(n_rows, n_codes)``; nothing may be drawn from a row of
            zeros.

    Example:
        >>> table = AliasTable(np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]]))
        >>> table.draw(np.array([1, 1, 1]), np.random.default_rng(0)).tolist()
        [1, 1, 1]
    """

    def __init__(self, weights: FloatArray) -> None:
        self.n_codes = weights.shape[1]
        total = weights.sum(axis=1, keepdims=True)
        scaled = np.divide(weights * self.n_codes, total, out=np.zeros(weights.shape), where=total > 0)
        threshold, alias = _sweep(scaled)
        is_whole = threshold >= 1.0
        alias[is_whole] = np.broadcast_to(np.arange(self.n_codes), weights.shape)[is_whole]
        below_one = np.minimum(threshold, 1.0 - 2.0**-32)
        self._threshold = np.floor(below_one * 2.0**32).astype(np.uint32).ravel()
        self._alias = alias.astype(np.int32).ravel()

    def draw(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw a code from the distribution of each row named, ``(n,)``."""
        uniform = rng.integers(0, 2**32, len(rows), dtype=np.uint32).astype(np.uint64)
        uniform *= np.uint64(self.n_codes)
        slot = (uniform >> _BITS).astype(np.int64)
        place = uniform.astype(np.uint32)  # the low 32 bits
        at = rows * self.n_codes + slot
        return np.where(place < self._threshold[at], slot, self._alias[at])


def _sweep(scaled: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return thresholds and aliases of distributions whose mean weight is one, all rows in step.

    In each row a heavy code (weight of one or more) fills up the slots of light codes until less than one
    is left of it; then its own slot is filled up by the next heavy code.
    """
    n_rows, n_codes = scaled.shape
    rows = np.arange(n_rows)
    order = np.argsort(scaled >= 1.0, axis=1, kind="stable")  # light codes first
    n_light = (scaled < 1.0).sum(axis=1)
    threshold = np.minimum(scaled, 1.0)
    alias = np.repeat(scaled.argmax(axis=1)[:, None], n_codes, axis=1)
    light, heavy = np.zeros(n_rows, dtype=np.int64), n_light.copy()
    left = scaled[rows, order[rows, np.minimum(heavy, n_codes - 1)]]
    for _ in range(n_codes):
        gives = (left >= 1.0) & (light < n_light) & (heavy < n_codes)
        closes = (left < 1.0) & (heavy < n_codes - 1)
        if not (gives.any() or closes.any()):
            break
        r = rows[gives]
        giver, taker = order[r, heavy[r]], order[r, light[r]]
        alias[r, taker] = giver
        left[r] -= 1.0 - scaled[r, taker]
        light[r] += 1
        r = rows[closes]
        closed, following = order[r, heavy[r]], order[r, heavy[r] + 1]
        threshold[r, closed], alias[r, closed] = np.maximum(left[r], 0.0), following
        left[r] += scaled[r, following] - 1.0
        heavy[r] += 1
    return threshold, alias


def draw_by_inversion(weights: FloatArray, rows: IntArray, rng: np.random.Generator) -> IntArray:
    """Draw a code from the distribution of each row named, ``(n,)``, by inverting cumulative weights.

    Takes no preparation, so it suits weights that are used once. The cumulative weights of all rows lie on
    one line, a unit each; a level stays below the end of its unit also where the sum is rounded, so a code
    of weight zero is never drawn.

    Args:
        weights: At least zero, not normalised, ``(n_rows, n_codes)``; nothing may be drawn from a row of
            zeros.
        rows: Row of each draw, in any order, ``(n,)``.
        rng: Source of the draws.
    """
    n_rows, n_codes = weights.shape
    line = np.cumsum(weights, axis=1)
    total = line[:, -1:]
    line = np.divide(line, total, out=np.ones_like(line), where=total > 0)
    line += np.arange(n_rows)[:, None]
    level = rows + (1.0 - np.spacing(float(n_rows))) * rng.random(len(rows))
    return np.searchsorted(line.ravel(), level, side="right") - rows * n_codes
