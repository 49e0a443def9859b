"""Where a ledger is: a file, or a database of PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from privsynth.errors import LedgerError
from privsynth.io.postgres import SCHEMES, Server, ServerRefusal, is_address
from privsynth.ledger.file import LedgerFile
from privsynth.ledger.server import SCHEMA, LedgerServer


def ledger_place(place: str | Path | None = None) -> Path | str:
    """Return where the ledger is: ``place``, else ``$PRIVSYNTH_LEDGER``, else in the user's data folder.

    Raises:
        LedgerError: If it is an address, and none of PostgreSQL.
    """
    chosen = place or os.environ.get("PRIVSYNTH_LEDGER")
    if not chosen:
        return Path(platformdirs.user_data_dir("privsynth")) / "ledger.sqlite"
    if is_address(chosen):
        return str(chosen)
    scheme, colon, rest = str(chosen).partition(":")
    is_slip = scheme.lower() in SCHEMES or rest.startswith("/")  # one slash, or none
    if colon and is_slip and scheme.isalpha() and len(scheme) > 1:  # one letter is a drive
        raise LedgerError(
            "expected a ledger's file, or its address as text, as 'postgresql://USER@HOST/DATABASE'; got one "
            f"that begins with {scheme + colon!r}"
        )
    return Path(chosen)


def opened(place: str | Path | None, *, make: bool) -> LedgerFile | LedgerServer:
    """Open what keeps a ledger, and make it if it is not there and ``make`` says so."""
    found = ledger_place(place)
    return LedgerFile(found, make=make) if isinstance(found, Path) else LedgerServer(found, make=make)


def schema_of(place: str | Path | None) -> str:
    """Return the schema in which a ledger in PostgreSQL is, or would be; asks no server.

    Raises:
        LedgerError: If ``place`` is a file, or an address that cannot be read.
    """
    found = ledger_place(place)
    if isinstance(found, Path):
        if place is not None:
            raise LedgerError(
                "expected the address of a ledger in PostgreSQL, got a file: roles are of servers"
            )
        return SCHEMA
    try:
        return Server(found, SCHEMA).schema
    except ServerRefusal as refusal:
        raise LedgerError(f"the ledger in PostgreSQL cannot be used: {refusal}") from None
