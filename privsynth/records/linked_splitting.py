"""Linked tables split by whole persons: each with all rows that lead to them, and their keys as they are."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import SchemaError
from privsynth.io.tables import open_table, read_table
from privsynth.records.coerce import person_codes
from privsynth.records.linked import Tables, parents_of, tables_of
from privsynth.records.split_parts import coins
from privsynth.schema.linked import LinkedSchema

Frames = dict[str, pd.DataFrame]


def split_linked(
    tables: Tables, schema: LinkedSchema, *, holdout: float, random_state: int | None
) -> tuple[Frames, Frames]:
    """Split linked tables; see `privsynth.records.splitting.split`.

    Each row of the root goes into the holdout by a coin of its own, and what leads to it goes with it. Rows
    that lead to nobody go into the training part, with a warning: a fit stops at them, or drops them.

    Args:
        tables: A mapping of names to tables, or a folder.
        schema: Names the tables and their keys; need not be complete.
        holdout: Probability that a person goes into the holdout.
        random_state: Seed; None draws from the operating system.

    Raises:
        SchemaError: If a table lacks a key, or a key that rows refer to stands twice.
        TableError: If a table is not there, or cannot be read.

    Privacy:
        Not private: returns the records themselves.
    """
    given = tables_of(tables, schema)
    frames = {name: read_table(given[name], table.schema) for name, table in schema.tables.items()}
    for name, table in schema.tables.items():
        keys = [table.parent_key, table.key if schema.children(name) or table.parent is None else None]
        lacking = [key for key in keys if key is not None and key not in frames[name].columns]
        if lacking:
            raise SchemaError(f"the table {name!r} has no column {lacking[0]!r}, a key; add it")
    opened = {name: open_table(frame, schema=schema.tables[name].schema) for name, frame in frames.items()}
    is_held_out: dict[str, NDArray[np.bool_]] = {}
    is_somebodys: dict[str, NDArray[np.bool_]] = {}
    for name, table in schema.tables.items():
        if table.parent is None:
            persons = person_codes(frames[name][str(table.key)])
            is_held_out[name] = coins(int(persons.max(initial=-1)) + 1, holdout, random_state)[persons]
            is_somebodys[name] = np.ones(len(persons), dtype=bool)
        else:  # -1 is nobody
            parents = parents_of(opened, table, schema, "clip")
            is_held_out[name] = np.append(is_held_out[table.parent], False)[parents]
            is_somebodys[name] = np.append(is_somebodys[table.parent], False)[parents]
    _warn_of_orphans([name for name, each in is_somebodys.items() if not each.all()])
    train, held_out = (
        {name: frame[is_held_out[name] == part].reset_index(drop=True) for name, frame in frames.items()}
        for part in (False, True)
    )
    return train, held_out


def _warn_of_orphans(names: list[str]) -> None:
    if names:
        warnings.warn(
            f"rows of {', '.join(map(repr, names))} lead to no person and went into the training part; a fit "
            'stops at them, or drops them with --on-violation clip (on_violation="clip")',
            stacklevel=4,
        )
