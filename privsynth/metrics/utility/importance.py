"""Does a model trained on synthetic rows lean on the same columns as one trained on real rows?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from privsynth.metrics.common.estimates import figure, not_assessed, number
from privsynth.metrics.common.learners import Learner
from privsynth.metrics.common.scores import SCORES, score
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.common.units import unit_of_rows
from privsynth.metrics.utility.downstream import Predictions, train

N_REPEATS = 3
MIN_COLUMNS = 3
TOO_FEW = f"needs {MIN_COLUMNS} columns besides the target"


def compare_importances(tables: Tables, predictions: Predictions, *, random_state: int = 0) -> dict[str, Any]:
    """Compare permutation importances on the holdout of boosting trained on synthetic and on real rows.

    The importance of a column is by how much the main score falls when the column is shuffled among the
    holdout rows. ``agreement`` is Spearman's rank correlation; its ceiling compares two models trained on one
    half of the real units each, so that it is what half as many real rows reach.

    Privacy:
        Not private: figures of real records.

    References:
        Breiman, "Random Forests", Machine Learning 2001, section 10; Fisher, Rudin and Dominici, JMLR 2019.
    """
    target, name = predictions.target, predictions.models[0]
    columns = [column for column in predictions.rows.columns if column != target.name]
    if len(columns) < MIN_COLUMNS:
        return not_assessed(TOO_FEW)
    generator = np.random.default_rng(random_state)
    units = unit_of_rows(tables.real)
    in_first = (generator.permutation(int(units.max()) + 1) % 2 == 0)[units]
    shuffles = [generator.permutation(len(predictions.rows)) for _ in range(N_REPEATS)]
    sides: dict[str, Learner] = {
        source: predictions.learners[name, source] for source in ("real", "synthetic")
    }
    for half, chosen in (("first", in_first), ("second", ~in_first)):
        rows, weights = tables.real.frame[chosen].reset_index(drop=True), tables.real_weights[chosen]
        sides[half] = train(name, rows, weights, target, seed=random_state)
    found = {
        side: np.array([_importance(learner, predictions, column, shuffles) for column in columns])
        for side, learner in sides.items()
    }
    order = np.argsort(-found["real"])
    return {
        "status": "assessed",
        "model": name,
        "score": SCORES[target.task][0],
        "agreement": figure(
            _correlation(found["synthetic"], found["real"]),
            ceiling=_correlation(found["first"], found["second"]),
            floor=0.0,
        ),
        "columns": [
            {
                "column": columns[i],
                "real": number(found["real"][i]),
                "synthetic": number(found["synthetic"][i]),
            }
            for i in order
        ],
    }


def _importance(learner: Learner, predictions: Predictions, column: str, shuffles: list[np.ndarray]) -> float:
    main, weights = SCORES[predictions.target.task][0], predictions.weights[None, :]
    intact = score(main, predictions.labels, learner(predictions.rows), weights)[0]
    values = predictions.rows[column]
    spoilt = [
        score(
            main,
            predictions.labels,
            learner(predictions.rows.assign(**{column: values.array[order]})),
            weights,
        )[0]
        for order in shuffles
    ]
    return float(intact - np.mean(spoilt))


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return number(spearmanr(a, b).statistic)
