"""Persons with all their rows, drawn from a model of each row beside the one before it.

Persons are drawn first, with what their rows share and how many they are. Then the first row of each, and
each next one given the person and the row before: exactly, by the mixture given what is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import Domain, NumericDomain
from privsynth.errors import RequestError
from privsynth.sampling.blocks import BLOCK_ROWS, Block, Drawing, Made, Part, PartSize
from privsynth.sampling.generated_columns import GeneratedColumns
from privsynth.sampling.plan import Plan
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import draw_cells, frames_of
from privsynth.sampling.table_model import TableModel
from privsynth.sampling.walk import Walk, numbers_of
from privsynth.schema import Schema
from privsynth.schema.sequences import (
    N_RECORDS,
    START,
    columns_of_rows,
    most_records,
    schema_of_persons,
)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

PERSONS_AT_ONCE = 2**13  # of which the components' weights are held together


@dataclass(frozen=True)
class SequenceModel:
    """All that is needed to draw persons with their rows. Holds releases and what was fitted to them.

    Attributes:
        schema: The public description of the table.
        rows: The model of each row beside the one before it; see `privsynth.schema.sequences`.
        calibration: Log-factors of the components, of later rows and of first ones, ``(2, K)``; see
            `privsynth.sampling.calibration`.
    """

    schema: Schema
    rows: TableModel
    calibration: NDArray[np.float32]

    @classmethod
    def of(cls, schema: Schema, rows: TableModel) -> SequenceModel:
        """Return a model that is not calibrated."""
        return cls(schema, rows, np.zeros((2, rows.mixture.n_components), dtype=np.float32))

    @cached_property
    def persons(self) -> TableModel:
        """The model of persons: what their rows share, and how many they are."""
        return self.rows.over(schema_of_persons(self.schema))

    @property
    def n_units(self) -> float:
        """Noisy number of persons."""
        return self.rows.n_units

    @cached_property
    def table(self) -> TableModel:
        """The columns of the table, under its own schema: what rows look like, not how they follow."""
        return self.rows.over(self.schema)

    @property
    def not_found(self) -> tuple[str, ...]:
        """What the schema keeps private and the budget did not find, and what stands in its place."""
        return self.table.not_found

    @property
    def mostly_other(self) -> tuple[str, ...]:
        """Columns with a private list of which most rows hold no value that was found, a sentence each."""
        return self.table.mostly_other

    @property
    def nearly_empty(self) -> tuple[str, ...]:
        """Columns of which nearly every value is missing."""
        return self.table.nearly_empty

    def require_feasible(self) -> None:
        """Raise a `SchemaError` if no row that the model can make satisfies the constraints."""
        self.rows.require_feasible()


@dataclass(frozen=True)
class Histories(Drawing):
    """Draws persons with all their rows: those of one together, and in their order.

    Attributes:
        model: The fitted model.
        plan: Persons to draw: a plan over `SequenceModel.persons`.
        most: How many persons make a block.
    """

    model: SequenceModel
    plan: Plan
    most: int

    @property
    def tables(self) -> dict[str, TableModel]:
        """See `Drawing`."""
        return {"": self.model.table}

    @cached_property
    def _walk(self) -> Walk:
        return Walk(self.model.schema, self.model.rows, self.model.calibration)

    def draw(self, block: Block) -> dict[str, Part]:
        """See `Drawing`."""
        rng = block.generator()
        drawn, person = self._walk.rows(draw_cells(self.plan, block.sizes, rng), rng)
        return {"": Part(drawn, len(person), person)}

    def made(self, rng: np.random.Generator) -> Made:
        """See `Drawing`."""
        schema, n = self.model.schema, self.plan.n_rows
        names = [c.name for c in schema.columns.values() if not c.per and c.role != "person_id"]
        of_rows = GeneratedColumns(schema, n, rng, columns=names)
        of_persons = GeneratedColumns(self.plan.prepared.model.schema, n, rng)

        def make(n: int, sizes: Mapping[str, PartSize]) -> dict[str, dict[str, pd.Series]]:
            person = sizes[""].above
            shared = {
                name: values.iloc[person].reset_index(drop=True)
                for name, values in of_persons.next(n).items()
            }
            return {"": shared | of_rows.next(sizes[""].n_rows)}

        return make


def histories_of(model: SequenceModel, plan: Plan) -> Histories:
    """Return what draws the persons of a plan with all their rows, in blocks of whole persons."""
    most = min(max(1, BLOCK_ROWS // most_records(model.schema)), PERSONS_AT_ONCE)
    return Histories(model, plan, most)


def draw_histories(model: SequenceModel, plan: Plan, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Draw the persons of a plan with all their rows, block after block of whole persons.

    Args:
        model: The fitted model.
        plan: Persons to draw: a plan over `SequenceModel.persons`.
        rng: Source of the draws.
    """
    return (frames[""] for frames in frames_of(histories_of(model, plan), rng))


def expected_rows(model: SequenceModel, n_persons: int) -> int:
    """Return about how many rows so many persons have, by the model."""
    shares = model.persons.table((N_RECORDS,))
    return round(n_persons * mean_of_counts(model.persons.domains[N_RECORDS], shares))


def mean_of_counts(domain: Domain, shares: FloatArray) -> float:
    """Return about the mean of a column that counts, by the shares of its codes."""
    if isinstance(domain, NumericDomain):
        middle = [np.mean(domain.grid.edges[domain.bin_of_cell == b]) for b in range(domain.n_bins)]
        return float(np.dot(shares[: domain.n_bins], middle))
    return float(np.dot(shares, numbers_of(domain, np.arange(domain.size))))


def check_of_persons(model: SequenceModel, request: SampleRequest) -> None:
    """Raise a `RequestError` if a request names a column that may differ between the rows of a person."""
    differs = {column.name for column in columns_of_rows(model.schema)}
    named = sorted(request.columns & differs)
    if named:
        order = model.schema.order
        shared = [name for name in model.persons.domains if name in model.schema.columns]
        derived = f"{N_RECORDS}, how many rows they have" + (
            "" if order is None else f", and {START}{order}, where these begin"
        )
        raise RequestError(
            f"{named[0]!r} may differ between the rows of a person, and persons are drawn with all of them: "
            f"ask for what their rows share ({', '.join([*shared, derived])}), and take the rows that you "
            "need from what is drawn"
        )
