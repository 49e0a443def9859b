"""Write files so that a reader sees the whole of them or nothing: aside first, then renamed.

What is aside is its owner's alone. What a killed process left aside is removed by the next one that writes
to the same place.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from privsynth.errors import TableError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be renamed
    fcntl = None  # type: ignore[assignment]  # where there is none

_DIGITS = 8


@contextmanager
def written_aside(path: str | Path, *, force: bool = False, owner_only: bool = False) -> Iterator[Path]:
    """Give a new file beside ``path`` to write to, which takes its place if the block ends well.

    If the block raises, the new file is removed and ``path`` stays as it was.

    Args:
        path: Where the file shall be in the end.
        force: Replace an existing file.
        owner_only: Let only the owner read the file (mode 0600), for records that are not public; else it
            gets the mode of any new file once it is whole.

    Raises:
        TableError: If ``path`` exists and ``force`` is false, or it cannot be written.

    Privacy:
        Public: reads no record.
    """
    path = Path(path)
    try:
        _check_place(path, force)
        with made_aside(path) as (aside, mode):
            yield aside
            if not owner_only:
                aside.chmod(mode)
            os.replace(aside, path)
    except OSError as error:
        raise TableError(
            f"{str(path)!r} cannot be written: {error.strerror or 'the system refused'}"
        ) from None


@contextmanager
def in_folder(folder: str | Path) -> Iterator[None]:
    """Make a folder to write into if there is none; if the block raises, one that was made goes again.

    Raises:
        TableError: If it cannot be made.

    Privacy:
        Public: reads no record.
    """
    folder = Path(folder)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TableError(
            f"{str(folder)!r} cannot be made: {error.strerror or 'the system refused'}"
        ) from None
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def made_aside(path: Path, *, is_folder: bool = False) -> Iterator[tuple[Path, int]]:
    """Make a private file or folder beside ``path``; give it with the mode that it would have had else.

    At the end it is removed, unless it was renamed. While the block runs it is locked, so that others tell
    it from what a killed process left, which is removed first.
    """
    _remove_left(path)
    aside, mode, lock = _made(path, is_folder)
    while lock is not None and not aside.exists():  # taken for left over before it was locked
        os.close(lock)
        aside, mode, lock = _made(path, is_folder)
    try:
        yield aside, mode
    finally:
        _remove(aside)
        if lock is not None:
            os.close(lock)


def _made(path: Path, is_folder: bool) -> tuple[Path, int, int | None]:
    aside = path.with_name(f".{path.name}.{secrets.token_hex(_DIGITS // 2)}.partial")
    if is_folder:
        aside.mkdir()
    else:
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    mode = aside.stat().st_mode & 0o777  # what the user's mask leaves, while there is nothing in it
    aside.chmod(0o700 if is_folder else 0o600)
    if fcntl is None:
        return aside, mode, None
    lock = os.open(aside, os.O_RDONLY)
    with suppress(OSError):  # where nothing can be locked, nothing that is left is removed
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return aside, mode, lock


def _remove_left(path: Path) -> None:
    """Remove what killed processes left aside of ``path``: what nobody has locked."""
    if fcntl is None:
        return
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * _DIGITS}.partial"):
        with suppress(OSError):
            found = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
            finally:
                os.close(found)


def _remove(aside: Path) -> None:
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


def _check_place(path: Path, force: bool) -> None:
    if path.is_dir():
        raise TableError(f"{str(path)!r} is a folder; name a file in it")
    if path.exists() and not force:
        raise TableError(f"{str(path)!r} exists; replace it with --force (force=True), or name another file")
    if not path.parent.is_dir():
        raise TableError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")
