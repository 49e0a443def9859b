"""Do the synthetic rows lead an analyst to the same model, the same columns and the same coefficients?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import binom

from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.utility.coefficients import (
    NOT_TWO_CLASSES,
    Z,
    compare_coefficients,
    estimate,
    interval_overlap,
    lay_out,
)
from privsynth.metrics.utility.downstream import balancing_weights, predict_holdout, target_of
from privsynth.metrics.utility.ranking import agreement
from privsynth.metrics.utility.tables import assess_utility
from privsynth.schema import Schema

FALSE_ALARM = 1e-6


def test_agreement_of_rankings_worked_out_by_hand() -> None:
    a = np.array([3.0, 2.0, 1.0])
    assert agreement(a, a[:, None]).tolist() == [1.0]
    assert agreement(a, -a[:, None]).tolist() == [0.0]
    assert agreement(a, np.array([[2.0], [3.0], [1.0]])).tolist() == pytest.approx([2 / 3])
    assert agreement(a, np.array([[1.0], [1.0], [1.0]])).tolist() == [0.5]


FAMILIES = ("hist_gradient_boosting", "logistic_regression", "naive_bayes")


def assessed(
    real: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, holdout: pd.DataFrame, **more: Any
) -> dict[str, Any]:
    """Return the section from a few models: all of them take their time."""
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout)
    target = target_of(tables)
    assert target is not None
    predictions = predict_holdout(tables, target, families=FAMILIES)
    return assess_utility(tables, predictions, n_bootstrap=20, **more)


def test_the_same_table_leads_to_the_same_choice_and_columns(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(1500, 0), draw(1000, 1)
    found = assessed(real, draw(1500, 2), schema, holdout)
    assert found["ranking"]["regret"] < 0.02
    assert found["importance"]["columns"][0]["column"] == "income"  # what the owner's rate was made from
    assert found["importance"]["agreement"]["value"] > 0.5
    assert found["importance"]["agreement"]["ceiling"] > 0.5
    assert {m["model"] for m in found["ranking"]["models"]} == set(found["models"]) == set(FAMILIES)
    broken = assessed(real, shuffled(real), schema, holdout)
    income = next(c for c in broken["importance"]["columns"] if c["column"] == "income")
    assert income["synthetic"] < 0.2 * income["real"]


def test_real_and_synthetic_rows_together_and_a_direct_model(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(600, 0), draw(1500, 1)

    def constant(train: pd.DataFrame, name: str, rows: pd.DataFrame) -> np.ndarray:
        assert name in train
        assert name not in rows
        share = (train[name].cat.codes == 1).mean()
        return np.tile([1 - share, share], (len(rows), 1))

    found = assessed(real, shuffled(real), schema, holdout, direct=constant)
    auc = found["models"]["hist_gradient_boosting"]["auc"]
    assert auc["value"] < 0.65 < auc["augmented"]["value"] <= auc["ceiling"] + 0.02
    assert found["direct"]["scores"]["auc"]["value"] == 0.5
    assert "no (epsilon, delta) is known" in assessed(real, real, schema, holdout)["direct"]["reason"]


def test_balanced_rows_weigh_each_class_alike_in_each_group(draw, schema: Schema) -> None:
    tables = load_tables(draw(200, 0), draw(2000, 1), schema=schema)
    target = target_of(tables)
    assert target is not None
    weights = balancing_weights(tables, target)
    synthetic = tables.synthetic.frame
    sums = pd.Series(weights).groupby([synthetic["sex"], synthetic["owner"]], observed=True).sum()
    assert sums.to_numpy() == pytest.approx([500.0] * 4)
    few = load_tables(draw(200, 0), draw(30, 1), schema=schema)
    assert balancing_weights(few, target) is None  # no two cells are large enough


def test_balancing_lifts_the_rare_class(draw, schema: Schema) -> None:
    synthetic = draw(3000, 1)
    rare = pd.concat([synthetic[~synthetic["owner"]], synthetic[synthetic["owner"]][:150]], ignore_index=True)
    tables = load_tables(draw(500, 0), rare, schema=schema, holdout=draw(1000, 2))
    target = target_of(tables)
    assert target is not None
    predictions = predict_holdout(tables, target, families=["logistic_regression"])
    selected = {
        s: (predictions.of["logistic_regression", s][:, 1] >= 0.5).mean() for s in predictions.sources
    }
    assert selected["balanced"] > selected["synthetic"] + 0.1


# -- coefficients --------------------------------------------------------------------------------------

LINEAR = Schema(
    {
        "x": {"type": "real", "low": -10, "high": 10},
        "z": {"type": "real", "low": -10, "high": 10},
        "c": {"type": "categorical", "categories": ["a", "b", "c"]},
        "pid": {"type": "id", "role": "person_id"},
        "y": {"type": "boolean", "role": "target"},
        "w": {"type": "real", "low": -100, "high": 100},
    },
    max_records_per_person=3,
)


def rows(n: int, generator: np.random.Generator) -> pd.DataFrame:
    x, c = generator.normal(size=n), generator.choice(list("abc"), size=n, p=[0.6, 0.3, 0.1])
    z = 0.5 * x + generator.normal(size=n)
    y = generator.random(n) < 1 / (1 + np.exp(-(0.8 * x - 0.3 * z + (c == "b"))))
    w = 2 * x + (c == "c") + generator.normal(size=n) * (1 + np.abs(x))
    return pd.DataFrame({"x": x, "z": z, "c": c, "pid": range(n), "y": y, "w": w})  # all within bounds


@pytest.mark.parametrize("name", ["y", "w"])
def test_coefficients_and_errors_are_those_of_statsmodels(name: str) -> None:
    generator = np.random.default_rng(0)
    table = rows(500, generator)
    table = pd.concat([table, table[:200]], ignore_index=True)  # some persons have two rows
    tables = load_tables(table, table.drop(columns="pid"), schema=LINEAR, target=name)
    target = target_of(tables)
    assert target is not None
    design = lay_out(tables, target)
    found = estimate(design, tables.real.frame, tables.real_weights, target, tables.real.persons)
    assert found is not None
    x = sm.add_constant(design.place(tables.real.frame))
    weights = tables.real_weights
    if name == "y":
        model = sm.GLM(table["y"].astype(float), x, family=sm.families.Binomial(), freq_weights=weights)
        fitted = model.fit(tol=1e-12)
    else:
        fitted = sm.WLS(table["w"], x, weights=weights).fit(
            cov_type="cluster", cov_kwds={"groups": tables.real.persons, "use_correction": False}
        )
    assert found.coefficients == pytest.approx(np.asarray(fitted.params)[1:], rel=1e-3, abs=1e-5)
    if name == "w":  # statsmodels has no clusters for a weighted logistic model
        assert found.errors == pytest.approx(np.asarray(fitted.bse)[1:], rel=1e-3)


def test_errors_of_the_logistic_model_are_those_of_statsmodels_without_weights() -> None:
    table = rows(600, np.random.default_rng(1)).drop(columns="pid")
    schema = Schema({name: column for name, column in LINEAR.columns.items() if name != "pid"})
    tables = load_tables(table, table, schema=schema)
    target = target_of(tables)
    assert target is not None
    design = lay_out(tables, target)
    found = estimate(design, tables.real.frame, tables.real_weights, target, None)
    fitted = sm.Logit(table["y"].astype(float), sm.add_constant(design.place(tables.real.frame))).fit(
        disp=0, cov_type="HC0", tol=1e-12
    )
    assert found is not None
    assert found.coefficients == pytest.approx(np.asarray(fitted.params)[1:], rel=1e-3)
    assert found.errors == pytest.approx(np.asarray(fitted.bse)[1:], rel=1e-3)


def test_terms_explained_by_others_rare_or_constant_are_left_out() -> None:
    table = rows(400, np.random.default_rng(2)).drop(columns="pid")
    table = table.assign(twice=table["x"] * 2, one=1.0, c=np.where(np.arange(400) == 0, "c", "a"))
    columns = {n: c for n, c in LINEAR.columns.items() if n != "pid"}
    columns |= {n: {"type": "real", "low": -20, "high": 20} for n in ("twice", "one")}
    tables = load_tables(table, table, schema=Schema(columns))
    target = target_of(tables)
    assert target is not None
    assert [term[0] for term in lay_out(tables, target).terms] == ["x", "z", "w"]


def test_coefficients_of_a_fresh_sample_agree_and_swapped_labels_turn_the_sign() -> None:
    generator = np.random.default_rng(3)
    schema = Schema({name: column for name, column in LINEAR.columns.items() if name != "pid"})
    real, fresh, holdout = (rows(2000, generator).drop(columns="pid") for _ in range(3))

    def compared(synthetic: pd.DataFrame, name: str = "y") -> dict:
        tables = load_tables(real, synthetic, schema=schema, holdout=holdout, target=name)
        target = target_of(tables)
        assert target is not None
        return compare_coefficients(tables, target)

    same = compared(fresh)
    n = same["n_terms"]
    assert n == 5  # x, z, w and two categories
    # sum of squares of n standard normals, up to their dependence: a false alarm of 1e-6 is below 3.5² n
    assert same["rms_z"]["value"] < 3.5
    assert same["rms_z"]["floor"] > 4
    assert same["same_sign"]["value"] == 1.0
    turned = compared(fresh.assign(y=~fresh["y"]))
    assert turned["same_sign"]["value"] == 0.0
    assert turned["rms_z"]["value"] > 5
    assert compared(real)["rms_z"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert compared(real)["overlap"]["value"] == pytest.approx(1.0)
    assert compared(fresh, "c")["reason"] == NOT_TWO_CLASSES


def test_overlap_worked_out_by_hand() -> None:
    assert interval_overlap([0.0, 4.0], [2.0, 4.0]) == 0.75  # half of one, all of the other
    assert interval_overlap([0.0, 1.0], [2.0, 3.0]) == 0.0


def test_intervals_as_if_real_cover_too_rarely_and_the_adjusted_ones_as_they_say() -> None:
    # The real rows come from the source, the synthetic ones from the exact family fitted to the real rows.
    # An estimate has variance s² (1/n + 1/m), its standard error as if real s²/m: with m = n the interval
    # covers P(|N(0, 2)| < 1.96) = 83.4 % of the time, the adjusted one 95 %.
    generator = np.random.default_rng(4)
    n, slope, n_runs = 300, 0.7, 1500
    naive = adjusted = 0
    for _ in range(n_runs):
        x = generator.normal(size=n)
        y = slope * x + generator.normal(size=n)
        beta = (x @ y) / (x @ x)
        residual = np.sqrt(np.mean((y - beta * x) ** 2))
        x_new = generator.normal(size=n)
        y_new = beta * x_new + residual * generator.normal(size=n)
        design_x = np.column_stack([np.ones(n), x_new])
        coefficient = np.linalg.lstsq(design_x, y_new, rcond=None)[0]
        bread = np.linalg.inv(design_x.T @ design_x)
        rest = y_new - design_x @ coefficient
        error = np.sqrt((bread @ (design_x * rest[:, None] ** 2).T @ design_x @ bread)[1, 1])
        naive += abs(coefficient[1] - slope) < Z * error
        adjusted += abs(coefficient[1] - slope) < Z * error * np.sqrt(1 + n / n)
    for covered, expected in ((naive, 0.834), (adjusted, 0.95)):
        low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n_runs, expected)
        assert low - 0.01 * n_runs < covered < high + 0.01 * n_runs  # a point for the sandwich at n = 300
    assert naive < adjusted - 0.05 * n_runs
