"""Synthesizers of tables: all end with a mixture over the schema's columns, so all sample alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from privsynth.errors import SchemaError
from privsynth.io.source import Source, Table
from privsynth.io.tables import open_table
from privsynth.records.conform import OnViolation, Records, check_has_columns, conform, needed_columns
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.base import Synthesizer
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.sampler import TableSampler


class TableSynthesizer(TableSampler, Synthesizer[TableModel]):
    """Fit a table under a budget; sample it, conditioned at will.

    Args and attributes are those of `Synthesizer`.
    """

    def _open(self, source: Table, schema: Schema) -> Source:
        if schema.image is not None:
            raise SchemaError(
                "the schema describes images, and this synthesizer learns tables; fit image-feature "
                "(ImageFeatureSynthesizer), or leave 'image' out to fit the columns alone"
            )
        opened = open_table(source, needed_columns(schema), schema=schema)
        check_has_columns(opened.names, schema, "the table")
        return opened

    def _read(self, opened: Source, schema: Schema, on_violation: OnViolation) -> Records:
        return conform(opened, schema, on_violation=on_violation)

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
