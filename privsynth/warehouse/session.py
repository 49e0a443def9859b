"""One session with an engine: statements go out, numbers come back, and an engine's own words stay behind."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from numpy.typing import NDArray

from privsynth.errors import TableError
from privsynth.io.engines import EngineSource
from privsynth.warehouse.dialects import Dialect, DuckDB, PostgreSQL
from privsynth.warehouse.drivers import DRIVERS
from privsynth.warehouse.spark import Spark

_LOG = logging.getLogger(__name__)

DIALECTS: dict[str, type[Dialect]] = {"duckdb": DuckDB, "postgres": PostgreSQL, "pyspark": Spark}
"""Engines by the names that Ibis gives them."""

_SENTENCES = {  # by classes of errors of all engines: their own words may quote records
    "QueryCanceled": "a query was cancelled, by statement_timeout or by someone",
    "InterruptException": "a query was cancelled",
    "InsufficientPrivilege": "the user needs SELECT on the table, and TEMPORARY on its database",
    "PermissionException": "the user may not read the table",
    "UndefinedTable": "the table is not there any more",
    "UndefinedColumn": "a column is not there any more",
    "UndefinedFunction": "it lacks a function that is needed; PostgreSQL 13 and later have them all",
    "CatalogException": "the table, or a column of it, is not there any more",
    "BinderException": "a column is not what it was any more",
    "OutOfMemoryException": "it has no memory or no room left",
    "OutOfMemory": "it has no memory left",
    "DiskFull": "it has no room left",
    "LockNotAvailable": "the table is locked",
    "SerializationFailure": "the table changed in a way that ends a snapshot",
    "OperationalError": "the connection was lost",
    "InterfaceError": "the connection was lost",
    "ConnectionException": "the connection was lost",
    "Py4JNetworkError": "the connection was lost",
    "ConnectionError": "the connection was lost",
    "AnalysisException": "the table, or a column of it, is not what it was any more",
    "IOException": "its files cannot be read or written, or it has no room left",
}


class Session:
    """Asks an engine by SQL.

    Args:
        source: The table, opened.

    Privacy:
        Not private: whoever holds it may ask anything.
    """

    def __init__(self, source: EngineSource) -> None:
        self._source, self.what = source, source.what
        self.dialect = DIALECTS[source.engine]()
        self._driver = DRIVERS[source.engine](source.connection)
        self._kept: list[str] = []
        self.n_queries = 0
        source.first_close(self.close)

    def ask(self, query: str) -> list[NDArray[Any]]:
        """Return the columns of what a query answers; those with NULL, texts or bytes are of objects.

        Raises:
            TableError: If the engine refuses; says why by the class of its error, never in its words.
        """
        self.n_queries += 1
        with self._refusing():
            return self._driver.columns(self._run(query))

    def rows(self, query: str) -> Iterator[list[NDArray[Any]]]:
        """Yield the columns of what a query answers, whole numbers without NULL, in parts.

        Raises:
            TableError: As `ask` does.

        Privacy:
            Not private: for rows that may leave their engine.
        """
        self.n_queries += 1
        with self._refusing():
            yield from self._driver.parts(query, self._run, self.snapshot)

    def tell(self, *statements: str) -> None:
        """Run statements that answer nothing."""
        with self._refusing():
            for statement in statements:
                self._run(statement)

    def keep(self, what: str, query: str) -> str:
        """Keep the rows of a query in the engine, for this session alone; return their name, quoted."""
        name = f"privsynth_{what}_{secrets.token_hex(6)}"
        self.n_queries += 1
        quoted = self.dialect.name(name)
        with self._refusing():
            self._driver.kept(quoted, self._run(self.dialect.keep(name, query)))
        self._kept.append(quoted)
        return quoted

    def drop(self, name: str) -> None:
        """Drop what was kept."""
        self._kept.remove(name)
        self.tell(self.dialect.drop(name))
        self._driver.dropped(name)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it all statements see the table as it was at its begin, if the engine can do that."""
        if not self.dialect.has_snapshots:
            yield
            return
        self.tell(*self.dialect.begin())
        try:
            yield
        except BaseException:
            with suppress(Exception):  # of a connection that is gone
                self._run("ROLLBACK")
            raise
        self.tell(*self.dialect.end())

    def close(self) -> None:
        """Drop all that was kept."""
        kept, self._kept = self._kept, []
        with suppress(Exception), self._driver.quiet():  # a connection that is gone: so is what was kept
            for name in kept:
                self._driver.dropped(name)
                self._run(self.dialect.drop(name))

    def _run(self, statement: str) -> Any:
        _LOG.debug("%s", statement)
        return self._driver.run(statement)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            with self._driver.quiet():
                yield
        except Exception as error:
            why = self._driver.why(error) or _sentence(error)
            raise TableError(f"{self.what} did not answer: {why}") from None


def _sentence(error: Exception) -> str:
    """Say why an engine refused, by the class of its error alone."""
    for kind in type(error).__mro__:
        if kind.__name__ in _SENTENCES:
            return _SENTENCES[kind.__name__]
    return (
        f"it refused a query ({type(error).__name__}); its own words may quote records and are not repeated"
    )
