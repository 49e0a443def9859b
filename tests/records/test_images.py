"""Images: whatever stores them, the same records come out; what does not fit is said without a value."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from privsynth.errors import SchemaError, TableError
from privsynth.io.images import check_image_output, contact_sheet, write_contact_sheet, write_images
from privsynth.records.images import conform_images, read_images
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import LabelledImages

SHAPE = ImageShape(height=6, width=5)
COLUMNS = {
    "label": {"type": "categorical", "categories": ["a", "b"], "role": "target"},
    "age": {"type": "integer", "low": 0, "high": 99, "missing": True},
}
SCHEMA = Schema(COLUMNS, image=SHAPE)


def drawn(n: int = 7, shape: ImageShape = SHAPE) -> LabelledImages:
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(
        {"label": rng.choice(["a", "b"], n), "age": pd.array([None, *range(1, n)], dtype="Int64")}
    )
    return LabelledImages(rng.integers(0, 256, (n, *shape.axes), dtype=np.uint8), labels)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def same_records(first: Any, second: Any, schema: Schema = SCHEMA) -> None:
    a, b = (conform_images(source, schema) for source in (first, second))
    assert np.array_equal(a.images, b.images)
    pd.testing.assert_frame_equal(a.frame, b.frame)


# -- every form holds the same records -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out", "out.npz"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_is_read_back(name: str, channels: int, tmp_path: Path) -> None:
    shape = ImageShape(height=6, width=5, channels=channels)
    both = drawn(shape=shape)
    blocks = [LabelledImages(both.images[part], both.labels[part]) for part in (slice(0, 4), slice(4, 7))]
    assert write_images(blocks, tmp_path / name) == 7
    same_records(tmp_path / name, both, Schema(COLUMNS, image=shape))
    again = tmp_path / f"again-{name}"
    write_images([both], again)
    files = [again] if again.is_file() else sorted(again.iterdir())
    first = [tmp_path / name] if again.is_file() else sorted((tmp_path / name).iterdir())
    assert [f.read_bytes() for f in files] == [f.read_bytes() for f in first]


def test_an_array_and_a_frame_will_do() -> None:
    both = drawn()
    same_records((both.images[..., 0], both.labels), both)


def test_subfolders_are_classes(tmp_path: Path) -> None:
    both = drawn()
    for i, (image, label) in enumerate(zip(both.images, both.labels["label"], strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / label / f"{i}.png")
    read = read_images(tmp_path, shape=SHAPE)
    order = np.argsort(both.labels["label"].to_numpy(), kind="stable")
    assert read.labels["label"].tolist() == both.labels["label"].to_numpy()[order].tolist()
    assert np.array_equal(read.images, both.images[order])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_come_with_their_labels(suffix: str, tmp_path: Path) -> None:
    both = drawn()
    codes = (both.labels["label"] == "b").to_numpy(np.uint8)
    pack = gzip.compress if suffix else bytes
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(idx(both.images[..., 0])))
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(codes)))
    read = read_images(tmp_path / f"train-images-idx3-ubyte{suffix}", shape=SHAPE)
    assert np.array_equal(read.images, both.images)
    assert read.labels["label"].tolist() == codes.tolist()


def test_clipping_turns_any_picture_into_the_shape(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (10, 12), (200, 200, 200)).save(tmp_path / "a" / "1.jpg")
    with pytest.raises(
        SchemaError, match="is not of 6 x 5 pixels, grey as the schema says; mend the schema, or"
    ):
        read_images(tmp_path, shape=SHAPE)
    read = read_images(tmp_path, shape=SHAPE, on_violation="clip")
    assert read.images.shape == (1, 6, 5, 1)
    assert np.abs(read.images.astype(int) - 200).max() <= 2  # JPEG rounds


def test_what_is_clipped_is_not_told_by_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns of palettes and of sizes: with "clip" no single file may be heard of."""
    (tmp_path / "a").mkdir()
    palette = Image.fromarray(np.arange(30, dtype=np.uint8).reshape(6, 5)).convert("P")
    palette.save(tmp_path / "a" / "1.png", transparency=b"\0\1\2")
    Image.new("L", (60, 60)).save(tmp_path / "a" / "2.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.warns(Image.DecompressionBombWarning), Image.open(tmp_path / "a" / "2.png"):
        pass
    with pytest.warns(UserWarning, match="Palette"), Image.open(tmp_path / "a" / "1.png") as opened:
        opened.convert("L")
    assert len(read_images(tmp_path, shape=SHAPE, on_violation="clip")) == 2  # warnings are errors here


def test_a_folder_whose_table_has_no_rows_is_clipped_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label,age\n")
    assert len(conform_images(tmp_path, SCHEMA, on_violation="clip").frame) == 0
    with pytest.raises(TableError, match="the label table has no rows"):
        conform_images(tmp_path, SCHEMA)


# -- what does not fit -----------------------------------------------------------------------------------


def broken_folder(folder: Path, content: bytes = b"no picture", name: str = "patient-smith.png") -> Path:
    folder.mkdir()
    pd.DataFrame({"file": [name], "label": ["a"], "age": [1]}).to_csv(folder / "labels.csv", index=False)
    (folder / "patient-smith.png").write_bytes(content)
    return folder


def damaged_png() -> bytes:
    """Return a picture whose data end early: Pillow quotes what comes next, in a `SyntaxError`."""
    packed = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 5), dtype=np.uint8)).save(packed, "png")
    content = bytearray(packed.getvalue())
    length = content.index(b"IDAT") - 1
    content[length] //= 2
    end = length + 5 + content[length]
    content[end + 8 : end + 12] = b"-smi"
    return bytes(content)


