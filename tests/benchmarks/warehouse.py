"""A fit to a table in an engine beside the same counts by hand: seconds, queries, memory.

    python -m tests.benchmarks.warehouse [ROWS] [duckdb|postgres|spark ...]

By hand means: as a person would write it who has the bins already, one GROUP BY over the table's own columns
for each table that the fit counted, bins by CASE or width_bucket. One thread. Seconds are the processor's for
DuckDB, which runs in this process, and of the clock for PostgreSQL and Spark (one core of this machine), for
which those in which statements are only compiled are told too.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import ibis
import numpy as np
import pyarrow as pa

import privsynth
from privsynth.domains.coding import Coding, NumberCoding
from privsynth.schema import Schema
from privsynth.warehouse.dialects import Dialect, DuckDB, PostgreSQL
from privsynth.warehouse.drivers import SparkDriver
from privsynth.warehouse.records import RecordsInEngine
from privsynth.warehouse.session import Session
from privsynth.warehouse.spark import Spark
from tests.helpers.engines import postgres, spark

N_NUMBERS, N_LISTS = 7, 7  # with the target, 15 columns


def schema() -> Schema:
    """Return what is public about the table."""
    columns: dict[str, Any] = {"target": {"type": "boolean", "role": "target"}}
    for i in range(N_NUMBERS):
        kind = (
            {"type": "integer", "low": 0, "high": 120}
            if i % 2
            else {"type": "real", "low": 0, "high": 100_000}
        )
        columns[f"x{i}"] = kind
    for i in range(N_LISTS):
        columns[f"c{i}"] = {"type": "categorical", "categories": [f"v{j}" for j in range(3 + 3 * i)]}
    return Schema(columns)


def table(n: int) -> pa.Table:
    """Return rows whose columns hang together."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    columns: dict[str, Any] = {"target": z + rng.normal(size=n) > 0}
    for i in range(N_NUMBERS):
        noisy = z + rng.normal(size=n)
        columns[f"x{i}"] = (
            np.clip(60 + 20 * noisy, 0, 120).astype(np.int64)
            if i % 2
            else np.minimum(np.exp(6 + 1.5 * noisy), 1e5)
        )
    for i in range(N_LISTS):
        size = 3 + 3 * i
        code = np.clip((z + rng.normal(size=n) + 3) / 6 * size, 0, size - 1).astype(np.int8)
        columns[f"c{i}"] = pa.DictionaryArray.from_arrays(code, [f"v{j}" for j in range(size)]).cast(
            pa.string()
        )
    return pa.table(columns)


Asked = tuple[list[tuple[str, ...]], dict[str, Coding]]  # sets of columns, and how they are coded

CLOCK = [time.process_time]  # whose seconds are counted


class Clock:
    """Seconds of processor in this process and of the clock in the engine's statements."""

    def __init__(self) -> None:
        self.in_engine, self.computing, self.n_statements = 0.0, 0.0, 0
        self.asked: list[Asked] = []


def listening(clock: Clock) -> None:
    """Have all statements timed, and note which tables are asked for."""
    run, tables = Session._run, RecordsInEngine.tables

    def timed(self: Session, statement: str) -> Any:
        start = CLOCK[0]()
        try:
            return run(self, statement)
        finally:
            clock.in_engine += CLOCK[0]() - start
            clock.n_statements += 1

    def noted(self: RecordsInEngine, sets: Any, codings: Any) -> Any:
        clock.asked.append((list(sets), dict(codings)))
        return tables(self, sets, codings)

    Session._run, RecordsInEngine.tables = timed, noted  # type: ignore[method-assign]  # timed


