"""The quality score of sdmetrics: how alike columns and pairs of columns are, 1 = alike."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

from privsynth.metrics.figures import number
from privsynth.schema import Schema, category_text

MAX_ROWS = 50_000
"""Rows of each table that are compared: sdmetrics draws a sample above it from numpy's global state."""

_TABLE = "table"


def quality_scores(
    reference: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> dict[str, float | None]:
    """Return the score and its properties by name: ``score``, ``Column Shapes``, ``Column Pair Trends``.

    Args:
        reference: Canonical rows, each of the same weight, at most `MAX_ROWS`.
        synthetic: Canonical rows to judge, at most `MAX_ROWS`.
        schema: The description of the columns.

    Privacy:
        Not private: of real records, if the reference holds them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns and the like: the score is then undefined
        from sdmetrics.reports import QualityReport

        report = QualityReport()
        report.generate(
            {_TABLE: _plain(reference)},
            {_TABLE: _plain(synthetic)},
            {"tables": {_TABLE: {"columns": _sdtypes(schema)}}, "relationships": []},
            verbose=False,
        )
        properties = report.get_properties().set_index("Property")["Score"]
    return {"score": number(report.get_score()), **{name: number(s) for name, s in properties.items()}}


def _sdtypes(schema: Schema) -> dict[str, Any]:
    return {
        column.name: {"sdtype": "numerical" if column.is_numeric else "categorical"}
        for column in schema.modelled
    }


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with categories as text, None where missing."""
    columns = {}
    for name in table.columns:
        column = table[name].reset_index(drop=True)
        if isinstance(column.dtype, pd.CategoricalDtype):
            texts = [category_text(value) for value in column.cat.categories]
            column = column.cat.rename_categories(texts).astype(object)
            column = column.where(column.notna(), None)
        columns[name] = column
    return pd.DataFrame(columns)
