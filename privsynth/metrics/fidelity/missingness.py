"""Which fields are empty together: missing shares by column, and the patterns over all columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.baselines import Baselines, figure_of
from privsynth.metrics.common.estimates import not_assessed

N_PATTERNS = 10
NEVER_MISSING = "no field is missing in any table"


def compare_missingness(baselines: Baselines) -> dict[str, Any]:
    """Return the missing share of each column, and the distance between the patterns of missing fields.

    A pattern is the set of columns that are empty in a row; the distance is the total variation between the
    patterns' shares. Only columns with an empty field in some table are looked at.

    Privacy:
        Not private: shares of real records.
    """
    every = [baselines.reference, *baselines.judged.values()]
    names = [name for name in baselines.reference.columns if any(t[name].isna().any() for t in every)]
    if not names:
        return not_assessed(NEVER_MISSING)
    weights = baselines.reference_weights / baselines.reference_weights.sum()
    reference = _patterns(baselines.reference[names], weights)
    judged = baselines.each(lambda table: _patterns(table[names], np.full(len(table), 1 / len(table))))
    shares = baselines.each(lambda table: table[names].isna().mean())
    empty = baselines.reference[names].isna().to_numpy()
    columns = [
        {
            "column": name,
            "reference": float(weights @ empty[:, i]),
            "missing": figure_of({which: float(share[name]) for which, share in shares.items()}),
        }
        for i, name in enumerate(names)
    ]
    listed = (
        reference.add(judged["synthetic"], fill_value=0.0).sort_values(ascending=False).index[:N_PATTERNS]
    )
    return {
        "status": "assessed",
        "patterns_tv": figure_of({name: _distance(table, reference) for name, table in judged.items()}),
        "columns": columns,
        "patterns": [
            {
                "missing": [name for name, is_empty in zip(names, pattern, strict=True) if is_empty],
                "reference": float(reference.get(pattern, 0.0)),
                "synthetic": float(judged["synthetic"].get(pattern, 0.0)),
            }
            for pattern in listed
        ],
    }


def _patterns(table: pd.DataFrame, weights: np.ndarray) -> pd.Series:
    """Return the share of each pattern, by a tuple of booleans."""
    patterns = pd.Series(list(map(tuple, table.isna().to_numpy())), dtype=object)
    return pd.Series(weights).groupby(patterns).sum()


def _distance(a: pd.Series, b: pd.Series) -> float:
    return float(a.sub(b, fill_value=0.0).abs().sum() / 2)
