from __future__ import annotations

from typing import Any

import pytest

from privsynth.report.sections import verdicts_of
from privsynth.report.text import way_to_floor

NOT_THERE = {"status": "not_assessed", "reason": "no holdout"}
QUESTIONS = ("guarantee", "membership", "disclosure", "fidelity", "utility", "groups", "models")
GUARANTEE = {"private": True, "epsilon": 1.0, "delta": 1e-6, "unit": "person"}


def attack(
    auc: float, margin: float, *, n_true: int = 100, n_false: int = 10, p_adjusted: float = 1.0
) -> dict[str, Any]:
    point = {
        "tpr": n_true / 10_000,
        "n_true_positives": n_true,
        "n_members": 10_000,
        "fpr": n_false / 1000,
        "n_false_positives": n_false,
        "n_non_members": 1000,
    }
    return {
        "auc": auc,
        "auc_interval": [auc - margin, auc + margin],
        "p_adjusted": p_adjusted,
        "tpr_at_fpr": {"0.01": point, "0.001": {"tpr": None}},
        "smallest_detectable_auc": 0.53,
    }


def content(**sections: Any) -> dict[str, Any]:
    """Return what a report of these sections holds."""
    given = dict.fromkeys(("fidelity", "utility", "fairness", "membership", "disclosure"), NOT_THERE)
    facts = {"guarantee": None, "settings": {}, "tables": {"real": {"n_units": 1000}}}
    return facts | given | sections


def verdicts(**sections: Any) -> dict[str, dict[str, str]]:
    return dict(zip(QUESTIONS, verdicts_of(content(**sections)), strict=True))


def membership_verdict(
    found: dict[str, Any], guarantee: dict[str, Any] | None = None, **more: Any
) -> dict[str, str]:
    section = {"status": "assessed", "attacks": {"density_ratio": found}, **more}
    return verdicts(membership=section, guarantee=guarantee)["membership"]


def test_every_question_is_answered_without_any_section() -> None:
    listed = verdicts()
    assert len(listed) == 7
    assert {verdict["verdict"] for verdict in listed.values()} == {"not_assessed"}
    assert all(verdict["evidence"] and verdict["action"] for verdict in listed.values())


def test_an_attack_at_chance_is_ok_with_the_smallest_detectable_effect() -> None:
    verdict = membership_verdict(attack(0.505, 0.02))
    assert verdict["verdict"] == "ok"
    assert "0.530" in verdict["evidence"]
    assert verdict["evidence"].startswith("Not detected")


@pytest.mark.parametrize(
    ("auc", "p_adjusted", "verdict"),
    [(0.55, 1e-3, "attention"), (0.42, 1e-3, "attention"), (0.55, 0.03, "ok"), (0.95, 0.0, "problem")],
)
def test_an_attack_clear_of_chance_is_not_ok(auc: float, p_adjusted: float, verdict: str) -> None:
    # p-values come adjusted for the number of attacks; a third of 5 % is theirs
    assert membership_verdict(attack(auc, 0.02, p_adjusted=p_adjusted))["verdict"] == verdict


def test_a_point_above_the_replace_one_curve_is_a_problem() -> None:
    # at most 1.83 % of outsiders accused (upper limit), so (1, 1e-6) allows e^2 · 1.83 % = 13.5 % of members
    assert membership_verdict(attack(0.6, 0.01, n_true=1500), GUARANTEE)["verdict"] == "problem"
    verdict = membership_verdict(attack(0.6, 0.01, n_true=1300), GUARANTEE)
    assert verdict["verdict"] == "attention"
    assert "guarantee allows this much" in verdict["evidence"]


def test_a_gaussian_guarantee_draws_the_lower_curve() -> None:
    # mu = 0.237 at (1, 1e-6), twice that for replacing: 1.83 % false alarms allow 5.3 % of members
    gaussian = {**GUARANTEE, "accountant": "GDP filter for adaptively chosen levels"}
    assert membership_verdict(attack(0.6, 0.01, n_true=700), gaussian)["verdict"] == "problem"
    assert membership_verdict(attack(0.6, 0.01, n_true=500), gaussian)["verdict"] == "attention"


