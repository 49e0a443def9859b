from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from privsynth.attacks.intervals import auc_interval
from privsynth.metrics.common.estimates import percentile_interval
from privsynth.metrics.common.scores import score, weighted_auc
from privsynth.metrics.utility.downstream import unit_bootstrap


def test_four_rows_worked_out_by_hand() -> None:
    labels, share = np.array([0, 0, 1, 1]), np.array([0.2, 0.6, 0.6, 0.9])
    predicted, ones = np.column_stack([1 - share, share]), np.ones((1, 4))
    assert score("auc", labels, predicted, ones)[0] == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert score("balanced_accuracy", labels, predicted, ones)[0] == pytest.approx((1 / 2 + 1) / 2)
    assert score("brier", labels, predicted, ones)[0] == pytest.approx((0.04 + 0.36 + 0.16 + 0.01) / 4)
    twice = np.array([[1.0, 3.0, 1.0, 1.0]])  # the second row three times
    assert score("auc", labels, predicted, twice)[0] == pytest.approx((2 * 1 + 3 * 0.5 + 3 * 1) / 8)
    numbers = np.array([1.0, 2, 3, 4])
    guess = np.array([1.0, 2, 3, 6])
    assert score("mae", numbers, guess, ones)[0] == 0.5
    assert score("rmse", numbers, guess, ones)[0] == 1.0
    assert score("r2", numbers, guess, ones)[0] == pytest.approx(1 - 4 / 5)


def test_the_same_as_scikit_learn_under_every_set_of_weights() -> None:
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 4, size=(6, 200)) * generator.random(200)
    labels = generator.integers(0, 2, 200)
    share = np.round(generator.random(200), 1)  # with ties
    predicted = np.column_stack([1 - share, share])
    found = {name: score(name, labels, predicted, weights) for name in ("auc", "balanced_accuracy", "brier")}
    for i, w in enumerate(weights):
        assert found["auc"][i] == pytest.approx(roc_auc_score(labels, share, sample_weight=w))
        assert found["balanced_accuracy"][i] == pytest.approx(
            balanced_accuracy_score(labels, share > 0.5, sample_weight=w)
        )
        assert found["brier"][i] == pytest.approx(brier_score_loss(labels, share, sample_weight=w))
    numbers = generator.normal(1e6, 1.0, 200)
    guess = numbers + generator.normal(size=200)
    for i, w in enumerate(weights):
        assert score("r2", numbers, guess, weights)[i] == pytest.approx(
            r2_score(numbers, guess, sample_weight=w)
        )
        assert score("rmse", numbers, guess, weights)[i] == pytest.approx(
            root_mean_squared_error(numbers, guess, sample_weight=w)
        )
        assert score("mae", numbers, guess, weights)[i] == pytest.approx(
            mean_absolute_error(numbers, guess, sample_weight=w)
        )


def test_several_classes_are_averaged_over_those_that_occur() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 150)
    predicted = generator.dirichlet(np.ones(3), 150)
    expected = np.mean([roc_auc_score(labels == code, predicted[:, code]) for code in range(3)])
    assert score("auc", labels, predicted, np.ones((1, 150)))[0] == pytest.approx(expected)
    without = (labels != 2) * 1.0
    expected = np.mean([roc_auc_score(labels == c, predicted[:, c], sample_weight=without) for c in (0, 1)])
    assert score("auc", labels, predicted, without[None, :])[0] == pytest.approx(expected)


def test_what_is_undefined_is_nan() -> None:
    assert np.isnan(weighted_auc(np.array([True, True]), np.ones(2), np.ones((1, 2))))[0]
    assert np.isnan(score("r2", np.array([2.0, 2.0]), np.ones(2), np.ones((1, 2))))[0]
    assert np.isnan(score("auc", np.array([0, 1]), np.full((2, 2), np.nan), np.ones((3, 2)))).all()


def test_bootstrapped_scores_of_the_holdout_cover_what_they_say() -> None:
    # A fixed model whose scores are N(0, 1) for one class and N(1, 1) for the other: its AUC is Φ(1/√2). The
    # holdout is drawn anew each time; percentile intervals over its units ought to hold that value.
    generator = np.random.default_rng(5)
    truth, n, n_runs, covered, as_if_known = norm.cdf(np.sqrt(0.5)), 150, 400, 0, 0
    for _ in range(n_runs):
        positive = generator.random(n) < 0.4
        scores = generator.normal(size=n) + positive
        draws = unit_bootstrap(np.arange(n), 200, generator)
        low, high = percentile_interval(weighted_auc(positive, scores, draws.astype(float)))
        covered += low <= truth <= high
        middle = (low + high) / 2
        as_if_known += abs(truth - middle) <= (high - low) / 4  # half as wide
    low, high = binom.ppf([5e-7, 1 - 5e-7], n_runs, 0.94)  # 150 rows: about a point below 95 %
    assert low <= covered <= high
    assert as_if_known < low  # an interval half as wide would be caught


def test_the_interval_of_the_two_sample_test_covers_what_it_says() -> None:
    generator = np.random.default_rng(6)
    truth, n, n_runs, covered = norm.cdf(np.sqrt(0.5)), 100, 600, 0
    for _ in range(n_runs):
        estimate = auc_interval(generator.normal(1.0, 1.0, n), generator.normal(size=n))
        covered += estimate.low <= truth <= estimate.high
    low, high = binom.ppf([5e-7, 1 - 5e-7], n_runs, 0.945)
    assert low <= covered <= high
