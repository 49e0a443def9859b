"""Number lines of which each row allows an interval of its own: exact masses, and values inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import NumericDomain, NumericGrid
from privsynth.sampling.reach import RowsToCome, in_parts

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CELLS_HELD = 2**21  # of a grid, over all rows whose values are drawn at once


class IntervalColumn:
    """A column of rows, each within an interval of ticks; missing values stay allowed.

    Args:
        domain: Of the column.
        block: The components' probabilities, ``(K, n_codes)``.
        low: Smallest tick of each row, ``(n,)``; infinite for none.
        high: Largest tick of each row, likewise.
        to_come: The rows after each one, if its value is a distance that has to leave room for them.
    """

    def __init__(
        self,
        domain: NumericDomain,
        block: NDArray[np.float32],
        low: FloatArray,
        high: FloatArray,
        to_come: RowsToCome | None = None,
    ) -> None:
        domain = domain if to_come is None else in_parts(domain)
        self._to_come = to_come
        self._domain, self._block = domain, block
        self._low = np.maximum(low, domain.grid.low)
        self._high = np.minimum(high, domain.grid.high)
        keys = np.empty((len(low), 0)) if to_come is None else to_come.keys
        ends = np.column_stack([self._low, self._high, keys])
        self._ends, self._variant = np.unique(ends, axis=0, return_inverse=True)
        self._variant = self._variant.reshape(-1)
        self._bin_of_cell = np.zeros((domain.grid.n_cells, domain.n_bins), dtype=np.float32)
        self._bin_of_cell[np.arange(domain.grid.n_cells), domain.bin_of_cell] = 1.0

    def weights(self, part: slice) -> NDArray[np.float32]:
        """Return each component's probability that a row of a part keeps to its interval, ``(n_part, K)``."""
        variants, of_row = np.unique(self._variant[part], return_inverse=True)
        inside = self._inside(variants)
        inside = inside * self._chances(variants) if self._to_come is not None else inside
        share = (inside * self._domain.cell_weight).astype(np.float32) @ self._bin_of_cell
        if self._domain.has_missing:
            share = np.concatenate([share, np.ones((len(share), 1), dtype=np.float32)], axis=1)
        masses = share @ self._block.T
        return np.asarray(masses[of_row.reshape(-1)], dtype=np.float32)

    def _inside(self, variants: IntArray) -> FloatArray:
        """Return how much of each cell lies within the intervals of variants."""
        return overlaps(self._domain.grid, *self._ends[variants, :2].T)

    def _chances(self, variants: IntArray) -> FloatArray:
        """Return how likely the rows to come fit after the middle of each cell, or the nearest inside."""
        assert self._to_come is not None
        first, last = self._domain.grid.intervals()
        low, high = self._ends[variants, :2].T[:, :, None]
        middle = np.clip((first + last) / 2.0, low, np.maximum(high, low))
        return self._to_come.chances(self._ends[variants, 2:], middle)

    def draw(self, component: IntArray, rng: np.random.Generator) -> FloatArray:
        """Draw ticks, NaN for missing, ``(n,)``.

        Where a component gives an interval no probability, its values are equally likely.
        """
        out = np.empty(len(component))
        step = max(1, CELLS_HELD // max(self._domain.grid.n_cells, 1))
        for begin in range(0, len(component), step):
            part = slice(begin, begin + step)
            out[part] = self._draw(component[part], part, rng)
        return out

    def _draw(self, component: IntArray, part: slice, rng: np.random.Generator) -> FloatArray:
        domain, grid, n = self._domain, self._domain.grid, len(component)
        if not domain.n_bins:
            return np.full(n, np.nan)
        low, high = self._low[part], self._high[part]
        variants, of_row = np.unique(self._variant[part], return_inverse=True)
        inside, of_row = self._inside(variants), of_row.reshape(-1)
        likely = inside if self._to_come is None else inside * self._chances(variants)
        weight = self._block[component][:, domain.bin_of_cell] * (domain.cell_weight * likely)[of_row]
        missing = self._block[component, -1] * 1.0 if domain.has_missing else np.zeros(n)
        nothing = weight.sum(axis=1) + missing <= 0.0
        weight[nothing] = (inside * grid.widths())[of_row[nothing]]
        line = np.cumsum(weight, axis=1)
        level = rng.random(n) * (line[:, -1] + missing)
        is_missing = (level >= line[:, -1]) & (missing > 0.0)
        level = np.minimum(level, np.nextafter(line[:, -1], -np.inf))
        cell = np.minimum((line <= level[:, None]).sum(axis=1), grid.n_cells - 1)
        first, last = grid.intervals()
        left, right = np.maximum(first[cell], low), np.minimum(last[cell], high)
        if grid.discrete:
            ticks = left + np.floor(rng.random(n) * (right - left + 1.0))
        else:
            ticks = np.minimum(
                left + rng.random(n) * (right - left), np.maximum(np.nextafter(right, left), left)
            )
        return np.where(is_missing, np.nan, np.clip(ticks, low, np.maximum(high, low)))


def overlaps(grid: NumericGrid, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return how much of each cell lies within intervals, ``(n_intervals, n_cells)`` in [0, 1]."""
    first, last = grid.intervals()
    length = np.minimum(last, high[:, None]) - np.maximum(first, low[:, None]) + grid.discrete
    share = np.clip(length / grid.widths(), 0.0, 1.0)
    if grid.discrete:
        return share
    is_inside = (low[:, None] <= first) & (first <= high[:, None])
    return np.where(first == last, is_inside, share)
