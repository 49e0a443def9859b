"""The SQLite file behind the ledger: where it lies, how it is made, and one durable transaction.

A transaction is on the disk when it returns. A file that is not a ledger, or is damaged, is never written.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import platformdirs

from privsynth.errors import LedgerError
from privsynth.errors.sqlite_reasons import is_busy, reason, unreadable, words
from privsynth.io.hash_chain import TABLE, HashChain
from privsynth.io.sqlite_files import connect, file_system, locks_work, make_whole

FORMAT = 3
APPLICATION_ID = 0x70727673  # "prvs", so that another program's SQLite file is told apart
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

# Format 3 keeps a history, and on which file systems locks were tried.
_SINCE_2 = (TABLE, "CREATE TABLE file_systems (name TEXT PRIMARY KEY)")
_IN_HISTORY = {"runs": "id, dataset, epsilon, delta, started", "events": "run, sequence, key, event"}


def ledger_path(path: str | Path | None = None) -> Path:
    """Return where the ledger lies: ``path``, else ``$PRIVSYNTH_LEDGER``, else the user's data folder."""
    chosen = path or os.environ.get("PRIVSYNTH_LEDGER")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("privsynth")) / "ledger.sqlite"


class LedgerFile:
    """A ledger's SQLite file; each transaction opens its own connection.

    Args:
        path: The file; made, readable by its owner alone, if it is not there.

    Raises:
        LedgerError: If the file cannot be made or opened, is damaged, is not a ledger, or has a newer format;
            or if locks do not work on its file system.

    Privacy:
        Public: the file holds names, budgets and mechanisms, never a value of a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unusable = f"the ledger {str(path)!r} cannot be used, and nothing more was read"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._require_locks()
                make_whole(path, _fill)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise LedgerError(
                f"the ledger {str(path)!r} cannot be made: {why}; "
                "name a place that can be written by --ledger or PRIVSYNTH_LEDGER"
            ) from None
        self._check()

    def _require_locks(self) -> None:
        if not locks_work(self.path.parent):
            raise LedgerError(
                f"the ledger {str(self.path)!r} is on a file system whose locks do not keep two runs apart: "
                "spends would be lost. Put it on another disk, and name that by --ledger or PRIVSYNTH_LEDGER"
            )

    @contextmanager
    def transaction(self, *, write: bool, in_history: bool = True) -> Iterator[sqlite3.Connection]:
        """Open a transaction: all of it is durable afterwards, or nothing has changed.

        Args:
            write: Take the only writer's place at once, so that what is read stays true until the commit.
            in_history: Whether what it writes is a link of the history; gradient steps, which a store of
                paid releases counts too, are none.

        Raises:
            LedgerError: If SQLite refuses: the file is locked, damaged, gone, or the disk is full.
        """
        try:
            with closing(connect(self.path)) as database:
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield database
                if in_history and database.total_changes:
                    history(database).add()
                database.execute("COMMIT")  # any exception before it closes the connection: a rollback
        except unreadable(is_written=write) as error:
            raise LedgerError(f"{self._unusable}: {reason(error)}") from None

    def _check(self) -> None:
        """Raise a `LedgerError`, without writing, unless the file is an intact ledger of a known format."""
        advice = "put back a copy, or move the file away and name another by --ledger or PRIVSYNTH_LEDGER"
        try:
            if self.path.stat().st_size < MINIMUM_SIZE:  # SQLite would take it for a new file and fill it
                raise sqlite3.DatabaseError("it is too short")
            with closing(connect(self.path)) as database:
                asked = ("user_version", "application_id", "quick_check(1)")
                version, application, check = (database.execute(f"PRAGMA {a}").fetchone()[0] for a in asked)
                is_known = (application, version, check) == (APPLICATION_ID, FORMAT, "ok")
                database.execute("BEGIN")  # what is compared is of one moment
                tried = database.execute("SELECT name FROM file_systems").fetchall() if is_known else []
                if is_known and not history(database).is_whole():
                    raise sqlite3.DatabaseError(
                        "it lacks charges that it had, so more was spent than it says"
                    )
        except unreadable() as error:
            if is_busy(error):
                self._require_locks()  # some mounts say of each lock that another one has it
                raise LedgerError(f"{self._unusable}: {reason(error)}") from None
            raise LedgerError(f"'{self.path}' is not a usable ledger: {words(error)}; {advice}") from None
        if application != APPLICATION_ID:
            raise LedgerError(f"{str(self.path)!r} is not a privsynth ledger; {advice}")
        if check != "ok":
            raise LedgerError(f"the ledger {str(self.path)!r} is damaged; {advice}")
        if version > FORMAT:
            raise LedgerError(
                f"the ledger {str(self.path)!r} has format {version}, this version of privsynth knows up to "
                f"{FORMAT}; update privsynth"
            )
        if ((here := file_system(self.path.parent)),) not in tried:
            self._require_locks()
            self._bring_up_to_date(here)

    def _bring_up_to_date(self, here: str) -> None:
        """Add what this format has beyond older ones, in one transaction; what stands there stays."""
        if not os.access(self.path, os.W_OK) or not os.access(self.path.parent, os.W_OK):
            return  # nobody can spend by it from here
        with self.transaction(write=True, in_history=False) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            for statement in (_SINCE_1 if version < 2 else ()) + (_SINCE_2 if version < 3 else ()):
                database.execute(statement)
            if version < FORMAT:
                database.execute(f"PRAGMA user_version = {FORMAT}")
                history(database).add()
            database.execute("INSERT OR IGNORE INTO file_systems VALUES (?)", (here,))


def history(database: sqlite3.Connection) -> HashChain:
    """Return the history of an open ledger."""
    return HashChain(database, _IN_HISTORY)


def _fill(database: sqlite3.Connection) -> None:
    for statement in _TABLES + _SINCE_1 + _SINCE_2:
        database.execute(statement)
    history(database).add()
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {FORMAT}")
