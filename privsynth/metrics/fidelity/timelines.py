"""A few synthetic persons with what happens to them, to look at: no real record is read, and none is near."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.estimates import number
from privsynth.metrics.common.histories import Histories, events_of
from privsynth.records.codes import as_numbers
from privsynth.schema import Column, category_text
from privsynth.schema.sequences import columns_of_persons

N_PERSONS = 6
MAX_RECORDS = 24
MAX_COLUMNS = 4
_MIDDLE = (0.01, 0.99)  # of a column's numbers: a few large ones would press the others flat


def draw_timelines(
    synthetic: Histories, *, target: str | None = None, random_state: int = 0
) -> dict[str, Any]:
    """Return some synthetic persons with their first records, short and long histories alike.

    Args:
        synthetic: Histories of synthetic persons.
        target: A column that is shown first.
        random_state: Seed of who is shown.

    Returns:
        ``order``, the column that orders records, or None; ``columns``, shown of every record: name and
        ``kind`` (``number``, ``truth`` or ``category``); ``persons``: ``facts`` (column and text),
        ``n_records`` and the first ``records``: ``at`` (text of the order, or the record's number), ``place``
        in [0, 1] and ``values``: a text each and, of numbers and truth values, a ``level`` in [0, 1].

    Privacy:
        Post-processing: reads released rows only.
    """
    schema, generator = synthetic.schema, np.random.default_rng([random_state, 4])
    columns = sorted(events_of(schema), key=lambda column: column.name != target)[:MAX_COLUMNS]
    levels = {column.name: _levels(synthetic.frame[column.name], column) for column in columns}
    order = None if schema.order is None else schema.columns[schema.order]
    persons = []
    for person in _chosen(synthetic, generator):
        first = int(synthetic.starts[person])
        rows = range(first, first + min(int(synthetic.sizes[person]), MAX_RECORDS))
        persons.append(
            {
                "n_records": int(synthetic.sizes[person]),
                "facts": [
                    {"column": column.name, "text": _text(synthetic.frame[column.name], first, column)}
                    for column in columns_of_persons(schema)
                ],
                "records": [
                    {
                        "at": str(i + 1) if order is None else _text(synthetic.frame[order.name], row, order),
                        "place": place,
                        "values": [
                            {
                                "text": _text(synthetic.frame[column.name], row, column),
                                "level": number(levels[column.name][row]),
                            }
                            for column in columns
                        ],
                    }
                    for i, (row, place) in enumerate(zip(rows, _places(synthetic, rows), strict=True))
                ],
            }
        )
    return {
        "order": schema.order,
        "columns": [{"column": column.name, "kind": _kind(column)} for column in columns],
        "persons": persons,
    }


def _chosen(histories: Histories, generator: np.random.Generator) -> list[int]:
    """Return a random person of each of `N_PERSONS` slices by the number of records, fewest first."""
    by_size = np.lexsort([generator.random(histories.n_persons), histories.sizes])
    slices = np.array_split(by_size, min(N_PERSONS, histories.n_persons))
    return [int(part[generator.integers(len(part))]) for part in slices]


def _places(histories: Histories, rows: range) -> list[float]:
    """Return where each row stands between the first and the last of them."""
    places = np.arange(len(rows), dtype=np.float64)
    if histories.schema.order is not None:
        places = histories.frame[histories.schema.order].to_numpy(dtype=np.float64)[rows.start : rows.stop]
    places = np.nan_to_num(places, nan=float(np.nanmax(places, initial=0.0)))
    span = float(np.ptp(places))
    return [0.5] * len(rows) if span == 0 else [float(p) for p in (places - places[0]) / span]


def _levels(values: pd.Series, column: Column) -> np.ndarray:
    """Return each value as a level between the ends of the column, NaN for categories and missing ones."""
    if _kind(column) == "category":
        return np.full(len(values), np.nan)
    numbers = as_numbers(values)
    known = numbers[~np.isnan(numbers)]
    if _kind(column) == "truth" or not len(known):
        return numbers
    low, high = (float(end) for end in np.quantile(known, _MIDDLE))
    return np.clip((numbers - low) / (high - low), 0.0, 1.0) if high > low else numbers * 0.0 + 0.5


def _kind(column: Column) -> str:
    return "truth" if column.type == "boolean" else "number" if column.is_numeric else "category"


def _text(values: pd.Series, row: int, column: Column) -> str | None:
    """Return a value as a table would show it; None where it is missing."""
    if values.isna().iloc[row]:
        return None
    if column.is_numeric:
        return column.line.text(column, float(values.iloc[row]))
    return category_text(values.iloc[[row]].tolist()[0])
