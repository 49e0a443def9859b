"""The view in which the rows of persons are learnt: each row beside the one before it.

Everything in it is derived from what a schema declares, so it is as public. Of each row it holds

- the columns of the person, with ``n_records``, how many rows the person has, and, where rows have an order,
  ``start.X``, the person's first value of the column X that orders them;
- ``first``, whether the row is the person's first;
- ``prev.Y`` for every other column Y: its value in the row before, missing in the first row;
- ``gap.X``, how far X has moved since the row before, missing in the first row; and ``gap.Y`` of each other
  column that a constraint lets only rise, or only fall (`privsynth.schema.row_rules.moving`);
- the columns of the row itself.

Rows without an order stand one after another by chance: which one comes before another says nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE
from privsynth.schema.column_types import whole_steps
from privsynth.schema.columns import Column
from privsynth.schema.row_rules import moving, of_row_before
from privsynth.schema.schema import Schema

N_RECORDS = "n_records"
FIRST = "first"
GAP = "gap."
START = "start."
MOST_COUNTED = 64  # numbers of records that are told apart one by one


def sequence_view(schema: Schema) -> Schema:
    """Return the schema of the view, or the schema itself where rows are not learnt in sequences.

    Raises:
        SchemaError: If a column is named like a derived one, or none may differ between a person's rows.

    Privacy:
        Public: reads no record.

    Example:
        >>> visits = Schema({"id": {"type": "id", "role": "person_id"}, "ill": {"type": "boolean"},
        ...                  "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person"},
        ...                  "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31",
        ...                          "role": "order"}}, max_records_per_person=5)
        >>> list(sequence_view(visits).columns)
        ['id', 'sex', 'n_records', 'start.day', 'first', 'prev.ill', 'gap.day', 'ill', 'day']
    """
    if not schema.is_sequential:
        return schema
    own = columns_of_rows(schema)
    if not own:
        raise SchemaError(
            "no column is left that may differ between a person's rows; leave 'per' out of those that may"
        )
    assert schema.person_id is not None
    order = None if schema.order is None else schema.columns[schema.order]
    derived = [
        _number_of_records(schema),
        *(
            []
            if order is None
            else [replace(order, name=START + order.name, role=None, values_of=order.name)]
        ),
        Column(name=FIRST, type="boolean"),
        *(of_row_before(column) for column in own if column.role != "order"),
        *([] if order is None else [_gap(order)]),
        *(_gap(schema.columns[name]) for name in moving_columns(schema)),
    ]
    taken = [column.name for column in derived if column.name in schema.columns]
    if taken:
        raise SchemaError(
            f"column {taken[0]!r} is named like one that is derived for sequences; rename it in table and "
            "schema, or leave 'per' and 'order' out"
        )
    return schema.over(
        [
            schema.columns[schema.person_id],
            *(replace(column, per=None) for column in columns_of_persons(schema)),
            *derived,
            *(replace(column, role=None) if column.role == "order" else column for column in own),
            *(replace(column, per=None) for column in schema.columns.values() if column.is_computed),
        ]
    )


def columns_of_persons(schema: Schema) -> list[Column]:
    """Return the modelled columns in which all rows of a person hold the same value."""
    return [column for column in schema.modelled if column.per]


def columns_of_rows(schema: Schema) -> list[Column]:
    """Return the modelled columns that may differ between the rows of a person."""
    return [column for column in schema.modelled if not column.per]


def most_records(schema: Schema) -> int:
    """Return the largest number of a person's rows: as declared, or as many as places in the order."""
    assert schema.max_records_per_person is not None
    most = int(schema.max_records_per_person)
    if schema.order is None:
        return most
    order = schema.columns[schema.order]
    low, high = order.bounds
    if low is None or high is None or order.step is None:
        return most
    first, last = whole_steps(low, high, order.step)
    return min(most, int(last - first) + 1)


def schema_of_persons(schema: Schema) -> Schema:
    """Return the schema of a table of persons: what their rows share, and how many they are.

    It names what is made up for each person too, and where rows have an order, where each person's begin.
    """
    view = sequence_view(schema)
    shared = [c for c in schema.columns.values() if c.per or c.role == "person_id"]
    begin = [] if schema.order is None else [view.columns[START + schema.order]]
    return schema.over([*(replace(c, per=None) for c in shared), view.columns[N_RECORDS], *begin])


def _number_of_records(schema: Schema) -> Column:
    """Return the column of the number of a person's rows, the largest standing for all above it."""
    most = most_records(schema)
    if most <= MOST_COUNTED:
        categories = tuple(range(1, most + 1))
        return Column(name=N_RECORDS, type="categorical", categories=categories, counts_rows=True)
    return Column(name=N_RECORDS, type="integer", low=1, high=most, counts_rows=True)


def moving_columns(schema: Schema) -> dict[str, int]:
    """Return the columns that only rise, or only fall; see `privsynth.schema.row_rules.moving`."""
    return moving(schema.constraints, schema.columns)


def _gap(moves: Column) -> Column:
    """Return the column of the distance to the row before, in the unit or steps of the column that moves."""
    low, high = moves.bounds
    least = moves.step if moves.role == "order" and moves.step is not None else 0
    widest = PRIVATE if low is None or high is None else max(high - low, least)
    if moves.type == "real":
        of: dict[str, Any] = {"type": "real", "decimals": moves.decimals, "low": least, "high": widest}
    else:
        most = widest if isinstance(widest, str) else int(widest)
        of = {"type": "integer", "low": int(least), "high": most}
    return Column(name=GAP + moves.name, missing=True, distance_of=moves.name, **of)
