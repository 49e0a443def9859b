"""Linked tables as families: each person of the root with all rows that belong to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import SchemaError
from privsynth.io.source import Source
from privsynth.metrics.common.tables import (
    canonical_records,
    refuse_shared_persons,
    with_common_categories,
)
from privsynth.records.conform import Records, conform
from privsynth.records.linked import Tables, open_linked, parents_of
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_tables import given_name

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Families:
    """The rows of linked tables that lead to a person, and whose each one is.

    Attributes:
        schema: The description of the tables.
        frames: Canonical rows of each table, without keys.
        parents: Row of the parent that each row belongs to, by table; not of the root.
        orphans: Number of rows that lead to nobody, by table; they are left out.
    """

    schema: LinkedSchema
    frames: Mapping[str, pd.DataFrame]
    parents: Mapping[str, IntArray]
    orphans: Mapping[str, int]

    @property
    def n_persons(self) -> int:
        """Number of persons."""
        return len(self.frames[self.schema.person])

    @property
    def n_rows(self) -> dict[str, int]:
        """Number of rows of each table."""
        return {name: len(frame) for name, frame in self.frames.items()}

    def rows_above(self, name: str) -> dict[str, IntArray]:
        """Return the row in each table above to which each row of a table leads, the root's first.

        Privacy:
            Not private: says which records belong together.
        """
        parent = self.schema.tables[name].parent
        if parent is None:
            return {}
        of_row = self.parents[name]
        return {above: rows[of_row] for above, rows in self.rows_above(parent).items()} | {parent: of_row}

    def persons(self, name: str) -> IntArray:
        """Return the person of each row of a table.

        Privacy:
            Not private: says which records belong together.
        """
        above = self.rows_above(name)
        return above[self.schema.person] if above else np.arange(self.n_persons)

    def n_children(self, name: str) -> IntArray:
        """Return how many rows of a child table each row of its parent has.

        Privacy:
            Not private: exact counts.
        """
        parent = str(self.schema.tables[name].parent)
        return np.bincount(self.parents[name], minlength=len(self.frames[parent]))

    def weights(self, name: str) -> NDArray[np.float64]:
        """Return what each row weighs: its parent's weight over the number of rows there; a person 1.

        Privacy:
            Not private: a function of real records.
        """
        parent = self.schema.tables[name].parent
        if parent is None:
            return np.ones(self.n_persons)
        of_row = self.parents[name]
        return self.weights(parent)[of_row] / self.n_children(name)[of_row]

    def beside_above(self, name: str) -> pd.DataFrame:
        """Return the rows of a table beside the columns of those above, as ``TABLE.column``.

        Privacy:
            Not private: returns the records.
        """
        columns = {
            given_name(above, column): values.take(rows).reset_index(drop=True)
            for above, rows in self.rows_above(name).items()
            for column, values in self.frames[above].items()
        }
        return pd.DataFrame(columns | dict(self.frames[name].items()))

    def dealt(self, generator: np.random.Generator) -> Families:
        """Return independent links: every row is dealt to a row of the parent table at random.

        What is below a row goes with it.

        Privacy:
            Not private: returns the records.
        """
        parents = {}
        for name, of_row in self.parents.items():
            n_above = len(self.frames[str(self.schema.tables[name].parent)])
            parents[name] = generator.integers(0, n_above, len(of_row)) if n_above else of_row
        return Families(self.schema, self.frames, parents, self.orphans)

    def some(self, n_most: int, generator: np.random.Generator) -> Families:
        """Return ``n_most`` persons drawn at random with all their rows, or all if there are no more.

        Privacy:
            Not private: returns records.
        """
        if self.n_persons <= n_most:
            return self
        return self._of_persons(generator.permutation(self.n_persons)[:n_most])

    def halves(self, generator: np.random.Generator) -> tuple[Families, Families]:
        """Split the persons at random into two halves; the first has the odd one.

        Privacy:
            Not private: returns records.
        """
        order = generator.permutation(self.n_persons)
        half = (len(order) + 1) // 2
        return self._of_persons(order[:half]), self._of_persons(order[half:])

    def _of_persons(self, chosen: IntArray) -> Families:
        kept = {name: np.isin(self.persons(name), chosen) for name in self.frames}
        return _kept(self.schema, self.frames, self.parents, kept, self.orphans)


@dataclass(frozen=True)
class LinkedTables:
    """Linked tables that are compared, with the same columns and categories.

    Attributes:
        schema: The public description of the tables.
        real: The families that the generator was fitted to.
        synthetic: Those that were released.
        holdout: Those of the same source that the generator never saw, or None.
        reference: More such families, apart from the holdout, for the attacks; or None.
        notes: What was changed in a table to fit the schema, one sentence each; without values.
    """

    schema: LinkedSchema
    real: Families
    synthetic: Families
    holdout: Families | None = None
    reference: Families | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def sides(self) -> dict[str, Families]:
        """All that was given, by what it is called."""
        given = {
            "real": self.real,
            "synthetic": self.synthetic,
            "holdout": self.holdout,
            "reference": self.reference,
        }
        return {name: families for name, families in given.items() if families is not None}


def load_linked_tables(
    real: Tables,
    synthetic: Tables,
    *,
    schema: LinkedSchema,
    holdout: Tables | None = None,
    reference: Tables | None = None,
) -> LinkedTables:
    """Read linked tables and bring them to one canonical form.

    Values that break the schema are clipped as ``fit(on_violation="clip")`` does, and noted. Rows that lead
    to nobody are counted and left out.

    Args:
        real: A mapping of names to tables, or a folder: what the generator was fitted to.
        synthetic: As ``real``: what was released.
        schema: The description of the tables.
        holdout: As ``real``; persons that the generator never saw.
        reference: As ``holdout``; further persons for the attacks.

    Raises:
        ParameterError: If two sides share a person.
        SchemaError, TableError: If a table cannot be read as the schema says, the root has no rows, or a key
            that rows refer to stands twice.

    Privacy:
        Not private: reads real records.
    """
    schema.require_complete()
    given = {"real": real, "synthetic": synthetic, "holdout": holdout, "reference": reference}
    opened: dict[str, dict[str, Source]] = {}
    for side, tables in given.items():
        if tables is not None:
            with _said_of(side):
                opened[side] = open_linked(tables, schema, is_real=side != "synthetic")
    root = schema.tables[schema.person].schema
    refuse_shared_persons(
        {side: tables[schema.person] for side, tables in opened.items() if side != "synthetic"}, root
    )
    notes: list[str] = []
    read = {side: _read(side, tables, schema, notes) for side, tables in opened.items()}
    for name, table in schema.tables.items():
        common = with_common_categories(
            {side: frames[name] for side, (frames, _) in read.items()}, table.schema
        )
        for side, records in common.items():
            read[side][0][name] = records
    families = {side: _linked(schema, *of_side) for side, of_side in read.items()}
    return LinkedTables(schema, notes=tuple(notes), **families)


def _read(
    side: str, opened: Mapping[str, Source], schema: LinkedSchema, notes: list[str]
) -> tuple[dict[str, Records], dict[str, IntArray]]:
    frames, parents = {}, {}
    with _said_of(side):
        for name, table in schema.tables.items():
            source = opened[name]
            if table.parent is not None and not source.n_rows:
                frames[name] = conform(source, table.schema, on_violation="clip", name=name)
            else:
                frames[name] = canonical_records(source, table.schema, f"{side} {name}", notes)
        for name, table in schema.tables.items():
            if table.parent is not None:
                parents[name] = parents_of(opened, table, schema, "clip")
    return frames, parents


def _linked(
    schema: LinkedSchema, records: Mapping[str, Records], parents: Mapping[str, IntArray]
) -> Families:
    """Leave out rows that lead to nobody."""
    kept: dict[str, NDArray[np.bool_]] = {}
    for name, table in schema.tables.items():
        if table.parent is None:
            kept[name] = np.ones(len(records[name].frame), dtype=bool)
        else:  # -1 is nobody
            kept[name] = (parents[name] >= 0) & np.append(kept[table.parent], False)[parents[name]]
    orphans = {name: int((~is_kept).sum()) for name, is_kept in kept.items()}
    return _kept(schema, {name: of.frame for name, of in records.items()}, parents, kept, orphans)


def _kept(
    schema: LinkedSchema,
    frames: Mapping[str, pd.DataFrame],
    parents: Mapping[str, IntArray],
    kept: Mapping[str, NDArray[np.bool_]],
    orphans: Mapping[str, int],
) -> Families:
    """Return some rows of each table, each with its parent."""
    places = {name: np.cumsum(is_kept) - 1 for name, is_kept in kept.items()}
    return Families(
        schema,
        {name: frame[kept[name]].reset_index(drop=True) for name, frame in frames.items()},
        {name: places[str(schema.tables[name].parent)][rows[kept[name]]] for name, rows in parents.items()},
        orphans,
    )


@contextmanager
def _said_of(side: str) -> Iterator[None]:
    """Put the side before what is wrong with its tables."""
    try:
        yield
    except SchemaError as error:
        raise SchemaError(f"{side} tables: {error}") from None
