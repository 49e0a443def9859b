"""Tables in files: open, read and write them; which file is read how a schema or its own first line says."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from privsynth.errors import TableError
from privsynth.io.atomic import written_aside
from privsynth.io.csv_files import CsvFile, NotDecodableError, open_csv, read_csv
from privsynth.io.parquet_files import ParquetTable, is_parquet_folder
from privsynth.schema import Schema
from privsynth.schema.dialect import CsvDialect
from privsynth.schema.number_format import NumberFormat

TableFormat = Literal["csv", "csv.gz", "parquet"]

DECIMAL_COMMA = NumberFormat("", "", thousands=".", decimal=",")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d*(e[+-]?\d+)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Fields:
    """A table of which one column after the other is asked for, so that a tall one fits into memory.

    Attributes:
        names: Column names, each once.
        n_rows: Number of rows.
        column: Returns a column by its name: as `read_table` gives it, except that texts from a file may be
            a categorical of texts.
    """

    names: list[str]
    n_rows: int
    column: Callable[[str], pd.Series]


# -- names ---------------------------------------------------------------------------------------------


def column_names(table: pd.DataFrame | str | Path, schema: Schema) -> list[str]:
    """Return the column names of a table that a schema describes; see `check_names`.

    Privacy:
        Public: reads column names alone.
    """
    if isinstance(table, pd.DataFrame):
        names = list(table.columns)
        check_column_names(names, "the frame")
        return names
    path = _path(table)
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said when the file is read
        if source_format(path) == "parquet":
            return list(open_parquet(path).schema.names)
        return open_csv(path, schema.csv or CsvDialect(), columns=list(schema.columns), ask=True).names


# -- reading -------------------------------------------------------------------------------------------


def read_table(
    table: pd.DataFrame | str | Path, schema: Schema | None = None, *, is_real: bool = True
) -> pd.DataFrame:
    """Read a table from a file; a frame is checked and returned as it is.

    Every field of a CSV file is a text: an empty field is the empty text, and "NA" is a text like any other.
    How the file is written is what the schema's ``csv`` declares and its first line shows
    (`privsynth.io.csv_files.open_csv`); where decimal commas are declared, the texts of integer and real
    columns without a ``format`` of their own get points. Parquet keeps its types, and what a frame's
    ``attrs`` said when it was written; integers with gaps become pandas' ``Int64``.

    Args:
        table: A frame, or the path of a ``.csv``, ``.csv.gz`` or ``.parquet`` file, or of a folder that holds
            ``.parquet`` files.
        schema: Its public description, complete or not; None if there is none.
        is_real: Whether the file is written as the schema declares. Another, such as one of synthetic rows,
            may be plain CSV too, with commas, decimal points and in UTF-8.

    Raises:
        TableError: If there is no such file, it cannot be parsed, its column names are not unique texts, or
            its first line looks like a record and holds no column of the schema.

    Privacy:
        Not private: returns the records themselves. That a file cannot be parsed, and the number of the line,
        is a signal about them, which no guarantee covers.
    """
    if isinstance(table, pd.DataFrame):
        check_column_names(list(table.columns), "the frame")
        return table
    path = _path(table)
    with reading(path):
        if source_format(path) == "parquet":
            return open_parquet(path).frame()
        file, fields = _csv_fields(path, schema, pa.string(), is_real=is_real)
        frame = fields.to_pandas()
        for name in _columns_with_comma(file, schema):
            frame[name] = _with_points(fields.column(name).dictionary_encode()).astype(object)
        return frame


def open_table(
    table: pd.DataFrame | str | Path, only: Collection[str] | None = None, *, schema: Schema | None = None
) -> Fields:
    """Open a table to read it column by column; see `read_table` for what is read, and for errors.

    Args:
        table: As in `read_table`.
        only: Columns that will be asked for; None is all. The others of a CSV file are not kept.
        schema: As in `read_table`.

    Privacy:
        Not private: gives the records themselves.
    """
    if isinstance(table, pd.DataFrame):
        check_column_names(list(table.columns), "the frame")
        return Fields(list(table.columns), len(table), table.__getitem__)
    path = _path(table)
    with reading(path):
        if source_format(path) == "parquet":
            return _open_parquet(path)
        file, fields = _csv_fields(path, schema, pa.dictionary(pa.int32(), pa.string()), only=only)
    with_comma = _columns_with_comma(file, schema)

    def column(name: str) -> pd.Series:
        values = fields.column(name)
        series = _with_points(values) if name in with_comma else values.to_pandas()
        return series.rename(name)

    return Fields(file.names, fields.num_rows, column)


def _path(table: object) -> Path:
    if not isinstance(table, str | Path):
        raise TableError(f"expected a pandas DataFrame or a path, got {type(table).__name__}")
    return Path(table)


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong while a table file is read into a `TableError` that quotes no record."""
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"there is no file {str(path)!r}") from None
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException) as error:
        reason = "it is damaged or of another format than its name says"  # their own words may quote records
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise TableError(f"{str(path)!r} cannot be read: {reason}") from None


