from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.fidelity.two_sample import (
    TwoSampleResult,
    log_odds,
    tell_apart,
    tell_synthetic_from_real,
    two_sample_figure,
)
from privsynth.schema import Schema

FALSE_ALARM = 1e-6


def told(real: list[float], synthetic: list[float]) -> TwoSampleResult:
    empty = pd.DataFrame()
    return TwoSampleResult(
        lambda rows: np.zeros((len(rows), 2)), empty, empty, np.array(real), np.array(synthetic)
    )


def test_auc_and_p_value_of_a_few_scores_worked_out_by_hand() -> None:
    # synthetic scores 3 and 5 among real 1, 2, 4: pairs won 2 + 3 of 6
    assert told([1, 2, 4], [3, 5]).auc == pytest.approx(5 / 6)
    assert told([1.0, 1.0], [1.0, 1.0]).p_value == 1.0
    generator = np.random.default_rng(0)
    real, synthetic = generator.normal(size=9), generator.normal(0.5, 1, 9)
    both = np.r_[real, synthetic]

    def pairs_won(chosen: tuple[int, ...]) -> int:
        rest = np.delete(both, chosen)
        return int((both[list(chosen)][:, None] > rest).sum())

    observed = pairs_won(tuple(range(9, 18)))
    exact = np.mean([pairs_won(c) >= observed for c in itertools.combinations(range(18), 9)])
    assert told(list(real), list(synthetic)).p_value == pytest.approx(exact, abs=0.01)


def test_p_values_are_calibrated_and_a_difference_is_seen() -> None:
    generator = np.random.default_rng(1)

    def draw(shift: float, n: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
        x = generator.normal(size=(2, n, 2))
        x[1, :, 0] += shift
        return pd.DataFrame(x[0], columns=["x", "y"]), pd.DataFrame(x[1], columns=["x", "y"])

    def p_values(shift: float, n_models: int, n_tests: int) -> list[float]:
        out = []
        for _ in range(n_models):
            learner = tell_apart(draw(shift), draw(shift)).learner
            scores = [log_odds(learner, table).reshape(n_tests, 60) for table in draw(shift, 60 * n_tests)]
            out += [told(*map(list, pair)).p_value for pair in zip(*scores, strict=True)]
        return out

    n, level = 1000, 0.1
    rejected = sum(p <= level for p in p_values(0.0, 20, 50))
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n, level)
    assert low <= rejected <= high
    assert binom.cdf(high, n, 0.2) < 1e-3  # a test that rejects twice too often would be caught
    assert sum(p <= level for p in p_values(1.5, 4, 5)) >= 18


def test_real_rows_are_the_ceiling_and_shuffled_ones_the_floor(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(3000, 0), draw(1500, 1)
    fresh = two_sample_figure(
        tell_synthetic_from_real(load_tables(real, draw(3000, 2), schema=schema, holdout=holdout))
    )
    margin = 5.0 * np.sqrt((1500 + 1500 + 1) / (12 * 1500 * 1500))  # five standard errors under chance
    assert abs(fresh["auc"]["value"] - 0.5) < margin
    assert abs(fresh["auc"]["ceiling"] - 0.5) < margin
    assert fresh["p_value"] > FALSE_ALARM
    assert fresh["auc"]["floor"] > 0.75
    broken = two_sample_figure(
        tell_synthetic_from_real(load_tables(real, shuffled(real), schema=schema, holdout=holdout))
    )
    assert broken["auc"]["value"] == pytest.approx(broken["auc"]["floor"], abs=0.05)
    assert broken["p_value"] < 1e-12
    low, high = broken["auc"]["interval"]
    assert low < broken["auc"]["value"] < high


def test_without_a_holdout_real_rows_are_halved(draw, schema: Schema) -> None:
    tests = tell_synthetic_from_real(load_tables(draw(400, 0), draw(400, 1), schema=schema))
    assert tests is not None
    assert len(tests["synthetic"].real) == 200
    found = two_sample_figure(tests)
    assert found["auc"]["ceiling"] is None
    few = two_sample_figure(tell_synthetic_from_real(load_tables(draw(30, 0), draw(30, 1), schema=schema)))
    assert few["status"] == "not_assessed"
    assert "needs 20 rows" in few["reason"]


def test_of_each_person_one_row_is_looked_at(draw, person_schema: Schema) -> None:
    rows = draw(300, 0).assign(pid=range(300))
    real = pd.concat([rows, rows, rows], ignore_index=True)
    holdout = pd.concat([draw(200, 1).assign(pid=range(1000, 1200))] * 2, ignore_index=True)
    tables = load_tables(real, draw(400, 2), schema=person_schema, holdout=holdout)
    tests = tell_synthetic_from_real(tables)
    assert tests is not None
    assert len(tests["synthetic"].real) == 200
    assert not tests["synthetic"].real.duplicated().any()
