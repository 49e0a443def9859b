"""Inequalities that rows are drawn under one after another: what they leave of a column, row by row.

What is known of the row, its person and the row before bounds a column exactly, by the values drawn.
And a row leaves room for the rows after it: a number that has to rise in each of three more rows stays three
steps below its largest value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import Domain, NumericDomain
from privsynth.schema.row_rules import PREVIOUS

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """Columns of a view each of which is at most the next one that is not missing.

    Attributes:
        columns: Their names, in order.
        strict: Whether each is less.
        is_discrete: Whether they lie on whole ticks.
    """

    columns: tuple[str, ...]
    strict: bool
    is_discrete: bool

    def moved(self, ticks: FloatArray, n_links: int) -> FloatArray:
        """Return ticks so many links further up, or down: the nearest that are allowed."""
        if not self.strict or not n_links:
            return ticks
        return ticks + n_links if self.is_discrete else np.nextafter(ticks, np.copysign(np.inf, n_links))

    def limits(
        self, name: str, known: Mapping[str, FloatArray], low: FloatArray, high: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return what the known columns of the chain leave of one of its others.

        Args:
            name: Of the column.
            known: Ticks by column, NaN where missing.
            low: Smallest tick otherwise.
            high: Largest tick otherwise.
        """
        at = self.columns.index(name)
        for i, other in enumerate(self.columns):
            if i != at and other in known:
                ticks = self.moved(known[other], at - i)
                low, high = (np.fmax(low, ticks), high) if i < at else (low, np.fmin(high, ticks))
        return low, high


class Room:
    """What rows leave for those after them, of each column: the largest tick and the smallest.

    Args:
        chains: The inequalities.
        domains: Of the view.
        own: The columns of rows.
        given: Ticks of what persons' rows share, by column, NaN where missing, ``(n_persons,)``.
        most: The largest number of rows that follow one.
    """

    def __init__(
        self,
        chains: Iterable[Chain],
        domains: Mapping[str, Domain],
        own: Iterable[str],
        given: Mapping[str, FloatArray],
        most: int,
    ) -> None:
        self._chains, self._given = list(chains), given
        bound = {name.removeprefix(PREVIOUS) for chain in self._chains for name in chain.columns}
        self._domains = {
            name: domain
            for name in own
            if name in bound and isinstance(domain := domains[name], NumericDomain)
        }
        self._n = max([1, *(len(ticks) for ticks in given.values())])
        self._ends = {sign: self._limits(sign, most) for sign in (1, -1)}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of rows that inequalities bound."""
        return tuple(self._domains)

    def limits(self, name: str, rest: IntArray, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and the largest tick of a column of rows.

        Args:
            name: Of the column.
            rest: How many rows follow each.
            rows: Position of each row's person.
        """
        low, high = (self._end(name, sign, rest, rows) for sign in (-1, 1))
        return low, high

    def _end(self, name: str, sign: int, rest: IntArray, rows: IntArray) -> FloatArray:
        ends = self._ends[sign][name]
        return np.asarray(ends[np.minimum(rest, len(ends) - 1), rows if self._n > 1 else 0])

    def n_that_fit(self, n_records: IntArray) -> IntArray:
        """Return of how many rows of each person the first can be drawn with room for all others."""
        n, rows = n_records.copy(), np.arange(len(n_records))
        while True:
            fits = np.ones(len(n), dtype=bool)
            for name in self._domains:
                low, high = self.limits(name, np.maximum(n - 1, 0), rows)
                fits &= low <= high
            if (fits | (n <= 0)).all():
                return n
            n = np.where(fits, n, np.maximum(n - 1, 0))

    def _limits(self, sign: int, most: int) -> dict[str, FloatArray]:
        """Return the ends of each column on one side, by how many rows follow, ``(n_rows, n_persons)``."""
        steps: list[dict[str, FloatArray]] = []
        for rest in range(most + 1):
            ends = {name: np.full(self._n, _end_of(domain, sign)) for name, domain in self._domains.items()}
            for chain in self._chains if rest else ():
                for name, end in self._along(chain, steps[-1], sign).items():
                    own = name.removeprefix(PREVIOUS)
                    if name not in ends and name.startswith(PREVIOUS) and own in ends:
                        ends[own] = _nearer(ends[own], end, sign)
            for chain in self._chains:
                for name, end in self._along(chain, ends, sign).items():
                    if name in ends:
                        ends[name] = end
            if len(steps) > 1 and all((ends[name] == steps[-1][name]).all() for name in ends):
                break  # nothing changes any more
            steps.append(ends)
        return {name: np.stack([each[name] for each in steps]) for name in self._domains}

    def _along(self, chain: Chain, ends: Mapping[str, FloatArray], sign: int) -> dict[str, FloatArray]:
        """Return the end of each column on one side that those beyond it in the chain leave."""
        found, beyond = {}, np.full(self._n, sign * np.inf)
        for name in reversed(chain.columns) if sign > 0 else chain.columns:
            here = chain.moved(beyond, -sign)
            if name in self._given:
                beyond = _nearer(here, self._given[name], sign)
            elif name in ends:
                found[name] = _nearer(ends[name], here, sign)
                beyond = beyond if self._domains[name].has_missing else found[name]
            else:
                found[name] = here
        return found


def _end_of(domain: NumericDomain, sign: int) -> float:
    if not domain.n_bins:
        return sign * np.inf
    return domain.grid.high if sign > 0 else domain.grid.low


def _nearer(a: FloatArray, b: FloatArray, sign: int) -> FloatArray:
    """Return the tighter of two ends, those that are missing left out."""
    return np.fmin(a, b) if sign > 0 else np.fmax(a, b)


def settled(
    chains: Iterable[Chain], known: Mapping[str, FloatArray], drawn: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Return drawn ticks moved to where their chains hold, given what is known.

    They hold already, but for rows that the model gives no probability.
    """
    out: dict[str, FloatArray] = {}
    for chain in chains:
        fixed = {name: known[name] for name in chain.columns if name in known}
        for name in chain.columns:
            if name in drawn and name not in fixed:
                ticks = drawn[name]
                low, high = chain.limits(
                    name, fixed, np.full(len(ticks), -np.inf), np.full(len(ticks), np.inf)
                )
                moved = np.where(np.isnan(ticks), ticks, np.maximum(np.minimum(ticks, high), low))
                if not np.array_equal(moved, ticks, equal_nan=True):
                    out[name] = moved
                fixed[name] = moved
    return out
