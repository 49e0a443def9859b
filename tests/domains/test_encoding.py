"""Codes and values: every value has one cell, and every code comes back as a value of its own bin."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from privsynth.domains.coding import narrow
from privsynth.domains.encoding import (
    CELLS_PER_OCTAVE,
    MAX_UNIT_CELLS,
    UNIFORM_CELLS,
    DiscreteDomain,
    NumericDomain,
    NumericGrid,
    labels_to_values,
    ticks_to_values,
    to_ticks,
)
from privsynth.schema import Column
from tests.helpers.chi_square import LARGEST, Constant, fits, tilted

LIMIT = 2**53
INTEGER = Column(name="x", type="integer", low=0, high=1)


# -- grids ---------------------------------------------------------------------------------------------


@st.composite
def grids(draw):
    """Draw a grid, with point_masses or without, and ticks worth trying on it."""
    discrete = draw(st.booleans())
    if discrete:
        low = draw(st.integers(-LIMIT, LIMIT))
        width = draw(st.one_of(st.integers(0, 2), st.integers(0, 2000), st.integers(0, 2 * LIMIT)))
        low, high = float(low), float(min(low + width, LIMIT))
        inside = st.integers(int(low), int(high)).map(float)
    else:
        low = draw(st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, 1e9, -1e9])))
        width = draw(st.one_of(st.just(0.0), st.floats(1e-9, 1e12), st.sampled_from([1e-300, 5e-324])))
        high = max(low + width, low)
        inside = st.floats(low, high)
    resolution = draw(st.sampled_from([1.0, 100.0, 1e9]))
    grid = NumericGrid.between(low, high, discrete=discrete, resolution=resolution)
    point_masses = draw(st.lists(inside, max_size=5))
    ticks = np.array([*draw(st.lists(inside, max_size=30)), low, high])
    near = np.r_[grid.edges, point_masses]
    beside = [near - 1, near + 1] if discrete else [np.nextafter(near, end) for end in (-np.inf, np.inf)]
    near = np.concatenate([near, *beside])
    ticks = np.r_[ticks, near[(near >= low) & (near <= high)]]
    return (grid.with_point_masses(np.array(point_masses)) if point_masses else grid), ticks


def holds(grid, ticks):
    """Return whether each cell's interval holds each tick, ``(n_ticks, n_cells)``, from its definition."""
    first, last = grid.intervals()
    t = ticks[:, None]
    if grid.discrete:
        return (first <= t) & (t <= last)
    is_last = np.arange(grid.n_cells) == grid.n_cells - 1
    return (first <= t) & ((t < last) | (t == first) | is_last & (t <= grid.high))


@given(grids())
def test_every_value_falls_into_the_one_cell_that_holds_it(case):
    grid, ticks = case
    held = holds(grid, ticks)
    assert (held.sum(axis=1) == 1).all()
    assert (grid.index(ticks) == held.argmax(axis=1)).all()


@given(grids())
def test_cells_follow_each_other_from_low_to_high(case):
    grid, _ = case
    first, last = grid.intervals()
    assert (first[0], last[-1]) == (grid.low, grid.high)
    assert (np.diff(first) > 0).all()
    assert (grid.widths() > 0).all()
    if grid.discrete:
        assert (first[1:] == last[:-1] + 1).all()
        assert grid.widths().sum() == pytest.approx(grid.high - grid.low + 1)
    else:
        is_single = first[:-1] == last[:-1]
        assert (np.where(is_single, np.nextafter(first[:-1], np.inf), last[:-1]) == first[1:]).all()


@given(grids())
def test_spikes_are_alone_in_their_cells(case):
    grid, _ = case
    first, last = grid.intervals()
    cells = grid.index(grid.point_masses)
    assert (first[cells] == grid.point_masses).all()
    assert (last[cells] == grid.point_masses).all()


