"""Blocks: rows that are drawn together, each by a generator of its own, so that any process draws the same.

What a block holds follows from the seed and the block's number. What is made afresh beside it, as keys and
texts, goes on from block to block, and is made in their order, by one process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.sampling.factors import Drawn
from privsynth.sampling.plan import Plan
from privsynth.sampling.table_model import TableModel

IntArray = NDArray[np.int64]

BLOCK_ROWS = 2**16


@dataclass(frozen=True)
class Block:
    """What is drawn together.

    Attributes:
        sizes: Rows, or persons, of each cell of the plan, ``(n_cells,)``.
        seed: That of all blocks of a request.
        number: The block's place among them.
    """

    sizes: IntArray
    seed: tuple[int, ...]
    number: int

    @property
    def n(self) -> int:
        """Rows, or persons, in all."""
        return int(self.sizes.sum())

    def generator(self) -> np.random.Generator:
        """Return the source of the block's draws, anew."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.number,)))


def cut(plan: Plan, rng: np.random.Generator, *, most: int) -> Iterator[Block]:
    """Cut a plan into blocks of ``most`` rows; the last may be smaller, and one there is.

    How many rows of each cell fall into a block is hypergeometric, as in a shuffled deck.
    """
    seed = tuple(rng.integers(2**32, size=4).tolist())
    left, n_left, number = plan.sizes.copy(), plan.n_rows, 0
    while True:
        n = min(n_left, most)
        sizes = left if n == n_left else rng.multivariate_hypergeometric(left, n, method="marginals")
        yield Block(sizes, seed, number)
        left, n_left, number = left - sizes, n_left - n, number + 1
        if not n_left:
            return


@dataclass(frozen=True)
class Part:
    """Rows of a table as they are drawn, without what is made beside them.

    Attributes:
        columns: Codes or ticks of each modelled column, ``(n_rows,)``.
        n_rows: How many they are.
        above: Of each row its person's place in the block, or its parent's among the rows of the parent's
            table; None where it has neither.
    """

    columns: Mapping[str, Drawn]
    n_rows: int
    above: IntArray | None = None


Made = Callable[[int, Mapping[str, "PartSize"]], dict[str, dict[str, pd.Series]]]
"""Makes the columns beside a block's parts, given its persons or rows: those of each table by their names."""


@dataclass(frozen=True)
class PartSize:
    """What a part's made columns depend on; attributes as of `Part`."""

    n_rows: int
    above: IntArray | None


class Drawing(ABC):
    """Draws the blocks of a plan, in any process: it can be sent to another.

    Attributes:
        plan: Rows or persons to draw.
        most: How many of them make a block.
    """

    plan: Plan
    most: int

    @property
    @abstractmethod
    def tables(self) -> Mapping[str, TableModel]:
        """The tables that rows are drawn of, under their schemas; one that stands alone has no name."""

    @abstractmethod
    def draw(self, block: Block) -> dict[str, Part]:
        """Draw a block: the rows of each table."""

    @abstractmethod
    def made(self, rng: np.random.Generator) -> Made:
        """Return what makes the columns beside them, to be called block after block."""

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        """Cut the plan into blocks."""
        return cut(self.plan, rng, most=self.most)

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return max(1, -(-self.plan.n_rows // self.most))
