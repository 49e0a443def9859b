"""A table with everything that goes wrong in real ones, and codings of its columns that are as wide."""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.domains.coding import Coding, NumberCoding, TextCoding
from privsynth.schema import Schema

COLUMNS = {
    "who": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M", "other"], "missing": True},
    "ward": {"type": "categorical", "categories": [1, 2, 3], "missing": True},
    "town": {"type": "categorical", "categories": "private", "missing": True},
    "ill": {"type": "boolean", "missing": True},
    "age": {"type": "integer", "low": 0, "high": 99, "missing": True},
    "cost": {"type": "real", "low": -50, "high": 1000, "decimals": 1, "missing": True},
    "dose": {"type": "real", "low": "private", "high": "private", "missing": True},
    "seen": {"type": "datetime", "low": "1950-01-01", "high": "2030-12-31", "missing": True},
}
CAP = 4
PERSONS = Schema(COLUMNS, max_records_per_person=CAP)
RECORDS = Schema({name: column for name, column in COLUMNS.items() if name != "who"})


def messy(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Return a table of nulls, NaN, times before 1970, half-way reals, blanks and rare texts.

    Persons have from one row to many more than the cap; some rows have no id.
    """
    rng = np.random.default_rng(seed)
    towns = np.array(["Ulm", "Bonn", "Bonn\0", " Ulm", "", "e\u0301", "\u00e9", None], dtype=object)
    town = towns[rng.integers(0, len(towns), n)]
    town[rng.random(n) < 0.05] = "rare 0"
    town[:40] = [f"rare {i}" for i in range(40)][:n]
    cost = rng.integers(-600, 10_100, n) / 10.0 + rng.choice([0.0, 0.05, -0.05], n)
    cost[rng.random(n) < 0.1] = np.nan
    cost[:3] = np.array([np.inf, -np.inf, -0.0])[:n]
    age = pd.array(rng.integers(-3, 110, n), dtype="Int64")
    age[rng.random(n) < 0.1] = pd.NA
    seen = pd.Series(np.datetime64("1955-01-01T23:59:59") + rng.integers(0, 2**31, n).astype("m8[s]"))
    dose = np.exp(rng.normal(0, 9, n)) * rng.choice([-1, 1], n)
    who = np.minimum(rng.geometric(0.01, n), 200).astype(str).astype(object)
    who[rng.random(n) < 0.05] = None
    who[rng.random(n) < 0.02] = "  "
    return pd.DataFrame(
        {
            "who": who,
            "sex": rng.choice(["F", " M", "x", None], n),
            "ward": rng.choice([1.0, 2.0, 3.0, 7.0, np.nan], n),
            "town": town,
            "ill": rng.choice([True, False, None], n),
            "age": age,
            "cost": cost,
            "dose": np.where(rng.random(n) < 0.2, np.nan, dose),
            "seen": seen.mask(rng.random(n) < 0.1),
        }
    )


def codings() -> dict[str, Coding]:
    """Return a coding of every column; some count no missing value, or none that is not listed."""
    days = np.arange(-6000.0, 22_000.0, 1700.0)

    def of_texts(texts: list[str], *, other: bool, missing: bool) -> TextCoding:
        size = len(texts) + other + missing
        return TextCoding(
            {text: code for code, text in enumerate(texts)},
            other=len(texts) if other else -1,
            missing=size - 1 if missing else -1,
            size=size,
        )

    def of_cells(step: float | None, edges: np.ndarray, high: float, *, missing: bool) -> NumberCoding:
        n = len(edges)
        return NumberCoding(step, edges[0], high, edges, np.arange(n), n if missing else -1, n + missing)

    return {
        "sex": of_texts(["F", "M", "other"], other=False, missing=True),
        "ward": of_texts(["1", "2", "3"], other=False, missing=False),
        "town": of_texts(["Ulm", "Bonn", "\u00e9"], other=True, missing=True),
        "ill": of_texts(["false", "true"], other=False, missing=False),
        "age": of_cells(1.0, np.arange(0.0, 100.0, 9.0), 99.0, missing=True),
        "cost": of_cells(0.1, np.arange(-500.0, 10_000.0, 700.0), 10_000.0, missing=False),
        "dose": of_cells(None, np.array([-np.inf, -1.0, 0.0, 0.5, 70.0]), np.inf, missing=True),
        "seen": of_cells(1.0, days, 22_280.0, missing=True),
    }
