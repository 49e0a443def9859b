"""The database behind a team's ledger: how it is made, who may do what, and one durable transaction.

Who writes holds a lock of the database (an advisory lock, which any role may take and which ends with the
transaction or its connection) from before the first read until after the commit; under READ COMMITTED every
statement behind it sees all that was committed before it was granted. So writers go one after the other, as
in SQLite. A lock for each data set would let no more through: the links of the history are one line. And of
writers who were let in together all but one would be refused: each adds the link that follows the one it read
first, or the step after the last one, and neither can be there twice.

Rows are only added: a trigger refuses all else, and the role for fits has no right to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from privsynth.errors import LedgerError
from privsynth.io.postgres import OpenDatabase, Server, ServerRefusal
from privsynth.ledger.tables import FORMAT, TABLES, created, history

SCHEMA = "privsynth"
LOCK = 0x70727673  # "prvs"; the second half of the lock's key is the schema
PATIENCE_SECONDS = 60  # for the lock, and for a writer that stands still while it holds it

_NUMBER = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
_WHO = "TEXT NOT NULL DEFAULT session_user"
_COLUMNS = {  # that are given; the others no role but the owner may make up
    "limits": " (dataset, epsilon, delta, came_first)",
    "runs": " (id, dataset, description, epsilon, delta, started, planned_delta)",
    "states": " (run, status, reserved_mu_squared, reserved_delta, since)",
}
_BY_STEWARDS = ("limits", "history")
_BY_WRITERS = (*(table for table in TABLES if table != "limits"), "history")
_BEGIN = """BEGIN ISOLATION LEVEL {kind};
SET LOCAL search_path TO {schema}, pg_temp;
SET LOCAL extra_float_digits = 3;
SET LOCAL lock_timeout = '{patience}s';
SET LOCAL idle_in_transaction_session_timeout = '{patience}s'"""
_LOCKED = """;
SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local');
SELECT pg_advisory_xact_lock({lock}, hashtext('{schema}'))"""


class LedgerServer:
    """A ledger's schema in a database of PostgreSQL.

    Args:
        address: ``postgresql://USER@HOST/DATABASE#SCHEMA``.
        make: Whether the schema and its tables are made if they are not there.

    Attributes:
        name: The address without user and password, as messages call it.
        is_there: Whether there is a ledger.
        home: What tells it from other ledgers, wherever its database is moved; empty if it is not there.

    Raises:
        LedgerError: If the server refuses, or what is there is not an intact ledger of a known format.

    Privacy:
        Public: holds names, budgets and mechanisms, never a value of a record. A server that logs statements
        keeps when each came, which a ledger does not.
    """

    def __init__(self, address: str, *, make: bool = True) -> None:
        try:
            self._server = Server(address, SCHEMA)
        except ServerRefusal as refusal:
            raise LedgerError(f"the ledger in PostgreSQL cannot be used: {refusal}") from None
        self.name, self.schema = self._server.name, self._server.schema
        self.is_there, self.home = True, ""
        self._check(make)

    @contextmanager
    def transaction(self, *, write: bool, in_history: bool = True) -> Iterator[OpenDatabase]:
        """Open a transaction: all of it is durable afterwards, or nothing has changed.

        Args:
            write: Wait for the only writer's place, so that what is read stays true until the commit.
            in_history: As for `privsynth.ledger.file.LedgerFile.transaction`.

        Raises:
            LedgerError: If the server refuses.
        """
        kind = "READ COMMITTED READ WRITE" if write else "REPEATABLE READ READ ONLY"
        begin = (_BEGIN + (_LOCKED if write else "")).format(
            kind=kind, schema=self.schema, patience=PATIENCE_SECONDS, lock=LOCK
        )
        try:
            with self._server.transaction(begin) as database:
                newest = history(database).newest() if write and in_history else None
                yield database
                if newest is not None and database.total_changes:
                    history(database).add(newest)
        except ServerRefusal as refusal:
            raise LedgerError(
                f"the ledger {self.name!r} cannot be used, and nothing more was read: {refusal}"
            ) from None

    def _check(self, make: bool) -> None:
        """Raise a `LedgerError`, without writing, unless there is an intact ledger of a known format."""
        advice = "put back its newest backup, or name another ledger by --ledger or PRIVSYNTH_LEDGER"
        with self.transaction(write=False) as database:
            if _is_missing(database, self.schema):
                self.is_there = False
            else:
                # by its whole name: a schema that may not be used is as if it were not on the path
                about = database.execute(f"SELECT format, ledger FROM {self.schema}.about")
                version, self.home = about.fetchone()
                if version > FORMAT:
                    raise LedgerError(
                        f"the ledger {self.name!r} has format {version}, this version of privsynth knows up "
                        f"to {FORMAT}; update privsynth"
                    )
                if not history(database).is_whole():
                    raise LedgerError(
                        f"{self.name!r} is not a usable ledger: it lacks charges that it had, so more was "
                        f"spent than it says; {advice}"
                    )
        if make and not self.is_there:
            self._make()
            self._check(make=False)

    def _make(self) -> None:
        with self.transaction(write=True, in_history=False) as database:  # there is no history yet
            if not _is_missing(database, self.schema):
                return  # another process was faster
            found = database.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = ?", (self.schema,)
            ).fetchone()
            if found[0]:
                raise LedgerError(
                    f"schema {self.schema!r} of the database holds something else; name another one behind "
                    "the address of the ledger, as #SCHEMA"
                )
            database.execute(making(self.schema))
        self.is_there = True


def _is_missing(database: OpenDatabase, schema: str) -> bool:
    asked = "SELECT count(*) FROM pg_tables WHERE schemaname = ? AND tablename = 'about'"
    return not database.execute(asked, (schema,)).fetchone()[0]


def making(schema: str) -> str:
    """Return the SQL that makes the tables of a ledger, and leaves those that are there."""
    tables = (*TABLES, "history", "about")
    refusing = "\n".join(
        f"DROP TRIGGER IF EXISTS only_added ON {schema}.{table};\n"
        f"CREATE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.{table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse();"
        for table in tables
    )
    made = ";\n".join(created(_NUMBER, _WHO, exists="IF NOT EXISTS "))
    return f"""CREATE SCHEMA IF NOT EXISTS {schema};
