"""Where the rows of a synthetic person belong together, every figure counts each synthetic person once.

Real persons all have two rows. The synthetic table is made of persons with two rows and of persons with six,
such that its shares are those of the real table if persons count once, and far from them if rows do.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.private_audit import AuditAccount, AuditBudget, paid_audit
from privsynth.ledger.ledger import Ledger
from privsynth.metrics import fairness, fidelity, utility
from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.public import describe_released
from tests.helpers.histories import SCHEMA

N = 1200


def persons(first: int, n: int, *, ill: float, sex: str, n_records: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    whose = np.repeat(np.arange(n), n_records)
    return pd.DataFrame(
        {
            "pid": first + whose,
            "sex": sex,
            "day": np.tile(np.arange(n_records), n),
            "ill": generator.random(len(whose)) < ill,
            "cost": generator.normal(size=len(whose)).round(3),
        }
    )


def table(first: int, seed: int, *, n_records_of_women: int) -> pd.DataFrame:
    """Return as many women, often ill, as men, who seldom are and have two rows."""
    half = N // 2
    women = persons(first, half, ill=0.8, sex="F", n_records=n_records_of_women, seed=seed)
    men = persons(first + half, half, ill=0.2, sex="M", n_records=2, seed=seed + 1)
    return pd.concat([women, men], ignore_index=True)


REAL, HOLDOUT = table(0, 10, n_records_of_women=2), table(10_000, 20, n_records_of_women=2)
SYNTHETIC = table(0, 30, n_records_of_women=6)
FAR = 0.75 - 0.5  # share of women's rows less that of women
NEAR = 5 * 0.5 / np.sqrt(N)


def test_marginals_are_those_of_persons() -> None:
    found = fidelity(REAL, SYNTHETIC, schema=SCHEMA, holdout=HOLDOUT, max_triples=1)
    by = {column["column"]: column for column in found["columns"]}
    assert by["sex"]["tv"]["value"] < 0.01 < FAR
    assert by["ill"]["tv"]["value"] < NEAR
    assert by["ill"]["tv"]["value"] < 0.6 * FAR / 2
    women = next(bar for bar in by["sex"]["distribution"] if bar["label"] == "F")
    assert women["synthetic"] == pytest.approx(0.5, abs=0.01)
    test = found["two_sample"]
    assert test["n_synthetic"] == N // 2  # one row each, one half tested


def test_groups_and_models_are_those_of_persons() -> None:
    found = fairness(REAL, SYNTHETIC, schema=SCHEMA, holdout=HOLDOUT, n_bootstrap=5, non_private=SYNTHETIC)
    by = {group["group"]["sex"]: group for group in found["by_group"]}
    assert by["F"]["share"]["synthetic"] == pytest.approx(0.5)
    low, high = by["F"]["share"]["gap"]["interval"]
    assert high - low == pytest.approx(
        4 * 1.96 * np.sqrt(0.25 / N) / np.sqrt(2), rel=0.1
    )  # of persons, not rows
    effect = {group["group"]["sex"]: group for group in found["privacy_effect"]["by_group"]}
    assert effect["F"]["share"]["twin"] == pytest.approx(0.5)
    scores = utility(REAL, SYNTHETIC, schema=SCHEMA, holdout=HOLDOUT, n_bootstrap=5)
    boosting = scores["models"]["hist_gradient_boosting"]
    assert boosting["brier"]["value"] < boosting["brier"]["ceiling"] + 0.02
    assert scores["coefficients"]["status"] == "assessed"
    assert scores["ranking"]["status"] == "assessed"


def test_a_page_to_publish_counts_persons() -> None:
    found = describe_released(SYNTHETIC, schema=SCHEMA)
    by = {group["group"]["sex"]: group for group in found["by_group"]}
    assert by["F"]["share"]["value"] == pytest.approx(0.5)
    assert by["F"]["target_rate"]["value"] == pytest.approx(0.8, abs=NEAR)
    women = next(
        b for c in found["columns"] if c["column"] == "sex" for b in c["distribution"] if b["label"] == "F"
    )
    assert women["synthetic"] == pytest.approx(0.5, abs=0.01)


def test_an_audit_under_a_budget_counts_persons_on_both_sides(tmp_path) -> None:
    tables = load_tables(REAL, SYNTHETIC, schema=SCHEMA, holdout=HOLDOUT)
    budget = AuditBudget(epsilon=20, delta=1e-6, dataset="d", ledger=Ledger(tmp_path / "l.sqlite"))
    with AuditAccount(SCHEMA, budget) as account:
        found = paid_audit(
            real=tables.real, holdout=tables.holdout, synthetic=tables.synthetic, schema=SCHEMA,
            target="ill", account=account,
        )  # fmt: skip
    of_sex = next(entry for entry in found["one_way"] if entry["columns"] == ["sex"])
    assert of_sex["tv"] < 0.02 < FAR
    both = next(entry for entry in found["two_way"] if sorted(entry["columns"]) == ["ill", "sex"])
    assert both["tv"] < 0.05 < FAR
    right = found["predictions"]["members"]
    assert right["rate"] == pytest.approx(0.8, abs=0.03)
    assert right["n_units"] == pytest.approx(N, rel=0.02)
    assert found["hits"]["members"]["n_units"] == pytest.approx(N, rel=0.02)
