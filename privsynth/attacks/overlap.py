"""Is the holdout really apart from the members? Persons and identical rows that both tables hold."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from privsynth.records.conform import Records

_STANDARD_ERRORS = 5  # excess of identical rows, over chance, at which the holdout is not believed


def too_many_identical_rows(real: Records, holdout: Records) -> bool:
    """Return whether more holdout rows stand in ``real`` than duplicates within ``real`` predict.

    If both tables are draws of one source, a holdout row has a twin in ``real`` as often as a row of
    ``real`` has one among the other rows (of other persons, where the schema names persons). An excess of
    more than five standard errors says that some rows stand in both.

    Privacy:
        Not private: compares real records.
    """
    keys_real, keys_holdout = row_keys(real.frame), row_keys(holdout.frame)
    persons = np.arange(len(keys_real)) if real.persons is None else real.persons
    seen = pd.DataFrame({"key": keys_real, "person": persons})
    n_holders = seen.groupby("key")["person"].nunique()
    n_twins = int((n_holders.loc[keys_real].to_numpy() > 1).sum())
    n_shared = int(np.isin(keys_holdout, keys_real).sum())
    n_real, n_holdout = len(keys_real), len(keys_holdout)
    rate = (n_twins + 1) / (n_real + 2)
    rows_per_unit = n_holdout / (n_holdout if holdout.persons is None else int(holdout.persons.max()) + 1)
    standard_error = math.sqrt(n_holdout * rate * (1 - rate) * (1 + n_holdout / n_real) * rows_per_unit)
    return n_shared - n_holdout * rate > _STANDARD_ERRORS * max(standard_error, 1.0)


def row_keys(frame: pd.DataFrame) -> np.ndarray:
    """Return a 64-bit hash of each row: equal rows of two canonical tables have equal keys.

    Privacy:
        Not private: an encoding of the rows given.
    """
    plain = {}
    for name in frame.columns:
        column = frame[name]
        is_category = isinstance(column.dtype, pd.CategoricalDtype)
        plain[name] = column.cat.codes.astype(np.int64) if is_category else column + 0.0
    return pd.util.hash_pandas_object(pd.DataFrame(plain), index=False).to_numpy()
