"""Linked tables held against their schema: their keys, whose row each one is, the cut, and the views.

Everything here is a function of one person's own rows, and of keys: a person changes no row but their own,
and counts for one at most in every table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import SchemaError, TableError
from privsynth.io.source import Source, Table
from privsynth.io.tables import KINDS, open_table
from privsynth.records.coerce import person_codes
from privsynth.records.conform import OnViolation, Records, check_has_columns, conform, needed_columns
from privsynth.records.person_rows import CanonicalColumn, PersonRows, Uniforms
from privsynth.records.row_rules import broken_rows, settle_rows
from privsynth.records.sequence_view import in_sequence
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_tables import LinkedTable, given_name
from privsynth.schema.linked_views import counts, given, history_schema, linked_view, n_of

IntArray = NDArray[np.int64]

Tables = Mapping[str, Table] | str | Path
"""Linked tables: a mapping of name to table, or the folder where each lies in a file of its name."""


def open_linked(tables: Tables, schema: LinkedSchema, *, is_real: bool = True) -> dict[str, Source]:
    """Open linked tables: their names and how they are stored are read, and no record.

    Args:
        tables: A mapping of names to tables, or the folder where each lies in a file of its name.
        schema: What is public about them.
        is_real: As for `privsynth.io.tables.open_table`.

    Raises:
        TableError: If a table is not there, or is none.
        SchemaError: If a table lacks a column that the schema describes.

    Privacy:
        Public: reads names, and how columns are stored.
    """
    given_tables = tables_of(tables, schema)
    opened = {}
    for name, table in schema.tables.items():
        key = [] if table.key is None or not schema.children(name) else [table.key]
        needed = [*needed_columns(table.schema), *key]
        opened[name] = open_table(given_tables[name], needed, schema=table.schema, is_real=is_real)
        opened[name].require_rows()
        check_has_columns(opened[name].names, table.schema, f"the table {name!r}")
        if key and key[0] not in opened[name].names:
            raise SchemaError(f"the table {name!r} has no column {key[0]!r}, the key of its rows")
    return opened


def tables_of(tables: Tables, schema: LinkedSchema) -> Mapping[str, Table]:
    """Return the tables of the schema by their names; of a folder, their files.

    Raises:
        TableError: If there is no such folder, or a table is not there.

    Privacy:
        Public: reads names.
    """
    if isinstance(tables, str | Path):
        given_tables: Mapping[str, Table] = {name: _file_of(Path(tables), name) for name in schema.tables}
    elif isinstance(tables, Mapping):
        given_tables = tables
    else:
        raise TableError(
            "expected linked tables: a folder, or a mapping of table names to tables; got "
            f"{type(tables).__name__}"
        )
    lacking = [name for name in schema.tables if name not in given_tables]
    if lacking:
        raise TableError(
            f"the schema describes a table {lacking[0]!r}, and there is none among those given: "
            f"{', '.join(map(repr, given_tables))}"
        )
    return given_tables


def _file_of(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise TableError(f"expected a folder of linked tables, and {str(folder)!r} is none")
    suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
    found = [folder / (name + suffix) for suffix in suffixes if (folder / (name + suffix)).exists()]
    if len(found) != 1:
        there = "several" if found else "none"
        raise TableError(
            f"the schema describes a table {name!r}: expected one file {name} with a suffix "
            f"{', '.join(suffixes)} in {str(folder)!r}, and there are {there}"
        )
    return found[0]


@dataclass(frozen=True)
class _Kept:
    """The rows of one table that a fit uses.

    Attributes:
        rows: What all rows hold for the tables below: own columns, counts, and what stands above, by name.
        is_somebodys: Whether each row leads to a person, ``(n_rows,)``; of the others nothing is said.
        is_kept: Whether each row survives the cut, ``(n_rows,)``.
        persons: Person of each row, ``(n_rows,)``.
        parts: Of how many parts of its person each kept row is one, ``(n_rows,)``.
    """

    rows: pd.DataFrame
    is_somebodys: NDArray[np.bool_]
    is_kept: NDArray[np.bool_]
    persons: IntArray
    parts: IntArray


def read_linked(
    opened: Mapping[str, Source],
    schema: LinkedSchema,
    *,
    on_violation: OnViolation,
    rng: Uniforms,
) -> dict[str, Records]:
    """Read linked tables, hold them against their schema, and return the records of each table's view.

    Of the rows under one parent, at most ``max_records_per_parent`` are kept, at random, each beside the row
    that truly stands before it; with a row its own rows below are cut. A kept row is one of so many parts of
    its person as the numbers of kept rows on the path to it, multiplied.

    Args:
        opened: The tables, as `open_linked` opens them.
        schema: What is public about them.
        on_violation: As for `privsynth.records.conform.conform`. Rows whose parent is not there belong to
            nobody: an error, or dropped under ``"clip"``. A key that stands twice is always an error.
        rng: Decides which rows are kept, and which stands before which where there is no order.

    Returns:
        Of each table the view (`privsynth.schema.linked_views.linked_view`), with persons and parts.

    Raises:
        SchemaError: If records break the schema; names tables, columns and rules, never values.

    Privacy:
        Not private: returns the records. That a key stands twice stops the run in any case: a signal without
        noise.
    """
    own = {}
    for name, table in schema.tables.items():
        may_be_empty = table.parent is not None and not opened[name].n_rows
        how: OnViolation = "clip" if may_be_empty else on_violation
        own[name] = conform(opened[name], table.schema, on_violation=how, name=name)
    root = schema.tables[schema.person]
    _check_unique(person_codes(opened[root.name].column(str(root.key))), root)
    parents = {
        name: parents_of(opened, table, schema, on_violation)
        for name, table in schema.tables.items()
        if table.parent is not None
    }
    for name in schema.tables:
        own[name] = _keeping_to_rules(schema, name, own, parents, on_violation)
    frames = {name: _with_counts(schema, name, own[name].frame, parents) for name in schema.tables}
    kept: dict[str, _Kept] = {}
    views: dict[str, Records] = {}
    for name, table in schema.tables.items():
        if table.parent is None:
            n = len(frames[name])
            each = np.ones(n, dtype=bool)
            kept[name] = _Kept(frames[name], each, each, np.arange(n), np.ones(n, dtype=np.int64))
            frame = frames[name][[column.name for column in linked_view(schema, name).modelled]]
            views[name] = Records(frame, np.arange(n), parts=np.ones(n, dtype=np.int64))
        else:
            kept[name], views[name] = _child(
                schema, table, frames[name], parents[name], kept[table.parent], rng
            )
    return views


def parents_of(
    opened: Mapping[str, Source], table: LinkedTable, schema: LinkedSchema, on_violation: OnViolation
) -> IntArray:
    """Return the row of the parent that each row belongs to, -1 for none; keys match by their text.

    Args:
        opened: The tables, as `open_linked` opens them.
        table: A child table.
        schema: What is public about the tables.
        on_violation: Whether rows that belong to no row are an error.

    Raises:
        SchemaError: If a key of the parent stands twice, or, under ``"error"``, a row belongs to none.

    Privacy:
        Not private: says which records belong together.
    """
    assert table.parent is not None
    parent = schema.tables[table.parent]
    keys, of_rows = (
        opened[parent.name].column(str(parent.key)),
        opened[table.name].column(str(table.parent_key)),
    )
    codes = person_codes(pd.concat([keys.astype(object), of_rows.astype(object)], ignore_index=True))
    of_keys, of_rows_codes = codes[: len(keys)], codes[len(keys) :]
    _check_unique(of_keys, parent)
    row_of = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int64)
    row_of[of_keys] = np.arange(len(of_keys))
    found = row_of[of_rows_codes]
    if on_violation == "error" and (found < 0).any():
        raise SchemaError(
            f"the table {table.name!r} breaks its schema: column {table.parent_key!r}: a row belongs to no "
            f"row of {parent.name!r}. Mend the tables, or drop such rows with --on-violation clip "
            '(on_violation="clip")'
        )
    return found


def _check_unique(codes: IntArray, table: LinkedTable) -> None:
    if len(np.unique(codes)) != len(codes):
        raise SchemaError(
            f"the table {table.name!r} breaks its schema: column {table.key!r}: a key stands twice, and keys "
            "are declared unique. Whose the rows below it are is not known then, and nothing is clipped: "
            "mend the table"
        )


def _keeping_to_rules(
    schema: LinkedSchema,
    name: str,
    own: Mapping[str, Records],
    parents: Mapping[str, IntArray],
    on_violation: OnViolation,
) -> Records:
    """Return the records of a table held against the constraints with the tables above it.

    Raises:
        SchemaError: If a row does not keep to one, and that is an error.
    """
    records, table = own[name], schema.tables[name]
    if not table.rules:
        return records
    of = history_schema(schema, name)
    linked = np.flatnonzero(parents[name] >= 0)
    columns: dict[str, CanonicalColumn] = {
        column: _values(records.frame[column].array[linked]) for column in records.frame.columns
    }
    above, rows = table, linked
    while above.parent is not None:
        rows = np.where(rows >= 0, parents[above.name][rows], -1)
        is_somebodys = rows >= 0
        above = schema.tables[above.parent]
        for column in above.schema.modelled:
            values = own[above.name].frame[column.name].array[rows]
            if column.is_numeric:
                columns[given_name(above.name, column.name)] = np.where(is_somebodys, _values(values), np.nan)
    persons = parents[name][linked]
    broken = broken_rows(columns, persons, of)
    if broken and on_violation == "error":
        said = "; ".join(f"column {column!r}: {rule}" for column, rules in broken.items() for rule in rules)
        raise SchemaError(
            f"the table {name!r} breaks its schema: {said}. Mend the tables or the schema, or clip what "
            'breaks it with --on-violation clip (on_violation="clip")'
        )
    if on_violation == "error":
        return records
    frame = records.frame.copy()
    for moved, settled in settle_rows(columns, persons, of).items():
        whole = np.array(frame[moved], dtype=np.float64)
        whole[linked] = settled
        frame[moved] = whole
    return Records(frame, records.persons)


def _values(values: Any) -> CanonicalColumn:
    return values if isinstance(values, pd.Categorical) else np.asarray(values, dtype=np.float64)


def _with_counts(
    schema: LinkedSchema, name: str, frame: pd.DataFrame, parents: Mapping[str, IntArray]
) -> pd.DataFrame:
    """Return a table's own columns with the number of rows that each row has in every table below it."""
    columns: dict[str, Any] = {column: frame[column].array for column in frame.columns}
    for column, child in zip(counts(schema, name), schema.children(name), strict=True):
        rows = parents[child]
        n = np.minimum(np.bincount(rows[rows >= 0], minlength=len(frame)), schema.most_children(child))
        columns[column.name] = (
            n.astype(np.float64)
            if column.is_numeric
            else pd.Categorical.from_codes(n, categories=pd.Index(column.labels))
        )
    return pd.DataFrame(columns, copy=False)


