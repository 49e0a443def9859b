"""Small made-up tables, and where to find real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from privsynth.models.tables.fitting import FitOptions
from privsynth.schema import Schema
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings

QUICK = MarginalSettings(
    n_rounds=3, steps_per_round=30, final_steps=30, n_bins=16, fit=FitOptions(n_components=64)
)

PATIENTS = Schema(
    {
        "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        "ward": {"type": "categorical", "categories": [1, 2, 3], "missing": True},
        "ill": {"type": "boolean", "role": "target"},
        "age": {"type": "integer", "low": 0, "high": 99},
        "cost": {"type": "real", "low": 0, "high": 100_000, "decimals": 2, "missing": True},
        "seen": {"type": "datetime", "low": "2020-01-01", "high": "2021-12-31"},
    }
)


def patients(n: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Return patients: women older, the ill dearer, cost zero for most and missing for the young."""
    rng = np.random.default_rng(seed)
    female = rng.random(n) < 0.5
    age = np.clip(rng.normal(np.where(female, 60, 40), 12, n).round(), 0, 99).astype(int)
    ill = rng.random(n) < np.where(age > 50, 0.7, 0.2)
    cost = np.where(ill, np.minimum(rng.lognormal(7, 1, n), 90_000), 0.0).round(2)
    ward = pd.Series(rng.integers(1, 4, n), dtype="Int64").mask(rng.random(n) < 0.2)
    seen = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 731, n), unit="D")
    return pd.DataFrame(
        {
            "sex": np.where(female, "F", "M"),
            "ward": ward,
            "ill": ill,
            "age": age,
            "cost": pd.Series(cost).mask(age < 30),
            "seen": seen,
        }
    )


def real_data() -> Path:
    """Return the folder of real tables: ``$PRIVSYNTH_DATA``, else ``shared/data`` beside the repository."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("PRIVSYNTH_DATA", beside))
