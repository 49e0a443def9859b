"""Models that an analyst would train on a table, by name; they see canonical columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from privsynth.records.codes import as_numbers as column_as_numbers

BOOSTING = "hist_gradient_boosting"
FOREST, TREE, NAIVE_BAYES = "random_forest", "decision_tree", "naive_bayes"
CLASSIFIERS = (BOOSTING, "logistic_regression", FOREST, TREE, NAIVE_BAYES)
REGRESSORS = (BOOSTING, "ridge", FOREST, TREE)
N_QUICK = 2
"""How many of either a quick audit trains, the first ones."""

_TREES_OF_CODES = (BOOSTING, FOREST, TREE)  # take categories by their code, and empty fields as they are
_FOREST = {"n_estimators": 50, "min_samples_leaf": 5}
_TREE = {"max_depth": 8, "min_samples_leaf": 20}
_MAX_BOOSTING_CATEGORIES = 255  # the limit of scikit-learn; a wider column is taken by its code
_MIN_KNOWN = 20  # fewer known values than this are hardly any
_SHRINKAGE = 1.0  # without it, boosting diverges on classes that are separated perfectly

Learner = Callable[[pd.DataFrame], np.ndarray]
"""Gives predictions for canonical feature columns: (n, n_classes) probabilities, or (n,) numbers."""


def train_classifier(
    name: str, features: pd.DataFrame, labels: np.ndarray, weights: np.ndarray, *, n_classes: int, seed: int
) -> Learner:
    """Train a classifier; one class alone gives a constant prediction.

    Args:
        name: One of `CLASSIFIERS`.
        features: Canonical columns, ``(n, n_features)``.
        labels: Class of each row, codes in ``[0, n_classes)``.
        weights: Weight of each row.
        n_classes: Number of classes of the schema; those never seen have probability zero.
        seed: Seed of the learner.

    Privacy:
        Not private: fits the rows given.
    """
    seen = np.unique(labels)
    fill = _fill_of_sparse(name, features)
    model = None
    if len(seen) > 1:
        if name == BOOSTING:
            is_splittable = np.unique(labels, return_counts=True)[1].min() > 1  # into training and validation
            final: Any = HistGradientBoostingClassifier(
                categorical_features=_narrow(features),
                early_stopping="auto" if is_splittable else False,
                l2_regularization=_SHRINKAGE,
                random_state=seed,
            )
        elif name == FOREST:
            final = RandomForestClassifier(**_FOREST, random_state=seed)
        elif name == TREE:
            final = DecisionTreeClassifier(**_TREE, random_state=seed)
        elif name == NAIVE_BAYES:
            final = GaussianNB()
        else:
            final = LogisticRegression(max_iter=1000)
        model = _fitted(name, final, features, labels, weights, fill)

    def predict(rows: pd.DataFrame) -> np.ndarray:
        probabilities = np.zeros((len(rows), n_classes))
        probabilities[:, seen] = 1.0 if model is None else model.predict_proba(as_numbers(rows).fillna(fill))
        return probabilities

    return predict


def train_regressor(
    name: str, features: pd.DataFrame, labels: np.ndarray, weights: np.ndarray, *, seed: int
) -> Learner:
    """Train a regression model; arguments as for `train_classifier`.

    Privacy:
        Not private: fits the rows given.
    """
    final: Any = Ridge()
    if name == BOOSTING:
        final = HistGradientBoostingRegressor(
            categorical_features=_narrow(features), l2_regularization=_SHRINKAGE, random_state=seed
        )
    elif name == FOREST:
        final = RandomForestRegressor(**_FOREST, random_state=seed)
    elif name == TREE:
        final = DecisionTreeRegressor(**_TREE, random_state=seed)
    fill = _fill_of_sparse(name, features)
    model = _fitted(name, final, features, labels, weights, fill)
    return lambda rows: np.asarray(model.predict(as_numbers(rows).fillna(fill)))


def as_numbers(features: pd.DataFrame) -> pd.DataFrame:
    """Return the columns as float64: categories by their code, NaN where missing."""
    return pd.DataFrame({name: column_as_numbers(features[name]) for name in features.columns})


def _fill_of_sparse(name: str, features: pd.DataFrame) -> dict[str, float]:
    """Return what stands for missing in numbers of which hardly any is known: a number below all of them.

    Trees cut there as they would between known and missing; the bins of boosting need a known value in each
    part of the rows that it sets aside.
    """
    if name not in _TREES_OF_CODES:
        return {}
    numbers = as_numbers(features.drop(columns=_narrow(features)))
    sparse = numbers.loc[:, numbers.notna().sum() < _MIN_KNOWN]
    return (sparse.min() - 1.0).fillna(0.0).to_dict()


def _fitted(
    name: str,
    final: Any,
    features: pd.DataFrame,
    labels: np.ndarray,
    weights: np.ndarray,
    fill: dict[str, float],
) -> Pipeline:
    steps = (
        [final]
        if name in _TREES_OF_CODES
        else [_linear_features(features, is_sparse=name != NAIVE_BAYES), final]
    )
    model = make_pipeline(*steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a model short of its optimum is still a model
        given = {} if np.ptp(weights) == 0 else {f"{model.steps[-1][0]}__sample_weight": weights}
        model.fit(
            as_numbers(features).fillna(fill), labels, **given
        )  # equal weights only cost time, in binning
    return model


def _linear_features(features: pd.DataFrame, *, is_sparse: bool) -> ColumnTransformer:
    """Scale numbers, spread categories over one axis each; missing numbers get an axis of their own.

    Sparse rows are much faster, but naive Bayes does not take them.
    """
    categorical = _categorical(features)
    numeric = [name for name in features.columns if name not in categorical]
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=is_sparse)
    return ColumnTransformer([("numbers", numbers, numeric), ("categories", one_hot, categorical)])


def _categorical(features: pd.DataFrame) -> list[str]:
    return [name for name in features.columns if isinstance(features[name].dtype, pd.CategoricalDtype)]


def _narrow(features: pd.DataFrame) -> list[str]:
    return [
        name
        for name in _categorical(features)
        if len(features[name].cat.categories) <= _MAX_BOOSTING_CATEGORIES
    ]
