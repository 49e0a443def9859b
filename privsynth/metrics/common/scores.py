"""Scores of predictions, for many sets of row weights at once: the point estimate and its bootstrap."""

from __future__ import annotations

from typing import Literal

import numpy as np

Task = Literal["binary", "multiclass", "regression"]

SCORES: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "balanced_accuracy", "brier"),
    "multiclass": ("auc", "balanced_accuracy", "brier"),
    "regression": ("r2", "rmse", "mae"),
}
"""Names of the scores, the main one first."""

LOWER_IS_BETTER = frozenset({"brier", "rmse", "mae"})


def score(name: str, labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return one score under each set of weights; NaN where undefined.

    Args:
        name: ``auc``: area under the ROC curve, of the second of two classes or the mean of each class
            against the rest. ``accuracy``: share of rows whose most probable class is the true one.
            ``balanced_accuracy``: mean share of each class that is predicted as such (the
            most probable class). ``brier``: half the squared error of the probabilities, summed over classes.
            ``r2``, ``rmse``, ``mae``: of numbers.
        labels: True class codes or numbers, ``(n_rows,)``.
        predicted: Probabilities ``(n_rows, n_classes)``, or numbers ``(n_rows,)``.
        weights: Weights of the rows, ``(n_sets, n_rows)``, >= 0; a row of weight zero does not count.

    Returns:
        ``(n_sets,)`` float64.

    Privacy:
        Not private: a function of real labels, if the caller's are.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if len(labels) < 2 or np.isnan(predicted).any():
        return np.full(len(weights), np.nan)
    if name == "auc":
        return _mean_auc(labels, predicted, weights)
    if name == "accuracy":
        return mean_of((predicted.argmax(axis=1) == labels).astype(np.float64), weights)
    if name == "balanced_accuracy":
        hit = (predicted.argmax(axis=1) == labels).astype(np.float64)
        rates = [mean_of(hit, weights * (labels == code)) for code in range(predicted.shape[1])]
        return _nanmean(np.array(rates))
    if name == "brier":
        truth = np.eye(predicted.shape[1])[labels]
        return mean_of(((predicted - truth) ** 2).sum(axis=1) / 2, weights)
    centre = labels.mean()  # squares of numbers far from zero would lose the digits that differ
    labels, predicted = labels - centre, predicted - centre
    if name == "mae":
        return mean_of(np.abs(predicted - labels), weights)
    squared = mean_of((predicted - labels) ** 2, weights)
    if name == "rmse":
        return np.sqrt(squared)
    mean = mean_of(labels, weights)
    variance = mean_of(labels**2, weights) - mean**2
    spread = np.abs(variance) > 1e-12 * np.maximum(mean**2, 1e-300)
    return np.where(spread, 1 - squared / np.where(spread, variance, 1.0), np.nan)


def weighted_auc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted chance that a positive row scores above a negative one, ties counting half.

    Args:
        is_positive: ``(n_rows,)`` bool.
        scores: ``(n_rows,)``, higher = more likely positive.
        weights: ``(n_sets, n_rows)``.

    Returns:
        ``(n_sets,)``; NaN where a side has no weight.

    Privacy:
        Not private: a function of real labels, if the caller's are.

    Example:
        >>> weighted_auc(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]), np.ones((1, 3))).tolist()
        [0.5]
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sorted_weights = weights[:, order]
    positive = np.add.reduceat(sorted_weights * is_positive[order], starts, axis=1)
    negative = np.add.reduceat(sorted_weights * ~is_positive[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    total = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.divide(won, total, out=np.full(len(weights), np.nan), where=total > 0)


def mean_of(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of the values under each set of weights, NaN without weight."""
    total = weights.sum(axis=1)
    return np.divide(weights @ values, total, out=np.full(len(weights), np.nan), where=total > 0)


def _mean_auc(labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    codes = [1] if predicted.shape[1] == 2 else range(predicted.shape[1])
    return _nanmean(np.array([weighted_auc(labels == code, predicted[:, code], weights) for code in codes]))


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is defined."""
    defined = ~np.isnan(values)
    total, n_defined = np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0)
    return np.divide(total, n_defined, out=np.full(values.shape[1], np.nan), where=n_defined > 0)
