"""Each of several linked tables by itself: what is said of a table of its own, and of histories."""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.families import Families, LinkedTables
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.fidelity.sequences import assess_sequences
from privsynth.metrics.fidelity.tables import assess_fidelity
from privsynth.records.conform import Records
from privsynth.schema.linked_views import history_schema

MAX_TRIPLES = 16
MAX_SUPPORT_ROWS = 2_000
NO_ROWS = "a side has no row in this table"


def assess_by_table(
    tables: LinkedTables, *, n_bootstrap: int, random_state: int = 0, max_support_rows: int = MAX_SUPPORT_ROWS
) -> dict[str, Any]:
    """Return the section of the report.

    Args:
        tables: The tables.
        n_bootstrap: Replicates behind the intervals of histories.
        random_state: Seed of every draw.
        max_support_rows: Rows whose neighbours are searched, of each table.

    Returns:
        ``tables``: of each ``table`` the figures of `privsynth.metrics.fidelity` (``fidelity``; each person
        counts once) and, where its rows have an order, those of `privsynth.metrics.sequences`
        (``sequences``), in which the rows of the parent stand for persons; else None.

    Privacy:
        Not private: figures of real records.
    """
    found = []
    for name, table in tables.schema.tables.items():
        sides = tables.sides.values()
        is_empty = min(families.n_rows[name] for families in sides) == 0
        of_table: dict[str, Any] = {"table": name}
        if is_empty:
            missing = not_assessed(NO_ROWS)
            found.append(
                of_table | {"fidelity": missing, "sequences": missing if table.schema.order else None}
            )
            continue
        of_table["fidelity"] = assess_fidelity(
            rows_of_table(tables, name),
            max_triples=MAX_TRIPLES,
            max_support_rows=max_support_rows,
            random_state=random_state,
        )
        of_table["sequences"] = (
            None
            if table.schema.order is None
            else assess_sequences(
                histories_of_parents(tables, name), n_bootstrap=n_bootstrap, random_state=random_state
            )
        )
        found.append(of_table)
    return {"status": "assessed", "tables": found}


def rows_of_table(tables: LinkedTables, name: str) -> Tables:
    """Return one of linked tables as a table of persons, whose rows it holds.

    Privacy:
        Not private: returns the records.
    """

    def records(families: Families) -> Records:
        persons = np.unique(families.persons(name), return_inverse=True)[1]
        return Records(families.frames[name], persons)

    given: dict[str, Any] = {side: records(families) for side, families in tables.sides.items()}
    return Tables(schema=tables.schema.tables[name].schema, **given)


def histories_of_parents(tables: LinkedTables, name: str) -> Tables:
    """Return a child table as if its parents were persons, who share what stands above.

    Privacy:
        Not private: returns the records.
    """
    table, described = tables.schema.tables[name], history_schema(tables.schema, name)
    sides: dict[str, Any] = {}
    for side, families in tables.sides.items():
        parents = np.unique(families.parents[name], return_inverse=True)[1]
        sides[side] = Records(families.beside_above(name), parents)
    kept = [*sides["real"].frame.columns, table.parent_key]
    schema = described.over([column for column in described.columns.values() if column.name in kept])
    return Tables(schema=schema, target=table.schema.target, **sides)
