"""Figures of real records that a budget of the audit's own pays for."""

from __future__ import annotations

from privsynth.attacks.private_audit import paid_audit
from privsynth.report.context import PaidContext, PublicContext
from privsynth.report.sections.base import Figures, Section


def _assess(context: PublicContext) -> Figures | None:
    if not isinstance(context, PaidContext):
        return None
    tables = context.tables
    return paid_audit(
        real=tables.real,
        holdout=tables.holdout,
        synthetic=tables.synthetic.frame,
        schema=tables.schema,
        target=tables.target,
        account=context.account,
        random_state=context.random_state,
    )


SECTION = Section(
    name="paid",
    title="",
    reads_records=False,  # but with noise that the budget pays for
    assess=_assess,
    template="paid.html",
    only_public=True,
)
