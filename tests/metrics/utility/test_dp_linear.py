"""The model trained directly under (epsilon, delta)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score

from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.utility import dp_linear as direct
from privsynth.metrics.utility.downstream import predict_holdout, target_of
from privsynth.metrics.utility.dp_linear import PublicFeatures, can_train_directly, gdp_mu, train_directly
from privsynth.metrics.utility.tables import assess_utility
from privsynth.schema import Schema

FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    ("epsilon", "delta", "mu"),
    # computed from Balle and Wang 2018, Theorem 8
    [
        (0.1, 1e-5, 0.03252),
        (1.0, 1e-5, 0.26805),
        (10.0, 1e-5, 2.00045),
        (1.0, 1e-2, 0.53252),
        (8.0, 1e-6, 1.53155),
    ],
)
def test_mu_of_a_budget(epsilon: float, delta: float, mu: float) -> None:
    assert gdp_mu(epsilon, delta) == pytest.approx(mu, abs=6e-6)


def tables_of(table: pd.DataFrame, schema: Schema, **more: object) -> Tables:
    return load_tables(table, table, schema=schema, holdout=table, **more)


def test_features_ignore_the_records_and_no_row_is_longer_than_one(draw, schema: Schema) -> None:
    tables, others = tables_of(draw(200, 0), schema), tables_of(draw(7, 3), schema)
    target = target_of(tables)
    assert target is not None
    placed = PublicFeatures.of(tables, target).place(tables.real.frame)
    assert np.linalg.norm(placed, axis=1).max() <= 1 + 1e-12
    again = PublicFeatures.of(others, target).place(tables.real.frame)
    assert (placed == again).all()  # laid out by the schema, whatever records there are


def test_columns_with_private_domains_are_left_out(draw) -> None:
    schema = Schema(
        {
            "x": {"type": "real", "low": 0, "high": "private"},
            "c": {"type": "categorical", "categories": "private"},
            "y": {"type": "boolean", "role": "target"},
        }
    )
    table = pd.DataFrame({"x": [0.5, 1.0] * 30, "c": ["a", "b"] * 30, "y": [True, False] * 30})
    tables = tables_of(table, schema)
    target = target_of(tables)
    assert target is not None
    assert not can_train_directly(tables, target)
    assert "no public bounds" in assess_utility(tables, budget=(1.0, 1e-6), n_bootstrap=2)["direct"]["reason"]


def test_one_more_unit_moves_the_sum_of_gradients_by_at_most_the_sensitivity(
    draw, person_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without noise one step from zero is -rate · sum / n: read the sum back from the predictions.
    rows = draw(60, 0).assign(pid=[i // 3 for i in range(60)])
    monkeypatch.setattr(direct, "LEARNING_RATE", 1.0)
    monkeypatch.setattr(direct, "MOMENTUM", 0.0)

    class Silent:
        def normal(self, mean: float, deviation: float, shape: object = None) -> object:
            return 0.0 if shape is None else np.zeros(shape)

    def gradient_sum(table: pd.DataFrame) -> np.ndarray:
        tables = load_tables(table, rows.drop(columns="pid"), schema=person_schema)
        target = target_of(tables)
        assert target is not None
        reference = load_tables(rows, rows.drop(columns="pid"), schema=person_schema).real.frame
        share = train_directly(
            tables,
            target,
            reference,
            epsilon=1.0,
            delta=1e-5,
            generator=Silent(),
            n_steps=1,
        )[:, 1]
        linear = np.log(share / (1 - share)) * tables.real_weights.sum()
        placed = PublicFeatures.of(tables, target).place(reference)
        return np.linalg.lstsq(placed, linear, rcond=None)[0]

    whole = gradient_sum(rows)
    moved = [np.linalg.norm(gradient_sum(rows[rows["pid"] != pid]) - whole) for pid in range(20)]
    assert max(moved) <= 1.0
    assert max(moved) > 0.1


def test_the_noise_is_what_mu_asks_for(draw, schema: Schema) -> None:
    tables = tables_of(draw(300, 0), schema)
    target = target_of(tables)
    assert target is not None
    seen: list[tuple[float, object]] = []

    class Recorder(np.random.Generator):
        def normal(self, loc: float = 0.0, scale: float = 1.0, size: object = None) -> object:
            seen.append((scale, size))
            return super().normal(loc, scale, size)

    noise = Recorder(np.random.PCG64(0))
    train_directly(tables, target, tables.real.frame, epsilon=1.0, delta=1e-5, generator=noise, n_steps=16)
    (count, _), *sums = seen
    assert len(sums) == 16
    # mu² of 16 sums of sensitivity one and of one count, together
    assert sum(1 / scale**2 for scale, _ in sums) + 1 / count**2 == pytest.approx(0.26805**2, rel=1e-4)
    big = np.random.default_rng(1).normal(0.0, sums[0][0], 5000)
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=5000)
    assert low < (big**2).sum() / sums[0][0] ** 2 < high


def test_with_a_large_budget_it_is_logistic_regression_and_with_a_tiny_one_nothing(
    draw, schema: Schema
) -> None:
    tables = tables_of(draw(3000, 0), schema)
    target = target_of(tables)
    assert target is not None
    generator = np.random.default_rng(0)
    known, labels = target.known_labels(tables.real.frame)
    x = PublicFeatures.of(tables, target).place(tables.real.frame)
    exact = LogisticRegression(C=1e6, max_iter=5000).fit(x, labels).predict_proba(x)[:, 1]

    def auc(epsilon: float) -> float:
        found = train_directly(
            tables, target, tables.real.frame, epsilon=epsilon, delta=1e-5, generator=generator
        )
        assert found.sum(axis=1) == pytest.approx(1.0)
        return float(roc_auc_score(labels, found[:, 1]))

    best = roc_auc_score(labels, exact)
    assert auc(1000.0) > best - 0.02
    assert auc(0.01) < auc(1000.0) - 0.02
    assert known.all()


def test_numbers_and_several_classes(draw, schema: Schema) -> None:
    generator = np.random.default_rng(0)
    tables = tables_of(draw(3000, 0), schema, target="income")
    target = target_of(tables)
    assert target is not None
    known, labels = target.known_labels(tables.real.frame)
    rows = tables.real.frame[known]
    found = train_directly(tables, target, rows, epsilon=100.0, delta=1e-5, generator=generator)
    assert r2_score(labels, found) > 0.3
    tables = tables_of(draw(3000, 0), schema, target="region")
    target = target_of(tables)
    assert target is not None
    found = train_directly(tables, target, tables.real.frame, epsilon=100.0, delta=1e-5, generator=generator)
    assert found.shape == (3000, 4)
    truth = target.known_labels(tables.real.frame)[1]
    assert roc_auc_score(truth == 3, found[:, 3]) > 0.8
    predictions = predict_holdout(tables, target, families=["decision_tree"])
    section = assess_utility(tables, predictions, budget=(1.0, 1e-6), n_bootstrap=2)["direct"]
    assert section["n_runs"] == 3
    low, high = section["scores"]["auc"]["over_runs"]
    assert low <= section["scores"]["auc"]["value"] <= high
