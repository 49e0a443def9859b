from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from privsynth.attacks.two_worlds import audit_features, audit_scores, refuse_identical_runs
from privsynth.errors import ParameterError

FALSE_ALARM = 1e-6


def test_the_threshold_is_set_where_nothing_is_counted() -> None:
    # Validation says "above 0.5"; on the test runs the worlds are swapped, so that test errs always.
    low, high = np.zeros(20), np.ones(20)
    found = audit_scores(np.r_[low, high], np.r_[high, low], n_validation=20)
    assert found.threshold == 0.5
    assert (found.errors.n_false_positives, found.errors.n_false_negatives) == (20, 20)
    assert found.mu == 0.0
    assert found.epsilon == 0.0


def test_a_gaussian_shift_shows_most_of_its_mu() -> None:
    rng = np.random.default_rng(0)
    without, with_target = rng.normal(size=30_000), rng.normal(size=30_000) + 1.0
    found = audit_scores(without, with_target, n_validation=10_000)
    assert 0.9 < found.mu <= 1.05
    assert found.epsilon < found.epsilon_ceiling


def test_two_hundred_null_audits_reject_as_seldom_as_they_say() -> None:
    rng, repetitions = np.random.default_rng(1), 200
    n_found = sum(
        audit_scores(rng.normal(size=300), rng.normal(size=300), n_validation=100).mu > 0
        for _ in range(repetitions)
    )
    assert n_found <= binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)


def test_the_scorer_finds_the_direction_of_the_leak() -> None:
    rng = np.random.default_rng(2)
    shift = np.array([0.0, 0.0, 1.2, -1.2])
    found = audit_features(rng.normal(size=(4000, 4)), rng.normal(size=(4000, 4)) + shift)
    assert 1.3 < found.mu < np.linalg.norm(shift) + 0.15


def test_runs_that_share_their_randomness_are_refused() -> None:
    rng = np.random.default_rng(3)
    fixed = np.tile(rng.normal(size=4), (50, 1))
    with pytest.raises(ParameterError, match="two runs gave the same output"):
        refuse_identical_runs(np.concatenate([fixed, fixed + 1.0]))
    refuse_identical_runs(rng.normal(size=(50, 4)))


def test_too_few_runs_or_lost_scores_are_refused() -> None:
    with pytest.raises(ParameterError, match="at least 10 runs"):
        audit_scores(np.zeros(15), np.zeros(15), n_validation=10)
    with pytest.raises(ParameterError, match="10 runs of each world to fit"):
        audit_features(np.random.default_rng(0).random((20, 1)), np.random.default_rng(1).random((20, 1)))
    with pytest.raises(ParameterError, match="finite scores"):
        audit_scores(np.full(40, np.nan), np.zeros(40), n_validation=20)
