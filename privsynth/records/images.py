"""Where images come from: arrays, npz and idx files, folders of PNG or JPEG. Held against their schema."""

from __future__ import annotations

import gzip
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.io.tables import open_table, read_table
from privsynth.records.conform import OnViolation, Records, check_has_columns, conform
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import LabelledImages, PixelArray

ImageSource = LabelledImages | tuple[Any, pd.DataFrame] | str | Path

SUFFIXES = (".png", ".jpg", ".jpeg")
FILE_COLUMN = "file"  # of the table of labels in a folder
FILE_TABLES = ("labels.csv", "labels.csv.gz", "labels.parquet")
IMAGE_ARRAYS = ("images", "image", "x")  # names under which an npz file may hold the images
IDX_LABEL = "label"
_IDX_BYTES = 0x08  # the type code of unsigned bytes


def read_images(
    source: ImageSource, *, shape: ImageShape, on_violation: OnViolation = "error"
) -> LabelledImages:
    """Read images and their labels.

    Args:
        source: `LabelledImages`; a pair of an array and a frame; an ``.npz`` file with an array ``images``
            and one array for each column; an idx file (``...-images-idx3-ubyte``, with or without
            ``.gz``), its labels beside it under the same name with ``labels-idx1`` and read as the column
            ``label``; or a folder of PNG or JPEG files with a table ``labels.csv`` whose column ``file``
            names each image, or, without such a table, one subfolder for each value of the column ``label``.
        shape: What the schema says of each image.
        on_violation: Whether an image file of another size or mode is an error, or is resized
            (``"clip"``). Arrays hold one size for all, which is no secret of a record: another one is
            always an error.

    Raises:
        TableError: If a file is missing or cannot be read, or arrays are of another kind.
        SchemaError: If the images are of another shape than the schema says.

    Privacy:
        Not private: returns the records themselves. Messages name rules, no file of a folder and no value.
    """
    if isinstance(source, tuple) and len(source) == 2:
        source = LabelledImages(*source)
    if isinstance(source, LabelledImages):
        return _of_shape(source, shape)
    path = _existing(source)
    if path.is_dir():
        return _read_folder(path, shape, clip=on_violation == "clip")
    read: Callable[[Path], LabelledImages] = _read_npz if path.suffix.lower() == ".npz" else _read_idx_pair
    return _of_shape(read(path), shape)


def check_image_names(source: ImageSource, schema: Schema) -> None:
    """Check that images are there, with the labels that their schema describes; reads no record.

    Raises:
        TableError, SchemaError: As `read_images` and `privsynth.io.tables.open_table`.

    Privacy:
        Public: reads the names of files, arrays and columns, and the shape of arrays.
    """
    if schema.image is None:
        raise SchemaError(
            'the schema describes a table; for images it needs "image": {"height": ..., "width": ..., '
            '"channels": ...}'
        )
    names = _label_names(source, schema, schema.image)
    if names is not None:
        check_has_columns(names, schema, "the label table")


def _label_names(source: ImageSource, schema: Schema, shape: ImageShape) -> list[str] | None:
    """Return the names of the labels, None if they are not known before the records are."""
    if isinstance(source, LabelledImages):
        return open_table(_of_shape(source, shape).labels).names
    if isinstance(source, tuple) and len(source) == 2:
        return open_table(source[1]).names if isinstance(source[1], pd.DataFrame) else None
    path = _existing(source)
    if path.is_dir():
        table = _table_of_labels(path)
        if table is None:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when it is read
            return [name for name in open_table(table, schema=schema).names if name != FILE_COLUMN]
    return None


def conform_images(source: ImageSource, schema: Schema, *, on_violation: OnViolation = "error") -> Records:
    """Hold images and labels against their schema and return the records in canonical form.

    Args:
        source: As `read_images` takes it.
        schema: What is public; with an image shape, and complete.
        on_violation: As for `privsynth.records.conform.conform` and `read_images`.

    Raises:
        TableError, SchemaError: As those two.

    Privacy:
        Not private: returns the records.
    """
    if on_violation not in ("error", "clip"):
        raise ParameterError(f"expected on_violation to be 'error' or 'clip', got {on_violation!r}")
    check_image_names(source, schema)
    assert schema.image is not None
    both = read_images(source, shape=schema.image, on_violation=on_violation)
    records = conform(both.labels, schema, on_violation=on_violation, name="label")
    return Records(records.frame, records.persons, both.images)


def _existing(source: object) -> Path:
    if not isinstance(source, str | Path):
        raise TableError(
            "expected LabelledImages, a pair of an array and a frame of labels, or a path, got "
            f"{type(source).__name__}"
        )
    path = Path(source)
    if not path.exists():
        raise TableError(f"there is no file or folder {str(path)!r}")
    return path


