"""The model file: as it was written or refused by name, and never a way to run code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privsynth.errors import ModelFileError, PrivsynthError, TableError
from privsynth.releases.store import Release
from privsynth.synthesizers import load
from privsynth.synthesizers.model_file import MEMBERS, ModelFile, read_model_file, write_model_file
from tests.releases.test_store import EVENT, release, same

WEIGHTS = {"w": np.arange(4, dtype=np.float32).reshape(2, 2), "domain/x/edges": np.array([0.0, 2.5])}


def contents(**manifest):
    releases = (release(), release("other", arrays={}), Release(key="k", event=EVENT, lost=True))
    return ModelFile({"class": "X", "epsilon": 1.5} | manifest, WEIGHTS, releases)


@pytest.fixture
def path(tmp_path):
    """Return the path of a model file, alone in its folder."""
    write_model_file(tmp_path / "m.privsynth", contents(), force=False)
    return tmp_path / "m.privsynth"


def rewritten(path, compression=zipfile.ZIP_STORED, **changes):
    """Write the members of a model file again, with changes; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for stem, data in changes.items():
        members[next((name for name in MEMBERS if name.startswith(stem)), stem)] = data
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)


def with_manifest(path, change):
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    rewritten(path, manifest=json.dumps(change(manifest)))


# -- writing -------------------------------------------------------------------------------------------


def test_a_model_file_comes_back_as_it_was(path):
    again = read_model_file(path)
    assert again.manifest == {"class": "X", "epsilon": 1.5, "format_version": 1}
    assert again.weights.keys() == WEIGHTS.keys()
    for name, array in WEIGHTS.items():
        assert (again.weights[name].dtype, again.weights[name].tobytes()) == (array.dtype, array.tobytes())
    for read, written in zip(again.releases, contents().releases, strict=True):
        assert same(read, written)


def test_it_is_one_uncompressed_zip_of_three_parts_for_its_owner_only(path):
    with zipfile.ZipFile(path) as archive:
        assert tuple(archive.namelist()) == MEMBERS
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing is left beside it


def test_the_same_model_is_the_same_file(path, tmp_path):
    write_model_file(tmp_path / "again.privsynth", contents(), force=False)
    assert (tmp_path / "again.privsynth").read_bytes() == path.read_bytes()


