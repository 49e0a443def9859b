"""Blocks of synthetic rows: cut into batches of any size, or written to a file as they come."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from privsynth.io.arrow import ATTRS_KEY, as_arrow
from privsynth.io.atomic import written_aside
from privsynth.io.encoding import CsvEncoder, Encoded, Encoder, ParquetEncoder, bytes_of, joined
from privsynth.io.tables import table_format
from privsynth.schema.times import TimeFormat

Progress = Callable[[int], None]

MOST_LISTED = 0.25  # of a block's rows: columns of more values are written as they are


def in_batches(blocks: Iterator[pd.DataFrame], batch_size: int) -> Iterator[pd.DataFrame]:
    """Cut a stream of frames anew, ``batch_size`` rows each; the last may be short, and one there is."""
    held: list[pd.DataFrame] = []
    n_held, n_given = 0, 0
    for block in blocks:
        held.append(block)
        n_held += len(block)
        while n_held >= batch_size:
            whole = held[0] if len(held) == 1 else pd.concat(held, ignore_index=True)
            yield whole.iloc[:batch_size].reset_index(drop=True)
            held = [whole.iloc[batch_size:]]
            n_held, n_given = n_held - batch_size, n_given + 1
    if n_held or not n_given:
        yield pd.concat(held, ignore_index=True)


def write_blocks(
    blocks: Iterator[pd.DataFrame],
    path: str | Path,
    *,
    types: pd.DataFrame,
    force: bool,
    progress: Progress,
    time_formats: Mapping[str, TimeFormat] = MappingProxyType({}),
) -> int:
    """Write frames of one kind to a table file, one after the other; return the number of rows.

    Args:
        blocks: At least one frame; drawn only once the place of the file is known to be good.
        path: A ``.csv``, ``.csv.gz`` or ``.parquet`` file; written aside first, then renamed.
        types: A frame of the same columns in which every kind of value occurs; Parquet takes its types and
            keeps its ``attrs``, where pandas looks for them.
        force: Replace an existing file.
        progress: Called with the number of rows written so far.
        time_formats: How a CSV file writes columns of datetimes, where not by ISO-8601.

    Raises:
        TableError: If the file cannot be written, or exists and ``force`` is not set.

    Privacy:
        Public: adds nothing; the file is as private as the frames.
    """
    n_rows = 0
    with ExitStack() as stack:
        write = _writer(path, stack, types, force, time_formats)
        for block in blocks:
            write(block)
            n_rows += len(block)
            progress(n_rows)
    return n_rows


@dataclass(frozen=True)
class TableFile:
    """A table file that is written in parts, which other processes may make.

    Attributes:
        path: A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
        schema: Its columns; Parquet takes their types and metadata.
        time_formats: How a CSV file writes columns of datetimes, where not by ISO-8601.
        in_spreadsheets: In CSV files, keep texts from being taken for formulas.
    """

    path: Path
    schema: pa.Schema
    time_formats: Mapping[str, TimeFormat]
    in_spreadsheets: bool = False

    @classmethod
    def like(
        cls,
        path: str | Path,
        types: pd.DataFrame,
        time_formats: Mapping[str, TimeFormat],
        *,
        in_spreadsheets: bool = False,
    ) -> TableFile:
        """Return the file for rows of a kind; ``types`` is as for `write_blocks`.

        Raises:
            TableError: If the name ends like no table file's.
        """
        table_format(path)
        return cls(Path(path), _schema_of(types), dict(time_formats), in_spreadsheets)

    @property
    def encoder(self) -> Encoder:
        """What turns columns into what the file takes."""
        if table_format(self.path) == "parquet":
            return ParquetEncoder(self.schema)
        return CsvEncoder(self.schema.names, self.time_formats, self.in_spreadsheets)

    def opened(self, stack: ExitStack, *, force: bool) -> Callable[[Encoded, int], None]:
        """Open it aside for encoded columns and their number of rows; closed, it takes its place."""
        kind = table_format(self.path)
        aside = stack.enter_context(written_aside(self.path, force=force))
        if kind == "parquet":
            return _encoded_parquet_writer(aside, stack, self.schema)
        return _encoded_csv_writer(aside, stack, CsvEncoder(self.schema.names), compress=kind == "csv.gz")


def write_encoded(
    blocks: Iterator[Mapping[str, tuple[Encoded, int]]],
    files: Mapping[str, TableFile],
    *,
    force: bool,
    progress: Progress,
) -> dict[str, int]:
    """Write blocks of tables, each to a file, as they come; return the number of rows of each.

    Args:
        blocks: Of each table its encoded columns and their number of rows; drawn only once the places of the
            files are known to be good.
        files: File of each table. All are written aside, and take their places when all are whole.
        force: Replace existing files.
        progress: Called with the number of rows written so far, of all tables.

    Raises:
        TableError: If a file cannot be written, or exists and ``force`` is not set.

    Privacy:
        Public: adds nothing; the files are as private as the rows.
    """
    n_rows = dict.fromkeys(files, 0)
    with ExitStack() as stack:
        writers = {name: file.opened(stack, force=force) for name, file in files.items()}
        for block in blocks:
            for name, (columns, n) in block.items():
                writers[name](columns, n)
                n_rows[name] += n
            progress(sum(n_rows.values()))
    return n_rows


def _writer(
    path: str | Path,
    stack: ExitStack,
    types: pd.DataFrame,
    force: bool,
    time_formats: Mapping[str, TimeFormat],
) -> Callable[[pd.DataFrame], None]:
    """Open a table file aside; when the stack closes without an error, it takes its place."""
    kind = table_format(path)
    aside = stack.enter_context(written_aside(path, force=force))
    if kind != "parquet":
        return _csv_writer(aside, stack, compress=kind == "csv.gz", time_formats=time_formats)
    return _parquet_writer(aside, stack, _schema_of(types))


def _schema_of(types: pd.DataFrame) -> pa.Schema:
    """Return the columns of a frame in which every kind of value occurs, with its attrs."""
    schema = as_arrow(types).schema
    if types.attrs:
        schema = schema.with_metadata({**schema.metadata, ATTRS_KEY: json.dumps(types.attrs)})
    return schema


def _csv_writer(
    path: Path, stack: ExitStack, *, compress: bool, time_formats: Mapping[str, TimeFormat]
) -> Callable[[pd.DataFrame], None]:
    lines: Any = stack.enter_context(path.open("wb"))
    if compress:  # no name, no time: the same rows give the same bytes
        lines = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=lines, mtime=0))
    is_first = True

    def write(block: pd.DataFrame) -> None:
        nonlocal is_first
        block = block.assign(**{name: written.write(block[name]) for name, written in time_formats.items()})
        block.to_csv(lines, index=False, lineterminator="\n", header=is_first)
        is_first = False

    return write


def _parquet_writer(path: Path, stack: ExitStack, schema: pa.Schema) -> Callable[[pd.DataFrame], None]:
    writer = stack.enter_context(pyarrow.parquet.ParquetWriter(path, schema))

    def write(block: pd.DataFrame) -> None:
        writer.write_table(pa.Table.from_pandas(block, schema=schema, preserve_index=False))

    return write


def _encoded_csv_writer(
    path: Path, stack: ExitStack, encoder: CsvEncoder, *, compress: bool
) -> Callable[[Encoded, int], None]:
    lines: Any = stack.enter_context(path.open("wb"))
    if compress:  # no name, no time: the same rows give the same bytes
        lines = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=lines, mtime=0))
    lines.write(encoder.header())

    def write(columns: Encoded, n_rows: int) -> None:
        lines.write(bytes_of(joined([columns[name] for name in encoder.names if name in columns])))

    return write


def _encoded_parquet_writer(
    path: Path, stack: ExitStack, schema: pa.Schema
) -> Callable[[Encoded, int], None]:
    """Write arrays as a file of this schema, also where texts come as codes: nobody reads them as such."""
    writer: pa.parquet.ParquetWriter | None = None

    def write(columns: Encoded, n_rows: int) -> None:
        nonlocal writer
        rows = pa.table({name: columns[name] for name in schema.names})
        if writer is None:
            repeats = [name for name in schema.names if _repeats(rows.column(name))]
            writer = stack.enter_context(
                pyarrow.parquet.ParquetWriter(path, rows.schema, store_schema=False, use_dictionary=repeats)
            )
            writer.add_key_value_metadata(
                {b"ARROW:schema": base64.b64encode(schema.serialize()), **(schema.metadata or {})}
            )
        writer.write_table(rows)

    return write


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a column has few values, so that Parquet had better list them."""
    if pa.types.is_dictionary(column.type):
        return True
    return pa.compute.count_distinct(column).as_py() <= MOST_LISTED * len(column)
