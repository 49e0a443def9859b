from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway, pearsonr
from scipy.stats.contingency import association

from privsynth.metrics.common.baselines import Baselines
from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.fidelity.associations import (
    association_matrix,
    compare_associations,
    correlation_ratio,
    cramers_v,
    pearson,
)
from privsynth.schema import Schema


def test_four_rows_worked_out_by_hand() -> None:
    codes, values, ones = np.array([0.0, 0, 1, 1]), np.array([1.0, 3, 5, 7]), np.ones(4)
    # means 2 and 6 around 4: between 4·4 = 16 of a total of 9 + 1 + 1 + 9 = 20
    assert correlation_ratio(codes, values, ones) == pytest.approx(np.sqrt(0.8))
    assert cramers_v(codes, np.array([0.0, 1, 0, 1]), ones) == pytest.approx(0.0, abs=1e-9)
    # cells 2, 0 / 1, 1: chi² = 4·(2·1 - 0·1)²/(2·2·3·1) = 4/3, V = sqrt(chi²/4)
    assert cramers_v(codes, np.array([0.0, 0, 0, 1]), ones) == pytest.approx(np.sqrt(1 / 3))
    assert pearson(values, np.array([0.0, 0, 1, 0]), ones) == pytest.approx(1 / np.sqrt(20 * 0.75))


def test_the_same_as_scipy_and_weights_are_repetitions() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=300), generator.normal(size=300)
    y += x
    a = generator.integers(0, 4, 300)
    b = (a + generator.integers(0, 2, 300)) % 4
    times = generator.integers(1, 4, 300)
    everyone = np.repeat(np.arange(300), times)
    assert pearson(x, y, times) == pytest.approx(pearsonr(x[everyone], y[everyone])[0])
    table = np.zeros((4, 4), dtype=int)
    np.add.at(table, (a[everyone], b[everyone]), 1)
    assert cramers_v(a, b, times) == pytest.approx(association(table, method="cramer"))
    # F = (between/(k-1)) / (within/(n-k)), so eta² = between/(between+within)
    groups = [x[everyone][a[everyone] == k] for k in range(4)]
    f = f_oneway(*groups).statistic * 3 / (len(everyone) - 4)
    assert correlation_ratio(a, x, times) == pytest.approx(np.sqrt(f / (1 + f)))


def test_constant_columns_are_undefined_and_missing_fields_left_out() -> None:
    table = pd.DataFrame(
        {
            "x": [1.0, 2.0, np.nan, 3.0],
            "y": [2.0, 4.0, 100.0, 6.0],
            "one": [5.0] * 4,
            "c": pd.Categorical(["a", "a", "b", None], categories=["a", "b"]),
        }
    )
    matrix = association_matrix(table, np.ones(4))
    assert matrix[0, 1] == pytest.approx(1.0)
    assert np.isnan(matrix[0, 2])
    assert np.isnan(matrix[0, 3])  # where both are known, c is constant
    assert matrix[1, 3] == pytest.approx(np.sqrt(1 - 2 / (np.var([2, 4, 100]) * 3)))


def test_a_broken_dependence_shows_in_its_cell(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(2000, 0), draw(1000, 1)
    broken = real.assign(income=np.random.default_rng(3).permutation(real["income"]))

    def compared(synthetic: pd.DataFrame) -> dict[str, Any]:
        tables = load_tables(real, synthetic, schema=schema, holdout=holdout)
        return compare_associations(Baselines.of(tables, np.random.default_rng(0)))

    found = compared(broken)
    age, income = found["columns"].index("age"), found["columns"].index("income")
    assert found["reference"][age][income] > 0.5
    assert abs(found["synthetic"][age][income]) < 0.15
    assert found["difference"]["ceiling"] < found["difference"]["value"] < found["difference"]["floor"]
    independent = compared(shuffled(real))["difference"]
    assert independent["value"] == pytest.approx(independent["floor"], abs=0.03)
    same = compared(real)["difference"]
    assert same["value"] == pytest.approx(same["ceiling"])
