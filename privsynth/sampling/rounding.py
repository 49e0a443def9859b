"""Whole rows out of shares: largest remainder, tables with given margins, iterative proportional fitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

SLACK = 1e-9  # a remainder this small is rounding
MAX_ITERATIONS = 100_000
ITERATIONS_A_LOOK = 1_000  # between two looks at whether a table still comes nearer
LEAST_GAIN = 1e-3  # margins that contradict one another come no nearer than by this share
TOLERANCE = 1e-7  # of a margin, in shares


class MarginsError(ValueError):
    """No table has these margins; ``margin`` is the position of one that is not met."""

    def __init__(self, margin: int) -> None:
        super().__init__(f"margin {margin} cannot be met")
        self.margin = margin


@dataclass(frozen=True)
class Margin:
    """Sums of a table over groups of its cells.

    Attributes:
        group: Group of each cell, ``(n_cells,)``.
        totals: What the cells of each group add up to, ``(n_groups,)``.
    """

    group: IntArray
    totals: NDArray[np.int64] | NDArray[np.float64]

    def of(self, table: NDArray[Any]) -> FloatArray:
        """Return the sums of a table over the groups."""
        return np.bincount(self.group, weights=table, minlength=len(self.totals)).astype(np.float64)


def largest_remainder(amounts: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    """Divide ``n`` rows in proportion to amounts: rounded down, then one each to the largest remainders.

    Equal remainders are served in random order.

    Example:
        >>> largest_remainder(np.array([0.5, 0.3, 0.2]), 9, np.random.default_rng(0)).tolist()
        [4, 3, 2]
    """
    if n == 0:
        return np.zeros(len(amounts), dtype=np.int64)
    exact = amounts / amounts.sum() * n
    sizes = np.floor(exact + SLACK).astype(np.int64)
    left = n - int(sizes.sum())
    if left:
        remainder = np.where(amounts > 0, np.round(exact - sizes, 9), -np.inf)
        sizes[np.lexsort((rng.random(len(exact)), -remainder))[:left]] += 1
    return sizes


def fit_margins(seed: FloatArray, margins: Sequence[Margin]) -> FloatArray:
    """Return the table nearest to a seed, in Kullback-Leibler divergence, that has these margins.

    Iterative proportional fitting (Deming and Stephan 1940): scale to one margin after the other; cells that
    are zero in the seed stay zero.

    Raises:
        MarginsError: If the margins contradict one another, or need cells that are zero.
    """
    table = seed.astype(np.float64).copy()
    total = max(float(margins[0].totals.sum()), 1.0)
    before = np.inf
    for iteration in range(MAX_ITERATIONS):
        misses = []
        for position, margin in enumerate(margins):
            sums = margin.of(table)
            if ((sums <= 0) & (margin.totals > 0)).any():
                raise MarginsError(position)
            misses.append(float(np.abs(sums - margin.totals).max()))
            factor = np.divide(margin.totals, sums, out=np.zeros(len(sums)), where=sums > 0)
            table *= factor[margin.group]
        if max(misses) <= TOLERANCE * total:
            return table
        if iteration % ITERATIONS_A_LOOK == ITERATIONS_A_LOOK - 1:
            if max(misses) > (1.0 - LEAST_GAIN) * before:
                break
            before = max(misses)
    raise MarginsError(int(np.argmax(misses)))


def whole_table(table: FloatArray, margins: Sequence[Margin], rng: np.random.Generator) -> IntArray:
    """Round a table to whole numbers so that every margin holds exactly.

    Cells are rounded down; what is left of the margins goes to the cells with the largest remainders as far
    as all margins allow, and the last rows by an integer program with the same aim. Zeros stay zero.

    Args:
        table: At least zero; has these margins up to rounding, ``(n_cells,)``.
        margins: With whole totals.
        rng: Decides between equal remainders.

    Raises:
        MarginsError: If no whole table has these margins.
    """
    down = np.floor(table + SLACK).astype(np.int64)
    left = [
        margin.totals - np.bincount(margin.group, weights=down, minlength=len(margin.totals))
        for margin in margins
    ]
    left = [np.rint(rest).astype(np.int64) for rest in left]
    if all((rest >= 0).all() for rest in left):
        remainder = np.round(table - down, 9)
        for cell in np.lexsort((rng.random(len(table)), -remainder)):
            groups = [margin.group[cell] for margin in margins]
            if remainder[cell] > 0 and all(rest[g] > 0 for rest, g in zip(left, groups, strict=True)):
                down[cell] += 1
                for rest, g in zip(left, groups, strict=True):
                    rest[g] -= 1
        if not any(rest.any() for rest in left):
            return down
    return _program(table, margins)


def _program(table: FloatArray, margins: Sequence[Margin]) -> IntArray:
    """Return the whole table with these margins that is nearest in absolute differences."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix, hstack, vstack

    used = np.flatnonzero(table > 0)
    n = len(used)
    down = np.floor(table[used] + SLACK)
    remainder = table[used] - down
    # x = down + first + more - less, where `first` is 0 or 1 and costs what it adds to the difference
    cost = np.r_[1.0 - 2.0 * remainder, np.ones(n), np.ones(n)]
    rows, totals = [], []
    for margin in margins:
        ones = csr_matrix((np.ones(n), (margin.group[used], np.arange(n))), shape=(len(margin.totals), n))
        rows.append(hstack([ones, ones, -ones]))
        totals.append(margin.totals - ones @ down)
    equal = np.concatenate(totals)
    found = milp(
        cost,
        constraints=LinearConstraint(vstack(rows), equal, equal),
        integrality=np.ones(3 * n),
        bounds=Bounds(np.zeros(3 * n), np.r_[np.ones(n), np.full(n, np.inf), down]),
        options={"time_limit": 30.0},
    )
    if found.x is None:
        raise MarginsError(0)
    first, more, less = np.rint(found.x).astype(np.int64).reshape(3, n)
    out = np.zeros(len(table), dtype=np.int64)
    out[used] = down.astype(np.int64) + first + more - less
    return out
