"""Engines to read tables from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.engines import Postgres, in_duckdb, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture(params=["duckdb", "postgres"])
def load(request: pytest.FixtureRequest) -> Any:
    """What puts a frame into an engine."""
    if request.param == "duckdb":
        return in_duckdb
    return request.getfixturevalue("server").table
