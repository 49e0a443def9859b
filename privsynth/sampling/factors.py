"""Factors of a component: columns that are drawn together, independent of all others given the component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import Domain, NumericDomain, Pieces
from privsynth.domains.systematic import Distributions
from privsynth.sampling.conditions import Restriction

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Drawn = NDArray[np.int64] | NDArray[np.float64]  # codes of a discrete column, or ticks with NaN for missing


class Prepared(Protocol):
    """A factor under restrictions, ready to draw from."""

    @property
    def mass(self) -> FloatArray | None:
        """Each component's probability of what the restrictions allow, ``(K,)``; None if all of it."""
        ...

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw values of the factor's columns for rows whose components are given."""
        ...


class Factor(Protocol):
    """Columns that are drawn together given the component."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    def prepare(self, restrictions: Mapping[str, Restriction]) -> Prepared:
        """Return the factor under restrictions on its columns (those on others are none of its business)."""
        ...

    def weigh(self, weights: FloatArray, known: Mapping[str, IntArray]) -> None:
        """Multiply components' weights by the probability of known codes of the factor's columns.

        Args:
            weights: One row for each combination of known codes, ``(n, K)``; changed in place.
            known: Codes by column, ``(n,)``, -1 for unknown; satisfying the factor's constraint, if any.
        """
        ...


@dataclass(frozen=True)
class ColumnFactor:
    """One column by itself.

    Attributes:
        name: Of the column.
        domain: Of the column.
        block: The components' probabilities, ``(K, n_codes)``.
    """

    name: str
    domain: Domain
    block: NDArray[np.float32]

    @property
    def columns(self) -> tuple[str, ...]:
        """The column's name."""
        return (self.name,)

    @property
    def probabilities(self) -> NDArray[np.floating]:
        """The components' probabilities of each code, ``(K, n_codes)``."""
        return self.block

    @cached_property
    def _free(self) -> PreparedColumn:
        return PreparedColumn(self, None)

    def prepare(self, restrictions: Mapping[str, Restriction]) -> PreparedColumn:
        """Return the column under a restriction, or free."""
        restriction = restrictions.get(self.name)
        return self._free if restriction is None else PreparedColumn(self, restriction)

    def weigh(self, weights: FloatArray, known: Mapping[str, IntArray]) -> None:
        """Multiply components' weights by the probability of known codes."""
        multiply_by_blocks(weights, self.columns, (self.block,), known)


def multiply_by_blocks(
    weights: FloatArray,
    columns: Sequence[str],
    blocks: Sequence[NDArray[np.float32]],
    known: Mapping[str, IntArray],
) -> None:
    """Multiply components' weights by the probability of the known codes of columns that have a block."""
    for name, block in zip(columns, blocks, strict=False):
        if name in known:
            rows = np.flatnonzero(known[name] >= 0)
            weights[rows] *= block.T[known[name][rows]]


@dataclass(frozen=True)
class PreparedColumn:
    """A column under a restriction."""

    factor: ColumnFactor
    restriction: Restriction | None

    @cached_property
    def mass(self) -> FloatArray | None:
        """Each component's probability of what is allowed, ``(K,)``."""
        if self.restriction is None:
            return None
        return self.factor.block.astype(np.float64) @ self.restriction.share

    @cached_property
    def _codes(self) -> Distributions:
        block = self.factor.block
        return Distributions(block if self.restriction is None else block * self.restriction.share)

    @cached_property
    def _pieces(self) -> Pieces | None:
        assert isinstance(self.factor.domain, NumericDomain)
        return self.factor.domain.pieces() if self.restriction is None else self.restriction.pieces

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw codes, and for numbers ticks within their bins."""
        codes = self._draw_codes(component, rng)
        domain = self.factor.domain
        if not isinstance(domain, NumericDomain):
            return {self.factor.name: codes}
        return {self.factor.name: draw_ticks(domain, self._pieces, codes, rng)}

    def _draw_codes(self, component: IntArray, rng: np.random.Generator) -> IntArray:
        if self.restriction is not None:
            allowed = np.flatnonzero(self.restriction.share)
            if len(allowed) == 1:
                return np.full(len(component), allowed[0], dtype=np.int64)
        return self._codes.draw(component, rng)


def draw_ticks(
    domain: NumericDomain, pieces: Pieces | None, codes: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Draw a tick for each code of a number line; NaN for the code of missing."""
    if not domain.has_missing:
        return pieces.draw(codes, rng) if pieces is not None else np.full(len(codes), np.nan)
    ticks = np.full(len(codes), np.nan)
    present = codes < domain.n_bins
    if pieces is not None and present.any():
        ticks[present] = pieces.draw(codes[present], rng)
    return ticks
