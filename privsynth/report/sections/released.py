"""What the released rows, or the labels of images, show by themselves."""

from __future__ import annotations

from dataclasses import replace

from privsynth.metrics.public import describe_released
from privsynth.report.context import PublicContext
from privsynth.report.sections.base import Figures, Section
from privsynth.schema.images import LabelledImages


def _assess(context: PublicContext) -> Figures:
    released = context.synthetic
    rows = released.labels if isinstance(released, LabelledImages) else released
    return describe_released(rows, schema=context.schema)


OF_TABLES = Section(
    name="synthetic",
    title="The rows",
    reads_records=False,
    assess=_assess,
    template="released.html",
    only_public=True,
    anchor="rows",
    more_links={"groups": "Groups"},
)
OF_IMAGES = replace(OF_TABLES, title="The labels")
