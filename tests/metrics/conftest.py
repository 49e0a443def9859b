"""A made-up source: dependent columns of every type, some missing, two groups that differ in the target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from privsynth.schema import Schema

COLUMNS = {
    "age": {"type": "integer", "low": 18, "high": 90},
    "income": {"type": "real", "low": 0, "high": 1000, "missing": True},
    "joined": {"type": "datetime", "low": "2020-01-01", "high": "2023-01-01"},
    "region": {"type": "categorical", "categories": ["n", "e", "s", "w"]},
    "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
    "owner": {"type": "boolean", "role": "target"},
}


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema(COLUMNS)


@pytest.fixture(scope="session")
def person_schema() -> Schema:
    return Schema({"pid": {"type": "id", "role": "person_id"}, **COLUMNS}, max_records_per_person=5)


@pytest.fixture(scope="session")
def draw() -> Callable[..., pd.DataFrame]:
    def rows(n: int, seed: int) -> pd.DataFrame:
        generator = np.random.default_rng([7, seed])
        age = generator.integers(18, 91, n)
        male = generator.random(n) < 0.4
        income = np.clip(8 * age * generator.lognormal(0, 0.4, n) + 50 * male, 0, 1000)
        owner = generator.random(n) < 1 / (1 + np.exp(-(income - 450) / 90 - male))
        income[generator.random(n) < 0.05] = np.nan
        region = np.where(generator.random(n) < 0.3, 0, np.minimum((age - 18) // 20, 3))
        joined = pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 1000, n), unit="D")
        return pd.DataFrame(
            {
                "age": age,
                "income": income,
                "joined": joined,
                "region": np.array(["n", "e", "s", "w"])[region],
                "sex": np.where(male, "M", "F"),
                "owner": owner,
            }
        )

    return rows


@pytest.fixture(scope="session")
def shuffled() -> Callable[[pd.DataFrame], pd.DataFrame]:
    def independent(table: pd.DataFrame) -> pd.DataFrame:
        generator = np.random.default_rng(11)
        columns = {name: generator.permutation(table[name].to_numpy()) for name in table}
        return pd.DataFrame(columns)

    return independent
