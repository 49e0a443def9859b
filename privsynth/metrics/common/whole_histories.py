"""Persons as rows: everything that a person's records say, laid out side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.attacks.overlap import row_keys
from privsynth.metrics.common.histories import Histories
from privsynth.records.codes import as_numbers
from privsynth.schema.sequences import N_RECORDS, columns_of_persons, columns_of_rows

MAX_LAID_OUT = 48
"""Fields of a person's first rows that are looked at one by one; more columns, fewer rows."""


def whole_histories(histories: Histories, *, max_laid_out: int = MAX_LAID_OUT) -> pd.DataFrame:
    """Return one row a person, made of all their rows.

    Args:
        histories: Persons with their rows.
        max_laid_out: Fields of the first rows that are looked at one by one.

    Returns:
        The columns that a person's rows share; ``n_records``; of each other column the mean of what is a
        number or a truth value, the value of the last row and, one by one, those of the first rows (missing
        where there is no such row), ``(n_persons, n_features)``, canonical.

    Privacy:
        Not private: returns records.
    """
    frame, starts, sizes = histories.frame, histories.starts, histories.sizes
    shared = [column.name for column in columns_of_persons(histories.schema)]
    varying = columns_of_rows(histories.schema)
    features: dict[str, pd.Series] = {
        f"person {name}": frame[name].iloc[starts].reset_index(drop=True) for name in shared
    }
    features[N_RECORDS] = pd.Series(sizes.astype(np.float64))
    most = histories.schema.max_records_per_person or 1  # the same features of every table of one schema
    n_laid_out = max(1, min(most, max_laid_out // max(len(varying), 1)))
    for column in varying:
        values = frame[column.name]
        if column.is_numeric or column.type == "boolean":
            features[f"mean {column.name}"] = pd.Series(_means(as_numbers(values), histories))
        features[f"last {column.name}"] = values.iloc[starts + sizes - 1].reset_index(drop=True)
        for i in range(n_laid_out):
            at = values.iloc[starts + np.minimum(i, sizes - 1)].reset_index(drop=True)
            features[f"{i} {column.name}"] = at.where(sizes > i)
    return pd.DataFrame(features)


def history_keys(histories: Histories) -> np.ndarray:
    """Return a 64-bit hash of each person: equal histories have equal keys.

    Privacy:
        Not private: an encoding of the records given.
    """
    rows = row_keys(histories.frame)
    if histories.schema.order is not None:
        rows = rows ^ histories.positions.astype(np.uint64)
    keys = np.zeros(histories.n_persons, dtype=np.uint64)
    np.add.at(keys, histories.persons, pd.util.hash_array(rows))
    return keys


def _means(numbers: np.ndarray, histories: Histories) -> np.ndarray:
    """Return each person's mean of what is known, NaN without any."""
    known = ~np.isnan(numbers)
    count = np.bincount(histories.persons[known], minlength=histories.n_persons)
    total = np.bincount(histories.persons[known], numbers[known], histories.n_persons)
    return np.divide(total, count, out=np.full(histories.n_persons, np.nan), where=count > 0)
