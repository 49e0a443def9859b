"""Made-up histories whose law is known: states that stay, and numbers that remember."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.schema import Schema

COLUMNS: dict[str, dict[str, Any]] = {
    "pid": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person", "role": "group"},
    "day": {"type": "integer", "low": 0, "high": 400, "role": "order"},
    "ill": {"type": "boolean", "role": "target"},
    "cost": {"type": "real", "low": -8, "high": 8, "decimals": 3},
}
SCHEMA = Schema(COLUMNS, max_records_per_person=6)
WITHOUT_ORDER = Schema(
    {name: fields for name, fields in COLUMNS.items() if name != "day"}, max_records_per_person=6
)


def draw_histories(
    n_persons: int, seed: int, *, stay: float = 0.9, memory: float = 0.8, n_records: int | None = None
) -> pd.DataFrame:
    """Return persons with 2 to 6 rows (or ``n_records``), in random order of rows.

    ``ill`` keeps its state from row to row with probability ``stay`` and begins with one half; ``cost`` is a
    Gaussian chain of mean 0, variance 1 and lag-1 correlation ``memory``; days are 1 to 20 apart.
    """
    generator = np.random.default_rng([17, seed])
    sizes = generator.integers(2, 7, n_persons) if n_records is None else np.full(n_persons, n_records)
    person = np.repeat(np.arange(n_persons), sizes)
    ill, cost, day = np.empty(len(person), dtype=bool), np.empty(len(person)), np.empty(len(person))
    is_first = np.r_[True, person[1:] != person[:-1]]
    for i in range(len(person)):
        if is_first[i]:
            ill[i], cost[i], day[i] = generator.random() < 0.5, generator.normal(), generator.integers(0, 50)
        else:
            ill[i] = ill[i - 1] == (generator.random() < stay)
            cost[i] = memory * cost[i - 1] + np.sqrt(1 - memory**2) * generator.normal()
            day[i] = day[i - 1] + generator.integers(1, 21)
    sex = np.where(generator.random(n_persons) < 0.5, "F", "M")[person]
    rows = pd.DataFrame(
        {"pid": [f"{seed}-{p}" for p in person], "sex": sex, "day": day.astype(int), "ill": ill}
    )
    rows["cost"] = np.clip(np.round(cost, 3), -8, 8)
    return rows.sample(frac=1, random_state=seed).reset_index(drop=True)
