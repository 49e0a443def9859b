"""Disclosure: can an attribute be inferred, a person singled out or linked?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.leakage.disclosure import assess_disclosure
from privsynth.report.context import ImageContext, TableContext
from privsynth.report.sections.base import (
    Content,
    Figures,
    Section,
    Verdict,
    is_assessed,
    or_not_assessed,
    verdict,
)

LARGE_ADVANTAGE = 0.1  # success on members above that on outsiders at which rows count as given away
NO_IMAGES = (
    "attribute inference, singling out and linkage are attacks on columns; an audit of images makes none on "
    "pixels, and looks for copies by the membership attacks"
)
QUESTION = "Can an attribute be inferred, a person singled out or linked?"


def _assess(context: TableContext) -> Figures:
    limits = context.limits
    return assess_disclosure(
        context.everything,
        max_secrets=limits.max_secrets,
        max_targets=limits.max_targets,
        random_state=context.random_state,
    )


def _assess_images(context: ImageContext) -> Figures:
    return not_assessed(NO_IMAGES)


def disclosure_verdict(disclosure: Figures) -> Verdict:
    """Return the verdict on inference, singling out, linkage and copies."""
    if not is_assessed(disclosure):
        return or_not_assessed(
            disclosure, QUESTION, "Keep a holdout apart before fitting, and audit with it."
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
            QUESTION,
            "ok",
            f"Not significantly more of members than of non-members, in {len(found)} comparisons that hold "
            "together. What attackers guess right of both is knowledge about people in general.",
            "No action. Attacks that find nothing are no proof; the guarantee is.",
        )
    worst = sorted(clear, key=lambda name: -float(clear[name]["family_interval"][0]))
    told = "; ".join(
        f"{name}: {clear[name]['members']:.1%} of members, {clear[name]['outsiders']:.1%} of non-members"
        for name in worst[:3]
    )
    is_large = clear[worst[0]]["family_interval"][0] > LARGE_ADVANTAGE
    return verdict(
        QUESTION,
        "problem" if is_large else "attention",
        f"Significantly more of members than of non-members: {told}.",
        "Do not release: the rows disclose records."
        if is_large
        else "Look at the attacks below; fit again with a smaller epsilon if this is more than you accept.",
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [disclosure_verdict(content["disclosure"])]


def _verdicts_on_images(content: Content) -> list[Verdict]:
    what = "Ask what the label columns disclose: audit them as a table of their own."
    return [or_not_assessed(content["disclosure"], QUESTION, what)]


def _view(content: Content) -> dict[str, Any]:
    """Return the comparisons of each kind of attack, named."""
    disclosure = content["disclosure"]
    if not is_assessed(disclosure):
        return {"disclosure_rows": {}}
    inferred = disclosure["attribute_inference"]
    rows = {
        "attribute_inference": [(f"{e['secret']}, by {e['attack'].replace('_', ' ')}", e) for e in inferred],
        **{
            kind: [(name.replace("_", " "), e) for name, e in disclosure[kind].items()]
            for kind in ("singling_out", "linkage", "copies")
        },
    }
    return {"disclosure_rows": rows}


OF_TABLES = Section(
    name="disclosure",
    title="Disclosure",
    reads_records=True,
    assess=_assess,
    doing="attacking attributes, singling out and linking",
    verdicts=_verdicts,
    template="disclosure.html",
    view=_view,
)
OF_IMAGES = replace(OF_TABLES, assess=_assess_images, doing="", verdicts=_verdicts_on_images)
