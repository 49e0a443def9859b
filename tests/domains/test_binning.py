"""Bins: runs of cells that stand clear of their noise, and the shape inside them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.domains.binning import bins_from_histogram, heavy_cells, merge_cells
from privsynth.domains.encoding import NumericGrid
from privsynth.domains.noisy_cells import JUMP_PENALTY, denoise, stretches
from privsynth.schema import Column

counts_of_cells = st.lists(st.floats(-50, 500), min_size=1, max_size=80)


def column(low, high):
    return Column(name="x", type="integer", low=low, high=high)


def domain_from(ticks, grid, *, noise_std, n_bins=32, seed=0):
    """Return the domain made from the noisy counts of these ticks."""
    counts = np.bincount(grid.index(np.asarray(ticks, dtype=float)), minlength=grid.n_cells)
    noisy = counts + np.random.default_rng(seed).normal(0, noise_std, grid.n_cells)
    public = column(int(grid.low), int(grid.high))
    return domain_of(public, grid, noisy, noise_std=noise_std, n_bins=n_bins, has_missing=False)


def domain_of(*arguments, **rest):
    """Return the domain of the bins made from a histogram."""
    return bins_from_histogram(*arguments, **rest).domain


def merged(counts, noise_std, n_bins):
    """Return the bin of each cell of these counts."""
    return merge_cells(
        denoise(np.asarray(counts, dtype=float), noise_std=noise_std), noise_std=noise_std, n_bins=n_bins
    )


def redrawn(domain, ticks, seed=1):
    """Return as many ticks as given, drawn from the bins that they fall into."""
    codes = domain.encode(pd.Series(np.asarray(ticks, dtype=float)))
    return domain.pieces().draw(codes, np.random.default_rng(seed))


# -- which cells go together ---------------------------------------------------------------------------


@given(counts_of_cells, st.integers(1, 20), st.sampled_from([0.0, 5.0, 50.0]))
def test_bins_are_runs_of_cells_in_order(counts, n_bins, noise_std):
    bins = merged(counts, noise_std, n_bins)
    assert bins[0] == 0
    assert set(np.diff(bins).tolist()) <= {0, 1}


@given(counts_of_cells, st.integers(1, 20), st.sampled_from([0.0, 5.0, 50.0]))
def test_heavy_cells_stay_alone(counts, n_bins, noise_std):
    noisy = np.array(counts)
    bins = merged(noisy, noise_std, n_bins)
    share = np.maximum(noisy, 0).sum() / n_bins
    for cell in np.flatnonzero((noisy >= max(share, 4 * noise_std)) & (noisy > 1e-9)):
        assert (bins == bins[cell]).sum() == 1


@given(counts_of_cells, st.integers(1, 20), st.sampled_from([0.0, 5.0, 50.0]))
def test_between_heavy_cells_only_a_lone_bin_may_be_within_its_noise(counts, n_bins, noise_std):
    cells = denoise(np.array(counts), noise_std=noise_std)
    bins = merge_cells(cells, noise_std=noise_std, n_bins=n_bins)
    heavy = np.flatnonzero(heavy_cells(cells.mass, noise_std=noise_std, n_bins=n_bins)[0])
    edges = [-1, *heavy, len(bins)]
    for left, right in itertools.pairwise(edges):
        run = np.arange(left + 1, right)
        for b in np.unique(bins[run]) if len(np.unique(bins[run])) > 1 else []:
            mass = cells.mass[run][bins[run] == b].sum()
            n_clear = cells.is_clear[run][bins[run] == b].sum()
            # what is left over may be negative and joins the last of them, which was clear without it
            assert mass >= 4 * noise_std * np.sqrt(n_clear) - 1e-6 or b == bins[run].max()


def test_equal_cells_give_as_many_bins_as_asked_for():
    assert merged(np.full(480, 100.0), 1.0, 48).max() == 47


@pytest.mark.parametrize(
    ("counts", "n_bins", "bins"),
    [
        # the last cell is within its noise and counts for nothing; of 24 units a share is 12
        ([6, 6, 6, 6, 1], 2, [0, 0, 1, 1, 1]),
        # 16 units, a share of 8: closed at 12, and the 4 that are left over are not clear
        ([6, 6, 3, 1], 2, [0, 0, 0, 0]),
        # heavy cells stay alone, whatever is beside them
        ([1, 1, 40, 1, 1], 2, [0, 0, 1, 2, 2]),
        ([40, 41, -3, 42], 4, [0, 1, 2, 3]),
        ([9, 9, 1, 60, 9, 9, 1], 2, [0, 0, 0, 1, 2, 2, 2]),
        # nearly all is zero: three bins share the 40 units that are left, so they close at 14 and 14
        ([900, 8, 6, 7, 7, 6, 6], 4, [0, 1, 1, 2, 2, 3, 3]),
    ],
)
def test_bins_worked_by_hand(counts, n_bins, bins):
    assert merged(counts, 1.0, n_bins).tolist() == bins


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9), st.floats(0.1, 10))
def test_stretches_are_the_best_of_all_divisions(counts, noise_std):
    y, n = np.array(counts), len(counts)
    penalty = JUMP_PENALTY * noise_std**2 * np.log(max(n, 2))

    def cost(labels):
        parts = [y[labels == label] for label in np.unique(labels)]
        return sum(float(((part - part.mean()) ** 2).sum()) + penalty for part in parts)

    best = min(cost(np.cumsum([0, *jumps])) for jumps in itertools.product([0, 1], repeat=n - 1))
    assert cost(stretches(y, noise_std=noise_std)) == pytest.approx(best, abs=1e-6)


def test_a_wide_gap_hides_nothing_that_lies_beyond_it():
    # 100 empty cells have noise of 300 together, as much as is in the two clusters beyond them
    exact = np.r_[np.zeros(100), np.full(3, 150.0), np.zeros(50), np.full(3, 150.0), np.zeros(50)]
    rng = np.random.default_rng(0)
    found = [merged(exact + rng.normal(0, 30, len(exact)), 30.0, 32) for _ in range(100)]
    assert np.mean([bins[102] != bins[155] for bins in found]) > 0.9
    assert max(bins.max() for bins in found) < 12


def test_what_is_not_clear_of_its_noise_is_shrunk():
    # six cells, 12 units in all at a noise of sqrt(6): 1 - 6/144 of them are left, spread evenly
    cells = denoise(np.array([3.0, 1.0, 2.0, 2.0, 3.0, 1.0]), noise_std=1.3)
    assert not cells.is_clear.any()
    assert cells.mass == pytest.approx(np.full(6, 2.0 * (1 - 6 * 1.3**2 / 144)))
    assert denoise(np.array([1.0, -1.0, 0.5]), noise_std=1.0).mass.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("n_cells", [1, 10, 100, 600])
def test_noise_alone_gives_few_bins(n_cells):
    # a bin more needs a sum of n cells above 4 sqrt(n) deviations: about 3e-5 per start and length
    noise = np.random.default_rng(n_cells).normal(0, 30, (200, n_cells))
    n_bins = [merged(row, 30.0, 48).max() + 1 for row in noise]
    assert max(n_bins) <= 5
    assert np.mean(n_bins) < 1.3


@pytest.mark.parametrize("counts", [[0.0], [-3.0], [0.0] * 50, [-1.0] * 50, [5.0]])
def test_empty_negative_and_single_histograms_have_one_bin(counts):
    grid = NumericGrid.between(0, len(counts) - 1, discrete=True)
    noisy = np.array(counts)
    domain = domain_of(column(0, len(counts) - 1), grid, noisy, noise_std=1.0, n_bins=8, has_missing=True)
    assert domain.n_bins == 1
    assert domain.size == 2
    assert domain.cell_weight == pytest.approx(np.full(len(counts), 1 / len(counts)))


# -- single values -------------------------------------------------------------------------------------


def mostly_zero(high, n=20_000, share=0.9, low=1, seed=0):
    rng = np.random.default_rng(seed)
    tail = np.floor(np.exp(rng.uniform(np.log(low), np.log(high), n)))
    return np.where(rng.random(n) < share, 0.0, tail)


@pytest.mark.parametrize("lowest", [0, -200])
@pytest.mark.parametrize("noise_std", [1.0, 40.0])
def test_zeros_stay_zeros_in_a_column_of_which_they_are_nine_tenths(lowest, noise_std):
    # below zero there is nothing but noise, none of which may flow into the zeros or take from them
    ticks = mostly_zero(300)
    domain = domain_from(ticks, NumericGrid.between(lowest, 300, discrete=True), noise_std=noise_std)
    zero = domain.grid.index(np.zeros(1))[0]
    assert (domain.bin_of_cell == domain.bin_of_cell[zero]).sum() == 1
    assert (redrawn(domain, ticks) == 0).sum() == (ticks == 0).sum()


def test_zeros_stay_zeros_on_a_wide_line():
    ticks = mostly_zero(1_000_000, low=1000)
    domain = domain_from(ticks, NumericGrid.between(0, 1_000_000, discrete=True), noise_std=40.0)
    assert (redrawn(domain, ticks) == 0).sum() == (ticks == 0).sum()


def test_spikes_are_bins_of_their_own_and_split_no_bin():
    grid = NumericGrid.between(0, 100_000, discrete=True)
    point_masses = np.arange(1000.0, 60_000.0, 1000.0)
    plain = merged(np.full(grid.n_cells, 3.0), 5.0, 16).max() + 1
    counts = np.full(grid.with_point_masses(point_masses).n_cells, 3.0)
    spiked = grid.with_point_masses(point_masses)
    at = spiked.index(point_masses)
    counts[at] = 500.0
    domain = domain_of(column(0, 100_000), spiked, counts, noise_std=5.0, n_bins=16, has_missing=False)
    assert [(domain.bin_of_cell == domain.bin_of_cell[cell]).sum() for cell in at] == [1] * len(point_masses)
    # sparse cells on both sides of a spike make up one bin: 59 point_masses add 59 bins and little more
    assert domain.n_bins - len(point_masses) <= plain + 4
    codes = np.repeat(domain.bin_of_cell[at], 20)
    drawn = domain.pieces().draw(codes, np.random.default_rng(0))
    assert (drawn == np.repeat(point_masses, 20)).all()


def test_a_line_of_nothing_but_spikes_is_a_domain():
    grid = NumericGrid.between(0, 3, discrete=True).with_point_masses(np.arange(4.0))
    domain = domain_of(column(0, 3), grid, np.full(4, 9.0), noise_std=1.0, n_bins=2, has_missing=False)
    assert domain.bin_of_cell.tolist() == [0, 1, 2, 3]


# -- the shape inside ----------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.floats(0, 300), st.booleans())
def test_shares_inside_bins_are_probabilities(seed, scale, discrete):
    rng = np.random.default_rng(seed)
    grid = NumericGrid.between(-3.0, 10_000.0, discrete=discrete).with_point_masses(np.array([0.0, 500.0]))
    noisy = rng.normal(0, 5, grid.n_cells) + scale / np.arange(1, grid.n_cells + 1)
    domain = domain_of(column(-3, 10_000), grid, noisy, noise_std=5.0, n_bins=8, has_missing=False)
    assert (domain.cell_weight >= 0).all()
    totals = np.bincount(domain.bin_of_cell, weights=domain.cell_weight)
    assert totals == pytest.approx(np.ones(domain.n_bins))


def test_a_tail_in_which_nothing_is_seen_takes_over_little():
    # amounts around 10,000 on a line to 2,000,000, of which the last 1.8 million hold one in a hundred
    rng = np.random.default_rng(0)
    ticks = np.minimum(np.floor(np.exp(rng.normal(10, 1, 6000))), 2_000_000.0)
    grid = NumericGrid.between(0, 2_000_000, discrete=True)
    means = [redrawn(domain_from(ticks, grid, noise_std=15.0, seed=seed), ticks).mean() for seed in range(20)]
    assert 0.85 < np.mean(means) / ticks.mean() < 1.25


def test_a_rare_value_at_the_end_of_a_line_stays_possible():
    # at this noise the 40 units of the first value are not clear, and in one run of three none is seen
    ticks = np.repeat(np.arange(8), [40, 120, 200, 600, 900, 500, 5000, 3000])
    grid = NumericGrid.between(0, 7, discrete=True)
    domains = [domain_from(ticks, grid, noise_std=26.0, seed=seed) for seed in range(40)]
    assert all((domain.cell_weight > 0).all() for domain in domains)
    ends = [redrawn(domain, ticks).min() for domain in domains]
    assert np.mean(np.equal(ends, 0)) > 0.7  # a tenth of the noise of one cell is two or three units


def test_clear_counts_are_kept_inside_a_bin():
    grid = NumericGrid.between(0, 9, discrete=True)
    noisy = np.array([100.0, 300.0, 0.0, 200.0, 400.0, 100.0, 300.0, 0.0, 200.0, 400.0])
    domain = domain_of(column(0, 9), grid, noisy, noise_std=1e-3, n_bins=1, has_missing=False)
    assert domain.n_bins == 1
    assert domain.cell_weight == pytest.approx(noisy / noisy.sum(), abs=1e-6)


def test_noise_is_not_kept_inside_a_bin():
    # 500 units over 500 values at a noise of 40 each: kept as they are, half of the values would get nothing
    grid = NumericGrid.between(0, 499, discrete=True)
    rng = np.random.default_rng(3)
    off = []
    for _ in range(20):
        noisy = 10.0 + rng.normal(0, 40, 500)
        domain = domain_of(column(0, 499), grid, noisy, noise_std=40.0, n_bins=1, has_missing=False)
        off.append(0.5 * np.abs(domain.cell_weight - 1 / 500).sum())
    assert np.median(off) < 0.1
    clipped = np.maximum(noisy, 0) / np.maximum(noisy, 0).sum()
    assert 0.5 * np.abs(clipped - 1 / 500).sum() > 0.4


def test_flat_and_heavy_tails_keep_their_middle():
    # One bin from 0 to 10^6, at a noise above most counts. Equal shares by cell put 70 % of the flat tail
    # below its median, shares by width 10 % of the heavy one.
    grid = NumericGrid.between(0, 1_000_000, discrete=True)
    below = {"flat": [], "heavy": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        tails = {"flat": rng.uniform(0, 1e6, 10_000), "heavy": 10 ** rng.uniform(0, 6, 10_000)}
        for name, tail in tails.items():
            ticks = np.floor(tail)
            domain = domain_from(ticks, grid, noise_std=130.0, n_bins=1, seed=seed)
            assert domain.n_bins == 1
            below[name].append((redrawn(domain, ticks) <= np.median(ticks)).mean())
    assert 0.42 < np.mean(below["flat"]) < 0.6
    assert 0.2 < np.mean(below["heavy"]) < 0.6
