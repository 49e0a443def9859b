"""What may be asked of the real records of one run, exact: the curator keeps them behind its door.

Who answers stands in `privsynth.counting`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.domains.coding import Coding
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.units import Weighting
from privsynth.schema import Column

IntArray = NDArray[np.int64]
T = TypeVar("T")


class CodedRows(Protocol):
    """Single rows, as the codes of their columns.

    Privacy:
        Not private: stays inside the curator.
    """

    weighting: Weighting
    """Which unit each row is of, and how much it weighs."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def take(self, rows: IntArray | slice) -> torch.Tensor:
        """Return some rows by their positions, with -1 outside a domain.

        Returns:
            ``(n_taken, n_columns)`` int64; with images int16, each row's pixels behind its codes.
        """
        ...


class SensitiveRecords(Protocol):
    """What a mechanism may ask of real records, wherever they lie.

    Privacy:
        Not private: every answer is exact and stays inside the curator.
    """

    weighting: Weighting
    """Rows that are used, and how much each weighs."""

    def tables(self, sets: Sequence[tuple[str, ...]], codings: Mapping[str, Coding]) -> Iterator[IntArray]:
        """Yield the counts of the joint codes of each set of columns, in grid steps, in their order.

        What is asked for together may be counted together, a table of others as their sum.
        """
        ...

    def cut_table(self, columns: tuple[str, ...], codings: Mapping[str, Coding], norm: float) -> IntArray:
        """Return the same, each unit's own counts cut to an L2 norm, in steps of ``1 / CUT_GRID``."""
        ...

    def observed(self, columns: Sequence[Column], at_least: int = 1) -> tuple[list[NDArray[Any]], IntArray]:
        """Return the rows of values that occur, column by column, and the count of each in grid steps.

        Those of fewer than ``at_least`` steps may be left out. Numbers are ticks, missing is None. Their
        order is that of the values: which of two comes first must not tell whose row does.
        """
        ...

    def rows(self, codings: Mapping[str, Coding]) -> CodedRows:
        """Return each row as the codes of its columns, in the order of ``codings``."""
        ...

    def once(self, what: Hashable, draw: Callable[[SecureRandom], T]) -> T:
        """Return what is drawn once a run, the same whenever it is asked for."""
        ...
