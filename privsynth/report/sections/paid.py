"""Figures of real records that a budget of the audit's own pays for."""

from __future__ import annotations

from privsynth.report.context import PublicContext
from privsynth.report.sections.base import Figures, Section


def _assess(context: PublicContext) -> Figures | None:
    return None if context.count_under_budget is None else context.count_under_budget()


SECTION = Section(
    name="paid",
    title="",
    reads_records=False,  # but with noise that the budget pays for
    assess=_assess,
    template="paid.html",
    only_public=True,
)
