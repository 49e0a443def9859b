"""The first line of a CSV file: how the file is written, and the names of its columns."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from privsynth.errors import TableError
from privsynth.schema.dialect import PLAIN_ENCODING, CsvDialect, delimiter_name, is_utf8

DELIMITERS = (",", ";", "\t", "|")
MAX_HEADER_CHARACTERS = 2**21  # where a quote is never closed, the first line ends with the file
MIN_NUMBERED = 4  # so many names that count from 0 or 1 are names
_MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: PLAIN_ENCODING,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_EXCEL_LINE = re.compile(r"sep=([^\w\s]|\t)\s*")  # Excel has it above the line of names
_VALUE = re.compile(
    r"[^\w\s]*\s*\d[\d.,'\u2019\s]*(e[+-]?\d+)?\s*[^\w\s]*"  # a number, with signs around it
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([t ].*)?|\d{1,2}:\d{2}(:\d{2}.*)?"  # a date or a time
    r"|nan|true|false|[?.-]+",
    re.IGNORECASE,
)
_UNNAMED = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")

DECLARE_ENCODING = (
    "declare its encoding, `privsynth schema TABLE --encoding cp1252`, or in the schema "
    '"csv": {"encoding": "cp1252"} (cp1252 is that of Windows in Western Europe), or convert it to UTF-8'
)
_NAME_THEM = (
    "name its columns, `privsynth schema TABLE --names A,B,C`, or in a schema that lists all of them in "
    'their order "csv": {"header": false}'
)


class NotDecodableError(TableError):
    """A file is in another encoding than expected."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file of which the first line has been read.

    Attributes:
        path: Where it is.
        shown: What messages call it.
        names: Its column names.
        delimiter: What separates its fields.
        decimal: What stands before the decimals of its numbers.
        encoding: What its bytes mean.
        header: Whether a line holds the names.
        n_lines_before: Number of lines before the first record.
    """

    path: Path
    shown: str
    names: list[str]
    delimiter: str
    decimal: str
    encoding: str
    header: bool
    n_lines_before: int

    @property
    def dialect(self) -> CsvDialect:
        """What has to be declared to read the file alike, whatever its first line looks like."""
        return CsvDialect(
            delimiter=None if self.delimiter == "," else self.delimiter,
            decimal=None if self.decimal == "." else self.decimal,
            encoding=None if self.encoding == PLAIN_ENCODING else self.encoding,
            header=None if self.header and not any(map(_looks_like_a_value, self.names)) else self.header,
        )


def is_unnamed(name: str) -> bool:
    """Whether a column has no name of its own, as the row numbers that pandas writes."""
    return _UNNAMED.fullmatch(name) is not None


# -- the first line ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _FirstLine:
    """The first line that is not blank, split into fields; a quoted field may hold more lines."""

    fields: list[str]
    is_strict: bool  # whether quotes stand around whole fields only
    n_lines_above: int
    n_lines: int  # those above it included

    def n_of(self, columns: Iterable[str]) -> int:
        return len({*self.fields} & {*columns})


def open_csv(
    path: Path,
    declared: CsvDialect | None = None,
    *,
    columns: Sequence[str] = (),
    ask: bool = False,
    shown: str | None = None,
) -> CsvFile:
    """Read the first line of a CSV file and find out how the file is written.

    What is declared is taken, with two exceptions: a byte order mark says the encoding, and where another
    delimiter than the declared one finds columns in the first line, the file is of another dialect. What is
    found out and was not declared is said by a warning, unless it is a comma or UTF-8.

    Args:
        path: The file; gzipped if its name ends in ``.gz``.
        declared: What is known of it.
        columns: Columns that it may have; if it has no line of names: all of them, in its order.
        ask: Refuse a first line that looks like a record, rather than take it for names.
        shown: What messages call it; its path, where the caller has given that. The name of a file that
            matches a pattern may be a value of records, as in ``patient=7/visits.csv``.

    Raises:
        TableError: If the file is empty, its first line cannot be read or understood, or repeats a name.
        OSError, EOFError, zlib.error: If it cannot be read at all.

    Privacy:
        Public: reads the first line, which is taken for column names, and quotes nothing of it. If it is a
        record, messages may tell that it looks like one, and its number of fields.
    """
    declared, shown = declared or CsvDialect(), shown or repr(str(path))
    encoding = _encoding(path, declared)
    first_lines = _first_lines(path, shown, encoding, declared)
    delimiter = _delimiter(shown, first_lines, declared, columns)
    if declared.delimiter not in (None, delimiter):
        return open_csv(path, CsvDialect(delimiter=delimiter), columns=columns, ask=ask, shown=shown)
    line = first_lines[delimiter]
    header = declared.header is not False or line.n_of(columns) == len(line.fields)
    if header:
        _check_names(shown, line.fields)
        if ask and declared.header is None and not line.n_of(columns):
            _refuse_record(shown, line.fields)
    elif len(line.fields) != len(columns):
        raise TableError(
            f"{shown} is declared to have no line of names, and its first line has "
            f"{counted(len(line.fields), 'field')} at {delimiter_name(delimiter)}, but there are "
            f"{counted(len(columns), 'name')}: name all columns in their order, and the delimiter if it is "
            "another"
        )
    found = [f"split at {delimiter_name(delimiter)}"] * (delimiter != "," and declared.delimiter is None)
    found += [f"in {encoding.upper()}"] * (encoding != PLAIN_ENCODING and declared.encoding is None)
    if found:
        warnings.warn(f"{shown} is read as {' and '.join(found)}, as its first line is", stacklevel=2)
    return CsvFile(
        path=path,
        shown=shown,
        names=line.fields if header else list(columns),
        delimiter=delimiter,
        decimal=declared.decimal or ".",
        encoding=encoding,
        header=header,
        n_lines_before=line.n_lines if header else line.n_lines_above,
    )


def _encoding(path: Path, declared: CsvDialect) -> str:
    with bytes_of(path) as file:
        start = file.read(4)
    marked = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), None)
    encoding = marked or declared.encoding or PLAIN_ENCODING
    return PLAIN_ENCODING if is_utf8(encoding) else encoding


def _first_lines(path: Path, shown: str, encoding: str, declared: CsvDialect) -> dict[str, _FirstLine]:
    """Split the first line at every delimiter that it may have; the likeliest comes first."""
    with bytes_of(path) as file, _decoding(shown, encoding):
        lines, n_above, likeliest = _lines(file, encoding), 0, declared.delimiter
        seen: list[str] = []
        for line in lines:
            excel = _EXCEL_LINE.fullmatch(line)
            if line.strip() and not excel:
                seen.append(line)
                break
            n_above += 1
            likeliest = excel[1] if excel and likeliest is None else likeliest
        if not seen:
            raise TableError(f"{shown} is empty; expected a line of column names")
        if any("\0" in line for line in seen):
            raise NotDecodableError(f"the first line of {shown} holds NUL characters; {DECLARE_ENCODING}")

        def again() -> Iterator[str]:
            yield from seen
            for line in lines:
                seen.append(line)
                yield line

        split = {}
        for delimiter in dict.fromkeys([likeliest or ",", *DELIMITERS]):
            for strict in (True, False):
                reader = csv.reader(again(), delimiter=delimiter, strict=strict)
                try:
                    fields = next(reader)
                    check_closed(seen[: reader.line_num], delimiter)
                except csv.Error:
                    continue
                split[delimiter] = _FirstLine(fields, strict, n_above, n_above + reader.line_num)
                break
    if not split or (declared.delimiter or next(iter(split))) not in split:
        raise TableError(f"{shown} cannot be read: a quote in its first line is never closed")
    is_quoted_well = any(line.is_strict for line in split.values())
    return {
        d: line for d, line in split.items() if line.is_strict >= is_quoted_well or d == declared.delimiter
    }


def _delimiter(
    shown: str, first_lines: dict[str, _FirstLine], declared: CsvDialect, columns: Sequence[str]
) -> str:
    """Return the delimiter of a file: the declared one, or the one that finds columns, or most names."""
    n_columns = {delimiter: line.n_of(columns) for delimiter, line in first_lines.items()}
    most = max(n_columns.values())
    if declared.delimiter is not None and (n_columns[declared.delimiter] or not most):
        return declared.delimiter
    n_fields = {delimiter: len(line.fields) for delimiter, line in first_lines.items()}
    fitting = [delimiter for delimiter, n in n_columns.items() if 0 < n == most]
    fitting.sort(key=lambda delimiter: -n_fields[delimiter])
    if declared.header is False and not fitting:
        fitting = [delimiter for delimiter, n in n_fields.items() if n == len(columns)]
    several = [delimiter for delimiter, n in n_fields.items() if n > 1]
    likeliest = next(iter(first_lines))
    if fitting or not several or n_fields[likeliest] == max(n_fields.values()):
        return next(iter(fitting), likeliest)
    if len(several) > 1:
        ways = " and ".join(f"{n_fields[d]} at {delimiter_name(d)}" for d in several)
        raise TableError(
            f"the first line of {shown} can be split in several ways ({ways}): say how, "
            '`privsynth schema TABLE --delimiter ";"`, or in the schema "csv": {"delimiter": ";"}'
        )
    return several[0]


def _check_names(shown: str, names: list[str]) -> None:
    at = {name: [i + 1 for i, other in enumerate(names) if other == name] for name in names}
    for name, positions in at.items():
        if len(positions) > 1:
            what = "no name" if is_unnamed(name) else "the same name"
            raise TableError(
                f"columns {positions[0]} and {positions[1]} of {shown} have {what}; rename or drop "
                f"one. If its first line is a record, {_NAME_THEM}"
            )


def _refuse_record(shown: str, names: list[str]) -> None:
    """Raise a `TableError` if names look like values; counts from 0 or 1 do not."""
    named = [name for i, name in enumerate(names) if i > 0 or not is_unnamed(name)]
    counts = [[str(i + start) for i in range(len(named))] for start in (0, 1)]
    if len(named) >= MIN_NUMBERED and named in counts:
        return
    positions = [i + 1 for i, name in enumerate(names) if _looks_like_a_value(name)]
    if positions:
        raise TableError(
            f"the first line of {shown} looks like a record, not like names of columns: field "
            f"{positions[0]} is like a number, a date or a sign for missing. If it is one, {_NAME_THEM}; if "
            'it holds the names, `privsynth schema TABLE --header`, or "csv": {"header": true}'
        )


def _looks_like_a_value(name: str) -> bool:
    return _VALUE.fullmatch(name.strip()) is not None


def check_closed(lines: list[str], delimiter: str) -> None:
    """Raise `csv.Error` if a quoted field does not end in these lines, which begin with a record."""
    try:
        next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise


# -- bytes and texts -----------------------------------------------------------------------------------


@contextmanager
def bytes_of(path: Path) -> Iterator[IO[bytes]]:
    with cast("IO[bytes]", gzip.open(path, "rb") if is_gzipped(path) else path.open("rb")) as file:
        yield file


def _lines(file: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the first lines of a file, ends included; no byte behind them is decoded."""
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == PLAIN_ENCODING else encoding)()
    line, n_characters = "", 0
    while byte := file.read(1):
        for character in decoder.decode(byte):
            if line.endswith("\r") and character != "\n":
                yield line
                line = ""
            line += character
            n_characters += 1
            if character == "\n":
                yield line
                line = ""
        if n_characters > MAX_HEADER_CHARACTERS:
            raise csv.Error
    decoder.decode(b"", final=True)
    if line:
        yield line


@contextmanager
def _decoding(shown: str, encoding: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise NotDecodableError(
            f"the first line of {shown} is not in {encoding.upper()}; {DECLARE_ENCODING}"
        ) from None


def is_gzipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"
