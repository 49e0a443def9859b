"""The mixture: its tables, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from privsynth.models.tables.mixture import ProductMixture

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
