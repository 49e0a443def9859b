"""Are members and holdout drawn from one source? If not, a classifier tells them apart without any leak."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from privsynth.attacks.intervals import auc_interval, auc_p_value
from privsynth.attacks.targets import one_row_each
from privsynth.records.codes import Discretiser
from privsynth.records.conform import Records

MAX_ROWS = 10_000  # of each table
MIN_ROWS = 20
ALPHA = 1e-3  # chance of calling two draws of one source different


def source_difference(real: Records, holdout: Records, generator: np.random.Generator) -> dict[str, Any]:
    """Return how well a classifier tells the two tables apart, on rows that it was not trained on.

    One random row of each unit is used, so that rows are independent.

    Returns:
        ``auc`` (0.5 is one source), ``auc_interval``, ``p_value``, and whether it ``differs`` at `ALPHA`;
        undefined figures are None for tables that are too small.

    Privacy:
        Not private: compares real records.

    References:
        Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
    """
    frames = [one_row_each(table, generator, MAX_ROWS) for table in (real, holdout)]
    discretiser = Discretiser.of_quantiles([table.frame for table in (real, holdout)])
    n_rows = [len(frame) for frame in frames]
    if min(n_rows) < MIN_ROWS:
        return {"auc": None, "auc_interval": None, "p_value": None, "differs": False}
    train, test = zip(
        *(np.array_split(discretiser.matrix(frame).astype(np.float64), 2) for frame in frames), strict=True
    )
    labels = np.repeat([1, 0], [len(part) for part in train])
    weights = np.repeat([1 / len(part) for part in train], [len(part) for part in train]) * len(labels) / 2
    model = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=0)
    model.fit(np.concatenate(train), labels, sample_weight=weights)
    scores = [model.decision_function(part) for part in test]
    estimate = auc_interval(scores[0], scores[1])
    p_value = auc_p_value(estimate.auc, len(scores[0]), len(scores[1]))
    return {
        "auc": estimate.auc,
        "auc_interval": [estimate.low, estimate.high],
        "p_value": p_value,
        "differs": bool(p_value < ALPHA and estimate.auc > 0.5),
    }
