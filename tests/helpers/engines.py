"""Engines that tests start themselves: DuckDB in the process, PostgreSQL on a private socket."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ibis = pytest.importorskip("ibis", reason='tables in engines need pip install "privsynth[warehouse]"')


def plain(value: Any) -> Any:
    """Return a cell as drivers take it."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


def fill(run: Any, many: Any, name: str, frame: pd.DataFrame, types: Mapping[str, str], mark: str) -> None:
    """Create a table of these SQL types; NaN stays NaN, None is NULL."""
    columns = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
    run(f'CREATE TABLE "{name}" ({columns})')
    rows = [tuple(map(plain, row)) for row in frame.astype(object).itertuples(index=False)]
    if rows:
        many(f'INSERT INTO "{name}" VALUES ({", ".join([mark] * len(types))})', rows)


def in_duckdb(frame: pd.DataFrame, types: Mapping[str, str], path: Path | str = ":memory:") -> Any:
    """Return the Ibis table of a frame in DuckDB, called visits."""
    connection = ibis.duckdb.connect(path)
    types = {name: kind.replace("BYTEA", "BLOB") for name, kind in types.items()}
    fill(connection.con.execute, connection.con.executemany, "visits", frame, types, "?")
    return connection.table("visits")


class Postgres:
    """A server of PostgreSQL on a private socket, without durability."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        self.log = folder / "log"
        self.n_tables = 0
        self._connections: list[Any] = []

    @property
    def dsn(self) -> str:
        """The address of its database."""
        return f"postgresql://privsynth@/postgres?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs, as nobody in particular: it refuses root."""
        command = [str(self._programs / program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )

    def start(self) -> None:
        """Make its files and start it."""
        if os.getuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        data = str(self.folder / "data")
        locale = ("--encoding=UTF8", "--locale=C.UTF-8")
        self.run("initdb", "-D", data, "-U", "privsynth", "-A", "trust", "--no-sync", *locale)
        self.resume()

    def resume(self) -> None:
        """Start it on the files that are there."""
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off "
            "-c log_statement=all -c max_connections=60 -c shared_buffers=16MB"
        )
        data = str(self.folder / "data")
        self.run("pg_ctl", "-D", data, "-o", options, "-l", str(self.log), "-w", "start")

    def halt(self) -> None:
        """Stop it as a crash would, whoever is connected."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def stop(self) -> None:
        """Stop it."""
        for connection in self._connections:
            connection.close()
        self.halt()

    def connect(self) -> Any:
        """Return a connection of its driver."""
        import psycopg

        self._connections.append(psycopg.connect(self.dsn, autocommit=True))
        return self._connections[-1]

    def table(self, frame: pd.DataFrame, types: Mapping[str, str], name: str | None = None) -> Any:
        """Return the Ibis table of a frame, of a name that was not there."""
        self.n_tables += 1
        name = name or f"visits_{self.n_tables}"
        connection = self.connect()
        types = {name: kind.replace("DOUBLE", "DOUBLE PRECISION") for name, kind in types.items()}
        with connection.cursor() as cursor:
            fill(cursor.execute, cursor.executemany, name, frame, types, "%s")
        return ibis.postgres.from_connection(connection).table(name)


@functools.cache
def programs_of_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    beside = shutil.which("initdb")
    return found[-1].parent if found else Path(beside).resolve().parent if beside else None


class Spark:
    """A session of Spark in this process, whose settings are not those that would be convenient."""

    def __init__(self, session: Any) -> None:
        self.session, self.n_tables = session, 0

    @property
    def backend(self) -> Any:
        """The connection of Ibis; which sets the zone of the session: it is set back."""
        connected = ibis.pyspark.connect(self.session)
        self.session.conf.set("spark.sql.session.timeZone", "America/Caracas")
        return connected

    def table(self, frame: pd.DataFrame, types: Mapping[str, str], name: str | None = None) -> Any:
        """Return the Ibis table of a frame, of a name that was not there."""
        self.n_tables += 1
        name = name or f"visits_{self.n_tables}"
        kinds = {
            "TIMESTAMPTZ": "TIMESTAMP",
            "TIMESTAMP": "TIMESTAMP_NTZ",
            "VARCHAR": "STRING",
            "BYTEA": "BINARY",
        }
        stored = {
            column: kinds.get(kind, kind).replace("NUMERIC", "DECIMAL") for column, kind in types.items()
        }
        rows = [
            tuple(
                _as_spark_takes(plain(cell), stored[column]) for column, cell in zip(types, row, strict=True)
            )
            for row in frame.astype(object).itertuples(index=False)
        ]
        columns = ", ".join(f"`{column}` {kind}" for column, kind in stored.items())
        self.session.createDataFrame(rows, columns).createTempView(name)
        return self.backend.table(name)


def _as_spark_takes(cell: Any, kind: str) -> Any:
    if cell is None:
        return None
    if kind == "DOUBLE" or kind == "FLOAT":
        return float(cell)
    return Decimal(repr(cell)) if kind.startswith("DECIMAL") and isinstance(cell, float) else cell


@contextmanager
def spark(**settings: str) -> Iterator[Spark]:
    """Start a session; skip without pyspark or Java."""
    pytest.importorskip("pyspark", reason='Spark needs pip install "privsynth[spark]"')
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Java is not installed (Debian: openjdk-17-jre-headless)")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]")
    for name in ("spark.driver.bindAddress", "spark.driver.host"):  # large results come over the network
        builder = builder.config(name, "127.0.0.1")
    usual = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    usual |= {"spark.log.level": "OFF", "spark.sql.shuffle.partitions": "2"}
    for key, value in {**usual, **settings}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    try:
        yield Spark(session)
    finally:
        session.stop()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; skip if none is installed."""
    pytest.importorskip("psycopg", reason='PostgreSQL needs pip install "privsynth[warehouse]"')
    programs = programs_of_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with tempfile.TemporaryDirectory(prefix="privsynth-pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), programs)
        server.start()
        try:
            yield server
        finally:
            server.stop()
