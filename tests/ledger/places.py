"""Ledgers in both kinds of places, as text that another process opens them by."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from privsynth.ledger.ledger import Ledger
from privsynth.ledger.tables import TABLES

if TYPE_CHECKING:
    from tests.helpers.engines import Postgres

_PLACES: WeakKeyDictionary[Ledger, str] = WeakKeyDictionary()
_number = itertools.count()


def on_server(server: Postgres) -> str:
    """Return the address of a ledger that is not there yet."""
    return f"{server.dsn}#ledger_{next(_number)}"


def ledger_at(place: str) -> Ledger:
    """Open a ledger, and remember where it is."""
    ledger = Ledger(place)
    _PLACES[ledger] = place
    return ledger


def place_of(ledger: Ledger) -> str:
    """Return what opens a ledger again."""
    return _PLACES[ledger]


def again(ledger: Ledger) -> Ledger:
    """Open a ledger again, as another process would."""
    return ledger_at(place_of(ledger))


def rows(ledger: Ledger, table: str) -> list[tuple[Any, ...]]:
    """Return what a table holds."""
    with ledger._store.transaction(write=False) as database:
        return [tuple(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()]


def content(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return all rows of all tables."""
    return [row for table in (*TABLES, "history") for row in rows(ledger, table)]
