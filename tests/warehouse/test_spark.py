"""What Spark alone reads otherwise, or does otherwise where it fails. Needs pyspark and Java."""

from __future__ import annotations

import datetime as dt
import logging.handlers
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from privsynth.cli import main
from privsynth.counting.memory import RecordsInMemory
from privsynth.domains.coding import coding_of_texts
from privsynth.errors import TableError
from privsynth.io.tables import open_table, table_name
from privsynth.ledger.ledger import Ledger
from privsynth.records.coerce import read_persons
from privsynth.records.conform import conform
from privsynth.schema import Schema, category_text
from privsynth.warehouse.drivers import SparkDriver
from privsynth.warehouse.records import RecordsInEngine
from privsynth.warehouse.spark import Spark as Dialect
from tests.helpers.engines import Spark, ibis, spark
from tests.helpers.predictable import PredictableSourceForTests
from tests.warehouse.messy import COLUMNS, PERSONS, TYPES, messy, schema
from tests.warehouse.test_fit import fitted

pytestmark = pytest.mark.slow

ODD_TEXTS = [
    "flu",
    "flu\0",
    "flu\0\0",
    "\0",
    "",
    " ",
    "\u00e9",
    "e\u0301",
    "e\u0301\0",
    "\u00df",
    "\u00a0",
    "1",
    "1.0",
]
ODD_TEXTS += [
    "01",
    " 1",
    "1e0",
    "1_0",
    "inf",
    "nan",
    "-0.0",
    "true",
    "True",
    "NA",
    "?",
    "1" * 400,
    "0x1F",
]
ODD_TEXTS += [
    "1,5",
    "1d",
    "1F",
    "x\n",
    "\U0001f600",
    "\u1100\u1161",
    "it's",
    "a\\b",
    "${x}",
    "\u1e9b\u0323",
    "\u2028a\x1f",
]
ODD_FLOATS = [
    0.1,
    -0.0,
    5e-324,
    1e-323,
    5e-323,
    2e-323,
    2.2250738585072014e-308,
    1e-4,
    9.9999e-5,
    1.5e-5,
    1e-10,
]
ODD_FLOATS += [
    2.0**-44,
    2e-3,
    1e7 + 0.5,
    123456789.125,
    2.0**53,
    2.0**53 + 2,
    1e16,
    1.5e16,
    1e22,
    1e23,
    8.41e21,
]
ODD_FLOATS += [2.0**62, 1e300, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 0.5, 2.5, -3.5, 1 / 3]


def counted(table: Any, of: Schema) -> RecordsInEngine:
    return RecordsInEngine(open_table(table), of, "clip", salt="salt")  # type: ignore[arg-type]  # a source of an engine


def schema_of(**facts: Any) -> Schema:
    """Return a schema of one column, x."""
    return Schema({"x": facts})


def values_of(of: Schema, table: Any) -> tuple[list[Any], list[int]]:
    """Return the values of a column as an engine gives them, and how often each is there."""
    engine = counted(table, of)
    (values,), counts = engine.observed([of.columns["x"]])
    engine.close()
    return list(values), counts.tolist()


def values_in_memory(of: Schema, values: pd.Series) -> tuple[list[Any], list[int]]:
    records = conform(pd.DataFrame({"x": values}), of, on_violation="clip")
    memory = RecordsInMemory(records, max_records_per_person=None, secret=PredictableSourceForTests(0))
    (found,), counts = memory.observed([of.columns["x"]])
    return list(found[counts > 0]), counts[counts > 0].tolist()