def table_format(path: str | Path) -> TableFormat:
    """Return the format that a file's name announces.

    Raises:
        TableError: If the name ends otherwise.
    """
    name = Path(path).name.lower()
    formats: tuple[TableFormat, ...] = ("csv", "csv.gz", "parquet")
    for known in formats:
        if name.endswith(f".{known}"):
            return known
    raise TableError(f"expected a file name ending in .csv, .csv.gz or .parquet, got {str(path)!r}")


def source_format(path: Path) -> TableFormat:
    """Return the format of a table that is to be read: also a folder may hold one, whatever its name."""
    return "parquet" if is_parquet_folder(path) else table_format(path)


def check_column_names(names: list[str], where: str) -> None:
    """Raise a `TableError` unless all column names are texts and none stands twice."""
    for name in names:
        if not isinstance(name, str):
            raise TableError(
                f"expected column names that are texts in {where}, got {name!r}; rename the column"
            )
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise TableError(f"column {twice[0]!r} stands twice in {where}; rename or drop one")


def _csv_fields(
    path: Path,
    schema: Schema | None,
    text: pa.DataType,
    *,
    only: Collection[str] | None = None,
    is_real: bool = True,
) -> tuple[CsvFile, pa.Table]:
    """Open and read a CSV file; one that is not real is read as plain CSV first."""
    declared = (schema.csv if schema is not None else None) or CsvDialect()
    columns = list(schema.columns) if schema is not None else []
    dialects = [declared]
    if not is_real and declared.delimiter in (None, ","):  # where commas are declared, both look alike
        dialects = [replace(declared, decimal=None, encoding=None), replace(declared, decimal=None)]
    for i, dialect in enumerate(dialects):
        try:
            file = open_csv(path, dialect, columns=columns, ask=schema is not None)
            return file, read_csv(file, text, only=only)
        except NotDecodableError:
            if i + 1 == len(dialects):
                raise
    raise AssertionError("one of the dialects has been tried")


def _columns_with_comma(file: CsvFile, schema: Schema | None) -> set[str]:
    """Return the columns whose numbers have decimal commas, as declared."""
    if schema is None or file.decimal != ",":
        return set()
    columns = [schema.columns[name] for name in file.names if name in schema.columns]
    return {c.name for c in columns if c.type in ("integer", "real") and c.format is None}


def _with_points(values: pa.ChunkedArray) -> pd.Series:
    """Return numbers with decimal commas as texts that have points instead, each held once."""
    column: pd.Series = values.to_pandas()
    texts = [_with_point(text) for text in column.cat.categories]
    code_of = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    codes = np.array([*(code_of[text] for text in texts), -1])[column.cat.codes]
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index([*code_of], dtype=object)))


def _with_point(text: str) -> str:
    plain = DECIMAL_COMMA.plain_text(text)
    is_foreign = plain == text and "." in text and _WITH_POINT.fullmatch(text)
    return text.replace(".", ",") if is_foreign else plain  # 1.5 is no number there, and is not read as one


def open_parquet(path: Path) -> ParquetTable:
    """Open a Parquet file or folder; raises a `TableError` if its column names are not unique texts.

    Privacy:
        Public: reads how columns are stored, no record.
    """
    table = ParquetTable(path)
    check_column_names(table.schema.names, repr(str(path)))
    return table


def _open_parquet(path: Path) -> Fields:
    table = open_parquet(path)

    def column(name: str) -> pd.Series:
        with reading(path):
            return table.column(name)

    return Fields(table.schema.names, table.n_rows, column)


# -- writing -------------------------------------------------------------------------------------------


def write_table(frame: pd.DataFrame, path: str | Path, *, force: bool = False) -> None:
    """Write a table as CSV, gzipped CSV or Parquet, by the file's name; the same table gives the same bytes.

    Args:
        frame: The table; its index is left out.
        path: Where to; written aside first, then renamed.
        force: Replace an existing file.

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
            with aside.open("wb") as file:
                _write_csv(frame, file, compress=kind == "csv.gz")


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


def _write_csv(frame: pd.DataFrame, file: IO[bytes], *, compress: bool) -> None:
    if not compress:
        frame.to_csv(file, index=False, lineterminator="\n")
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:  # no name, no time
        frame.to_csv(packed, index=False, lineterminator="\n")
