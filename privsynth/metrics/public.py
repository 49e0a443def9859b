"""What the synthetic rows show by themselves: for a page to publish, since it reads no real record."""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.attacks.intervals import wilson
from privsynth.io.source import Table
from privsynth.metrics.common.estimates import number
from privsynth.metrics.common.grouping import groupings
from privsynth.metrics.common.tables import Tables, load_released
from privsynth.metrics.common.units import unit_of_rows
from privsynth.metrics.fairness.rates import rates_by_group
from privsynth.metrics.fidelity.associations import MAX_COLUMNS, association_matrix
from privsynth.metrics.fidelity.distributions import column_distribution
from privsynth.metrics.utility.downstream import Target, target_of
from privsynth.schema import Schema

INTERVALS = (
    "Intervals cover the drawing of {things} from the model. They say nothing about how far the model is "
    "from the records behind it: that is in the guarantee's noise."
)


def describe_released(synthetic: Table, *, schema: Schema) -> dict[str, Any]:
    """Describe a synthetic table without looking at anything else.

    Args:
        synthetic: Frame or path: the released rows.
        schema: The description of the table.

    Returns:
        ``n_rows``; ``columns`` with their distribution and missing share; ``associations``; ``by_group`` with
        share and target rate, each with an interval; ``notes``.

    Raises:
        PrivsynthError: If the table cannot be read as the schema says.

    Privacy:
        Post-processing: reads the released rows and the public schema only.
    """
    tables = load_released(synthetic, schema=schema)
    frame, weights = tables.synthetic.frame, tables.synthetic_weights
    equal_rows = tables.synthetic_sample(np.random.default_rng(0))
    columns = []
    for column in tables.schema.modelled:
        bars = column_distribution(column, frame[column.name], weights, equal_rows[column.name])
        columns.append(
            {
                "column": column.name,
                "type": column.type,
                "missing": float(np.average(frame[column.name].isna(), weights=weights)),
                "distribution": [{"label": bar["label"], "synthetic": bar["synthetic"]} for bar in bars],
            }
        )
    matrix = association_matrix(frame, weights) if 2 <= frame.shape[1] <= MAX_COLUMNS else None
    target = target_of(tables)
    return {
        "n_rows": len(frame),
        "columns": columns,
        "associations": None
        if matrix is None
        else {
            "columns": list(frame.columns),
            "synthetic": [[number(value) for value in row] for row in matrix],
        },
        "target": None if target is None else target.name,
        "positive": None if target is None else target.positive,
        "by_group": _by_group(tables, target if target is not None and target.task == "binary" else None),
        "notes": list(tables.notes),
        "intervals": INTERVALS.format(things="rows" if schema.image is None else "images"),
    }


def _by_group(tables: Tables, target: Target | None) -> list[dict[str, Any]]:
    frame, units = tables.synthetic.frame, unit_of_rows(tables.synthetic)
    out = []
    for grouping in groupings(tables):
        rates = rates_by_group(frame, tables.synthetic_weights, units, grouping, target)
        for i, group in enumerate(grouping.groups):
            entry: dict[str, Any] = {"group": group, "share": _rate(rates.share[i], rates.share_units[i])}
            if target is not None:
                entry["target_rate"] = _rate(rates.target_rate[i], rates.target_rate_units[i])
            out.append(entry)
    return out


def _rate(share: float, n: float) -> dict[str, Any]:
    if not (np.isfinite(share) and np.isfinite(n)):
        return {"value": None, "interval": None}
    return {"value": float(share), "interval": list(wilson(float(share), float(n)))}
