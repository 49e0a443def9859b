"""Where records come from: read a table, hold it against its schema, write a table."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from privsynth.conforming import conform_column, read_persons
from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.schema import Schema
from privsynth.writing import written_aside

CSV_BLOCK_BYTES = 2**24
ATTRS_KEY = b"PANDAS_ATTRS"  # where pandas keeps a frame's attrs in a Parquet file
OnViolation = Literal["error", "clip"]
TableFormat = Literal["csv", "csv.gz", "parquet"]


@dataclass(frozen=True)
class Records:
    """Records in canonical form.

    Attributes:
        frame: Exactly the schema's modelled columns, in its order. Integers, reals: float64, NaN for missing.
            Datetimes: float64 whole steps of the resolution since 1970 (UTC). Categorical and boolean:
            categoricals over the declared values, code -1 for missing; where categories are
            ``"private"``, over the sorted texts of the observed ones.
        persons: Number of each row's person, 0 to n_persons - 1, ``(n_rows,)`` int64; None without a
            person column.
        images: Each row's image, ``(n_rows, height, width, channels)``; None for a table.
    """

    frame: pd.DataFrame
    persons: npt.NDArray[np.int64] | None
    images: npt.NDArray[np.uint8] | None = None


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


# -- reading -------------------------------------------------------------------------------------------


def read_table(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Read a table from a file; a frame is checked and returned as it is.

    CSV is read as UTF-8 with every field as text: an empty field is the empty text, and "NA" is a text
    like any other. Parquet keeps its types, and what a frame's ``attrs`` said when it was written; integers
    with gaps become pandas' ``Int64``.

    Args:
        table: A frame, or the path of a ``.csv``, ``.csv.gz`` or ``.parquet`` file.

    Raises:
        TableError: If there is no such file, it cannot be parsed, or its column names are not unique texts.

    Privacy:
        Not private: returns the records themselves.
    """
    if isinstance(table, pd.DataFrame):
        check_column_names(list(table.columns), "the frame")
        return table
    path = _path(table)
    with reading(path):
        if table_format(path) == "parquet":
            return _read_parquet(path)
        return _parse_csv(path, pa.string(), only=None).to_pandas()


def open_table(table: pd.DataFrame | str | Path, only: Collection[str] | None = None) -> Fields:
    """Open a table to read it column by column; see `read_table` for what is read, and for errors.

    Args:
        table: A frame, or the path of a ``.csv``, ``.csv.gz`` or ``.parquet`` file.
        only: Columns that will be asked for; None is all. The others of a CSV file are not kept.

    Privacy:
        Not private: gives the records themselves.
    """
    if isinstance(table, pd.DataFrame):
        check_column_names(list(table.columns), "the frame")
        return Fields(list(table.columns), len(table), table.__getitem__)
    path = _path(table)
    with reading(path):
        if table_format(path) == "parquet":
            return _open_parquet(path)
        names = csv_header(path)
        fields = _parse_csv(path, pa.dictionary(pa.int32(), pa.string()), only=only)
    return Fields(names, fields.num_rows, lambda name: fields.column(name).to_pandas().rename(name))


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
    except UnicodeDecodeError:
        raise TableError(f"{str(path)!r} is not in UTF-8; convert it") from None
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException) as error:
        raise TableError(f"{str(path)!r} cannot be read: {_reason(error)}") from None


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


def csv_header(path: str | Path) -> list[str]:
    """Return the column names of a CSV file, reading its first line only.

    Raises:
        TableError: If there is no first line, or a name stands twice.

    Privacy:
        Public: column names are.
    """
    path = Path(path)
    opener = gzip.open if table_format(path) == "csv.gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines), [])
    if not header:
        raise TableError(f"{str(path)!r} is empty; expected a line of column names")
    check_column_names(header, repr(str(path)))
    return header


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


def _parse_csv(path: Path, text: pa.DataType, *, only: Collection[str] | None) -> pa.Table:
    """Return the fields of a CSV file, each as this type of text."""
    header = csv_header(path)
    compression = "gzip" if table_format(path) == "csv.gz" else None
    kept = [name for name in header if only is None or name in only]
    with pa.input_stream(str(path), compression=compression) as stream:
        return pyarrow.csv.read_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=len(header) > 1,  # in a single column an empty line is a missing field
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, text), include_columns=kept or header
            ),
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    fields = pyarrow.parquet.read_table(path)
    check_column_names(fields.column_names, repr(str(path)))
    frame = _as_frame(fields)
    frame.attrs |= _attrs(fields.schema.metadata or {})
    return frame


