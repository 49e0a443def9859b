"""Tables in an engine that counts them where they are: DuckDB, PostgreSQL and Spark, through Ibis.

Opening one connects, and reads its names and types. Its rows stay there: `privsynth.warehouse` has them
counted, and whoever asks for a column is refused.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import pandas as pd

from privsynth.errors import TableError
from privsynth.io import spark
from privsynth.io.files import is_url
from privsynth.io.source import Kind, ReadOptions, Source, check_column_names

SCHEMES = ("duckdb", "postgresql", "postgres", spark.SCHEME)
ENGINES_BY_NAME = {"duckdb": "DuckDB", "postgres": "PostgreSQL", "pyspark": "Spark"}
TO_INSTALL = 'pip install "privsynth[warehouse]"'


class EngineSource(Source):
    """A table in an engine.

    Attributes:
        engine: The engine, by the name that Ibis gives it.
        connection: The connection of Ibis.
        relation: The query that is the table, in the engine's SQL.
        types: Types of its columns as Ibis knows them.

    Raises:
        TableError: If there is no such table, or no such engine.
    """

    def __init__(self, given: Any, options: ReadOptions) -> None:
        self._table, close = _open_address(given) if isinstance(given, str) else (given, None)
        self.connection = _backend_of(self._table)
        self.engine = str(self.connection.name)
        if self.engine not in ENGINES_BY_NAME:
            raise TableError(
                f"expected a table of {', '.join(ENGINES_BY_NAME.values())}, which are known to count "
                f"exactly, got one of {self.engine}. Write it to Parquet files, or give its rows"
            )
        self._on_close: list[Callable[[], object]] = []
        if close is not None:  # the connection is ours, and is closed when it has served
            self._on_close.append(weakref.finalize(self, close))
        is_spark = self.engine == "pyspark"
        if is_spark:
            spark.check_session(self.connection)
        try:
            self.types = dict(self._table.schema().items())
            self.relation = _sql_of(self.connection, self._table)
            if is_spark:
                self.types = spark.types_of(self.connection, self.relation, self.types)
        except Exception:  # whose words may quote records
            raise TableError(f"the table of {self.what} cannot be asked for its columns") from None
        self.names = list(self.types)
        check_column_names(self.names, "the table")
        self.dtypes = {name: type_.to_pyarrow() for name, type_ in self.types.items()}

    @property
    def what(self) -> str:
        """What messages call the engine."""
        return ENGINES_BY_NAME[self.engine]

    @property
    def n_rows(self) -> int:
        self.require_rows()

    def column(self, name: str) -> pd.Series:
        self.require_rows()

    def first_close(self, what: Callable[[], object]) -> None:
        """Do something before the connection is closed."""
        self._on_close.insert(0, what)

    def close(self) -> None:
        """Drop what was kept in the engine, and close the connection if it was opened for this table."""
        for do in self._on_close:
            do()

    def require_rows(self) -> NoReturn:
        """Refuse: they stay where they are."""
        raise TableError(
            f"the rows of a table in {self.what} stay there: marginal (MarginalSynthesizer) is fitted to "
            "them by counts alone, and fit takes them along with --rows-may-leave (rows_may_leave=True). For "
            "what else needs rows, such as check, split or audit, write them to a Parquet file, or give the "
            "rows themselves (to_pyarrow() of an ibis.Table)"
        )


def _takes(given: object) -> bool:
    if is_url(given):
        return given.partition(":")[0].lower() in SCHEMES
    ibis = sys.modules.get("ibis")  # a table of it cannot be given before it is imported
    return ibis is not None and isinstance(given, ibis.Table)


ENGINES = Kind(
    "a table in an engine: an ibis.Table, duckdb://PATH#TABLE, postgresql://USER@HOST/DATABASE#TABLE, "
    "spark://PATH or spark://#TABLE",
    EngineSource,
    _takes,
)


def _open_address(address: str) -> tuple[Any, Callable[[], object]]:
    """Return the table of Ibis at an address, and what closes its connection."""
    parts = urlsplit(address)
    if parts.scheme.lower() == spark.SCHEME:
        return spark.open_session(parts)
    *above, name = unquote(parts.fragment).split(".")
    if not name or len(above) > 1:
        raise TableError(
            f"expected the name of a table behind the address, as in {parts.scheme}://...#TABLE or "
            "#SCHEMA.TABLE"
        )
    engine = "DuckDB" if parts.scheme.lower() == "duckdb" else "PostgreSQL"
    try:
        import ibis
    except ImportError:
        raise TableError(f"tables in {engine} are read through Ibis: {TO_INSTALL}") from None
    try:
        if engine == "DuckDB":
            connection: Any = ibis.duckdb.connect(unquote(parts.netloc + parts.path), read_only=True)
        else:
            import psycopg

            dsn = urlunsplit(("postgresql", parts.netloc, parts.path, parts.query, ""))
            connection = ibis.postgres.from_connection(psycopg.connect(dsn, autocommit=True))
    except ImportError:
        raise TableError(f"tables in {engine} are read through Ibis: {TO_INSTALL}") from None
    except Exception:  # whose words may hold a password
        raise TableError(f"{engine} cannot be reached at this address: {_why_not(engine, parts)}") from None
    try:
        table = connection.table(name, database=above[0]) if above else connection.table(name)
        return table, connection.con.close
    except Exception:
        whole = ".".join((*above, name))
        raise TableError(f"there is no table {whole!r} in the {engine} at this address") from None


def _why_not(engine: str, parts: SplitResult) -> str:
    """Say what to look at where an engine does not answer; quotes a path, and no user or password."""
    if engine != "DuckDB":
        return "look at its host and port, database and user, and whether it is running"
    path = Path(unquote(parts.netloc + parts.path))
    if path.is_file():
        return "look whether its file is one of DuckDB, and whether another program holds it open for writing"
    here = Path(path.name) if path.is_absolute() else path
    if path.is_absolute() and here.is_file():
        return (
            f"there is no file {str(path)!r}, because three slashes begin at the root; the one in this "
            f"folder is duckdb://{here}#{unquote(parts.fragment)}"
        )
    return (
        f"there is no file {str(path)!r}. Paths behind duckdb:// begin in this folder, those behind "
        "duckdb:/// at the root"
    )


def _backend_of(table: Any) -> Any:
    try:
        return table._find_backend(use_default=True)
    except Exception:
        raise TableError("expected an ibis.Table of one engine") from None


def _sql_of(connection: Any, table: Any) -> str:
    """Return the query of a table, and make known to the engine what it holds in memory."""
    connection._run_pre_execute_hooks(table)
    return str(connection.compile(table))
