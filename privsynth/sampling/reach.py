"""Whether the rows to come find room on the line: how likely that is after each distance.

The number of rows of a person is drawn before them, and all stand on the line. By chance the first ones may
move on so far that the others are crowded at its end; of all ways to place the rows those are few. So a
distance is as likely as it is by itself, times the probability that the rows after it fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import NumericDomain

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

N_GROUPS = 8  # of persons, by how far their rows move on
MOST_UNITS = 512  # of a line: one a tick if it has no more
POINTS = 8  # of a cell of distances, among which its mass is divided
PARTS = 128  # of a line: cells of distances are no wider


class Reach:
    """How likely so many rows fit into what is left of a line, for persons in groups.

    Args:
        gap: Domain of the distances; it has bins.
        laws: Of each person how likely each bin is, ``(n_persons, n_bins)``.
    """

    def __init__(self, gap: NumericDomain, laws: FloatArray) -> None:
        self._discrete, width = gap.grid.discrete, gap.grid.high
        is_fine = self._discrete and width < MOST_UNITS
        self._unit = 1.0 if is_fine else width / (MOST_UNITS // 2)
        n_units = int(width / self._unit) + 1
        by_bin = _shares_of_units(gap, self._unit, n_units)
        laws = laws / np.maximum(laws.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        means = laws @ (by_bin @ np.arange(n_units))
        edges = np.quantile(means, np.arange(1, N_GROUPS) / N_GROUPS) if len(means) else np.zeros(0)
        self.group = np.searchsorted(edges, means, side="right")
        sizes = np.bincount(self.group, minlength=N_GROUPS)
        sums = np.zeros((N_GROUPS, laws.shape[1]))
        np.add.at(sums, self.group, laws)
        law = (sums / np.maximum(sizes, 1)[:, None]) @ by_bin
        back = np.arange(n_units)[:, None] - np.arange(n_units)
        self._moves = np.where(back >= 0, law[:, np.maximum(back, 0)], 0.0)
        self._fits = [np.ones((N_GROUPS, n_units))]

    def chances(self, group: IntArray, rest: IntArray, left: FloatArray) -> FloatArray:
        """Return how likely the rows to come fit; up to a factor, the same for all of a group and number.

        Args:
            group: Group of the person of each row, ``(n,)``.
            rest: How many rows are to come, ``(n,)``.
            left: How much of the line is left then, in ticks, ``(n, n_cases)``.
        """
        for _ in range(len(self._fits), int(rest.max(initial=0)) + 1):
            chance = (self._moves @ self._fits[-1][:, :, None])[:, :, 0]
            self._fits.append(chance / np.maximum(chance[:, -1:], np.finfo(float).tiny))
        numbers, at = np.unique(rest, return_inverse=True)
        table = np.stack([self._fits[number] for number in numbers])
        units = np.clip((left / self._unit).astype(np.int64), 0, table.shape[2] - 1)
        return np.asarray(table[at.reshape(-1)[:, None], group[:, None], units])


@dataclass(frozen=True)
class RowsToCome:
    """What rows that are drawn have to leave room for.

    Attributes:
        reach: Tells how likely that is.
        group: Group of the person of each row, ``(n,)``.
        rest: How many rows are to come after each, ``(n,)``.
        left: How much of the line is left before it, in ticks, ``(n,)``.
    """

    reach: Reach
    group: IntArray
    rest: IntArray
    left: FloatArray

    @property
    def keys(self) -> FloatArray:
        """Numbers by which rows differ, ``(n, 3)``."""
        return np.stack([self.group, self.rest, self.left], axis=1)

    def chances(self, keys: FloatArray, distances: FloatArray) -> FloatArray:
        """Return how likely the rows to come fit after distances, the most likely 1, ``(n, n_distances)``.

        Where they never fit, all are alike.

        Args:
            keys: Of some rows.
            distances: In ticks, ``(n, n_distances)``.
        """
        group, rest, left = keys.T
        found = self.reach.chances(group.astype(np.int64), rest.astype(np.int64), left[:, None] - distances)
        most = found.max(axis=1, keepdims=True)
        return np.divide(found, most, out=np.ones_like(found), where=most > 0.0)


def in_parts(gap: NumericDomain) -> NumericDomain:
    """Return the domain of distances with its cells divided, none of them wider than a part of the line."""
    grid = gap.grid
    first, last = grid.intervals()
    widest = max((grid.high - grid.low) / PARTS, float(grid.discrete))
    n_parts = np.maximum(np.ceil((last - first + grid.discrete) / widest), 1).astype(np.int64)
    cell = np.repeat(np.arange(grid.n_cells), n_parts)
    place = np.arange(len(cell)) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
    edges = first[cell] + (last - first + grid.discrete)[cell] * place / n_parts[cell]
    edges = np.ceil(edges) if grid.discrete else edges
    finer = replace(grid, edges=edges)
    weight = gap.cell_weight[cell] * finer.widths() / grid.widths()[cell]
    return replace(gap, grid=finer, bin_of_cell=gap.bin_of_cell[cell], cell_weight=weight)


def _shares_of_units(gap: NumericDomain, unit: float, n_units: int) -> FloatArray:
    """Return how much of each bin lies at each whole number of units, ``(n_bins, n_units)``.

    What lies between two numbers is divided between them, so that means are kept.
    """
    first, last = gap.grid.intervals()
    if unit == 1.0 and gap.grid.discrete:
        at = np.arange(gap.grid.low, gap.grid.high + 1)
        cell = gap.grid.index(at)
        mass = (gap.cell_weight / gap.grid.widths())[cell]
    else:
        cell = np.repeat(np.arange(gap.grid.n_cells), POINTS)
        at = (first[:, None] + (last - first)[:, None] * (np.arange(POINTS) + 0.5) / POINTS).ravel() / unit
        mass = gap.cell_weight[cell] / POINTS
    out, below = np.zeros((gap.n_bins, n_units + 1)), np.minimum(at.astype(np.int64), n_units - 1)
    part = np.minimum(at - below, 1.0)
    np.add.at(out, (gap.bin_of_cell[cell], below), mass * (1.0 - part))
    np.add.at(out, (gap.bin_of_cell[cell], below + 1), mass * part)
    return out[:, :n_units]