def arrow_table(session: Spark, folder: Path, values: pa.Array) -> Any:
    """Return the Ibis table of a Parquet file of one column, x."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.monotonic_ns()}.parquet"
    pq.write_table(pa.table({"x": values}), path)
    return session.backend.read_parquet(str(path))


NUMBERS = [
    schema_of(**facts)
    for facts in (
        {"type": "integer", "low": "private", "high": "private", "missing": True},
        {"type": "real", "low": "private", "high": "private", "missing": True},
        {"type": "real", "low": -5, "high": 5, "decimals": 1, "missing": True},
        {"type": "categorical", "categories": "private", "missing": True},
        {"type": "categorical", "categories": (0, 1, 0.1, "inf", "other"), "missing": True},
    )
]
TEXTS = [
    schema_of(**facts)
    for facts in (
        {"type": "categorical", "categories": "private", "missing": True, "missing_values": ("?",)},
        {"type": "categorical", "categories": ("flu", "flu\0", "\u00e9", "true", "other"), "missing": False},
        {"type": "categorical", "categories": (0, 1, 0.1), "missing": True},
        {"type": "categorical", "categories": (*range(9), "it's", "a\\b"), "missing": True},
        {"type": "boolean", "missing": True},
    )
]
TIMES = [
    schema_of(type="datetime", low=low, high=high, missing=True, resolution=resolution)
    for low, high, resolution in (
        ("private", "private", "second"),
        ("private", "private", "day"),
        ("1300-01-01", "2100-01-01", "hour"),
    )
]
ODD_SINGLES = [np.float32(x).item() for x in (0.1, 1e-45, 3e-45, 8.41e21, 2e-3, 16777218.0)]
ODD_DECIMALS = [Decimal("1E-7"), Decimal("0E-9"), Decimal("5.000000000"), Decimal("0.1")]
first, last = dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)
signs = st.characters(codec="utf-8", exclude_categories=["Nd"]) | st.sampled_from("0123456789")
texts = st.sampled_from(ODD_TEXTS) | st.text(signs, max_size=4)  # engines read no digits of other scripts
floats = st.floats() | st.sampled_from(ODD_FLOATS)
singles = st.floats(width=32) | st.sampled_from(ODD_SINGLES)
decimals = st.decimals(-(10**28), 10**28, places=9) | st.sampled_from(ODD_DECIMALS)
STORED: dict[str, tuple[list[Schema], pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (TEXTS, pa.string(), texts),
    "double": (NUMBERS, pa.float64(), floats),
    "float": (NUMBERS, pa.float32(), singles),
    "bigint": (NUMBERS, pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "tinyint": (NUMBERS, pa.int8(), st.integers(-128, 127)),
    "boolean": ([*NUMBERS, TEXTS[-1]], pa.bool_(), st.booleans()),
    "decimal": (NUMBERS, pa.decimal128(38, 9), decimals),
    "whole decimal": (NUMBERS, pa.decimal128(38, 0), st.integers(-(10**37), 10**37).map(Decimal)),
    "date": (TIMES, pa.date32(), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))),
    "time without a zone": (TIMES, pa.timestamp("us"), st.datetimes(first, last)),
    "time with a zone": (TIMES, pa.timestamp("us", "UTC"), st.datetimes(first, last)),
}


@pytest.mark.parametrize("kind", STORED)
def test_values_are_those_of_memory(spark_session: Spark, tmp_path: Path, kind: str) -> None:
    schemas, stored, values = STORED[kind]

    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(st.lists(st.none() | values, min_size=40, max_size=120))
    def agree(drawn: list[Any]) -> None:
        array = pa.array(drawn, type=stored)
        table = arrow_table(spark_session, tmp_path / "files", array)
        as_memory = open_table(pa.table({"x": array})).column("x")
        for of in schemas:
            assert values_of(of, table) == values_in_memory(of, as_memory), of.columns

    agree()


def test_floats_are_written_as_python_writes_them(spark_session: Spark) -> None:
    tiny = [k * 5e-324 for k in range(1, 130)]
    some = np.random.default_rng(1).integers(0, 2**64 - 1, 3000, dtype=np.uint64).view(np.float64).tolist()
    near = (10.0 ** np.random.default_rng(2).uniform(-6, 18, 3000)).tolist()
    given_ = [x for x in [*ODD_FLOATS, *tiny, *some, *near, *(-x for x in tiny)] if not math.isnan(x)]
    spark_session.session.createDataFrame([(x,) for x in given_], "x DOUBLE").createOrReplaceTempView(
        "floats"
    )
    text = Dialect().float_as_text("x", is_single=False)
    written = spark_session.session.sql(f"SELECT x, {text} AS t FROM floats").collect()
    assert [(row.x, row.t) for row in written if row.t != category_text(row.x)] == []


def test_under_clip_no_value_of_its_type_stops_spark(spark_session: Spark) -> None:
    session = spark_session.session
    zone = schema_of(type="datetime", low="2000-01-01", high="2030-01-01", missing=True, zone="Asia/Tokyo")
    day = schema_of(type="datetime", low="2000-01-01", high="2030-01-01", missing=True)
    text = schema_of(type="categorical", categories="private", missing=True)
    real = schema_of(type="real", low=0, high=9, missing=True)
    ends = "VALUES (9223372036854775807L), (-9223372036854775808L), (0L), (NULL)"
    asked = {
        f"SELECT TIMESTAMP_MICROS(x) AS x FROM {ends} AS t(x)": (zone, day),
        "SELECT x FROM VALUES (TIMESTAMP_NTZ'294247-01-09'), (TIMESTAMP_NTZ'-290307-01-01') AS t(x)": (day,),
        "SELECT DATE_FROM_UNIX_DATE(x) AS x FROM VALUES (2147483647), (-2147483648), (0) AS t(x)": (
            day,
            text,
        ),
        "SELECT CAST(x AS STRING) AS x FROM VALUES (X'FF41'), (X'C3'), (X'EDA080'), (X''), (NULL) AS t(x)": (
            text,
        ),
        "SELECT CAST(x AS STRING COLLATE UTF8_LCASE) AS x FROM VALUES ('a'), ('A'), ('a ') AS t(x)": (text,),
        "SELECT CAST(REPEAT('9', 38) AS DECIMAL(38, 0)) AS x": (text, real),
        "SELECT CAST(CONCAT(REPEAT('9', 33), '.5') AS DECIMAL(38, 5)) AS x": (text, real),
        "SELECT x FROM VALUES (DOUBLE('NaN')), (DOUBLE('Infinity')), (1e308D), (-0.0D) AS t(x)": (text, real),
        "SELECT CAST(x AS FLOAT) AS x FROM VALUES ('NaN'), ('-Infinity'), ('1e-45'), (NULL) AS t(x)": (
            text,
            real,
        ),
    }
    for ansi in ("true", "false"):
        for query, columns in asked.items():
            session.conf.set("spark.sql.ansi.enabled", "true")
            session.sql(query).localCheckpoint().createOrReplaceTempView("ends")
            n = session.table("ends").count()
            session.conf.set("spark.sql.ansi.enabled", ansi)
            for column in columns:
                engine = counted(spark_session.backend.table("ends"), column)
                (total,) = engine.tables([()], {"x": coding_of_texts([])})
                assert total == n
                engine.observed(column.modelled)
                engine.close()
    session.conf.set("spark.sql.ansi.enabled", "true")


def test_texts_are_told_apart_whatever_their_collation(spark_session: Spark) -> None:
    text = schema_of(type="categorical", categories="private", missing=True)
    spark_session.session.sql(
        "SELECT CAST(x AS STRING COLLATE UTF8_LCASE) AS x FROM VALUES ('a'), ('A'), ('a '), ('b') AS t(x)"
    ).createOrReplaceTempView("collated")
    assert values_of(text, spark_session.backend.table("collated")) == (["A", "a", "b"], [1, 2, 1])


def test_ids_are_those_of_memory(spark_session: Spark, tmp_path: Path) -> None:
    of = Schema(
        {"x": {"type": "id", "role": "person_id"}, "ill": {"type": "boolean"}}, max_records_per_person=1
    )
    for values in (
        pa.array(ODD_TEXTS * 2),
        pa.array(ODD_FLOATS * 2),
        pa.array([2**63 - 1, 2**63 - 2, 5, 5, None]),
    ):
        path = tmp_path / f"{values.type}.parquet"
        pq.write_table(pa.table({"x": values, "ill": [True] * len(values)}), path)
        n_persons = len(np.unique(read_persons(open_table(path).column("x"))[0]))
        engine = counted(spark_session.backend.read_parquet(str(path)), of)
        (n,) = engine.tables([()], {"ill": coding_of_texts(["false", "true"])})
        assert n == n_persons * engine.weighting.units_per_one
        engine.close()


def test_ids_that_are_no_utf_8_are_as_many_persons_as_they_are(spark_session: Spark) -> None:
    of = Schema(
        {"x": {"type": "id", "role": "person_id"}, "ill": {"type": "boolean"}}, max_records_per_person=1
    )
    spark_session.session.sql(  # two names in Latin-1, one of them twice, and one in UTF-8
        "SELECT CAST(x AS STRING) AS x, true AS ill FROM VALUES "
        "(X'4DFC6C6C6572'), (X'4DF66C6C6572'), (X'4DF66C6C6572'), (X'4DC3BC6C6C6572') AS t(x)"
    ).createOrReplaceTempView("latin")
    engine = counted(spark_session.backend.table("latin"), of)
    (n,) = engine.tables([()], {"ill": coding_of_texts(["false", "true"])})
    assert n == 3 * engine.weighting.units_per_one
    engine.close()


def test_no_person_weighs_more_than_one_where_the_table_answers_otherwise_each_time(
    spark_session: Spark,
) -> None:
    """Rows, weights and choice come from one reading of each row, and are not read again."""
    session = spark_session.session
    session.range(3000).selectExpr(
        "CAST(id % 40 AS STRING) AS who", "RAND() < 0.5 AS ill", "RAND() AS r"
    ).where("RAND() < 0.5").select("who", "ill").createOrReplaceTempView("restless")
    of = Schema({**PERSONS, "ill": {"type": "boolean"}}, max_records_per_person=7)
    engine = counted(spark_session.backend.table("restless"), of)
    kept = session.table(engine._records.name)
    assert kept.groupBy("p").sum("w").selectExpr("MAX(`sum(w)`)").first()[0] <= engine.weighting.units_per_one
    assert kept.groupBy("p").count().selectExpr("MAX(count)").first()[0] == 7
    engine.close()


def test_a_table_that_changes_afterwards_changes_no_later_answer(
    spark_session: Spark, tmp_path: Path
) -> None:
    path = tmp_path / "visits.parquet"
    pq.write_table(pa.table({"ill": [True] * 5 + [False] * 3}), path)
    engine = counted(spark_session.backend.read_parquet(str(path)), Schema({"ill": {"type": "boolean"}}))
    coding = {"ill": coding_of_texts(["false", "true"])}
    path.unlink()
    pq.write_table(pa.table({"ill": [True] * 50 + [False] * 30}), path)
    tables = [table.tolist() for table in engine.tables([(), ("ill",)], coding)]
    assert tables == [8, [3, 5, 0]]  # false, true, missing
    engine.close()


# -- the session of the user ---------------------------------------------------------------------------


def test_settings_of_the_session_neither_matter_nor_change(spark_session: Spark) -> None:
    session, of = spark_session.session, schema(persons=True)
    table = spark_session.table(messy(200), TYPES)
    plain = {
        "spark.sql.session.timeZone": "America/Caracas",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.parser.escapedStringLiterals": "false",
        "spark.sql.caseSensitive": "false",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.codegen.wholeStage": "true",
    }
    odd = {
        "spark.sql.session.timeZone": "Pacific/Apia",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.parser.escapedStringLiterals": "true",
        "spark.sql.caseSensitive": "true",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
    }
    found = []
    for chosen in (plain, odd):
        for key, value in chosen.items():
            session.conf.set(key, value)
        before = session.conf.getAll
        engine = counted(table, of)
        found.append([engine.observed([column]) for column in of.modelled])
        engine.close()
        assert session.conf.getAll == before
    for key, value in plain.items():
        session.conf.set(key, value)
    for (ours, counts), (theirs, their_counts) in zip(*found, strict=True):
        assert [one.tolist() for one in ours] == [one.tolist() for one in theirs]
        np.testing.assert_array_equal(counts, their_counts)


def test_nothing_is_left_in_the_session(spark_session: Spark) -> None:
    session, table = spark_session.session, spark_session.table(messy(50), TYPES)
    rows_before = session.sparkContext._jsc.getPersistentRDDs().size()
    engine = counted(table, schema(persons=True))
    assert session.sparkContext._jsc.getPersistentRDDs().size() == rows_before + 1
    engine.close()
    assert session.sparkContext._jsc.getPersistentRDDs().size() == rows_before
    assert [view.name for view in session.catalog.listTables() if "privsynth" in view.name] == []


# -- what fails ----------------------------------------------------------------------------------------


def test_what_spark_says_of_a_record_is_not_repeated(
    spark_session: Spark, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = spark_session.session
    session.sql("SELECT CAST(x AS INT) AS x FROM VALUES ('Zennor'), ('1') AS t(x)").createOrReplaceTempView(
        "cast_"
    )
    source = open_table(spark_session.backend.table("cast_"))
    logged_before, heard = len(caplog.text), logging.handlers.BufferingHandler(10**6)
    loggers = [logging.getLogger(name) for name in ("SQLQueryContextLogger", "py4j")]
    for logger in loggers:
        logger.addHandler(heard)
    with pytest.raises(TableError, match="Spark did not answer: it refused a query") as stopped:
        RecordsInEngine(source, Schema({"x": {"type": "integer", "low": 0, "high": 9}}), "clip")  # type: ignore[arg-type]  # a source of an engine
    told = str(stopped.value) + "".join(capfd.readouterr()) + caplog.text[logged_before:]
    for logger in loggers:
        logger.removeHandler(heard)
    assert "Zennor" not in told
    assert not any("Zennor" in str(vars(record)) for record in heard.buffer)
    assert stopped.value.__cause__ is None
    assert not logging.getLogger("SQLQueryContextLogger").disabled


@contextmanager
def acting(monkeypatch: pytest.MonkeyPatch, when: int, act: Any) -> Iterator[None]:
    """Do something while the answer to a query is awaited."""
    columns, n = SparkDriver.columns, [0]

    def awaited(self: SparkDriver, answer: Any) -> Any:
        n[0] += 1
        if n[0] == when:
            timer = threading.Thread(target=act)
            timer.start()
            slow = self._session.sql("SELECT BIT_XOR(XXHASH64(id)) FROM RANGE(1000000000000)")
            try:
                columns(self, slow)
            finally:
                timer.join()
        return columns(self, answer)

    with monkeypatch.context() as patched:
        patched.setattr(SparkDriver, "columns", awaited)
        yield


def few() -> Schema:
    return Schema({name: COLUMNS[name] for name in ("sex", "town", "age")})


def test_a_query_that_is_cancelled_is_told_and_paid_and_the_run_is_resumed(
    spark_session: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, ledger = spark_session.table(messy(), TYPES), Ledger(tmp_path / "ledger")
    kept = {"dataset": "visits", "ledger": ledger, "releases_path": tmp_path / "m.partial"}

    def cancel() -> None:
        time.sleep(1.0)
        spark_session.session.sparkContext.cancelAllJobs()

    with (
        acting(monkeypatch, 4, cancel),
        pytest.raises(TableError, match="Spark did not answer: a query was cancelled"),
    ):
        fitted(table, few(), **kept)
    (before,) = ledger.datasets()
    assert before.epsilon > 0
    resumed = fitted(table, few(), **kept)
    told = " ".join(resumed.guarantee_["not_covered"])
    assert "records may have changed between releases" in told
    assert "records may have changed while they were read" in told
    (after,) = ledger.datasets()
    assert len(after.runs) == 1  # the same reservation
    assert after.runs[0].n_events > before.runs[0].n_events > 0
    assert len(resumed.sample(5)) == 5


def test_addresses_lead_to_files_and_tables(
    spark_session: Spark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = messy(300)[["sex", "town", "age", "who"]]
    folder = tmp_path / "visits"
    folder.mkdir()
    few_ = Schema({**few().to_dict()["columns"], **PERSONS}, max_records_per_person=3)
    for i in range(2):
        part = frame[i::2].astype({"age": float})
        part.to_parquet(folder / f"{i}.parquet", index=False)
    few_.save(tmp_path / "schema.json")
    for address in (f"spark://{folder}", f"spark://{folder}/*.parquet"):
        assert table_name(address) == "visits"
        arguments = [
            "--schema",
            str(tmp_path / "schema.json"),
            "--epsilon",
            "4",
            "--on-violation",
            "clip",
            "--quiet",
        ]
        arguments += ["-o", str(tmp_path / "model"), "--ledger", str(tmp_path / "ledger"), "--force"]
        with pytest.raises(SystemExit) as ended:
            main(["fit", address, *arguments])
        assert not ended.value.code, capsys.readouterr().err
    for address, said in (
        ("spark://", "expected spark://PATH for a Parquet file, folder or pattern, or spark://#TABLE"),
        ("spark://a#b", "expected spark://PATH"),
        (f"spark://{tmp_path}/none", "there is no Parquet file at"),
        ("spark://#nothing.here", "there is no table 'nothing.here' in Spark's catalogue"),
    ):
        with pytest.raises(TableError, match=said):
            open_table(address)
    assert spark_session.session.range(3).count() == 3  # the caller's session goes on


def test_streaming_connections_are_refused(spark_session: Spark) -> None:
    spark_session.session.range(3).createOrReplaceTempView("three")
    backend = ibis.pyspark.connect(spark_session.session, mode="streaming")
    with pytest.raises(TableError, match="stands still"):
        open_table(backend.table("three"))


def test_a_session_that_is_stopped_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last test here: it stops the session that the others use."""
    with spark() as own:
        table = own.table(messy(), TYPES, "stopped")
        with (
            acting(monkeypatch, 4, lambda: (time.sleep(1.0), own.session.stop())),
            pytest.raises(TableError, match="Spark did not answer: the session was stopped"),
        ):
            fitted(table, few())
