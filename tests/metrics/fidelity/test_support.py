from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import pairwise_distances

from privsynth.metrics.common.baselines import Baselines
from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.fidelity.support import SCORES, compare_supports, support_scores
from privsynth.schema import Schema


def test_points_on_a_line_worked_out_by_hand() -> None:
    real = np.array([[0.0], [1.0], [2.0], [10.0]])  # radii to the nearest neighbour: 1, 1, 1, 8
    synthetic = np.array([[1.5], [3.5], [30.0]])  # radii 2, 2, 26.5
    found = support_scores(real, synthetic, neighbours=1)
    # 1.5 lies in the balls of 1 and 2, 3.5 in that of 10, 30 in none
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["density"] == pytest.approx((2 + 1 + 0) / 3)
    # 0 is 1.5 from 1.5 (radius 2): in; 1, 2: in; 10 lies 20 from 30 (radius 26.5): in
    assert found["recall"] == 1.0
    # nearest synthetic point at 1.5 > 1, 0.5, 0.5, 6.5 <= 8
    assert found["coverage"] == pytest.approx(3 / 4)


def test_the_same_as_a_naive_computation() -> None:
    generator = np.random.default_rng(0)
    real, synthetic, k = generator.normal(size=(60, 3)), generator.normal(0.4, 1.5, size=(50, 3)), 5
    found = support_scores(real, synthetic, neighbours=k)
    own, other = pairwise_distances(real), pairwise_distances(real, synthetic)
    ball = np.sort(own, axis=1)[:, k]
    synthetic_ball = np.sort(pairwise_distances(synthetic), axis=1)[:, k]
    inside = [[other[i, j] <= ball[i] for i in range(60)] for j in range(50)]
    assert found["precision"] == np.mean([any(row) for row in inside])
    assert found["density"] == pytest.approx(np.mean([sum(row) for row in inside]) / k)
    assert found["coverage"] == np.mean([any(inside[j][i] for j in range(50)) for i in range(60)])
    assert found["recall"] == np.mean([(other[i] <= synthetic_ball).any() for i in range(60)])
    centre = real.mean(axis=0)
    radius = np.quantile(np.linalg.norm(real - centre, axis=1), np.linspace(0.05, 1, 20))
    alphas = [(np.linalg.norm(synthetic - centre, axis=1) <= r).mean() for r in radius]
    expected = 1 - 2 * np.mean(np.abs(np.array(alphas) - np.linspace(0.05, 1, 20)))
    assert found["alpha_precision"] == pytest.approx(expected)


def test_two_samples_of_one_source_reach_the_top_and_collapse_loses_recall_only() -> None:
    generator = np.random.default_rng(1)
    real, fresh = generator.normal(size=(2, 1500, 2))
    same = support_scores(real, fresh)
    assert all(same[score] > 0.9 for score in SCORES)
    narrow = support_scores(real, fresh * 0.2)  # one mode only: every point is plausible, few are covered
    assert narrow["precision"] > 0.95
    assert narrow["recall"] < 0.5
    assert narrow["coverage"] < 0.5
    assert narrow["beta_recall"] < same["beta_recall"] - 0.3
    wide = support_scores(real, fresh * 5)
    assert wide["precision"] < 0.5
    assert wide["alpha_precision"] < same["alpha_precision"] - 0.3


def test_copies_lie_in_balls_of_radius_zero_and_one_point_is_undefined() -> None:
    copies = np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, axis=0)
    assert support_scores(copies, copies)["precision"] == 1.0
    assert support_scores(copies, copies)["coverage"] == 1.0
    assert all(np.isnan(value) for value in support_scores(copies[:1], copies).values())


def test_in_a_table_the_ceiling_is_above_the_floor(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(1200, 0), draw(1000, 1)

    def compared(synthetic: pd.DataFrame) -> dict[str, Any]:
        tables = load_tables(real, synthetic, schema=schema, holdout=holdout)
        generator = np.random.default_rng(0)
        return compare_supports(Baselines.of(tables, generator), generator=generator)

    found = compared(draw(1200, 2))
    assert found["n_rows"] == 1000
    for score in ("precision", "density", "coverage"):
        assert found[score]["value"] == pytest.approx(found[score]["ceiling"], abs=0.08)
        assert found[score]["floor"] < found[score]["ceiling"] - 0.1
    broken = compared(shuffled(real))
    assert broken["coverage"]["value"] == pytest.approx(broken["coverage"]["floor"], abs=0.06)
