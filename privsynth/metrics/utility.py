"""Utility: does a model trained on synthetic rows predict real records as one trained on real rows does?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.metrics import r2_score, roc_auc_score, root_mean_squared_error

from privsynth.metrics.downstream import (
    SOURCES,
    Predictions,
    Target,
    predict_holdout,
    target_of,
    unit_bootstrap,
)
from privsynth.metrics.figures import figure, not_assessed, percentile_interval
from privsynth.metrics.tables import Table, Tables, load_tables
from privsynth.schema import Schema

N_BOOTSTRAP = 200
NO_TARGET = "no target column: give a column the role 'target' in the schema, or name one as target"
NO_HOLDOUT = "no holdout table: give rows of the same source that the generator never saw"


def utility(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    target: str | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Train on synthetic and on real rows, test both on the real holdout.

    Categorical and boolean targets are scored by ROC AUC (of more than two classes: the mean over each class
    against the rest), numbers by R² and root mean squared error. Each figure's value is the model trained on
    synthetic rows, its ceiling the one trained on real rows. Its floor is all that independent columns can
    teach: the same prediction for every row.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw; needed.
        target: Column to predict; the schema's if None.
        n_bootstrap: Replicates behind each interval, which are drawn over the holdout's persons or rows.
        random_state: Seed of learners and bootstrap.

    Returns:
        ``models``: name to score to a figure, with ``ceiling_interval`` and ``gap`` (ceiling minus value, an
        interval of its own); or a section ``not_assessed``.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout, target=target)
    return assess_utility(tables, n_bootstrap=n_bootstrap, random_state=random_state)


def assess_utility(
    tables: Tables,
    predictions: Predictions | None = None,
    *,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `utility`. Predictions are made unless given.

    Privacy:
        Not private: figures of real records.
    """
    target = target_of(tables)
    if target is None:
        return not_assessed(NO_TARGET)
    if tables.holdout is None:
        return not_assessed(NO_HOLDOUT)
    if predictions is None:
        predictions = predict_holdout(tables, target, random_state=random_state)
    generator = np.random.default_rng(random_state)
    draws = unit_bootstrap(predictions.units, n_bootstrap, generator)
    scores = ("r2", "rmse") if target.task == "regression" else ("auc",)
    models = {
        model: {score: _figure(predictions, model, score, draws) for score in scores}
        for model in predictions.models
    }
    if all(models[model][scores[0]]["ceiling"] is None for model in models):
        return not_assessed(f"the holdout has too few known values of {target.name!r} to score a model")
    return {
        "status": "assessed",
        "target": target.name,
        "task": target.task,
        "positive": target.positive,
        "n_holdout_rows": len(predictions.rows),
        "models": models,
    }


def _figure(predictions: Predictions, model: str, score: str, draws: np.ndarray) -> dict[str, Any]:
    point = {source: _score(predictions, model, source, score) for source in SOURCES}
    replicates = {
        source: np.array([_score(predictions, model, source, score, draw) for draw in draws])
        for source in ("real", "synthetic")
    }
    out = figure(
        point["synthetic"],
        interval=percentile_interval(replicates["synthetic"]),
        ceiling=point["real"],
        floor=point["independent"],
    )
    out["ceiling_interval"] = percentile_interval(replicates["real"])
    out["gap"] = figure(
        point["real"] - point["synthetic"],
        interval=percentile_interval(replicates["real"] - replicates["synthetic"]),
    )
    return out


def _score(
    predictions: Predictions, model: str, source: Any, score: str, draw: np.ndarray | None = None
) -> float:
    """Return one score under the row weights, times how often a replicate drew the row; NaN if undefined."""
    predicted = predictions.of[model, source]
    weights = predictions.weights if draw is None else predictions.weights * draw
    drawn = weights > 0
    labels, predicted, weights = predictions.labels[drawn], predicted[drawn], weights[drawn]
    if len(labels) < 2 or np.isnan(predicted).any():
        return math.nan
    if score == "r2":
        constant = np.ptp(labels) == 0
        return math.nan if constant else float(r2_score(labels, predicted, sample_weight=weights))
    if score == "rmse":
        return float(root_mean_squared_error(labels, predicted, sample_weight=weights))
    return _mean_auc(predictions.target, labels, predicted, weights)


def _mean_auc(target: Target, labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> float:
    """Return the AUC of the positive class, or the mean over all classes that the rows hold."""
    classes = [1] if target.task == "binary" else range(len(target.classes))
    areas = []
    for code in classes:
        is_class = labels == code
        if is_class.any() and not is_class.all():
            areas.append(roc_auc_score(is_class, predicted[:, code], sample_weight=weights))
    return float(np.mean(areas)) if areas else math.nan
