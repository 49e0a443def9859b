"""The store of paid releases: what it keeps, when it is durable, what it refuses to open."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from privsynth.errors import ModelFileError, StoreInUseError, TableError
from privsynth.releases.store import PartOfStore, Release, ReleaseStore, release_from

EVENT = {"purpose": "p", "mechanism": "gaussian", "noise_multiplier": 2.0, "count": 1, "delta": 0.0}
ARRAYS = {
    "0": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array(3.25),
    "whole": np.array([-(2**62), 2**62]),
    "empty": np.empty((0, 4)),
    "truth": np.array([True, False]),
}


def release(key="k", **changes):
    return Release(**({"key": key, "event": EVENT, "facts": {"sets": [["a"]]}, "arrays": ARRAYS} | changes))


def same(first, second):
    assert first.header() == second.header()
    assert first.arrays.keys() == second.arrays.keys()
    for name, array in first.arrays.items():
        other = second.arrays[name]
        assert (array.dtype, array.shape, array.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return True


@pytest.mark.parametrize("release_", [release(), release(arrays={}), release(lost=True, arrays={})])
def test_what_is_kept_comes_back_as_it_was(tmp_path, release_):
    store = ReleaseStore(tmp_path / "s")
    store.append(release_)
    store.close()
    (again,) = ReleaseStore(tmp_path / "s")
    assert same(again, release_)
    assert same(release_from(release_.header(), release_.arrays), release_)


def test_a_store_keeps_order_and_facts_in_memory_and_on_disk(tmp_path):
    for path in (None, tmp_path / "s"):
        store = ReleaseStore(path)
        store.set_meta(run="r1", seed=7)
        store.set_meta(seed=8)
        for key in ("b", "a", "c"):
            store.append(release(key))
        assert [r.key for r in store] == ["b", "a", "c"]
        assert len(store) == 3
        store.close()
        assert len(store) == 3  # the releases stay in memory
    again = ReleaseStore(tmp_path / "s")
    assert [r.key for r in again] == ["b", "a", "c"]
    assert again.meta == {"run": "r1", "seed": 8}
    again.append(release("d"))
    again.close()
    assert [r.key for r in ReleaseStore(tmp_path / "s")] == ["b", "a", "c", "d"]


def test_a_lost_charge_is_told_from_a_release():
    store = ReleaseStore()
    store.append(release("k", lost=True, arrays={}))
    store.append(release("other"))
    assert store.stored("k") is None
    assert [r.lost for r in store.lost("k")] == [True]
    store.append(release("k"))
    assert store.stored("k").arrays
    assert len(store.lost("k")) == 1
    assert store.lost("other") == []
    assert store.stored("never") is None


def test_the_file_is_for_its_owner_only(tmp_path):
    ReleaseStore(tmp_path / "s").append(release())
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_a_process_killed_after_append_leaves_the_release(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from tests.releases.test_store import ReleaseStore, release\n"
        "store = ReleaseStore(sys.argv[1])\n"
        "store.set_meta(run='r1')\n"
        "store.append(release('kept'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=False)
    assert done.returncode == -signal.SIGKILL
    store = ReleaseStore(tmp_path / "s")
    assert same(store.stored("kept"), release("kept"))
    assert store.meta == {"run": "r1"}


def test_a_release_that_cannot_be_written_is_kept_nowhere(tmp_path):
    store = ReleaseStore(tmp_path / "s")
    for bad in (release(facts={"x": float("nan")}), release(facts={"x": object()})):
        with pytest.raises((ValueError, TypeError)):
            store.append(bad)
    assert len(store) == 0
    store.close()
    assert len(ReleaseStore(tmp_path / "s")) == 0


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "resumed"])
def test_a_store_that_a_process_is_at_work_with_is_refused_to_others_until_it_ends(tmp_path, is_new):
    """Also before it has written anything: a run that is resumed reads first."""
    if not is_new:
        ReleaseStore(tmp_path / "s").close()
    code = (
        "import sys\n"
        "from tests.releases.test_store import ReleaseStore\n"
        "store = ReleaseStore(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s")], **pipes) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreInUseError, match="belongs to a fit that is running"):
            ReleaseStore(tmp_path / "s")
        other.stdin.close()
    assert len(ReleaseStore(tmp_path / "s")) == 0


def test_what_is_counted_survives_a_power_cut(tmp_path):
    store = ReleaseStore(tmp_path / "s")
    assert store._database.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA: FULL, and the folder too


def test_an_empty_file_is_an_empty_store(tmp_path):
    (tmp_path / "s").touch()  # a crash between making the file and the first release
    assert len(ReleaseStore(tmp_path / "s")) == 0


def damaged(path, statement):
    store = ReleaseStore(path)
    store.append(release())
    store.close()
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("hello, this is a text and no database at all"),
        lambda path: damaged(path, "UPDATE releases SET arrays = x'00112233445566778899'"),
        lambda path: damaged(path, "UPDATE releases SET arrays = 'text'"),
        lambda path: damaged(path, "UPDATE releases SET header = '{'"),
        lambda path: damaged(path, "UPDATE releases SET header = '[]'"),
        lambda path: damaged(path, """UPDATE releases SET header = '{"key": "k"}'"""),
        lambda path: damaged(path, "INSERT INTO meta VALUES ('run', 'not json')"),
        lambda path: damaged(path, "ALTER TABLE releases RENAME COLUMN header TO other"),
    ],
)
def test_a_damaged_store_is_refused_with_the_way_out(tmp_path, damage):
    path = tmp_path / "s"
    damage(path)
    before = path.read_bytes()
    text = r"is not a store of paid releases \(\w+\); --restart discards it and starts afresh"
    with pytest.raises(ModelFileError, match=text):
        ReleaseStore(path)
    assert path.read_bytes() == before


def test_a_cut_off_store_is_refused(tmp_path):
    path = tmp_path / "s"
    store = ReleaseStore(path)
    for i in range(20):
        store.append(release(str(i), arrays={"0": np.arange(500.0)}))
    store.close()
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ModelFileError, match="is not a store of paid releases"):
        ReleaseStore(path)


def test_a_database_of_another_kind_stays_as_it_is(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE spends (x)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match="is not a store of paid releases"):
        ReleaseStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("path", ["no/such/folder/s", os.devnull + "/s"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, path):
    with pytest.raises(TableError, match=r"cannot write '.*s': "):
        ReleaseStore(tmp_path / path if not path.startswith("/") else Path(path))
    with pytest.raises(ModelFileError, match="is not a store of paid releases"):
        ReleaseStore(tmp_path)  # a folder


def test_a_part_of_a_store_holds_what_is_of_its_table_alone():
    whole = ReleaseStore()
    for key, lost in (("a/x", False), ("a/y", True), ("ab/x", False), ("b/y", True)):
        whole.append(Release(key=key, event={"noise_multiplier": 1.0}, lost=lost))
    part = PartOfStore(whole, "a")
    assert [release.key for release in part] == ["a/x", "a/y"]
    assert len(part) == 2
    assert part.stored("x") is whole.stored("a/x")
    assert [release.key for release in part.lost("y")] == ["a/y"]
    assert part.stored("y") is None
    part.lose("x")
    assert [release.lost for release in whole] == [True, True, False, True]
    part.append(Release(key="x", event={}))
    assert whole.stored("a/x") is not None