def by_hand(
    execute: Callable[[str], Any],
    relation: str,
    sets: Iterable[tuple[str, ...]],
    codings: Mapping[str, Coding],
    dialect: Dialect,
) -> float:
    """Return the seconds that some tables take, a GROUP BY each."""
    start = CLOCK[0]()
    for columns in sets:
        keys = []
        for column in columns:
            coding = codings[column]
            if isinstance(coding, NumberCoding):
                keep = np.flatnonzero(np.r_[True, np.diff(coding.code_of_cell) != 0])
                value = (
                    f"CAST({dialect.name(column)} AS {dialect.double}) / {dialect.number(coding.step or 1.0)}"
                )
                keys.append(dialect.cell(value, coding.edges[keep].tolist(), range(len(keep))))
            else:
                keys.append(dialect.name(column))
        groups = ", ".join(str(i + 1) for i in range(len(keys)))
        execute(f"SELECT {', '.join(keys)}, COUNT(*) FROM {relation} GROUP BY {groups}").fetchall()
    return CLOCK[0]() - start


def measure(engine: str, dialect: Dialect, ibis_table: Any, n: int) -> None:
    """Fit, count by hand, and print both."""
    CLOCK[0] = time.process_time if engine == "DuckDB" else time.perf_counter
    clock, run, tables = Clock(), Session._run, RecordsInEngine.tables
    listening(clock)
    if isinstance(dialect, Spark):
        listening_to_spark(clock)
    start, begun = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        privsynth.MarginalSynthesizer(epsilon=1.0, random_state=0).fit(
            ibis_table, schema=schema(), dataset=None
        )
    total, own = time.perf_counter() - start, time.process_time() - begun
    Session._run, RecordsInEngine.tables = run, tables  # type: ignore[method-assign]  # timed
    backend = ibis_table._find_backend()
    is_spark = isinstance(dialect, Spark)
    execute = partial(_collected, backend._session) if is_spark else backend.con.execute
    codings = clock.asked[-1][1]
    sets = {columns for of, coded in clock.asked if coded == codings for columns in of if len(columns) > 1}
    hand = by_hand(execute, ibis_table.get_name(), sets, codings, dialect)
    if is_spark:
        print(f"of these {clock.in_engine - clock.computing:.1f} s of compiling before anything is computed")
    print(
        f"{engine}, {n:,} rows: fit {total:.1f} s (this process {own:.1f} CPU s); in the engine "
        f"{clock.in_engine:.1f} s by {clock.n_statements} statements; {len(sets)} tables by hand {hand:.1f} "
        f"s: {clock.in_engine / hand:.2f} x"
    )


def _collected(session: Any, query: str) -> Any:
    """Run a query of Spark, which does so once it is asked for rows."""
    session.sql(query).toArrow()
    return SimpleNamespace(fetchall=list)


def listening_to_spark(clock: Clock) -> None:
    """Have what Spark computes timed too: its statements are only compiled where they are run."""
    for name in ("columns", "kept"):
        setattr(SparkDriver, name, _timed(getattr(SparkDriver, name), clock))


def _timed(of: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    def timed(*given: Any) -> Any:
        start = CLOCK[0]()
        try:
            return of(*given)
        finally:
            clock.in_engine += CLOCK[0]() - start
            clock.computing += CLOCK[0]() - start

    return timed


def main() -> None:
    """Run the engines that are named."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    engines = sys.argv[2:] or ["duckdb", "postgres"]
    rows = table(n)
    if "duckdb" in engines:
        connection = ibis.duckdb.connect(threads=1)
        measure("DuckDB", DuckDB(), connection.create_table("visits", rows), n)
    if "postgres" in engines:
        with postgres() as server:
            connection = server.connect()
            connection.execute("SET max_parallel_workers_per_gather = 0")
            kinds = {"bool": "BOOLEAN", "int64": "BIGINT", "double": "DOUBLE PRECISION", "string": "TEXT"}
            columns = ", ".join(f'"{field.name}" {kinds[str(field.type)]}' for field in rows.schema)
            connection.execute(f"CREATE TABLE visits ({columns})")
            with connection.cursor().copy("COPY visits FROM STDIN") as copy:
                for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                    copy.write_row(row)
            connection.execute("VACUUM ANALYZE visits")
            measure("PostgreSQL", PostgreSQL(), ibis.postgres.from_connection(connection).table("visits"), n)

    if "spark" in engines:
        with spark(**{"spark.driver.memory": "4g"}) as started:
            started.session.createDataFrame(rows).createTempView("visits")
            measure("Spark", Spark(), started.backend.table("visits"), n)


if __name__ == "__main__":
    main()
