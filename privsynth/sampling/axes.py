"""Axes: a column of a request cut into parts, and cells, the combinations of parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain
from privsynth.errors import RequestError
from privsynth.sampling.conditions import Restriction, code_of, restrict
from privsynth.sampling.values import is_missing, plain_value, range_of

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MAX_CELLS = 100_000
OVERLAP = 1e-9  # shares of a bin that two parts may both claim, by rounding


@dataclass(frozen=True)
class Axis:
    """A column cut into disjoint parts.

    Attributes:
        name: Of the column.
        labels: What each part is called: its value, None for missing, or a range as text.
        parts: What each part leaves of the column.
    """

    name: str
    labels: tuple[Any, ...]
    parts: tuple[Restriction, ...]

    def __len__(self) -> int:
        return len(self.parts)

    def same_parts(self, other: Axis) -> bool:
        """Whether another axis cuts the same column alike."""
        return self.labels == other.labels


@dataclass(frozen=True)
class CellTable:
    """Combinations of parts.

    Attributes:
        axes: The columns that are cut.
        cells: Part of each axis, one row a combination, ``(n_cells, n_axes)``.
    """

    axes: tuple[Axis, ...]
    cells: IntArray

    def __len__(self) -> int:
        return len(self.cells)

    def label(self, cell: int) -> str:
        """Return the name of a cell for messages."""
        if not self.axes:
            return "the conditions"
        parts = zip(self.axes, self.cells[cell], strict=True)
        return " x ".join(f"{axis.name}={axis.labels[part]}" for axis, part in parts)


NO_CELLS = CellTable((), np.zeros((1, 0), dtype=np.int64))  # one cell that is not cut at all


def full_axis(domain: Domain) -> Axis:
    """Return the axis of every code of a discrete column, ``other`` and missing included."""
    assert isinstance(domain, DiscreteDomain)
    one_hot = np.eye(domain.size)
    return Axis(domain.column.name, tuple(domain.labels), tuple(Restriction(row) for row in one_hot))


def bin_axis(domain: NumericDomain) -> Axis:
    """Return the axis of every bin of a number line, missing included."""
    one_hot, pieces = np.eye(domain.size), domain.pieces()
    labels = [f"bin {code}" for code in range(domain.n_bins)] + [None] * domain.has_missing
    parts = [Restriction(one_hot[code], pieces) for code in range(domain.n_bins)]
    parts += [Restriction(one_hot[-1])] * domain.has_missing
    return Axis(domain.column.name, tuple(labels), tuple(parts))


def axis_of(domain: Domain, values: Sequence[Any], *, where: str) -> Axis:
    """Return the axis on which values of a request lie.

    Args:
        domain: Of the column. A discrete column is always cut into all of its codes.
        values: What the request names: values, None for missing, or ranges of a number line, as in a
            condition.
        where: Part of the request, for messages.

    Raises:
        RequestError: If ranges overlap, or a value is malformed.
    """
    if isinstance(domain, DiscreteDomain):
        return full_axis(domain)
    labels, parts = [], []
    for value in values:
        label = part_label(domain, value, where=where)
        if label not in labels:
            labels.append(label)
            parts.append(restrict(domain, value))
    covered = np.sum([part.share for part in parts], axis=0)
    if (covered > 1.0 + OVERLAP).any():
        raise RequestError(f"{where}: the ranges of {domain.column.name!r} overlap")
    return Axis(domain.column.name, tuple(labels), tuple(parts))


def position_on(axis: Axis, domain: Domain, value: Any, *, where: str) -> int:
    """Return the part of an axis that a value of the request names.

    Raises:
        RequestError: If there is no such value.
    """
    if isinstance(domain, DiscreteDomain):
        if is_missing(value):
            if not domain.has_missing:
                raise RequestError(f"{where}: {axis.name!r} is never missing in the model")
            return domain.size - 1
        return code_of(domain, value, where=f"{where}: {axis.name!r}")
    return axis.labels.index(part_label(domain, value, where=where))


def part_label(domain: Domain, value: Any, *, where: str) -> Any:
    """Return what a part of a number line is called: a range as text, or the value; None is missing."""
    if is_missing(value):
        return None
    return str(range_of(domain.column, value, where=where) or plain_value(value))
