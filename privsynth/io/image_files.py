"""Where images come from: arrays, npz and idx files, folders of PNG or JPEG; opened by their type."""

from __future__ import annotations

import gzip
import math
import warnings
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from PIL import Image

from privsynth.errors import SchemaError, TableError
from privsynth.io.source import Source, Table
from privsynth.io.tables import open_table
from privsynth.schema import Schema
from privsynth.schema.image_shape import MAX_SIDE, ImageShape
from privsynth.schema.images import LabelledImages, PixelArray

SUFFIXES = (".png", ".jpg", ".jpeg")
FILE_COLUMN = "file"  # of the table of labels in a folder
FILE_TABLES = ("labels.csv", "labels.csv.gz", "labels.parquet")
IMAGE_ARRAYS = ("images", "image", "x")  # names under which an npz file may hold the images
IDX_LABEL = "label"
_IDX_BYTES = 0x08  # the type code of unsigned bytes
MAX_INFLATED_BYTES = 2**30
MAX_RATIO = 200
_DAMAGED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    TokenError,
    RuntimeError,  # of zip files that are encrypted, or of a version to come
)


class OpenedImages(ABC):
    """Images and their labels, opened: no record has been read.

    Attributes:
        label_names: Names of the labels; None where only the records tell.
        axes: Height, width and channels of each image; None where only the records tell.
    """

    label_names: list[str] | None = None
    axes: tuple[int, ...] | None = None

    @abstractmethod
    def read(self, shape: ImageShape, *, clip: bool) -> LabelledImages:
        """Return all images and labels; files of another size or mode are resized with ``clip``.

        Raises:
            TableError: If a file is missing or cannot be read, or arrays are of another kind.
            SchemaError: If a file is of another size or mode, without ``clip``.

        Privacy:
            Not private: returns the records. Messages name rules, no file of a folder and no value.
        """


ImageSource: TypeAlias = OpenedImages | LabelledImages | tuple[Any, Table] | str | Path
"""Whatever `open_images` opens."""


def open_images(given: ImageSource, schema: Schema | None = None) -> OpenedImages:
    """Open images by their type; see `privsynth.records.images.read_images` for what is taken.

    Args:
        given: The images.
        schema: What is public about them; None if nothing is.

    Raises:
        TableError: If there is no such file or no such kind of source, or names of labels cannot be read.

    Privacy:
        Public: reads names of files, arrays and columns, and the shape of arrays.
    """
    if isinstance(given, OpenedImages):
        return given
    if isinstance(given, LabelledImages):
        return _Held(given)
    if isinstance(given, tuple) and len(given) == 2:
        if isinstance(given[1], str | Path | list | tuple):  # rather labels themselves than files of them
            got = type(given[1]).__name__
            raise TableError(f"expected the labels as a table, such as a pandas DataFrame, got {got}")
        return _Pair(given[0], open_table(given[1], schema=schema))
    if not isinstance(given, str | Path):
        raise TableError(
            "expected LabelledImages, a pair of an array and a table of labels, or a path, got "
            f"{type(given).__name__}"
        )
    path = Path(given)
    if not path.exists():
        raise TableError(f"there is no file or folder {str(path)!r}")
    if path.is_dir():
        return _Folder(path, schema)
    return _File(path, _read_npz if path.suffix.lower() == ".npz" else _read_idx_pair)


class _Held(OpenedImages):
    """Images in memory."""

    def __init__(self, both: LabelledImages) -> None:
        self._both = both
        self.label_names, self.axes = open_table(both.labels).names, both.images.shape[1:]

    def read(self, shape: ImageShape, *, clip: bool) -> LabelledImages:
        return self._both


class _Pair(OpenedImages):
    """An array, and a table of labels."""

    def __init__(self, pixels: Any, labels: Source) -> None:
        self._pixels, self._labels, self.label_names = pixels, labels, labels.names

    def read(self, shape: ImageShape, *, clip: bool) -> LabelledImages:
        return LabelledImages(self._pixels, self._labels.frame())


class _File(OpenedImages):
    """An npz or idx file; what is in it is known when it is read."""

    def __init__(self, path: Path, read: Callable[[Path], LabelledImages]) -> None:
        self._path, self._read = path, read

    def read(self, shape: ImageShape, *, clip: bool) -> LabelledImages:
        return self._read(self._path)


