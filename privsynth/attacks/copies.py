"""Copies of records among the synthetic rows: a diagnostic. That there are none proves nothing.

Rows may equal a record by chance, so members are held against outsiders here too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.attacks.features import FeatureSpace
from privsynth.attacks.neighbours import nearest
from privsynth.attacks.overlap import row_keys

NEAR = 0.02  # as an attack measures distance: equal categories, numbers within about 2 % of their range


def copied_exactly(targets: pd.DataFrame, synthetic: pd.DataFrame) -> np.ndarray:
    """Return which rows stand among the synthetic rows as they are, ``(n_targets,)`` bool.

    Privacy:
        Not private: compares with real records.
    """
    return np.isin(row_keys(targets), row_keys(synthetic))


def copied_nearly(targets: pd.DataFrame, synthetic: pd.DataFrame) -> np.ndarray:
    """Return which rows have a synthetic row within `NEAR`, exact copies included, ``(n_targets,)`` bool.

    Privacy:
        Not private: compares with real records.
    """
    space = FeatureSpace.fit([synthetic])
    return nearest(space.place(targets), space.place(synthetic), 1).distance[:, 0] <= NEAR
