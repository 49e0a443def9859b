"""Public bounds far wider than the values: means and medians stay right, on lines of every kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.domains.binning import bins_from_histogram
from privsynth.domains.doubling import bound_edges, doubling_bins
from privsynth.domains.encoding import NumericGrid
from privsynth.domains.tails import clear_ends
from privsynth.schema import Column, Schema
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.octaves import MOST_PARTS, Octaves, is_wide
from tests.benchmarks.wide_bounds import KINDS, one
from tests.helpers.tables import QUICK

MONEY = Column(name="x", type="real", low=0, high=1e9, decimals=2)


def octaves_of(ticks, noise_std=0.0, seed=0):
    """Return the noisy counts of the doubling bins of these ticks."""
    counts = np.bincount(
        doubling_bins(None).encode(pd.Series(ticks, dtype=float)), minlength=len(bound_edges()) - 1
    )
    return Octaves(
        counts + np.random.default_rng(seed).normal(0, noise_std, len(counts)), max(noise_std, 1.0)
    )


@pytest.mark.parametrize("name", list(KINDS))
def test_means_and_medians_are_right_under_wide_public_bounds(name):
    # of five fits, of which some may be off: amounts have a tail of which a third of the mean is not seen
    found = [one(KINDS[name], 8000, 1.0, seed, private=False) for seed in range(5)]
    mean, median = np.median(found, axis=0)
    centre = 0.0 if KINDS[name].is_shifted else 1.0
    assert abs(mean - centre) < 0.3
    assert abs(median - centre) < 0.2


@pytest.mark.parametrize(
    ("column", "wide"),
    [
        (MONEY, True),
        (Column(name="x", type="integer", low=0, high=110), False),
        (Column(name="x", type="real", low=0, high=1), False),
        (Column(name="x", type="integer", low=0, high="private"), False),
        (Column(name="x", type="datetime", low="1900-01-01", high="2100-12-31"), True),
        (Column(name="x", type="datetime", low="1920-01-01", high="2020-12-31"), False),
        (Column(name="x", type="boolean"), False),
    ],
)
def test_lines_are_wide_by_their_public_bounds(column, wide):
    assert is_wide(column) == wide


@pytest.mark.parametrize("low", [0.0, -1e9, 40.0])
@pytest.mark.parametrize("decimals", [2, None])
def test_cells_lie_where_the_values_are_and_cover_the_whole_line(low, decimals):
    column = Column(name="x", type="real", low=low, high=1e9, decimals=decimals)
    ticks = np.random.default_rng(0).uniform(300, 500, 5000) * (100 if decimals else 1)
    grid = octaves_of(ticks).grid(column, cell_noise=10.0)
    assert (grid.low, grid.high) == ((low * 100, 1e11) if decimals else (low, 1e9))
    assert (np.diff(grid.edges) > 0).all()
    assert grid.edges[0] == grid.low
    inside = ((grid.edges >= ticks.min()) & (grid.edges <= ticks.max())).sum()
    assert 50 < inside <= 2 * MOST_PARTS
    assert grid.n_cells < inside + 180
    assert not set(grid.edges) - set(np.ceil(grid.edges)) or decimals is None


def test_cells_agree_with_the_counts_of_their_doubling_bins():
    ticks = np.random.default_rng(0).uniform(300, 500, 5000)
    octaves = octaves_of(ticks)
    grid = octaves.grid(Column(name="x", type="integer", low=0, high=10**9), cell_noise=10.0)
    exact = np.bincount(grid.index(ticks), minlength=grid.n_cells).astype(float)
    assert octaves.reconciled(grid, exact, noise_std=5.0) == pytest.approx(exact)
    noisy = exact + np.random.default_rng(1).normal(0, 5, (300, grid.n_cells))
    better = np.array([octaves.reconciled(grid, row, noise_std=5.0) for row in noisy])
    total, exact_total = better.sum(axis=1), exact.sum()
    assert total.mean() == pytest.approx(exact_total, rel=0.02)
    assert total.std() < 0.5 * noisy.sum(axis=1).std()


def test_a_tail_goes_on_as_it_began_and_ends_where_hardly_anything_is_left():
    rng = np.random.default_rng(0)
    values = np.floor(rng.pareto(1.3, 8000) * 1000 + 1)
    grid = octaves_of(values, 30.0).grid(Column(name="x", type="integer", low=0, high=10**9), cell_noise=10.0)
    counts = np.bincount(grid.index(values), minlength=grid.n_cells)
    column = Column(name="x", type="integer", low=0, high=10**9)
    shares = []
    for seed in range(10):
        noisy = counts + np.random.default_rng(seed).normal(0, 10, grid.n_cells)
        bins = bins_from_histogram(
            column, grid, noisy, noise_std=10.0, n_bins=20, has_missing=False, is_wide=True
        )
        mass = bins.counts[bins.domain.bin_of_cell] * bins.domain.cell_weight
        beyond = [mass[grid.edges >= 2.0**k].sum() / mass.sum() for k in (15, 17, 24)]
        shares.append(beyond)
    exact = [(values >= 2.0**k).mean() for k in (15, 17)]
    assert np.median(shares, axis=0)[:2] == pytest.approx(exact, rel=0.5)
    assert max(beyond[2] for beyond in shares) < 1e-3


def test_noise_beyond_the_values_is_no_part_of_them():
    exact = np.r_[np.full(20, 100.0), np.full(5, 20.0), np.zeros(100)]
    ends = [
        clear_ends(exact + np.random.default_rng(s).normal(0, 10, 125), threshold=50.0, most_together=16)
        for s in range(200)
    ]
    assert min(end for _, end in ends) >= 20
    assert np.quantile([end for _, end in ends], 0.95) <= 40
    assert clear_ends(np.zeros(5), threshold=1.0, most_together=16) is None


def test_a_wide_line_of_persons_may_be_missing_and_is_kept_in_the_file(tmp_path):
    rng = np.random.default_rng(0)
    n = 6000
    spent = np.where(rng.random(n) < 0.4, np.nan, rng.gamma(2.0, 300.0, n).round(2))
    table = pd.DataFrame({"who": rng.integers(0, n // 2, n), "ill": rng.random(n) < 0.3, "spent": spent})
    columns = {
        "who": {"type": "id", "role": "person_id"},
        "ill": {"type": "boolean"},
        "spent": {"type": "real", "low": -1e8, "high": 1e9, "decimals": 2, "missing": "private"},
    }
    model = MarginalSynthesizer(epsilon=2.0, settings=QUICK, random_state=0)
    model.fit(
        table, schema=Schema(columns, max_records_per_person=4), dataset="d", ledger=tmp_path / "l.sqlite"
    )
    drawn = model.sample(5000, random_state=0)["spent"]
    assert drawn.isna().mean() == pytest.approx(0.4, abs=0.08)
    assert drawn.mean() == pytest.approx(600.0, rel=0.25)
    assert "orders of magnitude of 'spent'" in [event["purpose"] for event in model.guarantee_["events"]]
    arrays = model._arrays_of(model.model_)
    assert all(np.array_equal(array, arrays[name]) for name, array in model.replay().items())


def test_a_line_that_is_not_wide_keeps_its_grid():
    grid = NumericGrid.between(0, 999, discrete=True)
    noisy = np.r_[np.full(10, 90.0), np.zeros(grid.n_cells - 10)]
    column = Column(name="x", type="integer", low=0, high=999)
    bins = bins_from_histogram(column, grid, noisy, noise_std=5.0, n_bins=8, has_missing=False)
    assert bins.counts.sum() == pytest.approx(noisy.sum())
    assert bins.variance.sum() == pytest.approx(25.0 * grid.n_cells)
