"""Verdicts on privacy: is there a guarantee, and does an attack contradict it?"""

from __future__ import annotations

from privsynth.attacks.trade_off import FAMILY_WISE_ERROR, all_attacks, allowance_of, points_above
from privsynth.report.text import claim_of, given_in_words
from privsynth.report.verdicts.pieces import Section, Verdict, named, or_not_assessed, verdict

PLANTED_LEAK_AUC = 0.9
LEAK_FACTOR = 3.0  # true over false positive rate at which, without a claim, rows count as given away
LARGE_ADVANTAGE = 0.1  # success on members above that on outsiders at which rows count as given away


def guarantee_verdict(guarantee: Section | None, n_units: int | None) -> Verdict:
    """Return the verdict on the guarantee; delta is held against the number of units, where that is known."""
    question = "Is there a differential-privacy guarantee?"
    if guarantee is None:
        return verdict(
            question,
            "not_assessed",
            "No model file was given, so this report knows of no guarantee.",
            "Give the model file, or ask the maker of the rows for unit, neighbours, epsilon and delta.",
        )
    if not guarantee.get("private"):
        return verdict(
            question,
            "attention",
            "None: the generator was fitted without differential privacy, or its noise was not secret.",
            "Treat the rows as the records themselves, or fit again with an epsilon.",
        )
    claim = claim_of(guarantee)
    if claim is None:
        return verdict(
            question,
            "not_assessed",
            "The statement names no epsilon and delta.",
            "Ask the maker of the rows for both.",
        )
    epsilon, delta = claim
    evidence = f"epsilon = {epsilon:g}, delta = {delta:g} for one {guarantee.get('unit', 'record')}"
    evidence += given_in_words(guarantee)
    if n_units is not None and delta * 10 * n_units > 1:
        return verdict(
            question,
            "attention",
            f"{evidence}; delta is above one tenth of one over the number of units.",
            "Fit again with a smaller delta: at this one, whole records may be given away within the claim.",
        )
    return verdict(
        question, "ok", f"{evidence}.", "Read what the guarantee does not cover, further down this page."
    )


def membership_verdict(membership: Section, guarantee: Section | None) -> Verdict:
    """Return the verdict on attacks that tell members from others."""
    question = "Do the synthetic rows tell who was among the real records?"
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
            "Do not release. Check that model file, rows, real table and holdout belong together; if they "
            "do, the guarantee does not hold.",
        )
    if attacks[strongest]["auc_interval"][0] > PLANTED_LEAK_AUC:
        return verdict(
            question,
            "problem",
            f"Nearly every member is recognised: real records stand among the synthetic rows. {found}.",
            "Do not release. Fit again under a guarantee.",
        )
    copied = [] if allowance else points_above(attacks, lambda fpr: LEAK_FACTOR * fpr)
    if copied:
        name, rate = max(copied, key=lambda point: float(attacks[point[0]]["tpr_at_fpr"][point[1]]["tpr"]))
        point = attacks[name]["tpr_at_fpr"][rate]
        return verdict(
            question,
            "problem",
            f"Some members are recognised with hardly a false alarm: {point['tpr']:.1%} of them at "
            f"{point['fpr']:.2%} false alarms ({name.replace('_', ' ')}). {found}.",
            "Do not release: rows of the real table, or close to it, stand among the synthetic ones.",
        )
    return _mild_membership_verdict(question, membership, attacks, strongest, has_claim=allowance is not None)


def _mild_membership_verdict(
    question: str, membership: Section, attacks: dict[str, Section], strongest: str, *, has_claim: bool
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
        f" But real table and holdout differ in distribution (told apart with AUC {difference['auc']:.3f}), "
        "which alone moves these figures."
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
            f"Members score higher than others, clear of chance.{within} {found}.{at_risk}{warning}",
            "Look at the attacks below; fit again with a smaller epsilon if this is more than you accept.",
        )
    if clear:
        return verdict(
            question,
            "attention",
            f"Members score lower than others, clear of chance. {found}.{warning}",
            "Check that real table and holdout are drawn from one source: they differ for another reason.",
        )
    smallest = min(attack["smallest_detectable_auc"] for attack in attacks.values())
    evidence = (
        f"Not detected with this much data by {len(membership['attacks'])} attacks. {found}. An AUC of "
        f"{smallest:.3f} or more would probably have been seen."
    )
    return verdict(
        question,
        "attention" if differs else "ok",
        evidence + warning,
        "Draw real table and holdout from one source by chance (`privsynth split`) and audit again."
        if differs
        else "No action. Attacks that find nothing are no proof; the guarantee is.",
    )


def _attack_in_words(name: str, attack: Section) -> str:
    low, high = attack["auc_interval"]
    return (
        f"Strongest attack, {name.replace('_', ' ')}: AUC {attack['auc']:.3f}, interval {low:.3f} to "
        f"{high:.3f}; chance is 0.5"
    )


def disclosure_verdict(disclosure: Section) -> Verdict:
    """Return the verdict on inference, singling out, linkage and copies."""
    question = "Can an attribute be inferred, a person singled out or linked?"
    if disclosure["status"] != "assessed":
        return or_not_assessed(
            disclosure, question, "Keep a holdout apart before fitting, and audit with it."
        )
    found = {
        f"{entry['secret']} guessed by {entry['attack'].replace('_', ' ')}": entry
        for entry in disclosure["attribute_inference"]
    }
    names = {"singling_out": "singling out", "linkage": "linkage by", "copies": "copies,"}
    for section, name in names.items():
        found |= {f"{name} {key.replace('_', ' ')}": entry for key, entry in disclosure[section].items()}
    clear = {
        name: entry
        for name, entry in found.items()
        if entry["family_interval"] is not None and entry["family_interval"][0] > 0
    }
    if not clear:
        return verdict(
            question,
            "ok",
            f"Not more of members than of people outside, in {len(found)} comparisons that hold together. "
            "What attackers guess right of both is knowledge about people in general.",
            "No action. Attacks that find nothing are no proof; the guarantee is.",
        )
    worst = sorted(clear, key=lambda name: -float(clear[name]["family_interval"][0]))
    told = "; ".join(
        f"{name}: {clear[name]['members']:.1%} of members, {clear[name]['outsiders']:.1%} of outsiders"
        for name in worst[:3]
    )
    is_large = clear[worst[0]]["family_interval"][0] > LARGE_ADVANTAGE
    return verdict(
        question,
        "problem" if is_large else "attention",
        f"More of members than of people outside, clear of chance: {told}.",
        "Do not release: the rows give records away."
        if is_large
        else "Look at the attacks below; fit again with a smaller epsilon if this is more than you accept.",
    )
