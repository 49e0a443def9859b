"""Whole rows out of shares: exact totals, exact margins, the nearest table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from privsynth.sampling.rounding import Margin, MarginsError, fit_margins, largest_remainder, whole_table
from tests.helpers.chi_square import FALSE_ALARM


def margins_of(shape, *totals):
    """Return a margin for each axis of a table of that shape."""
    index = np.indices(shape)
    return [Margin(index[i].ravel(), np.asarray(t)) for i, t in enumerate(totals)]


@settings(max_examples=200, deadline=None)
@given(
    arrays(float, st.integers(1, 30), elements=st.one_of(st.just(0.0), st.floats(1e-9, 1e6))),
    st.integers(0, 10**6),
    st.integers(0, 2**32),
)
def test_largest_remainder_adds_up_and_moves_no_cell_by_a_row(amounts, n, seed):
    amounts[0] += 1.0
    sizes = largest_remainder(amounts, n, np.random.default_rng(seed))
    exact = amounts / amounts.sum() * n
    assert sizes.sum() == n
    assert (np.abs(sizes - exact) < 1 + 1e-6).all()
    assert (sizes[amounts == 0] == 0).all()
    up, down = sizes > exact, sizes < exact - 1e-6
    if up.any() and down.any():  # nobody with a smaller remainder was served before one with a larger
        remainder = exact - np.floor(exact + 1e-9)
        assert remainder[up].min() >= remainder[down].max() - 1e-8


def test_equal_remainders_are_served_in_random_order():
    # 4 rows for 6 cells: each is served 2 times in 3
    served = np.zeros(6)
    for seed in range(600):
        served += largest_remainder(np.full(6, 1 / 6), 4, np.random.default_rng(seed))
    margin = norm.isf(FALSE_ALARM / 12) * np.sqrt(600 * 2 / 9)
    assert (np.abs(served - 400) < margin).all()
    assert margin < 80  # a cell left out one time in eight would be seen


def test_fitting_two_margins_gives_the_published_table():
    # Deming and Stephan's method on a table worked out by hand: odds ratio 6 is kept, margins become equal.
    # p/(0.5-p) = sqrt(6), so p = 0.5 * sqrt(6) / (1 + sqrt(6))
    seed = np.array([0.3, 0.1, 0.2, 0.4])
    fitted = fit_margins(seed, margins_of((2, 2), [0.5, 0.5], [0.5, 0.5]))
    p = 0.5 * np.sqrt(6) / (1 + np.sqrt(6))
    assert fitted == pytest.approx([p, 0.5 - p, 0.5 - p, p], abs=1e-6)


def test_no_table_with_these_margins_is_nearer_to_the_seed():
    rng = np.random.default_rng(0)
    seed = rng.dirichlet(np.ones(24)).reshape(2, 3, 4)
    margins = margins_of(seed.shape, [0.4, 0.6], [0.2, 0.3, 0.5], [0.25] * 4)
    fitted = fit_margins(seed.ravel(), margins)
    for margin in margins:
        assert margin.of(fitted) == pytest.approx(margin.totals, abs=1e-6)

    def divergence(table):
        return float((table * np.log(table / seed.ravel())).sum())

    best = divergence(fitted)
    for _ in range(50):  # a step that keeps all margins can only lead away
        step = rng.normal(size=seed.shape)
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            step -= step.mean(axis=others, keepdims=True)
        other = fitted + 0.3 * fitted.min() * step.ravel() / np.abs(step).max()
        assert divergence(other) > best


def test_margins_that_need_what_the_seed_excludes_are_refused():
    seed = np.array([0.5, 0.0, 0.0, 0.5])  # rows and columns must agree
    with pytest.raises(MarginsError):
        fit_margins(seed, margins_of((2, 2), [0.3, 0.7], [0.6, 0.4]))
    with pytest.raises(MarginsError):
        fit_margins(np.array([0.0, 0.0, 0.5, 0.5]), margins_of((2, 2), [0.5, 0.5], [0.5, 0.5]))


@settings(max_examples=150, deadline=None)
@example((2, 4, 2), 2, 472)  # takes more than ten thousand rounds
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)),
    st.integers(0, 500),
    st.integers(0, 2**32),
)
def test_a_whole_table_has_every_margin_exactly(shape, n, seed):
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(np.prod(shape), 0.3))
    totals = [largest_remainder(rng.random(size) + 0.01, n, rng) for size in shape]
    margins = margins_of(shape, *totals)
    if not n:
        return
    fitted = fit_margins(table + 1e-6, margins)
    whole = whole_table(fitted, margins, rng)
    assert (whole >= 0).all()
    for margin in margins:
        assert (margin.of(whole) == margin.totals).all()
    assert np.abs(whole - fitted).max() < 3.0


def test_rows_that_no_single_step_can_place_are_placed_by_the_program():
    # Rounded down, every cell is right but the margins want a row where the cell is a whole number.
    table = np.array([1.5, 0.5, 0.5, 1.5, 1.0, 1.0])
    margins = margins_of((3, 2), [2, 2, 2], [3, 3])
    whole = whole_table(table, margins, np.random.default_rng(0))
    assert [margin.of(whole).tolist() for margin in margins] == [[2, 2, 2], [3, 3]]
    tight = np.array([0.6, 0.4, 0.0, 0.4, 0.0, 0.6, 0.0, 0.6, 0.4])
    margins = margins_of((3, 3), [1, 1, 1], [1, 1, 1])
    for seed in range(20):
        whole = whole_table(tight, margins, np.random.default_rng(seed))
        assert [margin.of(whole).tolist() for margin in margins] == [[1, 1, 1], [1, 1, 1]]
        assert (whole[tight == 0] == 0).all()


def test_whole_margins_that_no_whole_table_has_are_refused():
    # three pairs of a triangle: each margin is even, only halves would do
    table = np.array([0.5, 0.0, 0.0, 0.5])
    margins = [
        Margin(np.array([0, 0, 1, 1]), np.array([1, 0])),
        Margin(np.array([0, 1, 0, 1]), np.array([0, 1])),
    ]
    with pytest.raises(MarginsError):
        whole_table(table, margins, np.random.default_rng(0))
