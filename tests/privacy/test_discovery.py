"""Discovery: what one unit alone holds is published with at most the booked probability; bounds are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from privsynth.privacy.discovery import (
    bound_bin,
    bound_edges,
    discovery_threshold,
    published_values,
)
from privsynth.privacy.noise import add_gaussian_noise
from privsynth.privacy.secret import OsEntropy
from privsynth.synthesizers.domains import bounds_from_counts

FALSE_ALARM = 1e-6


def publish_probability(threshold: float, noise_std: float, *, max_records: int) -> float:
    """Return the largest chance that a unit's own values are published, over its number of rows."""
    m = np.arange(1, max_records + 1, dtype=np.float64)
    return float(np.max(m * norm.sf((threshold - 1.0 / m) / noise_std)))


def add_noise(sigma, units_per_one=1):
    def add(counts):
        return add_gaussian_noise(
            counts, noise_multiplier=sigma, units_per_one=units_per_one, secret=OsEntropy()
        )

    return add


@pytest.mark.parametrize(("sigma", "delta", "threshold"), [(3.0, 1e-7, 16.60), (10.0, 1e-7, 52.99)])
def test_thresholds_for_records_match_the_closed_form(sigma, delta, threshold):
    # 1 + sigma * Phi^-1(1 - delta)
    assert discovery_threshold(sigma, delta=delta, max_records=1) == pytest.approx(threshold, abs=0.01)


@given(st.floats(0.05, 100), st.floats(-12, -2), st.integers(1, 40))
def test_the_booked_probability_holds_for_every_number_of_rows(sigma, log_delta, max_records):
    delta = 10.0**log_delta
    threshold = discovery_threshold(sigma, delta=delta, max_records=max_records)
    assert publish_probability(threshold, sigma, max_records=max_records) <= delta * (1 + 1e-9)
    # the threshold is not needlessly high: a hair lower breaks it
    assert publish_probability(threshold - 1e-3 * sigma - 1e-6, sigma, max_records=max_records) > delta


@pytest.mark.parametrize("m", [1, 3])
def test_values_of_one_unit_are_published_no_more_often_than_booked(m):
    # A million tables in one call; each holds m values of one person, weighing 1/m each.
    n, sigma, delta, grid = 1_000_000, 2.0, 1e-3, 65_536
    threshold = discovery_threshold(sigma, delta=delta, max_records=3)
    counts = np.full(n * m, grid // m, dtype=np.int64)
    published = published_values(
        counts, threshold=threshold, max_values=n * m, add_noise=add_noise(sigma, grid)
    )
    n_tables = len(np.unique(published // m))
    assert n_tables <= binom.ppf(1 - FALSE_ALARM, n, delta)
    # power: half the noise margin would publish far more often than this test allows
    assert n * m * norm.sf((threshold / 2 - 1 / m) / sigma) > 2 * binom.ppf(1 - FALSE_ALARM, n, delta)


def test_values_that_occur_only_in_rows_cut_away_are_never_published():
    counts = np.zeros(1_000_000, dtype=np.int64)
    published = published_values(counts, threshold=-1e9, max_values=10, add_noise=add_noise(5.0))
    assert len(published) == 0


def test_frequent_values_are_published_and_the_cap_keeps_the_largest():
    counts = np.array([5, 100_000, 50_000, 70_000, 0])
    add = add_noise(3.0)
    assert sorted(published_values(counts, threshold=40.0, max_values=9, add_noise=add)) == [1, 2, 3]
    assert sorted(published_values(counts, threshold=40.0, max_values=2, add_noise=add)) == [1, 3]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=50))
def test_doubling_bins_hold_their_values(values):
    array = np.asarray(values)
    edges, bins = bound_edges(), bound_bin(np.asarray(values))
    for value, position in zip(array, bins, strict=True):
        if np.isnan(value):
            assert position == -1
        elif edges[0] <= value < edges[-1]:
            assert edges[position] <= value < edges[position + 1]
        else:
            assert position in (0, len(edges) - 2)


def test_bounds_are_the_outer_edges_of_what_stands_clear():
    counts = np.zeros(len(bound_edges()) - 1)
    counts[bound_bin(np.array([3.0, 70.0]))] = [500.0, 400.0]
    assert bounds_from_counts(counts, noise_std=5.0) == (2.0, 128.0)
    assert bounds_from_counts(np.zeros_like(counts), noise_std=5.0) is None


def test_bins_stand_clear_together_but_not_beyond_one_that_is_clear_alone():
    # at noise 5 a bin is clear from about 21, two from 30 together, three from 37; empty ones add nothing
    counts = np.zeros(len(bound_edges()) - 1)
    counts[bound_bin(np.array([3.0, 5.0, 9.0, 17.0]))] = [100.0, 13.0, 14.0, 12.0]
    assert bounds_from_counts(counts, noise_std=5.0) == (2.0, 32.0)
    counts[bound_bin(np.array([17.0]))] = 0.0
    assert bounds_from_counts(counts, noise_std=5.0) == (2.0, 4.0)


def test_a_thin_tail_is_cut_where_nothing_is_left_of_it():
    # 5,000 days, most of them -1 and 0, one in seven up to a year later: none of their bins is clear alone
    rng = np.random.default_rng(0)
    days = np.where(
        rng.random(5000) < 0.14, np.floor(np.exp(rng.uniform(0, 6, 5000))), rng.integers(-1, 1, 5000)
    )
    counts = np.bincount(bound_bin(days), minlength=len(bound_edges()) - 1)
    highs = [bounds_from_counts(add_noise(33.0)(counts), noise_std=33.0)[1] for _ in range(20)]
    assert np.median(highs) >= 128.0
    assert max(highs) <= 4096.0


def test_noise_alone_gives_bounds_as_rarely_as_stated():
    n_runs, n_bins = 3000, len(bound_edges()) - 1
    found = sum(
        bounds_from_counts(add_noise(4.0)(np.zeros(n_bins, dtype=np.int64)), noise_std=4.0) is not None
        for _ in range(n_runs)
    )
    assert found <= binom.ppf(1 - FALSE_ALARM, n_runs, 0.011)
    assert found > 0  # the bound is sharp, about one in a hundred
