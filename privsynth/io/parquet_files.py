"""Parquet files, and folders of them: columns as they are stored, each value read by itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from privsynth.errors import TableError
from privsynth.io.arrow import as_series, attrs_of, series_of
from privsynth.io.files import Files, kind_of_files
from privsynth.io.source import ReadOptions, Source, check_column_names, is_text, reading

FOOTER_BYTES = 2**16  # the end of a footer: where its row groups lie, and who wrote it


class ParquetSource(Source):
    """Parquet files as one table; what folders such as ``sex=F`` say is a column of texts.

    The files of a folder may lack columns, which are then missing; those of a pattern or a list may not.

    Raises:
        TableError: If a file cannot be read, or files store a column in types that have none in common.
    """

    def __init__(self, files: Files, options: ReadOptions) -> None:
        self._files = files
        with reading(files.text):
            self.n_bytes = files.n_bytes
        self._options: dict[str, Any] = {"partitioning": None}
        with reading(files.text):
            schemas = [pyarrow.parquet.read_schema(path) for path in files.paths]
            in_files = {name for schema in schemas for name in schema.names}
            of_folders = [pa.field(name, pa.string()) for name in files.partitions if name not in in_files]
            if of_folders:  # folders "01" and "1" differ, and "1" is a text beside "a" as it is beside "2"
                named = pyarrow.dataset.partitioning(pa.schema(of_folders), flavor="hive")
                self._options["partitioning"] = named
            if any(not schema.equals(schemas[0]) for schema in schemas):
                self._options["schema"] = pa.schema([*_unified(schemas, files), *of_folders])
            schema = self._dataset().schema
        self.names = list(schema.names)
        check_column_names(self.names, repr(files.text))
        self.dtypes, self.attrs = dict(zip(schema.names, schema.types, strict=True)), attrs_of(schemas[0])

    def _dataset(self, **options: Any) -> pyarrow.parquet.ParquetDataset:
        paths = [str(path) for path in self._files.paths]
        return pyarrow.parquet.ParquetDataset(paths, **self._options, **options)

    @cached_property
    def _by_column(self) -> pyarrow.parquet.ParquetDataset:
        assert self.dtypes is not None
        texts = [name for name, stored in self.dtypes.items() if is_text(stored)]
        return self._dataset(read_dictionary=texts)  # each text once, and not first in every row

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[dict[str, pd.Series]]:
        assert self.dtypes is not None
        texts = [name for name in names if is_text(self.dtypes[name])]
        kind = pyarrow.dataset.ParquetFileFormat(dictionary_columns=texts)
        part_by_part = pyarrow.dataset.ParquetFragmentScanOptions(use_buffered_stream=True, pre_buffer=False)
        with reading(self._files.text):
            rows = pyarrow.dataset.dataset(
                [str(path) for path in self._files.paths], format=kind, **self._options
            ).to_batches(
                columns=list(names),
                batch_size=n_rows,
                batch_readahead=1,
                fragment_readahead=1,
                use_threads=False,
                fragment_scan_options=part_by_part,
            )
            for batch in rows:
                yield from series_of(batch, names, n_rows)

    def version(self) -> Hashable:
        with reading(self._files.text):
            return self._files.version(PARQUET_FILES.suffixes, n_last=FOOTER_BYTES)

    @cached_property
    def n_rows(self) -> int:
        with reading(self._files.text):
            return sum(part.count_rows() for part in self._dataset().fragments)

    def column(self, name: str) -> pd.Series:
        with reading(self._files.text):
            return as_series(name, self._by_column.read(columns=[name]).column(name))


PARQUET_FILES = kind_of_files(
    "Parquet files (.parquet), or a folder of them", ParquetSource, ".parquet", in_folders=True
)


def _unified(schemas: list[pa.Schema], files: Files) -> pa.Schema:
    is_alike = all({*schema.names} == {*schemas[0].names} for schema in schemas)
    if not is_alike and not files.is_folder:
        raise TableError(f"the files {files.text!r} do not have the same columns; write them alike")
    names = schemas[0].names
    try:
        unified = pa.unify_schemas(schemas, promote_options="permissive")
        names = [field.name for field in unified if pa.types.is_floating(field.type)]
    except pa.ArrowException:
        unified = None
    for name in names:
        stored = dict.fromkeys(schema.field(name).type for schema in schemas if name in schema.names)
        try:
            common = pa.unify_schemas([pa.schema([(name, t)]) for t in stored], promote_options="permissive")
            goes_together = not _loses_digits(stored, common.field(0).type)
        except pa.ArrowException:
            goes_together = False
        if not goes_together:
            raise TableError(
                f"the files in {files.text!r} store column {name!r} in types that do not go together "
                f"({', '.join(sorted(map(str, stored)))}); write it in one type"
            )
    if unified is None:
        raise TableError(f"the files in {files.text!r} do not have the same columns; write them alike")
    return unified


def _loses_digits(stored: Iterable[pa.DataType], common: pa.DataType) -> bool:
    """Whether decimals have more digits than the floats that they would become, so that ids become one."""
    if not pa.types.is_floating(common):
        return False
    digits = np.finfo(common.to_pandas_dtype()).precision
    return any(pa.types.is_decimal(kind) and kind.precision > digits for kind in stored)
