"""Fairness: are groups there, how do models treat them, and who pays for privacy?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from privsynth.metrics.fairness.images import assess_fairness as assess_image_fairness
from privsynth.metrics.fairness.tables import assess_fairness
from privsynth.report.context import ImageContext, TableContext
from privsynth.report.sections.base import (
    Content,
    Figures,
    KeyFigure,
    Section,
    Verdict,
    Words,
    attention_or_ok,
    by_request,
    is_assessed,
    named,
    or_not_assessed,
    sentence,
    verdict,
    words_of,
)
from privsynth.report.text import group_text

SHARE_TOLERANCE = 0.2  # of the group's real share
RATE_TOLERANCE = 0.05


def _assess_rows(context: TableContext) -> Figures:
    return assess_fairness(
        context.tables,
        context.predictions,
        n_bootstrap=context.limits.n_bootstrap,
        random_state=context.random_state,
    )


def _assess_images(context: ImageContext) -> Figures:
    return assess_image_fairness(
        context.images,
        context.predictions,
        n_bootstrap=context.limits.n_bootstrap,
        random_state=context.random_state,
    )


def _verdicts(content: Content) -> list[Verdict]:
    fairness, words = content["fairness"], words_of(content)
    listed = [_representation(fairness, words, by_request(content)), _models(fairness, words)]
    effect = fairness.get("privacy_effect", {})
    if is_assessed(effect):
        listed.append(_privacy_effect(effect) | {"section": "privacy-effect"})
    return listed


def _representation(fairness: Figures, words: Words, moved: str) -> Verdict:
    """Return the verdict on groups' shares and target rates."""
    question = f"Are groups, and their rates of the target, as in the real {words.table}?"
    if not is_assessed(fairness):
        return or_not_assessed(fairness, question, "Name the groups that matter in the schema.")
    shares = [g for g in fairness["by_group"] if _off(g["share"], SHARE_TOLERANCE * g["share"]["real"])]
    rates = [g for g in fairness["by_group"] if "target_rate" in g and _off(g["target_rate"], RATE_TOLERANCE)]
    found = []
    if shares:
        found.append(f"the share of {named(shares)} is off by more than {SHARE_TOLERANCE:.0%} of itself")
    if rates:
        found.append(f"the target rate of {named(rates)} is off by more than {RATE_TOLERANCE:g}")
    action = f"say so where the {words.things} are used."
    if not moved:
        action = f"Balance the {words.things} over these groups when sampling, and {action}"
    if found and moved:
        found[-1] += f".{moved}"
    return attention_or_ok(
        question,
        found,
        sentence(action),
        otherwise=f"In {len(fairness['by_group'])} groups together, no share differs significantly by more "
        f"than {SHARE_TOLERANCE:.0%} of itself, and no target rate by more than {RATE_TOLERANCE:g}.",
        then="Look at small groups below: little can be said about them.",
    )


def _models(fairness: Figures, words: Words) -> Verdict:
    """Return the verdict on differences between groups under models."""
    things = words.things
    question = f"Do models trained on the synthetic {things} treat groups as models of real {things} do?"
    if not is_assessed(fairness):
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
        f"Do not let models trained on these {things} decide about persons without correction.",
        otherwise=f"In {measured} comparisons, each by itself, no difference between groups grows "
        f"significantly by more than {RATE_TOLERANCE:g}.",
        then=f"As fair as models of real {things} is not fair in itself: look at the differences below.",
    )


def _privacy_effect(effect: Figures) -> Verdict:
    """Return the verdict on what groups lose against the same generator without privacy."""
    question = "Who pays for privacy?"
    shares = [
        {"group": g["group"]}
        for g in effect["by_group"]
        if _off({"gap": g["share"]["cost"]}, SHARE_TOLERANCE * g["share"]["twin"])
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
        otherwise=f"Against the same generator without privacy, in {len(effect['by_group'])} groups "
        f"together, no group's share moves significantly by more than {SHARE_TOLERANCE:.0%} of itself, and "
        "no group's models lose accuracy significantly.",
        then="Look at small groups below: little can be said about them.",
    )


def _off(compared: Figures, tolerance: float) -> bool:
    """Return whether a gap is larger than tolerated, and clear of the sampling error of all gaps together."""
    gap = compared["gap"]
    if gap["value"] is None or gap["family_interval"] is None:
        return False
    low, high = gap["family_interval"]
    return bool((low > 0 or high < 0) and abs(gap["value"]) > tolerance)


def _view(content: Content) -> dict[str, Any]:
    """Return, for each set of group columns, its differences and its groups."""
    fairness = content["fairness"]
    if not is_assessed(fairness):
        return {}
    by_group = fairness["by_group"]
    sets = [
        {**entry, "groups": [g for g in by_group if list(g["group"]) == entry["columns"]]}
        for entry in fairness["by_columns"]
    ]
    return {"group_sets": sets, "accuracy_rows": _accuracy_rows}


def _accuracy_rows(groups: Sequence[Figures]) -> list[tuple[str, Figures]]:
    sides = [side for side in ("real", "synthetic", "augmented", "balanced") if side in groups[0]["models"]]
    return [(group_text(g["group"]), {side: g["models"][side]["accuracy"] for side in sides}) for g in groups]


def _key_figures(content: Content) -> list[KeyFigure]:
    return [
        (f"{name} by {' × '.join(entry['columns'])}", "low", entry[key])
        for entry in content["fairness"].get("by_columns", [])
        for key, name in (
            ("demographic_parity_difference", "demographic parity difference"),
            ("equalized_odds_difference", "equalised odds difference"),
        )
        if entry.get(key)
    ]


OF_TABLES = Section(
    name="fairness",
    title="Fairness",
    reads_records=True,
    assess=_assess_rows,
    doing="comparing groups",
    verdicts=_verdicts,
    template="fairness.html",
    view=_view,
    key_figures=_key_figures,
)
OF_IMAGES = replace(
    OF_TABLES, assess=_assess_images, doing="comparing classes and groups", template="image_fairness.html"
)
