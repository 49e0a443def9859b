"""The workload: tables of counts that a fit measures whatever its choice says. Public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.columns import Column

FEWEST_COLUMNS, MOST_COLUMNS = 2, 4
Workload = tuple[tuple[str, ...], ...]


def read_workload(stated: Any, columns: Mapping[str, Column]) -> Workload:
    """Read the workload of a schema: lists of column names.

    Args:
        stated: As in schema JSON, such as ``[["sex", "age"], ["sex", "ill"]]``.
        columns: The schema's columns.

    Raises:
        SchemaError: If it is no list of lists of 2 to 4 different modelled columns, or names one set twice.

    Privacy:
        Public: reads no record.

    Example:
        >>> sex, ill = (Column.from_dict(name, {"type": "boolean"}) for name in ("sex", "ill"))
        >>> read_workload([["sex", "ill"]], {"sex": sex, "ill": ill})
        (('sex', 'ill'),)
    """
    if not _is_list(stated):
        raise SchemaError("expected 'workload' to be a list of lists of column names")
    read: list[tuple[str, ...]] = []
    for names in stated:
        if not _is_list(names) or not all(isinstance(name, str) for name in names):
            raise SchemaError(f"workload: expected a list of column names, got {names!r}")
        if not FEWEST_COLUMNS <= len(names) <= MOST_COLUMNS or len(set(names)) < len(names):
            raise SchemaError(
                f"workload: expected {FEWEST_COLUMNS} to {MOST_COLUMNS} different columns a table, got "
                f"{', '.join(map(repr, names)) or 'none'}; tables of one column are measured anyway"
            )
        for name in names:
            if name not in columns:
                raise SchemaError(f"workload: there is no column {name!r} in the schema")
            if not columns[name].is_modelled:
                raise SchemaError(
                    f"workload: column {name!r} is not learnt: it is an id, text, a key, computed or "
                    "dropped; leave it out"
                )
        if any(set(names) == set(other) for other in read):
            raise SchemaError(f"workload: the table of {', '.join(map(repr, names))} stands there twice")
        read.append(tuple(names))
    return tuple(read)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
