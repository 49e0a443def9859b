"""SQLite files of ours: made whole or not at all, written durably, on file systems whose locks work."""

from __future__ import annotations

import os
import platform
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

BUSY_TIMEOUT_SECONDS = 60
LEFT_OVER_SECONDS = 600  # a trial takes a moment: what is older was left by a process that was killed

_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full. Make room there, and the same command goes on",
    sqlite3.SQLITE_BUSY: "another run is writing it. Wait for that run; the same command goes on",
    sqlite3.SQLITE_LOCKED: "another run is writing it. Wait for that run; the same command goes on",
    sqlite3.SQLITE_READONLY: "it or its folder may not be written. Get leave, and the same command goes on",
    sqlite3.SQLITE_CANTOPEN: "it is gone, or may not be opened. Put it back, and the same command goes on",
    sqlite3.SQLITE_IOERR: "its disk is full or fails. See to the disk, and the same command goes on",
    sqlite3.SQLITE_CORRUPT: "it is damaged. Put back the newest copy",
    sqlite3.SQLITE_NOTADB: "it is damaged. Put back the newest copy",
}


def reason(error: sqlite3.Error) -> str:
    """Return why SQLite refuses, and what to do: "the disk is full. Make room there, ..."."""
    code = getattr(error, "sqlite_errorcode", None)
    return str(error) if code is None else _REASONS.get(code & 0xFF, str(error))


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process was said to hold the file for too long."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def connect(path: Path) -> sqlite3.Connection:
    """Open an SQLite file that is there; what is committed survives a power cut."""
    uri = path.absolute().as_uri() + "?mode=rw"
    database = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    # EXTRA is FULL, and also syncs the folder once the journal is gone: a commit survives a power cut.
    database.execute("PRAGMA synchronous = EXTRA")
    database.execute("PRAGMA foreign_keys = ON")
    return database


def make_whole(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make a file of mode 0600 aside and link it into place whole, unless another process was faster."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(16)}")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(connect(fresh)) as database:
            fill(database)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


# -- locks ------------------------------------------------------------------------------------------------

_PROBE = ".privsynth-locks-"
_REFUSED, _GRANTED = 64, 65
_SECOND_PROCESS = f"""
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=0.0, isolation_level=None)
try:
    database.execute("BEGIN EXCLUSIVE")
except sqlite3.OperationalError:
    sys.exit({_REFUSED})
sys.exit({_GRANTED})
"""

_tried: dict[str, bool] = {}


def file_system(folder: Path) -> str:
    """Return what names the file system of a folder as this machine has mounted it."""
    return f"{platform.node()}/{os.stat(folder).st_dev}"


def locks_work(folder: Path) -> bool:
    """Whether a lock of this process keeps another one out, tried once a process and file system.

    Where it cannot be tried (the folder takes no file, Python starts no second process) it is taken for
    granted. A file system that locks within one machine only, as some mounts of NFS and SMB, is not found.
    """
    place = file_system(folder)
    if place not in _tried:
        _tried[place] = _try_locks(folder)
    return _tried[place]


def _try_locks(folder: Path) -> bool:
    for left in folder.glob(f"{_PROBE}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_OVER_SECONDS:
                left.unlink()
    probe = folder / f"{_PROBE}{secrets.token_hex(8)}"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError:
        return True
    try:
        with closing(sqlite3.connect(probe, timeout=0.0, isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")
            command = [sys.executable, "-I", "-S", "-c", _SECOND_PROCESS, str(probe)]
            second = subprocess.run(command, capture_output=True, timeout=60)
        return second.returncode != _GRANTED
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)
    except (OSError, subprocess.SubprocessError):
        return True
    finally:
        probe.unlink(missing_ok=True)
