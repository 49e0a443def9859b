"""The shape inside bins: how likely each cell of a bin is. Post-processing: free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.noisy_cells import Cells

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

FAINT = 0.1  # deviations of a cell's noise that the cells of a bin in which nothing is seen hold together


def shape_in_bins(cells: Cells, bin_of_cell: IntArray, width: FloatArray, noise_std: float) -> FloatArray:
    """Return each cell's share of its bin.

    Clear cells of a bin share what they hold by their counts, shrunk towards a smooth shape: mixed with it by
    a James-Stein weight, what the counts vary beyond it over what they vary in all, so that pure noise gives
    the smooth shape. The others get no more than is left of them: a long tail in which nothing is seen would
    take over whatever a smooth shape gave it. But they get a little, however many they are: a rare value at
    the end of a line is not to be ruled out.

    Args:
        cells: What is known of each cell.
        bin_of_cell: Bin of each cell, ``(n_cells,)``.
        width: How much of the line each cell holds, ``(n_cells,)``; all alike where there is no line.
        noise_std: Standard deviation of the noise in each cell.
    """
    weight = np.zeros_like(cells.mass)
    for b in range(int(bin_of_cell.max()) + 1):
        own = np.flatnonzero(bin_of_cell == b)
        shape = np.maximum(cells.mass[own], 0.0)
        is_clear, is_faint = cells.is_clear[own], ~(cells.is_clear | cells.is_tail)[own]
        shape[is_faint] = np.maximum(shape[is_faint], FAINT * noise_std / max(int(is_faint.sum()), 1))
        if is_clear.any():
            clear = own[is_clear]
            shape[is_clear] = _shrunken(cells.mass[clear], width[clear], noise_std)
        if shape.sum() <= 0.0:
            shape = np.where(cells.is_tail[own].all() | ~cells.is_tail[own], 1.0, 0.0)
        weight[own] = shape / shape.sum()
    return weight


def _shrunken(counts: FloatArray, width: FloatArray, noise_std: float) -> FloatArray:
    """Return counts of cells, shrunk towards a smooth shape of the same sum."""
    total = max(float(counts.sum()), 0.0)
    smooth = _smooth_shape(counts, total, width)
    excess = counts - total * smooth
    spread = float((excess**2).sum())
    noise = noise_std**2 * (len(counts) - 1)
    keep = max(0.0, 1.0 - noise / spread) if spread > 0 and total > 0 else 0.0
    return np.maximum(total * smooth + keep * excess, 0.0)


def _smooth_shape(counts: FloatArray, total: float, width: FloatArray) -> FloatArray:
    """Return the mixture of equal shares by cell and by width that is nearest to the counts.

    Cells are logarithmic where the grid is: equal shares by cell are a heavy tail, by width a flat density.
    """
    by_cell = np.full(len(counts), 1.0 / len(counts))
    direction = width / width.sum() - by_cell
    length = total * float((direction**2).sum())
    flatness = float(((counts - total * by_cell) * direction).sum()) / length if length > 0 else 0.0
    return by_cell + min(max(flatness, 0.0), 1.0) * direction
