"""How strongly columns go together, pair by pair, whatever their types, and how far that is from the source.

Two numbers: Pearson's correlation, in [-1, 1]. Two categories: Cramér's V, in [0, 1]. A number and a
category: the correlation ratio (eta), in [0, 1]. Rows with a missing field are left out of that pair.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.baselines import Baselines, figure_of
from privsynth.metrics.common.estimates import figure, number
from privsynth.records.codes import as_numbers

MAX_COLUMNS = 60
"""Columns beyond which the matrix is not computed: a page cannot show it and pairs grow with the square."""


def association_matrix(table: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """Return the association of every pair of columns, ``(n_columns, n_columns)``; NaN where undefined.

    Undefined are pairs with a constant column, and the diagonal is one.

    Args:
        table: Canonical rows.
        weights: Weight of each row, ``(n_rows,)``.

    Privacy:
        Not private: a function of the rows given.

    Example:
        >>> table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})
        >>> association_matrix(table, np.ones(3)).round(3).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    columns = [as_numbers(table[name]) for name in table.columns]
    is_category = [isinstance(dtype, pd.CategoricalDtype) for dtype in table.dtypes]
    out = np.eye(len(columns))
    for i, j in itertools.combinations(range(len(columns)), 2):
        present = ~(np.isnan(columns[i]) | np.isnan(columns[j]))
        x, y, w = columns[i][present], columns[j][present], weights[present]
        if is_category[i] and is_category[j]:
            value = cramers_v(x, y, w)
        elif is_category[i] or is_category[j]:
            value = correlation_ratio(*((x, y) if is_category[i] else (y, x)), w)
        else:
            value = pearson(x, y, w)
        out[i, j] = out[j, i] = value
    return out


def pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted correlation of two numbers; NaN if one is constant."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    return float(
        np.clip((weights * x * y).sum() / _root((weights * x * x).sum(), (weights * y * y).sum()), -1, 1)
    )


def cramers_v(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return Cramér's V of two columns of codes; NaN if one is constant.

    References:
        Cramér, "Mathematical Methods of Statistics", 1946, chapter 21.
    """
    (xs, x), (ys, y) = np.unique(x, return_inverse=True), np.unique(y, return_inverse=True)
    if min(len(xs), len(ys)) < 2:
        return np.nan
    joint = np.bincount(x * len(ys) + y, weights, len(xs) * len(ys)).reshape(len(xs), len(ys))
    joint = joint / joint.sum()
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return float(np.sqrt(((joint - expected) ** 2 / expected).sum() / (min(joint.shape) - 1)))


def correlation_ratio(codes: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    """Return the share of a number's standard deviation that lies between categories; NaN if it is constant.

    References:
        Fisher, "Statistical Methods for Research Workers", 1925, section 45.
    """
    groups, codes = np.unique(codes, return_inverse=True)
    if len(groups) < 2 or np.ptp(values) == 0:
        return np.nan
    mean = np.average(values, weights=weights)
    in_group = np.bincount(codes, weights)
    means = np.bincount(codes, weights * values) / in_group
    between = (in_group * (means - mean) ** 2).sum()
    return float(np.sqrt(min(1.0, between / (weights * (values - mean) ** 2).sum())))


def compare_associations(baselines: Baselines) -> dict[str, Any] | None:
    """Return both matrices and their mean absolute difference as a figure; None for one column or very many.

    A pair counts where its association is defined in the reference; a judged table in which it is not (a
    column has become constant) is taken to show none.

    Privacy:
        Not private: figures of real records.
    """
    names = list(baselines.reference.columns)
    if not 2 <= len(names) <= MAX_COLUMNS:
        return None
    reference = association_matrix(baselines.reference, baselines.reference_weights)
    judged = baselines.each(lambda table: association_matrix(table, np.ones(len(table))))
    upper = np.triu_indices(len(names), 1)
    counted = ~np.isnan(reference[upper])
    differences = {
        name: np.abs(np.nan_to_num(matrix[upper]) - reference[upper])[counted]
        for name, matrix in judged.items()
    }
    means = {name: float(d.mean()) if len(d) else np.nan for name, d in differences.items()}
    return {
        "columns": names,
        "kinds": {
            "pearson": "two numbers",
            "correlation_ratio": "a number and a category",
            "cramers_v": "two categories",
        },
        "difference": figure_of(means) if counted.any() else figure(None),
        "reference": _listed(reference),
        "synthetic": _listed(judged["synthetic"]),
    }


def _listed(matrix: np.ndarray) -> list[list[float | None]]:
    return [[number(value) for value in row] for row in matrix]


def _root(a: float, b: float) -> float:
    return float(np.sqrt(a) * np.sqrt(b))
