"""What sdmetrics says of sequences: lengths, means of persons, and steps from row to row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.baselines import Compared, figure_of
from privsynth.metrics.common.histories import Histories, events_of

MAX_PERSONS = 3_000
"""Persons of each side, drawn at random: one of the metrics calls Python for every person."""


def compare_by_sdmetrics(
    source: Histories, judged: Mapping[Compared, Histories], generator: np.random.Generator
) -> dict[str, Any]:
    """Return ``SequenceLengthSimilarity``, ``StatisticMSAS`` and ``InterRowMSAS`` as figures, 1 = best.

    The latter two are means over the numeric columns that differ between a person's rows.

    Privacy:
        Not private: figures of real records.
    """
    real = source.some(MAX_PERSONS, generator)
    scores = {name: _scores(real, h.some(MAX_PERSONS, generator)) for name, h in judged.items()}
    del scores["floor"]["SequenceLengthSimilarity"]  # independent rows keep it
    return {
        metric: figure_of({n: of_one[metric] for n, of_one in scores.items() if metric in of_one})
        for metric in scores["synthetic"]
    }


def _scores(real: Histories, other: Histories) -> dict[str, float | None]:
    from sdmetrics.column_pairs import InterRowMSAS, StatisticMSAS
    from sdmetrics.single_column import SequenceLengthSimilarity

    names = [c.name for c in events_of(real.schema) if c.type in ("integer", "real")]
    sides = [(pd.Series(side.persons), side.frame) for side in (real, other)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # persons with one row have no step
        length = SequenceLengthSimilarity.compute(sides[0][0], sides[1][0])
        means, steps = (
            [metric.compute(*((keys, frame[name]) for keys, frame in sides)) for name in names]
            for metric in (StatisticMSAS, InterRowMSAS)
        )
    return {
        "SequenceLengthSimilarity": float(length),
        "StatisticMSAS": _mean(means),
        "InterRowMSAS": _mean(steps),
    }


def _mean(values: list[float]) -> float | None:
    known = [float(value) for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None
