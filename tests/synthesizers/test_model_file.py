"""The model file and the store of releases: durable, closed to code, refused when damaged."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from privsynth.errors import ModelFileError, TableError
from privsynth.releases import Release, ReleaseStore
from privsynth.synthesizers import load
from privsynth.synthesizers.model_file import MEMBERS, ModelFile, read_model_file, write_model_file

EVENT = {"purpose": "p", "mechanism": "gaussian", "noise_multiplier": 2.0, "count": 1, "delta": 0.0}


def release(key="k", **arrays):
    arrays = arrays or {"0": np.arange(6.0).reshape(2, 3)}
    return Release(key=key, event=EVENT, facts={"sets": [["a"]]}, arrays=arrays)


def contents():
    return ModelFile({"class": "X"}, {"w": np.ones((2, 2), np.float32)}, (release(), release("other")))


def test_a_model_file_comes_back_as_it_was(tmp_path):
    path = tmp_path / "m.privsynth"
    write_model_file(path, contents(), force=False)
    again = read_model_file(path)
    assert again.manifest == {"class": "X", "format_version": 1}
    assert np.array_equal(again.weights["w"], np.ones((2, 2)))
    assert [r.key for r in again.releases] == ["k", "other"]
    assert np.array_equal(again.releases[1].arrays["0"], np.arange(6.0).reshape(2, 3))
    assert again.releases[0].event == EVENT
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["m.privsynth"]


def test_an_existing_file_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "m.privsynth"
    path.write_text("mine")
    with pytest.raises(TableError, match="exists; choose another name"):
        write_model_file(path, contents(), force=False)
    assert path.read_text() == "mine"
    write_model_file(path, contents(), force=True)
    assert read_model_file(path).manifest["class"] == "X"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TableError, match="no such folder"):
        write_model_file(tmp_path / "no" / "m.privsynth", contents(), force=False)


def rewritten(path, **members):
    with zipfile.ZipFile(path) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (old | members).items():
            if data is not None:
                archive.writestr(name, data)


def newer(path):
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    rewritten(path, **{"manifest.json": json.dumps(manifest | {"format_version": 99})})


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda p: p.unlink(), "there is no model file"),
        (lambda p: p.write_bytes(b""), "damaged or not a privsynth model"),
        (lambda p: p.write_text("hello"), "damaged or not a privsynth model"),
        (lambda p: p.write_bytes(p.read_bytes()[:-200]), "damaged or not a privsynth model"),
        (lambda p: rewritten(p, **{"extra.pkl": b"x"}), "it holds other files"),
        (lambda p: rewritten(p, **{"../../evil": b"x"}), "it holds other files"),
        (lambda p: rewritten(p, **{"manifest.json": b"{"}), "damaged"),
        (lambda p: rewritten(p, **{"manifest.json": b"[]"}), "damaged"),
        (lambda p: rewritten(p, **{"weights.safetensors": b"\x80\x04pickled"}), "damaged"),
        (newer, "has model format 99, and this version reads up to 1; update privsynth"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, damage, text):
    path = tmp_path / "m.privsynth"
    write_model_file(path, contents(), force=False)
    damage(path)
    with pytest.raises(ModelFileError, match=text):
        read_model_file(path)


def test_a_model_of_an_unknown_class_is_refused(tmp_path):
    path = tmp_path / "m.privsynth"
    write_model_file(path, contents(), force=False)
    with pytest.raises(ModelFileError, match="unknown class"):
        load(path)
    assert len(MEMBERS) == 3


# -- the store of paid releases ---------------------------------------------------------------------------


def test_a_store_keeps_its_order_and_tells_what_was_lost(tmp_path):
    store = ReleaseStore(tmp_path / "s")
    store.set_meta(run="r1")
    store.append(Release(key="k", event=EVENT, lost=True))
    store.append(release("k"))
    store.close()
    again = ReleaseStore(tmp_path / "s")
    assert again.meta == {"run": "r1"}
    assert [r.lost for r in again] == [True, False]
    assert np.array_equal(again.bought("k").arrays["0"], release().arrays["0"])
    assert len(again.lost("k")) == 1
    assert again.bought("other") is None
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_a_process_killed_after_append_leaves_the_release(tmp_path):
    code = (
        "import os, sys\n"
        "from tests.synthesizers.test_model_file import ReleaseStore, release\n"
        "ReleaseStore(sys.argv[1]).append(release('kept'))\n"
        "os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=False)
    assert done.returncode == 9
    assert ReleaseStore(tmp_path / "s").bought("kept") is not None


def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "s").write_text("hello")
    with pytest.raises(ModelFileError, match="not a store of paid releases"):
        ReleaseStore(tmp_path / "s")
    with pytest.raises(TableError, match="cannot write"):
        ReleaseStore(tmp_path / "no" / "s")