def test_a_bound_above_the_replaced_epsilon_is_a_problem() -> None:
    proven = {**attack(0.5, 0.02), "epsilon_lower_bound": 2.3}
    verdict = membership_verdict(proven, GUARANTEE)
    assert verdict["verdict"] == "problem"
    assert "epsilon >= 2.30 between replaced units" in verdict["evidence"]
    assert membership_verdict({**proven, "epsilon_lower_bound": 1.9}, GUARANTEE)["verdict"] == "ok"


def test_members_given_away_without_a_claim_are_a_problem() -> None:
    # the upper limit of 10 in 1,000 is 1.97 %: three times that is 5.9 % of members
    verdict = membership_verdict(attack(0.52, 0.01, n_true=700), None)
    assert verdict["verdict"] == "problem"
    assert "true positive rate 7.0% at false positive rate 1.00%" in verdict["evidence"]
    assert membership_verdict(attack(0.52, 0.01, n_true=500), None)["verdict"] == "attention"
    assert membership_verdict(attack(0.5, 0.01, n_true=150), None)["verdict"] == "ok"


def test_a_group_at_risk_is_named() -> None:
    groups = [
        {"group": {"sex": "F"}, "auc": 0.6, "p_adjusted": 1e-3},
        {"group": {"sex": "M"}, "auc": 0.52, "p_adjusted": 0.4},
        {"group": {"sex": None}, "auc": None, "p_adjusted": None},
    ]
    verdict = membership_verdict(attack(0.5, 0.01), by_group=groups)
    assert verdict["verdict"] == "attention"
    assert "Most at risk: sex=F." in verdict["evidence"]


def test_a_holdout_of_another_source_is_said() -> None:
    other = {"source_difference": {"auc": 0.61, "differs": True}}
    verdict = membership_verdict(attack(0.5, 0.01), holdout=other)
    assert verdict["verdict"] == "attention"
    assert "differ in distribution (AUC 0.610 of a classifier)" in verdict["evidence"]
    assert "privsynth split" in verdict["action"]


def test_the_guarantee_itself_is_judged() -> None:
    assert verdicts(guarantee=GUARANTEE)["guarantee"]["verdict"] == "ok"
    assert verdicts(guarantee={"private": False})["guarantee"]["verdict"] == "attention"
    loose = verdicts(guarantee={**GUARANTEE, "delta": 1e-3})["guarantee"]
    assert loose["verdict"] == "attention"
    assert "smaller delta" in loose["action"]


def figure(value: float | None, ceiling: float | None, floor: float | None) -> dict[str, Any]:
    return {"value": value, "interval": None, "ceiling": ceiling, "floor": floor}


def test_the_way_to_the_floor_is_measured_in_either_direction() -> None:
    assert way_to_floor(figure(0.045, 0.03, 0.09)) == pytest.approx(0.25)  # a distance: small is good
    assert way_to_floor(figure(0.15, 0.03, 0.09)) == pytest.approx(2.0)  # worse than the floor
    assert way_to_floor(figure(0.60, 0.90, 0.50)) == pytest.approx(0.75)  # an AUC: large is good
    assert way_to_floor(figure(0.95, 0.90, 0.50)) < 0
    assert way_to_floor(figure(0.045, None, 0.09)) == pytest.approx(0.5)  # without a holdout from zero
    assert way_to_floor(figure(0.04, 0.03, 0.035)) is None
    assert way_to_floor(figure(None, 0.03, 0.09)) is None


