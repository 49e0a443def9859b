"""Why SQLite refuses, in words that say what to do."""

from __future__ import annotations

import json
import sqlite3

OF_THE_DISK = {
    sqlite3.SQLITE_FULL: "the disk is full. Make room there, and the same command goes on",
    sqlite3.SQLITE_BUSY: "another run is writing it. Wait for that run; the same command goes on",
    sqlite3.SQLITE_LOCKED: "another run is writing it. Wait for that run; the same command goes on",
    sqlite3.SQLITE_READONLY: "it or its folder may not be written. Get leave, and the same command goes on",
    sqlite3.SQLITE_CANTOPEN: "it is gone, or may not be opened. Put it back, and the same command goes on",
    sqlite3.SQLITE_IOERR: "its disk is full or fails. See to the disk, and the same command goes on",
}
OF_THE_FILE = {
    sqlite3.SQLITE_CORRUPT: "it is damaged. Put back the newest copy",
    sqlite3.SQLITE_NOTADB: "it is damaged. Put back the newest copy",
}


_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, json.JSONDecodeError)
_IN_READING = (OSError, TypeError, LookupError, AttributeError, OverflowError)


def unreadable(*, is_written: bool = False) -> tuple[type[Exception], ...]:
    """Return what a damaged file may raise where it is only read, or written too."""
    return _UNREADABLE if is_written else (*_UNREADABLE, *_IN_READING)


def code_of(error: Exception) -> int:
    """Return SQLite's primary result code, 0 for an error that has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def reason(error: Exception) -> str:
    """Return why SQLite refuses, and what to do: "the disk is full. Make room there, ..."."""
    if not isinstance(error, sqlite3.Error):
        return OF_THE_FILE[sqlite3.SQLITE_CORRUPT]
    return (OF_THE_DISK | OF_THE_FILE).get(code_of(error), words(error))


def words(error: Exception) -> str:
    """Return the words of an error in one line."""
    return " ".join(str(error).split())


def is_busy(error: Exception) -> bool:
    """Whether another process was said to hold the file for too long."""
    return code_of(error) == sqlite3.SQLITE_BUSY


def is_of_the_disk(error: Exception) -> bool:
    """Whether the file may be good, and only its place refuses."""
    return code_of(error) in OF_THE_DISK
