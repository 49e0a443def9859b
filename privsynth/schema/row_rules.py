"""Constraints between a row and the one before it, in tables whose rows follow one another.

An inequality may name ``prev.X``, the X of the person's row before: ``["prev.age", "age"]``. A person's first
row has none before it and satisfies it, as if it were missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.columns import Column
from privsynth.schema.constraints import Constraint, Inequality, Sum

PREVIOUS = "prev."  # what names of columns of the row before begin with

RISES, FALLS = 1, -1


def of_row_before(column: Column) -> Column:
    """Return the column that holds, in each row, the value of the row before."""
    return replace(
        column, name=PREVIOUS + column.name, role=None, missing=True, is_computed=False, values_of=column.name
    )


def columns_before(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Return the columns of the row before that constraints may name; none where rows have no order."""
    if not any(column.role == "order" for column in columns.values()):
        return {}
    before = (
        of_row_before(column)
        for column in columns.values()
        if column.is_modelled and not column.per and column.role != "order"
    )
    return {column.name: column for column in before if column.name not in columns}


def check_names_before(stated: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]) -> None:
    """Raise a `SchemaError` if a constraint names a column of the row before that there is none of."""
    known = columns.keys() | columns_before(columns).keys()
    for fields in stated:
        names = fields.get("columns")
        for name in names if isinstance(names, Sequence) and not isinstance(names, str) else ():
            if isinstance(name, str) and name.startswith(PREVIOUS) and name not in known:
                raise SchemaError(
                    f"constraints: {fields.get('kind')!r} names {name!r}: {_why(name, columns)}"
                )


def _why(name: str, columns: Mapping[str, Column]) -> str:
    """Say why there is no such column of the row before."""
    own = name.removeprefix(PREVIOUS)
    if own not in columns:
        return f"there is no column {own!r} whose value in the row before it could be"
    if not any(column.role == "order" for column in columns.values()):
        return (
            "no row stands before another, since the rows of this table have no order; give the column that "
            "orders the rows of a person the role 'order'"
        )
    column = columns[own]
    if column.per:
        return f"all rows of a {column.per} hold the same {own!r}; name it without {PREVIOUS!r}"
    if column.role == "order":
        return f"{own!r} orders the rows of a person, so each is above the one before already; leave it out"
    return f"{own!r} is not learnt (ids, keys, text and what is dropped), so nothing can be kept to it"


def names_before(constraint: Constraint, columns: Mapping[str, Column]) -> list[str]:
    """Return the columns of the row before that a constraint names."""
    return [name for name in constraint.columns if name not in columns and name.startswith(PREVIOUS)]


def check_row_rules(constraints: Iterable[Constraint], columns: Mapping[str, Column], most: int) -> None:
    """Raise a `SchemaError` if a constraint with the row before cannot be kept row after row.

    Args:
        constraints: Of the schema.
        columns: Of the schema.
        most: The largest number of rows of a person.
    """
    constraints = list(constraints)
    computed = {c.columns[0] for c in constraints if isinstance(c, Sum)}
    for constraint in constraints:
        before = names_before(constraint, columns)
        if not before:
            continue
        where = f"constraints: {constraint}"
        if not isinstance(constraint, Inequality):
            raise SchemaError(
                f"{where}: {before[0]!r} is of the row before, which inequalities alone may name; state "
                "one, or leave it out"
            )
        if len(before) > 1:
            raise SchemaError(
                f"{where}: it names {before[0]!r} and {before[1]!r}; keep one of the row before"
            )
        (name,) = before
        if name.removeprefix(PREVIOUS) in computed:
            raise SchemaError(f"{where}: {name!r} is computed from other columns; name these")
        at = constraint.columns.index(name)
        own = [i for i, of in enumerate(constraint.columns) if of in columns and _is_of_row(columns[of])]
        if not own or (min(own) < at < max(own)):
            raise SchemaError(
                f"{where}: expected columns of the row itself on one side of {name!r}; state two inequalities"
                if own
                else f"{where}: expected a column of the row itself, which the row before is held against"
            )
        order = next((c for c in constraint.columns if c in columns and columns[c].role == "order"), None)
        if order is not None and constraint.columns.index(order) < at:
            raise SchemaError(
                f"{where}: {order!r} orders the rows and only rises, so it cannot stay below {name!r}; turn "
                "the inequality round"
            )
        _check_room(constraint, columns, most)


def _check_room(constraint: Inequality, columns: Mapping[str, Column], most: int) -> None:
    """Refuse a strict inequality of a column with itself that has fewer values than persons have rows."""
    (name,) = names_before(constraint, columns)
    own = name.removeprefix(PREVIOUS)
    if not constraint.strict or own not in constraint.columns or columns[own].missing:
        return
    (low, high), step = columns[own].bounds, columns[own].step
    if low is None or high is None or step is None:
        return
    apart = abs(constraint.columns.index(name) - constraint.columns.index(own))
    if round((high - low) / step) < (most - 1) * apart:
        raise SchemaError(
            f"constraints: {constraint}: a person may have {most} rows, and {own!r} has too few values "
            f"between {columns[own].low} and {columns[own].high} to move on in each; widen the bounds, lower "
            "'max_records_per_person', or let it not be strict"
        )


def _is_of_row(column: Column) -> bool:
    return not column.per


def moving(constraints: Iterable[Constraint], columns: Mapping[str, Column]) -> dict[str, int]:
    """Return the columns that constraints let only rise, or only fall, from row to row: `RISES` or `FALLS`.

    How far such a column moves is learnt, as the distance of rows in their order is. A column is among them
    if it stands next to itself in the row before, is never missing, and the order is not in the constraint.
    """
    found = {}
    for constraint in constraints:
        before = names_before(constraint, columns) if isinstance(constraint, Inequality) else []
        if len(before) != 1 or any(columns[c].role == "order" for c in constraint.columns if c in columns):
            continue
        own, at = before[0].removeprefix(PREVIOUS), constraint.columns.index(before[0])
        if own in constraint.columns and columns[own].missing is False:
            move = constraint.columns.index(own) - at
            if abs(move) == 1:
                found[own] = RISES if move > 0 else FALLS
    return found
