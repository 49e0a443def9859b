"""What stands behind a cell: the noise in the released count of the units in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from privsynth.sampling.axes import CellTable
from privsynth.sampling.conditions import Restriction
from privsynth.sampling.table_model import TableModel

FloatArray = NDArray[np.float64]

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
