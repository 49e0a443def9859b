"""Labelled images brought to one form: pixels, and label columns that the table machinery understands.

The columns that speak of an image (class, groups, person) are a table of their own, held against the schema
like any other; the pixels lie beside it, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import SchemaError
from privsynth.io.image_files import ImageSource
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.common.units import halves
from privsynth.metrics.utility.downstream import Target, target_of
from privsynth.records.conform import Records
from privsynth.records.images import read_images
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import LabelledImages


@dataclass(frozen=True)
class ImageTables:
    """The sets of images that are compared.

    Attributes:
        tables: Their label columns, persons, target and groups.
        pixels: ``real``, ``synthetic`` and, where given, ``holdout`` and ``reference``: ``(n, height, width,
            channels)`` uint8, row by row as in ``tables``.
        attrs: What the labels of the synthetic images carry in their ``attrs``.
    """

    tables: Tables
    pixels: Mapping[str, np.ndarray]
    attrs: Mapping[str, Any]

    @property
    def target(self) -> Target | None:
        """The column that says what is on an image, if it is one of classes."""
        target = target_of(self.tables)
        return None if target is None or target.task == "regression" else target

    @property
    def classes_and_groups(self) -> tuple[str, ...]:
        """Columns within whose values images are compared: the target, if it has classes, and the groups."""
        target = self.target
        return self.tables.groups if target is None else (target.name, *self.tables.groups)

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
        real: The images that the generator was fitted to: `LabelledImages`, ``(pixels, labels)``, or a path;
            see `privsynth.records.images.read_images`. Files of another size are resized.
        synthetic: The released images, of any tool.
        schema: The description of images and columns.
        holdout: Images of the same source that the generator never saw.
        reference: Further such images, for the attacks and the feature network.
        target: Column that says what is on an image; the schema's if None.
        groups: Group columns; the schema's if None.

    Raises:
        SchemaError: If the schema describes no images, or arrays are of another shape than it says.
        TableError: If a set cannot be read, or is empty.
        ParameterError: As `privsynth.metrics.common.tables.load_tables`.

    Privacy:
        Not private: reads real records.
    """
    if schema.image is None:
        raise SchemaError(
            'the schema describes a table; for images it needs "image": {"height": ..., "width": ..., '
            '"channels": ...}'
        )
    given = {"real": real, "synthetic": synthetic, "holdout": holdout, "reference": reference}
    notes: list[str] = []
    read = {
        name: _read(source, schema.image, name, notes) for name, source in given.items() if source is not None
    }
    columns: dict[str, Any] = {name: both.labels.reset_index(drop=True) for name, both in read.items()}
    tables = load_tables(schema=schema, target=target, groups=groups, **columns)
    tables = replace(tables, notes=(*notes, *tables.notes))
    pixels = {name: both.images for name, both in read.items()}
    return ImageTables(tables, pixels, read["synthetic"].labels.attrs)


def _read(source: ImageSource, shape: ImageShape, name: str, notes: list[str]) -> LabelledImages:
    try:
        return read_images(source, shape=shape)
    except SchemaError:
        both = read_images(source, shape=shape, on_violation="clip")  # arrays are refused once more
        notes.append(
            f"Some files of the {name} images are not of {shape}; they were converted before anything was "
            "compared."
        )
        return both
