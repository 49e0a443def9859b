"""A mixture of product distributions over coded columns: the generator of `MarginalSynthesizer`.

``p(x) = 1/K * sum_k prod_j P_j[k, x_j]``. Every 2-way marginal of the model is a block of one matrix
product, and conditioning on any set of columns is exact: columns are independent given the component.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class ProductMixture:
    """K components of equal weight, each with one probability vector per column.

    Attributes:
        columns: Column names, in order.
        blocks: For each column the components' probabilities, ``(K, n_codes)`` float32; rows sum to 1.
    """

    columns: tuple[str, ...]
    blocks: tuple[NDArray[np.float32], ...]

    @property
    def n_components(self) -> int:
        """Number of components, K."""
        return len(self.blocks[0])

    @cached_property
    def _cumulative(self) -> tuple[FloatArray, ...]:
        return tuple(_cumulative(block.astype(np.float64)) for block in self.blocks)

    def table(self, columns: Sequence[str]) -> FloatArray:
        """Return the joint probabilities of some columns, one axis a column."""
        blocks = [self.blocks[self.columns.index(name)].astype(np.float64) for name in columns]
        joint = blocks[0]
        for block in blocks[1:-1]:
            joint = (joint[:, :, None] * block[:, None, :]).reshape(self.n_components, -1)
        shape = tuple(block.shape[1] for block in blocks)
        if len(blocks) == 1:
            return joint.mean(axis=0)
        return (joint.T @ blocks[-1] / self.n_components).reshape(shape)

    def component_mass(self, allowed: Mapping[str, FloatArray]) -> FloatArray:
        """Return each component's probability of a condition, ``(K,)``.

        Args:
            allowed: For each conditioned column, how much of each code is allowed, ``(n_codes,)`` in
                [0, 1].
        """
        mass = np.ones(self.n_components)
        for name, share in allowed.items():
            mass *= self.blocks[self.columns.index(name)].astype(np.float64) @ share
        return mass

    def draw(
        self, n: int, allowed: Mapping[str, FloatArray], rng: np.random.Generator
    ) -> dict[str, IntArray]:
        """Draw ``n`` rows of codes from the distribution conditioned on ``allowed``, without rejection.

        A component is drawn from its posterior, then every column from the component, restricted to what
        is allowed. Rows come grouped by component; the caller shuffles.

        Raises:
            ValueError: If the condition has no mass under the model.
        """
        mass = self.component_mass(allowed)
        possible = np.flatnonzero(mass)  # rounding inside the multinomial must not reach any other
        if not len(possible):
            raise ValueError("the condition has no mass under the model")
        per_component = rng.multinomial(n, mass[possible] / mass.sum())
        component = np.repeat(possible, per_component)
        codes = {}
        for position, name in enumerate(self.columns):
            if name in allowed:
                cumulative = _cumulative(self.blocks[position].astype(np.float64) * allowed[name])
            else:
                cumulative = self._cumulative[position]
            codes[name] = _draw_codes(cumulative, component, rng)
        return codes


def _cumulative(probabilities: FloatArray) -> FloatArray:
    """Return cumulative probabilities along the codes, shifted by the component: one sorted line."""
    cumulative = np.cumsum(probabilities, axis=1)
    total = cumulative[:, -1:]
    cumulative = np.divide(cumulative, total, out=np.ones_like(cumulative), where=total > 0)
    return cumulative + np.arange(len(probabilities))[:, None]


def _draw_codes(cumulative: FloatArray, component: IntArray, rng: np.random.Generator) -> IntArray:
    """Draw one code for each row from its component, by inversion on the line of all components.

    A level stays below the end of its component, also where the sum is rounded: the code found is one
    whose step on the line is above zero.
    """
    n_components, n_codes = cumulative.shape
    below_one = 1.0 - np.spacing(float(n_components))
    level = component + below_one * rng.random(len(component))
    return np.searchsorted(cumulative.ravel(), level, side="right") - component * n_codes
