"""The SQLite file behind a ledger: how it is made, and one durable transaction.

A transaction is on the disk when it returns. A file that is not a ledger, or is damaged, is never written.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from privsynth.errors import LedgerError
from privsynth.errors.sqlite_reasons import is_busy, reason, unreadable, words
from privsynth.io.sqlite_files import connect, file_system, locks_work, make_whole
from privsynth.ledger.tables import FILE_SYSTEMS, FORMAT, IN_SQLITE, created, history, since

APPLICATION_ID = 0x70727673  # "prvs", so that another program's SQLite file is told apart
MINIMUM_SIZE = 512  # bytes; the smallest page of an SQLite file
LACKS_CHARGES = "it lacks charges that it had, so more was spent than it says"


class LedgerFile:
    """A ledger's SQLite file; each transaction opens its own connection.

    Args:
        path: The file; made, readable by its owner alone, if it is not there.
        make: Whether it is.

    Attributes:
        name: The file, as messages call it.
        is_there: Whether there is a ledger.

    Raises:
        LedgerError: If the file cannot be made or opened, is damaged, is not a ledger, or has a newer format;
            or if locks do not work on its file system.

    Privacy:
        Public: the file holds names, budgets and mechanisms, never a value of a record.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        self.path, self.name = path, str(path)
        self._unusable = f"the ledger {self.name!r} cannot be used, and nothing more was read"
        self.is_there = make or path.exists()
        if not self.is_there:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                self._require_locks()
                make_whole(path, _fill)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise LedgerError(
                f"the ledger {self.name!r} cannot be made: {why}; "
                "name a place that can be written by --ledger or PRIVSYNTH_LEDGER"
            ) from None
        self._check()

    @property
    def home(self) -> str:
        """What tells it from other ledgers."""
        return str(self.path.resolve())

    def _require_locks(self) -> None:
        if not locks_work(self.path.parent):
            raise LedgerError(
                f"the ledger {self.name!r} is on a file system whose locks do not keep two runs apart: "
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
                    raise sqlite3.DatabaseError(LACKS_CHARGES)
        except unreadable() as error:
            if is_busy(error):
                self._require_locks()  # some mounts say of each lock that another one has it
                raise LedgerError(f"{self._unusable}: {reason(error)}") from None
            raise LedgerError(f"{self.name!r} is not a usable ledger: {words(error)}; {advice}") from None
        if application != APPLICATION_ID:
            raise LedgerError(f"{self.name!r} is not a privsynth ledger; {advice}")
        if check != "ok":
            raise LedgerError(f"the ledger {self.name!r} is damaged; {advice}")
        if version > FORMAT:
            raise LedgerError(
                f"the ledger {self.name!r} has format {version}, this version of privsynth knows up to "
                f"{FORMAT}; update privsynth"
            )
        if ((here := file_system(self.path.parent)),) not in tried:
            self._require_locks()
            self._bring_up_to_date(here, version, advice)

    def _bring_up_to_date(self, here: str, version: int, advice: str) -> None:
        """Turn an older format into this one, in one transaction; what was spent stays."""
        if not os.access(self.path, os.W_OK) or not os.access(self.path.parent, os.W_OK):
            if version == FORMAT:
                return  # nobody can spend by it from here
            raise LedgerError(
                f"the ledger {self.name!r} has format {version}, which is read once it was brought to format "
                f"{FORMAT}, and it may not be written here. Open it where it may, or copy it"
            )
        with self.transaction(write=True, in_history=False) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            for statement in since(version) if version < FORMAT else ():
                database.execute(statement)
            if 3 <= version < FORMAT and not history(database).is_whole():
                raise LedgerError(f"{self.name!r} is not a usable ledger: {LACKS_CHARGES}; {advice}")
            if version < FORMAT:
                database.execute(f"PRAGMA user_version = {FORMAT}")
                history(database).add()
            database.execute("INSERT OR IGNORE INTO file_systems VALUES (?)", (here,))


def _fill(database: sqlite3.Connection) -> None:
    for statement in (*created(*IN_SQLITE), FILE_SYSTEMS):
        database.execute(statement)
    history(database).add()
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {FORMAT}")
