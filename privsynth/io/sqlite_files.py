"""SQLite files of ours: made whole or not at all, written durably, on file systems whose locks work."""

from __future__ import annotations

import glob
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

from privsynth.errors.sqlite_reasons import is_busy

BUSY_TIMEOUT_SECONDS = 60
LEFT_OVER_SECONDS = 600  # what is made aside takes a moment; what is older was left by a killed process


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
    _remove_left(path.parent, f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}*")
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(16)}")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(connect(fresh)) as database:
            fill(database)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def _remove_left(folder: Path, pattern: str) -> None:
    for left in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_OVER_SECONDS:
                left.unlink()


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
    _remove_left(folder, f"{_PROBE}*")
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
        return not is_busy(error)
    except (OSError, subprocess.SubprocessError):
        return True
    finally:
        probe.unlink(missing_ok=True)
