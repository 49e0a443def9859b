"""CSV files: every field is a text, and an empty one the empty text."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from io import TextIOWrapper
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from privsynth.errors import TableError
from privsynth.io.csv_header import (
    DECLARE_ENCODING,
    CsvFile,
    NotDecodableError,
    bytes_of,
    check_closed,
    counted,
    is_gzipped,
    open_csv,
)
from privsynth.io.files import Files, kind_of_files
from privsynth.io.source import ReadOptions, Source, reading
from privsynth.schema.dialect import PLAIN_ENCODING, CsvDialect, delimiter_name
from privsynth.schema.number_format import NumberFormat

BLOCK_BYTES = 2**24
DECIMAL_COMMA = NumberFormat("", "", thousands=".", decimal=",")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d*(e[+-]?\d+)?\s*", re.IGNORECASE)


class CsvSource(Source):
    """CSV files as one table, written as is declared or as their first lines show.

    Where decimal commas are declared, the texts of numbers get points.

    Raises:
        TableError: If a file cannot be read, its first line looks like a record and holds no known column,
            or not all files have the same columns.
    """

    def __init__(self, files: Files, options: ReadOptions) -> None:
        self._what, self._options, self._files = files.text, options, files
        self.can_be_read_again = False  # at little cost
        for dialect in [] if options.is_real else _as_plain_csv(options.dialect):
            with suppress(NotDecodableError):
                self._open(files, dialect)
                self._fields  # noqa: B018  another encoding shows in the records
                return
        self._open(files, options.dialect)

    def _open(self, files: Files, dialect: CsvDialect) -> None:
        with reading(self._what):
            self._parts = [self._opened(files, 0, dialect)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is said of the first is enough
                self._parts += [self._opened(files, i, dialect) for i in range(1, len(files.paths))]
        self.names, self.dialect = self._parts[0].names, self._parts[0].dialect
        if any({*part.names} != {*self.names} for part in self._parts):  # names that may be a record's fields
            raise TableError(f"the files {files.text!r} do not have the same columns; write them alike")

    def _opened(self, files: Files, i: int, dialect: CsvDialect) -> CsvFile:
        options, is_alone = self._options, len(files.paths) == 1 and str(files.paths[0]) == files.text
        shown = None if is_alone else f"file {i + 1} of {files.text!r}"
        return open_csv(files.paths[i], dialect, columns=options.columns, ask=options.ask, shown=shown)

    @cached_property
    def _fields(self) -> pa.Table:
        text = pa.dictionary(pa.int32(), pa.string())
        kept = [name for name in self.names if self._options.keeps(name)]
        with reading(self._what):
            tables = [read_csv(part, text, only=kept) for part in self._parts]
        return pa.concat_tables([table.select(tables[0].column_names) for table in tables])

    @property
    def n_rows(self) -> int:
        return int(self._fields.num_rows)

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[dict[str, pd.Series]]:
        text = pa.dictionary(pa.int32(), pa.string())
        with reading(self._what):
            for part in self._parts:
                for batch in read_csv_in_parts(part, text, only=names):
                    for start in range(0, batch.num_rows, n_rows):
                        rows = pa.Table.from_batches([batch.slice(start, n_rows)])
                        yield {name: self._series(name, rows.column(name)) for name in names}

    def version(self) -> Hashable:
        with reading(self._what):
            return self._files.version(CSV_FILES.suffixes)

    def column(self, name: str) -> pd.Series:
        return self._series(name, self._fields.column(name))

    def _series(self, name: str, values: pa.ChunkedArray) -> pd.Series:
        is_number = self._parts[0].decimal == "," and name in self._options.numbers
        series: pd.Series = _with_points(values) if is_number else values.to_pandas()
        return series.rename(name)


CSV_FILES = kind_of_files("CSV files (.csv or .csv.gz)", CsvSource, ".csv", ".csv.gz")


def _as_plain_csv(declared: CsvDialect) -> list[CsvDialect]:
    """Return how a table may be written that is not written as declared; first in UTF-8."""
    if declared.delimiter not in (None, ","):
        return []
    plain = replace(declared, decimal=None)  # where commas are declared, both look alike
    return [replace(plain, encoding=None), plain]


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


# -- the records ---------------------------------------------------------------------------------------


def read_csv(file: CsvFile, text: pa.DataType, *, only: Collection[str] | None = None) -> pa.Table:
    """Return the fields of a CSV file, each as this type of text: an empty field is the empty text.

    Args:
        file: As `open_csv` gives it.
        text: Texts, or a dictionary of texts.
        only: Columns to keep; None is all.

    Raises:
        TableError: If a line has more or fewer fields than there are names, a quote is never closed, or a
            field cannot be decoded; names the line.
        OSError, EOFError, zlib.error: If the file cannot be read.

    Privacy:
        Not private: returns the records. That it stops, and the number of the line, tell something about
        them, which no guarantee covers, whatever ``on_violation`` is.
    """
    kept = [name for name in file.names if only is None or name in only] or file.names
    table, is_undecodable = None, False
    try:
        with _parsing(file, text, kept) as options:
            table = pyarrow.csv.read_csv(**options)
    except (UnicodeError, pa.ArrowInvalid) as error:
        is_undecodable = _is_of_encoding(error)
    if table is None:
        _explain(file, is_undecodable=is_undecodable)
        return pa.table({name: pa.array([], text) for name in kept})
    if _may_end_open(file, table):
        _refuse_ragged(file)
    return table


def read_csv_in_parts(
    file: CsvFile, text: pa.DataType, *, only: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield what `read_csv` returns in parts; what it refuses is refused here, maybe after some rows.

    Privacy:
        Not private: returns the records.
    """
    kept = [name for name in file.names if only is None or name in only] or file.names
    last: pa.RecordBatch | None = None
    is_undecodable: bool | None = None
    try:
        with _parsing(file, text, kept) as options:
            for batch in pyarrow.csv.open_csv(**options):
                if batch.num_rows:
                    if last is not None:
                        yield last
                    last = batch
    except (UnicodeError, pa.ArrowInvalid) as error:
        is_undecodable = _is_of_encoding(error)
    if is_undecodable is not None:
        _explain(file, is_undecodable=is_undecodable)
    if last is not None:
        if _may_end_open(file, pa.Table.from_batches([last])):
            _refuse_ragged(file)
        yield last


