"""Records as sequences are learnt from: each row beside the one before it, and what it shares with others.

Everything derived is a function of one person's own rows, those included that a cut later leaves out; so a
person still changes no row but their own, and each row keeps its true predecessor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.records.conform import Records
from privsynth.records.person_rows import CanonicalColumn, PersonRows, Uniforms, order_of
from privsynth.schema import Schema
from privsynth.schema.row_rules import PREVIOUS, RISES
from privsynth.schema.sequences import FIRST, N_RECORDS, START, most_records, moving_columns, sequence_view


def as_sequences(records: Records, schema: Schema, rng: Uniforms) -> Records:
    """Return the view of records that `privsynth.schema.sequences.sequence_view` describes.

    Args:
        records: Canonical records with persons.
        schema: Their schema; of one without sequences the records are returned as they are.
        rng: Decides which row stands before which where the schema names no order.

    Returns:
        The view's modelled columns in its order; rows in runs, one a person.

    Privacy:
        Not private: returns the records.
    """
    if not schema.is_sequential:
        return records
    assert records.persons is not None
    view, rows = in_sequence(records, schema, rng)
    return Records(view, records.persons[rows])


def in_sequence(records: Records, schema: Schema, rng: Uniforms) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the view of records with persons as a frame, and which record each of its rows is.

    Privacy:
        Not private: returns the records.
    """
    assert records.persons is not None
    given: dict[str, CanonicalColumn] = {name: _values(records.frame[name]) for name in records.frame.columns}
    order = order_of(given, schema)
    by_person = PersonRows.of(records.persons, rng.random(len(records.persons)) if order is None else order)
    is_first = by_person.is_first
    columns: dict[str, Any] = {}
    view, moves = sequence_view(schema), moving_columns(schema)
    for column in view.modelled:
        name = column.name
        if name in given:
            columns[name] = given[name][by_person.rows]
        elif name == N_RECORDS:
            each = by_person.each(np.minimum(by_person.sizes, most_records(schema)))
            columns[name] = (
                each.astype(np.float64)
                if column.is_numeric
                else pd.Categorical.from_codes(each - 1, categories=pd.Index(column.labels))
            )
        elif name == FIRST:
            columns[name] = pd.Categorical.from_codes(is_first.astype(np.int8), categories=[False, True])
        elif name.startswith(PREVIOUS):
            columns[name] = _before(given[name.removeprefix(PREVIOUS)], by_person.rows, is_first)
        elif name.startswith(START):
            assert order is not None
            columns[name] = order[by_person.rows[by_person.each(by_person.starts)]]
        else:
            of = np.asarray(given[str(column.distance_of)], dtype=np.float64)
            moved = of[by_person.rows] - _before(of, by_person.rows, is_first)
            columns[name] = moved * moves.get(str(column.distance_of), RISES)
    return pd.DataFrame(columns, copy=False), by_person.rows


def _before(values: Any, rows: NDArray[np.int64], is_first: NDArray[np.bool_]) -> Any:
    """Return the value of the row before, missing in a person's first row."""
    before = np.r_[rows[:1], rows[:-1]]
    if isinstance(values, pd.Categorical):
        codes = np.where(is_first, -1, values.codes[before])
        return pd.Categorical.from_codes(codes, categories=values.categories)
    return np.where(is_first, np.nan, values[before])


def _values(column: pd.Series) -> CanonicalColumn:
    values = column.array
    return values if isinstance(values, pd.Categorical) else column.to_numpy(dtype=np.float64)
