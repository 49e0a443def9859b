"""What stands behind a cell: real units and the noise in their count; what is refused for want of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from privsynth.errors import UnsupportedRequestError
from privsynth.sampling.axes import NO_CELLS, CellTable
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.layout import Layout
from privsynth.sampling.table_model import PreparedModel, TableModel
from privsynth.sampling.targets import Target

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUPPORT_MARGIN = 2.0  # noise deviations below which the released count of a cell says little


def noise_of_cells(
    model: TableModel, restrictions: Mapping[str, Restriction], table: CellTable
) -> FloatArray:
    """Return the noise in the released count of each cell, from the best measured table that covers it.

    A cell that is the sum of ``m`` cells of a measured table carries ``sqrt(m)`` times its noise.

    Returns:
        In units, ``(n_cells,)``; NaN where no measured table has all columns that the request names.
    """
    position = {axis.name: i for i, axis in enumerate(table.axes)}
    named = set(position) | set(restrictions)
    best = np.full(len(table), np.inf)
    for measured in model.measured:
        if not named <= set(measured.columns):
            continue
        n_summed = np.ones(len(table))
        for name in measured.columns:
            if name in position:
                axis = table.axes[position[name]]
                sizes = np.array([float((part.share > 0).sum()) for part in axis.parts])
                n_summed *= sizes[table.cells[:, position[name]]]
            elif name in restrictions:
                n_summed *= float((restrictions[name].share > 0).sum())
            else:
                n_summed *= model.domains[name].size
        best = np.minimum(best, measured.noise_std * np.sqrt(n_summed))
    return np.where(np.isfinite(best), best, np.nan)


def supported(
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
            warnings.append(_unsupported(target, empty, asked, noisy, bool(impossible), on_unsupported))
            if on_unsupported == "drop":
                target = target.without(empty)
        if noisy.any():
            warnings.append(_within_noise(target, noisy))
        out.append(target)
    return out if targets else [], warnings


def _within_noise(target: Target, noisy: BoolArray) -> str:
    which = _listed(target.table, noisy)
    return f"the real count behind {which} is within the noise of what was measured"


def _unsupported(
    target: Target,
    empty: BoolArray,
    asked: BoolArray,
    noisy: BoolArray,
    impossible: bool,
    on_unsupported: str,
) -> str:
    """Return the warning about cells without support, or raise."""
    text = f"the model has less than one unit behind {_listed(target.table, empty)}"
    if on_unsupported == "error" or (on_unsupported == "warn" and impossible):
        also = f"; {_within_noise(target, noisy)}" if noisy.any() else ""
        raise UnsupportedRequestError(
            f"{text}{also}; ask for other cells, or pass on_unsupported='drop' to leave "
            f"{'those without a unit' if also else 'these'} out"
            + ("" if impossible else " or 'warn' to extrapolate")
        )
    if on_unsupported == "drop" and not (asked & ~empty).any():
        raise UnsupportedRequestError("the model has less than one unit behind every cell asked for")
    if on_unsupported == "drop":
        return text + (": left out, and nothing is drawn in their place" if target.is_count else ": left out")
    return f"{text}: extrapolated"


def warnings_of_layout(layout: Layout, sizes: IntArray) -> list[str]:
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
