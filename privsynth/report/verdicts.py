"""From figures to verdicts: what a privacy officer should look at, why, and what to do about it.

``problem``: a figure that contradicts the guarantee, or shows copied records. ``attention``: an interval
clear of chance, or a score nearer to the floor than to the ceiling. ``ok``: neither was found with this
much data, which is never proof. ``not_assessed``: the figure is not there.
"""

from __future__ import annotations

from privsynth.attacks.trade_off import FAMILY_WISE_ERROR, all_attacks, allowance_of, points_above
from privsynth.report.fairness_verdicts import (
    model_fairness_verdict,
    privacy_effect_verdict,
    representation_verdict,
)
from privsynth.report.image_verdicts import (
    image_disclosure_verdict,
    image_fidelity_verdict,
    image_utility_verdict,
    in_words_of_images,
)
from privsynth.report.judging import Section, named, not_assessed_verdict, sentence, verdict_of
from privsynth.report.words import claim_of, way_to_floor

PLANTED_LEAK_AUC = 0.9
LEAK_FACTOR = 3.0  # true over false positive rate at which, without a claim, rows count as given away
LARGE_ADVANTAGE = 0.1  # success on members above that on outsiders at which rows count as given away
MIN_GROUP_ROWS = 100  # rows of a group in the reference from which on its distances decide a verdict


def all_verdicts(
    *,
    guarantee: Section | None,
    fidelity: Section,
    utility: Section,
    fairness: Section,
    interpretability: Section | None = None,
    membership: Section,
    disclosure: Section,
    n_units: int | None,
) -> list[dict[str, str]]:
    """Return the verdicts in the order in which they are read.

    Args:
        guarantee: The statement of a model file, or None.
        fidelity: Section of the report; so are the following.
        utility: As above.
        fairness: As above.
        interpretability: As above.
        membership: As above.
        disclosure: As above.
        n_units: Number of persons (or rows) in the real table; None in a public report, which does not know.

    Privacy:
        Not private: says what figures of real records say.
    """
    of_images = fidelity.get("kind") == "images"
    listed = [
        ("guarantee", guarantee_verdict(guarantee, n_units)),
        ("membership", _membership_verdict(membership, guarantee)),
        (
            "disclosure",
            image_disclosure_verdict(disclosure) if of_images else _disclosure_verdict(disclosure),
        ),
        ("fidelity", image_fidelity_verdict(fidelity) if of_images else _fidelity_verdict(fidelity)),
        ("utility", image_utility_verdict(utility) if of_images else _utility_verdict(utility)),
        ("fairness", representation_verdict(fairness)),
        ("fairness", model_fairness_verdict(fairness)),
    ]
    if fairness.get("privacy_effect", {}).get("status") == "assessed":
        listed.append(("privacy-effect", privacy_effect_verdict(fairness["privacy_effect"])))
    if of_images:
        listed = [(section, in_words_of_images(verdict)) for section, verdict in listed]
    return [{**verdict, "section": section} for section, verdict in listed]


# -- one question each ---------------------------------------------------------------------------------


def guarantee_verdict(guarantee: Section | None, n_units: int | None) -> dict[str, str]:
    """Return the verdict on the guarantee; delta is held against the number of units, where that is known."""
    question = "Is there a differential-privacy guarantee?"
    if guarantee is None:
        return verdict_of(
            question,
            "not_assessed",
            "No model file was given, so this report knows of no guarantee.",
            "Give the model file, or ask the maker of the rows for unit, neighbours, epsilon and delta.",
        )
    if not guarantee.get("private"):
        return verdict_of(
            question,
            "attention",
            "None: the generator was fitted without differential privacy, or its noise was not secret.",
            "Treat the rows as the records themselves, or fit again with an epsilon.",
        )
    claim = claim_of(guarantee)
    if claim is None:
        return verdict_of(
            question,
            "not_assessed",
            "The statement names no epsilon and delta.",
            "Ask the maker of the rows for both.",
        )
    epsilon, delta = claim
    evidence = f"epsilon = {epsilon:g}, delta = {delta:g} for one {guarantee.get('unit', 'record')}"
    if n_units is not None and delta * 10 * n_units > 1:
        return verdict_of(
            question,
            "attention",
            f"{evidence}; delta is above one tenth of one over the number of units.",
            "Fit again with a smaller delta: at this one, whole records may be given away within the claim.",
        )
    return verdict_of(
        question, "ok", f"{evidence}.", "Read what the guarantee does not cover, further down this page."
    )


