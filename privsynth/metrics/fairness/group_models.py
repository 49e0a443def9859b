"""How models trained on real, on synthetic and on both kinds of rows treat the groups of the holdout.

Rates by group and differences between groups are fairlearn's; their intervals are bootstraps over the
holdout's units, the same draws for every model, so that two models are compared on the same records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.estimates import figure, number, percentile_interval
from privsynth.metrics.common.grouping import Grouping, count_units
from privsynth.metrics.common.scores import mean_of, weighted_auc
from privsynth.metrics.utility.downstream import Predictions, Source

MIN_SELECTED_UNITS = 20
"""Units of a group in the holdout below which no selection rate or accuracy is given."""

MIN_CLASS_UNITS = 10
"""Units of one class of a group in the holdout below which no rate among that class is given."""

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
_ODDS = ("true_positive_rate", "false_positive_rate")
_TRAINED: tuple[Source, ...] = ("real", "synthetic", "augmented", "balanced", "twin")

ByRate = dict[str, np.ndarray]
"""Rate or ``auc`` to (n_groups, 1 + n_replicates) values, the point estimate first or NaN."""

Replicates = dict[tuple[Source, str], np.ndarray]
"""(source, rate or ``auc``) to the same."""


def replicate_rates(predictions: Predictions, grouping: Grouping, draws: np.ndarray) -> Replicates:
    """Return every rate of every group under every model, on the holdout and in each bootstrap replicate.

    Args:
        predictions: Predictions of the holdout; binary target.
        grouping: The groups.
        draws: How often each row is drawn in each bootstrap replicate, ``(n_replicates, n_rows)``.

    Privacy:
        Not private: rates of real holdout records.
    """
    sources = _sources(predictions, with_constant=True)
    found = {s: _replicate(predictions, _probability(predictions, s), grouping, draws) for s in sources}
    return {(source, rate): values for source, rates in found.items() for rate, values in rates.items()}


def replicate_non_private(predictions: Predictions, grouping: Grouping, draws: np.ndarray) -> list[ByRate]:
    """Return the same rates under the models of each fit without privacy, on the same replicates.

    Privacy:
        Not private: rates of real holdout records.
    """
    return [
        _replicate(predictions, predicted[:, 1], grouping, draws) for predicted in predictions.non_private
    ]


def _replicate(
    predictions: Predictions, probability: np.ndarray, grouping: Grouping, draws: np.ndarray
) -> ByRate:
    members = grouping.members(predictions.rows)
    large = _large(predictions, members, len(grouping.groups))
    weights = np.vstack([np.ones(len(predictions.rows)), draws]) * predictions.weights
    is_positive = predictions.labels == 1
    among = {"true_positive_rate": is_positive, "false_positive_rate": ~is_positive}
    selected = (probability >= 0.5).astype(np.float64)
    out: ByRate = {}
    for rate in (*RATES, "auc"):
        values = np.full((len(grouping.groups), len(weights)), np.nan)
        hits = (selected == is_positive).astype(np.float64) if rate == "accuracy" else selected
        for group in np.flatnonzero(large[rate]):
            rows = (members == group) & among.get(rate, True)
            if rate == "auc":
                values[group] = weighted_auc(is_positive[rows], probability[rows], weights[:, rows])
            else:
                values[group] = mean_of(hits[rows], weights[:, rows])
        out[rate] = values
    return out


def rates_of_models(predictions: Predictions, grouping: Grouping) -> dict[Source, pd.DataFrame]:
    """Return fairlearn's rates of each group on the holdout under each model, indexed by group.

    Privacy:
        Not private: rates of real holdout records.
    """
    members = grouping.members(predictions.rows)
    sources = _sources(predictions, with_constant=True)
    return {source: _by_group(predictions, source, members) for source in sources}


def model_rates(
    predictions: Predictions,
    grouping: Grouping,
    frames: dict[Source, pd.DataFrame],
    replicates: Replicates,
) -> list[dict[str, Any]]:
    """Return for each group the rates under each model, and what training on synthetic rows changes.

    Each group has, for every source, the four rates, the ``auc`` and ``equalized_odds_improvement`` (the
    group against all others; 0.5 = as with real rows, above = odds more equal), and ``gaps``: the value under
    the synthetic model minus that under the real one, as figures.

    Privacy:
        Not private: rates of real holdout records.

    References:
        EqualizedOddsImprovement of sdmetrics, here with the boosting of scikit-learn for its classifier.
    """
    members = grouping.members(predictions.rows)
    sources = _sources(predictions)
    improvements = {
        source: _improvements(predictions, source, members, len(grouping.groups)) for source in sources
    }
    out = []
    for group in range(len(grouping.groups)):
        rates: dict[str, Any] = {}
        defined = {rate: bool(np.isfinite(replicates["real", rate][group, 0])) for rate in RATES}
        for source in sources:
            rates[source] = {
                rate: number(frames[source].loc[group, rate]) if defined[rate] else None for rate in RATES
            }
            rates[source]["auc"] = number(replicates[source, "auc"][group, 0])
            rates[source]["equalized_odds_improvement"] = improvements[source][group]
        rates["gaps"] = {
            rate: _change(replicates["real", rate][group], replicates["synthetic", rate][group])
            for rate in (*RATES, "auc")
        }
        if not all(defined.values()):
            rates["reason"] = (
                f"a selection rate needs {MIN_SELECTED_UNITS} holdout units in the group, "
                f"the other rates {MIN_CLASS_UNITS} of each class"
            )
        out.append(rates)
    return out


def model_differences(frames: dict[Source, pd.DataFrame], replicates: Replicates) -> dict[str, Any]:
    """Return the demographic parity and the equalised odds difference as figures.

    Only groups large enough are compared. A largest difference is never below zero, so its interval does not
    reach zero either where there is no difference: compare it with the ceiling's. ``augmented`` and
    ``balanced`` are the same difference under the models trained on real and synthetic rows together, and on
    balanced synthetic rows.

    Privacy:
        Not private: figures of real holdout records.
    """
    return {
        "demographic_parity_difference": _difference(frames, ("selection_rate",), replicates),
        "equalized_odds_difference": _difference(frames, _ODDS, replicates),
    }


def _difference(
    frames: dict[Source, pd.DataFrame], rates: tuple[str, ...], replicates: Replicates
) -> dict[str, Any]:
    """Return the largest gap between two groups in any of the rates."""
    used = np.all([np.isfinite(replicates["real", rate][:, 0]) for rate in rates], axis=0)
    if used.sum() < 2:
        return {**figure(None), "reason": "fewer than two groups are large enough to be compared"}
    point, redrawn = {}, {}
    for source, frame in frames.items():
        compared = frame.loc[np.flatnonzero(used), list(rates)]
        point[source] = float((compared.max() - compared.min()).max())
        redrawn[source] = np.max([np.ptp(replicates[source, rate][used], axis=0) for rate in rates], axis=0)[
            1:
        ]
    out = figure(
        point["synthetic"],
        interval=percentile_interval(redrawn["synthetic"]),
        ceiling=point["real"],
        floor=point["independent"],
    )
    out["ceiling_interval"] = percentile_interval(redrawn["real"])
    out["excess"] = figure(
        point["synthetic"] - point["real"],
        interval=percentile_interval(redrawn["synthetic"] - redrawn["real"]),
    )
    for source in frames:
        if source not in ("real", "synthetic", "independent"):
            out[source] = figure(point[source], interval=percentile_interval(redrawn[source]))
    return out


def _change(real: np.ndarray, synthetic: np.ndarray) -> dict[str, Any]:
    gaps = synthetic - real
    return figure(gaps[0], interval=percentile_interval(gaps[1:]) if np.isfinite(gaps[0]) else None)


def _improvements(
    predictions: Predictions, source: Source, members: np.ndarray, n_groups: int
) -> list[float | None]:
    """Return sdmetrics' EqualizedOddsImprovement of each group against all others."""
    out: list[float | None] = []
    for group in range(n_groups):
        one_or_rest = np.where(members == group, 1, 0)
        large = _large(predictions, one_or_rest, 2)
        if not all(large[rate].all() for rate in _ODDS):
            out.append(None)
            continue
        pair: tuple[Source, Source] = ("real", source)
        gaps = {trained: _odds_gap(predictions, trained, one_or_rest == 1) for trained in pair}
        out.append((gaps["real"] - gaps[source]) / 2 + 0.5)
    return out


