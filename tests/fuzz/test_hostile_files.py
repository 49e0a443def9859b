"""Hostile files end in an error of ours: those that once did not, fresh ones, and bombs made by hand."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import privsynth
from privsynth.cli.linked import read_schema
from privsynth.cli.request import read_request_file
from privsynth.errors import ModelFileError, RequestError, SchemaError, TableError
from privsynth.errors.json_text import json_value
from privsynth.io import image_files
from privsynth.io.tables import open_table
from privsynth.models.images.diffusion import DiffusionImages
from privsynth.models.images.gan import GeneratedImages
from privsynth.records.images import read_images
from privsynth.schema.image_shape import ImageShape
from tests.fuzz.run import kept, tried, unexpected
from tests.fuzz.targets import FILES, OLDER, TARGETS

SHAPE = ImageShape(height=4, width=4)
MOST_TRIED = 150
MOST_BYTES = 64 * 2**20  # for a file of a few KB


@pytest.mark.parametrize("name", TARGETS)
def test_files_that_once_were_read_wrongly_and_fresh_ones_are_read_or_refused(
    name: str, tmp_path: Path
) -> None:
    for path in kept(name):
        assert unexpected(name, path.read_bytes(), tmp_path) is None, path.name
    found = [wrong for _, wrong in tried(name, most=MOST_TRIED, seed=0)]  # as many whatever the machine
    assert found == [None] * MOST_TRIED


@pytest.mark.fuzz
@pytest.mark.parametrize("name", TARGETS)
def test_ten_minutes_of_hostile_files_find_nothing(name: str) -> None:
    assert {wrong for _, wrong in tried(name, seconds=600.0, seed=int.from_bytes(os.urandom(8), "big"))} == {
        None
    }


def test_a_reader_that_fails_otherwise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privsynth.schema.column_types.SchemaError", KeyError)
    monkeypatch.setattr("privsynth.schema.columns.SchemaError", KeyError)
    assert any(wrong for _, wrong in tried("schema", seconds=3.0, seed=1))


# -- models -----------------------------------------------------------------------------------------------


def model_with(path: Path, manifest: bytes | None = None, **arrays: np.ndarray) -> Path:
    """Write the first version's model with another manifest, or with other arrays of the column 'age'."""
    of_age = {f"domain/age/{name}": array for name, array in arrays.items()}
    return changed(OLDER / "marginal.privsynth", path, manifest, of_age)


def changed(model: Path, path: Path, manifest: bytes | None, arrays: dict[str, np.ndarray]) -> Path:
    """Write a model with another manifest, or with other arrays."""
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json" and manifest is not None:
                data = manifest
            if name == "weights.safetensors" and arrays:
                data = save_tensors(dict(load_tensors(data)) | arrays)
            new.writestr(name, data)
    return path


def test_a_generator_of_other_cells_than_its_table_has_is_refused_before_a_network_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fourth = FILES / "fourth"
    cells = privsynth.load(fourth / "image_feature.privsynth").model_.generator.cells
    without_last = {"image/cells": np.where(cells == cells.max(), 0, cells)}
    with pytest.raises(ModelFileError, match="is damaged"):
        privsynth.load(changed(fourth / "image_feature.privsynth", tmp_path / "m", None, without_last))

    def made(*arguments: object) -> None:
        raise AssertionError("a network was made")

    for kind, name in ((GeneratedImages, "image_gan"), (DiffusionImages, "image_diffusion")):
        monkeypatch.setattr(kind, "untrained", made)
        model = changed(
            fourth / f"{name}.privsynth", tmp_path / "m", None, {"image/n_cells": np.array([2**40])}
        )
        with pytest.raises(ModelFileError, match="is damaged"):
            privsynth.load(model)


def test_a_model_file_asks_for_no_more_memory_than_its_size_warrants(tmp_path: Path) -> None:
    cells = privsynth.load(OLDER / "marginal.privsynth").model_.domains["age"].bin_of_cell
    huge = np.where(np.arange(len(cells)) == 0, 2**31, cells)
    path = model_with(tmp_path / "m", bin_of_cell=huge)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="is damaged: its parts do not fit"):
            privsynth.load(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["[" * 200_000 + "]" * 200_000, "[" * 65 + "]" * 65, '{"a": 1e400}'])
