"""What is given of rows that are drawn, and the columns of constraints prepared for it.

Columns of a constraint are drawn together. How depends on what rows give of them: nothing that matters, all
but one number line, or anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import Domain, NumericDomain, Pieces
from privsynth.sampling.conditions import Restriction, codes_of
from privsynth.sampling.constrained import OrderedFactor
from privsynth.sampling.factors import Drawn, Factor
from privsynth.sampling.intervals import IntervalColumn
from privsynth.sampling.table_model import TableModel

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is given of a column.

    Attributes:
        codes: Of each row, -1 where a field is empty, ``(n,)``.
        ticks: Of a number line, NaN where missing or empty, ``(n,)``; None of other columns.
    """

    codes: IntArray
    ticks: FloatArray | None

    def of_rows(self, rows: IntArray) -> Known:
        """Return the same of some of the rows."""
        return Known(self.codes[rows], None if self.ticks is None else self.ticks[rows])

    @classmethod
    def of(cls, domain: Domain, drawn: Drawn) -> Known:
        """Return what was drawn of a column as what is known of it."""
        if isinstance(domain, NumericDomain):
            ticks = drawn.astype(np.float64, copy=False)
            return cls(domain.code_of_ticks(ticks), ticks)
        return cls(drawn.astype(np.int64, copy=False), None)


def known_of(model: TableModel, name: str, values: pd.Series) -> Known:
    """Return what fields of a frame give of a column; empty ones nothing.

    Raises:
        RequestError: If a value is none of the column's.
    """
    empty = (values.isna() | values.eq("")).to_numpy(dtype=bool)
    codes, ticks = np.full(len(values), -1, dtype=np.int64), None
    found, of_line = codes_of(model.domains[name], values[~empty], where="complete")
    codes[~empty] = found
    if of_line is not None:
        ticks = np.full(len(values), np.nan)
        ticks[~empty] = of_line
    return Known(codes, ticks)


Interval = tuple[FloatArray, FloatArray]


