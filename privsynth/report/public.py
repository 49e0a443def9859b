"""Reports to publish: of the released rows alone, or with figures that a budget of their own pays for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from privsynth.io.image_files import ImageSource
from privsynth.io.source import Table
from privsynth.io.tables import read_table
from privsynth.records.images import read_images
from privsynth.report.context import PublicContext, as_images, as_table
from privsynth.report.provenance import drawing_of
from privsynth.report.report import AuditReport
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages


def public_report(
    *,
    synthetic: Table | ImageSource,
    schema: Schema,
    guarantee: Mapping[str, Any] | None = None,
    drawing: Mapping[str, Any] | None = None,
) -> AuditReport:
    """Report on synthetic rows or images without reading a real record, for publication.

    Args:
        synthetic: The released rows or images, or their path.
        schema: The description of the table.
        guarantee: The statement of the model file; None if there is none.
        drawing: What is known of how the rows were drawn; see `privsynth.audit`.

    Returns:
        A report whose sections that need real records are ``not_assessed``.

    Raises:
        PrivsynthError: If the table cannot be read as the schema says.

    Privacy:
        Post-processing: reads the released rows, the public schema and the statement only.
    """
    released: pd.DataFrame | LabelledImages
    if schema.image is None:
        released = rows = read_table(as_table(synthetic), schema, is_real=False)
    else:
        released = read_images(as_images(synthetic), shape=schema.image, on_violation="clip")
        rows = released.labels
    return report_publicly(
        PublicContext(
            schema=schema,
            guarantee=dict(guarantee) if guarantee is not None else None,
            drawing=drawing_of(rows.attrs if drawing is None else drawing),
            synthetic=released,
            target=schema.target,
            groups=schema.groups,
        )
    )


def report_publicly(context: PublicContext) -> AuditReport:
    """Return the report of the sections that read no record but under a budget."""
    schema = context.schema
    n_rows = len(context.synthetic)
    kind = {} if schema.image is None else {"kind": "images", "image": schema.image.to_dict()}
    report = AuditReport.of(
        context,
        tables={"synthetic": {"n_rows": n_rows, "n_units": _n_units(context, n_rows)}},
        settings={
            **kind,
            "unit": schema.unit,
            **({"sequences": True} if schema.is_sequential else {}),
            "columns": [column.name for column in schema.modelled],
            "target": context.target,
            "groups": list(context.groups),
            "public": True,
        },
    )
    facts: dict[str, Any] = {"notes": report.synthetic.pop("notes")}
    if context.count_under_budget is not None:  # how long the count took may depend on the records
        facts["created"] = report.created.partition("T")[0]
    return replace(report, **facts)


def _n_units(context: PublicContext, n_rows: int) -> int:
    """Return the number of synthetic persons where their rows belong together, else that of rows."""
    released, person_id = context.synthetic, context.schema.person_id
    if isinstance(released, LabelledImages) or not context.schema.is_sequential:
        return n_rows
    if person_id not in released:  # a message says so when the rows are read
        return n_rows
    return int(released[person_id].nunique())
