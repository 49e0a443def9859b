"""Autocorrelation: how much a person's numbers say of their later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from privsynth.metrics.common.baselines import Compared, figure_of
from privsynth.metrics.common.estimates import figure, number, percentile_interval
from privsynth.metrics.common.histories import Histories, events_of, weights_of
from privsynth.records.codes import as_numbers

_SMALLEST_SPREAD = 1e-12


def compare_autocorrelations(
    source: Histories,
    judged: Mapping[Compared, Histories],
    *,
    lags: Sequence[int],
    n_bootstrap: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Correlate each number and truth value with that of the same person so many rows before.

    Numbers are replaced by their rank among the source's rows, so that a few large ones do not decide.

    Args:
        source: Of the persons that the generator was fitted to.
        judged: Histories to hold against them.
        lags: How many rows before.
        n_bootstrap: Replicates behind each interval, over the synthetic persons.
        generator: Draws them.

    Returns:
        ``columns``: for each column and lag ``real``, ``synthetic`` (a figure with interval), ``holdout`` and
        ``independent``; ``difference``: mean absolute difference from ``real`` as a figure.

    Privacy:
        Not private: figures of real records.
    """
    columns: list[dict[str, Any]] = []
    apart: dict[Compared, list[float]] = {name: [] for name in judged}
    for column in events_of(source.schema):
        if column.type not in ("integer", "real", "boolean"):
            continue
        ranks = _Ranks.of(as_numbers(source.frame[column.name]), weights_of(source.persons))
        for lag in lags:
            real = correlation(_sums(source, ranks, column.name, lag).sum(axis=0))
            sums = {name: _sums(histories, ranks, column.name, lag) for name, histories in judged.items()}
            found = {name: float(correlation(of_one.sum(axis=0))) for name, of_one in sums.items()}
            columns.append(
                {
                    "column": column.name,
                    "lag": lag,
                    "real": number(float(real)),
                    "synthetic": figure(
                        found["synthetic"], interval=_interval(sums["synthetic"], n_bootstrap, generator)
                    ),
                    "holdout": number(found.get("ceiling")),
                    "independent": number(found["floor"]),
                }
            )
            for name, value in found.items():
                if np.isfinite(real):  # a column that has become constant shows no correlation
                    apart[name].append(abs(np.nan_to_num(value) - float(real)))
    means = {name: float(np.mean(values)) if values else None for name, values in apart.items()}
    return {"columns": columns, "difference": figure_of(means)}


def correlation(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation from sums of weights, x, y, x², y² and xy; NaN without spread.

    Args:
        sums: ``(..., 6)``.

    Privacy:
        Not private: of real records, if the sums are.

    Example:
        >>> float(correlation(np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0])))  # of (0, 0) and (1, 1)
        1.0
    """
    w, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(xx / w - (x / w) ** 2, 0.0) * np.maximum(yy / w - (y / w) ** 2, 0.0)
        return np.where(spread > _SMALLEST_SPREAD, (xy / w - x * y / w**2) / np.sqrt(spread), np.nan)


class _Ranks:
    """The share of the source's weight below a number, half of its own included."""

    def __init__(self, values: np.ndarray, upper: np.ndarray) -> None:
        self.values, self.upper = values, upper

    @classmethod
    def of(cls, numbers: np.ndarray, weights: np.ndarray) -> _Ranks:
        known = ~np.isnan(numbers)
        values, cells = np.unique(numbers[known], return_inverse=True)
        upper = np.concatenate([[0.0], np.cumsum(np.bincount(cells, weights[known], len(values)))])
        return cls(values, upper / max(upper[-1], np.finfo(float).tiny))

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        below = self.upper[np.searchsorted(self.values, numbers, side="left")]
        up_to = self.upper[np.searchsorted(self.values, numbers, side="right")]
        return np.where(np.isnan(numbers), np.nan, (below + up_to) / 2)


def _sums(histories: Histories, ranks: _Ranks, name: str, lag: int) -> np.ndarray:
    """Return the sums of each person that `correlation` takes, ``(n_persons, 6)``; a person weighs one."""
    pairs = histories.pairs(lag)
    placed = ranks(as_numbers(histories.frame[name]))
    x, y = placed[pairs.earlier], placed[pairs.later]
    known = ~(np.isnan(x) | np.isnan(y))
    x, y, persons = x[known], y[known], pairs.persons[known]
    w = weights_of(persons)
    terms = (w, w * x, w * y, w * x * x, w * y * y, w * x * y)
    return np.stack([np.bincount(persons, term, histories.n_persons) for term in terms], axis=1)


def _interval(sums: np.ndarray, n_replicates: int, generator: np.random.Generator) -> list[float] | None:
    n_persons = len(sums)
    replicates = [
        correlation(np.bincount(generator.integers(n_persons, size=n_persons), minlength=n_persons) @ sums)
        for _ in range(n_replicates)
    ]
    return percentile_interval(np.array(replicates))
