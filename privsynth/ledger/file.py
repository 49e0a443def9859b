"""The SQLite file behind the ledger: where it lies, how it is made, and one durable transaction.

A transaction is on the disk when it returns. A file that is not a ledger, or is damaged, is never written.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import platformdirs

from privsynth.errors import LedgerError

FORMAT = 2
APPLICATION_ID = 0x70727673  # "prvs", so that another program's SQLite file is told apart
BUSY_TIMEOUT_SECONDS = 60
MINIMUM_SIZE = 512  # bytes; the smallest page of an SQLite file

_TABLES = (
    """CREATE TABLE datasets (
        name TEXT PRIMARY KEY, unit TEXT, limit_epsilon REAL, limit_delta REAL)""",
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY, dataset TEXT NOT NULL REFERENCES datasets (name), description TEXT NOT NULL,
        epsilon REAL NOT NULL, delta REAL NOT NULL, started TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('open', 'suspended', 'finished', 'closed')),
        reserved_mu_squared REAL NOT NULL, reserved_delta REAL NOT NULL)""",
    """CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs (id), sequence INTEGER NOT NULL, key TEXT NOT NULL,
        event TEXT NOT NULL, mu_squared REAL NOT NULL, delta REAL NOT NULL, charged TEXT NOT NULL,
        PRIMARY KEY (run, sequence))""",
)

# Format 2 counts gradient steps and noiseless stops. Of a block that format 1 charged nobody but a file that
# may be a copy knows how many steps were taken: all of them count as taken.
_SINCE_1 = (
    "ALTER TABLE datasets ADD COLUMN limit_came_first INTEGER",  # NULL: not known
    "ALTER TABLE runs ADD COLUMN planned_delta REAL",  # NULL: the share of its delta that is set aside
    """CREATE TABLE steps (
        run TEXT NOT NULL, sequence INTEGER NOT NULL, n_steps INTEGER NOT NULL,
        begun INTEGER NOT NULL, kept INTEGER NOT NULL, PRIMARY KEY (run, sequence),
        FOREIGN KEY (run, sequence) REFERENCES events (run, sequence))""",
    """INSERT INTO steps
        SELECT run, sequence, json_extract(event, '$.count'), json_extract(event, '$.count'), 0
        FROM events WHERE json_extract(event, '$.mechanism') = 'sampled_gaussian'""",
    """CREATE TABLE stops (
        run TEXT NOT NULL REFERENCES runs (id), stopped TEXT NOT NULL, is_over INTEGER NOT NULL)""",
)


def ledger_path(path: str | Path | None = None) -> Path:
    """Return where the ledger lies: ``path``, else ``$PRIVSYNTH_LEDGER``, else the user's data folder."""
    chosen = path or os.environ.get("PRIVSYNTH_LEDGER")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("privsynth")) / "ledger.sqlite"


class LedgerFile:
    """A ledger's SQLite file; each transaction opens its own connection.

    Args:
        path: The file; made, readable by its owner alone, if it is not there.

    Raises:
        LedgerError: If the file cannot be made or opened, is damaged, is not a ledger, or has a newer format.

    Privacy:
        Public: the file holds names, budgets and mechanisms, never a value of a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._make()
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise LedgerError(
                f"the ledger {str(path)!r} cannot be made: {reason}; "
                "name a place that can be written by --ledger or PRIVSYNTH_LEDGER"
            ) from None
        self._check()

    def _make(self) -> None:
        """Make the file aside and link it into place whole: an empty ledger file is always a damaged one."""
        fresh = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            with closing(_connect(fresh)) as database:
                for statement in _TABLES + _SINCE_1:
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {FORMAT}")
            with suppress(FileExistsError):  # another process was faster
                os.link(fresh, self.path)
        finally:
            fresh.unlink()

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Open a transaction: all of it is durable afterwards, or nothing has changed.

        Args:
            write: Take the only writer's place at once, so that what is read stays true until the commit.

        Raises:
            LedgerError: If SQLite refuses: the file is locked, damaged, gone, or the disk is full.
        """
        try:
            with closing(_connect(self.path)) as database:
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield database
                database.execute("COMMIT")  # any exception before it closes the connection: a rollback
        except sqlite3.Error as error:
            raise LedgerError(
                f"the ledger {str(self.path)!r} cannot be used: {error}; stopped before anything more was "
                "read. If it is busy, wait for the other run; if it is damaged, put back a copy"
            ) from None

    def _check(self) -> None:
        """Raise a `LedgerError`, without writing, unless the file is an intact ledger of a known format."""
        advice = "put back a copy, or move the file away and name another by --ledger or PRIVSYNTH_LEDGER"
        try:
            if self.path.stat().st_size < MINIMUM_SIZE:  # SQLite would take it for a new file and fill it
                raise sqlite3.DatabaseError("it is too short")
            with closing(_connect(self.path)) as database:
                version = database.execute("PRAGMA user_version").fetchone()[0]
                application = database.execute("PRAGMA application_id").fetchone()[0]
                intact = database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"{str(self.path)!r} is not a usable ledger: {error}; {advice}") from None
        if application != APPLICATION_ID:
            raise LedgerError(f"{str(self.path)!r} is not a privsynth ledger; {advice}")
        if not intact:
            raise LedgerError(f"the ledger {str(self.path)!r} is damaged; {advice}")
        if version > FORMAT:
            raise LedgerError(
                f"the ledger {str(self.path)!r} has format {version}, this version of privsynth knows up to "
                f"{FORMAT}; update privsynth"
            )
        if version < FORMAT:
            self._bring_up_to_date()

    def _bring_up_to_date(self) -> None:
        """Add what this format has beyond the last one, in one transaction; what stands there stays."""
        with self.transaction(write=True) as database:
            if database.execute("PRAGMA user_version").fetchone()[0] < FORMAT:  # no other process was faster
                for statement in _SINCE_1:
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {FORMAT}")


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + "?mode=rw"
    database = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    # EXTRA is FULL, and also syncs the folder once the journal is gone: a commit survives a power cut.
    database.execute("PRAGMA synchronous = EXTRA")
    database.execute("PRAGMA foreign_keys = ON")
    return database