@pytest.mark.parametrize(
    ("low", "high", "discrete"),
    [
        (0, 99, True),
        (-5, 1e6, True),
        (0.0, 1.0, False),
        (7.5, 7.5, False),
        (7, 7, True),
        (1e9, 1e9 + 1000, False),
    ],
)
def test_what_lies_outside_is_clamped_and_nan_is_nowhere(low, high, discrete):
    grid = NumericGrid.between(low, high, discrete=discrete)
    last = grid.n_cells - 1
    assert grid.index(np.array([low - 1, -np.inf, high + 1, np.inf, np.nan])).tolist() == [
        0,
        0,
        last,
        last,
        -1,
    ]


@pytest.mark.parametrize("width", [0, 1, 100, MAX_UNIT_CELLS - 1])
@pytest.mark.parametrize("low", [-LIMIT, -50, 0, LIMIT - MAX_UNIT_CELLS])
def test_up_to_the_limit_every_whole_number_has_a_cell_of_its_own(low, width):
    grid = NumericGrid.between(float(low), float(low + width), discrete=True)
    assert grid.is_fine
    assert grid.edges.tolist() == list(range(low, low + width + 1))
    assert grid.with_point_masses(np.array([float(low)])).n_cells == grid.n_cells


def test_the_widest_range_of_whole_numbers_has_the_last_one_too():
    grid = NumericGrid.between(float(LIMIT - 10), float(LIMIT), discrete=True)
    assert grid.is_fine
    assert grid.index(np.array([float(LIMIT - 1), float(LIMIT)])).tolist() == [9, 10]


@pytest.mark.parametrize("high", [1e3, 1e6, 1e12, 2.0**53])
def test_heavy_tails_are_resolved_on_a_logarithmic_scale(high):
    grid = NumericGrid.between(-high, high, discrete=True)
    first, last = grid.intervals()
    assert not grid.is_fine
    assert first[grid.index(np.array([0.0]))] == last[grid.index(np.array([0.0]))] == 0  # zero is alone
    ratio = 2.0 ** (1 / CELLS_PER_OCTAVE)
    positive = first > 0
    assert (last[positive] <= first[positive] * ratio + 1).all()
    assert grid.n_cells < 1200


@pytest.mark.parametrize("discrete", [True, False])
def test_a_narrow_range_far_from_zero_is_resolved(discrete):
    grid = NumericGrid.between(1e9, 1e9 + 1000, discrete=discrete)
    assert grid.widths().max() <= np.ceil(1000 / UNIFORM_CELLS)
    assert grid.widths()[0] <= (1 if discrete else 1000 * 2.0**-19)  # fine where it begins


def test_a_range_below_zero_is_fine_at_its_upper_end():
    grid = NumericGrid.between(-1e6, -10.0, discrete=True)
    assert grid.widths()[-3:].tolist() == [1, 1, 1]
    assert grid.widths()[0] > 1000


