"""Columns as a file takes them: made in any process, put together and written by one.

Parquet takes Arrow arrays, listed values as codes. Of CSV, neighbouring columns become one text a row.
"""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from privsynth.io.spreadsheets import spreadsheet_safe
from privsynth.schema.times import TimeFormat

Encoded = dict[str, pa.Array]
"""Arrays by the first column that each holds."""

_TEXT = pa.large_string()  # whose ends are counted by 64 bits
_COMMA, _NOTHING = pa.scalar(",", _TEXT), pa.scalar("", _TEXT)


class Encoder(ABC):
    """Turns columns into what a kind of file takes; can be sent to another process."""

    @abstractmethod
    def encode(self, columns: Mapping[str, pd.Series]) -> Encoded:
        """Return some columns of a block, each of its rows in order; listed values may be categorical.

        Privacy:
            Public: adds nothing.
        """


@dataclass(frozen=True)
class ParquetEncoder(Encoder):
    """Makes Arrow arrays; texts that are listed are stored once, and their codes beside them.

    Attributes:
        schema: Types of the file's columns.
    """

    schema: pa.Schema

    def encode(self, columns: Mapping[str, pd.Series]) -> Encoded:
        """See `Encoder`."""
        return {name: self._array(values, self.schema.field(name).type) for name, values in columns.items()}

    def _array(self, values: pd.Series, kind: pa.DataType) -> pa.Array:
        if not isinstance(values.dtype, pd.CategoricalDtype):
            return pa.array(values, type=kind, from_pandas=True)
        codes = values.cat.codes.to_numpy()
        texts = pa.array(values.cat.categories, type=kind)
        is_missing = codes < 0 if codes.min(initial=0) < 0 else None
        indices = pa.array(codes.astype(np.int32), mask=is_missing)
        if kind == pa.string():
            return pa.DictionaryArray.from_arrays(indices, texts)
        return texts.take(indices)


@dataclass(frozen=True)
class CsvEncoder(Encoder):
    """Makes the texts of lines, written as pandas writes them.

    Attributes:
        names: The file's columns.
        time_formats: How datetimes are written, where not by ISO-8601.
        in_spreadsheets: Keep texts from being taken for formulas; see `spreadsheet_safe`.
    """

    names: Sequence[str]
    time_formats: Mapping[str, TimeFormat] = field(default_factory=dict)
    in_spreadsheets: bool = False

    def encode(self, columns: Mapping[str, pd.Series]) -> Encoded:
        """See `Encoder`; columns that stand side by side become one, and the last one ends the line."""
        out: Encoded = {}
        for is_given, run in groupby(self.names, lambda name: name in columns):
            names = list(run)
            if is_given:
                out[names[0]] = joined([self._texts(name, columns[name]) for name in names])
        return out

    def _texts(self, name: str, values: pd.Series) -> pa.Array:
        """Return a column as its fields are written, with what ends the line after the last."""
        if name in self.time_formats:
            values = self.time_formats[name].write(values)
        end = "\n" if name == self.names[-1] else ""
        if isinstance(values.dtype, pd.CategoricalDtype):
            codes, known = values.cat.codes.to_numpy(), pd.Series(values.cat.categories)
        elif pd.api.types.is_integer_dtype(values.dtype):
            texts = pa.array(values, from_pandas=True).cast(_TEXT)
            texts = texts.fill_null(self._missing) if texts.null_count else texts
            return (
                pa.compute.binary_join_element_wise(texts, pa.scalar(end, _TEXT), _NOTHING) if end else texts
            )
        else:
            codes, distinct = pd.factorize(values)
            known = pd.Series(distinct)
        if self.in_spreadsheets:
            known = spreadsheet_safe(known.to_frame()).iloc[:, 0]
        fields = [f"{text or self._missing}{end}" for text in (*fields_of(known), "")]
        return pa.array(fields, _TEXT).take(pa.array(np.where(codes < 0, len(known), codes)))

    @property
    def _missing(self) -> str:
        return '""' if len(self.names) == 1 else ""  # a line must not be empty

    def header(self) -> bytes:
        """Return the first line."""
        return pd.DataFrame(columns=list(self.names)).to_csv(index=False, lineterminator="\n").encode()


def joined(columns: Sequence[pa.Array]) -> pa.Array:
    """Return the fields of each row as one text, commas between them."""
    return columns[0] if len(columns) == 1 else pa.compute.binary_join_element_wise(*columns, _COMMA)


def bytes_of(texts: pa.Array) -> memoryview:
    """Return texts one after the other, as bytes."""
    if not len(texts):
        return memoryview(b"")
    _, ends, content = texts.buffers()
    at = np.frombuffer(ends, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(content)[at[0] : at[-1]]


def fields_of(values: pd.Series) -> Iterator[str]:
    """Yield values that are not missing as pandas writes them into CSV, in quotes where they need them."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        lines = values.to_csv(index=False, header=False, lineterminator="\n")
        yield from lines.splitlines()
        return
    for value in values.tolist():
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([value, ""])
        yield line.getvalue().removesuffix(",\n")