@pytest.mark.parametrize(
    ("two_way", "verdict", "opening"),
    [
        (0.04, "ok", "Mean total variation distance (TVD): 1-way marginals 0.010 (real rows 0.010"),
        (0.085, "attention", "2-way marginals are nearer to independent columns than to real rows."),
        (0.3, "attention", "2-way marginals are farther from the source than independent columns are."),
    ],
)
def test_fidelity_follows_floor_and_ceiling(two_way: float, verdict: str, opening: str) -> None:
    section = {
        "status": "assessed",
        "tv_1way": figure(0.01, 0.01, 0.01),
        "tv_2way": figure(two_way, 0.03, 0.09),
        "tv_3way": figure(None, None, None),
    }
    found = verdicts(fidelity=section)["fidelity"]
    assert found["verdict"] == verdict
    assert found["evidence"].startswith(opening)


@pytest.mark.parametrize(("value", "verdict"), [(0.16, "ok"), (0.29, "attention")])
def test_rows_beyond_a_floor_that_is_as_low_as_the_ceiling_are_found(value: float, verdict: str) -> None:
    section = {
        "status": "assessed",
        "tv_1way": figure(0.1, 0.04, 0.04),
        "tv_2way": figure(value, 0.155, 0.157),
        "tv_3way": figure(None, None, None),
    }
    found = verdicts(fidelity=section)["fidelity"]
    assert found["verdict"] == verdict
    assert found["evidence"].startswith("2-way marginals are farther from") == (verdict == "attention")


@pytest.mark.parametrize(("auc", "ceiling", "verdict"), [
    (0.85, 0.9, "ok"), (0.6, 0.9, "attention"), (0.5, 0.505, "not_assessed"),
])  # fmt: skip
def test_utility_follows_floor_and_ceiling(auc: float, ceiling: float, verdict: str) -> None:
    models = {"hist_gradient_boosting": {"auc": figure(auc, ceiling, 0.5)}}
    section = {"status": "assessed", "task": "binary", "target": "y", "models": models}
    assert verdicts(utility=section)["utility"]["verdict"] == verdict


def compared(real: float, gap: float, margin: float) -> dict[str, Any]:
    limits = {
        "interval": [gap - margin / 2, gap + margin / 2],
        "family_interval": [gap - margin, gap + margin],
    }
    return {"real": real, "synthetic": real + gap, "gap": {"value": gap, **limits}}


def test_groups_are_named_when_clear_of_error_and_large() -> None:
    by_group = [
        {
            "group": {"sex": "F"},
            "share": compared(0.4, -0.1, 0.02),
            "target_rate": compared(0.2, 0.01, 0.005),
        },
        {"group": {"sex": "M"}, "share": compared(0.6, 0.1, 0.02), "target_rate": compared(0.2, 0.3, 0.5)},
        {"group": {"sex": None}, "share": compared(0.5, 0.0, 0.1), "target_rate": compared(0.2, 0.09, 0.05)},
    ]
    section = {"status": "assessed", "models_reason": "no holdout", "by_group": by_group, "by_columns": []}
    verdict = verdicts(fairness=section)["groups"]
    assert verdict["verdict"] == "attention"
    assert "share of sex=F is off" in verdict["evidence"]  # M is off by a sixth of itself only
    assert "target rate of sex=missing is off" in verdict["evidence"]
    assert "sex=M" not in verdict["evidence"]


@pytest.mark.parametrize(("low", "value", "verdict"), [
    (0.02, 0.1, "attention"), (-0.02, 0.1, "ok"), (0.02, 0.04, "ok"),
])  # fmt: skip
def test_models_are_judged_by_what_they_add(low: float, value: float, verdict: str) -> None:
    difference = {**figure(0.3, 0.2, 0.0), "excess": {"value": value, "interval": [low, 0.3]}}
    undefined = {**figure(None, None, None), "reason": "too small"}
    entry = {
        "columns": ["sex"],
        "demographic_parity_difference": difference,
        "equalized_odds_difference": undefined,
    }
    section = {"status": "assessed", "models_reason": None, "by_group": [], "by_columns": [entry]}
    assert verdicts(fairness=section)["models"]["verdict"] == verdict