def _child(
    schema: LinkedSchema,
    table: LinkedTable,
    frame: pd.DataFrame,
    parents: IntArray,
    above: _Kept,
    rng: Uniforms,
) -> tuple[_Kept, Records]:
    """Return a child table's rows with what stands above, and its view after the cut."""
    linked = np.flatnonzero((parents >= 0) & np.append(above.is_somebodys, False)[parents])
    of_row = parents[linked]
    columns: dict[str, Any] = {name: frame[name].array[linked] for name in frame.columns}
    assert table.parent is not None
    for where, column in given(schema, table.name):
        source = column.name if where == table.parent else given_name(where, column.name)
        columns[given_name(where, column.name)] = above.rows[source].array[of_row]
    columns[given_name(table.parent, n_of(table.name))] = above.rows[n_of(table.name)].array[of_row]
    whole = pd.DataFrame(columns, copy=False)
    view, rows = in_sequence(Records(whole, of_row), history_schema(schema, table.name), rng)

    by_parent = PersonRows.of(of_row, rng.random(len(of_row)))  # a random order within each parent
    place = np.empty(len(of_row), dtype=np.int64)
    place[by_parent.rows] = np.arange(len(of_row)) - by_parent.each(by_parent.starts)
    siblings = np.empty(len(of_row), dtype=np.int64)
    siblings[by_parent.rows] = by_parent.each(np.minimum(by_parent.sizes, table.max_records_per_parent))
    is_kept = (place < table.max_records_per_parent) & above.is_kept[of_row]
    persons, parts = above.persons[of_row], above.parts[of_row] * siblings

    used = rows[is_kept[rows]]
    records = Records(view[is_kept[rows]].reset_index(drop=True), persons[used], parts=parts[used])
    return _Kept(**_by_row(len(parents), linked, whole, is_kept, persons, parts)), records


def _by_row(
    n_rows: int,
    linked: IntArray,
    rows: pd.DataFrame,
    is_kept: NDArray[np.bool_],
    persons: IntArray,
    parts: IntArray,
) -> dict[str, Any]:
    """Return the same by the rows of the whole table; rows that belong to nobody are not kept."""
    at = np.full(n_rows, 0, dtype=np.int64)
    at[linked] = np.arange(len(linked))
    is_somebodys = np.zeros(n_rows, dtype=bool)
    is_somebodys[linked] = True
    if not len(linked):
        return {
            "rows": rows,
            "is_somebodys": is_somebodys,
            "is_kept": is_somebodys,
            "persons": at,
            "parts": at + 1,
        }
    return {
        "rows": rows.take(at).reset_index(drop=True),
        "is_somebodys": is_somebodys,
        "is_kept": is_somebodys & is_kept[at],
        "persons": persons[at],
        "parts": parts[at],
    }
