from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.overlap import too_many_identical_rows
from privsynth.records.conform import Records


def draw(n: int, seed: int, *, n_values: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 3, n)
    return pd.DataFrame(
        {
            "x": generator.integers(0, n_values, n) * 1.0,
            "c": pd.Categorical.from_codes(codes, categories=["a", "b", "c"]),
        }
    )


@pytest.mark.parametrize("n_values", [4, 300, 10**9])
def test_two_draws_of_one_source_are_apart(n_values: int) -> None:
    for seed in range(20):
        real, holdout = draw(1000, seed, n_values=n_values), draw(300, 1000 + seed, n_values=n_values)
        assert not too_many_identical_rows(Records(real, None), Records(holdout, None))


@pytest.mark.parametrize("n_values", [2000, 10**9])
def test_rows_that_stand_in_both_are_found(n_values: int) -> None:
    real, holdout = draw(1000, 0, n_values=n_values), draw(300, 1, n_values=n_values)
    mixed = pd.concat([holdout[60:], real[:60]], ignore_index=True)
    assert too_many_identical_rows(Records(real, None), Records(mixed, None))


def test_rows_repeated_within_a_person_predict_no_duplicates() -> None:
    real, holdout = draw(500, 0, n_values=10**9), draw(100, 1, n_values=10**9)
    twice = pd.concat([real, real], ignore_index=True)  # each person has the same row twice
    persons = np.tile(np.arange(500), 2)
    mixed = pd.concat([holdout[20:], real[:20]], ignore_index=True)
    assert too_many_identical_rows(Records(twice, persons), Records(mixed, np.arange(100)))
    assert not too_many_identical_rows(Records(twice, persons), Records(holdout, np.arange(100)))