@pytest.mark.parametrize("discrete", [True, False])
def test_few_units_make_a_coarser_grid(discrete):
    sizes = [
        NumericGrid.between(0.0, 1e6, discrete=discrete, resolution=r).n_cells for r in (1, 64, 128, 512, 1e9)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == sizes[1] < sizes[2] / 1.5 < sizes[3] / 2
    assert sizes[3] == sizes[4]


# -- number lines: codes and values --------------------------------------------------------------------

COLUMNS = [
    Column(name="x", type="integer", low=-3, high=4),
    Column(name="x", type="integer", low=-40, high=2000, missing=True),
    Column(name="x", type="integer", low=2**53 - 5000, high=2**53),
    Column(name="x", type="real", low=-1, high=1, decimals=1),
    Column(name="x", type="real", low=0, high=50_000, decimals=2, missing=True),
    Column(name="x", type="real", low=1e9, high=1e9 + 0.7, decimals=3),
    Column(name="x", type="real", low=-5, high=5, decimals=0),
    Column(name="x", type="real", low=0, high=1),
    Column(name="x", type="real", low=1e9, high=1e9 + 1e-3, missing=True),
    Column(name="x", type="real", low=2.5, high=2.5),
    Column(name="x", type="datetime", low="1969-12-01", high="2020-02-29"),
    Column(
        name="x",
        type="datetime",
        low="2020-01-01T07:00",
        high="2020-12-31T23:00",
        resolution="hour",
        missing=True,
    ),
    Column(name="x", type="datetime", low="1900-01-01", high="9999-12-31", resolution="second"),
]


def domain_of(column, *, seed=0, n_bins=9, point_masses=()):
    """Return a domain over the column's bounds with runs of cells as bins and random weights."""
    rng = np.random.default_rng(seed)
    low, high = column.bounds
    discrete = column.step is not None
    ticks = to_ticks(np.array([low, high], dtype=np.float64), column) if discrete else [low, high]
    grid = NumericGrid.between(float(ticks[0]), float(ticks[1]), discrete=discrete)
    if len(point_masses):
        grid = grid.with_point_masses(np.asarray(point_masses, dtype=np.float64))
    n = min(n_bins, grid.n_cells)
    cut = np.sort(rng.choice(np.arange(1, grid.n_cells), n - 1, replace=False))
    bin_of_cell = np.searchsorted(cut, np.arange(grid.n_cells), side="right").astype(np.int64)
    weight = rng.random(grid.n_cells) + 0.01
    weight /= np.bincount(bin_of_cell, weights=weight)[bin_of_cell]
    return NumericDomain(column, grid, bin_of_cell, weight, bool(column.missing))


def canonical(values, column):
    """Return a synthetic column as the canonical numbers that `NumericDomain.encode` takes."""
    if column.type != "datetime":
        return values.astype("Float64").astype(np.float64)
    seconds = values.to_numpy().astype("datetime64[s]")
    return pd.Series(
        np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64) / column.resolution_seconds)
    )


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: f"{c.type}-{c.low}-{c.high}-{c.decimals}")
@pytest.mark.parametrize("at", ["random", "first", "last"])
def test_the_value_drawn_for_a_code_encodes_to_that_code(column, at):
    domain = domain_of(column)
    rng = {"random": np.random.default_rng(1), "first": Constant(0.0), "last": Constant(LARGEST)}[at]
    codes = np.repeat(np.arange(domain.n_bins), 500)
    values = ticks_to_values(domain.pieces().draw(codes, rng), column)
    assert (domain.encode(canonical(values, column)) == codes).all()


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: f"{c.type}-{c.low}-{c.high}-{c.decimals}")
def test_values_come_back_with_type_and_precision_inside_the_bounds(column):
    domain = domain_of(column)
    codes = np.repeat(np.arange(domain.n_bins), 300)
    values = ticks_to_values(domain.pieces().draw(codes, np.random.default_rng(2)), column)
    if column.type == "datetime":
        assert values.dtype == "datetime64[s]"
        zone_free = [dt.datetime.fromisoformat(bound) for bound in (column.low, column.high)]
        assert values.between(*(np.datetime64(bound, "s") for bound in zone_free)).all()
        return
    assert values.between(column.low, column.high).all()
    assert values.dtype == {"integer": "Int64" if column.missing else "int64", "real": "float64"}[column.type]
    if column.decimals is not None:
        assert (values == [float(f"{value:.{column.decimals}f}") for value in values]).all()


@given(st.integers(0, 12), st.integers(-(2**53), 2**53))
@example(12, 2**53 - 1)
def test_decimals_are_the_nearest_floats_to_what_they_are_written_as(decimals, tick):
    column = Column(name="x", type="real", low=0, high=1, decimals=decimals)
    sign, digits = "-" if tick < 0 else "", f"{abs(tick):0{decimals + 1}d}"
    text = f"{sign}{digits[: len(digits) - decimals]}.{digits[len(digits) - decimals :]}"
    assert ticks_to_values(np.array([float(tick)]), column)[0] == float(text)


