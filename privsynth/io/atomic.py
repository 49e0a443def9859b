"""Write files so that a reader sees the whole of them or nothing: aside first, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privsynth.errors import TableError


@contextmanager
def written_aside(path: str | Path, *, force: bool = False, owner_only: bool = False) -> Iterator[Path]:
    """Give a new file beside ``path`` to write to, which takes its place if the block ends well.

    If the block raises, the new file is removed and ``path`` stays as it was.

    Args:
        path: Where the file shall be in the end.
        force: Replace an existing file.
        owner_only: Let only the owner read the file (mode 0600), for records that are not public.

    Raises:
        TableError: If ``path`` exists and ``force`` is false, or it cannot be written.

    Privacy:
        Public: reads no record.
    """
    path = Path(path)
    try:
        _check_place(path, force)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if owner_only else 0o666))
        try:
            yield aside
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise TableError(
            f"{str(path)!r} cannot be written: {error.strerror or 'the system refused'}"
        ) from None


def _check_place(path: Path, force: bool) -> None:
    if path.is_dir():
        raise TableError(f"{str(path)!r} is a folder; name a file in it")
    if path.exists() and not force:
        raise TableError(f"{str(path)!r} exists; replace it with --force (force=True), or name another file")
    if not path.parent.is_dir():
        raise TableError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")
