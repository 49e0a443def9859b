"""Several targets met together: the cells on which they meet, and whole rows that satisfy all of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privsynth.errors import RequestError
from privsynth.sampling.axes import MAX_CELLS, NO_CELLS, Axis, CellTable
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.rounding import Margin, MarginsError, fit_margins, largest_remainder, whole_table
from privsynth.sampling.table_model import PreparedModel, TableModel
from privsynth.sampling.targets import Target

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """The targets of a request, and the cells on which they are met together."""

    targets: tuple[Target, ...]
    prepared: PreparedModel
    margins: tuple[IntArray, ...]  # cell of each target in which each cell lies; -1 outside


def lay_out(
    model: TableModel,
    restrictions: Mapping[str, Restriction],
    targets: Sequence[Target],
    axes: Sequence[Axis] = (),
) -> Layout:
    """Lay targets out on common cells: a single one on its own, several on the product of their columns."""
    if len(targets) == 1 and not axes:
        prepared = PreparedModel(model, restrictions, targets[0].table)
        return Layout(tuple(targets), prepared, (np.arange(len(targets[0].table)),))
    table = _product([*(target.table for target in targets), *_whole_axes(axes)])
    margins = tuple(_project(table, target.table) for target in targets)
    return Layout(tuple(targets), PreparedModel(model, restrictions, table), margins)


def _whole_axes(axes: Sequence[Axis]) -> list[CellTable]:
    return [CellTable((axis,), np.arange(len(axis))[:, None]) for axis in axes]


def _product(tables: Sequence[CellTable]) -> CellTable:
    """Return every combination of the parts that occur in all tables that cut a column."""
    if not tables:
        return NO_CELLS
    axes: dict[str, Axis] = {}
    used: dict[str, set[int]] = {}
    for table in tables:
        for position, axis in enumerate(table.axes):
            if axis.name in axes and not axes[axis.name].same_parts(axis):
                raise RequestError(
                    f"{axis.name!r} is cut into different parts by two targets; name the same ranges in both"
                )
            axes[axis.name] = axis
            parts = set(table.cells[:, position].tolist())
            used[axis.name] = used.get(axis.name, parts) & parts
    n_cells = math.prod(len(parts) for parts in used.values())
    if not 0 < n_cells <= MAX_CELLS:
        raise RequestError(
            f"the targets together make {n_cells} cells, and 1 to {MAX_CELLS} can be met; ask for fewer "
            "columns at once"
        )
    cells = np.array(list(itertools.product(*(sorted(parts) for parts in used.values()))), dtype=np.int64)
    return CellTable(tuple(axes.values()), cells.reshape(n_cells, len(axes)))


def _project(table: CellTable, onto: CellTable) -> IntArray:
    """Return the cell of ``onto`` in which each cell of a larger table lies, -1 where there is none."""
    position = {axis.name: i for i, axis in enumerate(table.axes)}
    shared = table.cells[:, [position[axis.name] for axis in onto.axes]]
    shape = tuple(len(axis) for axis in onto.axes)
    if math.prod(shape) >= 2**62:
        raise RequestError(f"{math.prod(shape)} cells are too many to be met together with other targets")
    keys = np.ravel_multi_index(tuple(onto.cells.T), shape)
    order = np.argsort(keys)
    wanted = np.ravel_multi_index(tuple(shared.T), shape)
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][at] == wanted, order[at], -1)


# -- whole rows ----------------------------------------------------------------------------------------


def rows_of_cells(layout: Layout, n: int, rng: np.random.Generator) -> IntArray:
    """Return the rows of each cell: every target is met exactly."""
    targets = layout.targets
    if not targets:
        return np.array([n], dtype=np.int64)
    if n == 0:
        return np.zeros(len(layout.prepared.table), dtype=np.int64)
    if len(targets) == 1 and len(layout.prepared.table.axes) == len(targets[0].table.axes):
        return _own_sizes(targets[0], n, rng)
    margins = _whole_margins(targets, n, rng)
    seed = layout.prepared.masses.copy()
    for projection in layout.margins:
        seed[projection < 0] = 0.0
    groups = [Margin(np.maximum(p, 0), sizes) for p, sizes in zip(layout.margins, margins, strict=True)]
    try:
        return whole_table(fit_margins(seed, groups), groups, rng)
    except MarginsError as error:
        raise RequestError(
            f"{targets[error.margin].where}: this cannot be met together with the other targets: they "
            "contradict one another, or need combinations that the conditions or the model exclude"
        ) from None


def _own_sizes(target: Target, n: int, rng: np.random.Generator) -> IntArray:
    if target.is_count:
        return np.rint(target.amounts).astype(np.int64)
    return largest_remainder(target.amounts, n, rng)


def as_counts(targets: Sequence[Target], n: int, rng: np.random.Generator) -> list[Target]:
    whole = _whole_margins(targets, n, rng)
    return [
        replace(target, amounts=sizes.astype(np.float64), is_count=True)
        for target, sizes in zip(targets, whole, strict=True)
    ]


def _whole_margins(targets: Sequence[Target], n: int, rng: np.random.Generator) -> list[IntArray]:
    """Round each target to rows; one that shares columns with targets before it keeps their sums."""
    out: list[IntArray] = []
    for i, target in enumerate(targets):
        shared = [m for j in range(i) if (m := _shared_margin(targets[j], out[j], target)) is not None]
        if not shared or target.is_count:
            sizes = _own_sizes(target, n, rng)
            if any((margin.of(sizes) != margin.totals).any() for margin in shared):
                raise _disagreement(target)
        else:
            try:
                sizes = whole_table(fit_margins(target.amounts * n, shared), shared, rng)
            except MarginsError:
                raise _disagreement(target) from None
            if np.abs(sizes - target.amounts * n).max() > len(shared) + 1.0:
                raise _disagreement(target)
        out.append(sizes)
    return out


def _disagreement(target: Target) -> RequestError:
    return RequestError(f"{target.where}: this disagrees with another target about a column that both name")


def _shared_margin(first: Target, sizes: IntArray, second: Target) -> Margin | None:
    """Return what the sizes of one target say about another over the columns that both name."""
    names = [axis.name for axis in first.table.axes]
    shared = [axis.name for axis in second.table.axes if axis.name in names]
    if not shared:
        return None
    ours = first.table.cells[:, [names.index(name) for name in shared]]
    names = [axis.name for axis in second.table.axes]
    theirs = second.table.cells[:, [names.index(name) for name in shared]]
    _, group = np.unique(np.concatenate([ours, theirs]), axis=0, return_inverse=True)
    group = group.reshape(-1)
    totals = np.bincount(group[: len(ours)], weights=sizes, minlength=int(group.max()) + 1)
    return Margin(group[len(ours) :], np.rint(totals).astype(np.int64))


def amounts_on(
    model: TableModel,
    restrictions: Mapping[str, Restriction],
    targets: Sequence[Target],
    axes: Sequence[Axis],
    n: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the amounts of each combination of some axes: rows under the targets that touch them, else the
    model's masses; one array axis an axis."""
    touching = [t for t in targets if {a.name for a in t.table.axes} & {a.name for a in axes}]
    layout = lay_out(model, restrictions, touching, axes)
    amounts = rows_of_cells(layout, n, rng) if touching else layout.prepared.masses
    table = layout.prepared.table
    position = {axis.name: i for i, axis in enumerate(table.axes)}
    out = np.zeros(tuple(len(axis) for axis in axes))
    np.add.at(out, tuple(table.cells[:, position[axis.name]] for axis in axes), amounts)
    return out
