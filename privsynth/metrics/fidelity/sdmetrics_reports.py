"""The reports of sdmetrics: are columns and pairs alike (quality), are values allowed (diagnostic)?"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.baselines import Baselines, Compared, figure_of
from privsynth.metrics.common.estimates import number
from privsynth.metrics.common.tables import Tables, weighted_rows
from privsynth.schema import Schema, category_text

MAX_ROWS = 50_000
"""Rows of each table that are compared: sdmetrics draws a sample above it from numpy's global state."""

_TABLE = "table"
_OF_SEVERAL_TABLES = ("Cardinality", "Intertable Trends", "Relationship Validity")


def compare_quality(
    tables: Tables, baselines: Baselines, generator: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Return ``quality`` and ``diagnostic``, each with ``score`` and ``properties`` as figures, 1 = best.

    At most `MAX_ROWS` rows of each table; the quality is judged against the reference, the diagnostic (values
    within the observed range, categories that occur, the same columns) against the real table.

    Privacy:
        Not private: figures of real records.
    """
    n_real = min(len(tables.real.frame), MAX_ROWS)
    n_reference = min(len(baselines.reference), MAX_ROWS)
    chosen = weighted_rows(baselines.reference_weights, n_reference, generator)
    against = {
        "quality": baselines.reference.iloc[chosen],
        "diagnostic": tables.real_sample(n_real, generator),
    }
    n_rows = min([MAX_ROWS, *(len(table) for table in baselines.judged.values())])
    judged: dict[Compared, pd.DataFrame] = {
        name: table.iloc[generator.permutation(len(table))[:MAX_ROWS]]
        if name == "synthetic"
        else table.iloc[:n_rows]
        for name, table in baselines.judged.items()
    }
    return {
        which: _section(
            {name: report_scores(reference, table, tables.schema, which) for name, table in judged.items()}
        )
        for which, reference in against.items()
    }


def report_scores(
    reference: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, which: str = "quality"
) -> dict[str, float | None]:
    """Return the score of a report and its properties by name.

    Args:
        reference: Canonical rows, each of the same weight, at most `MAX_ROWS`.
        synthetic: Canonical rows to judge, at most `MAX_ROWS`.
        schema: The description of the columns.
        which: ``quality`` or ``diagnostic``.

    Privacy:
        Not private: of real records, if the reference holds them.
    """
    metadata = {"tables": {_TABLE: {"columns": sdtypes(schema)}}, "relationships": []}
    scores = scores_of_tables({_TABLE: plain(reference)}, {_TABLE: plain(synthetic)}, metadata, which)
    return {name: score for name, score in scores.items() if name not in _OF_SEVERAL_TABLES}


def scores_of_tables(
    reference: dict[str, pd.DataFrame],
    synthetic: dict[str, pd.DataFrame],
    metadata: dict[str, Any],
    which: str = "quality",
) -> dict[str, float | None]:
    """Return the score of a report on several tables and its properties by name.

    Args:
        reference: Rows as `plain` gives them, by table.
        synthetic: Those to judge.
        metadata: As sdmetrics takes it.
        which: ``quality`` or ``diagnostic``.

    Privacy:
        Not private: of real records, if the reference holds them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns and the like: the score is then undefined
        from sdmetrics.reports import DiagnosticReport, QualityReport

        report = QualityReport() if which == "quality" else DiagnosticReport()
        report.generate(reference, synthetic, metadata, verbose=False)
        properties = report.get_properties().set_index("Property")["Score"]
    return {"score": number(report.get_score()), **{name: number(x) for name, x in properties.items()}}


def _section(scores: dict[Compared, dict[str, float | None]]) -> dict[str, Any]:
    by_name = {
        name: figure_of({judged: values[name] for judged, values in scores.items()})
        for name in scores["synthetic"]
    }
    return {"score": by_name.pop("score"), "properties": by_name}


def sdtypes(schema: Schema) -> dict[str, Any]:
    """Return the columns of a schema as sdmetrics describes them.

    Privacy:
        Public: reads no record.
    """
    return {
        column.name: {"sdtype": "numerical" if column.is_numeric else "categorical"}
        for column in schema.modelled
    }


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with categories as text, None where missing.

    Privacy:
        Not private: returns the rows given.
    """
    columns = {}
    for name in table.columns:
        column = table[name].reset_index(drop=True)
        if isinstance(column.dtype, pd.CategoricalDtype):
            texts = [category_text(value) for value in column.cat.categories]
            column = column.cat.rename_categories(texts).astype(object)
            column = column.where(column.notna(), None)
        columns[name] = column
    return pd.DataFrame(columns)
