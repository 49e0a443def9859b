"""Records that are read in parts: each part is held against the schema by the readers of whole tables.

A part is what a whole table of its rows would be: what a field means hangs on that field alone. Rows of
persons, and rows that a source gives only once, are read once, and kept in a file that has no name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import TableError
from privsynth.io.source import Source
from privsynth.records.coerce import conform_column, names_of_persons, rules_in_order
from privsynth.records.conform import OnViolation, broken_schema, check_has_columns, needed_columns
from privsynth.records.spool import Spool
from privsynth.schema import Schema

ROWS_AT_ONCE = 2**17  # bounds the memory, whatever the number of rows
CHANGED = (
    "the records were changed while they were read, so what was counted is dropped; let whoever writes them "
    "finish, or fit a copy"
)

IntArray = NDArray[np.int64]
CanonicalColumn: TypeAlias = "NDArray[np.float64] | pd.Categorical"


@dataclass(frozen=True)
class Batch:
    """Some rows in canonical form (`privsynth.records.conform.Records`).

    Attributes:
        n_rows: Their number.
        columns: Those that were asked for.
        persons: Number of each row's person, -1 for a person of its own; None without a person column.
    """

    n_rows: int
    columns: Mapping[str, CanonicalColumn]
    persons: IntArray | None = None


@dataclass
class Stream:
    """A table that is read in passes.

    Attributes:
        source: Where it is read.
        schema: What is public about it; complete.
        names: Each person's text, None for all that cannot be read, to the person's number; empty once
            `forget_names` was called.
        n_rows: Number of rows of each person, ``(n_persons,)``; empty without a person column.
    """

    source: Source
    schema: Schema
    names: dict[str | None, int] = field(default_factory=dict)
    n_rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _spool: Spool | None = None
    _version: object = None

    def batches(self, names: Sequence[str]) -> Iterator[Batch]:
        """Yield columns of all rows, in parts; at the end of the pass nothing has been changed.

        Args:
            names: Columns; none gives the numbers of rows alone.

        Raises:
            TableError: If they cannot be read, or were changed since they were read first.

        Privacy:
            Not private: returns the records.
        """
        if self._spool is not None:
            for n_rows, columns, persons in self._spool.batches(names):
                yield Batch(n_rows, columns, persons)
            return
        asked = list(names) or needed_columns(self.schema)[:1]
        for raw in self._read(asked):
            columns = {name: conform_column(raw[name], self.schema.columns[name])[0] for name in names}
            yield Batch(len(raw[asked[0]]), columns)

    def _read(self, names: Sequence[str]) -> Iterator[dict[str, pd.Series]]:
        """Yield columns as they are stored, in parts; at the end nothing has been changed."""
        try:
            yield from self.source.batches(names, ROWS_AT_ONCE)
        except TableError:
            self._check_unchanged()
            raise
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        if self.source.version() != self._version:
            raise TableError(CHANGED)

    def forget_names(self) -> None:
        """Give up the persons' texts."""
        self.names = {}

    def read_through(self, on_violation: OnViolation) -> None:
        """Read all once: check it, number the persons, and keep what cannot be read again."""
        names = [column.name for column in self.schema.modelled]
        person = self.schema.person_id
        broken: dict[str, list[str]] = {name: [] for name in needed_columns(self.schema)}
        n_read = 0
        for raw in self._read(needed_columns(self.schema)):
            columns: dict[str, CanonicalColumn] = {}
            for name in names:
                columns[name], rules = conform_column(raw[name], self.schema.columns[name])
                broken[name] += [rule for rule in rules if rule not in broken[name]]
            n_rows, persons = len(raw[needed_columns(self.schema)[0]]), None
            if person is not None:
                persons, rules = self._numbered(raw[person])
                broken[person] += [rule for rule in rules if rule not in broken[person]]
            if self._spool is not None:
                self._spool.append(n_rows, columns, persons)
            n_read += n_rows
        if on_violation == "error":
            if n_read == 0:
                raise TableError("the table has no rows")
            of_columns = {name: rules_in_order(broken[name], self.schema.columns[name]) for name in names}
            told = of_columns if person is None else of_columns | {person: broken[person]}
            sentences = [f"column {name!r}: {rule}" for name, rules in told.items() for rule in rules]
            if sentences:
                raise broken_schema("the table", sentences)

    def _numbered(self, raw: pd.Series) -> tuple[IntArray, list[str]]:
        """Return the number of each row's person, and count their rows."""
        codes, texts, rules = names_of_persons(raw)
        numbers = [self.names.setdefault(text, len(self.names)) for text in texts]
        persons = np.array([*numbers, -1], dtype=np.int64)[codes]
        more = np.bincount(persons[persons >= 0], minlength=len(self.names))
        more[: len(self.n_rows)] += self.n_rows
        self.n_rows = more
        return persons, rules


def open_stream(source: Source, schema: Schema, *, on_violation: OnViolation) -> Stream:
    """Hold a table against its schema in parts, as `privsynth.records.conform.conform` does the whole.

    Args:
        source: The records.
        schema: What is public about them; complete, and not of sequences.
        on_violation: As for `conform`; messages are the same.

    Raises:
        SchemaError, TableError: As `conform` does.

    Privacy:
        Not private: returns the records. With ``"error"``, that the call stops is itself a signal about
        them, which no guarantee covers; with ``"clip"`` values never stop it.
    """
    schema.require_complete()
    check_has_columns(source.names, schema, "the table")
    keeps = schema.person_id is not None or not source.can_be_read_again
    stream = Stream(source, schema, _spool=Spool() if keeps else None, _version=source.version())
    if keeps or on_violation == "error":
        stream.read_through(on_violation)
    return stream
