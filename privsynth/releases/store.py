"""Releases: noised values that were paid for, and the store that keeps them. Plain data, no records.

A release may be published. Everything that a model learns comes from the releases of its run, in their
order, so that the model can be rebuilt from them alone.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from privsynth.errors import ModelFileError, StoreInUseError, TableError
from privsynth.errors.json_text import json_value
from privsynth.errors.sqlite_reasons import is_of_the_disk, reason

Array = NDArray[Any]
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)  # of parts that do not fit


@dataclass(frozen=True, kw_only=True)
class Release:
    """One noised answer, with the event that paid for it.

    Attributes:
        key: Name within the run, such as ``counts/one-way/age``.
        event: The charge, as `privsynth.accounting.events.Event.to_dict` writes it.
        facts: What else was released, JSON-able.
        arrays: Released arrays by name.
        lost: Whether the charge was written but its answer never stored: paid, and gone.
        columns: Columns that it was made from; None if it rests on all of them, or on a model of them.
        void: Whether the schema was amended since, so that it no longer says what its key does: paid, and
            never served again.
        kept: Whether it was released before the schema was amended, and still says what its key does.
    """

    key: str
    event: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    lost: bool = False
    columns: tuple[str, ...] | None = None
    void: bool = False
    kept: bool = False

    def header(self) -> dict[str, Any]:
        """Return all but the arrays, JSON-able."""
        out: dict[str, Any] = {"key": self.key, "event": dict(self.event), "facts": dict(self.facts)}
        if self.columns is not None:
            out["columns"] = list(self.columns)
        marks = {"lost": self.lost, "void": self.void, "kept": self.kept}
        return out | {mark: True for mark, is_set in marks.items() if is_set}

    @property
    def noise_multiplier(self) -> float:
        """The noise that was paid for; of a release kept from before, not what one would get now."""
        return float(self.event["noise_multiplier"])


class ReleaseStore:
    """The releases of one run, in the order in which they were released; durable if it has a path.

    A file belongs to one process at a time: two that went on with one run would take the private steps it
    has paid for once each.

    Args:
        path: File that every release is written to, fsynced, before the run goes on; None keeps them
            in memory only.

    Raises:
        TableError: If the file cannot be created.
        ModelFileError: If the file is there and is not a release store, or another process has it open
            (`StoreInUseError`).

    Privacy:
        Public: holds releases only.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._releases: list[Release] = []
        self._checkpoints: dict[str, Mapping[str, Array]] = {}
        self._database: sqlite3.Connection | None = None
        self.meta: dict[str, Any] = {}
        self._path = Path(path or "")
        if path is not None:
            self._open(self._path)

    def _open(self, path: Path) -> None:
        if not path.exists():
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except OSError as error:
                raise TableError(f"cannot write {str(path)!r}: {error.strerror}") from None
        try:
            self._database = sqlite3.connect(path, timeout=0.0)
            self._lock(self._database, path)
            self._load(self._database)
        except StoreInUseError:
            raise
        except (sqlite3.Error, SafetensorError, *_DAMAGED) as error:
            self.close()
            if isinstance(error, sqlite3.Error) and is_of_the_disk(error) and path.is_file():
                raise _refused(path, error) from None
            raise ModelFileError(
                f"{str(path)!r} is not a store of paid releases ({type(error).__name__}); "
                "--restart discards it and starts afresh"
            ) from None

    @contextmanager
    def _durably(self) -> Iterator[sqlite3.Connection | None]:
        """Give the open file, if there is one, for changes that are all kept or none of them."""
        if self._database is None:
            yield None
            return
        try:
            with self._database as database:
                yield database
        except sqlite3.OperationalError as error:
            raise _refused(self._path, error) from None

    def _lock(self, database: sqlite3.Connection, path: Path) -> None:
        """Take the file for this store alone, until it is closed or the process ends."""
        try:
            database.execute("PRAGMA synchronous=EXTRA")  # a step that was counted stays so after a power cut
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            self.close()
            raise StoreInUseError(
                f"{str(path)!r} belongs to a fit that is running; wait for it, or write the model elsewhere"
            ) from None

    def _load(self, database: sqlite3.Connection) -> None:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables - {"meta", "releases", "checkpoint"}:
            raise ValueError("a database of another kind, which stays as it is")
        database.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        database.execute(
            "CREATE TABLE IF NOT EXISTS releases "
            "(seq INTEGER PRIMARY KEY, header TEXT NOT NULL, arrays BLOB NOT NULL)"
        )
        database.execute("CREATE TABLE IF NOT EXISTS checkpoint (key TEXT PRIMARY KEY, arrays BLOB NOT NULL)")
        self.meta = {
            name: json_value(value) for name, value in database.execute("SELECT name, value FROM meta")
        }
        rows = database.execute("SELECT header, arrays FROM releases ORDER BY seq").fetchall()
        checkpoints = database.execute("SELECT key, arrays FROM checkpoint").fetchall()
        self._checkpoints = {key: load_tensors(blob) for key, blob in checkpoints}
        self._releases = [release_from(json_value(header), load_tensors(blob)) for header, blob in rows]

    def set_meta(self, **values: Any) -> None:
        """Keep public facts about the run beside its releases."""
        self.meta.update(values)
        with self._durably() as database:
            if database is not None:
                rows = [(name, json.dumps(value)) for name, value in values.items()]
                database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def forget(self, name: str) -> None:
        """Drop a fact about the run."""
        self.meta.pop(name, None)
        with self._durably() as database:
            if database is not None:
                database.execute("DELETE FROM meta WHERE name = ?", (name,))

    def set_checkpoint(self, key: str, arrays: Mapping[str, Array], *, n_steps: int) -> None:
        """Keep the state of a training after some steps, a function of releases, in place of the last one."""
        self._checkpoints[key] = dict(arrays)
        self.meta[f"{key}/kept"] = n_steps
        with self._durably() as database:
            if database is not None:
                row = (key, tensor_bytes(arrays))
                database.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", row)
                kept = (f"{key}/kept", json.dumps(n_steps))
                database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", kept)

    def checkpoint(self, key: str) -> Mapping[str, Array] | None:
        """Return the last checkpoint of a training, or None."""
        return self._checkpoints.get(key)

    def n_kept(self, key: str) -> int:
        """Return how many steps the last checkpoint holds, 0 if there is none."""
        return int(self.meta.get(f"{key}/kept", 0))

    def append(self, release: Release) -> None:
        """Keep a release; on return it is durable."""
        with self._durably() as database:
            if database is not None:
                arrays = tensor_bytes(release.arrays)
                header = json.dumps(release.header(), allow_nan=False)
                database.execute("INSERT INTO releases (header, arrays) VALUES (?, ?)", (header, arrays))
        self._releases.append(release)

    def close(self) -> None:
        """Close the file; the releases stay in memory."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def __iter__(self) -> Iterator[Release]:
        return iter(self._releases)

    def __len__(self) -> int:
        return len(self._releases)

    def stored(self, key: str) -> Release | None:
        """Return the release with this key, or None if it was never stored."""
        return next((r for r in self._releases if r.key == key and not (r.lost or r.void)), None)

    def lost(self, key: str) -> list[Release]:
        """Return the charges with this key whose answers were lost, under the schema as it is now."""
        return [r for r in self._releases if r.key == key and r.lost and not (r.void or r.kept)]

    def lose(self, key: str) -> None:
        """Take the release with this key for lost: paid, and its answer of no use."""
        self.mark([replace(r, lost=True) if r is self.stored(key) else r for r in self._releases])

    def lose_misfit(self, key: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """Take a release that an amended schema kept for lost if its tables have other shapes than these."""
        kept = self.stored(key)
        if kept is None or not kept.kept:
            return
        if [kept.arrays[str(i)].shape for i in range(len(shapes))] != list(shapes):
            self.lose(key)

    def mark(self, new: list[Release], **meta: Any) -> None:
        """Put the same releases, marked, in the place of those that stand there, and keep facts.

        It is one transaction. Checkpoints of blocks of steps that are void are dropped.
        """
        void = {release.key for release in new if release.void}
        dropped = [name for key in void if key in self._checkpoints for name in (key, f"{key}/kept")]
        with self._durably() as database:
            if database is not None:
                numbers = [n for (n,) in database.execute("SELECT seq FROM releases ORDER BY seq")]
                headers = [(json.dumps(r.header()), n) for r, n in zip(new, numbers, strict=True)]
                database.executemany("UPDATE releases SET header = ? WHERE seq = ?", headers)
                database.executemany("DELETE FROM checkpoint WHERE key = ?", [(name,) for name in dropped])
                database.executemany("DELETE FROM meta WHERE name = ?", [(name,) for name in dropped])
                rows = [(name, json.dumps(value)) for name, value in meta.items()]
                database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        self._releases = new
        for name in dropped:
            self._checkpoints.pop(name, None)
            self.meta.pop(name, None)
        self.meta.update(meta)


def _refused(path: Path, error: sqlite3.Error) -> TableError:
    return TableError(f"the paid releases cannot be kept in {str(path)!r}: {reason(error)}")


class PartOfStore(ReleaseStore):
    """The releases of one table among those of a run: in the whole store its name stands before their keys.

    Args:
        whole: The store of the run.
        name: Name of the table.

    Privacy:
        Public: holds releases only.
    """

    def __init__(self, whole: ReleaseStore, name: str) -> None:
        super().__init__()
        self._whole, self._prefix = whole, f"{name}/"
        self.meta = whole.meta

    def append(self, release: Release) -> None:
        """Keep a release; on return it is durable."""
        self._whole.append(replace(release, key=self._prefix + release.key))

    def __iter__(self) -> Iterator[Release]:
        return (release for release in self._whole if release.key.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def stored(self, key: str) -> Release | None:
        """Return the release with this key, or None if it was never stored."""
        return self._whole.stored(self._prefix + key)

    def lost(self, key: str) -> list[Release]:
        """Return the charges with this key whose answers were lost."""
        return self._whole.lost(self._prefix + key)

    def lose(self, key: str) -> None:
        """Take the release with this key for lost: paid, and its answer of no use."""
        self._whole.lose(self._prefix + key)


def release_from(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Release:
    """Rebuild a release from its header and arrays."""
    return Release(
        key=header["key"],
        event=header["event"],
        facts=header["facts"],
        arrays=arrays,
        lost=bool(header.get("lost", False)),
        columns=None if header.get("columns") is None else tuple(header["columns"]),
        void=bool(header.get("void", False)),
        kept=bool(header.get("kept", False)),
    )


def tensor_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays as a safetensors file."""
    return bytes(save_tensors({name: np.asarray(array, order="C") for name, array in arrays.items()}))
