"""Drawing from many finite distributions at once: one a row, each over the same codes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

RUN = 64  # codes that `draw_each` takes together
COUNTED = 4  # codes a draw up to which counting how often each comes is faster than looking draws up


class Distributions:
    """Distributions over the same codes, from which codes are drawn evenly.

    Each draw follows its distribution, but draws from the same one are no more uneven than they must be: of m
    of them a code of probability p comes ``m p`` times, rounded up or down at random, in random order
    (systematic sampling: Madow and Madow 1944, "On the theory of systematic sampling"). So a table of rows
    holds less chance than rows drawn one by one would.

    The m levels of a row lie evenly spaced on its cumulative weights, moved by one random shift. They stay
    below the end of the row's unit also where sums are rounded, so a code of weight zero is never drawn.

    Args:
        weights: At least zero, not normalised, ``(n_rows, n_codes)``; nothing may be drawn from a row of
            zeros.

    Example:
        >>> two = Distributions(np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]]))
        >>> np.bincount(two.draw(np.array([0, 0, 0, 1, 0, 0, 0, 0, 0]), np.random.default_rng(0))).tolist()
        [2, 1, 6]
    """

    def __init__(self, weights: NDArray[np.floating]) -> None:
        self._n_rows, self._n_codes = weights.shape
        self._first = np.arange(self._n_rows) * self._n_codes  # where the codes of each row begin
        within = np.cumsum(weights, axis=1, dtype=np.float64)
        total = within[:, -1:].copy()
        np.divide(within, total, out=within, where=total > 0)
        self._up_to: FloatArray | None = np.where(within < 1.0, within, 2.0)  # beyond any rounding

    @cached_property
    def _line(self) -> FloatArray:
        assert self._up_to is not None
        line: FloatArray = np.minimum(self._up_to, 1.0) + np.arange(self._n_rows)[:, None]
        return line.reshape(-1)

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
        runs._up_to = None
        runs._first = np.zeros(n_rows, dtype=np.int64)
        runs._line = row + within
        return runs

    def draw(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw a code from the distribution of each row named, in any order, ``(n,)``."""
        order = rng.permutation(len(rows))
        kept = rows[order].astype(np.min_scalar_type(self._n_rows))
        order = order[np.argsort(kept, kind="stable")]  # rows together, those of one in random order
        size = np.bincount(rows, minlength=self._n_rows)
        shift = rng.random((self._n_rows,))
        codes = np.empty(len(rows), dtype=np.int64)
        named = np.flatnonzero(size)
        if self._up_to is not None and len(named) * self._n_codes <= COUNTED * len(rows):
            up_to = self._up_to if len(named) == self._n_rows else self._up_to[named]
            codes[order] = _counted(up_to, size[named], shift[named])
        else:
            codes[order] = self._searched(np.repeat(named, size[named]), size, shift)
        return codes

    def _searched(self, row: IntArray, size: IntArray, shift: FloatArray) -> IntArray:
        """Return the same by looking each draw up: for few draws over many codes."""
        rank = np.arange(len(row)) - (np.cumsum(size) - size)[row]
        level = row + (1.0 - np.spacing(float(self._n_rows))) * ((rank + shift[row]) / size[row])
        return np.searchsorted(self._line, level, side="right") - self._first[row]


def _counted(up_to: FloatArray, size: IntArray, shift: FloatArray) -> IntArray:
    """Return the codes of rows one after the other, from how often each comes.

    Args:
        up_to: Cumulative shares of each row's codes, 2 from the last one that has any on, ``(n, n_codes)``.
        size: Draws of each row, at least 1, ``(n,)``.
        shift: Where the first draw of each lies, in [0, 1), ``(n,)``.
    """
    counts = up_to * size[:, None]
    counts -= shift[:, None]
    np.minimum(np.ceil(counts, out=counts), size[:, None], out=counts)
    each = counts.astype(np.int64)
    each[:, 1:] -= each[:, :-1].copy()
    return np.repeat(np.tile(np.arange(up_to.shape[1]), len(up_to)), each.reshape(-1))


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
