"""Alias tables and inversion, against the probabilities by definition and at the ends of the generator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from privsynth.drawing import AliasTable, draw_by_inversion
from tests.helpers.chi_square import LARGEST, Constant, fits, tilted


def by_alias(weights, rows, rng):
    return AliasTable(weights).draw(rows, rng)


METHODS = pytest.mark.parametrize("draw", [by_alias, draw_by_inversion])


def probabilities_of(table):
    """Return the probability of each code as the alias table's slots and thresholds say, exactly."""
    n_rows, n_codes = len(table._threshold) // table.n_codes, table.n_codes
    inside = table._threshold.astype(float) / 2**32
    out = np.zeros((n_rows, n_codes))
    row, slot = np.divmod(np.arange(n_rows * n_codes), n_codes)
    np.add.at(out, (row, slot), inside / n_codes)
    np.add.at(out, (row, table._alias), (1 - inside) / n_codes)
    return out


@settings(max_examples=300, deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 12)).flatmap(
        lambda shape: arrays(float, shape, elements=st.one_of(st.just(0.0), st.floats(1e-12, 1e6)))
    )
)
def test_an_alias_table_holds_the_probabilities_to_a_slot_in_2_to_the_32(weights):
    weights[weights.sum(axis=1) == 0, 0] = 1.0
    expected = weights / weights.sum(axis=1, keepdims=True)
    found = probabilities_of(AliasTable(weights))
    assert found == pytest.approx(expected, abs=1.01 * 2.0**-32 + 1e-12)
    assert (found[weights == 0] == 0).all()


@METHODS
def test_codes_come_with_their_probabilities_in_every_row(draw):
    # 100,000 draws a row over at most 7 codes: a tilt of 10 % would be seen
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.full(7, 0.7), 3) * [[5.0], [1.0], [1e-9]]
    weights[1, 2:5] = 0.0
    rows = np.repeat(np.arange(3), 100_000)[rng.permutation(300_000)]
    codes = draw(weights, rows, rng)
    for row in range(3):
        seen = np.bincount(codes[rows == row], minlength=7)
        assert fits(seen, weights[row])
        assert not fits(seen, tilted(weights[row]))


@METHODS
@pytest.mark.parametrize("value", [0.0, LARGEST])
@pytest.mark.parametrize("k", [1, 2, 3, 2048])
def test_codes_without_weight_are_never_drawn_even_at_the_ends(draw, k, value):
    rng = np.random.default_rng(k)
    weights = rng.dirichlet(np.full(6, 0.3), k)
    weights[rng.random((k, 6)) < 0.4] = 0.0
    weights[np.arange(k), rng.integers(1, 5, k)] += 0.1
    weights[:, [0, 5]] = 0.0
    rows = np.repeat(np.arange(k), 5)
    assert (weights[rows, draw(weights, rows, Constant(value))] > 0).all()


@METHODS
def test_a_tiny_weight_alone_is_drawn_and_no_draws_are_none(draw):
    weights = np.array([[0.0, 1e-300, 0.0], [0.0, 0.0, 0.0]])
    assert draw(weights, np.zeros(50, dtype=int), np.random.default_rng(0)).tolist() == [1] * 50
    assert draw(weights, np.zeros(0, dtype=int), np.random.default_rng(0)).tolist() == []


def test_draws_of_two_columns_are_independent():
    table = AliasTable(np.array([[0.3, 0.7]]))
    rng, rows = np.random.default_rng(6), np.zeros(200_000, dtype=int)
    seen = np.zeros((2, 2))
    np.add.at(seen, (table.draw(rows, rng), table.draw(rows, rng)), 1)
    expected = np.outer([0.3, 0.7], [0.3, 0.7])
    assert fits(seen, expected)
    expected[0, 0] *= 1.15  # a seventh more pairs than independence gives
    assert not fits(seen, expected)
