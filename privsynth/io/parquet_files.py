"""Parquet files, and folders of them: columns as they are stored, each value read by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from privsynth.errors import TableError

ATTRS_KEY = b"PANDAS_ATTRS"  # where pandas keeps a frame's attrs


def is_parquet_folder(path: Path) -> bool:
    """Whether a path is a folder that holds Parquet files, in subfolders too."""
    return path.is_dir() and next(path.rglob("*.parquet"), None) is not None


class ParquetTable:
    """A Parquet file, or all Parquet files of a folder as one table.

    What folders such as ``sex=F`` say is a column of texts. Bytes are read as texts: as UTF-8 or, where they
    are none, as ``\\x`` and their hexadecimal digits; times of day and UUIDs as they are usually written.

    Args:
        path: The file or folder.

    Raises:
        TableError: If the files of a folder store a column in types that have none in common.
        OSError, pyarrow.ArrowException: If it cannot be read.

    Privacy:
        Public until a column is read: how many rows there are, and how they are stored, apart.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._options: dict[str, Any] = {}
        dataset = self._dataset()
        schemas = [part.physical_schema for part in dataset.fragments]
        in_files = {name for schema in schemas for name in schema.names}
        of_folders = [name for name in dataset.schema.names if name not in in_files]
        if of_folders:  # folders "01" and "1" differ, and "1" is a text beside "a" as it is beside "2"
            texts = pa.schema([(name, pa.string()) for name in of_folders])
            self._options["partitioning"] = pyarrow.dataset.partitioning(texts, flavor="hive")
        if any(not schema.equals(schemas[0]) for schema in schemas):
            apart = [pa.field(name, pa.string()) for name in of_folders]
            self._options["schema"] = pa.schema([*_unified(schemas, path), *apart])
        dataset = self._dataset()
        self.schema: pa.Schema = dataset.schema
        self.n_rows: int = sum(part.count_rows() for part in dataset.fragments)
        is_text = (pa.types.is_string, pa.types.is_large_string)
        texts_once = [f.name for f in self.schema if any(is_kind(f.type) for is_kind in is_text)]
        self._by_column = self._dataset(read_dictionary=texts_once)

    def _dataset(self, **options: Any) -> pyarrow.parquet.ParquetDataset:
        return pyarrow.parquet.ParquetDataset(self._path, **self._options, **options)

    def column(self, name: str) -> pd.Series:
        """Return a column; texts as a categorical of texts.

        Privacy:
            Not private: returns the records.
        """
        return _as_series(name, self._by_column.read(columns=[name]).column(name))

    def frame(self) -> pd.DataFrame:
        """Return all columns, with what ``attrs`` the frame had that was written.

        Privacy:
            Not private: returns the records.
        """
        fields = self._dataset().read()
        columns = {
            name: _as_series(name, column)
            for name, column in zip(fields.column_names, fields.columns, strict=True)
        }
        frame = pd.DataFrame(columns, index=pd.RangeIndex(fields.num_rows), copy=False)
        frame.attrs |= _attrs(self.schema.metadata or {})
        return frame


def _unified(schemas: list[pa.Schema], path: Path) -> pa.Schema:
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException:
        pass
    for name in schemas[0].names:
        stored = {schema.field(name).type for schema in schemas if name in schema.names}
        try:
            pa.unify_schemas([pa.schema([(name, t)]) for t in stored], promote_options="permissive")
        except pa.ArrowException:
            raise TableError(
                f"the files in {str(path)!r} store column {name!r} in types that do not go together "
                f"({', '.join(sorted(map(str, stored)))}); write it in one type"
            ) from None
    raise TableError(f"the files in {str(path)!r} do not hold the same columns; write them alike")


def _as_series(name: str, column: pa.ChunkedArray) -> pd.Series:
    stored = column.type
    if pa.types.is_dictionary(stored) and not _is_text(stored.value_type):
        column = column.cast(stored.value_type)
        stored = stored.value_type
    as_text = _text_of(stored)
    if as_text is not None:
        values = [None if value is None else as_text(value) for value in column.to_pylist()]
        return pd.Series(values, name=name, dtype=object)
    if pa.types.is_integer(stored) and column.null_count > 0:
        exact = pd.UInt64Dtype() if pa.types.is_unsigned_integer(stored) else pd.Int64Dtype()
        return pd.Series(exact.__from_arrow__(column), name=name)
    return column.to_pandas().rename(name)


def _is_text(stored: pa.DataType) -> bool:
    return pa.types.is_string(stored) or pa.types.is_large_string(stored)


def _text_of(stored: pa.DataType) -> Callable[[Any], str] | None:
    """Return how a stored value is read as text, None if it is read as it is."""
    kinds = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    if any(is_kind(stored) for is_kind in kinds):
        return _text_of_bytes
    if pa.types.is_time(stored):
        return str
    return str if isinstance(stored, pa.UuidType) else None


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"\\x{value.hex()}"


def _attrs(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what a Parquet file keeps beside its rows; nothing if it is not what pandas writes."""
    try:
        found = json.loads(metadata.get(ATTRS_KEY, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
