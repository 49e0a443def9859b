"""Linked tables drawn from the top down: persons, then the rows below each, given all that stands above.

Keys are made afresh and every row is made under a row that is there, so there are no orphans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain
from privsynth.sampling.blocks import BLOCK_ROWS, Block, Drawing, Made, Part, PartSize
from privsynth.sampling.bound_rows import Known
from privsynth.sampling.factors import Drawn
from privsynth.sampling.generated_columns import GeneratedColumns
from privsynth.sampling.histories import PERSONS_AT_ONCE, SequenceModel, mean_of_counts
from privsynth.sampling.plan import Plan
from privsynth.sampling.posterior import LogWeights
from privsynth.sampling.rows import draw_cells, every_label, frames_of
from privsynth.sampling.table_model import TableModel
from privsynth.sampling.walk import Walk, numbers_of
from privsynth.schema import category_text
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_tables import given_name
from privsynth.schema.linked_views import given, history_schema, n_of
from privsynth.schema.sequences import N_RECORDS

IntArray = NDArray[np.int64]

FEWEST_PERSONS = 2**9  # that are drawn at once, however many rows they may have
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LinkedModel:
    """All that is needed to draw linked tables. Holds releases and what was fitted to them.

    Attributes:
        schema: The public description of the tables.
        views: The model of each table's view; see `privsynth.schema.linked_views`.
        calibration: Of child tables, the factors of `privsynth.sampling.calibration`; none for a table that
            is not named.
    """

    schema: LinkedSchema
    views: Mapping[str, TableModel]
    calibration: Mapping[str, LogWeights] = field(default_factory=dict)

    @cached_property
    def persons(self) -> TableModel:
        """The model of persons, with how many rows each has in the tables below."""
        return self.views[self.schema.person]

    @cached_property
    def tables(self) -> dict[str, TableModel]:
        """The columns of each table, under its own schema."""
        return {name: view.over(self.schema.tables[name].schema) for name, view in self.views.items()}

    @property
    def n_units(self) -> float:
        """Noisy number of persons."""
        return self.persons.n_units

    @property
    def not_found(self) -> tuple[str, ...]:
        """What the schema keeps private and the budget did not find, and what stands in its place."""
        return tuple(f"table {name!r}: {what}" for name, of in self.tables.items() for what in of.not_found)

    @property
    def mostly_other(self) -> tuple[str, ...]:
        """Columns with a private list of which most rows hold no value that was found, a sentence each."""
        return tuple(
            f"table {name!r}: {what}" for name, of in self.tables.items() for what in of.mostly_other
        )

    @property
    def nearly_empty(self) -> tuple[str, ...]:
        """Columns of which nearly every value is missing, as ``table.column``."""
        return tuple(f"{name}.{column}" for name, of in self.tables.items() for column in of.nearly_empty)

    def require_feasible(self) -> None:
        """Raise a `SchemaError` if no row that the model can make satisfies the constraints."""
        for view in self.views.values():
            view.require_feasible()


@dataclass(frozen=True)
class Coded:
    """What was drawn of a column, and what its codes stand for."""

    domain: Domain
    values: Drawn

    def of_rows(self, rows: IntArray) -> Coded:
        return Coded(self.domain, self.values[rows])


def draw_linked(model: LinkedModel, plan: Plan, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Draw all persons of a plan at once; the same rows as `draw_linked_blocks` gives."""
    blocks = list(draw_linked_blocks(model, plan, rng))
    return {name: pd.concat([block[name] for block in blocks], ignore_index=True) for name in blocks[0]}


