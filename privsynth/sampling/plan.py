"""From a request to a plan: which cells get how many rows, exactly, checked against what is known of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.sampling.axes import MAX_CELLS, Axis, CellTable
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.parity import decorrelated_columns, parity_target
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rounding import Margin, MarginsError, fit_margins, largest_remainder, whole_table
from privsynth.sampling.support import SUPPORT_MARGIN, noise_of_cells
from privsynth.sampling.table_model import PreparedModel, TableModel
from privsynth.sampling.targets import Target, balance_target, like_target, proportions_targets

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NO_CELLS = CellTable((), np.zeros((1, 0), dtype=np.int64))


@dataclass(frozen=True)
class Plan:
    """What will be drawn.

    Attributes:
        prepared: The model under the conditions, cut into cells.
        sizes: Rows of each cell, ``(n_cells,)``.
        warnings: What the caller should know before trusting the rows.
        groups: Columns that parity takes as groups.
        decorrelated: Columns that shall not depend on them.
    """

    prepared: PreparedModel
    sizes: IntArray
    warnings: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    decorrelated: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows in all."""
        return int(self.sizes.sum())


@dataclass(frozen=True)
class _Layout:
    """The targets of a request, and the cells on which they are met together."""

    targets: tuple[Target, ...]
    prepared: PreparedModel
    margins: tuple[IntArray, ...]  # cell of each target in which each cell lies; -1 outside


def make_plan(
    model: TableModel, request: SampleRequest, rng: np.random.Generator, *, only_look: bool = False
) -> Plan:
    """Decide how many rows each cell gets.

    Args:
        model: The fitted model.
        request: What is asked for.
        rng: Decides between cells that have the same claim to a row.
        only_look: Neither refuse nor drop cells for want of support.

    Raises:
        RequestError: If the request is malformed, or its targets contradict one another.
        UnsupportedRequestError: If the model knows nothing about a cell that is asked for.

    Privacy:
        Post-processing.
    """
    model.require_feasible()
    restrictions = model.restrictions(request.conditions)
    targets = _targets(model, request, restrictions)
    warnings: list[str] = []
    on_unsupported = None if only_look else request.on_unsupported
    if restrictions or targets:
        targets, warnings = _supported(model, restrictions, targets, on_unsupported)
    n = _n_rows(model, request, targets)
    if request.parity is not None:
        target, told = parity_target(
            request.parity,
            lambda axes: _amounts_on(model, restrictions, targets, axes, n, rng),
            model,
            n,
            rng,
        )
        (target,), found = _supported(model, restrictions, [target], on_unsupported)
        targets, warnings = [*targets, target], [*warnings, *found, *told]
    layout = _layout(model, restrictions, targets)
    sizes = _sizes(layout, n, rng)
    told = [*warnings, *_warnings_of_layout(layout, sizes)]
    if request.parity is None:
        return Plan(layout.prepared, sizes, tuple(told))
    taken = {*restrictions, *(axis.name for axis in layout.prepared.table.axes)}
    decorrelated = decorrelated_columns(request.parity, model, taken)
    return Plan(layout.prepared, sizes, tuple(told), request.parity.groups, decorrelated)


def support_table(model: TableModel, request: SampleRequest, rng: np.random.Generator) -> pd.DataFrame:
    """Say for each cell of a request how many rows are asked for and how many real units stand behind it.

    Returns:
        One row per cell: the columns that are cut, ``requested`` rows, ``model_mass`` (probability under
        the model), ``units`` (that times the noisy number of units) and ``noise_std`` of the smallest
        measured table that covers the columns asked for (missing if none does), in units.

    Privacy:
        Post-processing.
    """
    plan = make_plan(model, request, rng, only_look=True)
    prepared = plan.prepared
    table = prepared.table
    out: dict[str, Any] = {
        axis.name: pd.Series([axis.labels[part] for part in parts], dtype=object).infer_objects()
        for axis, parts in zip(table.axes, table.cells.T, strict=True)
    }
    out["requested"] = plan.sizes
    out["model_mass"] = prepared.masses
    out["units"] = prepared.masses * model.n_units
    out["noise_std"] = noise_of_cells(model, prepared.restrictions, table)
    return pd.DataFrame(out)


def _targets(
    model: TableModel, request: SampleRequest, restrictions: Mapping[str, Restriction]
) -> list[Target]:
    targets = []
    if request.balance is not None:
        targets.append(balance_target(request.balance, model.domains, restrictions))
    if request.proportions is not None:
        targets += proportions_targets(request.proportions, model.domains, restrictions)
    if request.like is not None:
        targets.append(like_target(request.like, model.domains, restrictions))
    return [_filled(model, restrictions, target) for target in targets]


def _filled(model: TableModel, restrictions: Mapping[str, Restriction], target: Target) -> Target:
    """Give what a marginal leaves over to the values that it does not name, as the model has them."""
    unnamed = np.isnan(target.amounts)
    if not unnamed.any():
        return target
    masses = PreparedModel(model, restrictions, target.table).masses[unnamed]
    amounts = target.amounts.copy()
    rest = 1.0 - amounts[~unnamed].sum()
    amounts[unnamed] = rest * masses / masses.sum() if masses.sum() > 0 else 0.0
    return replace(target, amounts=amounts)


