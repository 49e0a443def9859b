"""What a model trained directly under (epsilon, delta) reaches: the thing to beat where one task is wanted.

A linear model (logistic, softmax or least squares) is fitted by full-batch gradient descent with Gaussian
noise. Features are laid out by the public schema, scaled so that every row has norm at most one, and no
residual is larger than one: a unit moves the sum of gradients by at most a constant without any clipping, and
``T`` noisy sums of noise multiplier ``s`` are exactly ``sqrt(T)/s``-GDP. The model is a baseline: it is
scored on the holdout and thrown away, and nothing of it is released.

References:
    Song, Chaudhuri and Sarwate, "Stochastic gradient descent with differentially private updates", GlobalSIP
    2013; Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from privsynth.metrics.common.tables import Tables
from privsynth.metrics.utility.downstream import Target
from privsynth.schema import PRIVATE, Column

# Chosen on a validation part of Adult's training rows, at epsilon 0.3: from 30 to 240 steps and rates from 2
# to 32, more of both was better up to here.
N_STEPS = 240
LEARNING_RATE = 16.0
MOMENTUM = 0.9
COUNT_SHARE = 0.02  # of mu², spent on the number of units, which the sums are divided by


@dataclass(frozen=True)
class PublicFeatures:
    """Features that the schema alone lays out: no value of a record sets a scale or a category.

    Attributes:
        columns: The columns used; those with private bounds or categories are left out.
    """

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, tables: Tables, target: Target) -> PublicFeatures:
        """Choose the columns.

        Privacy:
            Public: reads the schema.
        """
        others = [column for column in tables.schema.modelled if column.name != target.name]
        return cls(tuple(column for column in others if _is_public(column)))

    def place(self, table: pd.DataFrame) -> np.ndarray:
        """Return the features with a constant first, ``(n_rows, n_features)``, every row of norm at most one.

        Privacy:
            Not private: an encoding of the rows given; row by row, with public constants.
        """
        parts = [np.ones((len(table), 1))]
        for column in self.columns:
            parts.append(_numeric(column, table) if column.is_numeric else _one_hot(table[column.name]))
        return np.hstack(parts) / math.sqrt(len(parts))


def gdp_mu(epsilon: float, delta: float) -> float:
    """Return the mu for which mu-GDP is exactly (epsilon, delta)-differential privacy.

    Privacy:
        Public: a function of two numbers.

    References:
        Balle and Wang, "Improving the Gaussian Mechanism", ICML 2018, Theorem 8.

    Example:
        >>> round(gdp_mu(1.0, 1e-5), 5)
        0.26805
    """

    def excess(mu: float) -> float:
        tail = norm.logcdf(-epsilon / mu - mu / 2) + epsilon
        return float(norm.cdf(-epsilon / mu + mu / 2) - math.exp(min(tail, 0.0)) - delta)

    return float(brentq(excess, 1e-4, 100.0, xtol=1e-12))


def train_directly(
    tables: Tables,
    target: Target,
    rows: pd.DataFrame,
    *,
    epsilon: float,
    delta: float,
    generator: np.random.Generator,
    n_steps: int = N_STEPS,
) -> np.ndarray:
    """Train on the real rows under (epsilon, delta) and predict others.

    Args:
        tables: The tables; units of the real one are persons or rows, as the schema says.
        target: What to predict; of a number, the schema's bounds are public.
        rows: Canonical rows to predict.
        epsilon: Budget of the whole training, > 0.
        delta: Budget of the whole training, in (0, 1).
        generator: Source of the noise: a plain one, since the model is not released.
        n_steps: Noisy gradient sums.

    Returns:
        ``(n_rows, n_classes)`` probabilities, or ``(n_rows,)`` numbers.

    Privacy:
        Not private as it stands, as its noise is no secret; drawn from a secret source, the model would be
        (epsilon, delta)-differentially private for adding or removing one unit.
    """
    features = PublicFeatures.of(tables, target)
    known, labels = target.known_labels(tables.real.frame)
    x, weights = features.place(tables.real.frame[known]), tables.real_weights[known]
    scale = _Scale.of(tables, target)
    truth = scale.encode(labels, len(target.classes))
    mu = gdp_mu(epsilon, delta)
    n_units = max(1.0, weights.sum() + generator.normal(0.0, 1 / (mu * math.sqrt(COUNT_SHARE))))
    sensitivity = math.sqrt(2.0) if target.task == "multiclass" else 1.0
    deviation = sensitivity * math.sqrt(n_steps / (1 - COUNT_SHARE)) / mu
    coefficients = np.zeros((x.shape[1], truth.shape[1]))
    velocity, average = np.zeros_like(coefficients), np.zeros_like(coefficients)
    for step in range(n_steps):
        residual = scale.link(x @ coefficients) - truth
        residual = np.clip(residual, -1.0, 1.0)  # of norm at most the sensitivity
        total = x.T @ (weights[:, None] * residual) + generator.normal(0.0, deviation, coefficients.shape)
        velocity = MOMENTUM * velocity - LEARNING_RATE * (1 - MOMENTUM) * total / n_units
        coefficients = coefficients + velocity
        if step >= n_steps // 2:
            average += coefficients / (n_steps - n_steps // 2)
    return scale.decode(scale.link(features.place(rows) @ average))


@dataclass(frozen=True)
class _Scale:
    """How a target becomes numbers in [0, 1] and back."""

    task: str
    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, tables: Tables, target: Target) -> _Scale:
        if target.task != "regression":
            return cls(target.task)
        low, high = tables.schema.columns[target.name].bounds
        assert low is not None
        assert high is not None, "callers check"
        return cls(target.task, low, max(high, low + 1e-12))

    def encode(self, labels: np.ndarray, n_classes: int) -> np.ndarray:
        if self.task == "regression":
            return np.clip((labels - self.low) / (self.high - self.low), 0.0, 1.0)[:, None]
        return labels[:, None].astype(np.float64) if self.task == "binary" else np.eye(n_classes)[labels]

    def link(self, linear: np.ndarray) -> np.ndarray:
        if self.task == "regression":
            return linear
        if self.task == "binary":
            return np.asarray(1 / (1 + np.exp(-np.clip(linear, -500, 500))))
        powers = np.exp(linear - linear.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def decode(self, predicted: np.ndarray) -> np.ndarray:
        if self.task == "regression":
            return self.low + (self.high - self.low) * predicted[:, 0]
        return np.hstack([1 - predicted, predicted]) if self.task == "binary" else predicted


def can_train_directly(tables: Tables, target: Target) -> bool:
    """Return whether the schema alone lays out some features, and the target's range.

    Privacy:
        Public: reads the schema.
    """
    return bool(PublicFeatures.of(tables, target).columns) and _is_public(tables.schema.columns[target.name])


def _is_public(column: Column) -> bool:
    if column.is_numeric:
        return None not in column.bounds
    return column.categories != PRIVATE


def _numeric(column: Column, table: pd.DataFrame) -> np.ndarray:
    """Return the place in the range, linear and logarithmic, and whether it is missing; norm at most one."""
    low, high = column.bounds
    assert low is not None
    assert high is not None
    values = table[column.name].to_numpy(dtype=np.float64)
    missing = np.isnan(values)
    span = max(high - low, 1e-12)
    share = np.clip((np.where(missing, low, values) - low) / span, 0.0, 1.0)
    logarithmic = np.log1p(share * span) / math.log1p(span) if span > 1 else np.sqrt(share)
    both = np.column_stack([2 * share - 1, 2 * logarithmic - 1]) / math.sqrt(2.0)
    return np.column_stack([np.where(missing[:, None], 0.0, both), missing])


def _one_hot(column: pd.Series) -> np.ndarray:
    codes = column.cat.codes.to_numpy()
    return np.eye(len(column.cat.categories) + 1)[np.where(codes < 0, len(column.cat.categories), codes)]
