"""Drawing from many finite distributions at once: one a row, each over the same codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

RUN = 64  # codes that `draw_each` takes together


class Distributions:
    """Distributions over the same codes, from which codes are drawn evenly.

    Each draw follows its distribution, but draws from the same one are no more uneven than they must be: of m
    of them a code of probability p comes ``m p`` times, rounded up or down at random, in random order
    (systematic sampling: Madow and Madow 1944, "On the theory of systematic sampling"). So a table of rows
    holds less chance than rows drawn one by one would.

    The cumulative weights of all rows lie on one line, a unit each; a level stays below the end of its unit
    also where the sum is rounded, so a code of weight zero is never drawn.

    Args:
        weights: At least zero, not normalised, ``(n_rows, n_codes)``; nothing may be drawn from a row of
            zeros.

    Example:
        >>> two = Distributions(np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]]))
        >>> np.bincount(two.draw(np.array([0, 0, 0, 1, 0, 0, 0, 0, 0]), np.random.default_rng(0))).tolist()
        [2, 1, 6]
    """

    def __init__(self, weights: NDArray[np.floating]) -> None:
        self._n_rows, n_codes = weights.shape
        self._first = np.arange(self._n_rows) * n_codes  # where the codes of each row begin
        line = np.cumsum(weights, axis=1, dtype=np.float64)
        total = line[:, -1:].copy()
        np.divide(line, total, out=line, where=total > 0)
        line += np.arange(self._n_rows)[:, None]
        self._line = line.ravel()

    @classmethod
    def of_runs(cls, weights: FloatArray, row: IntArray, *, n_rows: int) -> Distributions:
        """Return distributions over codes of their own: each row's weights stand side by side.

        Args:
            weights: At least zero, not normalised, ``(n,)``.
            row: Row of each weight, in order, ``(n,)``.
            n_rows: Number of rows.

        Returns:
            Distributions whose codes are positions in ``weights``.
        """
        begin, end = (np.searchsorted(row, np.arange(n_rows), side=side) for side in ("left", "right"))
        sums = np.r_[0.0, np.cumsum(weights)]
        before, total = sums[begin], sums[end] - sums[begin]
        within = np.divide(sums[1:] - before[row], total[row], out=np.zeros(len(row)), where=total[row] > 0)
        runs = cls(np.ones((n_rows, 1)))
        runs._first = np.zeros(n_rows, dtype=np.int64)
        runs._line = row + within
        return runs

    def draw(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw a code from the distribution of each row named, in any order, ``(n,)``."""
        order = rng.permutation(len(rows))
        order = order[np.argsort(rows[order].astype(np.min_scalar_type(self._n_rows)), kind="stable")]
        row = rows[order]
        size = np.bincount(rows, minlength=self._n_rows)
        rank = np.arange(len(rows)) - (np.cumsum(size) - size)[row]
        shift = rng.random((self._n_rows,))
        level = (rank + shift[row]) / size[row]
        level = row + (1.0 - np.spacing(float(self._n_rows))) * level
        codes = np.empty(len(rows), dtype=np.int64)
        codes[order] = np.searchsorted(self._line, level, side="right") - self._first[row]
        return codes


def draw_each(weights: NDArray[np.floating], rng: np.random.Generator) -> IntArray:
    """Draw one code from each of many distributions, independently, ``(n_rows,)``.

    The codes of a row are taken together in runs: one of these is drawn, and then a code within it.

    Args:
        weights: At least zero, not normalised, some of each row above it, ``(n_rows, n_codes)``.
        rng: Source of the draws.

    Example:
        >>> draw_each(np.array([[0.0, 2.0, 0.0], [5.0, 0.0, 0.0]]), np.random.default_rng(0)).tolist()
        [1, 0]
    """
    n, n_codes = weights.shape
    if n_codes <= RUN or n_codes % RUN:
        return _first_above(weights, rng)
    runs = weights.reshape(n, n_codes // RUN, RUN)
    run = _first_above(runs.sum(axis=2), rng)
    return run * RUN + _first_above(runs[np.arange(n), run], rng)


def _first_above(weights: NDArray[np.floating], rng: np.random.Generator) -> IntArray:
    """Draw a code of each row: the first whose cumulative weight lies above a uniform level."""
    line = np.cumsum(weights, axis=1, dtype=np.float64)
    level = np.minimum(rng.random(len(line)) * line[:, -1], np.nextafter(line[:, -1], 0.0))
    return np.asarray((line <= level[:, None]).sum(axis=1), dtype=np.int64)
