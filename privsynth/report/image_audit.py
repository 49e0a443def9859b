"""The audit of synthetic images: the same report as for tables, with what images have of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.image_classifiers import FAMILIES, LINEAR, Training
from privsynth.metrics.common.image_features import see
from privsynth.metrics.common.images import ImageTables, load_images
from privsynth.metrics.fairness.images import assess_fairness
from privsynth.metrics.fidelity.images import MAX_COMPARED, MAX_NEIGHBOURHOODS, assess_fidelity
from privsynth.metrics.fidelity.memorisation import MAX_QUERIES
from privsynth.metrics.leakage.image_membership import MAX_SCORED, assess_membership
from privsynth.metrics.utility.images import assess_utility, predict_holdout
from privsynth.metrics.utility.tables import N_BOOTSTRAP
from privsynth.records.images import ImageSource
from privsynth.report.inputs import described
from privsynth.report.page.contact_sheet import sheets
from privsynth.report.provenance import drawing_of
from privsynth.report.report import AuditReport
from privsynth.report.text import claim_of
from privsynth.report.verdicts import all_verdicts
from privsynth.schema import Schema

NO_DISCLOSURE = (
    "attribute inference, singling out and linkage are attacks on columns; an audit of images makes none on "
    "pixels, and looks for copies by the membership attacks"
)
NO_INTERPRETABILITY = "what gives rows away is read off columns; for images, look at the contact sheet"


@dataclass(frozen=True, kw_only=True)
class ImageEffort:
    """How much work an audit of images does.

    Attributes:
        families: Classifiers trained on both sides, and directly under the budget.
        training: How long and wide.
        max_compared: Images of each side that distances are computed from.
        max_neighbourhoods: Images of each side whose neighbours are searched, for precision and the like.
        max_queries: Images whose nearest real one is looked for.
        max_scored: Members, non-members and reference images that the attacks use.
        n_bootstrap: Replicates behind bootstrap intervals.
    """

    families: tuple[str, ...] = FAMILIES
    training: Training = field(default_factory=Training)
    max_compared: int = MAX_COMPARED
    max_neighbourhoods: int = MAX_NEIGHBOURHOODS
    max_queries: int = MAX_QUERIES
    max_scored: int = MAX_SCORED
    n_bootstrap: int = N_BOOTSTRAP

    def left_out(self, images: ImageTables) -> list[str]:
        """Say of these sets which images were not looked at, and which way that moves the figures."""
        n = {name: len(pixels) for name, pixels in images.pixels.items()}
        out = []
        if max(n["real"], n.get("holdout", 0) // 2) > self.max_scored:
            out.append(
                f"membership: {self.max_scored:,} members (and as many others, at most) were attacked, drawn "
                "at random, against all synthetic images: this costs the attacks power, which the smallest "
                "effect that would be seen shows, and hides no copy"
            )
        if min(n["synthetic"], n["real"]) > min(self.max_compared, n.get("holdout", n["real"]) // 2):
            out.append(
                f"fidelity: distances come from at most {self.max_compared:,} images of each side, as many "
                "of the ceiling; fewer images make the Fréchet distance larger on all sides, never smaller"
            )
        if n["synthetic"] > self.max_queries:
            out.append(
                f"nearest neighbours: {self.max_queries:,} synthetic and holdout images were asked, drawn at "
                "random, among all real ones: none of those was left out, so no copy of those asked is missed"
            )
        if self.families != FAMILIES:
            out.append(f"utility: {', '.join(self.families)} instead of {', '.join(FAMILIES)}")
        return out


QUICK = ImageEffort(
    families=("cnn", LINEAR),
    training=Training(n_steps=200),
    max_compared=2_000,
    max_neighbourhoods=1_000,
    max_queries=500,
    max_scored=2_000,
    n_bootstrap=50,
)


def audit_images(
    *,
    real: ImageSource,
    synthetic: ImageSource,
    schema: Schema,
    holdout: ImageSource | None = None,
    reference: ImageSource | None = None,
    guarantee: Mapping[str, Any] | None = None,
    drawing: Mapping[str, Any] | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    effort: ImageEffort | None = None,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
) -> AuditReport:
    """Judge synthetic images; `privsynth.audit` calls this where it is given images.

    Args:
        real: The images that the generator was fitted to; see `privsynth.metrics.common.images`.
        synthetic: The released images, of any tool.
        schema: The description of their columns.
        holdout: Images of the same source that the generator never saw. Without them membership and utility
            are ``not_assessed``.
        reference: Further such images, for the attacks and the feature network.
        guarantee: The statement of the model file; None if there is none.
        drawing: What is known of how the images were drawn; what the synthetic labels carry in their
            ``attrs`` if None.
        target: Column that says what is on an image; the schema's if None.
        groups: Group columns; the schema's if None.
        effort: How much work is done; `ImageEffort` if None, `QUICK` is less.
        random_state: Seed of every draw.
        progress: Is told what is being done, in words that hold nothing of the records.

    Raises:
        ParameterError: If torchmetrics (the extra ``images``) is missing, or a column is not there.
        PrivsynthError: If a set cannot be read as the schema says.

    Privacy:
        Not private: the report is a function of real records that epsilon does not cover, and its page shows
        some of them.
    """
    say = progress or (lambda message: None)
    effort = effort or ImageEffort()
    say("reading the images")
    images = load_images(
        real, synthetic, schema=schema, holdout=holdout, reference=reference, target=target, groups=groups
    )
    say("looking at all images through one network")
    seen = see(images, random_state=random_state)
    say("comparing features")
    fidelity = assess_fidelity(
        seen,
        max_compared=effort.max_compared,
        max_neighbourhoods=effort.max_neighbourhoods,
        max_queries=effort.max_queries,
        random_state=random_state,
    )
    say("training classifiers on real and on synthetic images")
    predictions = predict_holdout(
        images, training=effort.training, families=effort.families, random_state=random_state
    )
    say("training classifiers under the budget")
    stated = dict(guarantee) if guarantee is not None else None
    utility = assess_utility(
        images,
        predictions,
        budget=claim_of(stated),
        n_bootstrap=effort.n_bootstrap,
        random_state=random_state,
    )
    say("comparing classes and groups")
    fairness = assess_fairness(images, predictions, n_bootstrap=effort.n_bootstrap, random_state=random_state)
    say("attacking membership")
    membership = assess_membership(
        seen, guarantee=guarantee, max_scored=effort.max_scored, random_state=random_state
    )
    sections: dict[str, Any] = {
        "guarantee": stated,
        "fidelity": fidelity,
        "utility": utility,
        "fairness": fairness,
        "membership": membership,
        "disclosure": not_assessed(NO_DISCLOSURE),
    }
    say("drawing contact sheets and writing the verdicts")
    sizes = described(images.tables)
    told = drawing_of(images.attrs if drawing is None else drawing)
    return AuditReport(
        **sections,
        interpretability=not_assessed(NO_INTERPRETABILITY),
        verdicts=all_verdicts(**sections, n_units=sizes["real"]["n_units"], drawing=told),
        drawing=told,
        tables=sizes,
        settings={
            "kind": "images",
            "image": None if schema.image is None else schema.image.to_dict(),
            "unit": schema.unit,
            "columns": list(images.tables.synthetic.frame.columns),
            "target": None if images.target is None else images.target.name,
            "groups": list(images.tables.groups),
            "quick": effort == QUICK,
            "public": False,
            "random_state": random_state,
        },
        notes=list(images.tables.notes),
        left_out=effort.left_out(images),
        pictures=sheets(seen, random_state=random_state),
    )
