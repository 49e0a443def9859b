"""Factors of several columns under a constraint: every row satisfies it, by the model's law given it.

A constraint turns columns that are independent given the component into ones that are drawn together: by
combination, or in order along a common line. Its probability under a component is part of the component's
weight, so rows follow the mixture conditioned on the constraint, exactly and without rejection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, Pieces
from privsynth.domains.systematic import Distributions
from privsynth.sampling.conditions import Restriction, code_of
from privsynth.sampling.factors import Drawn, multiply_by_blocks
from privsynth.sampling.row_rules import Chain
from privsynth.schema import Category, category_text
from privsynth.schema.constraints import Combinations, Inequality

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MAX_UNIT_CELLS = 1024  # up to here every value of a common line has a cell of its own


# -- combinations --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CombinationFactor:
    """Discrete columns of which only some combinations occur.

    Attributes:
        columns: Names of the columns.
        blocks: The components' probabilities of the deciding columns, the first ones.
        combinations: Codes of each combination, ``(n_combinations, n_columns)``.
    """

    columns: tuple[str, ...]
    blocks: tuple[NDArray[np.float32], ...]
    combinations: IntArray

    def prepare(self, restrictions: Mapping[str, Restriction]) -> PreparedCombinations:
        """Return the combinations that restrictions leave."""
        share = np.ones(len(self.combinations))
        for j, name in enumerate(self.columns):
            if name in restrictions:
                share *= restrictions[name].share[self.combinations[:, j]]
        return PreparedCombinations(self, share)

    def weigh(self, weights: FloatArray, known: Mapping[str, IntArray]) -> None:
        """Multiply components' weights by the probability of known combinations."""
        multiply_by_blocks(weights, self.columns, self.blocks, known)


@dataclass(frozen=True)
class PreparedCombinations:
    """Combinations under restrictions."""

    factor: CombinationFactor
    share: FloatArray

    @cached_property
    def _allowed(self) -> IntArray:
        return np.flatnonzero(self.share)

    @cached_property
    def _weights(self) -> FloatArray:
        """Return each component's probability of each allowed combination, ``(K, n_allowed)``."""
        codes = self.factor.combinations[self._allowed]
        weights = np.tile(self.share[self._allowed], (len(self.factor.blocks[0]), 1))
        for j, block in enumerate(self.factor.blocks):
            weights *= block[:, codes[:, j]]
        return weights

    @cached_property
    def mass(self) -> FloatArray:
        """Each component's probability of an allowed combination, ``(K,)``."""
        return self._weights.sum(axis=1)

    @cached_property
    def _table(self) -> Distributions:
        return Distributions(self._weights)

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw a combination for each row."""
        if not len(component):
            return {name: np.zeros(0, dtype=np.int64) for name in self.factor.columns}
        chosen = self.factor.combinations[self._allowed[self._table.draw(component, rng)]]
        return {name: chosen[:, j] for j, name in enumerate(self.factor.columns)}


def combination_codes(
    constraint: Combinations,
    allowed: Sequence[Sequence[Category | None]],
    domains: Mapping[str, Domain],
) -> IntArray:
    """Return the codes of combinations, those left out of which a value is not in the model."""
    rows = []
    for combination in allowed:
        codes = [
            _code(domains[name], value) for name, value in zip(constraint.columns, combination, strict=True)
        ]
        if None not in codes:
            rows.append(codes)
    return np.array(rows, dtype=np.int64).reshape(-1, len(constraint.columns))


def _code(domain: Domain, value: Category | None) -> int | None:
    assert isinstance(domain, DiscreteDomain)
    if value is None:
        return domain.size - 1 if domain.has_missing else None
    if category_text(value) not in {category_text(v) for v in domain.values}:
        return None
    return code_of(domain, value, where="constraints")


# -- order ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderedFactor:
    """Number lines each of whose values is at most the next one that is not missing.

    All lie on one line, cut at the ends of all of their cells. Which cells they fall into is drawn exactly,
    column after column, each given the last one that is not missing and weighted by what the columns after it
    leave possible. Values that fall into one cell are drawn uniformly and put in order.

    Attributes:
        constraint: The inequality.
        domains: Of its columns, in order.
        blocks: The components' probabilities, in order.
    """

    constraint: Inequality
    domains: tuple[NumericDomain, ...]
    blocks: tuple[NDArray[np.float32], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.constraint.columns

    @property
    def chain(self) -> Chain:
        """The inequality over ticks."""
        return Chain(self.columns, self.constraint.strict, self.domains[0].grid.discrete)

    def prepare(self, restrictions: Mapping[str, Restriction]) -> PreparedOrder:
        """Return the columns under restrictions."""
        return PreparedOrder(self, tuple(restrictions.get(name) for name in self.columns))

    def weigh(self, weights: FloatArray, known: Mapping[str, IntArray]) -> None:
        """Multiply components' weights by the probability of known codes."""
        multiply_by_blocks(weights, self.columns, self.blocks, known)


