"""The images themselves: contact sheets, for the page alone."""

from __future__ import annotations

from privsynth.metrics.common.images import load_images
from privsynth.report.context import ImageContext, PublicContext
from privsynth.report.page.contact_sheet import public_sheet, sheets
from privsynth.report.sections.base import Figures, Section
from privsynth.schema import Schema


def _assess(context: ImageContext) -> Figures:
    return sheets(context.seen, random_state=context.random_state)


def _assess_released(context: PublicContext) -> Figures:
    schema, both = context.schema, context.synthetic
    alone = Schema({column.name: column for column in schema.modelled}, image=schema.image)
    return public_sheet(load_images(both, both, schema=alone))  # on both sides: nothing else is read


BESIDE_REAL_ONES = Section(
    name="pictures",
    title="Images",
    reads_records=True,
    assess=_assess,
    doing="looking at all images through one network",
    template="image_sheet.html",
    anchor="images",
)
RELEASED = Section(
    name="pictures",
    title="Images",
    reads_records=False,
    assess=_assess_released,
    template="image_sheet.html",
    only_public=True,
    anchor="images",
)