def _n_rows(model: TableModel, request: SampleRequest, targets: Sequence[Target]) -> int:
    counts = {target.where: int(target.amounts.sum()) for target in targets if target.is_count}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{total} ({where})" for where, total in counts.items())
        raise RequestError(f"the counts asked for add up to different numbers of rows: {listed}")
    if counts:
        total = next(iter(counts.values()))
        if request.n is not None and request.n != total and request.on_unsupported != "drop":
            raise RequestError(
                f"the counts asked for add up to {total} rows, and n={request.n}; leave n out, or give shares"
            )
        return total
    return max(1, round(model.n_units)) if request.n is None else int(request.n)


# -- cells on which all targets are met ----------------------------------------------------------------


def _layout(
    model: TableModel,
    restrictions: Mapping[str, Restriction],
    targets: Sequence[Target],
    axes: Sequence[Axis] = (),
) -> _Layout:
    """Lay targets out on common cells: a single one on its own, several on the product of their columns."""
    if len(targets) == 1 and not axes:
        prepared = PreparedModel(model, restrictions, targets[0].table)
        return _Layout(tuple(targets), prepared, (np.arange(len(targets[0].table)),))
    table = _product([*(target.table for target in targets), *_whole_axes(axes)])
    margins = tuple(_project(table, target.table) for target in targets)
    return _Layout(tuple(targets), PreparedModel(model, restrictions, table), margins)


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


def _sizes(layout: _Layout, n: int, rng: np.random.Generator) -> IntArray:
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


def _amounts_on(
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
    layout = _layout(model, restrictions, touching, axes)
    amounts = _sizes(layout, n, rng) if touching else layout.prepared.masses
    table = layout.prepared.table
    position = {axis.name: i for i, axis in enumerate(table.axes)}
    out = np.zeros(tuple(len(axis) for axis in axes))
    np.add.at(out, tuple(table.cells[:, position[axis.name]] for axis in axes), amounts)
    return out


# -- whether it can be done ----------------------------------------------------------------------------


def _supported(
    model: TableModel,
    restrictions: Mapping[str, Restriction],
    targets: Sequence[Target],
    on_unsupported: str | None,
) -> tuple[list[Target], list[str]]:
    """Check every cell that a target names; return the targets with what is dropped, and warnings.

    Raises:
        UnsupportedRequestError: If a cell has less than one unit behind it and is to be an error, nothing
            is left, or nothing can be drawn from it at all.
    """
    checked = list(targets) or [Target("conditions", NO_CELLS, np.ones(1), False)]
    out, warnings = [], []
    for target in checked:
        prepared = PreparedModel(model, restrictions, target.table)
        units = prepared.masses * model.n_units
        asked = target.amounts > 0
        if target.is_trivial is not None:
            asked &= ~target.is_trivial
        empty = asked & (units < 1.0)
        noise = np.nan_to_num(noise_of_cells(model, restrictions, target.table))
        noisy = asked & ~empty & (units < SUPPORT_MARGIN * noise)
        if empty.any() and on_unsupported is not None:
            impossible = (prepared.masses[empty] <= 0.0).any()
            warnings.append(_unsupported(target, empty, asked, bool(impossible), on_unsupported))
            if on_unsupported == "drop":
                target = target.without(empty)
        if noisy.any():
            which = _listed(target.table, noisy)
            warnings.append(f"the real count behind {which} is within the noise of what was measured")
        out.append(target)
    return out if targets else [], warnings


def _unsupported(
    target: Target, empty: BoolArray, asked: BoolArray, impossible: bool, on_unsupported: str
) -> str:
    """Return the warning about cells without support, or raise."""
    text = f"the model has less than one unit behind {_listed(target.table, empty)}"
    if on_unsupported == "error" or (on_unsupported == "warn" and impossible):
        raise UnsupportedRequestError(
            f"{text}; ask for other cells, or pass on_unsupported='drop' to leave these out"
            + ("" if impossible else " or 'warn' to extrapolate")
        )
    if on_unsupported == "drop" and not (asked & ~empty).any():
        raise UnsupportedRequestError("the model has less than one unit behind every cell asked for")
    if on_unsupported == "drop":
        return text + (": left out, and their rows with them" if target.is_count else ": left out")
    return f"{text}: extrapolated"


def _warnings_of_layout(layout: _Layout, sizes: IntArray) -> list[str]:
    """Warn of cells that no target names by itself, but that meeting several together fills."""
    if len(layout.targets) < 2:
        return []
    prepared = layout.prepared
    faint = (sizes > 0) & (prepared.masses * prepared.model.n_units < 1.0)
    if not faint.any():
        return []
    return [
        f"meeting the targets together fills {_listed(prepared.table, faint)}, behind which the model has "
        "less than one unit: extrapolated"
    ]


def _listed(table: CellTable, cells: BoolArray) -> str:
    at = np.flatnonzero(cells)
    names = ", ".join(table.label(cell) for cell in at[:8])
    return names + (f" and {len(at) - 8} more cells" if len(at) > 8 else "")
