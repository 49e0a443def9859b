"""From figures to verdicts: what a privacy officer should look at, why, and what to do about it.

``problem``: a figure that contradicts the guarantee, or shows copied records. ``attention``: an interval
clear of chance, or a score nearer to the floor than to the ceiling. ``ok``: neither was found with this
much data, which is never proof. ``not_assessed``: the figure is not there.
"""

from __future__ import annotations

from privsynth.report.verdicts.groups import (
    model_fairness_verdict,
    privacy_effect_verdict,
    representation_verdict,
)
from privsynth.report.verdicts.images import (
    image_disclosure_verdict,
    image_fidelity_verdict,
    image_utility_verdict,
    in_words_of_images,
)
from privsynth.report.verdicts.pieces import Section, Verdict
from privsynth.report.verdicts.privacy import disclosure_verdict, guarantee_verdict, membership_verdict
from privsynth.report.verdicts.quality import fidelity_verdict, utility_verdict

__all__ = ["all_verdicts", "guarantee_verdict", "in_words_of_images"]


def all_verdicts(
    *,
    guarantee: Section | None,
    fidelity: Section,
    utility: Section,
    fairness: Section,
    membership: Section,
    disclosure: Section,
    n_units: int | None,
    drawing: Section | None = None,
) -> list[Verdict]:
    """Return the verdicts in the order in which they are read.

    Args:
        guarantee: The statement of a model file, or None.
        fidelity: Section of the report; so are the following.
        utility: As above.
        fairness: As above.
        membership: As above.
        disclosure: As above.
        n_units: Number of persons (or rows) in the real table; None in a public report, which does not know.
        drawing: How the rows were drawn, if that is known: balance moves shares on purpose.

    Privacy:
        Not private: says what figures of real records say.
    """
    of_images = fidelity.get("kind") == "images"
    disclosed = image_disclosure_verdict if of_images else disclosure_verdict
    alike = image_fidelity_verdict if of_images else fidelity_verdict
    useful = image_utility_verdict if of_images else utility_verdict
    listed = [
        ("guarantee", guarantee_verdict(guarantee, n_units)),
        ("membership", membership_verdict(membership, guarantee)),
        ("disclosure", disclosed(disclosure)),
        ("fidelity", alike(fidelity, drawing)),
        ("utility", useful(utility)),
        ("fairness", representation_verdict(fairness, drawing)),
        ("fairness", model_fairness_verdict(fairness)),
    ]
    if fairness.get("privacy_effect", {}).get("status") == "assessed":
        listed.append(("privacy-effect", privacy_effect_verdict(fairness["privacy_effect"])))
    if of_images:
        listed = [(section, in_words_of_images(verdict)) for section, verdict in listed]
    return [{**verdict, "section": section} for section, verdict in listed]