def _of_shape(both: LabelledImages, shape: ImageShape) -> LabelledImages:
    if both.images.shape[1:] != shape.axes:
        raise SchemaError(
            f"expected images of shape {shape.axes} (height, width, channels) as the schema says, got "
            f"{both.images.shape[1:]}; mend the schema, or resize the images"
        )
    return both


# -- npz and idx -----------------------------------------------------------------------------------------


def _read_npz(path: Path) -> LabelledImages:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise TableError(f"{str(path)!r} cannot be read: it is no npz file, or holds objects") from None
    name = next((name for name in IMAGE_ARRAYS if name in held), None)
    if name is None:
        raise TableError(f"{str(path)!r} has no array 'images'")
    images = held.pop(name)
    columns = {name: array for name, array in held.items() if array.shape == images.shape[:1]}
    return LabelledImages(images, pd.DataFrame(columns, index=range(len(images))))


def _read_idx_pair(path: Path) -> LabelledImages:
    images = _read_idx(path, n_axes=3)
    beside = path.with_name(
        path.name.replace("images-idx3", "labels-idx1").replace("images.idx3", "labels.idx1")
    )
    if beside == path or not beside.exists():
        raise TableError(
            f"expected the labels of {str(path)!r} beside it, with 'labels-idx1' in the place of "
            "'images-idx3'"
        )
    return LabelledImages(images, pd.DataFrame({IDX_LABEL: _read_idx(beside, n_axes=1)}))


def _read_idx(path: Path, *, n_axes: int) -> PixelArray:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(
            f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or 'damaged'}"
        ) from None
    header = 4 + 4 * n_axes
    if data[:4] != bytes([0, 0, _IDX_BYTES, n_axes]) or len(data) < header:
        raise TableError(f"{str(path)!r} is no idx file of unsigned bytes with {n_axes} axes")
    axes = np.frombuffer(data, ">u4", count=n_axes, offset=4).astype(np.int64)
    if len(data) - header != axes.prod():
        raise TableError(f"{str(path)!r} is damaged: its length is not what its header says")
    return np.frombuffer(data, np.uint8, offset=header).reshape(axes)


# -- folders ---------------------------------------------------------------------------------------------


def _table_of_labels(folder: Path) -> Path | None:
    return next((folder / name for name in FILE_TABLES if (folder / name).exists()), None)


def _read_folder(folder: Path, shape: ImageShape, *, clip: bool) -> LabelledImages:
    table = _table_of_labels(folder)
    if table is not None:
        labels = read_table(table)
        if FILE_COLUMN not in labels.columns:
            raise TableError(f"expected a column {FILE_COLUMN!r} in {str(table)!r} that names each image")
        files = [folder / str(name) for name in labels[FILE_COLUMN]]
        if not all(_lies_in(folder, file) for file in files):
            raise TableError(
                f"a field of the column {FILE_COLUMN!r} in {str(table)!r} leads out of the folder"
            )
        labels = labels.drop(columns=FILE_COLUMN)
    else:
        files = sorted(f for f in folder.glob("*/*") if f.suffix.lower() in SUFFIXES)
        labels = pd.DataFrame({IDX_LABEL: [file.parent.name for file in files]}, dtype=object)
    if table is None and not files:
        raise TableError(
            f"expected images in {str(folder)!r}: PNG or JPEG files with a table labels.csv (column "
            f"{FILE_COLUMN!r} and one for each label), or one subfolder a class"
        )
    images = np.empty((len(files), *shape.axes), np.uint8)
    for i, file in enumerate(files):
        images[i] = _read_file(file, folder, shape, clip=clip)
    return LabelledImages(images, labels)


def _lies_in(folder: Path, file: Path) -> bool:
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, or no name of a file; they quote it
        return False


def _read_file(path: Path, folder: Path, shape: ImageShape, *, clip: bool) -> PixelArray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's tell of single files: of palettes, sizes, damage
            return _read_picture(path, folder, shape, clip=clip)
    except SchemaError:
        raise
    except FileNotFoundError:
        raise TableError(f"a file that the labels of {str(folder)!r} name is not there") from None
    except Exception:  # Pillow raises much more than OSError of a damaged file, and quotes it
        raise TableError(f"a file in {str(folder)!r} cannot be read as PNG or JPEG") from None


def _read_picture(path: Path, folder: Path, shape: ImageShape, *, clip: bool) -> PixelArray:
    with Image.open(path) as opened:
        mode, size = ("L" if shape.channels == 1 else "RGB"), (shape.width, shape.height)
        is_mode = opened.mode == mode or (mode == "L" and opened.mode == "1")
        if not clip and not (is_mode and opened.size == size):
            raise SchemaError(
                f"an image in {str(folder)!r} is not of {shape} as the schema says; mend the schema, or "
                'convert what differs with --on-violation clip (on_violation="clip")'
            )
        picture = opened.convert(mode)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BOX)
        return np.asarray(picture, np.uint8).reshape(shape.axes)