@dataclass(frozen=True)
class Families(Drawing):
    """Draws persons and all that belongs to them.

    Attributes:
        model: The fitted model.
        plan: Persons to draw: a plan over `LinkedModel.persons`.
        most: How many persons make a block.
    """

    model: LinkedModel
    plan: Plan
    most: int

    @property
    def tables(self) -> dict[str, TableModel]:
        """See `Drawing`."""
        return self.model.tables

    def draw(self, block: Block) -> dict[str, Part]:
        """See `Drawing`."""
        model, rng = self.model, block.generator()
        seen: dict[str, dict[str, Coded]] = {}  # of each table, what those below it know of its rows
        parts: dict[str, Part] = {}
        for name, table in model.schema.tables.items():
            above: dict[str, Coded] = {}
            if table.parent is None:
                drawn = draw_cells(self.plan, block.sizes, rng)
                parts[name] = Part(drawn, block.n)
            else:
                drawn, parent = children(model, name, seen[table.parent], rng)
                above = {column: of.of_rows(parent) for column, of in seen[table.parent].items()}
                parts[name] = Part(drawn, len(parent), parent)
            seen[name] = above | own_of(model, name, drawn)
        return parts

    def made(self, rng: np.random.Generator) -> Made:
        """See `Drawing`."""
        tables, n = self.model.schema.tables, self.plan.n_rows
        columns = {
            name: GeneratedColumns(
                self.plan.prepared.model.schema if table.parent is None else table.schema, n, rng
            )
            for name, table in tables.items()
        }

        def make(n: int, sizes: Mapping[str, PartSize]) -> dict[str, dict[str, pd.Series]]:
            out: dict[str, dict[str, pd.Series]] = {}
            for name, table in tables.items():
                out[name] = columns[name].next(sizes[name].n_rows)
                if table.parent is not None:
                    keys = out[table.parent][str(tables[table.parent].key)]
                    out[name][str(table.parent_key)] = pd.Series(keys.take(sizes[name].above).to_numpy())
            return out

        return make


