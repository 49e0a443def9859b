"""How the models trained on real and on synthetic rows treat the groups of the holdout, by fairlearn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.downstream import Predictions, Source
from privsynth.metrics.figures import figure, number, percentile_interval
from privsynth.metrics.grouping import Grouping, count_units
from privsynth.metrics.learners import BOOSTING

MIN_SELECTED_UNITS = 20
"""Units of a group in the holdout below which no selection rate is given."""

MIN_CLASS_UNITS = 10
"""Units of one class of a group in the holdout below which no rate among that class is given."""

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")
_SOURCES: tuple[Source, ...] = ("real", "synthetic", "independent")


def model_rates(predictions: Predictions, grouping: Grouping) -> list[dict[str, Any]]:
    """Return for each group the rates of the model trained on real and of that trained on synthetic rows.

    Privacy:
        Not private: rates of real holdout records.
    """
    members = grouping.members(predictions.rows)
    large = _large(predictions, members, len(grouping.groups))
    frames = {source: _by_group(predictions, source, members) for source in ("real", "synthetic")}
    out = []
    for group in range(len(grouping.groups)):
        rates: dict[str, Any] = {
            source: {rate: number(frame.loc[group, rate]) if large[rate][group] else None for rate in RATES}
            for source, frame in frames.items()
        }
        if not all(large[rate][group] for rate in RATES):
            rates["reason"] = (
                f"a selection rate needs {MIN_SELECTED_UNITS} holdout units in the group, "
                f"the other rates {MIN_CLASS_UNITS} of each class"
            )
        out.append(rates)
    return out


def model_differences(predictions: Predictions, grouping: Grouping, draws: np.ndarray) -> dict[str, Any]:
    """Return the demographic parity and the equalised odds difference as figures.

    Only groups large enough are compared. A largest difference is never below zero, so its interval does not
    reach zero either where there is no difference: compare it with the ceiling's.

    Args:
        predictions: Predictions of the holdout; binary target.
        grouping: The groups.
        draws: How often each row is drawn in each bootstrap replicate, ``(n_replicates, n_rows)``.

    Privacy:
        Not private: figures of real holdout records.
    """
    members = grouping.members(predictions.rows)
    large = _large(predictions, members, len(grouping.groups))
    both_classes = large["true_positive_rate"] & large["false_positive_rate"]
    return {
        "demographic_parity_difference": _difference(
            predictions, members, large["selection_rate"], RATES[:1], draws
        ),
        "equalized_odds_difference": _difference(predictions, members, both_classes, RATES[1:], draws),
    }


def _difference(
    predictions: Predictions, members: np.ndarray, used: np.ndarray, rates: tuple[str, ...], draws: np.ndarray
) -> dict[str, Any]:
    """Return the largest gap between two used groups in any of the rates."""
    if used.sum() < 2:
        return {**figure(None), "reason": "fewer than two groups are large enough to be compared"}
    inside = np.isin(members, np.flatnonzero(used))
    point, replicates = {}, {}
    for source in _SOURCES:
        frame = _by_group(predictions, source, np.where(inside, members, -1))
        point[source] = float((frame[list(rates)].max() - frame[list(rates)].min()).max())
        replicates[source] = _bootstrap(predictions, source, members, used, rates, draws)
    out = figure(
        point["synthetic"],
        interval=percentile_interval(replicates["synthetic"]),
        ceiling=point["real"],
        floor=point["independent"],
    )
    out["ceiling_interval"] = percentile_interval(replicates["real"])
    out["excess"] = figure(
        point["synthetic"] - point["real"],
        interval=percentile_interval(replicates["synthetic"] - replicates["real"]),
    )
    return out


def _by_group(predictions: Predictions, source: Source, members: np.ndarray) -> pd.DataFrame:
    """Return the three rates of each group present, indexed by group; rows with group -1 are left out."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    chosen = members >= 0
    if not chosen.any():
        return pd.DataFrame(columns=list(RATES))
    metrics = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
    }
    weights = {"sample_weight": predictions.weights[chosen]}
    frame = MetricFrame(
        metrics=metrics,
        y_true=predictions.labels[chosen],
        y_pred=_selected(predictions, source)[chosen],
        sensitive_features=pd.Series(members[chosen], name="group"),
        sample_params=dict.fromkeys(metrics, weights),
    )
    return frame.by_group.astype(float)


def _bootstrap(
    predictions: Predictions,
    source: Source,
    members: np.ndarray,
    used: np.ndarray,
    rates: tuple[str, ...],
    draws: np.ndarray,
) -> np.ndarray:
    """Return `_difference`'s value in each replicate; NaN where a group lost all its rows."""
    selected = _selected(predictions, source)
    among = {
        "selection_rate": np.ones(len(selected), dtype=bool),
        "true_positive_rate": predictions.labels == 1,
        "false_positive_rate": predictions.labels == 0,
    }
    largest = np.zeros(len(draws))
    for rate in rates:
        by_group = []
        for group in np.flatnonzero(used):
            rows = (members == group) & among[rate]
            weights = draws[:, rows] * predictions.weights[rows]
            total = weights.sum(axis=1)
            hits = weights @ selected[rows].astype(np.float64)
            by_group.append(np.divide(hits, total, out=np.full(len(draws), np.nan), where=total > 0))
        largest = np.maximum(largest, np.ptp(np.array(by_group), axis=0))
    return largest


def _selected(predictions: Predictions, source: Source) -> np.ndarray:
    return (predictions.of[BOOSTING, source][:, 1] >= 0.5).astype(np.int64)


def _large(predictions: Predictions, members: np.ndarray, n_groups: int) -> dict[str, np.ndarray]:
    """Return for each rate which groups hold units enough for it."""

    def units_with(chosen: np.ndarray) -> np.ndarray:
        return count_units(np.where(chosen, members, -1), predictions.units, n_groups)

    return {
        "selection_rate": units_with(members >= 0) >= MIN_SELECTED_UNITS,
        "true_positive_rate": units_with(predictions.labels == 1) >= MIN_CLASS_UNITS,
        "false_positive_rate": units_with(predictions.labels == 0) >= MIN_CLASS_UNITS,
    }
