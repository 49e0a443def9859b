"""Train on the real and on the synthetic table; predict the target of the holdout.

Utility reads how well the predictions order the holdout, fairness how they treat its groups; both start from
the same fitted models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from privsynth.metrics.common import learners
from privsynth.metrics.common.grouping import Grouping
from privsynth.metrics.common.scores import Task
from privsynth.metrics.common.tables import Tables, row_weights
from privsynth.metrics.common.units import unit_of_rows
from privsynth.schema import Category

Source = Literal["real", "synthetic", "augmented", "balanced", "twin", "independent"]
"""What a model is trained on. ``augmented``: real and synthetic rows together. ``balanced``: synthetic rows
of which each class has as many in each group, drawn so by the generator, else weighted. ``twin``: rows of a
generator without privacy.
``independent``: no model, but all that independent columns teach, the same prediction for every row."""

MIN_BALANCED_ROWS = 20
"""Synthetic rows of a class in a group below which they are not weighted up."""

DirectModel = Callable[[pd.DataFrame, str, pd.DataFrame], np.ndarray]
"""Trains on canonical real rows to predict the column of that name, under the same (epsilon, delta), and
gives predictions for other rows, which lack it: (n, n_classes) probabilities in schema order, or numbers."""


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

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the models that predict such a target."""
        return learners.REGRESSORS if self.task == "regression" else learners.CLASSIFIERS

    def labels(self, table: pd.DataFrame) -> np.ndarray:
        """Return the target as numbers, ``(n_rows,)`` float64: class codes or values, NaN where missing."""
        return learners.as_numbers(table[[self.name]])[self.name].to_numpy()

    def known_labels(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows' target is known, and those rows' labels: int64 codes or float64 values."""
        labels = self.labels(table)
        known = ~np.isnan(labels)
        return known, labels[known] if self.task == "regression" else labels[known].astype(np.int64)


@dataclass(frozen=True)
class Predictions:
    """Holdout rows whose target is known, and what each model says about them.

    Attributes:
        target: What is predicted.
        rows: The holdout rows, canonical.
        labels: True class code (int64) or value of each row.
        weights: Weight of each row.
        units: Person of each row, or a number of its own, codes.
        of: (model, source) to (n, n_classes) probabilities or (n,) numbers.
        learners: (model, source) to the trained model; without the source ``independent``.
        non_private: What the first model says of each row when it is trained on rows of each fit without
            privacy; the first of them is the source ``twin``.
    """

    target: Target
    rows: pd.DataFrame
    labels: np.ndarray
    weights: np.ndarray
    units: np.ndarray
    of: dict[tuple[str, Source], np.ndarray]
    learners: dict[tuple[str, Source], learners.Learner] = field(default_factory=dict)
    non_private: tuple[np.ndarray, ...] = ()

    @property
    def models(self) -> list[str]:
        """Names of the models, in order."""
        return list(dict.fromkeys(model for model, _ in self.of))

    @property
    def sources(self) -> list[Source]:
        """What the first model was trained on, in order."""
        return [source for model, source in self.of if model == self.models[0]]


def target_of(tables: Tables, name: str | None = None) -> Target | None:
    """Return what is to be predicted: the column of that name, or the target; None if neither is named.

    Privacy:
        Public, if the target's categories are.
    """
    name = tables.target if name is None else name
    if name is None:
        return None
    if tables.schema.columns[name].is_numeric:
        return Target(name, "regression", ())
    classes = tuple(tables.real.frame[name].cat.categories)
    return Target(name, "binary" if len(classes) == 2 else "multiclass", classes)


def predict_holdout(
    tables: Tables, target: Target, *, families: Sequence[str] | None = None, random_state: int = 0
) -> Predictions:
    """Train every model on every source and predict the holdout.

    Args:
        tables: The tables; there is a holdout.
        target: What to predict.
        families: Names of the models, the target's if None. Only the first learns from fits without privacy.
        random_state: Seed of the learners.

    Privacy:
        Not private: models fitted to real records, applied to real records.
    """
    assert tables.holdout is not None, "callers check"
    training = training_tables(tables, target)
    known, labels = target.known_labels(tables.holdout.frame)
    rows = tables.holdout.frame[known].reset_index(drop=True)
    units = unit_of_rows(tables.holdout)
    names = target.families if families is None else tuple(families)
    of: dict[tuple[str, Source], np.ndarray] = {}
    trained: dict[tuple[str, Source], learners.Learner] = {}
    for name in names:
        for source, (table, weights) in training.items():
            learner = train(name, table, weights, target, seed=random_state)
            trained[name, source] = learner
            of[name, source] = learner(rows) if len(rows) else undefined(target, 0)
        of[name, "independent"] = constant_prediction(tables, target, len(rows))
    non_private = []
    for fit in tables.non_private:
        learner = train(names[0], fit.frame, row_weights(fit), target, seed=random_state)
        non_private.append(learner(rows) if len(rows) else undefined(target, 0))
    if non_private:
        of[names[0], "twin"] = non_private[0]
    return Predictions(
        target=target,
        rows=rows,
        labels=labels,
        weights=tables.holdout_weights[known],
        units=np.unique(units[known], return_inverse=True)[1],
        of=of,
        learners=trained,
        non_private=tuple(non_private),
    )


def training_tables(tables: Tables, target: Target) -> dict[Source, tuple[pd.DataFrame, np.ndarray]]:
    """Return what models are trained on, with the weight of each row.

    Privacy:
        Not private: holds real records.
    """
    synthetic, real = tables.synthetic.frame, tables.real.frame
    out: dict[Source, tuple[pd.DataFrame, np.ndarray]] = {
        "real": (real, tables.real_weights),
        "synthetic": (synthetic, tables.synthetic_weights),
        "augmented": (
            pd.concat([real, synthetic], ignore_index=True),
            np.concatenate([tables.real_weights, tables.synthetic_weights]),
        ),
    }
    if tables.balanced is not None:
        out["balanced"] = (tables.balanced.frame, np.ones(len(tables.balanced.frame)))
    elif (weights := balancing_weights(tables, target)) is not None:
        out["balanced"] = (synthetic, weights)
    return out


def balancing_weights(tables: Tables, target: Target) -> np.ndarray | None:
    """Return weights of the synthetic rows under which every class weighs the same in every group.

    Groups are the combinations of the group columns. A class of a group with fewer than `MIN_BALANCED_ROWS`
    rows keeps the mean weight of its rows. None for numeric targets, or where nothing is left to balance.

    Privacy:
        Post-processing: of the synthetic rows, but for the cuts of numeric group columns.
    """
    if target.task == "regression":
        return None
    synthetic, by_row = tables.synthetic.frame, tables.synthetic_weights
    cells = target.labels(synthetic)
    if tables.groups:
        cells = Grouping.of(tables, tables.groups).members(synthetic) * len(target.classes) + cells
    known = ~np.isnan(cells)
    _, cell, n_rows = np.unique(cells[known], return_inverse=True, return_counts=True)
    large = n_rows >= MIN_BALANCED_ROWS
    if large.sum() < 2:
        return None
    mass = np.bincount(cell, by_row[known])
    weights = by_row.copy()
    weights[known] *= np.where(large, mass[large].sum() / (large.sum() * mass), 1.0)[cell]
    return weights


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


def train(
    name: str, table: pd.DataFrame, weights: np.ndarray, target: Target, *, seed: int
) -> learners.Learner:
    """Train a model on the rows whose target is known; without any, its predictions are NaN.

    Privacy:
        Not private: fits the rows given.
    """
    known, labels = target.known_labels(table)
    if not known.any():
        return lambda rows: undefined(target, len(rows))
    features, weights = table[known].drop(columns=target.name), weights[known]
    if features.shape[1] == 0:  # nothing to learn from but the target itself
        return lambda rows: _constant(target, labels, weights, len(rows))
    if target.task == "regression":
        learner = learners.train_regressor(name, features, labels, weights, seed=seed)
    else:
        learner = learners.train_classifier(
            name, features, labels, weights, n_classes=len(target.classes), seed=seed
        )
    return lambda rows: learner(rows.drop(columns=target.name))


def undefined(target: Target, n_rows: int) -> np.ndarray:
    """Return predictions that say nothing."""
    shape = (n_rows,) if target.task == "regression" else (n_rows, len(target.classes))
    return np.full(shape, np.nan)


def constant_prediction(tables: Tables, target: Target, n_rows: int) -> np.ndarray:
    """Return all that independent columns teach: the real shares, or the real mean, for every row.

    Privacy:
        Not private: a function of real records.
    """
    known, labels = target.known_labels(tables.real.frame)
    if not known.any():
        return undefined(target, n_rows)
    return _constant(target, labels, tables.real_weights[known], n_rows)


def _constant(target: Target, labels: np.ndarray, weights: np.ndarray, n_rows: int) -> np.ndarray:
    if target.task == "regression":
        return np.full(n_rows, np.average(labels, weights=weights))
    shares = np.bincount(labels, weights, minlength=len(target.classes))
    return np.tile(shares / shares.sum(), (n_rows, 1))