def linked_to_itself(folder: Path) -> Path:
    broken_folder(folder, name="smith.png")
    (folder / "smith.png").symlink_to(folder / "smith.png")
    return folder


MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "floats": (lambda p: (np.zeros((1, 6, 5)), drawn(1).labels), TableError, "uint8 of shape .* got float64"),
    "lengths": (lambda p: (drawn(2).images, drawn(3).labels), TableError, "one row of labels for each image"),
    "no frame": (lambda p: (drawn(2).images, ["a", "b"]), TableError, "pandas DataFrame, got list"),
    "a list": (lambda p: [1], TableError, "or a path, got list"),
    "another size": (
        lambda p: drawn(shape=ImageShape(height=5, width=5)),
        SchemaError,
        r"expected images of shape \(6, 5, 1\) .* got \(5, 5, 1\)",
    ),
    "no file": (lambda p: p / "x.npz", TableError, "there is no file or folder"),
    "an empty folder": (lambda p: p, TableError, "expected images in .* one subfolder a class"),
    "no picture": (lambda p: broken_folder(p / "f"), TableError, "cannot be read as PNG or JPEG"),
    "a damaged picture": (
        lambda p: broken_folder(p / "f", damaged_png()),
        TableError,
        "cannot be read as PNG or JPEG",
    ),
    "a loop of links": (lambda p: linked_to_itself(p / "f"), TableError, "leads out of the folder"),
    "no name at all": (
        lambda p: (drawn(1), broken_folder(p / "f", name="\0.png"))[1],
        TableError,
        "leads out of the folder",
    ),
    "a file that is not there": (
        lambda p: broken_folder(p / "f", name="gone.png"),
        TableError,
        "labels of .* name is not there",
    ),
    "a way out": (lambda p: broken_folder(p / "f", name="../x.png"), TableError, "leads out of the folder"),
    "no npz": (lambda p: written(p / "x.npz", b"no zip"), TableError, "is no npz file, or holds objects"),
    "no idx": (
        lambda p: written(p / "a-images-idx3-ubyte", b"0"),
        TableError,
        "no idx file of unsigned bytes",
    ),
    "a short idx": (
        lambda p: written(p / "a-images-idx3-ubyte", idx(drawn().images[..., 0])[:-1]),
        TableError,
        "is damaged: its length is not what its header says",
    ),
    "idx without labels": (
        lambda p: written(p / "a-images-idx3-ubyte", idx(drawn().images[..., 0])),
        TableError,
        "expected the labels of .* beside it",
    ),
}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_and_no_record_quoted(mistake: str, tmp_path: Path) -> None:
    make, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=message) as caught:
        conform_images(make(tmp_path), SCHEMA)
    assert "smith" not in str(caught.value)


def test_objects_in_an_npz_file_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=drawn().images, label=np.array([{}] * 7, dtype=object))
    with pytest.raises(TableError, match="holds objects"):
        read_images(tmp_path / "x.npz", shape=SHAPE)


def test_labels_are_held_against_the_schema_like_any_table() -> None:
    both = drawn()
    with pytest.raises(SchemaError, match="the label table breaks its schema: column 'label'"):
        conform_images((both.images, both.labels.assign(label="c")), SCHEMA)
    with pytest.raises(SchemaError, match="the schema describes a table; for images it needs"):
        conform_images(both, Schema(COLUMNS))


# -- writing ---------------------------------------------------------------------------------------------


def test_nothing_is_replaced_unasked_and_no_foreign_folder_ever(tmp_path: Path) -> None:
    write_images([drawn()], tmp_path / "out")
    with pytest.raises(TableError, match="exists; replace it with --force"):
        write_images([drawn()], tmp_path / "out")
    assert write_images([drawn(3)], tmp_path / "out", force=True) == 3
    assert len(list((tmp_path / "out").iterdir())) == 4
    (tmp_path / "out" / "thesis.doc").write_bytes(b"")
    with pytest.raises(TableError, match="holds other files"):
        write_images([drawn()], tmp_path / "out", force=True)
    with pytest.raises(TableError, match=r"ending in \.npz, or a name without suffix"):
        check_image_output(tmp_path / "out.csv", force=False)


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def blocks():
        yield drawn()
        raise RuntimeError

    for name in ("out", "out.npz"):
        with pytest.raises(RuntimeError):
            write_images(blocks(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_contact_sheet_shows_each_image_in_its_place(tmp_path: Path) -> None:
    images = np.full((5, 48, 48, 1), 7, np.uint8) * np.arange(1, 6, dtype=np.uint8)[:, None, None, None]
    write_contact_sheet(images, tmp_path / "s.png", n_columns=2)
    with Image.open(tmp_path / "s.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (3 * 50 + 2, 2 * 50 + 2)
    centres = [[pixels[2 + 50 * r + 24, 2 + 50 * c + 24] for c in range(2)] for r in range(3)]
    assert centres == [[7, 14], [21, 28], [35, 128]]
    assert contact_sheet(images.repeat(3, -1), n_columns=5).mode == "RGB"
