"""The audit of linked tables: of whole families, and of how rows belong together across tables."""

from __future__ import annotations

from typing import Any

from privsynth.metrics.common.families import LinkedTables, load_linked_tables
from privsynth.metrics.leakage.membership import split_by_chance
from privsynth.records.linked import Tables
from privsynth.report.context import LinkedContext
from privsynth.report.limits import QUICK, Limits
from privsynth.report.provenance import drawing_of
from privsynth.report.report import AuditReport
from privsynth.schema.linked import LinkedSchema


def audit_linked(
    real: Tables,
    synthetic: Tables,
    *,
    schema: LinkedSchema,
    holdout: Tables | None,
    reference: Tables | None,
    limits: Limits,
    drawing: Any,
    shared: dict[str, Any],
) -> AuditReport:
    """Audit linked tables; see `privsynth.report.audit.audit`.

    Args:
        real: A mapping of names to tables, or a folder: what the generator was fitted to.
        synthetic: As ``real``: what was released.
        schema: The description of the tables.
        holdout: As ``real``; persons that the generator never saw.
        reference: As ``holdout``; more of them.
        limits: How much is done.
        drawing: What is known of how persons were drawn; what the synthetic frame of persons carries if None.
        shared: What every context is given.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says, or two sides share a person.

    Privacy:
        Not private: the report is a function of real records that epsilon does not cover.
    """
    shared["progress"]("reading the tables")
    if drawing is None and not isinstance(synthetic, str) and hasattr(synthetic, "get"):
        drawing = getattr(synthetic.get(schema.person), "attrs", None)
    tables = load_linked_tables(real, synthetic, schema=schema, holdout=holdout, reference=reference)
    context = LinkedContext(
        **shared,
        drawing=None if drawing is None else drawing_of(drawing),
        everything=tables,
        limits=limits,
        is_randomised=split_by_chance(real, holdout, schema),
    )
    return AuditReport.of(
        context,
        tables=_sizes(tables),
        settings={
            "kind": "linked",
            "unit": schema.unit,
            "columns": list(schema.columns),
            "target": None,
            "groups": [],
            "quick": limits == QUICK,
            "public": False,
            "random_state": context.random_state,
        },
        notes=list(tables.notes),
        left_out=_left_out(context),
    )


def _sizes(tables: LinkedTables) -> dict[str, Any]:
    """Return the numbers of rows and persons of each side, and of the rows of each table.

    Privacy:
        Not private: exact counts.
    """
    return {
        side: {
            "n_rows": sum(families.n_rows.values()),
            "n_units": families.n_persons,
            "by_table": families.n_rows,
        }
        for side, families in tables.sides.items()
    }


def _left_out(context: LinkedContext) -> list[str]:
    """Say what was drawn by chance; nothing by default."""
    most = context.limits.max_members
    drawn = {side: families.n_persons for side, families in context.tables.sides.items()}
    return [
        f"{side}: {drawn[side]:,} of {families.n_persons:,} persons were used, drawn at random"
        + (" (the attacks look at all)" if side == "synthetic" else "")
        for side, families in context.everything.sides.items()
        if drawn[side] < families.n_persons
    ] + (
        [f"membership: at most {most:,} persons of each side were attacked, drawn at random"]
        if most is not None
        and max(families.n_persons for families in context.everything.sides.values()) > most
        else []
    )
