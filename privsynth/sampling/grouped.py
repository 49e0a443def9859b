"""Columns of many values: rare neighbours share a code of the model, and part again when rows are drawn.

A block of the mixture over seventy thousand values would hold as many numbers for each component. It is held
over groups instead, beside one released share for each value within its group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.coding import TextCoding
from privsynth.domains.encoding import DiscreteDomain
from privsynth.domains.systematic import Distributions
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.factors import Drawn

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ValueGroups:
    """A discrete column whose rare values share codes with their neighbours in the list of values.

    Attributes:
        domain: The column's whole domain.
        group_of_code: Group of each code, ``(domain.size,)``; "other" and missing stay alone.
        share: Released share of each code within its group, ``(domain.size,)``.
    """

    domain: DiscreteDomain
    group_of_code: IntArray
    share: FloatArray

    @property
    def size(self) -> int:
        """Number of groups."""
        return int(self.group_of_code.max()) + 1

    @cached_property
    def coding(self) -> TextCoding:
        """How values become codes: that of their group."""
        group = [*self.group_of_code.tolist(), -1]
        whole = self.domain.coding
        return TextCoding(
            code_of={text: group[code] for text, code in whole.code_of.items()},
            other=group[whole.other],
            missing=group[whole.missing],
            size=self.size,
        )

    def share_of_groups(self, share: FloatArray) -> FloatArray:
        """Return how much of each group is allowed, from how much of each code is, ``(size,)``."""
        return np.bincount(self.group_of_code, weights=self.share * share).astype(np.float64)

    def spread(self, probabilities: NDArray[Any], axis: int = 1) -> NDArray[Any]:
        """Return the probabilities of each code along one axis, from those of the groups."""
        shape = [1] * probabilities.ndim
        shape[axis] = -1
        share = self.share.astype(probabilities.dtype).reshape(shape)
        return np.take(probabilities, self.group_of_code, axis=axis) * share


@dataclass(frozen=True)
class GroupedFactor:
    """One column by itself, over groups of its values.

    Attributes:
        groups: The column's groups.
        block: The components' probabilities of the groups, ``(K, n_groups)``.
    """

    groups: ValueGroups
    block: NDArray[np.float32]

    @property
    def columns(self) -> tuple[str, ...]:
        """The column's name."""
        return (self.groups.domain.column.name,)

    @property
    def probabilities(self) -> NDArray[np.floating]:
        """The components' probabilities of each code, ``(K, n_codes)``."""
        return self.groups.spread(self.block)

    @cached_property
    def _free(self) -> PreparedGroups:
        return PreparedGroups(self, None)

    def prepare(self, restrictions: Mapping[str, Restriction]) -> PreparedGroups:
        """Return the column under a restriction, or free."""
        restriction = restrictions.get(self.columns[0])
        return self._free if restriction is None else PreparedGroups(self, restriction.share)

    def weigh(self, weights: FloatArray, known: Mapping[str, IntArray]) -> None:
        """Multiply components' weights by the probability of known codes."""
        codes = known.get(self.columns[0])
        if codes is None:
            return
        rows = np.flatnonzero(codes >= 0)
        code = codes[rows]
        weights[rows] *= self.block.T[self.groups.group_of_code[code]] * self.groups.share[code][:, None]


@dataclass(frozen=True)
class PreparedGroups:
    """A grouped column under a restriction: how much of each code is allowed, None for all."""

    factor: GroupedFactor
    allowed: FloatArray | None

    @cached_property
    def _share_of_codes(self) -> FloatArray:
        share = self.factor.groups.share
        return share if self.allowed is None else share * self.allowed

    @cached_property
    def _share_of_groups(self) -> FloatArray:
        groups = self.factor.groups
        return groups.share_of_groups(np.ones(len(groups.share)) if self.allowed is None else self.allowed)

    @cached_property
    def mass(self) -> FloatArray | None:
        """Each component's probability of what is allowed, ``(K,)``."""
        return None if self.allowed is None else self.factor.block.astype(np.float64) @ self._share_of_groups

    @cached_property
    def _groups(self) -> Distributions:
        return Distributions(self.factor.block * self._share_of_groups)

    @cached_property
    def _codes(self) -> tuple[IntArray, Distributions]:
        """Return the codes in the order of their groups, and what chooses among those of a group."""
        groups = self.factor.groups
        order = np.argsort(groups.group_of_code, kind="stable")
        runs = Distributions.of_runs(
            self._share_of_codes[order], groups.group_of_code[order], n_rows=groups.size
        )
        return order, runs

    def draw(self, component: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw a group for each row, and a code within it."""
        order, within = self._codes
        group = self._groups.draw(component, rng)
        return {self.factor.columns[0]: order[within.draw(group, rng)]}
