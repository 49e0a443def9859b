"""The views in which linked tables are learnt: each row beside the rows above it, and the one before.

Everything in them is derived from what a schema declares, so it is as public. In the view of a table stand

- the columns of every table above, as ``TABLE.column``, and how many rows each row above has in the tables
  below it, as ``TABLE.n.CHILD``: known when rows are drawn;
- ``n_records``, how many rows the parent has in this table, and the columns of the row before under the same
  parent, as `privsynth.schema.sequences` has them for persons;
- the row's own columns, and ``n.CHILD`` for every table below it: how many rows it has there.

Of the root there are the last only. Every number is at most the cap of its table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from privsynth.errors import SchemaError
from privsynth.schema.columns import PERSON, Column
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_tables import given_name
from privsynth.schema.schema import Schema
from privsynth.schema.sequences import N_RECORDS, sequence_view

N_OF = "n."
MOST_COUNTED = 16  # numbers of rows below that are learnt one by one; more of them in bins


def n_of(child: str) -> str:
    """Return the name of the column that holds how many rows a row has in a table below it."""
    return N_OF + child


def counts(schema: LinkedSchema, name: str) -> list[Column]:
    """Return a column for each table below: how many rows a row has there."""
    return [_count(n_of(child), schema.most_children(child)) for child in schema.children(name)]


def given(schema: LinkedSchema, name: str) -> list[tuple[str, Column]]:
    """Return what the tables above tell of a row of a table: the table it stands in, and its column there.

    The number of rows that the parent has in this very table is not among them: it is ``n_records``.
    """
    found = []
    for above in schema.path(name)[:-1]:
        own = [*above.schema.modelled, *counts(schema, above.name)]
        found += [(above.name, column) for column in own if column.name != n_of(name)]
    return found


def history_schema(schema: LinkedSchema, name: str) -> Schema:
    """Return the description of a child table as if its parents were persons, who share what stands above.

    Raises:
        SchemaError: If two columns would have one name.

    Privacy:
        Public: reads no record.
    """
    table = schema.tables[name]
    above = [
        replace(column, name=given_name(where, column.name), role=None, per=PERSON, is_given=True)
        for where, column in given(schema, name)
    ]
    keys = [
        column for column in table.schema.columns.values() if column.name in (table.key, table.parent_key)
    ]
    own = [column for column in table.schema.columns.values() if column not in keys]
    columns = _distinct(name, [*keys, *above, *own, *counts(schema, name)])
    return table.schema.over(columns, also=table.rules)


def linked_view(schema: LinkedSchema, name: str) -> Schema:
    """Return the schema of the view in which a table is learnt.

    Its ``max_records_per_person`` is the largest number of rows of one person in it.

    Raises:
        SchemaError: If two columns would have one name.

    Privacy:
        Public: reads no record.

    Example:
        >>> bank = LinkedSchema({"client": {"key": "id", "columns": {"old": {"type": "boolean"}}},
        ...                      "card": {"parent": "client", "parent_key": "client", "key": "card",
        ...                               "max_records_per_parent": 2,
        ...                               "columns": {"gold": {"type": "boolean"}}}}, person="client")
        >>> [column.name for column in linked_view(bank, "client").modelled]
        ['old', 'n.card']
        >>> [column.name for column in linked_view(bank, "card").modelled]
        ['client.old', 'n_records', 'first', 'prev.gold', 'gold']
    """
    if name == schema.person:
        own = schema.tables[name].schema
        return own.over(_distinct(name, [*own.columns.values(), *counts(schema, name)]))
    view = sequence_view(history_schema(schema, name))
    columns = [replace(c, is_given=True) if c.name == N_RECORDS else c for c in view.columns.values()]
    return view.over(columns, max_records_per_person=schema.max_records_of(name))


def _count(name: str, most: int) -> Column:
    if most <= MOST_COUNTED:
        categories = tuple(range(most + 1))
        return Column(name=name, type="categorical", categories=categories, counts_rows=True)
    return Column(name=name, type="integer", low=0, high=most, counts_rows=True)


def _distinct(table: str, columns: Iterable[Column]) -> list[Column]:
    columns, seen = list(columns), set()
    for column in columns:
        if column.name in seen:
            raise SchemaError(
                f"table {table!r}: column {column.name!r} is named like one that is derived for linked "
                "tables; rename it in table and schema"
            )
        seen.add(column.name)
    return columns