def test_an_existing_file_is_replaced_only_by_force_and_then_at_once(path):
    before = path.read_bytes()
    with pytest.raises(TableError, match=r"m.privsynth' exists; replace it with --force"):
        write_model_file(path, contents(epsilon=2.5), force=False)
    assert path.read_bytes() == before
    os.chmod(path, 0o644)
    write_model_file(path, contents(epsilon=2.5), force=True)
    assert read_model_file(path).manifest["epsilon"] == 2.5
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it(path):
    before = path.read_bytes()
    for bad in (contents(epsilon=float("nan")), contents(epsilon=object())):
        with pytest.raises((ValueError, TypeError)):
            write_model_file(path, bad, force=True)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("no/m.privsynth", "cannot be written: there is no folder"),
        ("folder", "is a folder; name a file in it"),
        ("file/m.privsynth", "cannot be written: "),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path, where, text):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(TableError, match=text):
        write_model_file(tmp_path / where, contents(), force=True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can write")
def test_a_folder_without_permission_is_named():
    with pytest.raises(TableError, match=r"'/proc/m.privsynth' cannot be written: \w+"):
        write_model_file("/proc/m.privsynth", contents(), force=False)


# -- reading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda p: p.unlink(), "there is no model file"),
        (lambda p: (p.unlink(), p.mkdir()), "cannot be read: Is a directory"),
        (lambda p: p.write_bytes(b""), "is damaged or not a privsynth model"),
        (lambda p: p.write_text("hello"), "is damaged or not a privsynth model"),
        (lambda p: p.write_bytes(p.read_bytes()[:-200]), "is damaged or not a privsynth model"),
        (lambda p: p.write_bytes(pickle.dumps([1])), "is damaged or not a privsynth model"),
        (lambda p: rewritten(p, **{"extra.pkl": b"x"}), "it holds other files"),
        (lambda p: rewritten(p, **{"../../evil": b"x"}), "it holds other files"),
        (lambda p: rewritten(p, weights=None), "it holds other files"),
        (lambda p: rewritten(p, zipfile.ZIP_DEFLATED), "its parts are compressed"),
        (lambda p: rewritten(p, manifest=b"{"), "is damaged"),
        (lambda p: rewritten(p, manifest=b"\xff"), "is damaged"),
        (lambda p: rewritten(p, manifest=b"[]"), "is damaged"),
        (lambda p: rewritten(p, manifest=b"{}"), "is damaged"),
        (lambda p: rewritten(p, weights=b"\x80\x04pickled"), "is damaged"),
        (lambda p: rewritten(p, releases=b""), "is damaged"),
        (lambda p: with_manifest(p, lambda m: m | {"format_version": "1"}), "is damaged"),
        (lambda p: with_manifest(p, lambda m: m | {"format_version": 0}), "is damaged"),
        (lambda p: with_manifest(p, lambda m: m | {"releases": m["releases"][:0]}), "is damaged"),
        (lambda p: with_manifest(p, lambda m: m | {"releases": [1, 2, 3]}), "is damaged"),
        (lambda p: with_manifest(p, lambda m: m | {"releases": None}), "is damaged"),
        (
            lambda p: with_manifest(p, lambda m: m | {"format_version": 2}),
            "has model format 2, and this version reads up to 1; update privsynth",
        ),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(path, damage, text):
    damage(path)
    with pytest.raises(ModelFileError, match=rf"m\.privsynth'.* {text}|{text}.*m\.privsynth'"):
        read_model_file(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_is_anything_but_a_model_file_error(path, data):
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(
        st.one_of(st.just(start), st.integers(start, min(start + 40, len(whole))), st.just(len(whole)))
    )
    broken = path.with_name("broken.privsynth")
    broken.write_bytes(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])
    try:
        contents_ = read_model_file(broken)
    except ModelFileError as error:
        assert "broken.privsynth" in str(error)  # noqa: PT017 - damage may also leave a file that is whole
    else:
        assert contents_.manifest["format_version"] == 1


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from(["manifest", "weights", "releases"]))
def test_any_bytes_as_a_part_are_refused(path, data, part):
    broken = path.with_name("broken.privsynth")
    broken.write_bytes(path.read_bytes())
    rewritten(broken, **{part: data})
    with pytest.raises(ModelFileError):
        read_model_file(broken)


def test_nothing_in_a_file_is_run(path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    bomb = pickle.dumps(Bomb())
    for part in ("manifest", "weights", "releases"):
        broken = tmp_path / f"{part}.privsynth"
        broken.write_bytes(path.read_bytes())
        rewritten(broken, **{part: bomb})
        with pytest.raises(ModelFileError):
            load(broken)
    path.write_bytes(bomb)
    with pytest.raises(ModelFileError):
        load(path)
    assert not (tmp_path / "boom").exists()
    with pytest.raises(FileExistsError):  # the bomb works where it is unpickled
        (pickle.loads(bomb), pickle.loads(bomb))  # noqa: S301  # the control: unpickled, the bomb goes off


def test_a_part_that_claims_to_be_huge_is_refused_before_it_is_read(path, monkeypatch):
    monkeypatch.setattr("privsynth.synthesizers.model_file.MAX_MEMBER_BYTES", 100)
    with pytest.raises(ModelFileError, match="is too large to be a privsynth model"):
        read_model_file(path)


def test_a_model_of_an_unknown_class_is_refused(path):
    with pytest.raises(ModelFileError, match="unknown class"):
        load(path)


def test_the_errors_give_exit_codes():
    assert ModelFileError.exit_code == TableError.exit_code == 2
    assert issubclass(ModelFileError, PrivsynthError)
