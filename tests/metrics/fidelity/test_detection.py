from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from privsynth.metrics import interpretability
from privsynth.metrics.fidelity.detection import spending
from privsynth.schema import Schema

FIVE, TEN = {"noise_multiplier": 5.0}, {"noise_multiplier": 10.0}
GUARANTEE = {
    "private": True,
    "events": [
        {"purpose": "1-way marginals", "mechanism": "gaussian", "parameters": TEN, "count": 4},
        {"purpose": "2-way marginals", "mechanism": "gaussian", "parameters": FIVE, "count": 2},
        {"purpose": "2-way marginals", "mechanism": "gaussian", "parameters": FIVE, "count": 1},
        {
            "purpose": "values of 'it's' held by many",
            "mechanism": "thresholded_gaussian",
            "parameters": {"noise_multiplier": 10.0, "delta": 1e-9},
            "count": 1,
        },
        {"purpose": "values of 'b' held by many", "mechanism": "thresholded_gaussian",
         "parameters": {"noise_multiplier": 10.0, "delta": 1e-9}, "count": 1},
    ],
}  # fmt: skip


def test_shares_of_the_budget_worked_out_by_hand() -> None:
    found = spending(GUARANTEE)["purposes"]
    # mu²: 4/100, 3/25, 2/100: 0.04 + 0.12 + 0.02 = 0.18
    assert [(e["purpose"], e["count"]) for e in found] == [
        ("2-way marginals", 3), ("1-way marginals", 4), ("values of … held by many", 2),
    ]  # fmt: skip
    assert [e["share"] for e in found] == pytest.approx([0.12 / 0.18, 0.04 / 0.18, 0.02 / 0.18])


def test_the_exponential_mechanism_is_bounded_by_the_stated_mu() -> None:
    event = {"purpose": "choice", "mechanism": "exponential", "parameters": {"epsilon0": 1.0}, "count": 1}
    (entry,) = spending({"private": True, "events": [event]})["purposes"]
    mu = np.sqrt(entry["mu_squared"])
    # mu-GDP touches the trade-off curve whose kink is at FPR = FNR = 1/(1 + e^(1/2))
    assert mu == pytest.approx(brentq(lambda m: norm.cdf(-m / 2) - 1 / (1 + np.exp(0.5)), 0, 5))
    assert entry["share"] == 1.0


def test_unknown_mechanisms_have_no_share() -> None:
    event = {
        "purpose": "steps",
        "mechanism": "poisson_sampled_gaussian",
        "parameters": {"noise_multiplier": 1.0},
    }
    found = spending({"private": True, "events": [*GUARANTEE["events"], event]})
    assert {e["share"] for e in found["purposes"]} == {None}
    assert spending(None)["status"] == "not_assessed"
    assert spending({"private": False, "events": []})["status"] == "not_assessed"


def test_a_planted_giveaway_is_found_and_examples_are_synthetic(draw, schema: Schema) -> None:
    real, holdout, synthetic = draw(2000, 0), draw(1000, 1), draw(2000, 2)
    odd = synthetic["age"] > 60
    synthetic.loc[odd, "region"] = "e"  # where nobody of that age lives
    found = interpretability(real, synthetic, schema=schema, holdout=holdout)
    giveaways = found["giveaways"]
    assert {c["column"] for c in giveaways["columns"][:2]} == {"region", "age"}
    assert giveaways["columns"][0]["fall"] > 0.05
    assert abs(giveaways["columns"][-1]["fall"]) < 0.02
    rows = set(
        synthetic["age"].astype(str) + synthetic["joined"].dt.strftime("%Y-%m-%d") + synthetic["region"]
    )
    for example in giveaways["examples"]:
        assert example["row"]["age"] + example["row"]["joined"] + example["row"]["region"] in rows
        assert example["row"]["region"] == "e"
        assert {"region", "age"} & {entry["column"] for entry in example["betrayed_by"][:2]}
    assert found["worst"]["pairs"][0]["columns"] == ["age", "region"]
    assert found["worst"]["columns"][0]["column"] == "region"
    assert found["spending"]["status"] == "not_assessed"
    json.dumps(found, allow_nan=False)


def test_nothing_gives_a_fresh_sample_away(draw, schema: Schema) -> None:
    found = interpretability(draw(1500, 0), draw(1500, 2), schema=schema, holdout=draw(1500, 1))
    assert abs(found["giveaways"]["auc"] - 0.5) < 0.08
    assert max(c["fall"] for c in found["giveaways"]["columns"]) < 0.06
    few = interpretability(draw(30, 0), draw(30, 2), schema=schema)
    assert few["giveaways"]["status"] == "not_assessed"
