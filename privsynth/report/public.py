"""Reports to publish: of the released rows alone, or with figures that a budget of their own pays for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from privsynth.attacks.private_audit import AuditAccount, paid_audit
from privsynth.io.tables import read_table
from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.images import load_images
from privsynth.metrics.common.tables import Table, Tables
from privsynth.metrics.public import describe_released
from privsynth.records.images import ImageSource, read_images
from privsynth.report.inputs import as_images, as_table
from privsynth.report.page.contact_sheet import public_sheet
from privsynth.report.provenance import drawing_of
from privsynth.report.report import AuditReport
from privsynth.report.verdicts import guarantee_verdict, in_words_of_images
from privsynth.schema import Schema

PUBLIC = "this report is public: it reads no real record"


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
    pictures: dict[str, Any] | None = None
    kind: dict[str, Any] = {}
    if schema.image is None:
        rows = read_table(as_table(synthetic), schema, is_real=False)
    else:
        both = read_images(as_images(synthetic), shape=schema.image, on_violation="clip")
        rows = both.labels
        alone = Schema({column.name: column for column in schema.modelled}, image=schema.image)
        pictures = public_sheet(load_images(both, both, schema=alone))  # on both sides: nothing else is read
        kind = {"kind": "images", "image": schema.image.to_dict()}
    released = describe_released(rows, schema=schema)
    stated = dict(guarantee) if guarantee is not None else None
    closed = not_assessed(PUBLIC)
    judged = guarantee_verdict(stated, None)
    return AuditReport(
        guarantee=stated,
        fidelity=closed,
        utility=closed,
        fairness=closed,
        interpretability=closed,
        membership=closed,
        disclosure=closed,
        verdicts=[{**(judged if pictures is None else in_words_of_images(judged)), "section": "guarantee"}],
        tables={"synthetic": {"n_rows": released["n_rows"], "n_units": released["n_rows"]}},
        settings={
            **kind,
            "unit": schema.unit,
            "columns": [column.name for column in schema.modelled],
            "target": schema.target,
            "groups": list(schema.groups),
            "public": True,
        },
        notes=released.pop("notes"),
        synthetic=released,
        drawing=drawing_of(rows.attrs if drawing is None else drawing),
        pictures=pictures,
    )


def paid_report(
    tables: Tables,
    synthetic: Table,
    guarantee: Mapping[str, Any] | None,
    drawing: Mapping[str, Any] | None,
    account: AuditAccount,
    random_state: int,
) -> AuditReport:
    """Return a public report with the figures that a budget covers."""
    paid = paid_audit(
        real=tables.real,
        holdout=tables.holdout,
        synthetic=tables.synthetic.frame,
        schema=tables.schema,
        target=tables.target,
        budget=account,
        random_state=random_state,
    )
    public = public_report(
        synthetic=synthetic, schema=tables.schema, guarantee=guarantee, drawing=drawing or {}
    )
    return replace(public, paid=paid)
