"""Domains: grids partition the line, codes and values match, ranges are exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from privsynth.binning import bins_from_histogram, merge_cells
from privsynth.encoding import (
    DiscreteDomain,
    NumericDomain,
    NumericGrid,
    labels_to_values,
    ticks_to_values,
    to_ticks,
)
from privsynth.schema import Column

FALSE_ALARM = 1e-6
whole = st.integers(-(2**40), 2**40)


@st.composite
def grids(draw):
    discrete = draw(st.booleans())
    if discrete:
        low, high = sorted((draw(whole), draw(whole)))
        if draw(st.booleans()):
            high = low + draw(st.integers(0, 3000))
    else:
        low = draw(st.floats(-1e9, 1e9))
        high = low + draw(st.floats(1e-2, 1e9))
    resolution = draw(st.sampled_from([1.0, 100.0, 1e9]))
    grid = NumericGrid.between(float(low), float(high), discrete=discrete, resolution=resolution)
    spikes = [low + draw(st.floats(0, 1)) * (high - low) for _ in range(draw(st.integers(0, 3)))]
    spikes = [float(np.floor(s)) if discrete else min(s, high) for s in spikes]
    return grid.with_spikes(np.asarray(spikes))


@given(grids(), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_grid_partitions_its_range(grid, shares):
    assert grid.edges[0] == grid.low
    assert (np.diff(grid.edges) > 0).all()
    assert grid.n_cells < 5000
    ticks = grid.low + np.asarray(shares) * (grid.high - grid.low)
    if grid.discrete:
        ticks = np.floor(ticks)
    first, last = grid.intervals()
    cell = grid.index(ticks)
    assert (first[cell] <= ticks).all()
    assert (ticks <= last[cell]).all()
    if grid.discrete:
        assert (last - first + 1).sum() == grid.high - grid.low + 1


@given(grids())
def test_single_values_have_cells_of_their_own(grid):
    first, last = grid.intervals()
    for spike in grid.spikes:
        cell = grid.index(np.array([spike]))[0]
        assert first[cell] == spike
        assert last[cell] == spike


def test_values_beyond_the_bounds_fall_into_the_outer_cells_and_nan_into_none():
    grid = NumericGrid.between(0, 9, discrete=True)
    assert grid.index(np.array([-5.0, 99.0, np.nan])).tolist() == [0, 9, -1]


@pytest.mark.parametrize(
    ("low", "high"), [(5, 5), (0, 511), (0, 512), (10**9, 10**9 + 1000), (-(2**53), 2**53)]
)
def test_odd_ranges_have_grids(low, high):
    grid = NumericGrid.between(float(low), float(high), discrete=True)
    assert grid.index(np.array([low, high], dtype=float)).tolist() == [0, grid.n_cells - 1]


def domain(column, grid, *, n_bins=4, missing=False):
    counts = np.random.default_rng(0).integers(0, 100, grid.n_cells).astype(float)
    return bins_from_histogram(column, grid, counts, noise_std=1.0, n_bins=n_bins, has_missing=missing)


PAY = Column(name="pay", type="real", low=-5.0, high=20.0, decimals=2)


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=40), st.integers(0, 9))
def test_a_decoded_value_lies_in_its_bin_and_within_the_bounds(values, seed):
    numeric = domain(PAY, NumericGrid.between(-500, 2000, discrete=True))
    codes = numeric.encode(pd.Series(values))
    ticks = numeric.pieces().draw(codes, np.random.default_rng(seed))
    drawn = ticks_to_values(ticks, PAY)
    assert drawn.between(-5, 20).all()
    assert np.array_equal(drawn, drawn.round(2))
    # a cell without weight in its bin is never drawn, but every code comes back
    assert np.array_equal(numeric.encode(drawn), codes)


def test_missing_has_the_last_code_or_none():
    grid = NumericGrid.between(0, 9, discrete=True)
    column = Column(name="x", type="integer", low=0, high=9, missing=True)
    values = pd.Series([3.0, np.nan])
    assert domain(column, grid, missing=True).encode(values)[1] == domain(column, grid, missing=True).size - 1
    assert domain(column, grid).encode(values)[1] == -1


def test_values_come_back_with_their_types():
    integer = Column(name="x", type="integer", low=0, high=9)
    assert ticks_to_values(np.array([3.0]), integer).dtype == np.int64
    optional = Column(name="x", type="integer", low=0, high=9, missing=True)
    assert ticks_to_values(np.array([3.0, np.nan]), optional).isna().tolist() == [False, True]
    day = Column(name="d", type="datetime", low="2020-01-01", high="2021-01-01")
    moments = ticks_to_values(np.array([18262.0, np.nan]), day)
    assert moments.tolist() == [pd.Timestamp("2020-01-01"), pd.NaT]
    assert to_ticks(np.array([0.1 + 0.2]), PAY).tolist() == [30.0]


def test_ranges_cover_what_a_loop_counts():
    column = Column(name="x", type="integer", low=0, high=2000)
    numeric = domain(
        column, NumericGrid.between(0, 2000, discrete=True).with_spikes(np.array([77.0])), n_bins=9
    )
    ranges = [(3.0, 5.0), (77.0, 77.0), (100.0, 1500.0)]
    first, last = numeric.grid.intervals()
    share = np.zeros(numeric.n_bins)
    for tick in range(2001):
        if any(low <= tick <= high for low, high in ranges):
            cell = numeric.grid.index(np.array([float(tick)]))[0]
            share[numeric.bin_of_cell[cell]] += numeric.cell_weight[cell] / (last[cell] - first[cell] + 1)
    assert numeric.pieces(ranges).share_of_bins(numeric.n_bins) == pytest.approx(share, abs=1e-9)


def test_draws_inside_ranges_follow_the_cells():
    column = Column(name="x", type="integer", low=0, high=9)
    grid = NumericGrid.between(0, 9, discrete=True)
    weight = np.array([0.1, 0.2, 0.3, 0.4, 0.05, 0.15, 0.2, 0.25, 0.25, 0.1])
    numeric = NumericDomain(column, grid, np.repeat([0, 1], [4, 6]), weight, False)
    pieces = numeric.pieces([(1.0, 2.0), (6.0, 8.0)])
    drawn = pieces.draw(np.repeat([0, 1], 50_000), np.random.default_rng())
    seen = np.bincount(drawn.astype(int), minlength=10)
    expected = np.zeros(10)
    expected[1:3] = 50_000 * weight[1:3] / weight[1:3].sum()
    expected[6:9] = 50_000 * weight[6:9] / weight[6:9].sum()
    assert seen[expected == 0].sum() == 0
    assert chisquare(seen[expected > 0], expected[expected > 0]).pvalue > FALSE_ALARM


def test_an_exact_value_of_a_continuous_column_has_mass_only_where_it_stands_out():
    column = Column(name="x", type="real", low=0.0, high=1.0)
    numeric = domain(column, NumericGrid.between(0.0, 1.0, discrete=False).with_spikes(np.array([0.25])))
    assert numeric.pieces([(0.25, 0.25)]).share_of_bins(numeric.n_bins).sum() == pytest.approx(1.0)
    assert numeric.pieces([(0.3, 0.3)]).share_of_bins(numeric.n_bins).sum() == 0.0


def test_discrete_codes_match_by_text_and_keep_their_types():
    column = Column(name="w", type="categorical", categories=(1, 2, 3), missing=True)
    discrete = DiscreteDomain(column, (1, 2, 3), False, True)
    values = pd.Series(pd.Categorical([3, 1, None], categories=[1, 2, 3]))
    assert discrete.encode(values).tolist() == [2, 0, 3]
    assert labels_to_values(np.array([2, 0, 3]), discrete.labels).tolist() == [3, 1, None]
    assert labels_to_values(np.array([0, 1]), (1, 2)).dtype == np.int64
    assert labels_to_values(np.array([0, 1]), (False, True)).dtype == bool


def test_undiscovered_values_are_other():
    column = Column(name="t", type="categorical", categories="private")
    discrete = DiscreteDomain(column, ("Bonn", "Ulm"), True, False)
    values = pd.Series(pd.Categorical(["Ulm", "Rome"], categories=["Bonn", "Rome", "Ulm"]))
    assert discrete.encode(values).tolist() == [1, 2]
    assert discrete.labels == ["Bonn", "Ulm", "other"]
    numbers = DiscreteDomain(column, (1, 2), True, False)
    assert numbers.labels == [1, 2, None]


# -- bins -----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-50, 500), min_size=1, max_size=60), st.integers(1, 20))
def test_bins_are_runs_and_heavy_cells_stay_alone(counts, n_bins):
    noisy = np.asarray(counts)
    bins = merge_cells(noisy, noise_std=5.0, n_bins=n_bins)
    assert bins[0] == 0
    assert set(np.diff(bins)) <= {0, 1}
    share = np.maximum(noisy, 0).sum() / n_bins
    for cell in np.flatnonzero((noisy >= max(share, 20.0)) & (noisy > 0)):
        assert (bins == bins[cell]).sum() == 1


@given(st.integers(0, 2**32), st.floats(0, 300))
def test_shares_inside_bins_add_up_to_one(seed, scale):
    grid = NumericGrid.between(0, 10_000, discrete=True)
    column = Column(name="x", type="integer", low=0, high=10_000)
    noisy = np.random.default_rng(seed).normal(0, 5, grid.n_cells) + scale / np.arange(1, grid.n_cells + 1)
    numeric = bins_from_histogram(column, grid, noisy, noise_std=5.0, n_bins=8, has_missing=False)
    totals = np.bincount(numeric.bin_of_cell, weights=numeric.cell_weight)
    assert totals == pytest.approx(np.ones(numeric.n_bins))
    assert (numeric.cell_weight >= 0).all()


def test_noise_alone_gives_few_bins():
    noise = np.random.default_rng().normal(0, 5, 300)
    assert merge_cells(noise, noise_std=5.0, n_bins=32).max() < 6


def test_a_column_of_zeros_keeps_zero_alone():
    grid = NumericGrid.between(0, 100_000, discrete=True)
    column = Column(name="x", type="integer", low=0, high=100_000)
    counts = np.zeros(grid.n_cells)
    counts[0], counts[40:140] = 9000.0, 10.0
    numeric = bins_from_histogram(column, grid, counts, noise_std=5.0, n_bins=32, has_missing=False)
    assert (numeric.bin_of_cell == numeric.bin_of_cell[0]).sum() == 1
