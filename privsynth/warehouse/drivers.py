"""How statements reach an engine and how its answers come back, by the engine's own client."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 2**16
Run = Callable[[str], Any]
Snapshot = Callable[[], AbstractContextManager[None]]


class Driver:
    """A connection of Python's DB-API: PostgreSQL's.

    Args:
        backend: The connection of Ibis.
    """

    def __init__(self, backend: Any) -> None:
        self.connection: Any = backend.con

    def run(self, statement: str) -> Any:
        """Run a statement and return its answer."""
        return self.connection.execute(statement)

    def columns(self, answer: Any) -> list[NDArray[Any]]:
        """Return the columns of an answer; those with NULL, texts or bytes are of objects."""
        rows = answer.fetchall()
        return [_of_list([row[i] for row in rows]) for i in range(len(answer.description))]

    def parts(self, query: str, run: Run, snapshot: Snapshot) -> Iterator[list[NDArray[Any]]]:
        """Yield the columns of what a query answers, whole numbers without NULL, in parts."""
        with snapshot(), self.connection.cursor(name=f"privsynth_{secrets.token_hex(6)}") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield list(np.array(rows, dtype=np.int64).T)

    def kept(self, name: str, answer: Any) -> None:
        """Do what is left to do for the rows of a statement to be kept."""

    def dropped(self, name: str) -> None:
        """Do what is left to do where rows were kept and are dropped."""

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Within it the client tells nobody what the engine says of an error: its words may quote records."""
        yield

    def why(self, error: Exception) -> str | None:
        """Say why the engine did not answer, where its error has no class of its own."""
        return None


class DuckDBDriver(Driver):
    """DuckDB in this process."""

    def columns(self, answer: Any) -> list[NDArray[Any]]:
        return list(map(_of_masked, answer.fetchnumpy().values()))

    def parts(self, query: str, run: Run, snapshot: Snapshot) -> Iterator[list[NDArray[Any]]]:
        for batch in run(query).to_arrow_reader(ROWS_AT_ONCE):
            yield [column.to_numpy() for column in batch.columns]


class SparkDriver(Driver):
    """A session of Spark."""

    def __init__(self, backend: Any) -> None:
        self._session, self._kept = backend._session, dict[str, Any]()

    def run(self, statement: str) -> Any:
        return self._session.sql(statement)

    def columns(self, answer: Any) -> list[NDArray[Any]]:
        columns = answer.toArrow().combine_chunks().columns
        return [
            column.to_numpy()
            if column.null_count == 0 and _is_number(column)
            else _objects(column.to_pylist())
            for column in columns
        ]

    def parts(self, query: str, run: Run, snapshot: Snapshot) -> Iterator[list[NDArray[Any]]]:
        rows = run(query).localCheckpoint(eager=True)  # computed once, so that all parts are of one answer
        try:
            each = rows.toLocalIterator()
            while part := list(itertools.islice(each, ROWS_AT_ONCE)):
                yield list(np.array(part, dtype=np.int64).T)
        finally:
            self._forget(rows)

    def kept(self, name: str, answer: Any) -> None:
        """Have the rows computed once, and forget how.

        A view that is cached is computed again where a part of it was lost, from a table that may have
        changed by then; these rows are lost instead, and the run with them.
        """
        self._kept[name] = answer.localCheckpoint(eager=True)
        self._kept[name].createOrReplaceTempView(name.strip("`"))

    def dropped(self, name: str) -> None:
        self._forget(self._kept.pop(name, None))

    def _forget(self, rows: Any) -> None:
        with suppress(Exception):  # else they go when Java collects its garbage
            rows._jdf.queryExecution().logical().rdd().unpersist(False)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        context, wire = map(logging.getLogger, ("SQLQueryContextLogger", "py4j"))  # both write out errors
        was, level = context.disabled, wire.level
        context.disabled = True
        wire.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            context.disabled = was
            wire.setLevel(level)

    def why(self, error: Exception) -> str | None:
        if getattr(getattr(self._session, "_sc", None), "_jsc", self) is None:
            return "the session was stopped"
        for condition in _conditions(error):
            if condition in _SPARK_SENTENCES:
                return _SPARK_SENTENCES[condition]
        return None


_SPARK_SENTENCES = {  # by the conditions of Spark's errors
    "SPARK_JOB_CANCELLED": "a query was cancelled",
    "OPERATION_CANCELED": "a query was cancelled",
    "CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND": "an executor was lost, and with it what it had kept for this run",
    "FAILED_READ_FILE": "its files cannot be read, or changed while they were read",
    "TABLE_OR_VIEW_NOT_FOUND": "the table is not there any more",
    "UNRESOLVED_COLUMN": "a column is not there any more",
}


def _conditions(error: Exception) -> Iterator[str]:
    """Yield the conditions of an error and of its causes, as Spark lists them, without their finer half."""
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    for _ in range(20):
        if cause is None:
            return
        with suppress(Exception):  # of causes that are no errors of Spark
            yield str(cause.getCondition()).partition(".")[0]
        cause = cause.getCause()


DRIVERS: dict[str, type[Driver]] = {"duckdb": DuckDBDriver, "postgres": Driver, "pyspark": SparkDriver}
"""Engines by the names that Ibis gives them."""


def _is_number(column: Any) -> bool:
    return np.issubdtype(column.type.to_pandas_dtype(), np.number)


def _of_masked(column: NDArray[Any]) -> NDArray[Any]:
    if not np.ma.isMaskedArray(column) or not np.ma.is_masked(column):
        return np.ma.getdata(column)
    values = np.ma.getdata(column).astype(object)
    values[np.ma.getmaskarray(column)] = None
    return values


def _of_list(values: list[Any]) -> NDArray[Any]:
    kinds = set(map(type, values))
    if kinds <= {int}:
        return np.array(values, dtype=np.int64)
    return np.array(values, dtype=np.float64) if kinds == {float} else _objects(values)


def _objects(values: list[Any]) -> NDArray[Any]:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
