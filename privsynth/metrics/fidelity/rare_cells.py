"""How rare combinations fare: cells of pairs of columns, sorted by how often they occur in the source."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from privsynth.metrics.common.baselines import Compared, figure_of
from privsynth.metrics.common.marginals import Coded, marginal_shares

BANDS = (
    ("never", 0.0, 0.0),
    ("below 0.1 %", 0.0, 1e-3),
    ("0.1 to 1 %", 1e-3, 1e-2),
    ("1 % and more", 1e-2, 1.0),
)
"""Name and limits of the share of a cell in the reference, the lower one left out."""


def compare_rare_cells(
    reference: Coded, judged: dict[Compared, Coded], names: Sequence[str], sizes: dict[str, int]
) -> list[dict[str, Any]]:
    """Return for each band of rarity what share of the rows falls into its cells, and how wrong they are.

    Args:
        reference: The source's rows in codes.
        judged: The tables to judge in codes.
        names: The columns; all pairs of them are looked at, and their mean is returned.
        sizes: Number of codes of each column.

    Returns:
        Band, ``reference`` (share of its rows in such cells, mean over pairs) and the figures ``share``,
        ``error`` (sum of absolute differences over the cells' share in the reference) and ``vanished`` (share
        of the cells that no row is in); the latter two None for the band of cells that never occur.

    Privacy:
        Not private: figures of real records.
    """
    pairs = list(itertools.combinations(names, 2))
    if not pairs:
        return []
    totals = {name: np.zeros((len(BANDS), 3)) for name in judged}  # share, absolute difference, empty cells
    in_reference, n_cells = np.zeros(len(BANDS)), np.zeros(len(BANDS))
    for pair in pairs:
        expected, *found = marginal_shares([reference, *judged.values()], pair, sizes)
        band = np.select([(expected > low) & (expected <= high) for _, low, high in BANDS[1:]], [1, 2, 3], 0)
        in_reference += np.bincount(band, expected, len(BANDS))
        n_cells += np.bincount(band, minlength=len(BANDS))
        for name, shares in zip(judged, found, strict=True):
            for column, values in enumerate((shares, np.abs(shares - expected), (shares == 0) * 1.0)):
                totals[name][:, column] += np.bincount(band, values, len(BANDS))
    out = []
    for i, (label, _, _) in enumerate(BANDS):
        occurs = i > 0 and n_cells[i] > 0
        out.append(
            {
                "band": label,
                "reference": in_reference[i] / len(pairs),
                "n_cells": int(n_cells[i]) if i > 0 else None,
                "share": figure_of({name: total[i, 0] / len(pairs) for name, total in totals.items()}),
                "error": figure_of({n: t[i, 1] / in_reference[i] for n, t in totals.items()})
                if occurs
                else None,
                "vanished": figure_of({n: t[i, 2] / n_cells[i] for n, t in totals.items()})
                if occurs
                else None,
            }
        )
    return out
