"""The mixture: tables and exact conditionals, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from privsynth.models.mixture import ProductMixture
from tests.helpers.chi_square import LARGEST, Constant, fits, tilted

NAMES, SIZES = ("a", "b", "c", "d"), (2, 3, 4, 2)


def mixture(seed=0, k=5):
    rng = np.random.default_rng(seed)
    blocks = [rng.dirichlet(np.full(n, 0.5), k).astype(np.float32) for n in SIZES]
    return ProductMixture(NAMES, tuple(blocks))


def joint(m):
    """Return the probability of every row by the definition, ``SIZES``-shaped."""
    out = np.zeros(SIZES)
    for row in itertools.product(*map(range, SIZES)):
        terms = [block[:, v].astype(float) for block, v in zip(m.blocks, row, strict=True)]
        out[row] = np.prod(terms, axis=0).mean()
    return out


@pytest.mark.parametrize("columns", [("a",), ("b", "c"), ("c", "a"), ("a", "b", "d"), NAMES])
def test_tables_are_sums_over_the_joint(columns):
    m = mixture()
    whole = joint(m)
    kept = [NAMES.index(name) for name in columns]
    dropped = tuple(j for j in range(4) if j not in kept)
    expected = whole.sum(axis=dropped).transpose(np.argsort(np.argsort(kept)))
    assert m.table(columns) == pytest.approx(expected, abs=1e-6)


def test_the_mass_of_a_condition_is_its_probability():
    m = mixture()
    allowed = {"b": np.array([1.0, 0.0, 0.5]), "d": np.array([0.0, 1.0])}
    expected = (joint(m) * allowed["b"][None, :, None, None] * allowed["d"][None, None, None, :]).sum()
    assert m.component_mass(allowed).mean() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"b": np.array([1.0, 0.0, 0.5])},
        {"a": np.array([0.0, 1.0]), "c": np.array([0.2, 0.0, 1.0, 0.0]), "d": np.array([1.0, 0.3])},
        {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1e-9, 2e-9])},
    ],
)
def test_draws_follow_the_exact_conditional(allowed):
    # 200,000 rows over at most 48 cells: a tilt of 10 % between neighbouring cells is caught
    m, n = mixture(1), 200_000
    codes = m.draw(n, allowed, np.random.default_rng(5))
    seen = np.zeros(SIZES)
    np.add.at(seen, tuple(codes[name] for name in NAMES), 1)
    expected = joint(m)
    for name, share in allowed.items():
        shape = [1, 1, 1, 1]
        shape[NAMES.index(name)] = -1
        expected = expected * share.reshape(shape)
    assert seen.sum() == n
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_exactly_the_rows_asked_for_are_drawn(n):
    for allowed in ({}, {"a": np.array([0.0, 1.0])}, {"c": np.array([0.0, 0.0, 1e-12, 0.0])}):
        codes = mixture().draw(n, allowed, np.random.default_rng(0))
        assert [len(codes[name]) for name in NAMES] == [n] * 4


def test_columns_are_independent_given_the_component():
    # Columns dealt out in one shared order would be dependent (one code would follow the other exactly).
    block = np.array([[0.3, 0.7]], np.float32)
    one = ProductMixture(("a", "b", "c"), (block, block, block))
    codes = one.draw(200_000, {"b": np.array([0.5, 1.0])}, np.random.default_rng(6))
    seen = np.zeros((2, 2, 2))
    np.add.at(seen, (codes["a"], codes["b"], codes["c"]), 1)
    a, b = np.array([0.3, 0.7]), np.array([0.15, 0.7]) / 0.85
    expected = a[:, None, None] * b[:, None] * a
    assert fits(seen, expected)
    expected[0, 0] *= 1.15  # a seventh more pairs than independence gives
    assert not fits(seen, expected)


@pytest.mark.parametrize("value", [0.0, LARGEST])
@pytest.mark.parametrize("k", [1, 2, 3, 2048])
def test_codes_without_probability_are_never_drawn_even_at_the_ends(k, value):
    # At the two ends of what a generator gives, in every component, with zeros at both ends of the codes.
    rng = np.random.default_rng(k)
    block = rng.dirichlet(np.full(6, 0.3), k).astype(np.float32)
    block[rng.random((k, 6)) < 0.4] = 0.0
    block[np.arange(k), rng.integers(1, 6, k)] += 0.1
    block[:, 0] = 0.0
    block /= block.sum(axis=1, keepdims=True)
    m = ProductMixture(("x", "component"), (block, np.eye(k, dtype=np.float32)))
    codes = m.draw(20 * k, {}, Constant(value))
    allowed = {"x": np.array([1.0, 1.0, 0.0, 0.5, 1.0, 0.0])}
    restricted = m.draw(20 * k, allowed, Constant(value))
    assert (block[codes["component"], codes["x"]] > 0).all()
    assert (block[restricted["component"], restricted["x"]] * allowed["x"][restricted["x"]] > 0).all()


def test_components_without_mass_are_never_drawn():
    # one component in fifty allows the condition, the last one does not: what rounding leaves over stays out
    block = np.zeros((50, 2), np.float32)
    block[:, 0], block[7] = 1.0, (0.3, 0.7)
    m = ProductMixture(("x", "component"), (block, np.eye(50, dtype=np.float32)))
    codes = m.draw(1000, {"x": np.array([0.0, 1.0])}, np.random.default_rng(0))
    assert set(codes["x"]) == {1}
    assert set(codes["component"]) == {7}


def test_a_condition_of_tiny_probability_is_drawn_exactly():
    blocks = tuple(np.tile(np.array([[1.0, 1e-30]], np.float32), (3, 1)) for _ in range(8))
    m = ProductMixture(tuple("abcdefgh"), blocks)
    codes = m.draw(100, dict.fromkeys("abcdefgh", np.array([0.0, 1.0])), np.random.default_rng(0))
    assert all((codes[name] == 1).all() for name in "abcdefgh")


def test_a_condition_without_mass_is_refused():
    with pytest.raises(ValueError, match="no mass"):
        mixture().draw(3, {"a": np.zeros(2)}, np.random.default_rng())
