"""Draws from many distributions, against the probabilities by definition and at the ends of the generator."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.domains.systematic import RUN, Distributions, draw_each
from tests.helpers.chi_square import LARGEST, Constant, fits, tilted


def draw(weights, rows, rng):
    return Distributions(weights).draw(rows, rng)


WEIGHTS = np.array([[0.7, 0.0, 2.1, 0.4], [1e-9, 3e-9, 0.0, 1e-9]])
EXACT = WEIGHTS / WEIGHTS.sum(axis=1, keepdims=True)


def test_each_draw_follows_its_distribution_wherever_it_stands():
    # 60,000 repeats of seven draws: a tilt of 10 % of a single one of them would be seen
    rng, rows = np.random.default_rng(1), np.array([0, 1, 0, 0, 1, 1, 0])
    drawn = np.stack([draw(WEIGHTS, rows, rng) for _ in range(60_000)])
    for place, row in enumerate(rows):
        seen = np.bincount(drawn[:, place], minlength=4)
        assert fits(seen, EXACT[row])
        assert not fits(seen, tilted(EXACT[row]))


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_a_code_comes_as_often_as_its_probability_says_rounded_up_or_down(n):
    rng = np.random.default_rng(n)
    rows = rng.permutation(np.repeat([0, 1], [n, 3 * n]))
    codes = draw(WEIGHTS, rows, rng)
    for row in (0, 1):
        expected = EXACT[row] * (rows == row).sum()
        seen = np.bincount(codes[rows == row], minlength=4)
        assert (np.abs(seen - expected) < 1.0 + 1e-9).all()


def test_how_often_a_code_comes_is_right_on_average():
    rng = np.random.default_rng(5)
    counts = sum(
        np.bincount(draw(WEIGHTS[:1], np.zeros(3, dtype=int), rng), minlength=4) for _ in range(9000)
    )
    assert fits(counts, EXACT[0])
    assert not fits(counts, tilted(EXACT[0]))


@pytest.mark.parametrize("value", [0.0, LARGEST])
@pytest.mark.parametrize("k", [1, 2, 3, 2048])
def test_codes_without_weight_are_never_drawn_even_at_the_ends(k, value):
    rng = np.random.default_rng(k)
    weights = rng.dirichlet(np.full(6, 0.3), k)
    weights[rng.random((k, 6)) < 0.4] = 0.0
    weights[np.arange(k), rng.integers(1, 5, k)] += 0.1
    weights[:, [0, 5]] = 0.0
    rows = np.repeat(np.arange(k), 5)
    assert (weights[rows, draw(weights, rows, Constant(value))] > 0).all()


def test_a_tiny_weight_alone_is_drawn_and_no_draws_are_none():
    weights = np.array([[0.0, 1e-300, 0.0], [0.0, 0.0, 0.0]])
    assert draw(weights, np.zeros(50, dtype=int), np.random.default_rng(0)).tolist() == [1] * 50
    assert draw(weights, np.zeros(0, dtype=int), np.random.default_rng(0)).tolist() == []


def test_draws_of_two_columns_are_independent():
    table = Distributions(np.array([[0.3, 0.7]]))
    rng, rows = np.random.default_rng(6), np.zeros(200_000, dtype=int)
    seen = np.zeros((2, 2))
    np.add.at(seen, (table.draw(rows, rng), table.draw(rows, rng)), 1)
    expected = np.outer([0.3, 0.7], [0.3, 0.7])
    assert fits(seen, expected)
    expected[0, 0] *= 1.15  # a seventh more pairs than independence gives
    assert not fits(seen, expected)


def test_rows_with_codes_of_their_own_are_drawn_alike():
    weights = np.array([0.7, 0.0, 2.1, 0.4, 5.0, 1e-9, 3e-9, 0.0, 1e-9, 0.0])
    row = np.array([0, 0, 0, 0, 2, 3, 3, 3, 3, 4])  # row 1 has no code, row 4 none with weight
    runs = Distributions.of_runs(weights, row, n_rows=5)
    rows = np.repeat([0, 2, 3], [3000, 7, 2000])
    drawn = runs.draw(rows, np.random.default_rng(0))
    assert (row[drawn] == rows).all()
    for which in (0, 3):
        own = weights * (row == which)
        expected = own / own.sum() * (rows == which).sum()
        assert (np.abs(np.bincount(drawn[rows == which], minlength=10) - expected) < 1.0 + 1e-6).all()


@pytest.mark.parametrize("n_codes", [5, RUN, RUN + 1, 4 * RUN])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_code_of_each_row_follows_its_weights(n_codes, dtype):
    rng = np.random.default_rng(n_codes)
    weights = (rng.random(n_codes) ** 8 * (rng.random(n_codes) < 0.7)).astype(dtype)
    weights[-1] = weights[0] = 0.0
    weights[1], weights[2] = 0.3, 0.2
    many = np.tile(weights, (10_000, 1))
    seen = sum(np.bincount(draw_each(many, rng), minlength=n_codes) for _ in range(12))
    assert fits(seen, weights)
    assert not fits(seen, tilted(weights))
    assert (seen[weights == 0] == 0).all()


@pytest.mark.parametrize("level", [0.0, LARGEST])
def test_a_code_of_weight_zero_is_never_drawn_at_the_ends(level):
    weights = np.zeros((2, 2 * RUN), dtype=np.float32)
    weights[0, 5], weights[1, RUN + 3] = 1e-30, 7.0
    assert draw_each(weights, Constant(level)).tolist() == [5, RUN + 3]
