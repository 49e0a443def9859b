"""Fits to a table in an engine: the releases of memory, no value in a query, sentences for the rest."""

from __future__ import annotations

import ast
import itertools
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import privsynth
from privsynth.cli import main
from privsynth.domains.coding import coding_of_texts
from privsynth.errors import BudgetExceededError, ParameterError, SchemaError, TableError
from privsynth.io.engines import EngineSource
from privsynth.io.tables import open_table, table_name
from privsynth.ledger.ledger import Ledger
from privsynth.models.tables.gan import GanOptions
from privsynth.records.conform import conform
from privsynth.schema import Schema
from privsynth.synthesizers import fitting
from privsynth.synthesizers.tables.dpgan import DPGANSettings
from privsynth.synthesizers.tables.pategan import PATEGANSettings
from privsynth.warehouse.records import RecordsInEngine
from privsynth.warehouse.session import Session
from tests.helpers.engines import Postgres, in_duckdb
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import QUICK
from tests.warehouse.messy import COLUMNS, PERSONS, TYPES, as_memory, codings, in_memory, messy, schema

MOST_QUERIES = 130  # a fit
FEW: dict[Any, Any] = {
    privsynth.DPGANSynthesizer: DPGANSettings(n_steps=3, gan=GanOptions(n_states=64, hidden=(8,))),
    privsynth.PATEGANSynthesizer: PATEGANSettings(n_rounds=2, n_states=64, queries_per_round=20),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All statements that reach an engine."""
    statements: list[str] = []
    run = Session._run

    def listening(self: Session, statement: str) -> Any:
        statements.append(statement)
        return run(self, statement)

    monkeypatch.setattr(Session, "_run", listening)
    return statements


def fitted(table: Any, of: Schema, epsilon: float = 20.0, **arguments: Any) -> Any:
    synthesizer = privsynth.MarginalSynthesizer(epsilon=epsilon, settings=QUICK, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of delta, and of what is hardly known: the table is small
        return synthesizer.fit(table, schema=of, on_violation="clip", **arguments)


@pytest.mark.parametrize("persons", [False, True], ids=["records", "persons"])
def test_a_fit_gives_the_releases_of_memory_bit_for_bit(
    load: Any, persons: bool, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of, frame, salt = schema(persons=persons), messy(), "salt"
    monkeypatch.setattr("privsynth.warehouse.canonical.secrets.token_hex", lambda n: salt)
    in_engine = fitted(load(frame, TYPES), of, secret=PredictableSourceForTests(3))
    assert 10 < len(asked) <= MOST_QUERIES
    # the rows that an engine chooses, held in memory
    monkeypatch.setattr(fitting, "hold", lambda records, view, secret: in_memory(frame, of, salt=salt))
    elsewhere = fitted(as_memory(frame), of, secret=PredictableSourceForTests(3))
    assert len(in_engine.releases_) > 10
    for ours, theirs in zip(in_engine.releases_, elsewhere.releases_, strict=True):
        assert (ours.key, ours.facts, ours.event) == (theirs.key, theirs.facts, theirs.event)
        assert ours.arrays.keys() == theirs.arrays.keys()
        for name, array in ours.arrays.items():
            np.testing.assert_array_equal(array, theirs.arrays[name])


def test_what_breaks_the_schema_is_told_in_the_words_of_memory(load: Any) -> None:
    strict = {name: {**facts, "missing": False} for name, facts in COLUMNS.items()}
    of, frame = Schema({**strict, **PERSONS}, max_records_per_person=3), messy()
    with pytest.raises(SchemaError) as in_memory_:
        conform(as_memory(frame), of)
    source = open_table(load(frame, TYPES))
    with pytest.raises(SchemaError) as in_engine:
        RecordsInEngine(source, of, "error")  # type: ignore[arg-type]  # a source of an engine
    assert str(in_engine.value) == str(in_memory_.value)
    assert "a value is" in str(in_engine.value)
    with pytest.raises(TableError, match="the table has no rows"):
        RecordsInEngine(open_table(load(frame[:0], TYPES)), of, "error")  # type: ignore[arg-type]  # a source of an engine


SECRETS = ("Zennor", "p-secret-7", "8417.25", "1933-05-06")


def secretive() -> Any:
    """A table with a town, a person, a number and a day that one row alone holds."""
    frame = messy(300)
    return frame.assign(
        town=["Zennor", *["Ulm"] * 299],
        who=["p-secret-7", *frame["who"][1:]],
        rate=[8417.25, *frame["rate"][1:]],
        born=[np.datetime64("1933-05-06").item(), *frame["born"][1:]],
    )


def spellings(text: str) -> set[str]:
    return {
        text,
        text.encode().hex(),
        text.encode().hex().upper(),
        "".join(f"\\x{b:02X}" for b in text.encode()),
    }


def test_no_value_that_is_neither_public_nor_released_is_in_a_query_or_a_log(
    load: Any, asked: list[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    table = load(secretive(), TYPES)
    logged_before = len(caplog.text)
    fitted(table, schema(persons=True))
    told = "\n".join([*asked, caplog.text[logged_before:], *capsys.readouterr()])
    for secret in SECRETS:
        assert not any(spelling in told for spelling in spellings(secret)), secret
    assert any(spelling in told for spelling in spellings("Ulm"))  # it was released


def test_the_log_of_a_server_holds_no_value_either(server: Postgres) -> None:
    table = server.table(secretive(), TYPES)
    begin = server.log.stat().st_size
    fitted(table, schema(persons=True))
    told = server.log.read_bytes()[begin:].decode()
    assert "CREATE TEMPORARY TABLE" in told
    for secret in SECRETS:
        assert not any(spelling in told for spelling in spellings(secret)), secret


def test_every_query_is_charged_first(load: Any, asked: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    ledger, charged = Ledger(tmp_path / "ledger.sqlite"), []
    charge = Ledger.charge

    def refusing(self: Ledger, run: str, event: Any, key: str) -> None:
        charged.append((key, len(asked)))
        if len(charged) > 6:
            raise BudgetExceededError("as if it were spent")
        charge(self, run, event, key)

    monkeypatch.setattr(Ledger, "charge", refusing)
    with pytest.raises(BudgetExceededError):
        fitted(load(messy(), TYPES), schema(persons=False), dataset="visits", ledger=ledger)
    n_at_refusal = charged[-1][1]
    assert all(statement.startswith("DROP") for statement in asked[n_at_refusal:])
    n_at_charge = [n for _, n in charged]
    assert n_at_charge[0] > 0  # the table was made by then: reserved, and no answer of it released
    assert n_at_charge == sorted(n_at_charge)
    assert all(later > earlier for earlier, later in itertools.pairwise(n_at_charge))


@pytest.mark.parametrize("kind", [privsynth.DPGANSynthesizer, privsynth.PATEGANSynthesizer])
def test_no_row_leaves_before_what_it_is_for_is_charged(
    kind: Any, load: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Of steps and of votes the charge is refused: then no row was fetched."""
    fetched, refused = [], []
    charge, fetch = Ledger.charge, Session.rows

    def refusing(self: Ledger, run: str, event: Any, key: str) -> Any:
        if type(event).__name__ == "SampledGaussian" or "votes" in key:
            refused.append(key)
            raise BudgetExceededError("as if it were spent")
        return charge(self, run, event, key)

    def noted(self: Session, query: str) -> Any:
        fetched.append(query)
        return fetch(self, query)

    monkeypatch.setattr(Ledger, "charge", refusing)
    monkeypatch.setattr(Session, "rows", noted)
    synthesizer, of = kind(epsilon=20.0, settings=FEW[kind], random_state=0), schema(persons=True)
    where = {"dataset": "visits", "ledger": tmp_path / "ledger.sqlite"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of delta, and of what is hardly known: the table is small
        with pytest.raises(BudgetExceededError):
            synthesizer.fit(
                load(messy(), TYPES), schema=of, on_violation="clip", rows_may_leave=True, **where
            )
    assert len(refused) == 1
    assert fetched == []


def test_nothing_is_asked_before_the_budget_is_reserved(load: Any, asked: list[str], tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.set_limit("visits", epsilon=0.5, delta=1e-6)
    synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, settings=QUICK)
    with pytest.raises(BudgetExceededError, match="Nothing was read"):
        synthesizer.fit(load(messy(), TYPES), schema=schema(persons=False), dataset="visits", ledger=ledger)
    assert asked == []


def test_nothing_is_left_in_the_engine(load: Any) -> None:
    table = load(messy(), TYPES)
    fitted(table, schema(persons=True))
    assert [name for name in table._find_backend().list_tables() if "privsynth" in name] == []


def test_the_guarantee_of_a_resumed_run_says_that_records_may_have_changed(tmp_path: Path) -> None:
    table, of = in_duckdb(messy(), TYPES), schema(persons=False)
    kept = {"dataset": "visits", "ledger": tmp_path / "ledger", "releases_path": tmp_path / "m.partial"}

    def interrupt(message: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(table, of, **kept, progress=interrupt)
    resumed, whole = fitted(table, of, **kept), fitted(table, of)
    said = "records may have changed between releases"
    assert any(said in text for text in resumed.guarantee_["not_covered"])
    assert not any(said in text for text in whole.guarantee_["not_covered"])


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [privsynth.DPGANSynthesizer, privsynth.PATEGANSynthesizer])
def test_who_learns_from_rows_is_refused_before_anything_is_reserved(kind: Any, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(TableError, match=r"stay there: marginal .* is fitted to them by counts alone"):
        kind(epsilon=1.0).fit(
            in_duckdb(messy(), TYPES), schema=schema(persons=False), dataset="visits", ledger=ledger
        )
    assert ledger.datasets() == []


@pytest.mark.parametrize("persons", [False, True], ids=["records", "persons"])
def test_rows_that_may_leave_are_those_of_memory_person_by_person(load: Any, persons: bool) -> None:
    of, frame = schema(persons=persons), messy()
    held = in_memory(frame, of, salt="salt")
    source = open_table(load(frame, TYPES))
    engine = RecordsInEngine(source, of, "clip", salt="salt", rows_may_leave=True)  # type: ignore[arg-type]  # a source of an engine
    by = codings(of, held, joint=True)
    expected, rows = held.rows(by), engine.rows(by)
    found, sizes = rows.take(slice(None)).numpy(), rows.weighting.sizes
    assert len(rows) == len(expected) == len(found)
    begins = np.arange(len(found)) if sizes is None else np.cumsum(sizes) - sizes
    of_unit = np.split(found, begins[1:])
    codes, numbers = expected.take(slice(None)).numpy(), expected.weighting.persons
    units = np.arange(len(codes)) if numbers is None else numbers
    of_memory = [codes[units == unit] for unit in np.unique(units)]
    assert as_bags(of_unit) == as_bags(of_memory)
    assert (sizes is None) is not persons
    engine.close()
    assert rows.take(np.array([0])).tolist() == [found[0].tolist()]  # it is fetched once


def as_bags(units: list[Any]) -> list[Any]:
    """Rows in no order within a unit, and units in none."""
    return sorted(sorted(rows.tolist()) for rows in units)


def test_rows_do_not_leave_unless_they_may(load: Any) -> None:
    engine = RecordsInEngine(open_table(load(messy(), TYPES)), schema(persons=False), "clip")  # type: ignore[arg-type]  # a source of an engine
    with pytest.raises(TableError, match="stay there"):
        engine.rows({"sex": coding_of_texts(["F", "M"])})
    engine.close()


@pytest.mark.parametrize("kind", [privsynth.DPGANSynthesizer, privsynth.PATEGANSynthesizer])
def test_who_learns_from_rows_may_fetch_them_and_the_guarantee_says_so(kind: Any, tmp_path: Path) -> None:
    synthesizer, said = kind(epsilon=20.0, settings=FEW[kind], random_state=0), "coded rows left their engine"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of delta, and of what is hardly known: the table is small
        synthesizer.fit(
            in_duckdb(messy(), TYPES),
            schema=schema(persons=True),
            on_violation="clip",
            dataset="visits",
            ledger=tmp_path / "ledger.sqlite",
            rows_may_leave=True,
        )
    assert sum(said in text for text in synthesizer.guarantee_["not_covered"]) == 1
    assert len(synthesizer.sample(20)) == 20
    counted = fitted(
        in_duckdb(messy(), TYPES),
        schema(persons=True),
        dataset="w",
        ledger=tmp_path / "l",
        rows_may_leave=True,
    )
    assert not any(said in text for text in counted.guarantee_["not_covered"])  # no row was asked for


def test_sequences_and_linked_tables_are_refused() -> None:
    table = in_duckdb(messy(), TYPES)
    facts = {"type": "datetime", "low": "1960-01-01", "high": "2030-01-01", "role": "order"}
    of = Schema({**COLUMNS, **PERSONS, "seen": facts}, max_records_per_person=3)
    with pytest.raises(SchemaError, match="a sequence, which are not counted in an engine"):
        privsynth.MarginalSynthesizer(epsilon=1.0).fit(table, schema=of)
    with pytest.raises(TableError, match="stay there"):
        open_table(table).require_rows()


def test_types_that_are_not_read_are_refused() -> None:
    table = in_duckdb(messy(20), {**TYPES, "stay": "VARCHAR"})
    with pytest.raises(TableError, match="'stay' is stored as string, and numbers that are stored so"):
        privsynth.MarginalSynthesizer(epsilon=1.0).fit(table, schema=schema(persons=False))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("duckdb:///nowhere/at-all.duckdb#visits", "DuckDB cannot be reached at this address"),
        ("postgresql://me:SECRET@/x?host=/nowhere#visits", "PostgreSQL cannot be reached at this address"),
        ("duckdb:///nowhere/at-all.duckdb", "expected the name of a table behind the address"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(address: str, message: str) -> None:
    with pytest.raises(TableError, match=message) as refused:
        open_table(address)
    assert "SECRET" not in str(refused.value)


def test_an_address_of_no_file_says_where_paths_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    in_duckdb(messy(20), TYPES, tmp_path / "clinic.duckdb")._find_backend().disconnect()
    (tmp_path / "notes.duckdb").write_text("SECRET")
    for address, message in (
        ("duckdb:///clinic.duckdb#visits", r"root; the one in this folder is duckdb://clinic\.duckdb#visits"),
        (
            "duckdb://clinics.duckdb#visits",
            r"no file 'clinics\.duckdb'. Paths behind duckdb:// begin in this",
        ),
        ("duckdb://notes.duckdb#visits", "whether its file is one of DuckDB"),
        ("duckdb://clinic.duckdb#old.visits", r"no table 'old\.visits'"),
    ):
        with pytest.raises(TableError, match=message) as refused:
            open_table(address)
        assert "SECRET" not in str(refused.value)
    assert "sex" in open_table("duckdb://clinic.duckdb#visits").names


def test_a_draft_of_a_table_in_an_engine_names_only_what_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_duckdb(messy(20), TYPES, tmp_path / "clinic.duckdb")._find_backend().disconnect()
    with pytest.raises(SystemExit) as ended:
        main(["schema", f"duckdb://{tmp_path}/clinic.duckdb#visits", "-o", str(tmp_path / "drafted.json")])
    said = capsys.readouterr().err
    assert not ended.value.code
    assert "`privsynth fit` takes the same address" in said
    assert "--infer" not in said
    assert "privsynth check" not in said


def test_streaming_a_table_in_an_engine_is_refused_with_what_works(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"counted where it is.* leave --stream out"):
        privsynth.MarginalSynthesizer(epsilon=1.0).fit(
            in_duckdb(messy(20), TYPES), schema=schema(persons=False), stream=True
        )


def test_the_command_line_fits_a_table_by_its_address(tmp_path: Path, server: Postgres) -> None:
    in_duckdb(messy(), TYPES, tmp_path / "clinic.duckdb")._find_backend().disconnect()
    server.table(messy(), TYPES, "visits")
    few = {name: COLUMNS[name] for name in ("sex", "town", "age")}
    Schema({**few, **PERSONS}, max_records_per_person=3).save(tmp_path / "schema.json")
    for address in (f"duckdb://{tmp_path}/clinic.duckdb#visits", f"{server.dsn}#public.visits"):
        assert table_name(address) == "visits"
        arguments = ["--schema", str(tmp_path / "schema.json"), "--epsilon", "4", "--on-violation", "clip"]
        arguments += ["-o", str(tmp_path / "model"), "--ledger", str(tmp_path / "ledger"), "--force"]
        with pytest.raises(SystemExit) as ended:
            main(["fit", address, *arguments, "--quiet"])
        assert not ended.value.code
    (spent,) = Ledger(tmp_path / "ledger").datasets()
    assert spent.dataset == "visits"


def test_importing_privsynth_does_not_import_ibis() -> None:
    for path in Path(privsynth.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"ibis", "duckdb", "psycopg", "pyspark"}


# -- engines that fail ---------------------------------------------------------------------------------


def failing(server: Postgres, act: str, when: int, asked: list[str], monkeypatch: Any) -> str:
    """Fit while another session does something to the server before a query, and return what is said."""
    table = server.table(messy(), TYPES)
    run, other = Session._run, server.connect()
    own = table._find_backend().con.info.backend_pid

    def acting(self: Session, statement: str) -> Any:
        if len(asked) == when:
            other.execute(act.format(table=table.get_name(), pid=own))
        return run(self, statement)

    monkeypatch.setattr(Session, "_run", acting)
    with pytest.raises(TableError) as stopped:
        fitted(table, schema(persons=False))
    return str(stopped.value)


FAILURES = {
    "terminated": (
        "SELECT pg_terminate_backend({pid}), pg_sleep(0.2)",
        12,
        "the connection was lost",
    ),
    "dropped": ('DROP TABLE "{table}"', 0, "the table is not there any more"),
    "a column dropped": ('ALTER TABLE "{table}" DROP COLUMN age', 0, "a column is not there any more"),
    "a type changed": ('ALTER TABLE "{table}" ALTER COLUMN age TYPE TEXT', 0, "it lacks a function"),
}


@pytest.mark.parametrize(("act", "when", "said"), FAILURES.values(), ids=FAILURES)
def test_an_engine_that_fails_is_told_in_one_sentence(
    server: Postgres, act: str, when: int, said: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said in failing(server, act, when, asked, monkeypatch)


def test_what_an_engine_says_of_a_record_is_not_repeated(server: Postgres) -> None:
    server.table(secretive(), TYPES, "raw")
    connection = server.connect()
    connection.execute("CREATE VIEW cast_ AS SELECT CAST(town AS INTEGER) AS age FROM raw")
    source = open_table(f"{server.dsn}#cast_")
    assert isinstance(source, EngineSource)
    with pytest.raises(TableError, match="did not answer: it refused a query") as stopped:
        RecordsInEngine(source, Schema({"age": {"type": "integer", "low": 0, "high": 9}}), "clip")
    assert "Zennor" not in str(stopped.value)
    source.close()


def test_a_query_that_takes_too_long_is_told(server: Postgres) -> None:
    table = server.table(messy(), TYPES)
    table._find_backend().con.execute("SET statement_timeout = 1")
    with pytest.raises(TableError, match="a query was cancelled, by statement_timeout or by someone"):
        fitted(table, schema(persons=True))
