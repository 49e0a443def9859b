"""Train on the real and on the synthetic table; predict the target of the holdout.

Utility reads how well the predictions order the holdout, fairness how they treat its groups; both start from
the same fitted models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from privsynth.metrics import learners
from privsynth.metrics.tables import Tables
from privsynth.schema import Category

Task = Literal["binary", "multiclass", "regression"]
Source = Literal["real", "synthetic", "independent"]
SOURCES: tuple[Source, ...] = ("real", "synthetic", "independent")


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        name: Column name.
        task: Two classes, more, or a number.
        classes: The classes in schema order; empty for numbers.
    """

    name: str
    task: Task
    classes: tuple[Category, ...]

    @property
    def positive(self) -> Category | None:
        """The class that rates speak about: the last of two; None otherwise."""
        return self.classes[-1] if self.task == "binary" else None

    def labels(self, table: pd.DataFrame) -> np.ndarray:
        """Return the target as numbers, ``(n_rows,)`` float64: class codes or values, NaN where missing."""
        return learners.as_numbers(table[[self.name]])[self.name].to_numpy()


@dataclass(frozen=True)
class Predictions:
    """Holdout rows whose target is known, and what each model says about them.

    Attributes:
        target: What is predicted.
        rows: The holdout rows, canonical.
        labels: True class code (int64) or value of each row.
        weights: Weight of each row.
        units: Person of each row, or a number of its own, codes.
        of: (model, source) to (n, n_classes) probabilities or (n,) numbers. The source ``independent`` is
            what independent columns can teach: the same prediction for every row, the real table's mean.
    """

    target: Target
    rows: pd.DataFrame
    labels: np.ndarray
    weights: np.ndarray
    units: np.ndarray
    of: dict[tuple[str, Source], np.ndarray]

    @property
    def models(self) -> list[str]:
        """Names of the models, in order."""
        return list(dict.fromkeys(model for model, _ in self.of))


def target_of(tables: Tables) -> Target | None:
    """Return what is to be predicted, None if no target is named.

    Privacy:
        Public, if the target's categories are.
    """
    if tables.target is None:
        return None
    column = tables.schema.columns[tables.target]
    if column.is_numeric:
        return Target(tables.target, "regression", ())
    classes = tuple(tables.real.frame[tables.target].cat.categories)
    return Target(tables.target, "binary" if len(classes) == 2 else "multiclass", classes)


def predict_holdout(tables: Tables, target: Target, *, random_state: int = 0) -> Predictions:
    """Train every model on every source and predict the holdout.

    Args:
        tables: The tables; there is a holdout.
        target: What to predict.
        random_state: Seed of the learners.

    Privacy:
        Not private: models fitted to real records, applied to real records.
    """
    assert tables.holdout is not None, "callers check"
    training: dict[Source, tuple[pd.DataFrame, np.ndarray]] = {
        "real": (tables.real.frame, tables.real_weights),
        "synthetic": (tables.synthetic.frame, np.ones(len(tables.synthetic.frame))),
    }
    truth = target.labels(tables.holdout.frame)
    known = ~np.isnan(truth)
    rows = tables.holdout.frame[known].reset_index(drop=True)
    units = np.arange(len(truth)) if tables.holdout.persons is None else tables.holdout.persons
    names = learners.REGRESSORS if target.task == "regression" else learners.CLASSIFIERS
    of: dict[tuple[str, Source], np.ndarray] = {}
    for name in names:
        for source, (table, weights) in training.items():
            of[name, source] = _predict(name, table, weights, target, rows, random_state)
        of[name, "independent"] = _constant(tables, target, len(rows))
    return Predictions(
        target=target,
        rows=rows,
        labels=truth[known] if target.task == "regression" else truth[known].astype(np.int64),
        weights=tables.holdout_weights[known],
        units=np.unique(units[known], return_inverse=True)[1],
        of=of,
    )


def unit_bootstrap(units: np.ndarray, n_replicates: int, generator: np.random.Generator) -> np.ndarray:
    """Return how often each row's unit is drawn in each replicate, ``(n_replicates, n_rows)`` int32.

    Privacy:
        Public: counts of a random draw of units.
    """
    n_units = int(units.max()) + 1 if len(units) else 0
    draws = np.empty((n_replicates, len(units)), dtype=np.int32)
    for draw in draws:
        draw[:] = np.bincount(generator.integers(n_units, size=n_units), minlength=n_units)[units]
    return draws


def _constant(tables: Tables, target: Target, n_rows: int) -> np.ndarray:
    labels = target.labels(tables.real.frame)
    known = ~np.isnan(labels)
    if not known.any():
        return _undefined(target, n_rows)
    labels, weights = labels[known], tables.real_weights[known]
    if target.task == "regression":
        return np.full(n_rows, np.average(labels, weights=weights))
    shares = np.bincount(labels.astype(np.int64), weights, minlength=len(target.classes))
    return np.tile(shares / shares.sum(), (n_rows, 1))


def _undefined(target: Target, n_rows: int) -> np.ndarray:
    shape = (n_rows,) if target.task == "regression" else (n_rows, len(target.classes))
    return np.full(shape, np.nan)


def _predict(
    name: str, table: pd.DataFrame, weights: np.ndarray, target: Target, rows: pd.DataFrame, seed: int
) -> np.ndarray:
    labels = target.labels(table)
    known = ~np.isnan(labels)
    if len(rows) == 0 or not known.any():
        return _undefined(target, len(rows))
    features = table[known].drop(columns=target.name)
    if target.task == "regression":
        learner = learners.train_regressor(name, features, labels[known], weights[known], seed=seed)
    else:
        learner = learners.train_classifier(
            name,
            features,
            labels[known].astype(np.int64),
            weights[known],
            n_classes=len(target.classes),
            seed=seed,
        )
    return learner(rows.drop(columns=target.name))