def _open_parquet(path: Path) -> Fields:
    schema = pyarrow.parquet.ParquetDataset(path).schema
    check_column_names(schema.names, repr(str(path)))
    is_text = (pa.types.is_string, pa.types.is_large_string)
    texts = [field.name for field in schema if any(is_kind(field.type) for is_kind in is_text)]
    file = pyarrow.parquet.ParquetDataset(path, read_dictionary=texts)

    def column(name: str) -> pd.Series:
        with reading(path):
            return _as_frame(file.read(columns=[name]))[name]

    return Fields(schema.names, sum(part.count_rows() for part in file.fragments), column)


def _as_frame(fields: pa.Table) -> pd.DataFrame:
    frame = fields.to_pandas(ignore_metadata=True)  # whoever wrote it: indices are columns like any other
    for name, column in zip(fields.column_names, fields.columns, strict=True):
        if pa.types.is_integer(column.type) and column.null_count > 0:
            exact = pd.UInt64Dtype() if pa.types.is_unsigned_integer(column.type) else pd.Int64Dtype()
            frame[name] = exact.__from_arrow__(column)
    return frame


def _attrs(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return what a Parquet file keeps beside its rows; nothing if it is not what pandas writes."""
    try:
        found = json.loads(metadata.get(ATTRS_KEY, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    """Say why a file cannot be read; a parser's own words may quote records, so they are not passed on."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = str(error)
    if "UTF8" in words:
        return "a field is not in UTF-8; convert it"
    if "Expected" in words and "columns" in words:
        return "a line has more or fewer fields than the first line has names"
    return "it is damaged or of another format than its name says"


# -- conforming ----------------------------------------------------------------------------------------


def conform(
    table: pd.DataFrame | Fields, schema: Schema, *, on_violation: OnViolation = "error", name: str = "table"
) -> Records:
    """Hold a table against its schema and return its records in canonical form.

    Only empty fields (NaN, None, blanks) and the declared ``missing_values`` are missing. Values match
    categories by their text. Reals are rounded to their ``decimals``, times down to their ``resolution``.
    Columns that the schema does not name are ignored.

    Args:
        table: The records, one a row, as `read_table` or, for one column at a time, `open_table` gives them.
        schema: What is public about them; complete.
        on_violation: What to do with values that break the schema. ``"error"`` raises. ``"clip"`` moves
            numbers into the public bounds and onto whole numbers, turns unknown values into a category
            "other" if the schema lists one and into missing otherwise, and what cannot be read into
            missing. A field that is missing against the schema stays so.
        name: Which table messages speak of, such as "holdout"; "table" for the only one.

    Raises:
        SchemaError: If the schema lacks a fact, the table lacks a column, or, with
            ``on_violation="error"``, a value breaks the schema; names columns and rules, never values.
        TableError: If column names are not unique texts, a column holds objects, or, with
            ``on_violation="error"``, there are no rows.

    Privacy:
        Not private: returns the records. With ``"error"``, that the call stops is itself a signal about
        them, which no guarantee covers; with ``"clip"`` values never stop it.
    """
    if on_violation not in ("error", "clip"):
        raise ParameterError(f"expected on_violation to be 'error' or 'clip', got {on_violation!r}")
    schema.require_complete()
    subject = "the table" if name == "table" else f"the {name} table"
    if isinstance(table, pd.DataFrame):
        check_column_names(list(table.columns), subject)
        table = open_table(table)
    if not isinstance(table, Fields):
        raise TableError(f"expected {subject} as a pandas DataFrame, got {type(table).__name__}")
    _check_has_columns(table.names, schema, subject)
    if table.n_rows == 0 and on_violation == "error":
        raise TableError(f"{subject} has no rows")

    columns, broken = {}, []
    for column in schema.modelled:
        columns[column.name], rules = conform_column(table.column(column.name), column)
        broken += [f"column {column.name!r}: {rule}" for rule in rules]
    persons = None
    if schema.person_id is not None:
        persons, rules = read_persons(table.column(schema.person_id))
        broken += [f"column {schema.person_id!r}: {rule}" for rule in rules]
    if broken and on_violation == "error":
        raise SchemaError(
            f"{subject} breaks its schema: {'; '.join(broken)}. Mend the table or the schema, or clip what "
            'breaks it with --on-violation clip (on_violation="clip")',
            next="`privsynth check TABLE --schema S` shows you which fields they are",
        )
    return Records(pd.DataFrame(columns, copy=False), persons)


def needed_columns(schema: Schema) -> list[str]:
    """Return the columns that a table must have: what is modelled, and who a row is about; public."""
    person = [] if schema.person_id is None else [schema.person_id]
    return [*(column.name for column in schema.modelled), *person]


def _check_has_columns(names: list[str], schema: Schema, subject: str) -> None:
    lacking = [repr(column) for column in needed_columns(schema) if column not in names]
    if lacking:
        raise SchemaError(
            f"{subject} has no column {', '.join(lacking)}, which the schema describes; add "
            f"{'it' if len(lacking) == 1 else 'them'} to the table, or remove the description"
        )


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
    except pa.ArrowException:
        pass
    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
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
