from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from privsynth.attacks.intervals import (
    auc_interval,
    clopper_pearson,
    difference_interval,
    smallest_detectable_auc,
    wilson,
)
from privsynth.errors import ParameterError

FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    ("n_successes", "n_trials", "low", "high"),
    [(5, 100, 0.01643, 0.11283), (0, 100, 0.0, 0.03622), (27, 1000, 0.01787, 0.03904)],
)
def test_clopper_pearson_has_its_published_values(
    n_successes: int, n_trials: int, low: float, high: float
) -> None:
    assert clopper_pearson(n_successes, n_trials) == pytest.approx((low, high), abs=5e-6)


def test_clopper_pearson_is_mirrored_and_says_nothing_without_trials() -> None:
    low, high = clopper_pearson(95, 100)
    assert (1 - high, 1 - low) == pytest.approx(clopper_pearson(5, 100))
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_a_count_above_the_trials_is_refused() -> None:
    with pytest.raises(ParameterError, match="0 <= n_successes <= n_trials"):
        clopper_pearson(3, 2)


def test_score_intervals_of_shares_cover_what_they_say() -> None:
    for p, n in ((0.5, 40), (0.05, 60), (0.01, 200)):
        counts = np.arange(n + 1)
        for confidence, least, most in ((0.95, 0.91, 0.999), (0.999, 0.99, 0.99999)):
            limits = np.array([wilson(k / n, n, confidence=confidence) for k in counts])
            held = (limits[:, 0] <= p) & (p <= limits[:, 1])
            assert least < binom.pmf(counts, n, p)[held].sum() < most  # exact, no simulation


@pytest.mark.parametrize(
    ("p", "n", "q", "m"), [(0.5, 200, 0.4, 200), (0.1, 15, 0.15, 400), (0.02, 30, 0.02, 30)]
)
def test_intervals_of_differences_cover_what_they_say(p: float, n: int, q: float, m: int) -> None:
    # exact coverage, by summing over both binomials: no simulation needed
    a, b = np.arange(n + 1), np.arange(m + 1)
    chance = np.outer(binom.pmf(a, n, p), binom.pmf(b, m, q))
    likely = np.argwhere(chance > 1e-7)
    covered = 0.0
    for i, j in likely:
        low, high = difference_interval((i / n, n), (j / m, m))
        covered += chance[i, j] * (low <= p - q <= high)
    assert covered > 0.93
    if min(n * p, m * q) > 1:
        assert covered < 0.985  # where next to nothing is observed it is wider than it has to be


def test_auc_and_its_variance_are_those_of_the_definition() -> None:
    generator = np.random.default_rng(1)
    members, others = generator.integers(0, 6, 40) * 1.0, generator.integers(0, 5, 30) * 1.0  # many ties
    wins = (members[:, None] > others) + 0.5 * (members[:, None] == others)
    variance = wins.mean(axis=1).var(ddof=1) / 40 + wins.mean(axis=0).var(ddof=1) / 30
    found = auc_interval(members, others)
    assert found.auc == pytest.approx(wins.mean())
    assert found.high - found.auc == pytest.approx(norm.ppf(0.975) * np.sqrt(variance))


def test_swapping_the_sides_mirrors_the_interval() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(0.3, 1, 50), generator.normal(0, 1, 80)
    there, back = auc_interval(a, b), auc_interval(b, a)
    assert (there.auc, there.low, there.high) == pytest.approx((1 - back.auc, 1 - back.high, 1 - back.low))


def test_the_interval_covers_chance_as_often_as_it_says() -> None:
    generator, n_runs = np.random.default_rng(3), 500
    covered = 0
    for _ in range(n_runs):
        found = auc_interval(generator.normal(size=80), generator.normal(size=60), confidence=0.9)
        covered += found.low <= 0.5 <= found.high
    slack = 0.02  # the normal approximation at this size
    low, high = binom.ppf(FALSE_ALARM, n_runs, 0.9 - slack), binom.ppf(1 - FALSE_ALARM, n_runs, 0.9 + slack)
    assert low <= covered <= high


def test_perfect_separation_does_not_give_a_certain_interval() -> None:
    found = auc_interval(np.arange(10.0) + 100, np.arange(20.0))
    assert found.auc == 1.0
    assert found.high == 1.0
    assert found.low == pytest.approx(clopper_pearson(10, 10)[0])


def test_one_unit_is_too_few_to_score() -> None:
    with pytest.raises(ParameterError, match="at least two members"):
        auc_interval(np.array([1.0]), np.array([0.0, 1.0]))


def test_the_smallest_detectable_effect_is_detected_as_often_as_it_says() -> None:
    n_members, n_others, n_runs = 120, 100, 400
    effect = smallest_detectable_auc(n_members, n_others, power=0.8)
    shift = np.sqrt(2) * norm.ppf(effect)  # of a unit normal, for this AUC
    generator = np.random.default_rng(4)
    detected = sum(
        auc_interval(generator.normal(shift, 1, n_members), generator.normal(0, 1, n_others)).low > 0.5
        for _ in range(n_runs)
    )
    assert binom.ppf(FALSE_ALARM, n_runs, 0.76) <= detected <= binom.ppf(1 - FALSE_ALARM, n_runs, 0.84)
