"""Utility of images: do classifiers trained on them work on real ones?"""

from __future__ import annotations

from privsynth.metrics.utility.images import assess_utility
from privsynth.report.context import ImageContext
from privsynth.report.sections.base import (
    Content,
    Figures,
    Section,
    Verdict,
    is_assessed,
    or_not_assessed,
    verdict,
)
from privsynth.report.sections.utility import key_figures
from privsynth.report.text import SMALLEST_SPAN, claim_of


def _assess(context: ImageContext) -> Figures:
    predictions = context.predictions
    context.progress("training classifiers under the budget")
    return assess_utility(
        context.images,
        predictions,
        budget=claim_of(context.guarantee),
        n_bootstrap=context.limits.n_bootstrap,
        random_state=context.random_state,
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [_verdict(content["utility"])]


def _verdict(utility: Figures) -> Verdict:
    """Return the verdict on utility: the accuracy of the first classifier."""
    question = "Do classifiers trained on the synthetic images work on real ones?"
    if not is_assessed(utility):
        return or_not_assessed(utility, question, "Give a holdout and a column of classes.")
    model = next(iter(utility["models"]))
    figure = utility["models"][model][utility["main_score"]]
    ceiling, floor = figure["ceiling"], figure["floor"]
    if figure["value"] is None or ceiling is None or floor is None or ceiling < floor + SMALLEST_SPAN:
        return verdict(
            question,
            "not_assessed",
            f"Not even real images predict {utility['target']!r} clearly better than a constant does.",
            "Give more images, or name another column.",
        )
    evidence = (
        f"Accuracy of {_FAMILIES.get(model, model)} in telling {utility['target']!r}: "
        f"{figure['value']:.3f} trained on synthetic images, {ceiling:.3f} on real ones, {floor:.3f} by a "
        f"constant prediction.{_direct_in_words(utility['direct'])}"
    )
    if (figure["value"] - ceiling) / (floor - ceiling) > 0.5:
        return verdict(question, "attention", evidence, "Do not train on these images for use on real ones.")
    return verdict(question, "ok", evidence, "Validate classifiers on real images before they are used.")


_FAMILIES = {"cnn": "a convolutional network", "mlp": "a perceptron", "logistic_regression": "a linear model"}


def _direct_in_words(direct: Figures) -> str:
    if not is_assessed(direct):
        return ""
    best = direct["scores"]["accuracy"]["value"]
    return f" Trained directly under the same epsilon and delta, {direct['model']}: {best:.3f}."


SECTION = Section(
    name="utility",
    title="Utility",
    reads_records=True,
    assess=_assess,
    doing="training classifiers on real and on synthetic images",
    verdicts=_verdicts,
    template="image_utility.html",
    key_figures=key_figures,
)
