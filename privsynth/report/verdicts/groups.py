"""Verdicts on groups: are they there, how do models treat them, and who pays for privacy?"""

from __future__ import annotations

from privsynth.report.verdicts.pieces import (
    Section,
    Verdict,
    attention_or_ok,
    by_request,
    named,
    off,
    or_not_assessed,
    sentence,
    verdict,
)

SHARE_TOLERANCE = 0.2  # of the group's real share
RATE_TOLERANCE = 0.05


def representation_verdict(fairness: Section, drawing: Section | None = None) -> Verdict:
    """Return the verdict on groups' shares and target rates."""
    question = "Are groups, and their rates of the target, as in the real table?"
    if fairness["status"] != "assessed":
        return or_not_assessed(fairness, question, "Name the groups that matter in the schema.")
    shares = [g for g in fairness["by_group"] if off(g["share"], SHARE_TOLERANCE * g["share"]["real"])]
    rates = [g for g in fairness["by_group"] if "target_rate" in g and off(g["target_rate"], RATE_TOLERANCE)]
    found = []
    if shares:
        found.append(f"the share of {named(shares)} is off by more than {SHARE_TOLERANCE:.0%} of itself")
    if rates:
        found.append(f"the target rate of {named(rates)} is off by more than {RATE_TOLERANCE:g}")
    moved = by_request(drawing)
    action = "say so where the rows are used."
    action = f"Balance the rows over these groups when sampling, and {action}" if not moved else action
    if found and moved:
        found[-1] += f".{moved}"
    return attention_or_ok(
        question,
        found,
        sentence(action),
        otherwise=f"No share is off by more than {SHARE_TOLERANCE:.0%} of itself, no target rate by more "
        f"than {RATE_TOLERANCE:g}, clear of sampling error in {len(fairness['by_group'])} groups together.",
        then="Look at small groups below: little can be said about them.",
    )


def model_fairness_verdict(fairness: Section) -> Verdict:
    """Return the verdict on differences between groups under models."""
    question = "Do models trained on the synthetic rows treat groups as models of real rows do?"
    if fairness["status"] != "assessed":
        return or_not_assessed(fairness, question, "Name the groups that matter in the schema.")
    if fairness["models_reason"] is not None:
        return or_not_assessed(
            {"reason": fairness["models_reason"]}, question, "Give a holdout and a target with two classes."
        )
    names = {
        "demographic_parity_difference": "demographic parity difference",
        "equalized_odds_difference": "equalised odds difference",
        "accuracy_difference": "difference in accuracy",
    }
    measured, worse = 0, []
    for entry in fairness["by_columns"]:
        for key, name in names.items():
            figure = entry.get(key) or {}
            excess = figure.get("excess")
            if excess is None or excess["value"] is None:
                continue
            measured += 1
            clear = excess["interval"] is not None and excess["interval"][0] > 0
            if clear and excess["value"] > RATE_TOLERANCE:
                worse.append(
                    f"{name} by {' × '.join(entry['columns'])} {figure['value']:.3f} instead of "
                    f"{figure['ceiling']:.3f}"
                )
    if not measured:
        return verdict(
            question,
            "not_assessed",
            "The holdout has fewer than two groups large enough to be compared.",
            "Give a larger holdout.",
        )
    return attention_or_ok(
        question,
        worse,
        "Do not let models trained on these rows decide about persons without correction.",
        otherwise=f"No difference between groups grows by more than {RATE_TOLERANCE:g}, clear of sampling "
        f"error, in {measured} comparisons, each by itself.",
        then="As fair as models of real rows is not fair in itself: look at the differences below.",
    )


def privacy_effect_verdict(effect: Section) -> Verdict:
    """Return the verdict on what groups lose against the twin without privacy."""
    question = "Who pays for privacy?"
    shares = [
        {"group": g["group"]}
        for g in effect["by_group"]
        if off({"gap": g["share"]["cost"]}, SHARE_TOLERANCE * g["share"]["twin"])
    ]
    losers = [{"group": group} for group in effect["pays_most"]]
    found = []
    if losers:
        found.append(f"models lose accuracy through privacy for {named(losers)}")
    if shares:
        found.append(f"the share of {named(shares)} moves by more than {SHARE_TOLERANCE:.0%} of itself")
    return attention_or_ok(
        question,
        found,
        "Balance these groups when sampling, spend more of the budget on their tables, or say who pays.",
        otherwise="Against the twin without privacy no group's share moves by more than "
        f"{SHARE_TOLERANCE:.0%} of itself and no group's models lose accuracy, clear of sampling error in "
        f"{len(effect['by_group'])} groups together.",
        then="Look at small groups below: little can be said about them.",
    )
