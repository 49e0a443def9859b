"""A team's ledger in PostgreSQL: who may do what, and what a server or a connection that goes away leaves."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest

import privsynth
from privsynth.accounting.events import Gaussian
from privsynth.attacks.private_audit import AuditBudget
from privsynth.errors import BudgetExceededError, LedgerError, ParameterError
from privsynth.io.hash_chain import HashChain
from privsynth.io.postgres import holds_password
from privsynth.ledger import ledger as ledger_module
from privsynth.ledger import server as ledger_server
from privsynth.ledger.ledger import Ledger, Unit
from privsynth.ledger.server import script
from privsynth.ledger.tables import FORMAT, TABLES
from tests.helpers.commands import run
from tests.helpers.engines import Postgres
from tests.ledger.places import content, ledger_at, on_server

EVENT = Gaussian(purpose="counts", noise_multiplier=100.0)
SECRET = "hunter2~secret"
SCHEMA = {"sex": {"type": "categorical", "categories": ["F", "M"]}, "ill": {"type": "boolean"}}


@pytest.fixture
def place(server: Postgres) -> str:
    return on_server(server)


@pytest.fixture
def ledger(place: str) -> Ledger:
    return ledger_at(place)


def schema_of(place: str) -> str:
    return place.partition("#")[2]


def reserve(ledger: Ledger, epsilon: float = 1.0, **changes: Any) -> str:
    facts = {"dataset": "d", "unit": Unit(unit="record"), "delta": 1e-6, "description": "fit"} | changes
    return ledger.reserve(epsilon=epsilon, **facts)


def table() -> pd.DataFrame:
    return pd.DataFrame({"sex": ["F", "M"] * 100, "ill": [True, False, False, True] * 50})


def fitted(place: str | Ledger, **options: Any) -> Any:
    synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, random_state=0)
    options = {"dataset": "clinic"} | options
    return synthesizer.fit(table(), schema=privsynth.Schema(SCHEMA), ledger=place, **options)


def end_connections(server: Postgres) -> int:
    """End all connections of ledgers, and wait until they are gone."""
    connection = server.connect()
    others = "FROM pg_stat_activity WHERE application_name = 'privsynth'"
    n = len(connection.execute(f"SELECT pg_terminate_backend(pid) {others}").fetchall())
    while connection.execute(f"SELECT count(*) {others}").fetchone()[0]:
        time.sleep(0.01)
    return n


# -- several writers ------------------------------------------------------------------------------------


def _take(place: str, wait_for: Any, granted: Any) -> None:
    ledger = Ledger(place)
    wait_for.wait()
    n = 0
    for _ in range(4):
        try:
            reserve(ledger, 0.5, delta=1e-7)
        except BudgetExceededError:
            continue
        n += 1
    granted.put(n)


def test_eight_processes_that_contend_for_a_limit_get_exactly_what_fits(ledger: Ledger, place: str) -> None:
    # of delta 1e-6, a tenth is for discovery and slacks, and each run sets a tenth of its 1e-7 aside: ten fit
    ledger.set_limit("d", epsilon=50.0, delta=1e-6)
    of = multiprocessing.get_context("fork")
    together, granted = of.Barrier(8), of.Queue()
    processes = [of.Process(target=_take, args=(place, together, granted)) for _ in range(8)]
    for process in processes:
        process.start()
    assert sum(granted.get(timeout=60) for _ in processes) == 10
    for process in processes:
        process.join()
    assert len(ledger.datasets()[0].runs) == 10
    assert Ledger(place).datasets()[0].delta == 1e-6  # and its history is whole


def test_a_ledger_without_history_has_no_last_link(ledger: Ledger) -> None:
    assert ledger.last_link() == {"chain": None, "number": 0, "head": ""}
    ledger.check_link(ledger.last_link(), "a model")
    reserve(ledger)
    assert ledger.last_link()["chain"] is not None
    ledger.check_link({"chain": None, "number": 0, "head": ""}, "a model")


def test_who_writes_is_told_when_another_one_keeps_the_lock(
    ledger: Ledger, server: Postgres, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = server.connect()
    holder.execute(f"SELECT pg_advisory_lock({ledger_server.LOCK}, hashtext('{schema_of(place)}'))")
    monkeypatch.setattr(ledger_server, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(LedgerError, match=r"another run is writing it. Wait for that run; the same command"):
        reserve(ledger)
    assert ledger.datasets() == []  # reading waits for nobody
    holder.close()
    reserve(ledger)


def test_of_two_writers_who_know_nothing_of_each_other_one_is_refused(
    ledger: Ledger, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock = ledger_server._LOCKED.partition("SELECT pg_advisory")[0].rstrip().rstrip(";")
    monkeypatch.setattr(ledger_server, "_LOCKED", without_lock)
    other, check_limit = Ledger(place), ledger_module.check_limit
    ledger.set_limit("d", epsilon=1.2, delta=1e-5)

    def with_the_other(*arguments: Any) -> None:
        monkeypatch.setattr(ledger_module, "check_limit", check_limit)
        check_limit(*arguments)
        reserve(other)  # after this one has read what is left

    monkeypatch.setattr(ledger_module, "check_limit", with_the_other)
    with pytest.raises(LedgerError, match="an entry of that name is there already"):
        reserve(ledger)
    (summary,) = Ledger(place).datasets()
    assert len(summary.runs) == 1


# -- roles, and rows that stay ---------------------------------------------------------------------------


@pytest.fixture
def users(server: Postgres, place: str) -> Callable[[str], str]:
    """Make a ledger by the SQL that is printed; gives the address of a member of a role."""
    owner, name = server.connect(), schema_of(place)
    printed = run("ledger", "roles", "--ledger", place)
    assert printed.code == 0
    assert printed.out.count("CREATE TABLE") == len(TABLES) + 2
    for sql in (printed.out, script(name)):  # again: what is there stays
        owner.execute(sql)
    for role in ("reader", "writer", "steward"):
        owner.execute(f"CREATE ROLE {name}_a_{role} LOGIN IN ROLE {name}_{role}")
    owner.execute(f"CREATE ROLE {name}_a_nobody LOGIN")

    def address(role: str) -> str:
        return place.replace("privsynth@", f"{name}_a_{role}@")

    return address


def test_a_writer_fits_a_steward_sets_limits_and_a_reader_reads(users: Callable[[str], str]) -> None:
    writer, steward, reader = (users(role) for role in ("writer", "steward", "reader"))
    assert Ledger(reader).datasets() == []
    Ledger(steward).set_limit("clinic", epsilon=1.2, delta=1e-5)
    model = fitted(writer)
    with pytest.raises(BudgetExceededError):
        fitted(writer)
    (summary,) = Ledger(reader).datasets()
    assert (summary.limit, summary.limit_came_first) == ((1.2, 1e-5), True)
    assert [(r.status, r.n_events) for r in summary.runs] == [("finished", len(model.releases_))]
    assert summary.runs[0].who == f"{schema_of(writer)}_a_writer"
    assert f" by {summary.runs[0].who}, asked for" in run("ledger", "show", "--ledger", reader).out
    no_right = (
        "its user may not do this. Its owner makes them a member of the role that may, SCHEMA_writer to fit"
    )
    for refused in (
        lambda: Ledger(writer).set_limit("clinic", epsilon=9.0, delta=1e-5),
        lambda: reserve(Ledger(steward), dataset="other"),
        lambda: insert(
            Ledger(steward), "limits (dataset, epsilon, delta, who) VALUES ('clinic', 9, 0.1, 'eve')"
        ),
        lambda: insert(
            Ledger(writer),
            "states (run, status, reserved_mu_squared, reserved_delta, since, who) "
            f"VALUES ('{summary.runs[0].run}', 'closed', 0, 0, '', 'eve')",
        ),
        lambda: reserve(Ledger(reader), dataset="other"),
        lambda: Ledger(users("nobody")).datasets(),
        lambda: Ledger(users("nobody").partition("#")[0] + "#not_there"),
    ):
        with pytest.raises(LedgerError, match=no_right):
            refused()
    assert [summary] == Ledger(reader).datasets()


def insert(ledger: Ledger, into: str) -> None:
    with ledger._store.transaction(write=True) as database:
        database.execute(f"INSERT INTO {into}")


@pytest.mark.parametrize("who", ["writer", "steward", "owner"])
def test_no_row_is_changed_or_removed(
    users: Callable[[str], str], server: Postgres, place: str, who: str
) -> None:
    import psycopg

    fitted(users("writer"))
    address = server.dsn if who == "owner" else users(who).partition("#")[0]
    refusal = psycopg.errors.RaiseException if who == "owner" else psycopg.errors.InsufficientPrivilege
    with psycopg.connect(address, autocommit=True) as connection:
        for name in (*TABLES, "history", "about"):
            of = f"{schema_of(place)}.{name}"
            column = connection.execute(f"SELECT * FROM {of}").description[-1].name
            for statement in (
                f"UPDATE {of} SET {column} = {column}",
                f"DELETE FROM {of}",
                f"TRUNCATE {of} CASCADE",
            ):
                with pytest.raises(refusal):
                    connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE sequence = 2",
        "DELETE FROM states WHERE status = 'finished'",
        "DELETE FROM limits",
        "UPDATE runs SET epsilon = epsilon / 2",
        "DELETE FROM history WHERE number = 3",
    ],
)
def test_rows_that_an_owner_changed_all_the_same_are_found(
    ledger: Ledger, server: Postgres, place: str, statement: str
) -> None:
    ledger.set_limit("d", epsilon=3.0, delta=1e-5)
    of = reserve(ledger)
    for i in range(3):
        ledger.charge(of, EVENT, f"k{i}")
    ledger.finish(of)
    assert len(Ledger(place).events(of)) == 3
    owner = server.connect()
    owner.execute(f"SET search_path TO {schema_of(place)}; SET session_replication_role TO replica")
    assert owner.execute(statement).rowcount > 0
    with pytest.raises(LedgerError, match=r"it lacks charges that it had, .*; put back its newest backup"):
        Ledger(place)


def test_an_older_backup_is_found_by_who_saw_a_later_link(
    ledger: Ledger, server: Postgres, place: str
) -> None:
    reserve(ledger)
    link = ledger.last_link()
    of = reserve(ledger)
    ledger.charge(of, EVENT, "k")
    seen = ledger.last_link()
    ledger.check_link(seen, "the model")
    owner = server.connect()
    owner.execute(f"SET search_path TO {schema_of(place)}; SET session_replication_role TO replica")
    for table in ("events", "states", "runs"):
        owner.execute(f"DELETE FROM {table} WHERE {'id' if table == 'runs' else 'run'} = '{of}'")
    owner.execute(f"DELETE FROM history WHERE number > {link['number']}")
    Ledger(place).check_link(link, "the model")
    with pytest.raises(LedgerError, match="is an older copy: it lacks charges"):
        Ledger(place).check_link(seen, "the model")


# -- what goes away --------------------------------------------------------------------------------------


def test_a_connection_that_is_ended_between_two_charges_is_made_anew(
    ledger: Ledger, server: Postgres
) -> None:
    of = reserve(ledger)
    for i in range(3):
        assert end_connections(server) >= 1
        ledger.charge(of, EVENT, f"k{i}")
    assert [key for _, key, _ in ledger.events(of)] == ["k0", "k1", "k2"]


def test_a_connection_that_is_ended_within_a_charge_leaves_nothing_of_it(
    ledger: Ledger, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = reserve(ledger)
    before = content(ledger)
    add = HashChain.add
    for cut in (lambda chain, newest: None, add):  # before its link is written, and just before the commit
        monkeypatch.setattr(
            HashChain, "add", lambda chain, newest, cut=cut: (cut(chain, newest), end_connections(server))
        )
        with pytest.raises(
            LedgerError, match=r"connection was lost. What was being written is there whole or"
        ):
            ledger.charge(of, EVENT, "k")
        assert content(ledger) == before
    monkeypatch.undo()
    assert ledger.charge(of, EVENT, "k") == 1


def test_a_fit_whose_server_restarts_goes_on_and_pays_for_nothing_twice(
    server: Postgres, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial, charged = tmp_path / "m.partial", []
    charge = Ledger.charge

    def stopping(self: Ledger, of: str, event: Any, key: str) -> int:
        if len(charged) == 2:
            charged.append("stopped")
            server.halt()
        charged.append(key)
        return charge(self, of, event, key)

    monkeypatch.setattr(Ledger, "charge", stopping)
    with pytest.raises(LedgerError, match=r"no server answers there. Start it, or look at host and port"):
        fitted(place, releases_path=partial)
    with pytest.raises(LedgerError, match="no server answers"):
        fitted(place, releases_path=partial)
    server.resume()
    monkeypatch.undo()
    (waiting,) = Ledger(place).datasets()[0].runs
    assert (waiting.status, waiting.n_events) == ("open", 2)
    model = fitted(place, releases_path=partial)
    (summary,) = Ledger(place).datasets()
    assert [r.status for r in summary.runs] == ["finished"]
    assert not any(release.lost for release in model.releases_)
    assert len(Ledger(place).events(summary.runs[0].run)) == len(model.releases_)


def test_a_statement_that_is_cancelled_says_so(ledger: Ledger, server: Postgres, place: str) -> None:
    holder = server.connect()
    holder.execute(f"SELECT pg_advisory_lock({ledger_server.LOCK}, hashtext('{schema_of(place)}'))")
    address, _, name = place.partition("#")
    impatient = Ledger(f"{address}&options={quote('-c statement_timeout=100')}#{name}")
    with pytest.raises(
        LedgerError, match=r"a statement was cancelled, by statement_timeout or by someone. The"
    ):
        reserve(impatient)
    holder.close()
    reserve(impatient)


def test_settings_of_a_role_change_neither_what_is_read_nor_whether_it_lasts(
    ledger: Ledger, place: str
) -> None:
    reserve(ledger, epsilon=0.1234567890123456)
    address, _, name = place.partition("#")
    settings = "-c extra_float_digits=-5 -c synchronous_commit=off -c default_transaction_read_only=on "
    settings += "-c default_transaction_isolation=serializable -c search_path=public"
    odd = Ledger(f"{address}&options={quote(settings)}#{name}")
    assert odd.datasets() == ledger.datasets()
    with odd._store.transaction(write=True) as database:
        assert database.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert database.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    reserve(odd)
    assert len(ledger.datasets()[0].runs) == 2


def test_what_is_no_ledger_is_left_alone(server: Postgres, place: str) -> None:
    owner, name = server.connect(), schema_of(place)
    assert not Ledger(place, make=False)._store.is_there
    owner.execute(f"CREATE SCHEMA {name}; CREATE TABLE {name}.visits (age INTEGER)")
    with pytest.raises(LedgerError, match="holds something else; name another one behind the address"):
        Ledger(place)
    assert run("ledger", "show", "--ledger", place).code == 0  # nothing is made for it
    tables = owner.execute(f"SELECT tablename FROM pg_tables WHERE schemaname = '{name}'").fetchall()
    assert tables == [("visits",)]


def test_a_newer_format_and_tables_that_are_gone_are_named(
    ledger: Ledger, server: Postgres, place: str
) -> None:
    owner, name = server.connect(), schema_of(place)
    owner.execute(f"DROP TABLE {name}.limits")
    with pytest.raises(LedgerError, match=r"its tables are gone, or not what they were. Put back the newest"):
        ledger.limit("d")
    owner.execute(f"SET session_replication_role TO replica; UPDATE {name}.about SET format = {FORMAT + 1}")
    with pytest.raises(LedgerError, match=rf"has format {FORMAT + 1}, .*; update privsynth"):
        Ledger(place)


# -- addresses and passwords -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://u:{}@127.0.0.1:1/d", "no server answers there"),
        ("postgresql://127.0.0.1:1/d?user=u&password={}", "no server answers there"),
        ("postgresql://u:{}/d", "its address cannot be read"),
        ("postgresql://u:p@{}@h/d", "its address cannot be read"),
        ("postgresql://u:p/{}@h/d", "its address cannot be read"),
        ("postgresql://u:p#{}@h/d", "its address cannot be read"),
        ("postgresql://u:p?{}@h/d", "its address cannot be read"),
        ("postgresql://u:%z{}@h/d", "its address cannot be read"),
        ("postgresql://h/d#{}", "its address cannot be read"),
        ("postgresql://h/d?{}", "its address cannot be read"),
    ],
)
def test_an_address_that_does_not_serve_is_refused_without_its_password(address: str, said: str) -> None:
    with pytest.raises(LedgerError, match=said) as caught:
        Ledger(address.format(SECRET))
    assert SECRET not in str(caught.value)
    refused = run("ledger", "show", "--ledger", address.format(SECRET), "--json")
    assert (refused.code, SECRET in refused.out + refused.err) == (3, False)


@pytest.mark.parametrize("slip", ["postgresql:ann:SECRET@db/privacy", "Postgres:/ann:SECRET@db/privacy"])
def test_an_address_without_its_slashes_is_no_file(slip: str) -> None:
    with pytest.raises(LedgerError, match="as 'postgresql://USER@HOST/DATABASE'") as refused:
        Ledger(slip)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("address", ["postgresql://u:{}@h/d", "postgres://h/d?user=u&password={}"])
def test_objects_that_are_printed_hold_no_password(address: str) -> None:
    address = address.format(SECRET)
    assert SECRET not in repr(AuditBudget(epsilon=1, delta=1e-6, dataset="d", ledger=address))
    resampler = privsynth.BalancedResampler(schema=privsynth.Schema(SCHEMA), ledger=address)
    with pytest.raises(ParameterError, match="without a password: scikit-learn prints") as caught:
        resampler.fit(table()[["sex"]], table()["ill"])
    assert SECRET not in str(caught.value)
    assert not holds_password("postgresql://u@h/d")


def test_a_database_that_is_missing_is_told_from_a_server_that_is(server: Postgres) -> None:
    for wrong in (server.dsn.replace("/postgres?", "/none?"), server.dsn.replace("privsynth@", "none@")):
        with pytest.raises(LedgerError, match="the server runs, and refuses this database, user or password"):
            Ledger(wrong)


def test_an_address_is_text_and_of_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (Path("postgresql://h/d"), "mysql://h/d", "https://h/ledger.sqlite"):
        with pytest.raises(LedgerError, match="or its address as text, as 'postgresql://USER@HOST/DATABASE'"):
            Ledger(wrong)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        LedgerError, match=r'the driver of PostgreSQL is missing: pip install "privsynth\[ware'
    ):
        Ledger("postgresql://h/d")


def test_no_password_is_in_what_a_fit_says_or_leaves(
    server: Postgres,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    secretive = place.replace("privsynth@", f"privsynth:{SECRET}@")
    monkeypatch.setenv("PRIVSYNTH_LEDGER", secretive)
    table().to_csv(tmp_path / "clinic.csv", index=False)
    (tmp_path / "s.json").write_text(json.dumps({"columns": SCHEMA}))
    begin = server.log.stat().st_size
    fit = ["fit", tmp_path / "clinic.csv", "--schema", tmp_path / "s.json", "--epsilon", 1]
    fit += ["-o", tmp_path / "m", "--json"]
    said = [run("ledger", "limit", "--dataset", "clinic", "--epsilon", 1.2), run(*fit), run(*fit, "--force")]
    said += [
        run("ledger", "show"),
        run("ledger", "show", "--json"),
        run("ledger", "close", "--dataset", "clinic"),
    ]
    said += [run("ledger", "roles", "--ledger", secretive)]
    assert [outcome.code for outcome in said] == [0, 0, 3, 0, 0, 3, 0]
    shown = json.loads(said[4].out)
    assert shown["ledger"].startswith("postgresql://")
    assert [r["status"] for d in shown["datasets"] for r in d["runs"]] == ["finished"]
    (tmp_path / "m").rename(tmp_path / "n")
    other = place.replace("/postgres?", "/postgres?sslmode=prefer&")  # another spelling of the same ledger
    partial = tmp_path / "p.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(secretive, dataset="other", releases_path=partial, progress=interrupt)
    fitted(other, dataset="other", releases_path=partial)
    assert len(Ledger(place).datasets()[1].runs) == 1
    told = [text for outcome in said for text in (outcome.out, outcome.err)]
    told += [
        caplog.text,
        server.log.read_text()[begin:],
        repr(Ledger(secretive)),
        repr(vars(Ledger(secretive))),
    ]
    assert not any(SECRET in text for text in told)
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert {"n", "p.partial"} <= {path.name for path in files}
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


def interrupt(message: str, done: int, total: int) -> None:
    if done == 1:
        raise KeyboardInterrupt
