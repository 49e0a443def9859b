"""A fitted model of images: a table model of what is known of each, and a generator given that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from privsynth.errors import SchemaError
from privsynth.sampling.plan import Plan
from privsynth.sampling.rows import draw_coded_blocks
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Column, Schema
from privsynth.schema.images import LabelledImages, PixelArray

IntArray = NDArray[np.int64]

MAX_CELLS = 2048  # combinations of classes and groups that images are drawn given
VALUES_AT_ONCE = 2**26


class ImageGenerator(Protocol):
    """Draws images given their cells: combinations of codes of the condition columns."""

    def draw(self, cells: IntArray, rng: np.random.Generator) -> PixelArray:
        """Draw an image for each cell, ``(n, height, width, channels)``."""
        ...

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a model file."""
        ...


def image_conditions(schema: Schema) -> tuple[Column, ...]:
    """Return the columns that images are drawn given: target and groups, or else all that are discrete.

    Privacy:
        Public: reads no record.
    """
    named = tuple(c for c in schema.modelled if c.role in ("target", "group"))
    return named or tuple(c for c in schema.modelled if not c.is_numeric)


@dataclass(frozen=True)
class ImageModel:
    """All that is needed to draw labelled images. Holds releases and what was fitted to them.

    Attributes:
        table: Of the columns.
        generator: Of the images, given the columns of `image_conditions`.
    """

    table: TableModel
    generator: ImageGenerator

    @property
    def schema(self) -> Schema:
        """The public description of the records."""
        return self.table.schema

    @property
    def n_units(self) -> float:
        """Noisy number of units."""
        return self.table.n_units

    @property
    def not_found(self) -> tuple[str, ...]:
        """What the schema keeps private and the budget did not find."""
        return self.table.not_found

    @property
    def nearly_empty(self) -> tuple[str, ...]:
        """Columns of which nearly every value is missing."""
        return self.table.nearly_empty

    def require_feasible(self) -> None:
        """Raise a `SchemaError` if no row that the model can make satisfies the constraints."""
        self.table.require_feasible()

    @property
    def _sizes(self) -> dict[str, int]:
        return {c.name: self.table.domains[c.name].size for c in image_conditions(self.schema)}

    @property
    def n_cells(self) -> int:
        """Number of combinations that images are drawn given."""
        return math.prod(self._sizes.values())

    def cells(self, codes: Mapping[str, IntArray]) -> IntArray:
        """Return the cell of each row from the codes of its columns."""
        cell = np.zeros(len(next(iter(codes.values()))), dtype=np.int64)
        for name, size in self._sizes.items():
            cell = cell * size + codes[name]
        return cell

    def draw_blocks(self, plan: Plan, rng: np.random.Generator) -> Iterator[LabelledImages]:
        """Draw the labelled images of a plan block after block, in random order; one block at least."""
        assert self.schema.image is not None
        at_once = max(1, VALUES_AT_ONCE // self.schema.image.n_values)
        for frame, codes in draw_coded_blocks(plan, rng):
            cells = self.cells(codes)
            for begin in range(0, max(len(frame), 1), at_once):
                part = slice(begin, begin + at_once)
                images = self.generator.draw(cells[part], rng)
                yield LabelledImages(images, frame.iloc[part].reset_index(drop=True))


def check_cells(sizes: tuple[int, ...]) -> None:
    """Raise a `SchemaError` if there are more combinations than images can be learnt for."""
    n = math.prod(sizes)
    if n > MAX_CELLS:
        raise SchemaError(
            f"target and groups have {n} combinations, and images are drawn given at most {MAX_CELLS}; take "
            "the role from columns that the images need not follow"
        )
