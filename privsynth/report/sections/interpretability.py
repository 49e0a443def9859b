"""Detection: by what the rows are recognised, where they are worst, and what the budget was spent on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.fidelity.detection import assess_interpretability
from privsynth.report.context import ImageContext, TableContext
from privsynth.report.page.charts import MAX_TERMS
from privsynth.report.sections.base import Content, Figures, Section
from privsynth.report.text import bought

NO_IMAGES = "rows are recognised by their columns; for images, look at the contact sheet"


def _assess(context: TableContext) -> Figures:
    return assess_interpretability(
        context.tables,
        context.found["fidelity"],
        context.two_sample,
        context.guarantee,
        random_state=context.random_state,
    )


def _assess_images(context: ImageContext) -> Figures:
    return not_assessed(NO_IMAGES)


def _view(content: Content) -> dict[str, Any]:
    explained = content["interpretability"]
    columns = explained.get("giveaways", {}).get("columns", [])
    purposes = explained.get("spending", {}).get("purposes", [])
    return {
        "detection_rows": [(c["column"], c["fall"]) for c in columns[:MAX_TERMS] if c["fall"] is not None],
        "spending_rows": [(p["purpose"], p["share"]) for p in purposes if p["share"] is not None],
        "bought": bought(content["fidelity"], content["utility"]),
    }


OF_TABLES = Section(
    name="interpretability",
    title="Detection",
    reads_records=True,
    assess=_assess,
    doing="finding by what the synthetic rows are recognised",
    template="interpretability.html",
    view=_view,
)
OF_IMAGES = replace(OF_TABLES, assess=_assess_images, doing="", template=None)
