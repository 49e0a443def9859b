"""Sessions of Spark: opened at an address, and what their tables hold.

``spark://PATH`` is a Parquet file, folder or pattern; ``spark://#TABLE`` a table of the session's catalogue.
Where Spark runs is its own affair: ``spark.master`` of its settings, in this process by default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, unquote

from privsynth.errors import TableError

SCHEME = "spark"
TO_INSTALL = 'pip install "privsynth[spark]"'
_OLDEST = 4  # the first version with what is asked of it


def check_session(backend: Any) -> None:
    """Raise a `TableError` unless tables of a connection of Ibis to Spark can be counted exactly; public."""
    if backend.mode != "batch":
        raise TableError(
            "expected a table of Spark that stands still, got one of a connection in streaming mode"
        )
    version = str(backend._session.version)
    if int(version.partition(".")[0]) < _OLDEST:
        raise TableError(f"expected Spark {_OLDEST} or later, got Spark {version}")


def types_of(backend: Any, relation: str, types: dict[str, Any]) -> dict[str, Any]:
    """Return the types of a query's columns, with times that have a zone told from those that have none.

    Args:
        backend: The connection of Ibis, which does not tell them apart.
        relation: The query.
        types: Its types as Ibis knows them.

    Privacy:
        Public: reads names and types.
    """
    import ibis.expr.datatypes as dt
    from pyspark.sql.types import TimestampType

    stored = {field.name: field.dataType for field in backend._session.sql(relation).schema}
    moment = dt.Timestamp(timezone="UTC")
    return {n: moment if isinstance(stored[n], TimestampType) else type_ for n, type_ in types.items()}


def open_session(parts: SplitResult) -> tuple[Any, Callable[[], object]]:
    """Return a table of Ibis at an address, and what ends its session.

    A session that the caller has is not used, and its settings stay: only where it runs is shared.

    Raises:
        TableError: If Spark cannot be started, or there is no such table.

    Privacy:
        Public: reads names and types.
    """
    path, name = unquote(parts.netloc + parts.path), unquote(parts.fragment)
    if bool(path) == bool(name):
        raise TableError(
            f"expected {SCHEME}://PATH for a Parquet file, folder or pattern, or {SCHEME}://#TABLE or "
            "#DATABASE.TABLE for a table of Spark's catalogue"
        )
    try:
        import ibis
        from pyspark.sql import SparkSession

        existing = SparkSession.getActiveSession()
        settings = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "OFF",
        }
        builder = SparkSession.builder.appName("privsynth")
        for key, value in {} if existing else settings.items():
            builder = builder.config(key, value)
        session = existing.newSession() if existing else builder.getOrCreate()
        backend: Any = ibis.pyspark.connect(session)
    except ImportError:
        raise TableError(f"tables in Spark are read through Ibis and pyspark: {TO_INSTALL}") from None
    except Exception:
        raise TableError(
            "Spark could not be started: it needs Java 17 or later (JAVA_HOME), and settings "
            "(SPARK_CONF_DIR) with which spark-submit works"
        ) from None
    end = _nothing if existing else session.stop
    try:
        check_session(backend)
        if path:
            return backend.read_parquet(path), end
        *above, last = name.split(".")
        return backend.table(last, database=tuple(above) or None), end
    except TableError:
        end()
        raise
    except Exception:  # whose words may quote records
        end()
        where = f"no Parquet file at {path!r}" if path else f"no table {name!r} in Spark's catalogue"
        raise TableError(f"there is {where}, or Spark cannot read it") from None


def _nothing() -> None:
    """Leave the caller's session as it is."""
