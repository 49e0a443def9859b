"""Discovery: what one unit alone holds is published with at most the booked probability; bounds are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from privsynth.domains.doubling import bound_edges, doubling_bins
from privsynth.privacy.mechanisms.discovery import HeldByMany, discovery_threshold
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import PERSON_GRID, Weighting
from privsynth.schema import Schema
from privsynth.synthesizers.tables.bounds import bounds_from_counts

FALSE_ALARM = 1e-6


def publish_probability(threshold: int, sigma: float, *, max_records: int, units_per_one: int) -> float:
    """Return the largest chance that a unit's own values are published, over its number of rows.

    By definition, with the law of the rounded noise: P(R = r) is that of a Gaussian within half a step of r,
    so R exceeds r from r + 1/2 on.
    """
    m = np.arange(1, max_records + 1)
    above = threshold - -(-units_per_one // m)  # rows of linked tables may weigh a step more than the least
    return float(np.max(m * norm.sf((above + 0.5) / (sigma * units_per_one))))


def bound_bin(values):
    return doubling_bins(None).encode(pd.Series(values, dtype=float))


class Observed:
    """Records of which nothing is asked but which values occur, and how often."""

    def __init__(self, counts, *, max_records=1, units_per_one=1):
        self.counts = np.asarray(counts)
        self.weighting = Weighting(
            rows=None, weights=None, units_per_one=units_per_one, max_records=max_records
        )

    def observed(self, columns, at_least=1):
        return [np.arange(len(self.counts))], self.counts


def with_noise(counts, sigma, units_per_one=1):
    return add_gaussian_noise(counts, noise_multiplier=sigma, units_per_one=units_per_one, secret=OsEntropy())


def published_values(records, *, sigma, delta, max_values):
    """Return the positions of what the mechanism publishes, with the noise that the curator would add."""
    column = Schema({"x": {"type": "categorical", "categories": "private"}}).columns["x"]
    level = {"noise_multiplier": sigma, "delta": delta, "max_values": max_values}
    exact = HeldByMany(purpose="test", of=(column,), **level).exact(records)
    noisy = with_noise(exact.arrays["counts"], sigma, exact.steps_per_unit)
    facts, arrays = exact.finish({"counts": noisy})
    assert not arrays
    return np.array(facts["values"], dtype=int)


@pytest.mark.parametrize(
    ("sigma", "delta", "threshold"),
    # the least t with sf((t - 1/2) / sigma) <= delta, from Phi^-1(1 - 1e-7) = 5.19934, Phi^-1(.999) = 3.09023
    [(3.0, 1e-7, 17), (10.0, 1e-7, 53), (1.0, 1e-3, 4), (0.5, 1e-3, 3), (2.0, 1e-3, 7), (4.0, 1e-3, 13)],
)
def test_thresholds_for_records_are_those_of_rounded_noise(sigma, delta, threshold):
    assert discovery_threshold(sigma, delta=delta, max_records=1) == threshold


GRIDS = pytest.mark.parametrize("units_per_one", [1, PERSON_GRID], ids=["records", "persons"])


@GRIDS
@given(st.floats(0.05, 100), st.floats(-14, -0.5), st.integers(1, 40))
def test_the_booked_probability_holds_for_every_number_of_rows(units_per_one, sigma, log_delta, max_records):
    delta = 10.0**log_delta
    setup = {"max_records": max_records if units_per_one > 1 else 1, "units_per_one": units_per_one}
    threshold = discovery_threshold(sigma, delta=delta, **setup)
    assert isinstance(threshold, int)
    assert publish_probability(threshold, sigma, **setup) <= delta * (1 + 1e-9)
    assert publish_probability(threshold - 1, sigma, **setup) > delta * (1 - 1e-9)  # none lower would do


@GRIDS
@given(st.floats(0.05, 100), st.floats(-14, -0.5), st.integers(1, 40), st.integers(1, 30))
def test_a_unit_that_lifts_values_over_the_least_count_is_covered(
    units_per_one, sigma, log_delta, max_records, at_least
):
    delta, most = 10.0**log_delta, max_records if units_per_one > 1 else 1
    least = at_least * units_per_one if at_least > 1 else 1
    setup = {"max_records": most, "units_per_one": units_per_one}
    threshold = discovery_threshold(sigma, delta=delta, least_steps=least, **setup)
    # a value of one step too few, and of each number of rows the part of the unit on top
    assert publish_probability(threshold - (least - 1), sigma, **setup) <= delta * (1 + 1e-9)
    assert publish_probability(threshold - (least - 1) - 1, sigma, **setup) > delta * (1 - 1e-9)


@GRIDS
def test_values_of_fewer_units_than_are_asked_for_are_not_considered(units_per_one):
    counts = np.arange(1, 9) * units_per_one
    column = Schema({"x": {"type": "categorical", "categories": "private"}}).columns["x"]
    level = {"purpose": "test", "noise_multiplier": 1.0, "delta": 1e-3, "max_values": 99}
    for at_least in (1, 5):
        exact = HeldByMany(of=(column,), at_least=at_least, **level).exact(
            Observed(counts, units_per_one=units_per_one)
        )
        assert exact.arrays["counts"].tolist() == counts[at_least - 1 :].tolist()
        # far above the threshold all that are considered are published, and no other
        noisy = {"counts": np.full(len(exact.arrays["counts"]), 1e6)}
        assert exact.finish(noisy)[0]["values"] == [*range(at_least - 1, 8)]


@GRIDS
@pytest.mark.parametrize("fraction", np.arange(20) / 20)
def test_no_fraction_of_a_continuous_threshold_lets_more_through(units_per_one, fraction):
    # Noise levels for which 1 + sigma * z, the threshold of continuous noise, has every fractional part:
    # rounded to a whole step it passes from half a step below.
    delta, z = 1e-3, float(norm.isf(1e-3))
    sigma = (4.0 + fraction / units_per_one) / z
    threshold = discovery_threshold(sigma, delta=delta, max_records=1, units_per_one=units_per_one)
    booked = {"max_records": 1, "units_per_one": units_per_one}
    assert publish_probability(threshold, sigma, **booked) <= delta
    if units_per_one == 1:
        continuous = np.floor(1.0 + sigma * z)  # what a count must exceed if the noise were not rounded
        too_often = publish_probability(continuous, sigma, **booked) > delta
        assert too_often == (threshold > continuous)


@given(st.floats(0.2, 50), st.floats(-12, -1), st.lists(st.integers(1, 12), min_size=1, max_size=12))
def test_values_that_share_the_rows_of_a_person_unevenly_are_covered(sigma, log_delta, rows_of_value):
    delta, m = 10.0**log_delta, sum(rows_of_value)
    threshold = discovery_threshold(sigma, delta=delta, max_records=m, units_per_one=PERSON_GRID)
    held = np.asarray(rows_of_value) * (PERSON_GRID // m)
    chance = float(norm.sf((threshold - held + 0.5) / (sigma * PERSON_GRID)).sum())
    assert chance <= delta * (1 + 1e-9)


@pytest.mark.parametrize(
    ("m", "grid", "sigma"),
    [(1, 1, 1.0), (1, 1, 1.61), (1, 1, 4.0), (1, PERSON_GRID, 2.0), (3, PERSON_GRID, 2.0)],
)
def test_values_of_one_unit_are_published_no_more_often_than_booked(m, grid, sigma):
    # A million tables in one call; each holds m values of one unit, weighing 1/m each.
    n, delta = 1_000_000, 1e-3
    counts = np.full(n * m, grid // m, dtype=np.int64)
    records = Observed(counts, max_records=m, units_per_one=grid)
    published = published_values(records, sigma=sigma, delta=delta, max_values=n * m)
    n_tables = len(np.unique(published // m))
    allowed = binom.ppf(1 - FALSE_ALARM, n, delta)
    assert n_tables <= allowed
    # Power: 1.4 times the booked probability would pass but once in a million.
    assert binom.sf(allowed, n, 1.4 * delta) > 1 - FALSE_ALARM


def test_values_that_occur_only_in_rows_cut_away_are_never_published():
    records = Observed(np.zeros(1_000_000, dtype=np.int64))
    assert len(published_values(records, sigma=5.0, delta=0.4, max_values=10)) == 0


def test_frequent_values_are_published_and_the_cap_keeps_the_largest():
    records = Observed([5, 100_000, 50_000, 70_000, 0])
    level = {"sigma": 3.0, "delta": 1e-30}
    assert published_values(records, **level, max_values=9).tolist() == [1, 2, 3]
    assert published_values(records, **level, max_values=2).tolist() == [1, 3]


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
    highs = [bounds_from_counts(with_noise(counts, 33.0), noise_std=33.0)[1] for _ in range(20)]
    assert np.median(highs) >= 128.0
    assert max(highs) <= 4096.0


def test_noise_alone_gives_bounds_as_rarely_as_stated():
    n_runs, n_bins = 3000, len(bound_edges()) - 1
    found = sum(
        bounds_from_counts(with_noise(np.zeros(n_bins, dtype=np.int64), 4.0), noise_std=4.0) is not None
        for _ in range(n_runs)
    )
    assert found <= binom.ppf(1 - FALSE_ALARM, n_runs, 0.011)
    assert found > 0  # the bound is sharp, about one in a hundred
