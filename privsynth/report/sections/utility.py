"""Utility of rows: do models trained on them work on real records?"""

from __future__ import annotations

from typing import Any

from privsynth.metrics.common.scores import LOWER_IS_BETTER, SCORES
from privsynth.metrics.utility.tables import assess_utility
from privsynth.report.context import TableContext
from privsynth.report.sections.base import (
    Content,
    Figures,
    KeyFigure,
    Section,
    Verdict,
    is_assessed,
    or_not_assessed,
    verdict,
)
from privsynth.report.text import MODEL_WORDS, SCORE_WORDS, claim_of, way_to_floor


def _assess(context: TableContext) -> Figures:
    return assess_utility(
        context.tables,
        context.predictions,
        budget=claim_of(context.guarantee),
        direct=context.direct,
        n_bootstrap=context.limits.n_bootstrap,
        random_state=context.random_state,
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [_verdict(content["utility"])]


def _verdict(utility: Figures) -> Verdict:
    """Return the verdict on the first model, between a constant guess and real rows."""
    question = "Do models trained on the synthetic rows work on real records?"
    if not is_assessed(utility):
        return or_not_assessed(utility, question, "Give a holdout and a target column.")
    score = "r2" if utility["task"] == "regression" else "auc"
    model = next(iter(utility["models"]))
    figure = utility["models"][model][score]
    way = way_to_floor(figure)
    name = {"auc": "AUC", "r2": "R²"}[score]
    if way is None or figure["ceiling"] is None or figure["ceiling"] < figure["floor"]:
        return verdict(
            question,
            "not_assessed",
            f"Not even real rows predict {utility['target']!r} clearly better than a constant does.",
            "Name another target.",
        )
    evidence = (
        f"Gradient boosting of {utility['target']!r}: {name} {figure['value']:.3f} trained on synthetic "
        f"rows, {figure['ceiling']:.3f} on real rows, {figure['floor']:.3f} by a constant prediction."
    )
    if way > 0.5:
        return verdict(
            question,
            "attention",
            evidence,
            "Do not draw conclusions about this target from the synthetic rows.",
        )
    return verdict(question, "ok", evidence, "Validate conclusions that matter on real records.")


def _view(content: Content) -> dict[str, Any]:
    utility = content["utility"]
    if not is_assessed(utility):
        return {}
    main_score = SCORES[utility["task"]][0]
    has_balanced = any("balanced" in scores[main_score] for scores in utility["models"].values())
    return {"main_score": main_score, "has_balanced": has_balanced}


def key_figures(content: Content) -> list[KeyFigure]:
    """Return the main score of every model, and how alike models are ranked."""
    utility = content["utility"]
    if not is_assessed(utility):
        return []
    main = utility.get("main_score") or SCORES[utility["task"]][0]
    out: list[KeyFigure] = [
        (
            f"{SCORE_WORDS[main]}, {MODEL_WORDS.get(model, model)}",
            "low" if main in LOWER_IS_BETTER else "high",
            scores[main],
        )
        for model, scores in utility["models"].items()
    ]
    ranking = utility.get("ranking") or {}
    return [*out, ("agreement of model rankings", "high", ranking.get("agreement"))]


SECTION = Section(
    name="utility",
    title="Utility",
    reads_records=True,
    assess=_assess,
    doing="training models on real and on synthetic rows",
    verdicts=_verdicts,
    template="utility.html",
    view=_view,
    key_figures=key_figures,
)