@dataclass(frozen=True)
class PreparedOrder:
    """Ordered columns under restrictions."""

    factor: OrderedFactor
    restrictions: tuple[Restriction | None, ...]

    @property
    def _shift(self) -> float:
        """Whole steps that are taken off from one column to the next: makes a strict order a plain one."""
        return float(self.factor.constraint.strict and self.factor.domains[0].grid.discrete)

    def _pieces(self, j: int) -> Pieces | None:
        restriction = self.restrictions[j]
        return self.factor.domains[j].pieces() if restriction is None else restriction.pieces

    def _spans(self, j: int) -> tuple[FloatArray, FloatArray]:
        """Return begin and end (exclusive) of a column's pieces on the common line."""
        pieces = self._pieces(j)
        if pieces is None:
            return np.zeros(0), np.zeros(0)
        if pieces.discrete:
            return pieces.first - j * self._shift, pieces.last + 1.0 - j * self._shift
        is_point = pieces.first == pieces.last
        return pieces.first, np.where(is_point, np.nextafter(pieces.first, np.inf), pieces.last)

    @cached_property
    def _edges(self) -> FloatArray:
        """Ends of the cells of the common line, ``(n_cells + 1,)``."""
        edges = np.unique(
            np.concatenate([end for j in range(len(self.restrictions)) for end in self._spans(j)])
        )
        if len(edges) < 2:
            return np.array([0.0, 1.0])  # nothing but missing values is allowed
        if self.factor.domains[0].grid.discrete and edges[-1] - edges[0] <= MAX_UNIT_CELLS:
            return np.arange(edges[0], edges[-1] + 1.0)
        return edges

    def _shares(self, j: int) -> FloatArray:
        """Return how much of each bin lies in each cell of the line, ``(n_bins, n_cells)``."""
        shares = np.zeros((self.factor.domains[j].n_bins, len(self._edges) - 1))
        pieces = self._pieces(j)
        if pieces is None:
            return shares
        begin, end = self._spans(j)
        first, last = np.searchsorted(self._edges, begin), np.searchsorted(self._edges, end)
        width = np.diff(self._edges)
        restriction = self.restrictions[j]
        allowed = restriction.share if restriction is not None else np.ones(len(shares))
        for b, weight, left, right in zip(pieces.bin, pieces.weight, first, last, strict=True):
            if allowed[b] > 0 and right > left:
                shares[b, left:right] += weight * width[left:right] / (self._edges[right] - self._edges[left])
        return shares

    @cached_property
    def _cells(self) -> list[FloatArray]:
        """Each component's probability that a column falls into each cell, ``(K, n_cells)`` a column."""
        blocks = zip(self.factor.blocks, self.factor.domains, strict=True)
        return [
            block[:, : domain.n_bins].astype(np.float64) @ self._shares(j)
            for j, (block, domain) in enumerate(blocks)
        ]

    @cached_property
    def _missing(self) -> list[FloatArray]:
        """Each component's probability that a column is missing, ``(K,)`` a column."""
        out = []
        for block, domain, restriction in zip(
            self.factor.blocks, self.factor.domains, self.restrictions, strict=True
        ):
            allowed = 1.0 if restriction is None else restriction.share[-1]
            missing = block[:, -1].astype(np.float64) * allowed
            out.append(missing if domain.has_missing else np.zeros(len(block)))
        return out

    @cached_property
    def _same(self) -> FloatArray:
        """Probability that two values of one cell are in order, ``(n_cells,)``."""
        width = np.diff(self._edges)
        if self.factor.domains[0].grid.discrete:
            return (width + 1.0) / (2.0 * width)
        is_point = np.nextafter(self._edges[:-1], np.inf) >= self._edges[1:]
        return np.where(is_point, float(not self.factor.constraint.strict), 0.5)

    @cached_property
    def _backward(self) -> tuple[list[FloatArray], list[FloatArray], FloatArray]:
        """Return, for each column, what the columns after it leave possible, and the mass of all.

        ``after[j][k, s]`` is component k's probability that the columns after j are in order, given that the
        last value so far lies in cell ``s - 1`` (``s = 0``: there is none yet). ``tails[j][k, s]`` is that of
        column j lying in cell ``s`` or above, with all columns after it in order.
        """
        n_components, n_cells = self._cells[0].shape
        possible = np.ones((n_components, n_cells + 1))
        after: list[FloatArray] = []
        tails: list[FloatArray] = []
        for cells, missing in zip(reversed(self._cells), reversed(self._missing), strict=True):
            after.append(possible)
            weight = cells * possible[:, 1:]
            tail = np.zeros((n_components, n_cells + 1))
            tail[:, :-1] = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]
            tails.append(tail)
            following = missing[:, None] * possible
            following[:, 0] += tail[:, 0]
            following[:, 1:] += tail[:, 1:] + self._same * weight
            possible = following
        return after[::-1], tails[::-1], possible[:, 0]

    @cached_property
    def mass(self) -> FloatArray:
        """Each component's probability of the order, ``(K,)``."""
        return self._backward[2]

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw the columns' ticks; NaN for missing."""
        after, tails, _ = self._backward
        state = np.zeros(len(component), dtype=np.int64)
        ticks = np.full((len(component), len(self.factor.columns)), np.nan)
        for j in range(len(self.factor.columns)):
            cell = self._draw_cells(j, component, state, after[j], tails[j], rng)
            present = cell >= 0
            state = np.where(present, cell + 1, state)
            ticks[present, j] = self._draw_inside(cell[present], rng)
        ticks = _in_order(ticks)
        shifts = self._shift * np.arange(ticks.shape[1])
        return dict(zip(self.factor.columns, (ticks + shifts).T, strict=True))

    def _draw_cells(
        self,
        j: int,
        component: IntArray,
        state: IntArray,
        after: FloatArray,
        tail: FloatArray,
        rng: np.random.Generator,
    ) -> IntArray:
        """Draw the cell of one column given that of the last value so far; -1 for missing."""
        before = np.maximum(state - 1, 0)
        weight = self._cells[j][component, before] * after[component, before + 1]
        missing = self._missing[j][component] * after[component, state]
        same = np.where(state > 0, self._same[before] * weight, 0.0)
        above = tail[component, state]
        level = rng.random(len(component)) * (missing + same + above)
        is_missing = level < missing
        stays = ~is_missing & (level < missing + same)
        lost = ~is_missing & ~stays & (above <= 0)  # rounded to the end of a line that has nothing above
        stays |= lost & (same > 0)
        is_missing |= lost & (same <= 0)
        beyond = np.clip(level - missing - same, 0.0, np.nextafter(above, 0.0))
        cell = np.where(stays, before, _last_above(tail, component, state, beyond))
        return np.where(is_missing, -1, cell)

    def _draw_inside(self, cell: IntArray, rng: np.random.Generator) -> FloatArray:
        begin, end = self._edges[cell], self._edges[cell + 1]
        if self.factor.domains[0].grid.discrete:
            return begin + np.floor(rng.random(len(cell)) * (end - begin))
        return np.minimum(begin + rng.random(len(cell)) * (end - begin), np.nextafter(end, begin))


def _last_above(tail: FloatArray, rows: IntArray, first: IntArray, level: FloatArray) -> IntArray:
    """Return the last cell from ``first`` on whose tail is above the level: by bisection, without rounding.

    ``tail`` falls along its columns to zero in the last. A cell found has weight, for its tail is above the
    level and that of the next is not, as long as the level is below the tail of ``first``.
    """
    low, high = first.copy(), np.full(len(rows), tail.shape[1] - 1, dtype=np.int64)
    while True:
        open_ = high - low > 1
        if not open_.any():
            return low
        middle = (low + high) // 2
        above = tail[rows, middle] > level
        low = np.where(open_ & above, middle, low)
        high = np.where(open_ & ~above, middle, high)


def _in_order(ticks: FloatArray) -> FloatArray:
    """Sort the values of each row that are not missing, and leave the missing ones where they are."""
    present = ~np.isnan(ticks)
    rank = np.maximum(np.cumsum(present, axis=1) - 1, 0)
    ordered = np.take_along_axis(np.sort(ticks, axis=1), rank, axis=1)
    return np.where(present, ordered, np.nan)
