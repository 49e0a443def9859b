"""Draw whole units (persons, or rows where the schema names no persons) out of a table."""

from __future__ import annotations

import numpy as np

from privsynth.records.conform import Records


def n_units(records: Records) -> int:
    """Return the number of persons, or of rows without a person column.

    Privacy:
        Not private: an exact count.
    """
    return len(records.frame) if records.persons is None else int(records.persons.max(initial=-1)) + 1


def unit_of_rows(records: Records) -> np.ndarray:
    """Return the unit of each row, ``(n_rows,)``: its person, or the row itself without a person column.

    Privacy:
        Not private: which rows belong together.
    """
    return np.arange(len(records.frame)) if records.persons is None else records.persons


def some_units(records: Records, n_most: int | None, generator: np.random.Generator) -> Records:
    """Return ``n_most`` units drawn at random, or all of them if there are no more.

    Privacy:
        Not private: returns records.
    """
    n_all = n_units(records)
    if n_most is None or n_all <= n_most:
        return records
    return _of_units(records, generator.permutation(n_all)[:n_most])


def halves(records: Records, generator: np.random.Generator) -> tuple[Records, Records]:
    """Split the units at random into two halves; the first has the odd one.

    Privacy:
        Not private: returns records.
    """
    order = generator.permutation(n_units(records))
    half = (len(order) + 1) // 2
    return _of_units(records, order[:half]), _of_units(records, order[half:])


def at_most_rows(records: Records, n_rows: int, generator: np.random.Generator) -> Records:
    """Return about ``n_rows`` rows as whole units drawn at random, or all of them if there are no more.

    Privacy:
        Not private: returns records.
    """
    if len(records.frame) <= n_rows:
        return records
    share = n_rows / len(records.frame)
    return some_units(records, max(1, round(share * n_units(records))), generator)


def _of_units(records: Records, chosen: np.ndarray) -> Records:
    if records.persons is None:
        return Records(records.frame.iloc[np.sort(chosen)].reset_index(drop=True), None)
    kept = np.isin(records.persons, chosen)
    persons = np.unique(records.persons[kept], return_inverse=True)[1]
    return Records(records.frame[kept].reset_index(drop=True), persons)
