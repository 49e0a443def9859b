"""Labelled images brought to one form: pixels, and label columns that the table machinery understands.

The columns that speak of an image (class, groups, person) are a table of their own, held against the schema
like any other; the pixels lie beside it, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import pandas as pd

from privsynth.errors import TableError
from privsynth.metrics.downstream import Target, target_of
from privsynth.metrics.tables import Tables, load_tables
from privsynth.metrics.units import halves
from privsynth.schema import Schema
from privsynth.sources import Records

ImageSource: TypeAlias = tuple[np.ndarray, pd.DataFrame] | str | Path
"""``(pixels, columns)``: ``(n, height, width[, channels])`` uint8 and a frame of n rows; or the path of an
``.npz`` file with the array ``images`` and one array for each column."""


def are_images(source: object) -> TypeGuard[ImageSource]:
    """Return whether a source is of images rather than of a table.

    Privacy:
        Public: looks at types and names, reads nothing.
    """
    return isinstance(source, tuple) or (
        isinstance(source, str | Path) and Path(source).suffix.lower() == ".npz"
    )


@dataclass(frozen=True)
class ImageTables:
    """The sets of images that are compared.

    Attributes:
        tables: Their label columns, persons, target and groups.
        pixels: ``real``, ``synthetic`` and, where given, ``holdout`` and ``reference``: ``(n, height, width,
            channels)`` uint8, row by row as in ``tables``.
    """

    tables: Tables
    pixels: Mapping[str, np.ndarray]

    @property
    def target(self) -> Target | None:
        """The column that says what is on an image, if it is one of classes."""
        target = target_of(self.tables)
        return None if target is None or target.task == "regression" else target

    def records(self, name: str) -> Records:
        """Return the label columns and persons of one set."""
        records = getattr(self.tables, name)
        assert isinstance(records, Records)
        return records

    def halves(self, name: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of two random halves of one set, by whole units.

        Privacy:
            Not private: points at real records, if the set is one of them.
        """
        records = self.records(name)
        positions = pd.DataFrame({"position": np.arange(len(records.frame))})
        first, second = halves(Records(positions, records.persons), generator)
        return first.frame["position"].to_numpy(), second.frame["position"].to_numpy()


def load_images(
    real: ImageSource,
    synthetic: ImageSource,
    *,
    schema: Schema,
    holdout: ImageSource | None = None,
    reference: ImageSource | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
) -> ImageTables:
    """Read sets of images and hold their columns against the schema.

    Args:
        real: The images that the generator was fitted to; see `ImageSource`.
        synthetic: The released images, of any tool.
        schema: The description of the columns.
        holdout: Images of the same source that the generator never saw.
        reference: Further such images, for the attacks and the feature network.
        target: Column that says what is on an image; the schema's if None.
        groups: Group columns; the schema's if None.

    Raises:
        TableError: If a set cannot be read, is empty, or its images differ in shape from the real ones.
        ParameterError, SchemaError: As `privsynth.metrics.tables.load_tables`.

    Privacy:
        Not private: reads real records.
    """
    given = {"real": real, "synthetic": synthetic, "holdout": holdout, "reference": reference}
    read = {name: read_images(source, name=name) for name, source in given.items() if source is not None}
    shape = read["real"][0].shape[1:]
    for name, (pixels, _) in read.items():
        if pixels.shape[1:] != shape:
            raise TableError(
                f"expected {name} images of shape {shape} (height, width, channels) like the real ones, got "
                f"{pixels.shape[1:]}"
            )
    columns: dict[str, Any] = {name: frame for name, (_, frame) in read.items()}
    tables = load_tables(schema=schema, target=target, groups=groups, **columns)
    return ImageTables(tables, {name: pixels for name, (pixels, _) in read.items()})


def read_images(source: ImageSource, *, name: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return pixels ``(n, height, width, channels)`` uint8 and the frame of their columns.

    Raises:
        TableError: If the file cannot be read, or holds no images, or lengths differ.

    Privacy:
        Not private: returns records, if the source holds them.
    """
    pixels, frame = _read_npz(Path(source), name) if isinstance(source, str | Path) else source
    pixels = np.asarray(pixels)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise TableError(
            f"expected {name} images as uint8 of shape (n, height, width[, channels]), n at least 1, got "
            f"{pixels.dtype} with {pixels.ndim} axes"
        )
    if len(pixels) != len(frame):
        raise TableError(f"expected one row of columns for each of the {name} images; their numbers differ")
    return pixels, frame.reset_index(drop=True)


def _read_npz(path: Path, name: str) -> tuple[np.ndarray, pd.DataFrame]:
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {key: held[key] for key in held.files}
        pixels = arrays.pop("images")
    except (OSError, ValueError, KeyError):
        raise TableError(
            f"expected the {name} images {str(path)!r} as an npz file with an array 'images' and one array "
            "for each column"
        ) from None
    columns = {key: array for key, array in arrays.items() if array.shape == pixels.shape[:1]}
    return pixels, pd.DataFrame(columns, index=range(len(pixels)))
