"""Utility: does a model trained on synthetic rows predict real records as one trained on real rows does?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from privsynth.io.source import Table
from privsynth.metrics.common.balanced import Sampler
from privsynth.metrics.common.estimates import figure, not_assessed, number, percentile_interval
from privsynth.metrics.common.scores import LOWER_IS_BETTER, SCORES, score
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.utility.coefficients import compare_coefficients
from privsynth.metrics.utility.downstream import (
    DirectModel,
    Predictions,
    Source,
    predict_holdout,
    target_of,
    unit_bootstrap,
)
from privsynth.metrics.utility.dp_linear import can_train_directly, train_directly
from privsynth.metrics.utility.importance import compare_importances
from privsynth.metrics.utility.ranking import compare_rankings
from privsynth.schema import Schema

N_BOOTSTRAP = 200
NO_TARGET = "no target column: give a column the role 'target' in the schema, or name one as target"
NO_HOLDOUT = "no holdout table: give rows of the same source that the generator never saw"
N_DIRECT = 3
"""Times that a model is trained directly, each with noise of its own."""

NO_DIRECT = (
    "no (epsilon, delta) is known to train a model under; where one task is all that is wanted, such a model "
    "is the thing to beat"
)
NO_PUBLIC_FEATURES = "the schema declares no public bounds or categories to train a private model on"
INTERVALS = (
    "Intervals of scores are percentile bootstraps over the holdout's units: they cover which records were "
    "held out, for these trained models, not another synthetic table or fit. Intervals of coefficients cover "
    "the sampling of the rows that each was computed from; computed from synthetic rows they are too narrow, "
    "and the adjusted ones add the sampling of the real rows but not the generator's noise and misfit."
)


def utility(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    model: Sampler | None = None,
    budget: tuple[float, float] | None = None,
    direct: DirectModel | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Train on synthetic rows, real rows, both, and balanced synthetic rows; test on the real holdout.

    Categorical and boolean targets are scored by ROC AUC (of more than two classes: the mean over each class
    against the rest), balanced accuracy and Brier score, numbers by R², root mean squared and mean absolute
    error. Each figure's value is the model trained on synthetic rows, its ceiling the one trained on real
    rows. Its floor is all that independent columns can teach: the same prediction for every row.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw; needed.
        target: Column to predict; the schema's if None.
        groups: Columns whose groups the balanced rows are balanced over; the schema's if None.
        model: Draws balanced rows to train on, such as the fitted synthesizer; without it synthetic rows are
            weighted.
        budget: (epsilon, delta) of the generator: a linear model is trained directly under it, to print
            beside the others (see `privsynth.metrics.utility.dp_linear`).
        direct: Trains another such model in its place.
        n_bootstrap: Replicates behind each interval, which are drawn over the holdout's persons or rows.
        random_state: Seed of learners and bootstrap.

    Returns:
        ``models``: name to score to a figure, with ``ceiling_interval``, ``gap`` (ceiling minus value, an
        interval of its own), ``augmented`` and ``balanced`` (the same score of models trained on real and
        synthetic rows together, and on balanced synthetic rows, ``balanced_rows`` being ``drawn`` by the
        model, ``weighted`` or None where there are none); ``ranking``, ``importance``,
        ``coefficients``, ``direct``; ``intervals``, which says what they cover. Or a section
        ``not_assessed``.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(
        real,
        synthetic,
        schema=schema,
        holdout=holdout,
        model=model,
        target=target,
        groups=groups,
        random_state=random_state,
    )
    return assess_utility(
        tables, budget=budget, direct=direct, n_bootstrap=n_bootstrap, random_state=random_state
    )


def assess_utility(
    tables: Tables,
    predictions: Predictions | None = None,
    *,
    budget: tuple[float, float] | None = None,
    direct: DirectModel | None = None,
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
    draws = unit_bootstrap(predictions.units, n_bootstrap, np.random.default_rng(random_state))
    scores = SCORES[target.task]
    models = {
        model: {name: score_figure(predictions, model, name, draws) for name in scores}
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
        "balanced_rows": None
        if "balanced" not in predictions.sources
        else "weighted"
        if tables.balanced is None
        else "drawn",
        "direct": _direct(tables, predictions, budget, direct, draws, random_state),
        "ranking": compare_rankings(tables, predictions, draws, random_state=random_state),
        "importance": compare_importances(tables, predictions, random_state=random_state),
        "coefficients": compare_coefficients(tables, target),
        "intervals": INTERVALS,
    }


def score_figure(predictions: Predictions, model: str, name: str, draws: np.ndarray) -> dict[str, Any]:
    """Return one model's score by what it was trained on, with bootstrap intervals.

    Privacy:
        Not private: figures of real records.
    """
    weights = np.vstack([predictions.weights, predictions.weights * draws])

    def scored(source: Source) -> np.ndarray | None:
        predicted = predictions.of.get((model, source))
        return None if predicted is None else score(name, predictions.labels, predicted, weights)

    real, synthetic, constant = scored("real"), scored("synthetic"), scored("independent")
    assert real is not None
    assert synthetic is not None
    assert constant is not None
    out = figure(
        synthetic[0], interval=percentile_interval(synthetic[1:]), ceiling=real[0], floor=constant[0]
    )
    out["ceiling_interval"] = percentile_interval(real[1:])
    lost = synthetic - real if name in LOWER_IS_BETTER else real - synthetic
    out["gap"] = figure(lost[0], interval=percentile_interval(lost[1:]))
    out["lower_is_better"] = name in LOWER_IS_BETTER
    others: tuple[Source, ...] = ("augmented", "balanced")
    for source in others:
        values = scored(source)
        if values is not None:
            out[source] = figure(values[0], interval=percentile_interval(values[1:]))
    return out


def _direct(
    tables: Tables,
    predictions: Predictions,
    budget: tuple[float, float] | None,
    direct: DirectModel | None,
    draws: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Score the caller's model, or the mean score of `N_DIRECT` linear ones, each with noise of its own."""
    target, rows = predictions.target, predictions.rows
    if direct is not None:
        given = direct(tables.real.frame, target.name, rows.drop(columns=target.name))
        told, trained = "the caller's", [np.asarray(given, dtype=np.float64)]
    elif budget is None:
        return not_assessed(NO_DIRECT)
    elif not can_train_directly(tables, target):
        return not_assessed(NO_PUBLIC_FEATURES)
    else:
        generator = np.random.default_rng(seed)
        told = "linear, by noisy gradient descent"
        trained = [
            train_directly(tables, target, rows, epsilon=budget[0], delta=budget[1], generator=generator)
            for _ in range(N_DIRECT)
        ]
    weights = np.vstack([predictions.weights, predictions.weights * draws])
    scores: dict[str, Any] = {}
    for name in SCORES[target.task]:
        values = np.array([score(name, predictions.labels, predicted, weights) for predicted in trained])
        mean = values.mean(axis=0)
        scores[name] = {
            **figure(mean[0], interval=percentile_interval(mean[1:])),
            "over_runs": [number(values[:, 0].min()), number(values[:, 0].max())],
        }
    return {"status": "assessed", "model": told, "n_runs": len(trained), "scores": scores}
