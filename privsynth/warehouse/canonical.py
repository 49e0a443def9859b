"""Records in canonical form, kept in their engine: one table, made by one statement, that a run counts from.

Whatever is asked later is asked of this table, so that rows, their weights and what is counted never come
from different states of the source.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from privsynth.errors import SchemaError, TableError
from privsynth.io.engines import EngineSource
from privsynth.privacy.units import PERSON_GRID
from privsynth.records.conform import OnViolation, broken_schema
from privsynth.schema import Column, Schema
from privsynth.warehouse.dialects import Dialect
from privsynth.warehouse.fields import Names, field_of, largest_that, person_key, text_of_person
from privsynth.warehouse.session import Session

WEIGHT, PERSON = "w", "p"
_FARTHEST = 2.0**46  # where numbers end that tell rows apart when some are chosen


@dataclass(frozen=True)
class CanonicalColumn:
    """Where a column stands in the table of canonical records.

    Attributes:
        column: Its declaration.
        value: Name of its value: a double, the position of a label, or the bytes of a text; NULL for missing.
        ticks: Name of its value in steps; that of the value itself where there are none, or they are 1.
    """

    column: Column
    value: str
    ticks: str


@dataclass(frozen=True)
class CanonicalTable:
    """Canonical records, kept in an engine.

    Attributes:
        name: Of the table, quoted.
        columns: By name of the schema's column.
        weight: Sum of the weights of some rows, in grid steps, as SQL.
        has_persons: Whether a row is not a unit by itself.
    """

    name: str
    columns: dict[str, CanonicalColumn]
    weight: str
    has_persons: bool


def check_readable(source: EngineSource, schema: Schema) -> None:
    """Raise an error unless a table in an engine can be counted there under its schema.

    Raises:
        SchemaError: If rows are learnt in sequences.
        TableError: If a column is stored as its type cannot be.

    Privacy:
        Public: reads names and types.
    """
    if schema.is_sequential:
        raise SchemaError(
            "the schema says that a person's rows are a sequence, which are not counted in an engine. Read "
            f"the table from {source.what} into memory (a Parquet file, or to_pyarrow() of an ibis.Table), "
            "or leave 'order' and 'per' out"
        )
    plan_of(source, schema, Session(source).dialect, salt="")


def keep_canonical(
    session: Session,
    source: EngineSource,
    schema: Schema,
    on_violation: OnViolation,
    *,
    salt: str | None = None,
) -> CanonicalTable:
    """Hold a table in an engine against its schema, and keep its canonical records there.

    The same rules are told in the same words as by `privsynth.records.conform.conform`. Which rows of a
    person are kept is a function of that person's rows and the salt.

    Args:
        session: With the engine.
        source: The table.
        schema: What is public about it; complete.
        on_violation: As for `conform`.
        salt: Public; a fresh one by default. The guarantee does not rest on it, only that each of a person's
            rows is kept equally often.

    Raises:
        SchemaError: If records break the schema, with ``"error"``; quotes none.
        TableError: If the engine refuses, or, with ``"error"``, there are no rows.

    Privacy:
        Not private: with ``"error"`` the number of fields that break each rule is read, and that the call
        stops is a signal without noise, as everywhere.
    """
    plan = plan_of(source, schema, session.dialect, salt=secrets.token_hex(16) if salt is None else salt)
    with session.snapshot():
        if on_violation == "error":
            counts = [int(column[0] or 0) for column in session.ask(plan.rules_query)]
            if counts[0] == 0:
                raise TableError("the table has no rows")
            broken = [rule for rule, n in zip(plan.rules, counts[1:], strict=True) if n]
            if broken:
                raise broken_schema("the table", broken)
        name = session.keep("records", plan.query)
    return CanonicalTable(name, plan.columns, plan.weight, schema.person_id is not None)


@dataclass(frozen=True)
class Plan:
    """The statements that make a table of canonical records, and what stands where in it."""

    query: str
    rules: list[str]
    rules_query: str
    columns: dict[str, CanonicalColumn]
    weight: str


def plan_of(source: EngineSource, schema: Schema, d: Dialect, *, salt: str) -> Plan:
    """Return how a table is read; see `keep_canonical`.

    Privacy:
        Public: a function of the schema, and of names and types of the table.
    """
    fields, stored, read, rounded, canonical = [], [], [], [], []
    for i, column in enumerate(schema.modelled):
        names = Names(raw=d.name(column.name), stored=f"y{i}", read=f"x{i}", rounded=f"r{i}")
        field = field_of(column, source.types[column.name], d, names)
        fields.append(field)
        stored.append(f"{field.stored} AS y{i}")
        read.append(f"{field.read} AS x{i}")
        rounded.append(f"x{i}" if field.rounded is None else f"x{i}, {field.rounded} AS r{i}")
        canonical.append(f"{field.canonical} AS v{i}")
    has_persons = schema.person_id is not None
    if schema.person_id is not None:
        stored.append(f"{text_of_person(schema.person_id, source.types[schema.person_id], d)} AS {PERSON}")
        read.append(f"{person_key(PERSON, d)} AS {PERSON}")
        rounded.append(PERSON)
        canonical.append(PERSON)
    whole = _select(stored, f"({source.relation}) AS s", d)
    first = _select(read, f"({whole}) AS s", d)
    second = _select(rounded, f"({first}) AS s", d)
    third = _select(canonical, f"({second}) AS s", d)
    columns = {
        field.column.name: CanonicalColumn(
            field.column, f"v{i}", f"t{i}" if _has_ticks(field.column) else f"v{i}"
        )
        for i, field in enumerate(fields)
    }
    steps = [
        f"{_ticks(f'v{i}', float(field.column.step or 1.0), d)} AS t{i}"
        for i, field in enumerate(fields)
        if _has_ticks(field.column)
    ]
    values = [f"v{i}" for i in range(len(fields))]
    query = _select([*values, *steps, *([PERSON] if has_persons else [])], f"({third}) AS s", d)
    weight = "COUNT(*)"
    if has_persons:
        assert schema.max_records_per_person is not None
        query = chosen_rows(query, columns.values(), schema.max_records_per_person, d, salt=salt)
        weight = f"CAST(COALESCE(SUM({WEIGHT}), 0) AS BIGINT)"
    rules = [
        (f"column {f.column.name!r}: {rule}", broken) for f in fields for rule, broken in f.rules.items()
    ]
    counted = ["COUNT(*)", *(f"SUM(CASE WHEN {broken} THEN 1 ELSE 0 END)" for _, broken in rules)]
    counted = [f"CAST({count} AS BIGINT) AS n{i}" for i, count in enumerate(counted)]
    return Plan(query, [rule for rule, _ in rules], _select(counted, f"({second}) AS s"), columns, weight)


def chosen_rows(
    query: str, columns: Iterable[CanonicalColumn], max_records: int, d: Dialect, *, salt: str
) -> str:
    """Return the rows of each person that are used, and what each weighs, as a query.

    A person's rows are put in the order of a hash of the salt, the person, the row, and how many equal ones
    stand before it; the first ``max_records`` are used. All of this is said of one person's rows, so that one
    person more or less changes no other's. A row without a person is a person of its own.

    Args:
        query: Canonical records with their persons.
        columns: All of their columns.
        max_records: Largest number of rows of a person that are used; public.
        d: The engine's language.
        salt: Public.

    Privacy:
        Not private: rows and weights stay in the engine.
    """
    columns = list(columns)
    values = ", ".join(dict.fromkeys(name for c in columns for name in (c.value, c.ticks)))
    row = f"md5(concat_ws('|', {', '.join(_as_texts(c, d) for c in columns)}))"
    order = ", ".join(f"{c.value} NULLS FIRST" for c in columns)
    texts = f"SELECT {values}, {PERSON}, {row} AS h FROM ({query}) AS s{d.barrier}"
    nth = f"ROW_NUMBER() OVER (PARTITION BY {PERSON}, h ORDER BY {order})"
    total = f"COUNT(*) OVER (PARTITION BY {PERSON})"
    numbered = f"SELECT {values}, {PERSON}, h, {nth} AS n, {total} AS m FROM ({texts}) AS s{d.barrier}"
    key = f"md5(concat_ws('|', {d.text(salt)}, {d.hexadecimal(PERSON)}, {d.as_text('n')}, h))"
    keyed = f"SELECT {values}, {PERSON}, h, n, m, {key} AS k FROM ({numbered}) AS s{d.barrier}"
    rank = f"ROW_NUMBER() OVER (PARTITION BY {PERSON} ORDER BY k, h, n)"
    ranked = f"SELECT {values}, {PERSON}, m, {rank} AS r FROM ({keyed}) AS s{d.barrier}"
    share = d.floor(f"{d.number(PERSON_GRID)} / LEAST(m, {max_records})")
    weight = f"CAST(CASE WHEN {PERSON} IS NULL THEN {PERSON_GRID} ELSE {share} END AS INTEGER) AS {WEIGHT}"
    used = f"{PERSON} IS NULL OR r <= {max_records}"
    return f"SELECT {values}, {PERSON}, {weight} FROM ({ranked}) AS s WHERE {used}"


def _as_texts(column: CanonicalColumn, d: Dialect) -> str:
    """Return what tells a value apart from others where rows are chosen, the same text in every engine."""
    value = column.value
    if column.column.is_numeric:
        scale = 1.0 if column.column.step is not None else 65536.0
        near = f"LEAST(GREATEST({column.ticks}, {d.number(-_FARTHEST)}), {d.number(_FARTHEST)})"
        text = d.as_text(d.as_whole(d.floor(f"{near} * {d.number(scale)}")))
    elif column.column.labels is not None:
        text = d.as_text(value)
    else:
        text = d.hexadecimal(value)
    return f"CASE WHEN {column.ticks} IS NULL THEN '' ELSE {text} END"


def _has_ticks(column: Column) -> bool:
    """Whether ticks are not the values themselves."""
    return column.is_numeric and column.step not in (None, 1.0)


def _ticks(value: str, step: float, d: Dialect) -> str:
    """Return a number as steps, NULL for one that is too large; see `privsynth.domains.coding.as_ticks`."""
    most = d.number(largest_that(lambda v: v / step))
    steps = f"({value} / {d.number(step)})"
    return f"CASE WHEN ABS({value}) <= {most} THEN {d.rint(steps)} END"


def _select(columns: list[str], source: str, d: Dialect | None = None) -> str:
    return f"SELECT {', '.join(columns)} FROM {source}{'' if d is None else d.barrier}"
