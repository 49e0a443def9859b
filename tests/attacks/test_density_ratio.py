from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.attacks.density_ratio import density_ratio_scores, largest_by_unit
from privsynth.attacks.features import MAX_CATEGORY_AXES, FeatureSpace


def rows(n: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    x[::17] = np.nan
    colour = pd.Categorical.from_codes(generator.integers(-1, 3, n), categories=["r", "g", "b"])
    return pd.DataFrame({"x": x, "y": generator.exponential(size=n), "colour": colour})


def test_a_copied_row_scores_above_a_row_that_was_not_copied() -> None:
    members, others, reference = rows(300, 0), rows(300, 1), rows(300, 2)
    scores = density_ratio_scores(
        pd.concat([members, others], ignore_index=True), synthetic=members, reference=reference
    )
    assert np.isfinite(scores).all()
    assert np.median(scores[:300]) > np.quantile(scores[300:], 0.99)


def test_a_row_known_to_the_reference_is_no_evidence() -> None:
    row, table = rows(1, 0), rows(200, 1)
    in_both = density_ratio_scores(
        row, synthetic=pd.concat([table, row]), reference=pd.concat([table, *[row] * 5])
    )
    in_synthetic = density_ratio_scores(row, synthetic=pd.concat([table, row]), reference=table)
    assert in_both[0] == 0.0
    assert in_synthetic[0] > 3


def test_small_and_constant_tables_are_scored() -> None:
    constant = pd.DataFrame({"x": [1.0, 1.0], "y": [np.nan, np.nan]})
    assert density_ratio_scores(constant, synthetic=constant, reference=constant[:1]).tolist() == [0.0, 0.0]


def test_different_categories_and_the_ends_of_a_number_are_at_distance_one() -> None:
    table = pd.DataFrame({"colour": pd.Categorical(["r", "g"])})
    a, b = FeatureSpace.fit([table]).place(table)
    assert abs(np.linalg.norm(a - b) - 1.0) < 1e-6
    numbers = pd.DataFrame({"x": np.arange(1000.0)})
    a, b = FeatureSpace.fit([numbers]).place(numbers)[[0, -1]]
    assert abs(np.linalg.norm(a - b) - 1.0) < 0.01


def test_rare_categories_share_an_axis_beyond_the_limit() -> None:
    names = [f"c{i:03}" for i in range(150)]
    table = pd.DataFrame({"c": pd.Categorical(names * 2, categories=names)})
    points = FeatureSpace.fit([table]).place(table)
    assert points.shape[1] == MAX_CATEGORY_AXES + 1
    assert (points[:, -1] > 0).sum() == 2 * (150 - MAX_CATEGORY_AXES)


def test_a_person_scores_as_the_most_exposed_row() -> None:
    assert largest_by_unit(np.array([1.0, 5.0, -2.0]), np.array([1, 1, 0])).tolist() == [-2.0, 5.0]
    assert largest_by_unit(np.array([1.0, 5.0]), None).tolist() == [1.0, 5.0]