def test_json_that_is_too_deep_or_beyond_any_number_is_refused_by_every_reader(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ModelFileError, match="damaged or not a privsynth model"):
        privsynth.load(model_with(tmp_path / "m", manifest=text.encode()))
    with pytest.raises(SchemaError, match="nested too deeply or too large, or has a number beyond 1e308"):
        read_schema(tmp_path / "t.json")
    with pytest.raises(RequestError, match="is not JSON"):
        read_request_file(tmp_path / "t.json")
    with pytest.raises(ValueError, match="beyond 1e308"):
        json_value("1" * 400)


def test_anchors_of_yaml_do_not_multiply(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (tmp_path / "s.yaml").write_text("\n".join(lines))
    with pytest.raises(SchemaError, match="nested too deeply or too large"):
        read_schema(tmp_path / "s.yaml")


# -- images -----------------------------------------------------------------------------------------------


def npz_of(path: Path, shape: tuple[int, ...], n_bytes: int) -> Path:
    """Write an npz file whose array has a shape in its header, and so many bytes of zeros."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w") as member,
    ):
        member.write(head.getvalue())
        for _ in range(n_bytes // 2**20):
            member.write(bytes(2**20))
    return path


@pytest.mark.parametrize(
    ("shape", "n_bytes", "match"),
    [
        ((2**40, 4, 4), 2**20, "an array is shorter than its header says"),
        ((1, 2**20, 1), 2**20, "at most 256 pixels a side"),
        ((2**20, 4, 4), 2**24, "would inflate to 0.0156 GiB"),
    ],
)
def test_an_npz_file_is_held_against_limits_before_it_is_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], n_bytes: int, match: str
) -> None:
    monkeypatch.setattr(image_files, "MAX_INFLATED_BYTES", 2**21)
    path = npz_of(tmp_path / "t.npz", shape, n_bytes)
    tracemalloc.start()
    try:
        with pytest.raises(TableError, match=match):
            read_images(path, shape=SHAPE)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("axes", "match"),
    [
        ((2**31, 4, 4), "would inflate to 32 GiB"),
        ((3, 2**20, 4), "at most 256 pixels a side"),
        ((4, 4, 4), "its length is not what its header says"),
    ],
)
def test_an_idx_file_too(tmp_path: Path, axes: tuple[int, ...], match: str) -> None:
    path = tmp_path / "t-images-idx3-ubyte.gz"
    head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in axes)
    path.write_bytes(gzip.compress(head + bytes(48)))
    (tmp_path / "t-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 0, 0, 0])))
    with pytest.raises(TableError, match=match):
        read_images(path, shape=SHAPE)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_out_of_a_folder_of_classes_is_not_followed(tmp_path: Path, what: str) -> None:
    inside, outside = tmp_path / "images", tmp_path / "outside"
    (inside / "cat").mkdir(parents=True)
    outside.mkdir()
    for path in (inside / "cat" / "1.png", outside / "2.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    assert len(read_images(inside, shape=SHAPE)) == 1
    if what == "file":
        (inside / "cat" / "2.png").symlink_to(outside / "2.png")
    else:
        (inside / "dog").symlink_to(outside)
    with pytest.raises(TableError, match=r"a link in .* leads out of the folder"):
        read_images(inside, shape=SHAPE)


# -- tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"attributes": 3}', '{"column_indexes": 7}', "\xff"]
)
def test_damaged_metadata_of_pandas_is_no_reason_to_fail(tmp_path: Path, text: str) -> None:
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({b"pandas": text.encode("latin1")})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert open_table(tmp_path / "t.parquet").column("a").tolist() == [1, 2]


def test_what_is_asked_for_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"balance": [{"a": [1]}]}))
    model = privsynth.load(OLDER / "marginal.privsynth")
    with pytest.raises(RequestError):
        model.sample(5, **read_request_file(tmp_path / "r.json"))
