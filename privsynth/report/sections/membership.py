"""Membership: can an attacker tell who was among the real records?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from privsynth.attacks.trade_off import FAMILY_WISE_ERROR, all_attacks, allowance_of, points_above
from privsynth.metrics.leakage.family_membership import assess_family_membership
from privsynth.metrics.leakage.image_membership import assess_membership as assess_image_membership
from privsynth.metrics.leakage.membership import assess_membership
from privsynth.report.context import ImageContext, LinkedContext, TableContext
from privsynth.report.sections.base import (
    ROWS,
    Content,
    Figures,
    KeyFigure,
    Section,
    Verdict,
    Words,
    named,
    or_not_assessed,
    verdict,
    words_of,
)
from privsynth.report.text import claim_of

PLANTED_LEAK_AUC = 0.9
LEAK_FACTOR = 3.0  # true over false positive rate at which, without a claim, rows count as given away
N_SMALLEST_GROUPS = 3


def _assess_rows(context: TableContext) -> Figures:
    limits = context.limits
    return assess_membership(
        context.everything,  # a copy among rows left out would go unseen
        guarantee=context.guarantee,
        is_randomised=context.is_randomised,
        max_members=limits.max_members,
        max_comparisons=limits.max_comparisons,
        shadowing=context.shadowing,
        random_state=context.random_state,
    )


def _assess_families(context: LinkedContext) -> Figures:
    limits = context.limits
    return assess_family_membership(
        context.everything,  # a copy among rows left out would go unseen
        guarantee=context.guarantee,
        is_randomised=context.is_randomised,
        max_members=limits.max_members,
        max_comparisons=limits.max_comparisons,
        random_state=context.random_state,
    )


def _assess_images(context: ImageContext) -> Figures:
    return assess_image_membership(
        context.seen,
        guarantee=context.guarantee,
        max_scored=context.limits.max_scored,
        random_state=context.random_state,
    )


def membership_verdict(membership: Figures, guarantee: Figures | None, words: Words = ROWS) -> Verdict:
    """Return the verdict on attacks that tell members from others."""
    things, table = words.things, words.table
    question = f"Do the synthetic {things} tell {words.member}?"
    if membership["status"] != "assessed":
        return or_not_assessed(
            membership, question, "Keep a holdout apart before fitting, and audit with it."
        )
    attacks = all_attacks(membership)
    strongest = max(attacks, key=lambda name: float(attacks[name]["auc_interval"][0]))
    found = _attack_in_words(strongest, attacks[strongest])
    allowance = allowance_of(guarantee)
    above = points_above(attacks, allowance.replace_one) if allowance else []
    proven = max((attack.get("epsilon_lower_bound") or 0.0 for attack in attacks.values()), default=0.0)
    if above or (allowance and proven > 2 * allowance.epsilon):
        names = ", ".join(f"{name.replace('_', ' ')} at {rate}" for name, rate in above[:3])
        how = (
            f"at a false positive rate aimed at: {names}"
            if above
            else f"it proves epsilon >= {proven:.2f} between replaced units"
        )
        return verdict(
            question,
            "problem",
            f"An attack finds more members than the guarantee allows ({how}). {found}.",
            f"Do not release. Check that model file, {things}, real {table} and holdout belong together; if "
            "they do, the guarantee does not hold.",
        )
    if attacks[strongest]["auc_interval"][0] > PLANTED_LEAK_AUC:
        return verdict(
            question,
            "problem",
            f"Nearly every member is recognised: {words.copies} stand among the synthetic {things}. {found}.",
            "Do not release. Fit again under a guarantee.",
        )
    copied = [] if allowance else points_above(attacks, lambda fpr: LEAK_FACTOR * fpr)
    if copied:
        name, rate = max(copied, key=lambda point: float(attacks[point[0]]["tpr_at_fpr"][point[1]]["tpr"]))
        point = attacks[name]["tpr_at_fpr"][rate]
        return verdict(
            question,
            "problem",
            f"Some members are recognised with few false positives: true positive rate {point['tpr']:.1%} at "
            f"false positive rate {point['fpr']:.2%} ({name.replace('_', ' ')}). {found}.",
            f"Do not release: {things} of the real {table}, or close to it, stand among the synthetic ones.",
        )
    return _mild_verdict(
        question, membership, attacks, strongest, has_claim=allowance is not None, table=table
    )


def _mild_verdict(
    question: str,
    membership: Figures,
    attacks: dict[str, Figures],
    strongest: str,
    *,
    has_claim: bool,
    table: str,
) -> Verdict:
    """Judge attacks of which none is a problem: clear of chance after adjusting for their number, or not."""
    found = _attack_in_words(strongest, attacks[strongest])
    error = FAMILY_WISE_ERROR / 3  # shared by the three ways to be clear of chance
    clear = [attack for attack in attacks.values() if attack["p_adjusted"] < error]
    groups = [
        group
        for group in membership.get("by_group", [])
        if group["auc"] is not None and group["auc"] > 0.5 and group["p_adjusted"] < error
    ]
    difference = membership.get("holdout", {}).get("source_difference", {})
    differs = bool(difference.get("differs"))
    warning = (
        f" But real {table} and holdout differ in distribution (AUC {difference['auc']:.3f} of a classifier),"
        " which alone moves these figures."
        if differs
        else ""
    )
    by_points = points_above(attacks, lambda fpr: fpr, family_wise_error=error)
    if by_points or any(attack["auc"] > 0.5 for attack in clear) or groups:
        within = " The guarantee allows this much." if has_claim else ""
        at_risk = f" Most at risk: {named(groups)}." if groups else ""
        return verdict(
            question,
            "attention",
            f"Members score significantly higher than non-members.{within} {found}.{at_risk}{warning}",
            "Look at the attacks below; fit again with a smaller epsilon if this is more than you accept.",
        )
    if clear:
        return verdict(
            question,
            "attention",
            f"Members score significantly lower than non-members. {found}.{warning}",
            f"Check that real {table} and holdout are drawn from one source: they differ for another reason.",
        )
    smallest = attacks[strongest]["smallest_detectable_auc"]
    evidence = (
        f"Not detected with this much data by {len(membership['attacks'])} attacks, all of them together. "
        f"{found}. By this attack an AUC of {smallest:.3f} or more would probably have been detected."
    )
    return verdict(
        question,
        "attention" if differs else "ok",
        evidence + warning,
        f"Draw real {table} and holdout from one source by chance (`privsynth split`) and audit again."
        if differs
        else "No action. Attacks that find nothing are no proof; the guarantee is.",
    )


def _attack_in_words(name: str, attack: Figures) -> str:
    low, high = attack["auc_interval"]
    return (
        f"Strongest attack, {name.replace('_', ' ')}: AUC {attack['auc']:.3f}, confidence interval {low:.3f} "
        f"to {high:.3f}; chance is 0.5"
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [membership_verdict(content["membership"], content["guarantee"], words_of(content))]


def _view(content: Content) -> dict[str, Any]:
    attacks = content["membership"].get("attacks", {})
    return {
        "claim": claim_of(content["guarantee"]),
        "trade_off_alt": _trade_off_alt(attacks),
        "has_adjusted": any("p_adjusted" in attack for attack in attacks.values()),
        "smallest_groups": _smallest_groups(content["fairness"]),
    }


def _trade_off_alt(attacks: Content) -> str:
    told = [
        f"{name.replace('_', ' ')}: true positive rate {p['tpr']:.2%} at false positive rate {p['fpr']:.2%}"
        for name, attack in attacks.items()
        for rate, p in attack["tpr_at_fpr"].items()
        if p["tpr"] is not None and rate == "0.01"
    ]
    return (
        "Operating points of the attacks over what the guarantee allows. "
        + "; ".join(told)
        + ". All values stand in the table below."
    )


def _smallest_groups(fairness: Content) -> list[Figures]:
    groups = [g for g in fairness.get("by_group", []) if g["n_real"] > 0]
    return sorted(groups, key=lambda g: g["n_real"])[:N_SMALLEST_GROUPS]


def _key_figures(content: Content) -> list[KeyFigure]:
    return [
        (
            f"AUC of the attack {name.replace('_', ' ')}",
            "low",
            {"value": attack["auc"], "interval": attack["auc_interval"], "ceiling": 0.5, "floor": None},
        )
        for name, attack in content["membership"].get("attacks", {}).items()
    ]


OF_TABLES = Section(
    name="membership",
    title="Membership",
    reads_records=True,
    assess=_assess_rows,
    doing="attacking membership",
    verdicts=_verdicts,
    template="membership.html",
    view=_view,
    key_figures=_key_figures,
)
OF_IMAGES = replace(OF_TABLES, assess=_assess_images)
OF_LINKED = replace(OF_TABLES, assess=_assess_families)
