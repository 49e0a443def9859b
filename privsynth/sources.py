"""Where records come from: read a table, hold it against its schema, write a table."""

from __future__ import annotations

import csv
import gzip
import re
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from privsynth.conforming import conform_column, read_persons
from privsynth.csv_files import CsvFile, NotDecodableError, open_csv, read_csv
from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.parquet_files import ParquetTable, is_parquet_folder
from privsynth.schema import Schema
from privsynth.schema.dialect import CsvDialect
from privsynth.schema.number_format import NumberFormat
from privsynth.writing import written_aside

OnViolation = Literal["error", "clip"]
TableFormat = Literal["csv", "csv.gz", "parquet"]

DECIMAL_COMMA = NumberFormat("", "", thousands=".", decimal=",")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d*(e[+-]?\d+)?\s*", re.IGNORECASE)
NEARNESS = 0.8  # of two column names, one of which may be meant by the other


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


# -- names ---------------------------------------------------------------------------------------------


def check_names(table: pd.DataFrame | str | Path, schema: Schema) -> None:
    """Check that a table is there and has the columns that its schema describes; reads no record.

    Raises:
        TableError: If there is no such file, or its column names cannot be read or stand twice.
        SchemaError: If a column is missing.

    Privacy:
        Public: reads column names alone, of a CSV file its first line.
    """
    check_has_columns(column_names(table, schema), schema, "the table")


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
    (`privsynth.csv_files.open_csv`); where decimal commas are declared, the texts of integer and real columns
    without a ``format`` of their own get points. Parquet keeps its types, and what a frame's ``attrs`` said
    when it was written; integers with gaps become pandas' ``Int64``.

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
    check_has_columns(table.names, schema, subject)
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


def check_has_columns(names: list[str], schema: Schema, subject: str) -> None:
    """Raise a `SchemaError` unless all columns are there that a schema describes."""
    lacking = [column for column in needed_columns(schema) if column not in names]
    if lacking:
        raise SchemaError(
            f"{subject} has no column {', '.join(map(repr, lacking))}, which the schema describes; add "
            f"{'it' if len(lacking) == 1 else 'them'} to the table, or remove the description"
            + near_names(lacking, [name for name in names if name not in schema.columns])
        )


def near_names(lacking: Collection[str], names: Collection[str]) -> str:
    """Say, to end a message with, which of a table's columns may be meant by those that it lacks; public.

    Example:
        >>> near_names(["age"], ["sex", "Age "])
        ". The table has 'Age ': if 'age' is meant, rename it in one of the two"
    """
    bare = {name: re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold()) for name in names}
    near: dict[str, str] = {}
    for wanted in lacking:
        key = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", wanted).casefold())
        close = get_close_matches(key, bare.values(), n=1, cutoff=NEARNESS) if key else []
        near |= {name: wanted for name, other in bare.items() if close and other == close[0]}
    if not near:
        return ""
    meant = [
        f"{name!r}: if {wanted!r} is meant" + " (in another Unicode form)" * _looks_alike(name, wanted)
        for name, wanted in near.items()
    ]
    them = "it" if len(near) == 1 else "them"
    return f". The table has {', and '.join(meant)}, rename {them} in one of the two"


def _looks_alike(name: str, other: str) -> bool:
    return unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)


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
