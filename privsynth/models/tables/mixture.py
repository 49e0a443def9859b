"""A mixture of product distributions over coded columns: the generator of `MarginalSynthesizer`.

``p(x) = 1/K * sum_k prod_j P_j[k, x_j]``. Every 2-way marginal of the model is a block of one matrix
product, and conditioning on any set of columns is exact: columns are independent given the component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


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
