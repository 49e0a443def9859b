"""Would an analyst who holds synthetic rows alone choose the model that is best on real records?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from privsynth.metrics.common.estimates import figure, not_assessed, number, percentile_interval
from privsynth.metrics.common.scores import SCORES, score
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.common.units import n_units, unit_of_rows
from privsynth.metrics.utility.downstream import Predictions, train

TESTED_SHARE = 0.25
"""Share of the synthetic rows on which the analyst tests."""

MIN_ROWS = 50
TOO_FEW = f"needs two models and {MIN_ROWS} synthetic rows to test on"


def compare_rankings(
    tables: Tables, predictions: Predictions, draws: np.ndarray, *, random_state: int = 0
) -> dict[str, Any]:
    """Rank the models by synthetic rows alone and by real ones, and compare.

    The analyst trains each model on three quarters of the synthetic rows and tests it on the rest; the truth
    is each model trained on real rows and tested on the holdout. ``agreement`` is the share of pairs of
    models that both put in the same order (1 = all, 0.5 = by chance), its interval over the holdout's units;
    ``regret`` is what the analyst's choice loses on real rows against the best model.

    Privacy:
        Not private: figures of real records.

    References:
        Jordon, Yoon and van der Schaar, "Measuring the quality of Synthetic data for use in competitions",
        2018 (synthetic ranking agreement).
    """
    target, main = predictions.target, SCORES[predictions.target.task][0]
    generator = np.random.default_rng(random_state)
    order, n_tested = _tested_first(tables, generator)
    if n_tested < MIN_ROWS or len(predictions.models) < 2:
        return not_assessed(TOO_FEW)
    shuffled, weights_of = tables.synthetic.frame.iloc[order], tables.synthetic_weights[order]
    tested, learnt = shuffled.iloc[:n_tested], shuffled.iloc[n_tested:]
    known, labels = target.known_labels(tested)
    tested, weights_tested = tested[known].reset_index(drop=True), weights_of[:n_tested][known]
    alone, real, replicates = [], [], []
    weights = np.vstack([predictions.weights, predictions.weights * draws])
    for name in predictions.models:
        learner = train(name, learnt.reset_index(drop=True), weights_of[n_tested:], target, seed=random_state)
        alone.append(score(main, labels, learner(tested), weights_tested[None, :])[0])
        truth = score(main, predictions.labels, predictions.of[name, "real"], weights)
        real.append(truth[0])
        replicates.append(truth[1:])
    if np.isnan(alone).any() or np.isnan(real).any():
        return not_assessed("a model has no score: the target is constant among the tested rows")
    chosen, best = int(np.argmax(alone)), int(np.argmax(real))
    return {
        "status": "assessed",
        "score": main,
        "agreement": figure(
            agreement(np.array(alone), np.array(real)[:, None])[0],
            interval=percentile_interval(agreement(np.array(alone), np.array(replicates))),
            floor=0.5,
            ceiling=1.0,
        ),
        "chosen": predictions.models[chosen],
        "best": predictions.models[best],
        "regret": number(real[best] - real[chosen]),
        "models": [
            {"model": name, "synthetic_alone": number(a), "real": number(r)}
            for name, a, r in zip(predictions.models, alone, real, strict=True)
        ],
    }


def _tested_first(tables: Tables, generator: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return synthetic rows in random order, those to test on first, and their number; no person is cut."""
    units = unit_of_rows(tables.synthetic)
    place = generator.permutation(n_units(tables.synthetic))
    n_tested = int(TESTED_SHARE * len(place))
    if tables.synthetic.persons is None:
        return place, n_tested
    rank = np.argsort(place)[units]
    return np.argsort(rank, kind="stable"), int((rank < n_tested).sum())


def agreement(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the share of pairs of models that two rankings order alike, ties on one side counting half.

    Args:
        a: Score of each model, ``(n_models,)``.
        b: Scores in each replicate, ``(n_models, n_replicates)``.

    Example:
        >>> agreement(np.array([1.0, 2.0, 3.0]), np.array([[1.0], [3.0], [2.0]])).tolist()
        [0.6666666666666666]
    """
    alike = [
        (1 + np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])) / 2
        for i, j in itertools.combinations(range(len(a)), 2)
    ]
    return np.asarray(np.mean(alike, axis=0))
