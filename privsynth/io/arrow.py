"""Tables of Arrow, Polars and whatever else hands its rows over by the Arrow PyCapsule interface."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute

from privsynth.errors import TableError
from privsynth.errors.json_text import json_value
from privsynth.io.source import ArrowStream, Kind, ReadOptions, Source, check_column_names, is_text

ATTRS_KEY = b"PANDAS_ATTRS"  # where pandas keeps a frame's attrs


class ArrowSource(Source):
    """A stream of record batches; its schema is read when it is opened, its rows when one is asked for.

    Raises:
        TableError: If it is no stream of a table, or its column names are not unique texts.
    """

    def __init__(self, stream: ArrowStream, options: ReadOptions) -> None:
        self._what = f"the {type(stream).__name__}"
        try:
            self._reader = pa.RecordBatchReader.from_stream(stream)
        except Exception:  # of whoever made it, and may quote records
            raise TableError(f"{self._what} cannot be read as an Arrow table") from None
        schema = self._reader.schema
        self.names = list(schema.names)
        check_column_names(self.names, "the table")
        self.dtypes, self.attrs = dict(zip(schema.names, schema.types, strict=True)), attrs_of(schema)
        self._kept = [name for name in self.names if options.keeps(name)]
        self.can_be_read_again, self._is_used_up = False, False

    @cached_property
    def _table(self) -> pa.Table:
        if not self._kept:
            n_rows = sum(batch.num_rows for batch in self._batches())
            return pa.table({"": pa.nulls(n_rows)})
        schema = pa.schema([self._reader.schema.field(name) for name in self._kept])
        return pa.Table.from_batches([batch.select(self._kept) for batch in self._batches()], schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if self._is_used_up:
            raise TableError(f"{self._what} cannot be read again: it gave its rows already; open it anew")
        self._is_used_up = True
        try:
            yield from self._reader
        except Exception:
            raise TableError(f"{self._what} cannot be read: its stream of rows breaks off") from None

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[dict[str, pd.Series]]:
        if "_table" in self.__dict__:  # all rows were asked for before
            yield from super().batches(names, n_rows)
            return
        for batch in self._batches():
            yield from series_of(batch, names, n_rows)

    @property
    def n_rows(self) -> int:
        return int(self._table.num_rows)

    def column(self, name: str) -> pd.Series:
        return as_series(name, self._table.column(name))


ARROW_STREAMS = Kind(
    "a table of Arrow or Polars, or another with the Arrow PyCapsule interface (__arrow_c_stream__)",
    ArrowSource,
    lambda given: hasattr(given, "__arrow_c_stream__") and not isinstance(given, pd.Series),
)


def series_of(batch: pa.RecordBatch, names: Sequence[str], n_rows: int) -> Iterator[dict[str, pd.Series]]:
    """Yield columns of a batch of Arrow as `as_series` does, in parts of at most ``n_rows`` rows.

    Privacy:
        Not private: returns the records.
    """
    for start in range(0, batch.num_rows, n_rows):
        part = batch.slice(start, n_rows)
        yield {name: as_series(name, pa.chunked_array([part.column(name)])) for name in names}


def as_series(name: str, column: pa.ChunkedArray) -> pd.Series:
    """Return a column of Arrow as pandas holds it, each value read by itself; see `_as_series`.

    Where a value is none of its type, such as a text that is not UTF-8 or a date beyond the year 9999, it
    becomes a text of its bytes or days, which no schema reads, and the others stay what they are.

    Raises:
        TableError: If the column cannot be read; quotes none of its values.

    Privacy:
        Not private: returns the records.
    """
    try:
        return _as_series(name, column)
    except Exception:  # whose words may quote records
        pass
    try:
        stored = column.type
        if pa.types.is_dictionary(stored):
            column, stored = column.cast(stored.value_type), stored.value_type
        if is_text(stored):
            return _as_series(name, column.cast(pa.large_binary()))
        if pa.types.is_date(stored):
            days = column.cast(pa.date64()).cast(pa.int64()).to_numpy(zero_copy_only=False) / 86_400_000
            return pd.Series([_date(day) for day in days], name=name, dtype=object)
    except Exception:
        pass
    raise TableError(f"column {name!r} cannot be read: it holds what its type {column.type} cannot")


def _date(days: float) -> dt.date | str | None:
    """Return the date so many days after 1970 began; a text, if Python has none."""
    if math.isnan(days):
        return None
    try:
        return dt.date(1970, 1, 1) + dt.timedelta(days=days)
    except OverflowError:
        return f"{days:.0f} days from 1970"


def _as_series(name: str, column: pa.ChunkedArray) -> pd.Series:
    """Return a column of Arrow as pandas holds it.

    Texts are a categorical of texts. Bytes are read as texts: as UTF-8 or, where they are none, as ``\\x``
    and their hexadecimal digits; times of day and UUIDs as they are usually written. Integers with gaps are
    pandas' ``Int64``.
    """
    stored = column.type
    if pa.types.is_run_end_encoded(stored):
        parts = [pyarrow.compute.run_end_decode(part) for part in column.chunks]
        column = pa.chunked_array(parts, stored.value_type)
        stored = column.type
    if is_text(stored):
        column = column.dictionary_encode()
    elif pa.types.is_dictionary(stored):
        if not is_text(stored.value_type):
            column = column.cast(stored.value_type)
        elif _repeats_categories(column):
            column = column.cast(stored.value_type).dictionary_encode()
    stored = column.type
    as_text = _text_of(stored)
    if as_text is not None:
        values = [None if value is None else as_text(value) for value in column.to_pylist()]
        return pd.Series(values, name=name, dtype=object)
    if pa.types.is_integer(stored) and column.null_count > 0:
        exact = pd.UInt64Dtype() if pa.types.is_unsigned_integer(stored) else pd.Int64Dtype()
        return pd.Series(exact.__from_arrow__(column), name=name)
    return column.to_pandas().rename(name)


def _repeats_categories(column: pa.ChunkedArray) -> bool:
    """Whether a category stands twice, or is missing: Arrow allows both, and pandas neither."""
    texts = [part.dictionary for part in column.chunks]
    return any(held.null_count > 0 or len(held.unique()) < len(held) for held in texts)


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


def attrs_of(schema: pa.Schema) -> Mapping[str, Any]:
    """Return what an Arrow schema keeps of a frame's ``attrs``; nothing if it is not what pandas writes."""
    metadata = schema.metadata or {}
    try:
        found = json_value(metadata.get(ATTRS_KEY) or metadata.get(b"pandas", b"{}"))
        found = found if ATTRS_KEY in metadata else found.get("attributes")
    except (AttributeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    """Turn a frame into an Arrow table without its index.

    Raises:
        TableError: If a column mixes types that Parquet cannot hold in one column.

    Privacy:
        Not private: the same records in another form.
    """
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, UnicodeEncodeError):
        pass
    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
        except UnicodeEncodeError:
            raise TableError(
                f"column {name!r} holds texts that are no Unicode (lone surrogates); mend them"
            ) from None
        except pa.ArrowException:
            raise TableError(
                f"column {name!r} mixes types, which Parquet cannot hold; convert it to one type"
            ) from None
    raise TableError("the table cannot be written as Parquet; write it as CSV")
