"""A table behind its names: known before a record is read, then asked for one column after the other.

A kind of source is a module beside this one that ends in a `Kind`, and stands in the list of
`privsynth.io.tables`.
"""

from __future__ import annotations

import csv
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from privsynth.errors import PrivsynthError, TableError
from privsynth.schema import Schema
from privsynth.schema.dialect import CsvDialect


class Source(ABC):
    """A table, opened: names and storage types are known, and no record has been read.

    A subclass sets ``names``, what it knows of the other attributes, and answers `n_rows` and `column`.

    Attributes:
        names: Column names, each once.
        can_be_read_again: Whether `batches` gives its rows more than once, at little cost.
        n_bytes: Size of the files that are better read in parts than whole where they are large; None where
            they are not.
        dtypes: How each column is stored, a dtype of numpy or pandas or an Arrow type; None where everything
            is a text, as in a CSV file.
        dialect: How a CSV file is written; None for another source.
        attrs: What a frame's ``attrs`` hold, or did when it was written.
    """

    names: list[str]
    can_be_read_again: bool = True
    n_bytes: int | None = None
    dtypes: Mapping[str, Any] | None = None
    dialect: CsvDialect | None = None
    attrs: Mapping[str, Any] = MappingProxyType({})

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows.

        Privacy:
            Not private: counts the records.
        """

    @abstractmethod
    def column(self, name: str) -> pd.Series:
        """Return a column; texts may be a categorical of texts, however they are stored.

        Raises:
            TableError: If it cannot be read.

        Privacy:
            Not private: returns the records.
        """

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[dict[str, pd.Series]]:
        """Yield some columns, at least one, in parts of at most ``n_rows`` rows, in the order of the rows.

        Raises:
            TableError: If they cannot be read.

        Privacy:
            Not private: returns the records.
        """
        columns = {name: self.column(name) for name in names}
        for start in range(0, self.n_rows, n_rows):
            yield {name: column.iloc[start : start + n_rows] for name, column in columns.items()}

    def version(self) -> Hashable:
        """Return what differs once the records have been changed; None where that cannot be told.

        Privacy:
            Not private: a function of files of records.
        """
        return None

    def require_rows(self) -> None:  # noqa: B027  # most need not
        """Raise a `TableError` if the rows stay where they are, as in an engine; public."""

    def close(self) -> None:  # noqa: B027  # most hold nothing open
        """Give back what was opened, such as a connection; files and frames hold nothing."""

    def frame(self) -> pd.DataFrame:
        """Return all columns, each text by itself, and the ``attrs``.

        Privacy:
            Not private: returns the records.
        """
        columns = {name: self._as_stored(name) for name in self.names}
        frame = pd.DataFrame(columns, index=pd.RangeIndex(self.n_rows), copy=False)
        frame.attrs |= self.attrs
        return frame

    def holds_categories(self, name: str) -> bool:
        """Whether a column is stored as one of categories; public."""
        stored = None if self.dtypes is None else self.dtypes[name]
        if isinstance(stored, pa.DataType):
            return pa.types.is_dictionary(stored) and is_text(stored.value_type)
        return isinstance(stored, pd.CategoricalDtype)

    def _as_stored(self, name: str) -> pd.Series:
        column = self.column(name)
        if not isinstance(column.dtype, pd.CategoricalDtype) or self.holds_categories(name):
            return column
        texts = np.array([*column.cat.categories, None], dtype=object)
        return pd.Series(texts[column.cat.codes], name=name, dtype=object)


class ArrowStream(Protocol):
    """Anything that hands its rows over by the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Table: TypeAlias = Source | pd.DataFrame | ArrowStream | str | Path | Sequence[str | Path]
"""Whatever `privsynth.io.tables.open_table` opens."""


@dataclass(frozen=True)
class ReadOptions:
    """How a table is to be opened, as far as that is declared; public.

    Attributes:
        dialect: How its CSV files are written.
        columns: Columns that it may have; of a CSV file without a line of names all of them, in its order.
        numbers: Columns of numbers that are written as the dialect says.
        ask: Refuse a first line of a CSV file that looks like a record.
        only: Columns that will be asked for; None is all.
        is_real: Whether the table is written as declared. Another, such as one of synthetic rows, may be
            plain CSV too, with commas, decimal points and in UTF-8.
    """

    dialect: CsvDialect = field(default_factory=CsvDialect)
    columns: Sequence[str] = ()
    numbers: Collection[str] = ()
    ask: bool = False
    only: Collection[str] | None = None
    is_real: bool = True

    @classmethod
    def of(
        cls, schema: Schema | None, *, only: Collection[str] | None = None, is_real: bool = True
    ) -> ReadOptions:
        """Return what a schema, complete or not, declares of a table."""
        if schema is None:
            return cls(only=only, is_real=is_real)
        described = schema.columns.values()
        return cls(
            dialect=schema.csv or CsvDialect(),
            columns=list(schema.columns),
            numbers={c.name for c in described if c.has_number_format and c.format is None},
            ask=True,
            only=only,
            is_real=is_real,
        )

    def keeps(self, name: str) -> bool:
        """Whether a column will be asked for."""
        return self.only is None or name in self.only


@dataclass(frozen=True)
class Kind:
    """One kind of sources.

    Attributes:
        what: What messages call them.
        open: Opens one of them; reads names and storage types, no record.
        takes: Whether a given object, or `privsynth.io.files.Files`, is one of them.
        suffixes: How names of its files end; () if it is no kind of files.
        in_folders: Whether a folder of such files is one table.
    """

    what: str
    open: Callable[[Any, ReadOptions], Source]
    takes: Callable[[object], bool]
    suffixes: tuple[str, ...] = ()
    in_folders: bool = False


_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever goes wrong while a table is read into a `TableError` that quotes no record."""
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"there is no file {what!r}") from None
    except PrivsynthError:
        raise
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException, *_DAMAGED) as error:
        reason = "it is damaged or of another format than its name says"  # their own words may quote records
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise TableError(f"{what!r} cannot be read: {reason}") from None


def check_column_names(names: Sequence[object], where: str) -> None:
    """Raise a `TableError` unless all column names are texts and none stands twice."""
    for name in names:
        if not isinstance(name, str):
            raise TableError(
                f"expected column names that are texts in {where}, got {name!r}; rename the column"
            )
    twice = sorted(str(name) for name in set(names) if names.count(name) > 1)
    if twice:
        raise TableError(f"column {twice[0]!r} stands twice in {where}; rename or drop one")


def is_text(stored: pa.DataType) -> bool:
    """Whether an Arrow type is one of texts."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(stored) for is_kind in kinds)
