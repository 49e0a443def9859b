"""Engines to read tables from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.engines import Postgres, Spark, in_duckdb, postgres, spark


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture(scope="session")
def spark_session() -> Iterator[Spark]:
    with spark() as started:
        yield started


@pytest.fixture(params=["duckdb", "postgres", pytest.param("spark", marks=pytest.mark.slow)])
def load(request: pytest.FixtureRequest) -> Any:
    """What puts a frame into an engine."""
    if request.param == "duckdb":
        return in_duckdb
    if request.param == "spark":
        return request.getfixturevalue("spark_session").table
    return request.getfixturevalue("server").table