def families_of(model: LinkedModel, plan: Plan) -> Families:
    """Return what draws the persons of a plan and all that belongs to them, in blocks of whole persons."""
    most = max(FEWEST_PERSONS, min(PERSONS_AT_ONCE, BLOCK_ROWS // model.schema.max_records_per_person))
    return Families(model, plan, most)


def draw_linked_blocks(
    model: LinkedModel, plan: Plan, rng: np.random.Generator
) -> Iterator[dict[str, pd.DataFrame]]:
    """Draw the persons of a plan and all that belongs to them, block after block of whole persons.

    Memory does not grow with their number.

    Args:
        model: The fitted model.
        plan: Persons to draw: a plan over `LinkedModel.persons`.
        rng: Source of the draws.

    Yields:
        Table name to its rows: keys, the other columns of the schema; those of one parent together.
    """
    return frames_of(families_of(model, plan), rng)


def every_label_of_tables(model: LinkedModel) -> dict[str, pd.DataFrame]:
    """Return a frame of each table of the same columns and types in which every label occurs."""
    types = {name: every_label(table) for name, table in model.tables.items()}
    for name, table in model.schema.tables.items():
        if table.parent is not None:
            keys = types[table.parent][str(model.schema.tables[table.parent].key)]
            types[name][str(table.parent_key)] = keys.take(np.zeros(len(types[name]), dtype=int)).to_numpy()
    return types


def expected_rows_of_tables(model: LinkedModel, n_persons: int) -> int:
    """Return about how many rows so many persons have in all tables, by the model."""
    each, total = {model.schema.person: float(n_persons)}, float(n_persons)
    for name, table in model.schema.tables.items():
        if table.parent is not None:
            view, count = model.views[table.parent], n_of(name)
            each[name] = each[table.parent] * mean_of_counts(view.domains[count], view.table((count,)))
            total += each[name]
    return round(total)


def own_of(model: LinkedModel, name: str, drawn: Mapping[str, Drawn]) -> dict[str, Coded]:
    """Return what was drawn of a table's own columns, as the tables below it name them."""
    domains = model.views[name].domains
    return {given_name(name, column): Coded(domains[column], of) for column, of in drawn.items()}


def children(
    model: LinkedModel, name: str, above: Mapping[str, Coded], rng: np.random.Generator
) -> tuple[dict[str, Drawn], IntArray]:
    """Draw the rows of a table under those of its parent: own columns, and the parent's row of each."""
    walk, n_records = walk_of(model, name), numbers_of_rows(model, name, above)
    parents = np.flatnonzero(n_records > 0)
    parts: list[tuple[dict[str, Drawn], IntArray]] = []
    for begin in range(0, max(len(parents), 1), PERSONS_AT_ONCE):
        some = parents[begin : begin + PERSONS_AT_ONCE]
        known = known_of(model, name, above, some, n_records[some])
        drawn, parent = rows_below(walk, known, n_records[some], rng)
        parts.append((drawn, some[parent]))
    own = {column: np.concatenate([drawn[column] for drawn, _ in parts]) for column in parts[0][0]}
    return own, np.concatenate([parent for _, parent in parts])


def rows_below(
    walk: Walk, known: dict[str, Known], n_records: IntArray, rng: np.random.Generator
) -> tuple[dict[str, Drawn], IntArray]:
    """Draw the rows below some rows of the parent, as many of each as there is room for.

    Args:
        walk: Draws them.
        known: As `known_of` gives it.
        n_records: How many rows each parent has, 1 at least.
        rng: Source of the draws.

    Returns:
        The rows' own columns, and the position of each row's parent: rows of one together.
    """
    n_drawn = walk.n_that_fit(known, n_records)
    kept = np.flatnonzero(n_drawn)
    if len(kept) < len(n_drawn):
        known, n_drawn = {column: of.of_rows(kept) for column, of in known.items()}, n_drawn[kept]
    drawn, parent = walk.rows_of(walk.beginning(known, n_drawn, rng), n_drawn, rng)
    return drawn, kept[parent]


def walk_of(model: LinkedModel, name: str, tally: FloatArray | None = None) -> Walk:
    """Return what draws the rows of a child table; see `Walk` for the tally."""
    rows = SequenceModel.of(history_schema(model.schema, name), model.views[name])
    return Walk(rows.schema, rows.rows, model.calibration.get(name, rows.calibration), tally=tally)


def numbers_of_rows(model: LinkedModel, name: str, above: Mapping[str, Coded]) -> IntArray:
    """Return how many rows each row of the parent has in a child table, ``(n_parents,)``."""
    count = above[given_name(str(model.schema.tables[name].parent), n_of(name))]
    return numbers_of(count.domain, count.values)


def known_of(
    model: LinkedModel, name: str, above: Mapping[str, Coded], parents: IntArray, n_records: IntArray
) -> dict[str, Known]:
    """Return what is known of some rows of the parent before those of a child table are drawn.

    Args:
        model: The fitted model.
        name: The child table.
        above: What was drawn of the parents, and of what stands above them.
        parents: Which of them.
        n_records: How many rows each of these has.
    """
    domains = model.views[name].domains
    columns = [given_name(where, column.name) for where, column in given(model.schema, name)]
    known = {column: _known(above[column].of_rows(parents), domains[column]) for column in columns}
    return known | {N_RECORDS: _as_number(domains[N_RECORDS], n_records)}


def _as_number(domain: Domain, numbers: IntArray) -> Known:
    """Return whole numbers as what is known of a column that counts from one."""
    if isinstance(domain, DiscreteDomain):
        return Known.of(domain, numbers - int(domain.values[0]))
    return Known.of(domain, numbers.astype(np.float64))


def _known(drawn: Coded, domain: Domain) -> Known:
    """Return what was drawn of a table above as a table below knows it, by what both found of the column.

    A value that the table below did not find is "other" there, or not known.
    """
    if isinstance(domain, NumericDomain):
        ticks = drawn.values.astype(np.float64)
        if not domain.n_bins:
            return Known(np.full(len(ticks), -1, dtype=np.int64), ticks)
        return Known.of(domain, ticks)
    assert isinstance(drawn.domain, DiscreteDomain)
    code_of = {category_text(value): code for code, value in enumerate(domain.values)}
    other = len(domain.values) if domain.has_other else -1
    missing = domain.size - 1 if domain.has_missing else -1
    to = [
        *(code_of.get(category_text(value), other) for value in drawn.domain.values),
        *([other] * drawn.domain.has_other),
        *([missing] * drawn.domain.has_missing),
    ]
    return Known(np.array(to, dtype=np.int64)[drawn.values.astype(np.int64)], None)
