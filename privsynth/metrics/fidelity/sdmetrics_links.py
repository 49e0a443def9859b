"""What sdmetrics says of linked tables: its quality report on all of them, with their keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.baselines import figures_of
from privsynth.metrics.common.families import Families
from privsynth.metrics.common.sides import Sides
from privsynth.metrics.fidelity.sdmetrics_reports import plain, scores_of_tables, sdtypes
from privsynth.schema.linked import LinkedSchema

MAX_ROWS = 20_000
"""Rows of the largest table on each side: sdmetrics draws a sample above 50,000 from numpy's global state."""

_KEY, _PARENT = "\x00key", "\x00parent"  # no column is named so


def compare_links_by_sdmetrics(
    compared: Sides[Families], generator: np.random.Generator, *, max_rows: int = MAX_ROWS
) -> dict[str, dict[str, Any]]:
    """Return the quality of all tables together and its properties as figures, 1 = best.

    Among them are ``Cardinality`` (how many rows a row of the parent has; it counts those that a fit cuts
    away) and ``Intertable Trends`` (columns of a table with those of its parent). Every row weighs the same.

    Args:
        compared: The families.
        generator: Draws persons where there are many.
        max_rows: Rows of the largest table on each side.

    Returns:
        Empty where a table has no row on some side.

    Privacy:
        Not private: figures of real records.
    """
    sides = [compared.source, *compared.judged.values()]
    if not compared.source.parents or min(n for side in sides for n in side.n_rows.values()) == 0:
        return {}
    metadata = _metadata(compared.source.schema)
    source = _some(compared.source, max_rows, generator)
    scores = {
        name: scores_of_tables(source, _some(families, max_rows, generator), metadata)
        for name, families in compared.judged.items()
    }
    return figures_of(scores)


def _some(families: Families, max_rows: int, generator: np.random.Generator) -> dict[str, pd.DataFrame]:
    share = max_rows / max(max_rows, *families.n_rows.values())
    drawn = families.some(max(1, round(share * families.n_persons)), generator)
    tables = {}
    for name, frame in drawn.frames.items():
        keys = {_KEY: np.arange(len(frame))}
        parents = {_PARENT: drawn.parents[name]} if name in drawn.parents else {}
        tables[name] = plain(frame).assign(**keys, **parents)
    return tables


def _metadata(schema: LinkedSchema) -> dict[str, Any]:
    described = {}
    for name, table in schema.tables.items():
        keys = {_KEY: {"sdtype": "id"}} | ({} if table.parent is None else {_PARENT: {"sdtype": "id"}})
        described[name] = {"primary_key": _KEY, "columns": sdtypes(table.schema) | keys}
    links = [
        {
            "parent_table_name": table.parent,
            "child_table_name": name,
            "parent_primary_key": _KEY,
            "child_foreign_key": _PARENT,
        }
        for name, table in schema.tables.items()
        if table.parent is not None
    ]
    return {"tables": described, "relationships": links}
