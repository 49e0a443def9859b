"""Fidelity of images: do they look like the real ones?"""

from __future__ import annotations

from typing import Any

from privsynth.metrics.fidelity.images import SUPPORT, assess_fidelity
from privsynth.report.context import ImageContext
from privsynth.report.sections.base import Content, Figures, KeyFigure, Section, Verdict, by_request, verdict
from privsynth.report.text import way_to_floor


def _assess(context: ImageContext) -> Figures:
    limits = context.limits
    return assess_fidelity(
        context.seen,
        max_compared=limits.max_compared,
        max_neighbourhoods=limits.max_neighbourhoods,
        max_queries=limits.max_queries,
        random_state=context.random_state,
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [_verdict(content["fidelity"], by_request(content))]


def _verdict(fidelity: Figures, moved: str) -> Verdict:
    """Return the verdict on fidelity: what is read off the features of the stated network."""
    question = "Do the synthetic images look like the real ones?"
    name = fidelity["network"]
    distance, support = fidelity[f"frechet_{name}_distance"], fidelity["support"]
    read = {
        f"Fréchet distance ({name})": distance,
        "precision": support["precision"],
        "coverage": support["coverage"],
    }
    ways = {what: way for what, figure in read.items() if (way := way_to_floor(figure)) is not None}
    told = "; ".join(
        f"{what} {_number(figure['value'])}, real images {_number(figure['ceiling'])}, noise "
        f"{_number(figure['floor'])}"
        for what, figure in read.items()
    )
    if not ways:
        evidence = "Real images and noise score too much alike, or there are too few images to say."
        return verdict(question, "not_assessed", evidence, "Give larger sets.")
    far = [what for what, way in ways.items() if way > 0.5]
    if far:
        return verdict(
            question,
            "attention",
            f"Nearer to noise than to real images by {', '.join(far)}. {told}.{moved}",
            "Look at the contact sheet; do not use the images where detail or variety matters.",
        )
    return verdict(question, "ok", f"{told}.{moved}", "Look at the contact sheet, class by class.")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _view(content: Content) -> dict[str, Any]:
    fidelity = content["fidelity"]
    network = fidelity["network"]
    return {
        "network": network,
        "feature_rows": [
            (f"Fréchet {network} distance (0 = equal)", fidelity[f"frechet_{network}_distance"]),
            (f"kernel {network} distance (around 0 = equal)", fidelity[f"kernel_{network}_distance"]),
            (
                f"{network} score (1 = nothing to see; classes, clear and all there, count)",
                fidelity.get(f"{network}_score"),
            ),
            *((score, fidelity["support"][score]) for score in SUPPORT),
        ],
    }


def _key_figures(content: Content) -> list[KeyFigure]:
    """Return the figures whose names carry the network, since only those of one compare."""
    fidelity = content["fidelity"]
    network, support = fidelity["network"], fidelity["support"]
    return [
        (f"Fréchet {network} distance", "low", fidelity[f"frechet_{network}_distance"]),
        (f"kernel {network} distance", "low", fidelity[f"kernel_{network}_distance"]),
        ("AUC of the classifier two-sample test (C2ST)", "low", fidelity["two_sample"].get("auc")),
        ("precision", "high", support["precision"]),
        ("recall", "high", support["recall"]),
        ("coverage", "high", support["coverage"]),
    ]


SECTION = Section(
    name="fidelity",
    title="Fidelity",
    reads_records=True,
    assess=_assess,
    doing="comparing features",
    verdicts=_verdicts,
    template="image_fidelity.html",
    view=_view,
    key_figures=_key_figures,
)