def _membership_verdict(membership: Section, guarantee: Section | None) -> dict[str, str]:
    question = "Do the synthetic rows tell who was among the real records?"
    if membership["status"] != "assessed":
        return not_assessed_verdict(
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
        return verdict_of(
            question,
            "problem",
            f"An attack finds more members than the guarantee allows ({how}). {found}.",
            "Do not release. Check that model file, rows, real table and holdout belong together; if they "
            "do, the guarantee does not hold.",
        )
    if attacks[strongest]["auc_interval"][0] > PLANTED_LEAK_AUC:
        return verdict_of(
            question,
            "problem",
            f"Nearly every member is recognised: real records stand among the synthetic rows. {found}.",
            "Do not release. Fit again under a guarantee.",
        )
    copied = [] if allowance else points_above(attacks, lambda fpr: LEAK_FACTOR * fpr)
    if copied:
        name, rate = max(copied, key=lambda point: float(attacks[point[0]]["tpr_at_fpr"][point[1]]["tpr"]))
        point = attacks[name]["tpr_at_fpr"][rate]
        return verdict_of(
            question,
            "problem",
            f"Some members are recognised with hardly a false alarm: {point['tpr']:.1%} of them at "
            f"{point['fpr']:.2%} false alarms ({name.replace('_', ' ')}). {found}.",
            "Do not release: rows of the real table, or close to it, stand among the synthetic ones.",
        )
    return _mild_membership_verdict(question, membership, attacks, strongest, has_claim=allowance is not None)


def _mild_membership_verdict(
    question: str, membership: Section, attacks: dict[str, Section], strongest: str, *, has_claim: bool
) -> dict[str, str]:
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
        return verdict_of(
            question,
            "attention",
            f"Members score higher than others, clear of chance.{within} {found}.{at_risk}{warning}",
            "Look at the attacks below; fit again with a smaller epsilon if this is more than you accept.",
        )
    if clear:
        return verdict_of(
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
    return verdict_of(
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


def _disclosure_verdict(disclosure: Section) -> dict[str, str]:
    question = "Can an attribute be inferred, a person singled out or linked?"
    if disclosure["status"] != "assessed":
        return not_assessed_verdict(
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
        return verdict_of(
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
    return verdict_of(
        question,
        "problem" if is_large else "attention",
        f"More of members than of people outside, clear of chance: {told}.",
        "Do not release: the rows give records away."
        if is_large
        else "Look at the attacks below; fit again with a smaller epsilon if this is more than you accept.",
    )


def _fidelity_verdict(fidelity: Section) -> dict[str, str]:
    question = "Do the synthetic rows look like the source?"
    if fidelity["status"] != "assessed":
        return not_assessed_verdict(fidelity, question, "Mend the tables and audit again.")
    scores = {
        "single columns": fidelity["tv_1way"],
        "pairs of columns": fidelity["tv_2way"],
        "triples of columns": fidelity["tv_3way"],
    }
    told = [
        f"mean distance over {name} {figure['value']:.3f} (real rows {_or_dash(figure['ceiling'])}, "
        f"independent columns {_or_dash(figure['floor'])})"
        for name, figure in scores.items()
        if figure["value"] is not None
    ]
    evidence = sentence("; ".join(told)) + _told_apart(fidelity)
    ways = [way for way in map(way_to_floor, (fidelity["tv_2way"], fidelity["tv_3way"])) if way is not None]
    if ways and max(ways) > 0.5:
        how = "Farther from the source than" if max(ways) > 1 else "Nearer to independent columns than to"
        what = "independent columns are" if max(ways) > 1 else "real rows"
        return verdict_of(
            question,
            "attention",
            f"{how} {what}. {evidence}",
            "Look at the worst columns and pairs; more records, a larger epsilon or fewer columns help.",
        )
    spoilt = [
        group
        for group in fidelity.get("by_group", [])
        if group["n_reference_rows"] >= MIN_GROUP_ROWS and (way_to_floor(group["tv_2way"]) or 0.0) > 0.5
    ]
    if spoilt:
        return verdict_of(
            question,
            "attention",
            f"On the whole yes, but within {named(spoilt)} pairs of columns are nearer to independent "
            f"columns than to real rows. {evidence}",
            "Do not use the rows to speak about these groups; more records of them or a larger epsilon help.",
        )
    return verdict_of(question, "ok", evidence, "Look at the worst pairs below before you rely on one.")


def _told_apart(fidelity: Section) -> str:
    test = fidelity.get("two_sample", {})
    if test.get("status") != "assessed":
        return ""
    return f" A model tells them from real rows with AUC {test['auc']['value']:.3f} (0.5 = not at all)."


def _utility_verdict(utility: Section) -> dict[str, str]:
    question = "Do models trained on the synthetic rows work on real records?"
    if utility["status"] != "assessed":
        return not_assessed_verdict(utility, question, "Give a holdout and a target column.")
    score = "r2" if utility["task"] == "regression" else "auc"
    model = next(iter(utility["models"]))
    figure = utility["models"][model][score]
    way = way_to_floor(figure)
    name = {"auc": "AUC", "r2": "R²"}[score]
    if way is None or figure["ceiling"] is None or figure["ceiling"] < figure["floor"]:
        return verdict_of(
            question,
            "not_assessed",
            f"Not even real rows predict {utility['target']!r} clearly better than a constant guess does.",
            "Name another target.",
        )
    evidence = (
        f"Gradient boosting of {utility['target']!r}: {name} {figure['value']:.3f} trained on synthetic "
        f"rows, {figure['ceiling']:.3f} on real rows, {figure['floor']:.3f} by a constant guess."
    )
    if way > 0.5:
        return verdict_of(
            question,
            "attention",
            evidence,
            "Do not draw conclusions about this target from the synthetic rows.",
        )
    return verdict_of(question, "ok", evidence, "Validate conclusions that matter on real records.")


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
