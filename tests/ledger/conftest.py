"""Ledgers in both kinds of places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from privsynth.ledger.ledger import Ledger
from tests.ledger.places import ledger_at, on_server

if TYPE_CHECKING:
    from tests.helpers.engines import Postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    from tests.helpers.engines import postgres  # what needs no server runs without its driver

    with postgres() as started:
        yield started


@pytest.fixture(params=["file", "server"])
def fresh_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """What names a place where no ledger is yet."""
    if request.param == "file":
        return lambda: str(tmp_path / "ledger.sqlite")
    server = request.getfixturevalue("server")
    return lambda: on_server(server)


@pytest.fixture
def ledger(fresh_place: Callable[[], str]) -> Ledger:
    return ledger_at(fresh_place())
