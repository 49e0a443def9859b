"""Lower bounds from the errors of one test, against published and closed-form values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom

from privsynth.attacks.bounds import ErrorCounts, epsilon_ceiling, epsilon_lower_bound, mu_lower_bound
from privsynth.errors import ParameterError

FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    ("n", "ceiling"),
    [(50, 2.57), (100, 3.28), (250, 4.21), (500, 4.91), (1000, 5.60), (2500, 6.52), (5000, 7.21)],
)
def test_the_ceiling_is_the_closed_form(n: int, ceiling: float) -> None:
    # No error in n runs: a = 1 - 0.025^(1/n) on both sides, epsilon = ln((1 - a) / a).
    a = 1 - 0.025 ** (1 / n)
    assert epsilon_ceiling(n, n) == pytest.approx(math.log((1 - a) / a), rel=1e-9)
    assert epsilon_ceiling(n, n) == pytest.approx(ceiling, abs=0.006)


@pytest.mark.parametrize(
    ("n", "share"), [(500, 0.58), (1000, 0.71), (2000, 0.79), (5000, 0.87), (20_000, 0.94), (100_000, 0.97)]
)
def test_a_perfect_test_of_a_gaussian_shows_the_share_of_mu_that_so_many_runs_allow(
    n: int, share: float
) -> None:
    # The best test of mu-GDP errs with Phi(-mu/2) on both sides; here 95 % confidence on each side.
    mu = 0.455
    n_errors = round(n * ndtr(-mu / 2))
    found = mu_lower_bound(ErrorCounts(n_errors, n, n_errors, n), confidence=0.9)
    assert found / mu == pytest.approx(share, abs=0.01)


def test_epsilon_takes_the_better_side_and_pays_for_delta() -> None:
    errors = ErrorCounts(0, 1000, 400, 1000)  # hardly ever accuses wrongly
    a, b = errors.upper_limits(0.95)
    assert epsilon_lower_bound(errors) == pytest.approx(math.log((1 - b) / a))
    assert epsilon_lower_bound(errors, delta=0.1) == pytest.approx(math.log((0.9 - b) / a))
    mirrored = ErrorCounts(400, 1000, 0, 1000)
    assert epsilon_lower_bound(mirrored) == pytest.approx(epsilon_lower_bound(errors))


def test_a_test_that_guesses_shows_nothing() -> None:
    for errors in (
        ErrorCounts(50, 100, 50, 100),
        ErrorCounts(100, 100, 0, 100),
        ErrorCounts(0, 100, 100, 100),
    ):
        assert mu_lower_bound(errors) == 0.0
        assert epsilon_lower_bound(errors) == 0.0


def test_bounds_exceed_the_truth_as_seldom_as_they_say() -> None:
    # 2,000 audits of an exactly (ln 3)-DP coin and of an exactly 1-GDP test, at confidence 95 %.
    rng, n, repetitions = np.random.default_rng(0), 400, 2000
    exceeded_epsilon = exceeded_mu = 0
    for _ in range(repetitions):
        coin = ErrorCounts(int(rng.binomial(n, 0.25)), n, int(rng.binomial(n, 0.25)), n)
        exceeded_epsilon += epsilon_lower_bound(coin) > math.log(3)
        gauss = ErrorCounts(int(rng.binomial(n, ndtr(-0.5))), n, int(rng.binomial(n, ndtr(-0.5))), n)
        exceeded_mu += mu_lower_bound(gauss) > 1.0
    most = binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)
    assert max(exceeded_epsilon, exceeded_mu) <= most


def test_counts_and_levels_out_of_range_are_refused() -> None:
    with pytest.raises(ParameterError, match="0 <= n_successes <= n_trials"):
        mu_lower_bound(ErrorCounts(5, 4, 0, 4))
    with pytest.raises(ParameterError, match="0 < confidence < 1"):
        mu_lower_bound(ErrorCounts(0, 4, 0, 4), confidence=1.0)
    with pytest.raises(ParameterError, match="0 <= delta < 1"):
        epsilon_lower_bound(ErrorCounts(0, 4, 0, 4), delta=1.0)
