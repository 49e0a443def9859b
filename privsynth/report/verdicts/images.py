"""Verdicts on images, where they differ from those on tables."""

from __future__ import annotations

from privsynth.report.text import SMALLEST_SPAN, way_to_floor
from privsynth.report.verdicts.pieces import Section, Verdict, by_request, or_not_assessed, verdict

_WORDS = {
    "The rows": "The images",
    "synthetic rows": "synthetic images",
    "real rows": "real images",
    "real records stand": "real images stand",
    "tell who was among the real records": "tell whose images were among the real ones",
    "real table": "real set",
    "rows of the": "images of the",
    "the rows": "the images",
    "these rows": "these images",
}


def image_fidelity_verdict(fidelity: Section, drawing: Section | None = None) -> Verdict:
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
        evidence = "Ceiling and floor are too close, or there are too few images to say."
        return verdict(question, "not_assessed", evidence, "Give larger sets.")
    far = [what for what, way in ways.items() if way > 0.5]
    if far:
        return verdict(
            question,
            "attention",
            f"Nearer to noise than to real images by {', '.join(far)}. {told}.{by_request(drawing)}",
            "Look at the contact sheet; do not use the images where detail or variety matters.",
        )
    return verdict(
        question, "ok", f"{told}.{by_request(drawing)}", "Look at the contact sheet, class by class."
    )


def image_disclosure_verdict(disclosure: Section) -> Verdict:
    """Return the verdict on disclosure, which no audit of images assesses."""
    return or_not_assessed(
        disclosure,
        "Can an attribute be inferred, a person singled out or linked?",
        "Ask what the label columns give away: audit them as a table of their own.",
    )


def image_utility_verdict(utility: Section) -> Verdict:
    """Return the verdict on utility: the accuracy of the first classifier."""
    question = "Do classifiers trained on the synthetic images work on real ones?"
    if utility["status"] != "assessed":
        return or_not_assessed(utility, question, "Give a holdout and a column of classes.")
    model = next(iter(utility["models"]))
    figure = utility["models"][model][utility["main_score"]]
    ceiling, floor = figure["ceiling"], figure["floor"]
    if figure["value"] is None or ceiling is None or floor is None or ceiling < floor + SMALLEST_SPAN:
        return verdict(
            question,
            "not_assessed",
            f"Not even real images predict {utility['target']!r} clearly better than a constant guess does.",
            "Give more images, or name another column.",
        )
    evidence = (
        f"Accuracy of {_FAMILIES.get(model, model)} in telling {utility['target']!r}: "
        f"{figure['value']:.3f} trained on synthetic images, {ceiling:.3f} on real ones, {floor:.3f} by a "
        f"constant guess.{_direct_in_words(utility['direct'])}"
    )
    if (figure["value"] - ceiling) / (floor - ceiling) > 0.5:
        return verdict(question, "attention", evidence, "Do not train on these images for use on real ones.")
    return verdict(question, "ok", evidence, "Validate classifiers on real images before they are used.")


def in_words_of_images(judged: Verdict) -> Verdict:
    """Return a verdict that speaks of tables in the words of images."""
    out = dict(judged)
    for key in ("question", "evidence", "action"):
        for of_tables, of_images in _WORDS.items():
            out[key] = out[key].replace(of_tables, of_images)
    return out


_FAMILIES = {"cnn": "a convolutional network", "mlp": "a perceptron", "logistic_regression": "a linear model"}


def _direct_in_words(direct: Section) -> str:
    if direct["status"] != "assessed":
        return ""
    best = direct["scores"]["accuracy"]["value"]
    return f" Trained directly under the same epsilon and delta, {direct['model']}: {best:.3f}."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
