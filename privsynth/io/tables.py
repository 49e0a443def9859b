"""Tables of every kind: open and read them, and write them to files. What kinds there are stands here."""

from __future__ import annotations

import gzip
from collections.abc import Collection
from pathlib import Path
from typing import IO, Literal, TypeGuard

import pandas as pd
import pyarrow.parquet

from privsynth.errors import TableError
from privsynth.io import files
from privsynth.io.arrow import ARROW_STREAMS, as_arrow
from privsynth.io.atomic import written_aside
from privsynth.io.csv_files import CSV_FILES
from privsynth.io.datasets import DATASETS
from privsynth.io.engines import ENGINES
from privsynth.io.frames import FRAMES
from privsynth.io.parquet_files import PARQUET_FILES
from privsynth.io.source import Kind, ReadOptions, Source, Table
from privsynth.io.spreadsheets import spreadsheet_safe
from privsynth.schema import Schema

KINDS: tuple[Kind, ...] = (  # the first that takes what is given opens it
    FRAMES,
    DATASETS,
    ENGINES,  # a table of Ibis hands its rows over, too, and they are to stay where they are
    ARROW_STREAMS,
    CSV_FILES,
    PARQUET_FILES,
)

TableFormat = Literal["csv", "csv.gz", "parquet"]


# -- reading -------------------------------------------------------------------------------------------


def open_table(
    table: Table,
    only: Collection[str] | None = None,
    *,
    schema: Schema | None = None,
    is_real: bool = True,
) -> Source:
    """Open a table by its type: its names and how it is stored are read, and no record.

    Every field of a CSV file is a text: an empty field is the empty text, and "NA" is a text like any other.
    How the file is written is what the schema's ``csv`` declares and its first line shows
    (`privsynth.io.csv_header.open_csv`); where decimal commas are declared, the texts of integer and real
    columns without a ``format`` of their own get points. Parquet and Arrow keep their types, and what a
    frame's ``attrs`` said when it was written; integers with gaps become pandas' ``Int64``.

    Args:
        table: A frame of pandas; a dataset of pyarrow; a table of Arrow, Polars or another library that hands
            it over by the Arrow PyCapsule interface; the path of a ``.csv``, ``.csv.gz`` or ``.parquet``
            file, or of a folder of ``.parquet`` files; a pattern of paths, or a list of them, whose files are
            one table; or a `Source`, which is returned.
        only: Columns that will be asked for; None is all. The others of a CSV file or a stream are not kept.
        schema: Its public description, complete or not; None if there is none.
        is_real: Whether the table is written as the schema declares. Another, such as one of synthetic rows,
            may be plain CSV too, with commas, decimal points and in UTF-8.

    Raises:
        TableError: If there is no such file or no such kind of source, names or types cannot be read, column
            names are not unique texts, or the first line of a CSV file looks like a record and holds no
            column of the schema. A `Source` raises it if its records cannot be read.

    Privacy:
        Public: reads column names, how columns are stored, and names of files. What is then asked of the
        `Source` is not private: that it cannot be read, and the number of the line, is a signal about the
        records, which no guarantee covers. An object that computes its rows when it hands over a stream, such
        as a query, computes them here.
    """
    return open_as(table, ReadOptions.of(schema, only=only, is_real=is_real))


def open_as(table: Table, options: ReadOptions) -> Source:
    """Open a table as is declared; see `open_table`."""
    if isinstance(table, Source):
        return table
    given = files.find_files(table, KINDS) if files.are_paths(table) else table
    for kind in KINDS:
        if kind.takes(given):
            return kind.open(given, options)
    raise TableError(_unknown_source(given))


def read_table(table: Table, schema: Schema | None = None, *, is_real: bool = True) -> pd.DataFrame:
    """Read a whole table; a frame is checked and returned as it is. See `open_table` for what is read.

    Privacy:
        Not private: returns the records themselves.
    """
    return open_table(table, schema=schema, is_real=is_real).frame()


def is_unread_table(given: object) -> TypeGuard[Table]:
    """Whether something is one table that is no frame, where other things than tables are taken, too."""
    if isinstance(given, str | Source) or files.are_paths(given):
        return True
    return not FRAMES.takes(given) and any(kind.takes(given) for kind in KINDS)


def table_name(table: object) -> str | None:
    """Return the name that a table has by its file, None without one; see `privsynth.io.files.table_name`."""
    return files.table_name(table, KINDS)


def _unknown_source(given: object) -> str:
    """Say that no kind of source takes what is given, and which there are."""
    if isinstance(given, files.Files):
        suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
        end = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        if len(given.paths) > 1:
            return f"expected files of one kind, that all end in {end}, got {given.text!r}"
        if Path(given.text).is_dir():
            return (
                f"expected a folder of Parquet files or a file name ending in {end}; {given.text!r} has none"
            )
        return f"expected a file name ending in {end}, got {given.text!r}"
    got = type(given).__name__
    if files.is_url(given):
        got = f"a {given.partition(':')[0]}:// address"  # the rest may hold a password
    known = "; ".join(kind.what for kind in KINDS)
    return f"expected a table: {known}; a pattern or a list of such files; got {got}"


# -- writing -------------------------------------------------------------------------------------------


def table_format(path: str | Path) -> TableFormat:
    """Return the format in which a file of this name is written.

    Raises:
        TableError: If the name ends otherwise.
    """
    name = Path(path).name.lower()
    formats: tuple[TableFormat, ...] = ("csv", "csv.gz", "parquet")
    for known in formats:
        if name.endswith(f".{known}"):
            return known
    raise TableError(f"expected a file name ending in .csv, .csv.gz or .parquet, got {str(path)!r}")


def write_table(
    frame: pd.DataFrame, path: str | Path, *, force: bool = False, in_spreadsheets: bool = False
) -> None:
    """Write a table as CSV, gzipped CSV or Parquet, by the file's name; the same table gives the same bytes.

    Args:
        frame: The table; its index is left out.
        path: Where to; written aside first, then renamed.
        force: Replace an existing file.
        in_spreadsheets: In CSV files, keep texts from being taken for formulas (`spreadsheet_safe`).

    Raises:
        TableError: If the name announces no known format, the file exists and ``force`` is false, or the
            table cannot be written.

    Privacy:
        Public: adds nothing; the file is as private as the frame.
    """
    kind = table_format(path)
    with written_aside(path, force=force) as aside:
        if kind == "parquet":
            pyarrow.parquet.write_table(as_arrow(frame), aside)
        else:
            frame = spreadsheet_safe(frame) if in_spreadsheets else frame
            with aside.open("wb") as file:
                _write_csv(frame, file, compress=kind == "csv.gz")


def _write_csv(frame: pd.DataFrame, file: IO[bytes], *, compress: bool) -> None:
    if not compress:
        frame.to_csv(file, index=False, lineterminator="\n")
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:  # no name, no time
        frame.to_csv(packed, index=False, lineterminator="\n")
