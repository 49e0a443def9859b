"""Write images: a folder of PNG files with their labels, an npz file, a contact sheet."""

from __future__ import annotations

import math
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from privsynth.errors import TableError
from privsynth.io.atomic import made_aside, written_aside
from privsynth.io.image_files import FILE_COLUMN, FILE_TABLES
from privsynth.schema.images import LabelledImages, PixelArray

ImageFormat = Literal["folder", "npz"]

LABELS = FILE_TABLES[0]
GAP = 2  # pixels between the images of a contact sheet
SMALLEST_SIDE = 48  # smaller images are enlarged by a whole factor on a contact sheet


def image_format(path: str | Path) -> ImageFormat:
    """Return what a path announces: an npz file, or, without a suffix, a folder.

    Raises:
        TableError: If it ends otherwise.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        return "npz"
    if suffix == "":
        return "folder"
    raise TableError(
        "expected a name ending in .npz, or a name without suffix for a folder of PNG files, got "
        f"{str(path)!r}"
    )


def check_image_output(path: str | Path, *, force: bool) -> None:
    """Raise a `TableError` unless images can be written to ``path``, before anything is drawn."""
    path = Path(path)
    kind = image_format(path)
    if path.exists() and not force:
        raise TableError(f"{str(path)!r} exists; replace it with --force (force=True), or name another one")
    if path.exists() and (kind == "folder") != path.is_dir():
        raise TableError(f"{str(path)!r} is there and is {'a folder' if path.is_dir() else 'a file'}")
    if path.is_dir() and not _is_ours(path):
        raise TableError(f"the folder {str(path)!r} holds other files; name another one")
    if not path.absolute().parent.is_dir():
        raise TableError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")


def write_images(blocks: Iterable[LabelledImages], path: str | Path, *, force: bool = False) -> int:
    """Write images and their labels block by block; return how many.

    A folder gets one PNG file an image and ``labels.csv``, whose column ``file`` names it; `read_images`
    reads both forms. The same images give the same bytes.

    Args:
        blocks: Images with labels of the same columns.
        path: ``NAME.npz`` or, for a folder, ``NAME``.
        force: Replace what is there; a folder only if it holds nothing but what was written by this function.

    Raises:
        TableError: If it cannot be written, or exists and ``force`` is not set.

    Privacy:
        Public: adds nothing.
    """
    check_image_output(path, force=force)
    path = Path(path)
    return _write_npz(blocks, path, force) if image_format(path) == "npz" else _write_folder(blocks, path)


def _write_npz(blocks: Iterable[LabelledImages], path: Path, force: bool) -> int:
    held = list(blocks)
    labels = pd.concat([block.labels for block in held], ignore_index=True)
    if "images" in labels.columns:
        raise TableError(
            "a column named 'images' cannot stand beside the images in an npz file; use a folder"
        )
    arrays = {"images": np.concatenate([block.images for block in held])}
    arrays |= {str(name): _plain(labels[name]) for name in labels}
    with (
        written_aside(path, force=force) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return len(labels)


def _plain(column: pd.Series) -> np.ndarray:
    """Return a column as numbers where it is numbers, else as texts; missing is NaN or the empty text."""
    if pd.api.types.is_bool_dtype(column.dtype) and not column.isna().any():
        return column.to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=str)


def _write_folder(blocks: Iterable[LabelledImages], path: Path) -> int:
    n = 0
    with _folder_aside(path) as folder:
        for block in blocks:
            names = [f"{n + i:08d}.png" for i in range(len(block))]
            for name, image in zip(names, block.images, strict=True):
                _as_picture(image).save(folder / name)
            labels = block.labels.reset_index(drop=True)
            labels.insert(0, FILE_COLUMN, names, allow_duplicates=True)
            if list(labels.columns).count(FILE_COLUMN) > 1:
                raise TableError(
                    f"a column named {FILE_COLUMN!r} cannot stand in a folder's labels; write npz"
                )
            labels.to_csv(folder / LABELS, mode="a", header=n == 0, index=False, lineterminator="\n")
            n += len(block)
    return n


@contextmanager
def _folder_aside(path: Path) -> Iterator[Path]:
    """Give a new folder beside ``path`` that takes its place if the block ends well."""
    old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    try:
        with made_aside(path, is_folder=True) as (aside, mode):
            yield aside
            aside.chmod(mode)
            if path.exists():
                path.rename(old)
            aside.rename(path)
    except OSError as error:
        raise TableError(
            f"{str(path)!r} cannot be written: {error.strerror or 'the system refused'}"
        ) from None
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    return all(f.name == LABELS or (f.suffix == ".png" and f.stem.isdigit()) for f in folder.iterdir())


def _as_picture(image: PixelArray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def contact_sheet(images: PixelArray, *, n_columns: int) -> Image.Image:
    """Return images side by side, row after row, on a grey ground; small ones are enlarged.

    Args:
        images: ``(n, height, width, channels)`` uint8, n >= 1.
        n_columns: Images in a row.

    Example:
        >>> contact_sheet(np.zeros((6, 8, 8, 1), np.uint8), n_columns=3).size
        (152, 102)
    """
    factor = max(1, SMALLEST_SIDE // min(images.shape[1:3]))
    images = images.repeat(factor, 1).repeat(factor, 2)
    _, height, width, channels = images.shape
    n_rows = math.ceil(len(images) / n_columns)
    sheet = np.full(
        (n_rows * (height + GAP) + GAP, n_columns * (width + GAP) + GAP, channels), 128, dtype=np.uint8
    )
    for i, image in enumerate(images):
        top, left = GAP + i // n_columns * (height + GAP), GAP + i % n_columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return _as_picture(sheet)


def write_contact_sheet(images: PixelArray, path: str | Path, *, n_columns: int, force: bool = False) -> None:
    """Write a contact sheet as PNG.

    Raises:
        TableError: If the file cannot be written, or exists and ``force`` is not set.
    """
    with written_aside(path, force=force) as aside:
        contact_sheet(images, n_columns=n_columns).save(aside, format="png")