def of_both(members: float, outsiders: float, low: float) -> dict[str, Any]:
    return {"members": members, "outsiders": outsiders, "family_interval": [low, low + 0.1]}


@pytest.mark.parametrize(("low", "verdict"), [(-0.01, "ok"), (0.01, "attention"), (0.2, "problem")])
def test_disclosure_is_judged_by_what_is_found_of_members_alone(low: float, verdict: str) -> None:
    section = {
        "status": "assessed",
        "attribute_inference": [{"secret": "pay", "attack": "neighbours", **of_both(0.4, 0.35, low)}],
        "singling_out": {"multivariate": of_both(0.3, 0.3, -0.05)},
        "linkage": {"halves": {"members": None, "outsiders": None, "family_interval": None}},
        "copies": {"exact": of_both(0.0, 0.0, -0.01)},
    }
    found = verdicts(disclosure=section)["disclosure"]
    assert found["verdict"] == verdict
    if verdict == "ok":
        assert "in 4 comparisons" in found["evidence"]
    else:
        assert "pay guessed by neighbours: 40.0% of members, 35.0% of non-members" in found["evidence"]


def test_a_spoilt_group_or_a_price_paid_by_few_asks_for_attention() -> None:
    section = {
        "status": "assessed",
        "tv_1way": figure(0.01, 0.01, 0.01),
        "tv_2way": figure(0.04, 0.03, 0.09),
        "tv_3way": figure(None, None, None),
        "two_sample": {"status": "assessed", "auc": figure(0.7, 0.5, 0.99)},
        "by_group": [
            {"group": {"sex": "F"}, "n_reference_rows": 500, "tv_2way": figure(0.3, 0.1, 0.35)},
            {"group": {"sex": "X"}, "n_reference_rows": 60, "tv_2way": figure(0.9, 0.1, 0.35)},
        ],
    }
    found = verdicts(fidelity=section)["fidelity"]
    assert found["verdict"] == "attention"
    assert "within sex=F 2-way marginals are nearer to independent" in found["evidence"]
    assert "AUC 0.700" in found["evidence"]
    assert found["section"] == "fidelity"

    effect = {
        "status": "assessed",
        "pays_most": [{"sex": "F"}],
        "by_group": [
            {"group": {"sex": "F"}, "share": {"twin": 0.4, "cost": compared(0.4, -0.01, 0.001)["gap"]}}
        ],
    }
    fairness = {
        "status": "assessed", "models_reason": "no holdout", "by_group": [], "by_columns": [],
        "privacy_effect": effect,
    }  # fmt: skip
    listed = verdicts_of(content(fairness=fairness))
    assert listed[-1]["question"] == "Who pays for privacy?"
    assert listed[-1]["verdict"] == "attention"
    assert listed[-1]["evidence"] == "Models lose accuracy through privacy for sex=F."


def test_shares_that_a_request_moved_are_said_to_be_moved_on_purpose() -> None:
    fairness = {
        "status": "assessed", "by_columns": [], "models_reason": "no holdout",
        "by_group": [{"group": {"sex": "F"}, "share": compared(0.4, 0.2, 0.1)}],
    }  # fmt: skip
    drawing = {"rebalancing_cost": {"columns": ["sex", "ill"]}, "not_covered": []}
    told, plain = (verdicts(fairness=fairness, **more) for more in ({"drawing": drawing}, {}))
    (question,) = [q for q, found in plain.items() if "he share of sex=F" in found["evidence"]]
    assert "drawn by a request on sex × ill, which moves shares on purpose." in told[question]["evidence"]
    assert told[question]["action"] == "Say so where the rows are used."
    assert "request" not in plain[question]["evidence"]
    assert plain[question]["action"].startswith("Balance the rows over these groups when sampling, and say")
