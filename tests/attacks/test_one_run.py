"""One-run bounds: published values, closed forms, and coverage on mechanisms of known epsilon and mu."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from privsynth.accounting.gdp import gdp_epsilon
from privsynth.attacks.one_run import (
    count_correct_guesses,
    one_run_epsilon,
    one_run_mu,
    one_run_p_value,
    one_run_rules_out_mu,
)
from privsynth.errors import ParameterError

FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    ("m", "r", "v", "delta", "epsilon"),
    [(1000, 100, 75, 1e-4, 0.67298), (100_000, 1510, 1439, 1e-5, 2.67585)],
)
def test_the_published_epsilons_come_out(m: int, r: int, v: int, delta: float, epsilon: float) -> None:
    # Steinke, Nasr and Jagielski 2023: values of the authors' program.
    found = one_run_epsilon(n_canaries=m, n_guesses=r, n_correct=v, delta=delta)
    assert found == pytest.approx(epsilon, abs=1e-4)


def test_the_published_p_value_comes_out() -> None:
    p = one_run_p_value(n_canaries=100, n_guesses=100, n_correct=75, epsilon=math.log(3), delta=0.0)
    assert p == pytest.approx(0.55347, abs=1e-4)


@pytest.mark.parametrize(
    ("r", "ceiling"), [(10, 1.05), (30, 2.25), (60, 2.97), (100, 3.49), (300, 4.60), (1000, 5.81)]
)
def test_all_correct_reaches_the_ceiling_of_so_many_guesses(r: int, ceiling: float) -> None:
    # v = r: p = q^r, so 0.05 = q^r.
    found = one_run_epsilon(n_canaries=r, n_guesses=r, n_correct=r)
    q = 0.05 ** (1 / r)
    assert found == pytest.approx(math.log(q / (1 - q)), abs=1e-6)
    assert found == pytest.approx(ceiling, abs=0.006)


def test_delta_is_charged_by_the_worst_window_below_the_count() -> None:
    m, r, v, epsilon, delta = 50, 20, 15, 0.7, 1e-3
    q = 1 / (1 + math.exp(-epsilon))
    below = [binom.pmf(v - j, r, q) for j in range(1, v + 1)]
    alpha = max(sum(below[:i]) / i for i in range(1, v + 1))
    expected = binom.sf(v - 1, r, q) + 2 * m * delta * alpha
    found = one_run_p_value(n_canaries=m, n_guesses=r, n_correct=v, epsilon=epsilon, delta=delta)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("m", "g", "c", "mu", "epsilon", "by_steinke"),
    [
        (1000, 100, 75, 0.2695, 1.0059, 0.6995),
        (1000, 100, 95, 0.7868, 3.3233, 2.1652),
        (1000, 1000, 691, 0.3394, 1.2967, 0.6902),
    ],
)
def test_the_f_dp_bound_has_its_computed_values_and_is_the_tighter_one(
    m: int, g: int, c: int, mu: float, epsilon: float, by_steinke: float
) -> None:
    found = one_run_mu(n_canaries=m, n_guesses=g, n_correct=c)
    assert found == pytest.approx(mu, abs=1e-4)
    assert gdp_epsilon(found, 1e-5) == pytest.approx(epsilon, abs=1e-4)
    assert one_run_epsilon(n_canaries=m, n_guesses=g, n_correct=c, delta=1e-5) == pytest.approx(
        by_steinke, abs=1e-4
    )


def test_at_mu_zero_the_f_dp_test_is_within_two_guesses_of_the_exact_binomial_test() -> None:
    rejects = [
        c
        for c in range(520, 535)
        if one_run_rules_out_mu(n_canaries=1000, n_guesses=1000, n_correct=c, mu=0.0)
    ]
    exact = int(binom.isf(0.05, 1000, 0.5)) + 1
    assert exact == 527
    assert exact <= rejects[0] <= exact + 2


def test_more_correct_guesses_never_lower_a_bound() -> None:
    for bound in (one_run_epsilon, one_run_mu):
        values = [bound(n_canaries=200, n_guesses=60, n_correct=c) for c in range(25, 61, 5)]
        assert values == sorted(values)
        assert values[0] == 0.0


def test_bounds_exceed_the_truth_as_seldom_as_they_say() -> None:
    # Each canary's coin is told by randomised response: exactly epsilon-DP, independent, the worst case.
    # Gaussian noise on the coin: exactly mu-GDP. 150 runs each of 300 canaries; 60 guesses.
    rng, m, r, repetitions = np.random.default_rng(5), 300, 60, 150
    epsilon, mu = 1.0, 1.0
    above_epsilon = above_mu = 0
    for _ in range(repetitions):
        included = rng.random(m) < 0.5
        told = np.where(rng.random(m) < 1 / (1 + math.exp(-epsilon)), included, ~included)
        v = count_correct_guesses(told + rng.random(m) / 2, included, n_guesses=r)
        above_epsilon += one_run_epsilon(n_canaries=m, n_guesses=r, n_correct=v) > epsilon
        noisy = included * 1.0 + rng.normal(0, 1 / mu, m)
        v = count_correct_guesses(noisy, included, n_guesses=r)
        above_mu += one_run_mu(n_canaries=m, n_guesses=r, n_correct=v) > mu
    most = binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)
    assert max(above_epsilon, above_mu) <= most


def test_a_leak_is_seen() -> None:
    # Power: mu = 2 (epsilon 10 at 1e-5), claimed to be 0.25 (epsilon 0.93): found in each of 20 runs.
    rng = np.random.default_rng(6)
    for _ in range(20):
        included = rng.random(1000) < 0.5
        scores = included * 1.0 + rng.normal(0, 0.5, 1000)
        v = count_correct_guesses(scores, included, n_guesses=100)
        assert one_run_mu(n_canaries=1000, n_guesses=100, n_correct=v, confidence=1 - FALSE_ALARM) > 0.25


def test_guesses_take_both_ends_and_abstain_between() -> None:
    included = np.array([True, False, True, False, True, False])
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    assert count_correct_guesses(scores, included, n_guesses=2) == 2
    assert count_correct_guesses(scores, included, n_guesses=4) == 2
    with pytest.raises(ParameterError, match="an even number of guesses"):
        count_correct_guesses(scores, included, n_guesses=3)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ParameterError, match="n_correct <= n_guesses <= n_canaries"):
        one_run_epsilon(n_canaries=10, n_guesses=11, n_correct=5)
    with pytest.raises(ParameterError, match="epsilon >= 0"):
        one_run_p_value(n_canaries=10, n_guesses=5, n_correct=5, epsilon=-1.0, delta=0.0)