@pytest.mark.parametrize("column", [c for c in COLUMNS if c.missing], ids=lambda c: c.type)
def test_missing_has_the_last_code_and_comes_back_missing(column):
    domain = domain_of(column)
    assert domain.encode(pd.Series([np.nan])).tolist() == [domain.size - 1] == [domain.n_bins]
    values = ticks_to_values(np.array([np.nan, domain.grid.low]), column)
    assert values.isna().tolist() == [True, False]


def test_without_a_missing_code_nan_is_counted_nowhere():
    assert domain_of(COLUMNS[0]).encode(pd.Series([np.nan, 0.0]))[0] == -1


def test_empty_columns_keep_their_type():
    types = [str(ticks_to_values(np.empty(0), column).dtype) for column in COLUMNS]
    assert types == [str(ticks_to_values(np.array([domain_of(c).grid.low]), c).dtype) for c in COLUMNS]


# -- pieces: what a condition leaves -------------------------------------------------------------------


@st.composite
def discrete_cases(draw):
    """Draw a domain of whole numbers and disjoint ranges of ticks, some of them beyond the bounds."""
    low = draw(st.integers(-3000, 3000))
    high = low + draw(st.integers(0, 1500))
    point_masses = draw(st.lists(st.integers(low, high), max_size=4))
    column = Column(name="x", type="integer", low=low, high=high)
    domain = domain_of(column, seed=draw(st.integers(0, 99)), point_masses=point_masses)
    ends = sorted(draw(st.sets(st.integers(low - 20, high + 20), min_size=2, max_size=8)))
    ranges = [(float(a), float(b)) for a, b in zip(ends[::2], ends[1::2], strict=False)]
    return domain, ranges


def tick_probabilities(domain, ranges):
    """Return all ticks, their bins, and what the ranges allow of their probability within the bin."""
    ticks = np.arange(domain.grid.low, domain.grid.high + 1)
    cell = domain.grid.index(ticks)
    probability = domain.cell_weight[cell] / np.bincount(cell)[cell]
    allowed = np.any([(low <= ticks) & (ticks <= high) for low, high in ranges], axis=0)
    return ticks, domain.bin_of_cell[cell], probability * allowed


@given(discrete_cases())
def test_the_share_of_a_bin_is_the_sum_over_its_allowed_ticks(case):
    domain, ranges = case
    _, bins, probability = tick_probabilities(domain, ranges)
    expected = np.bincount(bins, weights=probability, minlength=domain.n_bins)
    pieces = domain.pieces(ranges)
    assert pieces.share_of_bins(domain.n_bins) == pytest.approx(expected, abs=1e-12)
    assert domain.pieces().share_of_bins(domain.n_bins) == pytest.approx(np.ones(domain.n_bins))


@given(discrete_cases(), st.sampled_from(["random", "first", "last"]))
def test_only_allowed_ticks_are_drawn_each_inside_its_bin(case, at):
    domain, ranges = case
    pieces = domain.pieces(ranges)
    possible = np.flatnonzero(pieces.share_of_bins(domain.n_bins))
    if not len(possible):
        return
    rng = {"random": np.random.default_rng(0), "first": Constant(0.0), "last": Constant(LARGEST)}[at]
    codes = np.repeat(possible, 50)
    ticks = pieces.draw(codes, rng)
    assert np.any([(low <= ticks) & (ticks <= high) for low, high in ranges], axis=0).all()
    assert (domain.bin_of_cell[domain.grid.index(ticks)] == codes).all()