class _Folder(OpenedImages):
    """PNG or JPEG files with a table of labels, or in one subfolder a class."""

    def __init__(self, folder: Path, schema: Schema | None) -> None:
        self._folder = folder
        table = next((folder / name for name in FILE_TABLES if (folder / name).exists()), None)
        self._where = str(table)
        self._table = None if table is None else open_table(table, schema=schema)
        if self._table is not None:
            self.label_names = [name for name in self._table.names if name != FILE_COLUMN]

    def read(self, shape: ImageShape, *, clip: bool) -> LabelledImages:
        folder = self._folder
        if self._table is not None:
            labels = self._table.frame()
            if FILE_COLUMN not in labels.columns:
                raise TableError(
                    f"expected a column {FILE_COLUMN!r} in {self._where!r} that names each image"
                )
            files = [folder / str(name) for name in labels[FILE_COLUMN]]
            if not all(_lies_in(folder, file) for file in files):
                raise TableError(
                    f"a field of the column {FILE_COLUMN!r} in {self._where!r} leads out of the folder"
                )
            labels = labels.drop(columns=FILE_COLUMN)
        else:
            files = sorted(f for f in folder.glob("*/*") if f.suffix.lower() in SUFFIXES)
            if not all(_lies_in(folder, file) for file in files):
                raise TableError(
                    f"a link in {str(folder)!r} leads out of the folder; put the file itself there"
                )
            labels = pd.DataFrame({IDX_LABEL: [file.parent.name for file in files]}, dtype=object)
            if not files:
                raise TableError(
                    f"expected images in {str(folder)!r}: PNG or JPEG files with a table labels.csv (column "
                    f"{FILE_COLUMN!r} and one for each label), or one subfolder a class"
                )
        images = np.empty((len(files), *shape.axes), np.uint8)
        for i, file in enumerate(files):
            images[i] = _read_file(file, folder, shape, clip=clip)
        return LabelledImages(images, labels)


# -- npz and idx -----------------------------------------------------------------------------------------


def _read_npz(path: Path) -> LabelledImages:
    try:
        _check_declared(path)
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except TableError:
        raise
    except (OSError, *_DAMAGED, EOFError, zipfile.BadZipFile, zlib.error):
        raise TableError(f"{str(path)!r} cannot be read: it is no npz file, or holds objects") from None
    name = next((name for name in IMAGE_ARRAYS if name in held), None)
    if name is None:
        raise TableError(f"{str(path)!r} has no array 'images'")
    images = held.pop(name)
    if images.ndim not in (3, 4):
        raise TableError(f"expected images of 3 or 4 axes in {str(path)!r}, got {images.ndim}")
    columns = {name: array for name, array in held.items() if array.shape == images.shape[:1]}
    try:
        labels = pd.DataFrame(columns, index=range(len(images)))
    except _DAMAGED:
        raise TableError(f"{str(path)!r} cannot be read: its labels are no numbers, texts or dates") from None
    return LabelledImages(images, labels)


def _check_declared(path: Path) -> None:
    """Raise a `TableError` if what an npz file declares is beyond reason, before any of it is inflated."""
    with zipfile.ZipFile(path) as archive:
        _check_size(path, sum(info.file_size for info in archive.infolist()))
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                shape, _, stored = (read or np.lib.format.read_array_header_2_0)(member)
            if math.prod(shape) * stored.itemsize > info.file_size:
                raise TableError(f"{str(path)!r} is damaged: an array is shorter than its header says")
            if any(side > MAX_SIDE for side in shape[1:]):
                raise TableError(f"expected images of at most {MAX_SIDE} pixels a side in {str(path)!r}")


def _check_size(path: Path, n_bytes: int) -> None:
    """Refuse a small file that would fill the memory; images that are all alike shrink a thousandfold."""
    if n_bytes > max(MAX_INFLATED_BYTES, MAX_RATIO * path.stat().st_size):
        raise TableError(
            f"{str(path)!r} would inflate to {n_bytes / 2**30:.3g} GiB, {MAX_RATIO} times its size: "
            "it is damaged, or made to fill the memory"
        )


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
            header = file.read(4 + 4 * n_axes)
            if header[:4] != bytes([0, 0, _IDX_BYTES, n_axes]) or len(header) < 4 + 4 * n_axes:
                raise TableError(f"{str(path)!r} is no idx file of unsigned bytes with {n_axes} axes")
            axes = tuple(int(side) for side in np.frombuffer(header, ">u4", offset=4))
            if any(side > MAX_SIDE for side in axes[1:]):
                raise TableError(f"expected images of at most {MAX_SIDE} pixels a side in {str(path)!r}")
            _check_size(path, math.prod(axes))
            data = file.read(math.prod(axes) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(
            f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or 'damaged'}"
        ) from None
    if len(data) != math.prod(axes):
        raise TableError(f"{str(path)!r} is damaged: its length is not what its header says")
    return np.frombuffer(data, np.uint8).reshape(axes)


# -- pictures ------------------------------------------------------------------------------------------


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
