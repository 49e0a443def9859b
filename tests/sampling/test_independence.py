"""Columns that the model knows as independent are independent in the rows, whatever they are asked for.

Rows are rounded to whole numbers column by column; an order that columns share would tie them together.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from privsynth.domains import systematic as drawing
from tests.helpers.chi_square import fits
from tests.helpers.models import model_of, rows_of

NAMES = ["sex", "ward", "town", "smokes", "age", "debt"]
N_ROWS = 20_000
REQUESTS = {
    "nothing": {},
    "a condition": {"conditions": {"ward": [1, 3, None], "age": (10, 80)}},
    "a balance": {"balance": ["sex"]},
    "proportions": {"proportions": {"sex": {"F": 0.2, "M": 0.8}, "smokes": {"no": 0.5, "yes": 0.5}}},
}


def codes(column: pd.Series) -> np.ndarray:
    """Return the codes of a column: its values, or the tenths of its numbers."""
    if column.name in ("age", "debt"):
        ranks = column.rank(method="min", na_option="top").to_numpy()
        return np.floor((ranks - 1) * 10 / len(column)).astype(int)
    return pd.factorize(column.astype(object).where(column.notna(), "missing"))[0]


def dependent_pairs(request: dict) -> list[tuple[str, str]]:
    """Return the pairs of columns whose joint table is not the product of their own."""
    model = model_of(NAMES, seed=2, k=1)  # one component: all columns are independent
    rows = rows_of(model, n=N_ROWS, seed=1, **request)
    assert len(rows) == N_ROWS
    found = []
    for first, second in itertools.combinations(NAMES, 2):
        a, b = codes(rows[first]), codes(rows[second])
        seen = np.zeros((a.max() + 1, b.max() + 1))
        np.add.at(seen, (a, b), 1)
        if not fits(seen, np.outer(seen.sum(1), seen.sum(0))):
            found.append((first, second))
    return found


def order_matters(request: dict) -> list[str]:
    """Return the columns whose values hang on how far down the table they stand."""
    rows = rows_of(model_of(NAMES, seed=2, k=1), n=N_ROWS, seed=1, **request)
    place, found = np.arange(N_ROWS) * 8 // N_ROWS, []
    for name in NAMES:
        a = codes(rows[name])
        seen = np.zeros((a.max() + 1, 8))
        np.add.at(seen, (a, place), 1)
        if not fits(seen, np.outer(seen.sum(1), seen.sum(0))):
            found.append(name)
    return found


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_independent_columns_stay_independent_in_every_pair(request_):
    assert dependent_pairs(request_) == []
    assert order_matters(request_) == []


def one_order_for_all_columns(self, rows, rng):
    """Rows are dealt to every column in the same order."""
    return HONEST(self, rows, np.random.default_rng(0))


def sorted_within_a_column(self, rows, rng):
    return np.sort(HONEST(self, rows, rng))


def systematic_without_a_shuffle(self, rows, rng):
    """The levels of a systematic sample go to the rows as they stand."""

    class InOrder(np.random.Generator):
        def permutation(self, x):
            return np.arange(x)

    return HONEST(self, rows, InOrder(rng.bit_generator))


HONEST = drawing.Distributions.draw


@pytest.mark.parametrize(
    "bug", [one_order_for_all_columns, sorted_within_a_column, systematic_without_a_shuffle]
)
def test_an_order_that_columns_share_is_found(bug, monkeypatch):
    monkeypatch.setattr(drawing.Distributions, "draw", bug)
    assert len(dependent_pairs({})) > 3
