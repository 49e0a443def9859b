"""Declared tables: measured at their share, fitted to, and handed out with errors that hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import SchemaError
from privsynth.models.tables.fitting import Measurement
from privsynth.schema import Column, Schema
from privsynth.synthesizers import DPGANSynthesizer, MarginalSynthesizer, load
from privsynth.synthesizers.plan import plan
from privsynth.synthesizers.tables import workload
from privsynth.synthesizers.tables.rare_values import group_values, grouped
from tests.helpers.tables import QUICK

LEVELS = ["a", "b", "c"]
COLUMNS = {
    "left": {"type": "categorical", "categories": LEVELS},
    "middle": {"type": "categorical", "categories": LEVELS},
    "right": {"type": "categorical", "categories": LEVELS},
    "age": {"type": "integer", "low": 0, "high": 3},
}
TRIPLE = ("left", "middle", "right")
SCHEMA = Schema(COLUMNS, workload=[TRIPLE, ("age", "left")])


def table(n: int = 2700) -> pd.DataFrame:
    """Return rows in which any two of the three columns are independent, and two give the third."""
    cells = np.arange(n) % 9
    left, middle = cells // 3, cells % 3
    right = (left + middle) % 3
    words = {name: np.array(LEVELS)[codes] for name, codes in zip(TRIPLE, (left, middle, right), strict=True)}
    return pd.DataFrame({**words, "age": np.arange(n) // 9 % 4})


def fitted(tmp_path, schema=SCHEMA, epsilon=3.0, name="patients", **named):
    synthesizer = MarginalSynthesizer(epsilon=epsilon, settings=QUICK, random_state=0)
    return synthesizer.fit(table(), schema=schema, dataset=name, ledger=tmp_path / "ledger.sqlite", **named)


def true_counts(columns) -> np.ndarray:
    return table().groupby(list(columns)).size()


def test_declared_tables_are_released_with_errors_that_hold(tmp_path):
    declared = fitted(tmp_path).declared_tables()
    assert list(declared) == [TRIPLE, ("age", "left")]
    frame = declared[TRIPLE]
    assert frame.columns.tolist() == [*TRIPLE, "count", "std", "low", "high"]
    assert len(frame) == 27
    true = true_counts(TRIPLE)
    exact = np.array([true.get(cell, 0) for cell in frame[list(TRIPLE)].itertuples(index=False)])
    z = (frame["count"] - exact) / frame["std"]
    assert abs(z.mean()) < 6 / np.sqrt(27)  # six standard deviations
    assert z.abs().max() < 8
    assert z.std() > 0.3
    np.testing.assert_allclose(frame["high"] - frame["count"], 1.959964 * frame["std"])
    np.testing.assert_allclose(frame["count"] - frame["low"], 1.959964 * frame["std"])


def test_cells_of_number_lines_are_named_by_their_ends(tmp_path):
    frame = fitted(tmp_path).declared_tables()["age", "left"]
    runs = {str(low) if low == high else f"{low} to {high}" for low in range(4) for high in range(low, 4)}
    assert set(frame["age"]) <= runs
    assert frame["left"].tolist() == LEVELS * (len(frame) // 3)
    assert abs(frame["count"].sum() - 2700) < 8 * frame["std"].iloc[0] * np.sqrt(len(frame))


def test_what_only_a_declared_table_knows_is_learnt(tmp_path):
    """No pair tells the third column, so no choice of pairs finds it."""
    without = fitted(tmp_path, Schema(COLUMNS), epsilon=30.0, name="pairs").sample(2000, random_state=0)
    rows = fitted(tmp_path, epsilon=30.0).sample(2000, random_state=0)

    def kept(rows: pd.DataFrame) -> float:
        codes = [rows[name].map(LEVELS.index) for name in TRIPLE]
        return float(((codes[0] + codes[1]) % 3 == codes[2]).mean())

    assert kept(without) < 0.5
    assert kept(rows) > 0.8


def test_the_guarantee_says_the_errors_and_the_budget_is_kept(tmp_path):
    synthesizer = fitted(tmp_path)
    stated = synthesizer.guarantee_["declared_tables"]
    assert [entry["columns"] for entry in stated] == [list(TRIPLE), ["age", "left"]]
    release = next(r for r in synthesizer.releases_ if r.key == workload.KEY)
    assert release.event["mechanism"] == "gaussian"
    assert release.event["count"] == 2
    assert {entry["noise_std"] for entry in stated} == {release.event["noise_multiplier"]}
    assert stated[0]["margin_95"] == pytest.approx(1.959964 * stated[0]["noise_std"])
    assert synthesizer.guarantee_["epsilon_spent"] <= 3.0
    assert any("left x middle x right" in fact for fact in synthesizer.guarantee_["public"])


def test_a_model_keeps_its_declared_tables_in_its_file(tmp_path):
    synthesizer = fitted(tmp_path)
    synthesizer.save(tmp_path / "m.privsynth")
    again = load(tmp_path / "m.privsynth").declared_tables()
    for columns, frame in synthesizer.declared_tables().items():
        pd.testing.assert_frame_equal(again[columns], frame)


def test_without_a_workload_there_are_none(tmp_path):
    synthesizer = fitted(tmp_path, Schema(COLUMNS))
    assert synthesizer.declared_tables() == {}
    assert synthesizer.guarantee_["declared_tables"] == []


def test_a_plan_names_the_declared_tables():
    steps = {step["purpose"]: step for step in plan(SCHEMA, 2700, 1.0)["steps"]}
    assert steps[workload.DECLARED]["count"] == 2
    assert workload.DECLARED not in {step["purpose"] for step in plan(Schema(COLUMNS), 2700, 1.0)["steps"]}


def test_other_synthesizers_refuse_before_anything_is_paid(tmp_path):
    text = "has a workload, which 'dpgan' does not measure; fit 'marginal'"
    with pytest.raises(SchemaError, match=text):
        DPGANSynthesizer(epsilon=1.0).fit(table(), schema=SCHEMA, ledger=tmp_path / "l.sqlite")
    with pytest.raises(SchemaError, match=text):
        plan(SCHEMA, 2700, 1.0, synthesizer="dpgan")
    assert not (tmp_path / "l.sqlite").exists()


def test_a_table_too_large_to_be_fitted_is_released_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(workload, "MOST_FITTED", 26)
    declared = fitted(tmp_path).declared_tables()
    assert len(declared[TRIPLE]) == 27


def test_groups_of_rare_values_add_up_along_their_axis():
    rng = np.random.default_rng(0)
    codes = tuple(map(str, range(300)))
    column = Column.from_dict("code", {"type": "categorical", "categories": list(codes)})
    domain = DiscreteDomain(column, codes, has_other=False, has_missing=False)
    counts = rng.poisson(3, 300).astype(float)
    groups = group_values(domain, Measurement(columns=("code",), counts=counts, variance=4.0))
    counts, variance = rng.random((2, 300, 4)), rng.random((2, 300, 4))
    summed = grouped(
        groups, Measurement(columns=("a", "code", "b"), counts=counts, variance=variance), axis=1
    )
    for group, a, b in itertools.product(range(groups.size), range(2), range(4)):
        of_group = groups.group_of_code == group
        assert summed.counts[a, group, b] == pytest.approx(counts[a, of_group, b].sum())
        assert summed.variance[a, group, b] == pytest.approx(variance[a, of_group, b].sum())


def test_the_share_is_a_setting(tmp_path):
    declared = []
    for share in (0.05, 0.2):
        synthesizer = MarginalSynthesizer(
            epsilon=3.0, settings=replace(QUICK, workload_share=share), random_state=0
        )
        synthesizer.fit(table(), schema=SCHEMA, dataset=f"p{share}", ledger=tmp_path / "ledger.sqlite")
        declared.append(synthesizer.guarantee_["declared_tables"][0]["noise_std"])
    assert declared[0] == pytest.approx(declared[1] * 2, rel=1e-5)
