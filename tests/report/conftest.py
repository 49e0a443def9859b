"""A small made-up table with awkward texts, its audit, and the report of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.report import AuditReport, audit
from privsynth.schema import Schema

SCRIPT = "<script>alert('column')</script>"
VALUE = '"><img src=https://example.org/x.png onerror=alert(1)>'

GUARANTEE: dict[str, Any] = {
    "private": True,
    "epsilon": 1.0,
    "epsilon_spent": 0.99,
    "delta": 1e-6,
    "unit": "record",
    "neighbours": "add_or_remove_one",
    "accountant": "GDP filter",
    "events": [
        {
            "purpose": "counts of <b>",
            "mechanism": "gaussian",
            "parameters": {"noise_multiplier": 9.5},
            "count": 3,
        }
    ],
    "public": [f"{SCRIPT}: type integer"],
    "not_covered": ["timing channels", float("inf")],
}


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema(
        {
            SCRIPT: {"type": "integer", "low": 0, "high": 50},
            "pay": {"type": "real", "low": 0, "high": 1, "missing": True},
            "town": {"type": "categorical", "categories": ["A", VALUE, "C"], "role": "group"},
            "owner": {"type": "boolean", "role": "target"},
        }
    )


@pytest.fixture(scope="session")
def draw() -> Callable[[int, int], pd.DataFrame]:
    def rows(n: int, seed: int) -> pd.DataFrame:
        generator = np.random.default_rng([3, seed])
        x = generator.integers(0, 51, n)
        pay = np.clip(x / 60 + generator.normal(0, 0.1, n), 0, 1)
        pay[generator.random(n) < 0.1] = np.nan
        town = np.where(x > 30, "C", np.where(generator.random(n) < 0.5, "A", VALUE))
        return pd.DataFrame({SCRIPT: x, "pay": pay, "town": town, "owner": generator.random(n) < x / 50})

    return rows


@pytest.fixture(scope="session")
def report(draw, schema: Schema) -> AuditReport:
    return audit(
        real=draw(1200, 0),
        synthetic=draw(1200, 1),
        holdout=draw(900, 2),
        schema=schema,
        guarantee=GUARANTEE,
        quick=True,
    )
