"""Synthesizers of tables: all end with a mixture over the schema's columns, so all sample alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import SchemaError
from privsynth.io.tables import open_table
from privsynth.records.conform import OnViolation, Records, check_names, conform, needed_columns
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.base import Synthesizer
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.sampler import TableSampler


class TableSynthesizer(TableSampler, Synthesizer[TableModel]):
    """Fit a table under a budget; sample it, conditioned at will.

    Args and attributes are those of `Synthesizer`.
    """

    def _check_names(self, source: pd.DataFrame | str | Path, schema: Schema) -> None:
        if schema.image is not None:
            raise SchemaError(
                "the schema describes images, and this synthesizer learns tables; fit image-feature "
                "(ImageFeatureSynthesizer), or leave 'image' out to fit the columns alone"
            )
        check_names(source, schema)

    def _read(self, source: pd.DataFrame | str | Path, schema: Schema, on_violation: OnViolation) -> Records:
        fields = open_table(source, needed_columns(schema), schema=schema)
        return conform(fields, schema, on_violation=on_violation)

    @staticmethod
    def _arrays_of(model: TableModel) -> dict[str, NDArray[Any]]:
        return model_arrays(model)

    @staticmethod
    def _facts_of(model: TableModel) -> dict[str, Any]:
        return model_facts(model)

    @classmethod
    def _model_from(
        cls, settings: Any, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> TableModel:
        return model_from(facts, arrays)
