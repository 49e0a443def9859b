"""Blocks of synthetic rows: cut into batches of any size, or written to a file as they come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from privsynth.io.arrow import ATTRS_KEY, as_arrow
from privsynth.io.atomic import written_aside
from privsynth.io.tables import table_format
from privsynth.schema.times import TimeFormat

Progress = Callable[[int], None]


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


def write_tables(
    blocks: Iterator[Mapping[str, pd.DataFrame]],
    paths: Mapping[str, Path],
    *,
    types: Mapping[str, pd.DataFrame],
    force: bool,
    progress: Progress,
    time_formats: Mapping[str, Mapping[str, TimeFormat]],
) -> dict[str, int]:
    """Write blocks of several tables, each to a file, as they come; return the number of rows of each.

    Args:
        blocks: Frames by table, at least once; as for `write_blocks`.
        paths: File of each table. All are written aside, and take their places when all are whole.
        types: Of each table, as for `write_blocks`.
        force: Replace existing files.
        progress: Called with the number of rows written so far, of all tables.
        time_formats: Of each table, as for `write_blocks`.

    Raises:
        TableError: If a file cannot be written, or exists and ``force`` is not set.

    Privacy:
        Public: adds nothing; the files are as private as the frames.
    """
    n_rows = dict.fromkeys(paths, 0)
    with ExitStack() as stack:
        writers = {
            name: _writer(path, stack, types[name], force, time_formats[name]) for name, path in paths.items()
        }
        for block in blocks:
            for name, rows in block.items():
                writers[name](rows)
                n_rows[name] += len(rows)
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
    schema = as_arrow(types).schema
    if types.attrs:
        schema = schema.with_metadata({**schema.metadata, ATTRS_KEY: json.dumps(types.attrs)})
    return _parquet_writer(aside, stack, schema)


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
