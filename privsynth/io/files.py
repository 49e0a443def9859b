"""Which files hold one table: a path, a folder, a pattern or a list of paths."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard
from urllib.parse import unquote

from privsynth.errors import TableError
from privsynth.io.source import Kind, ReadOptions, Source

_SLIP = re.compile(r"(duckdb|postgres|postgresql|spark):", re.IGNORECASE)  # of an address, whole or not
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SIGNS_OF_PATTERNS = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Files:
    """The files of one table.

    Attributes:
        paths: The files, in the order of their rows.
        text: What was given, for messages.
        base: The folder below which folders may be named by values, as ``sex=F``; None if none is.
        is_folder: Whether a folder was given.
    """

    paths: tuple[Path, ...]
    text: str
    base: Path | None = None
    is_folder: bool = False

    @property
    def partitions(self) -> list[str]:
        """Columns that folders are named by; public but for the values, which are not returned."""
        if self.base is None:
            return []
        folders = [part for path in self.paths for part in path.relative_to(self.base).parts[:-1]]
        return list(dict.fromkeys(part.partition("=")[0] for part in folders if "=" in part))

    @property
    def n_bytes(self) -> int:
        """Size of all files; public."""
        return sum(path.stat().st_size for path in self.paths)

    def version(self, suffixes: tuple[str, ...], *, n_last: int = 0) -> tuple[object, ...]:
        """Return what tells whether files were changed: which there are, their sizes, times and last bytes.

        Args:
            suffixes: How names of such files end.
            n_last: How many bytes at the end are looked at, such as the footers of Parquet files.

        Privacy:
            Not private: a function of files of records.
        """
        now = self.paths
        if self.is_folder and self.base is not None:
            now = tuple(_below(self.base, suffixes))
        elif self.base is not None:
            now = _matching(self.text)
        return tuple((str(path), *_state(path, n_last)) for path in now)

    def end_with(self, suffixes: tuple[str, ...]) -> bool:
        """Whether all files are named so."""
        return all(path.name.lower().endswith(suffixes) for path in self.paths)


def kind_of_files(
    what: str, open_files: Callable[[Files, ReadOptions], Source], *suffixes: str, in_folders: bool = False
) -> Kind:
    """Return the kind of sources whose files are named so; see `Kind`."""

    def takes(given: object) -> bool:
        return isinstance(given, Files) and given.end_with(suffixes)

    return Kind(what, open_files, takes, suffixes, in_folders)


def is_url(given: object) -> TypeGuard[str]:
    """Whether something names a table in an engine, as ``duckdb://visits.db#visits``."""
    return isinstance(given, str) and _URL.match(given) is not None


def are_paths(given: object) -> TypeGuard[str | Path | Sequence[str | Path]]:
    """Whether something names files: one path or pattern, or a list of paths."""
    if isinstance(given, list | tuple):
        return len(given) > 0 and all(are_paths(one) and isinstance(one, str | Path) for one in given)
    return isinstance(given, Path) or (isinstance(given, str) and not is_url(given))


def find_files(given: str | Path | Sequence[str | Path], kinds: Iterable[Kind]) -> Files:
    """Find the files that are meant.

    Args:
        given: The path of a file, whether it is there or not; that of a folder of one kind of files; a
            pattern with ``*``, ``?``, ``[...]`` or ``**``; or a list of paths of files.
        kinds: The kinds that there are.

    Raises:
        TableError: If no file matches a pattern.

    Privacy:
        Public: reads names of files.
    """
    if not isinstance(given, str | Path):
        paths = tuple(map(Path, given))
        return Files(paths, ", ".join(map(str, paths)))
    path, text = Path(given), str(given)
    if path.is_dir():
        for kind in kinds:
            found = _below(path, kind.suffixes) if kind.in_folders else []
            if found:
                return Files(tuple(found), text, path, is_folder=True)
    if not path.exists() and _SLIP.match(text):  # the rest of it may hold a password
        raise TableError(
            "expected two slashes in the address of a table: 'duckdb://PATH#TABLE', "
            "'postgresql://USER@HOST/DATABASE#TABLE' or 'spark://PATH'"
        )
    if path.exists() or not _SIGNS_OF_PATTERNS.search(text):
        return Files((path,), text)
    files = _matching(text)
    if not files:
        raise TableError(f"there is no file that matches {text!r}")
    n_fixed = next(i for i, part in enumerate(path.parts) if _SIGNS_OF_PATTERNS.search(part))
    return Files(files, text, Path(*path.parts[:n_fixed]))


def _matching(pattern: str) -> tuple[Path, ...]:
    """Return the files that match a pattern, in their order."""
    matching = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    return tuple(match for match in matching if match.is_file())


def _state(path: Path, n_last: int) -> tuple[object, ...]:
    """Return size and time of a file, and the hash of its last bytes; nothing if it is gone."""
    try:
        found = path.stat()
        with path.open("rb") as file:
            file.seek(max(0, found.st_size - n_last))
            return found.st_size, found.st_mtime_ns, hashlib.sha256(file.read(n_last)).hexdigest()
    except FileNotFoundError:
        return ()


def _below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files in a folder and its subfolders, but for names that begin with a point or ``_``."""
    found = [path for suffix in suffixes for path in folder.rglob(f"*{suffix}") if path.is_file()]
    shown = (p for p in found if not any(part[0] in "._" for part in p.relative_to(folder).parts))
    return sorted(shown)


def is_pattern(given: object) -> bool:
    """Whether something names files by a pattern, and no file or folder is called so."""
    if not isinstance(given, str | Path) or is_url(given):
        return False
    return _SIGNS_OF_PATTERNS.search(str(given)) is not None and not Path(given).exists()


def table_name(given: object, kinds: Iterable[Kind]) -> str | None:
    """Return the name that a table or a file of images has by its path; None if it has none.

    Suffixes are left out, and of a pattern what follows its first sign: ``visits-*.csv.gz`` is ``visits``,
    and so are ``visits/*/*.csv`` and ``visits/sex=F/*.csv``: folders named by values are parts of one table.
    That of an address is its table's, without the schema's, or that of the files it leads to.

    Privacy:
        Public: reads nothing.
    """
    if is_url(given):
        table = unquote(given.rpartition("#")[2]).rpartition(".")[2] if "#" in given else None
        files = unquote(given.partition("://")[2])
        return table if "#" in given or not files.strip("/") else table_name(files, kinds)
    if not isinstance(given, str | Path):
        return None
    *folders, name = Path(given).absolute().parts
    if is_pattern(given):
        n_fixed = next(i for i, part in enumerate((*folders, name)) if _SIGNS_OF_PATTERNS.search(part))
        begins = _SIGNS_OF_PATTERNS.split(name)[0].rstrip("-_. ") if n_fixed == len(folders) else ""
        folders, name = folders[:n_fixed], begins
    for suffix in (".gz", *(s for kind in kinds for s in kind.suffixes if s.count(".") == 1), ".npz"):
        name = name.removesuffix(suffix)
    is_of_value = Path(given).is_dir() and "=" in name
    if name and not is_of_value:
        return name
    return next((folder for folder in reversed(folders) if "=" not in folder), None)