SET LOCAL search_path TO {schema}, pg_temp;
{made};
CREATE TABLE IF NOT EXISTS about (format INTEGER NOT NULL, ledger TEXT NOT NULL);
INSERT INTO about SELECT {FORMAT}, 'ledger {secrets.token_hex(16)}' WHERE NOT EXISTS (SELECT FROM about);
CREATE OR REPLACE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'a ledger is only ever added to'; END$$;
{refusing}"""


def roles(schema: str) -> str:
    """Return the SQL that makes the roles of a ledger: who reads it, who fits, who sets limits."""
    made = "\n".join(
        f"DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{schema}_{role}') THEN "
        f"CREATE ROLE {schema}_{role} NOLOGIN; END IF; END$$;\n"
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}_{role};\n"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {schema}_{role};"
        for role in ("reader", "writer", "steward")
    )
    granted = "\n".join(
        f"GRANT INSERT{_COLUMNS.get(table, '')} ON {schema}.{table} TO {schema}_{role};"
        for role, tables in (("writer", _BY_WRITERS), ("steward", _BY_STEWARDS))
        for table in tables
    )
    return f"{made}\n{granted}"


def script(schema: str = SCHEMA) -> str:
    """Return the SQL that the owner of a database runs once to make a ledger and its roles.

    A member of ``SCHEMA_writer`` may fit, of ``SCHEMA_steward`` set limits, of ``SCHEMA_reader`` read.

    Args:
        schema: Where the ledger is; letters, digits and underscores.
    """
    return f"BEGIN;\n{making(schema)}\n{roles(schema)}\nCOMMIT;\n"