@pytest.mark.parametrize(
    "ranges",
    [
        [(-50.0, 900.0)],  # all of it
        [(17.0, 17.0)],  # a single value inside a wide cell
        [(-3.0, 40.0)],  # ends inside cells
        [(-50.0, -44.0), (0.0, 0.0), (3.0, 3.0), (100.0, 107.0), (899.0, 2000.0)],
    ],
)
def test_drawn_ticks_have_the_distribution_of_the_bins_shape(ranges):
    # 200,000 draws over at most 951 ticks: a tilt of 10 % between neighbours is caught
    column = Column(name="x", type="integer", low=-50, high=900)
    domain = domain_of(column, point_masses=[0, 100], seed=5)
    ticks, bins, probability = tick_probabilities(domain, ranges)
    pieces, rng = domain.pieces(ranges), np.random.default_rng(11)
    for code in np.flatnonzero(pieces.share_of_bins(domain.n_bins)):
        drawn = pieces.draw(np.full(200_000, code), rng)
        counts = np.bincount((drawn - domain.grid.low).astype(int), minlength=len(ticks))
        expected = probability * (bins == code)
        assert fits(counts, expected)
        assert np.count_nonzero(expected) == 1 or not fits(counts, tilted(expected))


@pytest.mark.parametrize("at", [0.0, LARGEST])
def test_cells_without_weight_are_never_drawn(at):
    column = Column(name="x", type="integer", low=0, high=5)
    grid = NumericGrid.between(0, 5, discrete=True)
    weight = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    domain = NumericDomain(column, grid, np.array([0, 0, 0, 1, 1, 1]), weight, False)
    for ranges in (None, [(0.0, 5.0)], [(1.0, 2.0), (4.0, 5.0)]):
        assert domain.pieces(ranges).draw(np.array([0, 1, 1, 0]), Constant(at)).tolist() == [1, 4, 4, 1]


def test_tiny_shares_of_a_late_bin_keep_their_proportions():
    # two values of a cell of 2^44: their weights vanish beside the mass of the bins before
    column = Column(name="x", type="integer", low=0, high=2**53)
    grid = NumericGrid.between(0.0, 2.0**53, discrete=True)
    domain = NumericDomain(column, grid, np.arange(grid.n_cells), np.ones(grid.n_cells), False)
    low = float(2**52 + 12345)
    pieces = domain.pieces([(low, low), (low + 7, low + 9)])
    code = int(grid.index(np.array([low]))[0])
    drawn = pieces.draw(np.full(40_000, code), np.random.default_rng(3)) - low
    counts = np.bincount(drawn.astype(int), minlength=10)
    expected = np.isin(np.arange(10), [0, 7, 8, 9]).astype(float)
    assert fits(counts, expected)
    assert not fits(counts, tilted(expected))


def test_a_real_without_decimals_has_mass_on_a_spike_and_nowhere_else_at_a_point():
    column = Column(name="x", type="real", low=0, high=10)
    domain = domain_of(column, point_masses=[0.0, 2.5, 10.0], n_bins=5)
    for spike in (0.0, 2.5, 10.0):
        pieces = domain.pieces([(spike, spike)])
        code = domain.encode(pd.Series([spike]))[0]
        cell = domain.grid.index(np.array([spike]))[0]
        assert pieces.share_of_bins(5)[code] == domain.cell_weight[cell]
        assert (pieces.draw(np.full(9, code), np.random.default_rng(0)) == spike).all()
    for value in (1.0, 2.5 + 1e-9, 9.999):
        assert domain.pieces([(value, value)]).share_of_bins(5).tolist() == [0.0] * 5


@pytest.mark.parametrize("at", [0.0, 0.5, LARGEST])
def test_a_real_range_that_ends_inside_cells_is_kept(at):
    column = Column(name="x", type="real", low=1e9, high=1e9 + 1)
    domain = domain_of(column, n_bins=4)
    low, high = 1e9 + 0.123, 1e9 + 0.456
    pieces = domain.pieces([(low, high)])
    codes = np.repeat(np.flatnonzero(pieces.share_of_bins(4)), 100)
    ticks = pieces.draw(codes, Constant(at))
    assert ((low <= ticks) & (ticks <= high)).all()
    assert (domain.bin_of_cell[domain.grid.index(ticks)] == codes).all()