def _odds_gap(predictions: Predictions, source: Source, inside: np.ndarray) -> float:
    """Return the larger of the two gaps between a group and all others, in true and false positive rate."""
    selected = _probability(predictions, source) >= 0.5
    gaps = []
    for label in (0, 1):
        sides = [chosen & (predictions.labels == label) for chosen in (inside, ~inside)]
        rates = [np.average(selected[rows], weights=predictions.weights[rows]) for rows in sides]
        gaps.append(abs(rates[0] - rates[1]))
    return float(max(gaps))


def _by_group(predictions: Predictions, source: Source, members: np.ndarray) -> pd.DataFrame:
    """Return the rates of each group present, indexed by group; rows with group -1 are left out."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score

    chosen = members >= 0
    if not chosen.any():
        return pd.DataFrame(columns=list(RATES))
    metrics = dict(
        zip(RATES, (selection_rate, true_positive_rate, false_positive_rate, accuracy_score), strict=True)
    )
    weights = {"sample_weight": predictions.weights[chosen]}
    frame = MetricFrame(
        metrics=metrics,
        y_true=predictions.labels[chosen],
        y_pred=(_probability(predictions, source)[chosen] >= 0.5).astype(np.int64),
        sensitive_features=pd.Series(members[chosen], name="group"),
        sample_params=dict.fromkeys(metrics, weights),
    )
    return frame.by_group.astype(float)


def _sources(predictions: Predictions, *, with_constant: bool = False) -> list[Source]:
    trained = [source for source in _TRAINED if (predictions.models[0], source) in predictions.of]
    return [*trained, "independent"] if with_constant else trained


def _probability(predictions: Predictions, source: Source) -> np.ndarray:
    return predictions.of[predictions.models[0], source][:, 1]


def _large(predictions: Predictions, members: np.ndarray, n_groups: int) -> dict[str, np.ndarray]:
    """Return for each rate which groups hold units enough for it."""

    def units_with(chosen: np.ndarray) -> np.ndarray:
        return count_units(np.where(chosen, members, -1), predictions.units, n_groups)

    everyone = units_with(members >= 0) >= MIN_SELECTED_UNITS
    positive = units_with(predictions.labels == 1) >= MIN_CLASS_UNITS
    negative = units_with(predictions.labels == 0) >= MIN_CLASS_UNITS
    return {
        "selection_rate": everyone,
        "true_positive_rate": positive,
        "false_positive_rate": negative,
        "accuracy": everyone,
        "auc": positive & negative,
    }
