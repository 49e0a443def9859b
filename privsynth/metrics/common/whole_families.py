"""Persons of linked tables as rows: everything that stands in any table about a person, side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.metrics.common.families import Families
from privsynth.metrics.common.histories import Histories
from privsynth.metrics.common.whole_histories import MAX_LAID_OUT, whole_histories
from privsynth.records.codes import as_numbers
from privsynth.schema.sequences import N_RECORDS


def whole_families(families: Families) -> pd.DataFrame:
    """Return one row a person, made of the person's rows in all tables.

    Rows of a table stand in their order, and rows that tie, or have none, by what they hold: equal families
    make equal rows.

    Returns:
        The columns of the root; of each other table, as ``TABLE: ...``, what
        `privsynth.metrics.common.whole_histories` says of all rows of the person there, missing without one,
        ``(n_persons, n_features)``, canonical.

    Privacy:
        Not private: returns records.
    """
    features = dict(families.frames[families.schema.person].items())
    most_laid_out = MAX_LAID_OUT // max(len(families.parents), 1)
    for name in families.parents:
        of_table = whole_histories(_rows_of_persons(families, name), max_laid_out=most_laid_out)
        of_table.index = pd.Index(np.unique(families.persons(name)))
        of_all = of_table.reindex(range(families.n_persons))
        of_all[N_RECORDS] = of_all[N_RECORDS].fillna(0.0)
        features |= {f"{name}: {feature}": of_all[feature] for feature in of_all}
    return pd.DataFrame(features)


def _rows_of_persons(families: Families, name: str) -> Histories:
    """Return the rows of a table, one person after the other."""
    schema, frame = families.schema.tables[name].schema, families.frames[name]
    persons = families.persons(name)
    own = [column.name for column in schema.modelled if column.name != schema.order]
    by = [*own[::-1], *([] if schema.order is None else [schema.order])]
    rows = np.lexsort([*(as_numbers(frame[column]) for column in by), persons])
    return Histories(
        frame.iloc[rows].reset_index(drop=True),
        np.unique(persons[rows], return_inverse=True)[1],
        schema.over(schema.columns.values(), max_records_per_person=families.schema.max_records_of(name)),
    )
