"""Verdicts on groups: are they there, are they treated alike, and who pays for privacy?"""

from __future__ import annotations

from privsynth.report.judging import Section, named, not_assessed_verdict, sentence, verdict_of

SHARE_TOLERANCE = 0.2  # of the group's real share
RATE_TOLERANCE = 0.05


def representation_verdict(fairness: Section) -> dict[str, str]:
    """Return the verdict on the shares of groups and their rates of the target."""
    question = "Are groups, and their rates of the target, as in the real table?"
    if fairness["status"] != "assessed":
        return not_assessed_verdict(fairness, question, "Name the groups that matter in the schema.")
    shares = [g for g in fairness["by_group"] if _off(g["share"], SHARE_TOLERANCE * g["share"]["real"])]
    rates = [g for g in fairness["by_group"] if "target_rate" in g and _off(g["target_rate"], RATE_TOLERANCE)]
    n_groups = len(fairness["by_group"])
    if not shares and not rates:
        return verdict_of(
            question,
            "ok",
            f"No share is off by more than {SHARE_TOLERANCE:.0%} of itself, no target rate by more than "
            f"{RATE_TOLERANCE:g}, in {n_groups} groups, clear of sampling error.",
            "Look at small groups below: little can be said about them.",
        )
    parts = []
    if shares:
        parts.append(f"the share of {named(shares)} is off by more than {SHARE_TOLERANCE:.0%} of itself")
    if rates:
        parts.append(f"the target rate of {named(rates)} is off by more than {RATE_TOLERANCE:g}")
    return verdict_of(
        question,
        "attention",
        sentence("; ".join(parts) + "."),
        "Balance the rows over these groups when sampling, and say so where they are used.",
    )


def model_fairness_verdict(fairness: Section) -> dict[str, str]:
    """Return the verdict on how models treat the groups."""
    question = "Do models trained on the synthetic rows treat groups as models of real rows do?"
    if fairness["status"] != "assessed":
        return not_assessed_verdict(fairness, question, "Name the groups that matter in the schema.")
    if fairness["models_reason"] is not None:
        return not_assessed_verdict(
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
        return verdict_of(
            question,
            "not_assessed",
            "The holdout has fewer than two groups large enough to be compared.",
            "Give a larger holdout.",
        )
    if worse:
        return verdict_of(
            question,
            "attention",
            sentence("; ".join(worse) + "."),
            "Do not let models trained on these rows decide about persons without correction.",
        )
    return verdict_of(
        question,
        "ok",
        f"No difference between groups grows by more than {RATE_TOLERANCE:g}, clear of sampling error, in "
        f"{measured} comparisons.",
        "As fair as models of real rows is not fair in itself: look at the differences below.",
    )


def privacy_effect_verdict(effect: Section) -> dict[str, str]:
    """Return the verdict on what privacy costs which group, against a twin."""
    question = "Who pays for privacy?"
    shares = [
        {"group": g["group"]}
        for g in effect["by_group"]
        if _off({"gap": g["share"]["cost"]}, SHARE_TOLERANCE * g["share"]["twin"])
    ]
    losers = [{"group": group} for group in effect["pays_most"]]
    if not shares and not losers:
        return verdict_of(
            question,
            "ok",
            "Against the twin without privacy no group's share moves by more than "
            f"{SHARE_TOLERANCE:.0%} of itself and no group's models lose accuracy, clear of sampling error.",
            "Look at small groups below: little can be said about them.",
        )
    parts = []
    if losers:
        parts.append(f"models lose accuracy through privacy for {named(losers)}")
    if shares:
        parts.append(f"the share of {named(shares)} moves by more than {SHARE_TOLERANCE:.0%} of itself")
    return verdict_of(
        question,
        "attention",
        sentence("; ".join(parts) + "."),
        "Balance these groups when sampling, spend more of the budget on their tables, or say who pays.",
    )


def _off(compared: Section, tolerance: float) -> bool:
    gap = compared["gap"]
    if gap["value"] is None or gap["interval"] is None:
        return False
    low, high = gap["interval"]
    return bool((low > 0 or high < 0) and abs(gap["value"]) > tolerance)
