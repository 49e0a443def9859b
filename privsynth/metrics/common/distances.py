"""Distances of several tables from one, as figures: what is judged, and the references beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from privsynth.metrics.common.baselines import Compared, figure_of
from privsynth.metrics.common.estimates import figure, number
from privsynth.metrics.common.marginals import Coded, total_variation

MAX_PAIRS = 400
"""Pairs of columns compared; above it they are drawn by a fixed public seed."""

_PAIRS_SEED = 0  # public and fixed: the same pairs for every table of one schema

Pair = TypeVar("Pair")


def distances(
    source: Coded | None,
    judged: Mapping[Compared, Coded | None],
    columns: Sequence[str],
    sizes: dict[str, int],
) -> dict[str, Any]:
    """Return the distance of each table from the source as a figure; undefined where a side is empty.

    Privacy:
        Not private: figures of real records.
    """
    return figure_of(
        {
            name: None
            if source is None or of_one is None
            else total_variation(of_one, source, columns, sizes)
            for name, of_one in judged.items()
        }
    )


def mean_figure(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of figures, of each side over those that have it.

    Privacy:
        Not private: of figures of real records.

    Example:
        >>> mean_figure([figure(0.25, floor=0.5), figure(0.75)])["value"]
        0.5
    """

    def mean_of(key: str) -> float | None:
        values = [each[key] for each in figures if each[key] is not None]
        return number(float(np.mean(values))) if values else None

    return figure(mean_of("value"), ceiling=mean_of("ceiling"), floor=mean_of("floor"))


def some_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return all pairs of columns, or `MAX_PAIRS` of them.

    Privacy:
        Public: reads no record.
    """
    if len(pairs) <= MAX_PAIRS:
        return list(pairs)
    chosen = np.random.default_rng(_PAIRS_SEED).permutation(len(pairs))[:MAX_PAIRS]
    return [pairs[i] for i in np.sort(chosen)]


def distance_by_chance(shares: np.ndarray, others: np.ndarray, n: int, n_others: int) -> float:
    """Return about what distance sampling alone gives two tables of the same law.

    Args:
        shares: Of each cell in one table.
        others: In the other.
        n: Units of the one.
        n_others: Units of the other.

    Privacy:
        Not private: a function of real shares.
    """
    both = (shares + others) / 2
    variance = both * (1 - both) * (1 / max(n, 1) + 1 / max(n_others, 1))
    return float(np.sqrt(variance / (2 * np.pi)).sum())  # half the mean size of a Gaussian difference