class Bound(Protocol):
    """The columns of a constraint, prepared for some rows."""

    @property
    def factor(self) -> Factor:
        """The columns, which are drawn together given the component."""
        ...

    def weights(self, part: slice) -> FloatArray | NDArray[np.float32]:
        """Return each component's probability of what rows of a part give of them, ``(n_part, K)``."""
        ...

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw the columns of all rows; what is given comes out as it is."""
        ...


@dataclass(frozen=True)
class SameForAll:
    """Columns of a constraint of which nothing is known, and none is wanted."""

    factor: Factor
    mass: FloatArray | None

    def weights(self, part: slice) -> FloatArray:
        """Return each component's probability of the constraint, the same for all rows, ``(1, K)``."""
        return np.ones((1, 1)) if self.mass is None else self.mass[None, :]

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw the columns of all rows."""
        return self.factor.prepare({}).draw(component, rng)


@dataclass(frozen=True)
class ChainRows:
    """Number lines in order of which all but one are known, and that one lies between them.

    Attributes:
        factor: The inequality.
        known: What is given, by column.
        rest: The column that is not, by name, between its limits; None if all are known or left open.
    """

    factor: OrderedFactor
    known: Mapping[str, Known]
    rest: tuple[str, IntervalColumn] | None

    @classmethod
    def of(
        cls,
        factor: OrderedFactor,
        known: Mapping[str, Known],
        within: Mapping[str, Interval],
        unknown: Sequence[str] | None,
        n: int,
    ) -> ChainRows:
        given = {name: known[name] for name in factor.columns if name in known}
        if not unknown:
            return cls(factor, given, None)
        (name,) = unknown
        j, ends = factor.columns.index(name), within.get(name, (np.full(n, -np.inf), np.full(n, np.inf)))
        low, high = factor.chain.limits(name, {of: _ticks(known_of) for of, known_of in given.items()}, *ends)
        return cls(factor, given, (name, IntervalColumn(factor.domains[j], factor.blocks[j], low, high)))

    def weights(self, part: slice) -> NDArray[np.float32]:
        """Return each component's probability of what is given, and of the interval it leaves."""
        weights = np.ones((1, len(self.factor.blocks[0])), dtype=np.float32)
        for name, block in zip(self.factor.columns, self.factor.blocks, strict=True):
            if name in self.known:
                codes = self.known[name].codes[part]
                weights = weights * np.where((codes >= 0)[:, None], block.T[codes], np.float32(1.0))
        return weights if self.rest is None else weights * self.rest[1].weights(part)

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw the column that is not known; the others come out as they are."""
        drawn: dict[str, Drawn] = {name: _ticks(of) for name, of in self.known.items()}
        return drawn if self.rest is None else drawn | {self.rest[0]: self.rest[1].draw(component, rng)}


def _ticks(known: Known) -> FloatArray:
    assert known.ticks is not None
    return known.ticks


@dataclass(frozen=True)
class BoundRows:
    """The columns of a constraint under each combination of fields that rows give of them: a variant.

    A prepared variant may take megabytes, and there may be as many as rows: they are held one at a time.
    """

    factor: Factor
    points: tuple[dict[str, Restriction], ...]
    variant_of_row: IntArray
    masses: FloatArray  # each component's probability of what a variant gives, (n_variants, K)

    @classmethod
    def of(
        cls,
        model: TableModel,
        factor: Factor,
        known: Mapping[str, Known],
        n: int,
        within: Mapping[str, Interval] = MappingProxyType({}),
    ) -> BoundRows:
        given = [name for name in factor.columns if name in known]
        cut = [name for name in factor.columns if name in within and name not in known]
        fields = [known[name].codes.astype(np.float64) for name in given]
        fields += [end for name in cut for end in within[name]]
        fields += [np.nan_to_num(t, nan=-np.inf) for name in given if (t := known[name].ticks) is not None]
        table = np.column_stack([*fields, np.zeros(n)])
        _, first, of_row = np.unique(table, axis=0, return_index=True, return_inverse=True)
        points = []
        for row in first:
            found = {name: _point(model.domains[name], known[name], int(row)) for name in given}
            for name in cut:
                low, high = (float(end[row]) for end in within[name])
                found[name] = _between(model.domains[name], low, high)
            points.append({name: point for name, point in found.items() if point is not None})
        masses = np.empty((len(points), model.mixture.n_components))
        for variant, restrictions in enumerate(points):
            mass = factor.prepare(restrictions).mass
            masses[variant] = 1.0 if mass is None else mass
        return cls(factor, tuple(points), of_row.reshape(-1), masses)

    def weights(self, part: slice) -> FloatArray:
        """Return each component's probability of what rows of a part give, ``(n_part, K)``."""
        return self.masses[self.variant_of_row[part]]

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw the columns of all rows; what is given comes out as it is."""
        if not len(component):
            return self.factor.prepare({}).draw(component, rng)
        order = np.argsort(self.variant_of_row, kind="stable")
        ends = np.cumsum(np.bincount(self.variant_of_row, minlength=len(self.points)))
        parts = [self.factor.prepare({}).draw(component[:0], rng)]
        for restrictions, rows in zip(self.points, np.split(order, ends[:-1]), strict=True):
            parts.append(self.factor.prepare(restrictions).draw(component[rows], rng))
        back = np.argsort(order)
        return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}


def _point(domain: Domain, known: Known, row: int) -> Restriction | None:
    """Return the restriction to what a row gives of a column."""
    code = int(known.codes[row])
    if code < 0:
        return None
    share = np.zeros(domain.size)
    share[code] = 1.0
    if not isinstance(domain, NumericDomain) or known.ticks is None or np.isnan(known.ticks[row]):
        return Restriction(share)
    tick = np.array([known.ticks[row]])
    return Restriction(share, Pieces(np.array([code]), np.ones(1), tick, tick, domain.grid.discrete))


def _between(domain: Domain, low: float, high: float) -> Restriction | None:
    """Return the restriction to an interval of ticks; None where there is none, or nothing in it."""
    assert isinstance(domain, NumericDomain)
    low, high = max(low, domain.grid.low), min(high, domain.grid.high)
    if not domain.n_bins or low > high or (low, high) == (domain.grid.low, domain.grid.high):
        return None
    pieces = domain.pieces([(low, high)])
    share = np.append(np.minimum(pieces.share_of_bins(domain.n_bins), 1.0), [1.0] * domain.has_missing)
    return Restriction(share, pieces)
