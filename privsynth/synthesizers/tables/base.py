"""Synthesizers of tables: all end with a mixture over the schema's columns, so all sample alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from numpy.typing import NDArray

from privsynth.errors import ParameterError, SchemaError
from privsynth.io.engines import EngineSource
from privsynth.io.source import Source, Table
from privsynth.io.tables import open_table
from privsynth.records.conform import OnViolation, Records, check_has_columns, conform, needed_columns
from privsynth.records.sequence_view import as_sequences
from privsynth.records.streams import Stream, open_stream
from privsynth.sampling.calibration import calibrated
from privsynth.sampling.histories import SequenceModel
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.sequences import sequence_view
from privsynth.synthesizers.base import Synthesizer
from privsynth.synthesizers.secret_order import SecretOrder
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from privsynth.synthesizers.tables.model_checks import check_calibration
from privsynth.synthesizers.tables.sampler import TableSampler
from privsynth.synthesizers.tables.workload import declared_tables
from privsynth.warehouse.canonical import check_readable
from privsynth.warehouse.records import RecordsInEngine

CALIBRATION = "sequences/calibration"
STREAM_FROM_BYTES = 2**27
"""Parquet files of this size in all, and larger ones, are read in parts: 128 MB; public."""


@dataclass(frozen=True)
class InParts:
    """A table that is to be read in parts."""

    source: Source


@dataclass(frozen=True)
class WithRows:
    """A table in an engine whose rows may be fetched, coded."""

    source: EngineSource


def check_workload(schema: Schema, kind: type) -> None:
    """Raise a `SchemaError` if the schema declares tables that a synthesizer does not measure.

    Privacy:
        Public: reads no record.
    """
    if schema.workload and not getattr(kind, "measures_workload", False):
        raise SchemaError(
            f"the schema has a workload, which {getattr(kind, 'name', 'this synthesizer')!r} does not "
            "measure; fit 'marginal' (MarginalSynthesizer), or leave 'workload' out"
        )


class TableSynthesizer(TableSampler, Synthesizer[TableModel | SequenceModel]):
    """Fit a table under a budget; sample it, conditioned at will.

    Args and attributes are those of `Synthesizer`.
    """

    schema_: Schema
    measures_workload: ClassVar[bool] = False
    learns_from_rows: ClassVar[bool] = True  # and not from counts alone

    def _open(self, source: Table, schema: Schema) -> Source:
        if schema.image is not None:
            raise SchemaError(
                "the schema describes images, and this synthesizer learns tables; fit image-feature "
                "(ImageFeatureSynthesizer), or leave 'image' out to fit the columns alone"
            )
        check_workload(schema, type(self))
        opened = open_table(source, needed_columns(schema), schema=schema)
        check_has_columns(opened.names, schema, "the table")
        if isinstance(opened, EngineSource):
            check_readable(opened, schema)
        return opened

    def _reader(
        self, opened: Source, schema: Schema, *, stream: bool | None, rows_may_leave: bool
    ) -> Source | InParts | WithRows:
        if isinstance(opened, EngineSource):
            if stream:
                raise ParameterError(
                    f"a table in {opened.what} is counted where it is, and memory does not grow with its "
                    "rows: leave --stream out (stream=None)"
                )
            if self.learns_from_rows and not rows_may_leave:
                opened.require_rows()
            return WithRows(opened) if self.learns_from_rows else opened
        if schema.is_sequential or rows_may_leave:
            super()._reader(opened, schema, stream=stream, rows_may_leave=rows_may_leave)
        is_large = opened.n_bytes is not None and opened.n_bytes >= STREAM_FROM_BYTES
        in_parts = not schema.is_sequential and (is_large if stream is None else stream)
        return InParts(opened) if in_parts else opened

    def _read(
        self, opened: Source | InParts | WithRows, schema: Schema, on_violation: OnViolation
    ) -> Records | Stream | RecordsInEngine:
        if isinstance(opened, InParts):
            return open_stream(opened.source, schema, on_violation=on_violation)
        if isinstance(opened, WithRows):
            return RecordsInEngine(opened.source, schema, on_violation, rows_may_leave=True)
        if isinstance(opened, EngineSource):
            return RecordsInEngine(opened, schema, on_violation)
        records = conform(opened, schema, on_violation=on_violation)
        return as_sequences(records, schema, SecretOrder())

    def declared_tables(self) -> dict[tuple[str, ...], pd.DataFrame]:
        """Return the tables that the schema's workload declares, as released, with the error of each cell.

        Returns:
            By their columns; see `privsynth.synthesizers.tables.workload.declared_tables`. Empty without a
            workload.

        Privacy:
            Post-processing: the released cells themselves.
        """
        return declared_tables(self.schema_, self._of_rows.domains, self.releases_)

    @staticmethod
    def _of_table(model: TableModel | SequenceModel, schema: Schema) -> TableModel | SequenceModel:
        if schema.is_sequential and isinstance(model, TableModel):
            return calibrated(SequenceModel.of(schema, model))
        return model

    @staticmethod
    def _arrays_of(model: TableModel | SequenceModel) -> dict[str, NDArray[Any]]:
        if isinstance(model, SequenceModel):
            return {**model_arrays(model.rows), CALIBRATION: model.calibration}
        return model_arrays(model)

    @staticmethod
    def _facts_of(model: TableModel | SequenceModel) -> dict[str, Any]:
        if isinstance(model, SequenceModel):
            return {**model_facts(model.rows), "schema": model.schema.to_dict()}
        return model_facts(model)

    @classmethod
    def _model_from(
        cls, settings: Any, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> TableModel | SequenceModel:
        schema = Schema.from_dict(facts["schema"])
        rows = model_from(facts, arrays, sequence_view(schema))
        if not schema.is_sequential:
            return rows
        check_calibration(arrays[CALIBRATION], rows.mixture.n_components)
        return SequenceModel(schema, rows, arrays[CALIBRATION])