def _is_of_encoding(error: Exception) -> bool:
    return isinstance(error, UnicodeError) or "UTF8" in str(error)


def _explain(file: CsvFile, *, is_undecodable: bool) -> None:
    """Raise a `TableError` that says why a file cannot be parsed; nothing if it has no records."""
    if is_undecodable:
        raise NotDecodableError(_undecodable(file))
    if not _has_records(file):
        return
    _refuse_ragged(file)
    raise TableError(f"{file.shown} cannot be read: it is damaged or no CSV file")


@contextmanager
def _parsing(file: CsvFile, text: pa.DataType, kept: list[str]) -> Iterator[dict[str, Any]]:
    """Give the arguments by which a CSV file is parsed."""
    compression = "gzip" if is_gzipped(file.path) else None
    with pa.input_stream(str(file.path), compression=compression) as stream:
        decoded = stream
        if file.encoding != PLAIN_ENCODING:
            decoded = pa.transcoding_input_stream(stream, file.encoding, PLAIN_ENCODING)
        yield {
            "input_file": decoded,
            "read_options": pyarrow.csv.ReadOptions(
                block_size=BLOCK_BYTES, skip_rows=file.n_lines_before, column_names=file.names
            ),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=file.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(file.names) > 1,  # in a single column an empty line is a field
            ),
            "convert_options": pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(file.names, text), include_columns=kept
            ),
        }


def _has_records(file: CsvFile) -> bool:
    with _texts(file) as lines:
        return any(line.strip("\r\n") for line in lines)


def _may_end_open(file: CsvFile, table: pa.Table) -> bool:
    """Whether a quote may be open at the end of the file: its last field holds the rest of the file then."""
    last = file.names[-1]
    if table.num_rows == 0:
        return False
    if last in table.column_names:
        return not {"\r", "\n"}.isdisjoint(table.column(last)[table.num_rows - 1].as_py())
    with bytes_of(file.path) as content:
        blocks = iter(lambda: content.read(BLOCK_BYTES), b"")
        return sum(block.count(b'"') for block in blocks) % 2 == 1


def _refuse_ragged(file: CsvFile) -> None:
    """Raise a `TableError` that names the first line with another number of fields, or an open quote."""
    n_names = len(file.names)
    with _texts(file) as lines:
        held: list[str] = []  # the lines of one record

        def holding() -> Iterator[str]:
            for line in lines:
                held.append(line)
                yield line

        records = csv.reader(holding(), delimiter=file.delimiter)
        while True:
            held.clear()
            number = file.n_lines_before + records.line_num + 1
            try:
                fields = next(records)
                if any("\n" in field or "\r" in field for field in fields):
                    check_closed(held, file.delimiter)
            except StopIteration:
                return
            except csv.Error:
                raise TableError(
                    f"{file.shown} cannot be read: line {number} opens a quote that is never closed"
                ) from None
            if len(fields) not in ((0, n_names) if n_names > 1 else (0, 1)):
                raise TableError(
                    f"{file.shown} cannot be read: line {number} has "
                    f"{counted(len(fields), 'field')} at {delimiter_name(file.delimiter)}, where there are "
                    f"{counted(n_names, 'name')}; mend it, or put fields that hold a delimiter into quotes"
                )


def _undecodable(file: CsvFile) -> str:
    """Say which line of a file is in another encoding."""
    number = 1
    where = "a field"
    if not file.encoding.lower().startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        with bytes_of(file.path) as lines:
            for line in lines:
                try:
                    line.decode(file.encoding)
                except UnicodeError:
                    where = f"line {number}"
                    break
                number += len(line.splitlines())
    return f"{file.shown} cannot be read: {where} is not in {file.encoding.upper()}; {DECLARE_ENCODING}"


@contextmanager
def _texts(file: CsvFile) -> Iterator[Iterator[str]]:
    """Give the lines of a file from its first record on; what cannot be decoded is replaced."""
    encoding = "utf-8-sig" if file.encoding == PLAIN_ENCODING else file.encoding
    with bytes_of(file.path) as content, TextIOWrapper(content, encoding, "replace", newline="") as lines:
        for _ in range(file.n_lines_before):
            next(lines)
        yield lines