def test_reals_inside_a_cell_are_uniform():
    # Kolmogorov: sup-distance above 2.69 / sqrt(n) has probability 1e-6; a density of slope 2 % is caught
    column = Column(name="x", type="real", low=0, high=1)
    grid = NumericGrid(0.0, 1.0, False, np.array([0.0, 0.25]))
    domain = NumericDomain(column, grid, np.array([0, 0]), np.array([0.5, 0.5]), False)
    n = 200_000
    drawn = np.sort(domain.pieces().draw(np.zeros(n, dtype=int), np.random.default_rng(0)))
    cdf = np.where(drawn < 0.25, 2 * drawn, 0.5 + (drawn - 0.25) / 1.5)
    distance = np.abs(cdf - np.arange(n) / n).max()
    assert distance < 2.69 / np.sqrt(n)
    assert np.abs(cdf**1.02 - np.arange(n) / n).max() > 2.69 / np.sqrt(n)


# -- lists of values -----------------------------------------------------------------------------------


def discrete(values, *, kind="categorical", has_other=False, has_missing=False):
    column = Column(name="x", type=kind, categories=values if kind == "categorical" else None)
    return DiscreteDomain(column, values, has_other, has_missing)


@pytest.mark.parametrize(
    ("domain", "dtype"),
    [
        (discrete(("a", "b", "c")), "object"),
        (discrete((3, 1, 2)), "int64"),
        (discrete((0.5, 1.5)), "float64"),
        (discrete((False, True), kind="boolean"), "bool"),
        (discrete(("no", "yes"), kind="boolean"), "object"),
        (discrete((0, 1), kind="boolean"), "int64"),
        (discrete((3, 1, 2), has_missing=True), "object"),
        (discrete(("a", "b"), has_other=True, has_missing=True), "object"),
    ],
    ids=lambda x: str(getattr(x, "labels", x)),
)
def test_labels_come_back_as_they_were(domain, dtype):
    codes = np.array([*range(domain.size), 0, domain.size - 1])
    values = labels_to_values(codes, domain.labels)
    assert values.dtype == dtype
    assert values.tolist() == [domain.labels[code] for code in codes]
    assert all(type(a) is type(domain.labels[c]) for a, c in zip(values.tolist(), codes, strict=True))
    assert (domain.encode(values.astype("category")) == codes).all()
    assert labels_to_values(np.empty(0, dtype=int), domain.labels).dtype == dtype


def test_undiscovered_values_become_other_and_missing_stays_missing():
    domain = discrete(("a", "b"), has_other=True, has_missing=True)
    assert domain.labels == ["a", "b", "other", None]
    values = pd.Series(pd.Categorical(["b", "zzz", None, "a"], categories=["zzz", "b", "a"]))
    assert domain.encode(values).tolist() == [1, 2, 3, 0]


def test_other_is_not_written_among_numbers():
    domain = discrete((1, 2), has_other=True)
    assert domain.labels == [1, 2, None]
    assert labels_to_values(np.array([0, 2]), domain.labels).tolist() == [1, None]


def test_what_has_no_code_is_counted_nowhere():
    domain = discrete(("a", "b"))
    values = pd.Series(pd.Categorical(["b", "zzz", None], categories=["a", "b", "zzz"]))
    assert domain.encode(values).tolist() == [1, -1, -1]


def test_numbers_match_categories_by_value():
    domain = discrete((1, 2, 3))
    values = pd.Series(pd.Categorical([3.0, 1.0], categories=[1.0, 3.0]))
    assert domain.encode(values).tolist() == [2, 0]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 2**15, 2**15 + 1, 2**31])
def test_narrow_codes_are_the_same_codes(size):
    codes = np.array([-1, 0, max(size - 1, 0)])
    assert narrow(codes, size).tolist() == codes.tolist()
