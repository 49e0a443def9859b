"""The ledger refuses before anything changes, survives crashes, and never passes a limit."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from privsynth.accounting.events import Event, Exponential, Gaussian, SampledGaussian, ThresholdedGaussian
from privsynth.accounting.gdp import gdp_epsilon, gdp_mu
from privsynth.errors import BudgetExceededError, LedgerError, ParameterError
from privsynth.io import sqlite_files
from privsynth.ledger import file as ledger_file
from privsynth.ledger.ledger import Ledger, Unit
from privsynth.ledger.places import ledger_place
from privsynth.ledger.tables import FORMAT
from tests.ledger.places import again, content, on_server, place_of, rows

RECORD = Unit(unit="record")
PERSON = Unit(unit="person", person_column="zper", max_records_per_person=5)
if TYPE_CHECKING:
    from tests.helpers.engines import Postgres

THIRD = Path(__file__).parents[1] / "older_files" / "third" / "ledger"
DELTA = 1e-5 / 0.9  # its Gaussian part is 1e-5, for which reference values are published


def gaussian(mu_squared: float, purpose: str = "counts of 'age'") -> Event:
    return Gaussian(purpose=purpose, noise_multiplier=mu_squared**-0.5)


def discovery(mu_squared: float, delta: float) -> Event:
    return ThresholdedGaussian(purpose="categories", noise_multiplier=mu_squared**-0.5, delta=delta)


def reserve(ledger: Ledger, epsilon: float = 1.0, delta: float = DELTA, **changes: object) -> str:
    facts: dict[str, object] = {"dataset": "adult", "unit": RECORD, "description": "marginal"} | changes
    return ledger.reserve(epsilon=epsilon, delta=delta, **facts)


# -- reservations and the limit ---------------------------------------------------------------------


def test_a_run_of_exactly_the_limit_fits_and_the_smallest_next_one_does_not(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=1.0, delta=1e-6)
    reserve(ledger, 1.0, 1e-6)
    with pytest.raises(BudgetExceededError, match="above the limit epsilon=1 at delta=1e-06"):
        reserve(ledger, 0.001, 1e-9)


def test_thirteen_runs_of_epsilon_one_compose_to_less_than_mu_one_and_fourteen_to_more(
    ledger: Ledger,
) -> None:
    # mu of (1, 1e-5) is .26805 (Balle and Wang 2018, Theorem 8): 13 * .26805^2 = .934 < 1 < 1.006 = 14 * ...
    # The limit's delta has room for the discovery of all fourteen.
    ledger.set_limit("adult", epsilon=gdp_epsilon(1.0, 0.9 * 14 * DELTA), delta=14 * DELTA)
    for _ in range(13):
        reserve(ledger)
    with pytest.raises(BudgetExceededError):
        reserve(ledger)
    assert ledger.datasets()[0].epsilon == pytest.approx(
        gdp_epsilon(0.26805 * math.sqrt(13), 0.9 * 14 * DELTA), rel=1e-4
    )


def test_deltas_for_discovery_add_up_and_are_limited_by_themselves(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=100.0, delta=2.5e-6)
    reserve(ledger, 0.1, 1e-6)
    reserve(ledger, 0.1, 1e-6)
    with pytest.raises(BudgetExceededError, match=r"at delta=2.55e-06, above the limit epsilon=100"):
        reserve(ledger, 0.1, 1e-6)  # .9 * 2.5e-6 + 3 * 1e-7


def test_without_a_limit_every_run_is_reserved_and_the_total_is_stated(ledger: Ledger) -> None:
    for _ in range(4):
        reserve(ledger, 5.0, 1e-6)
    assert ledger.limit("adult") is None
    summary = ledger.datasets()[0]
    assert summary.delta == pytest.approx(0.9e-6 + 4 * 0.1e-6)
    assert summary.epsilon == pytest.approx(gdp_epsilon(2 * gdp_mu(5.0, 0.9e-6), 0.9e-6), rel=1e-6)


def test_data_sets_do_not_share_a_budget(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=1.0, delta=DELTA)
    ledger.set_limit("compas", epsilon=1.0, delta=DELTA)
    reserve(ledger)
    reserve(ledger, dataset="compas", unit=PERSON)
    assert [s.dataset for s in ledger.datasets()] == ["adult", "compas"]


def test_a_limit_below_what_is_reserved_is_refused_and_says_so(ledger: Ledger) -> None:
    reserve(ledger, 2.0)
    before = content(ledger)
    with pytest.raises(BudgetExceededError, match=r"epsilon=2 at delta=.* is reserved already, more than"):
        ledger.set_limit("adult", epsilon=1.9, delta=DELTA)
    with pytest.raises(BudgetExceededError, match="reserved already"):
        ledger.set_limit("adult", epsilon=5.0, delta=DELTA / 2)
    assert content(ledger) == before
    ledger.set_limit("adult", epsilon=2.0, delta=DELTA)
    assert ledger.limit("adult") == (2.0, DELTA)


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [(0.0, 1e-6), (-1.0, 1e-6), (math.inf, 1e-6), (math.nan, 1e-6), (1.0, 0.0), (1.0, 1.0)],
)
def test_a_budget_out_of_range_is_refused(ledger: Ledger, epsilon: float, delta: float) -> None:
    before = content(ledger)
    with pytest.raises(ParameterError, match="expected"):
        reserve(ledger, epsilon, delta)
    with pytest.raises(ParameterError, match="expected"):
        ledger.set_limit("adult", epsilon=epsilon, delta=delta)
    assert content(ledger) == before


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[31m", " adult", "\ud800"])
def test_an_unusable_name_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(ParameterError, match="expected a data set name"):
        reserve(ledger, dataset=name)


def test_two_spellings_of_one_accented_name_share_a_budget(ledger: Ledger) -> None:
    reserve(ledger, dataset="caf\u00e9")
    reserve(ledger, dataset="cafe\u0301")
    assert len(ledger.datasets()) == 1


# -- the unit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        RECORD,
        Unit(unit="person", person_column="zper", max_records_per_person=6),
        Unit(unit="person", person_column="other", max_records_per_person=5),
        Unit(unit="person", person_column="zper", max_records_per_person=5, neighbours="replace_one"),
    ],
)
def test_the_first_spend_fixes_the_unit(ledger: Ledger, other: Unit) -> None:
    reserve(ledger, unit=PERSON)
    before = content(ledger)
    with pytest.raises(LedgerError, match="its first spend fixed the unit as one person by 'zper'"):
        reserve(ledger, unit=other)
    assert content(ledger) == before
    reserve(ledger, unit=PERSON)


def test_a_run_that_spent_nothing_does_not_bind_the_unit_once_closed(ledger: Ledger) -> None:
    first = reserve(ledger, unit=RECORD)
    ledger.suspend(first)
    with pytest.raises(LedgerError, match="fixed the unit"):
        reserve(ledger, unit=PERSON)  # the suspended run may still be resumed
    ledger.close(first)
    second = reserve(ledger, unit=PERSON)
    ledger.charge(second, gaussian(1e-6), "n")
    ledger.finish(second)
    with pytest.raises(LedgerError, match="fixed the unit"):
        reserve(ledger, unit=RECORD)


@pytest.mark.parametrize(
    "facts",
    [
        {"unit": "household"},
        {"unit": "record", "person_column": "zper"},
        {"unit": "person", "person_column": "zper"},
    ],
)
def test_half_a_unit_is_refused(facts: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match="expected unit='record' alone"):
        Unit(**facts)


# -- charges ----------------------------------------------------------------------------------------


def test_events_come_back_in_order_with_their_keys(ledger: Ledger) -> None:
    run = reserve(ledger)
    events = [
        gaussian(0.01),
        discovery(0.02, 1e-7),
        Exponential(purpose="pair", epsilon0=0.05),
    ]
    numbers = [ledger.charge(run, event, f"key {i}") for i, event in enumerate(events)]
    assert numbers == [1, 2, 3]
    assert again(ledger).events(run) == [(i + 1, f"key {i}", event) for i, event in enumerate(events)]


def test_a_run_spends_its_reservation_to_the_end_and_no_further(ledger: Ledger) -> None:
    run, plan = reserve(ledger), gdp_mu(1.0, 0.9 * DELTA) ** 2
    for i in range(10):
        ledger.charge(run, gaussian(plan / 10), str(i))
    before = content(ledger)
    with pytest.raises(
        BudgetExceededError, match=r"'one more' would bring .*; stopped before it, after 10 events"
    ):
        ledger.charge(run, gaussian(plan * 1e-6, "one more"), "10")
    assert content(ledger) == before
    assert ledger.datasets()[0].runs[0].epsilon_spent == pytest.approx(1.0, rel=1e-6)


def test_a_count_is_charged_in_full(ledger: Ledger) -> None:
    run, plan = reserve(ledger), gdp_mu(1.0, 0.9 * DELTA) ** 2
    noise_multiplier = (plan / 10) ** -0.5
    event = {"purpose": "steps", "noise_multiplier": noise_multiplier}
    with pytest.raises(BudgetExceededError):
        ledger.charge(run, Gaussian(**event, count=11), "steps")
    ledger.charge(run, Gaussian(**event, count=10), "steps")


def test_discovery_takes_its_delta_from_the_tenth_set_aside_for_it(ledger: Ledger) -> None:
    run = reserve(ledger, 1.0, 1e-6)
    ledger.charge(run, discovery(1e-4, 0.6e-7), "sex")
    with pytest.raises(BudgetExceededError):
        ledger.charge(run, discovery(1e-4, 0.5e-7), "race")
    ledger.charge(run, discovery(1e-4, 0.4e-7), "race")


def test_a_release_that_was_lost_is_charged_again_under_its_key(ledger: Ledger) -> None:
    run = reserve(ledger)
    ledger.charge(run, gaussian(0.01), "n")
    ledger.charge(run, gaussian(0.01), "n")
    assert [key for _, key, _ in ledger.events(run)] == ["n", "n"]
    ledger.finish(run)
    assert ledger.datasets()[0].epsilon == pytest.approx(gdp_epsilon(math.sqrt(0.02), 1e-5))


@pytest.mark.parametrize("end", ["finish", "suspend", "close"])
def test_only_an_open_run_is_charged(ledger: Ledger, end: str) -> None:
    run = reserve(ledger)
    getattr(ledger, end)(run)
    with pytest.raises(
        LedgerError, match=r"expected a run that is open, but run .* is (finished|suspended|closed)"
    ):
        ledger.charge(run, gaussian(1e-6), "n")


def test_a_run_may_bring_the_id_that_its_caller_wrote_down_first(ledger: Ledger) -> None:
    assert ledger.status("beef") is None
    assert reserve(ledger, run="beef") == "beef"
    assert ledger.status("beef") == "open"
    before = content(ledger)
    with pytest.raises(
        LedgerError, match=r"nothing more was read: (UNIQUE constraint failed|an entry of that name is there)"
    ):
        reserve(ledger, run="beef")
    assert content(ledger) == before


def test_an_unknown_run_is_refused(ledger: Ledger) -> None:
    for act in (ledger.finish, ledger.suspend, ledger.close, ledger.resume, ledger.events):
        with pytest.raises(LedgerError, match="knows no run 'beef'"):
            act("beef")
    with pytest.raises(LedgerError, match="knows no run 'beef'"):
        ledger.charge("beef", gaussian(1e-6), "n")


# -- how runs end -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status"), [("finish", "finished"), ("suspend", "suspended"), ("close", "closed")]
)
def test_ending_gives_back_what_was_not_charged(ledger: Ledger, end: str, status: str) -> None:
    ledger.set_limit("adult", epsilon=1.0, delta=DELTA)
    run = reserve(ledger)
    ledger.charge(run, gaussian(0.01), "n")
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 0.5, DELTA / 2)
    getattr(ledger, end)(run)
    assert ledger.datasets()[0].runs[0].status == status
    assert ledger.datasets()[0].epsilon == pytest.approx(gdp_epsilon(0.1, 1e-5))
    reserve(ledger, 0.5, DELTA / 2)


def test_a_suspended_run_takes_its_whole_plan_again(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=1.0, delta=DELTA)
    run = reserve(ledger)
    ledger.charge(run, gaussian(0.01), "n")
    ledger.suspend(run)
    other = reserve(ledger, 0.5, DELTA / 2)
    before = content(ledger)
    with pytest.raises(BudgetExceededError, match="resuming the run would bring all runs to"):
        ledger.resume(run)
    assert content(ledger) == before
    ledger.close(other)
    ledger.resume(run)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 0.5, DELTA / 2)
    with pytest.raises(BudgetExceededError):  # what it had charged before still counts
        ledger.charge(run, gaussian(gdp_mu(1.0, 1e-5) ** 2 - 0.009), "rest")
    ledger.charge(run, gaussian(gdp_mu(1.0, 1e-5) ** 2 - 0.01), "rest")


def test_a_crashed_run_stays_reserved_until_resumed_or_closed(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=1.0, delta=DELTA)
    run = reserve(ledger)
    with pytest.raises(BudgetExceededError, match="close crashed runs"):
        reserve(again(ledger), 0.5)
    ledger.resume(run)  # not counted twice
    ledger.close(run)
    reserve(ledger)


@pytest.mark.parametrize("end", ["finish", "close"])
def test_what_has_ended_stays_ended(ledger: Ledger, end: str) -> None:
    run = reserve(ledger)
    getattr(ledger, end)(run)
    for act in (ledger.resume, ledger.finish, ledger.suspend, ledger.close):
        with pytest.raises(LedgerError, match="expected a run that is open"):
            act(run)


def test_the_summary_names_every_run(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=3.0, delta=2 * DELTA)
    first = reserve(ledger, 1.0, description="fit marginal")
    ledger.charge(first, gaussian(0.01), "n")
    (summary,) = ledger.datasets()
    (run,) = summary.runs
    assert (summary.dataset, summary.unit, summary.limit) == ("adult", RECORD, (3.0, 2 * DELTA))
    assert (run.run, run.description, run.status, run.n_events) == (first, "fit marginal", "open", 1)
    assert (run.epsilon, run.delta) == (1.0, DELTA)
    assert run.epsilon_spent == pytest.approx(gdp_epsilon(0.1, 1e-5))
    assert summary.epsilon == pytest.approx(
        gdp_epsilon(gdp_mu(1.0, 1e-5), 0.9 * 2 * DELTA)
    )  # all of the plan


def test_a_limit_alone_has_no_unit_and_no_runs(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=3.0, delta=1e-6)
    (summary,) = ledger.datasets()
    assert (summary.unit, summary.runs, summary.epsilon, summary.delta) == (None, (), 0.0, 1e-6)


# -- the file ---------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "ledger.sqlite")
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


def test_where_the_ledger_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PRIVSYNTH_LEDGER", raising=False)
    assert ledger_place().parts[-2:] == ("privsynth", "ledger.sqlite")
    monkeypatch.setenv("PRIVSYNTH_LEDGER", "by/environment")
    assert ledger_place() == Path("by/environment")
    assert ledger_place("by/argument") == Path("by/argument")


@pytest.mark.parametrize("damage", ["text", "one byte", "empty", "torn page", "other program", "newer"])
def test_a_file_that_is_not_a_usable_ledger_is_named_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.sqlite"
    if damage == "text":
        path.write_text("dataset,epsilon\nadult,1\n" * 100)
    elif damage == "one byte":
        path.write_bytes(b"x")
    elif damage == "empty":
        path.touch()
    elif damage == "other program":
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE bookmarks (url TEXT)")
    else:
        ledger = Ledger(path)
        for _ in range(30):
            ledger.finish(reserve(ledger, description="x" * 1000))
        if damage == "newer":
            with sqlite3.connect(path) as database:
                database.execute(f"PRAGMA user_version = {FORMAT + 1}")
        else:
            torn = bytearray(path.read_bytes())
            torn[4096 : 3 * 4096] = bytes(2 * 4096)
            path.write_bytes(torn)
    before = path.read_bytes()
    advice = "update privsynth" if damage == "newer" else "put back a copy, or move the file away"
    with pytest.raises(LedgerError, match=advice) as caught:
        Ledger(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"cannot be made: File exists; name a place"):
        Ledger(tmp_path / "file" / "ledger.sqlite")
    with pytest.raises(LedgerError, match=r"is not a usable ledger"):
        Ledger(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="cannot be made: Permission denied"):
        Ledger(tmp_path / "ledger.sqlite")
    tmp_path.chmod(0o700)


def test_a_file_that_vanishes_or_stays_locked_is_an_error_not_an_empty_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    monkeypatch.setattr(sqlite_files, "BUSY_TIMEOUT_SECONDS", 0.1)
    holder = sqlite3.connect(ledger.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="nothing more was read: another run is writing it"):
        reserve(ledger)
    holder.close()
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="nothing more was read: it is gone"):
        reserve(ledger)
    assert not ledger.path.exists()


# -- several processes ------------------------------------------------------------------------------

RESERVE_AS_OFTEN_AS_ALLOWED = """
import sys
from privsynth.errors import BudgetExceededError
from privsynth.ledger.ledger import Ledger, Unit
ledger, n = Ledger(sys.argv[1]), 0
sys.stdin.readline()
for _ in range(15):
    try:
        ledger.reserve(dataset="adult", unit=Unit(unit="record"), epsilon=0.5, delta=1e-8, description="")
        n += 1
    except BudgetExceededError:
        pass
print(n)
"""


def test_two_processes_that_reserve_at_once_stay_within_the_limit(ledger: Ledger) -> None:
    expected = 12  # of 30 tries; the limit is made to have room for twelve and a half
    epsilon = gdp_epsilon(math.sqrt(12.5) * gdp_mu(0.5, 0.9e-8), 0.9e-6)
    ledger.set_limit("adult", epsilon=epsilon, delta=1e-6)
    command = [sys.executable, "-c", RESERVE_AS_OFTEN_AS_ALLOWED, place_of(ledger)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sum(int(process.communicate()[0]) for process in both) == expected
    assert ledger.datasets()[0].epsilon <= epsilon


def test_threads_that_make_one_ledger_at_once_and_charge_one_run_stay_within_it(
    fresh_place: Callable[[], str], tmp_path: Path
) -> None:
    path, start = fresh_place(), threading.Barrier(4)
    two_fifths = gaussian(0.4 * gdp_mu(1.0, 1e-5) ** 2)

    def make_and_reserve(_: int) -> str:
        start.wait()
        return reserve(Ledger(path))

    def charge(run: str) -> bool:
        start.wait()
        try:
            return Ledger(path).charge(run, two_fifths, "n") > 0
        except BudgetExceededError:
            return False

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(make_and_reserve, range(4)))
        charged = list(pool.map(charge, [runs[0]] * 4))
    assert {run.run for run in Ledger(path).datasets()[0].runs} == set(runs)
    assert (sum(charged), len(Ledger(path).events(runs[0]))) == (2, 2)
    assert {p.name for p in tmp_path.iterdir()} <= {"ledger.sqlite"}


def test_a_charge_survives_a_power_cut(tmp_path: Path) -> None:
    with ledger_file.LedgerFile(tmp_path / "ledger.sqlite").transaction(write=True) as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA: the folder is synced too


def test_a_process_killed_right_after_the_charge_leaves_the_event(ledger: Ledger) -> None:
    script = (
        "import os, sys\n"
        "from privsynth.accounting.events import Gaussian\n"
        "from privsynth.ledger.ledger import Ledger, Unit\n"
        "ledger = Ledger(sys.argv[1])\n"
        "unit = Unit(unit='record')\n"
        "run = ledger.reserve(dataset='adult', unit=unit, epsilon=1, delta=1e-6, description='d')\n"
        "print(run, flush=True)\n"
        "ledger.charge(run, Gaussian(purpose='n', noise_multiplier=20.0), 'n')\n"
        "os._exit(9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, place_of(ledger)], capture_output=True, text=True)
    run = killed.stdout.strip()
    assert killed.returncode == 9
    assert [key for _, key, _ in ledger.events(run)] == ["n"]
    assert ledger.datasets()[0].runs[0].status == "open"
    ledger.close(run)
    assert ledger.datasets()[0].epsilon == pytest.approx(gdp_epsilon(1 / 20, 0.9e-6))


# -- any sequence of calls --------------------------------------------------------------------------


class AnySequence(RuleBasedStateMachine):
    """Runs of any kind in any order, against a plain book of what each run holds."""

    runs = Bundle("runs")
    LIMIT = (2.0, 1e-6)

    @initialize()
    def open_a_ledger(self) -> None:
        self.ledger = self.fresh()
        self.ledger.set_limit("adult", epsilon=self.LIMIT[0], delta=self.LIMIT[1])
        self.plans: dict[str, tuple[float, float]] = {}
        self.spent: dict[str, list[float]] = {}
        self.is_open: dict[str, bool] = {}

    def fresh(self) -> Ledger:
        self.folder = tempfile.TemporaryDirectory()
        return Ledger(Path(self.folder.name) / "ledger.sqlite")

    def held(self, *, but: str = "") -> tuple[float, float]:
        each = [
            self.plans[run] if self.is_open[run] else tuple(self.spent[run])
            for run in self.plans
            if run != but
        ]
        return sum(e[0] for e in each), sum(e[1] for e in each)

    def fits(self, extra: tuple[float, float], *, but: str = "") -> bool:
        mu_squared, delta = self.held(but=but)
        allowed = gdp_mu(self.LIMIT[0], 0.9 * self.LIMIT[1]) ** 2
        room = 1 + 1e-9
        return mu_squared + extra[0] <= allowed * room and delta + extra[1] <= 0.1 * self.LIMIT[1] * room

    @rule(
        target=runs, epsilon=st.sampled_from([0.3, 1.0, 2.0, 2.5]), delta=st.sampled_from([1e-8, 3e-7, 1e-6])
    )
    def reserve(self, epsilon: float, delta: float) -> str:
        plan = (gdp_mu(epsilon, 0.9 * delta) ** 2, 0.1 * delta)
        if not self.fits(plan):
            with pytest.raises(BudgetExceededError):
                reserve(self.ledger, epsilon, delta)
            return ""
        run = reserve(self.ledger, epsilon, delta)
        self.plans[run], self.spent[run], self.is_open[run] = plan, [0.0, 0.0], True
        return run

    @rule(run=runs, share=st.floats(0.01, 0.7), delta_share=st.sampled_from([0.0, 0.4]))
    def charge(self, run: str, share: float, delta_share: float) -> None:
        if not run:
            return
        plan, spent = self.plans[run], self.spent[run]
        cost, delta = share * plan[0], delta_share * plan[1]
        event = discovery(cost, delta) if delta else gaussian(cost)
        if not self.is_open[run]:
            with pytest.raises(LedgerError):
                self.ledger.charge(run, event, "k")
        elif spent[0] + cost > plan[0] * (1 + 1e-9) or spent[1] + delta > plan[1] * (1 + 1e-9):
            with pytest.raises(BudgetExceededError):
                self.ledger.charge(run, event, "k")
        else:
            self.ledger.charge(run, event, "k")
            self.spent[run] = [spent[0] + cost, spent[1] + delta]

    @rule(run=runs)
    def suspend(self, run: str) -> None:
        if run and self.is_open[run]:
            self.ledger.suspend(run)
            self.is_open[run] = False

    @rule(run=runs)
    def resume(self, run: str) -> None:
        if run and self.fits(self.plans[run], but=run):
            self.ledger.resume(run)
            self.is_open[run] = True
        elif run:
            with pytest.raises(BudgetExceededError):
                self.ledger.resume(run)

    @rule(run=consumes(runs), how=st.sampled_from(["finish", "close"]))
    def end(self, run: str, how: str) -> None:
        if run and (how == "close" or self.is_open[run]):
            getattr(self.ledger, how)(run)
            self.is_open[run] = False
            with pytest.raises(LedgerError):
                self.ledger.resume(run)
        # a suspended run cannot be finished; it is simply never touched again

    @invariant()
    def the_limit_holds(self) -> None:
        if not hasattr(self, "ledger"):
            return
        mu_squared, delta = self.held()
        (summary,) = self.ledger.datasets()
        expected = gdp_epsilon(math.sqrt(mu_squared), 0.9 * self.LIMIT[1]) if mu_squared else 0.0
        assert summary.epsilon == pytest.approx(expected, rel=1e-6)
        assert summary.epsilon <= self.LIMIT[0] * (1 + 1e-9)
        assert delta <= 0.1 * self.LIMIT[1] * (1 + 1e-9)
        assert summary.delta == self.LIMIT[1]

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_any_sequence_on_a_server(server: Postgres) -> None:
    class OnServer(AnySequence):
        def fresh(self) -> Ledger:
            return Ledger(on_server(server))

    few = settings(max_examples=4, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(OnServer, settings=few)


# -- gradient steps, stops, delta under a limit, claims ----------------------------------------------


def steps(count: int = 5, noise_multiplier: float = 20.0) -> Event:
    return SampledGaussian(
        purpose="steps",
        noise_multiplier=noise_multiplier,
        sample_rate=0.1,
        count=count,
        delta=1e-9,
    )


def test_each_step_of_a_block_is_spent_once_and_no_more_than_were_paid(ledger: Ledger) -> None:
    run = reserve(ledger)
    ledger.charge(run, steps(), "steps")
    for n_begun in range(1, 6):
        assert ledger.begun(run, "steps", steps()) == n_begun - 1
        for wrong in {n_begun - 1, n_begun + 1}:  # another process is behind, or ahead
            with pytest.raises(LedgerError, match="another process has taken steps"):
                again(ledger).advance(run, "steps", steps(), wrong)
        ledger.advance(run, "steps", steps(), n_begun)
    with pytest.raises(BudgetExceededError, match="all 5 private steps"):
        ledger.advance(run, "steps", steps(), 6)
    ledger.keep(run, "steps", steps(), 4)
    ledger.keep(run, "steps", steps(), 3)
    assert ledger.blocks(run) == {"steps": (5, 4)}


def test_steps_are_spent_of_an_open_run_and_of_a_block_that_was_charged(ledger: Ledger) -> None:
    run = reserve(ledger)
    with pytest.raises(LedgerError, match="charged no block of steps"):
        ledger.advance(run, "steps", steps(), 1)
    ledger.charge(run, steps(), "steps")
    with pytest.raises(LedgerError, match="charged no block of steps"):
        ledger.advance(run, "steps", steps(noise_multiplier=19.0), 1)
    ledger.suspend(run)
    with pytest.raises(LedgerError, match="expected a run that is open"):
        ledger.advance(run, "steps", steps(), 1)


def test_a_block_that_is_charged_again_has_a_count_of_its_own(ledger: Ledger) -> None:
    run = reserve(ledger)
    ledger.charge(run, steps(), "steps")
    ledger.advance(run, "steps", steps(), 1)
    ledger.charge(run, steps(count=3), "steps")
    assert (ledger.begun(run, "steps", steps()), ledger.begun(run, "steps", steps(count=3))) == (1, 0)
    assert ledger.blocks(run) == {"steps": (0, 0)}


def test_two_processes_that_take_steps_at_once_take_each_once(ledger: Ledger) -> None:
    run = reserve(ledger)
    ledger.charge(run, steps(count=20), "steps")

    def take(_: int) -> int:
        taken = 0
        for n_begun in range(1, 21):
            try:
                again(ledger).advance(run, "steps", steps(count=20), n_begun)
            except LedgerError:
                continue
            taken += 1
        return taken

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(take, range(2))) == ledger.begun(run, "steps", steps(count=20)) <= 20


def first_format(path: Path) -> Ledger:
    """Return a ledger as the first version wrote it, with a block of steps in a suspended run."""
    with sqlite3.connect(path) as database:
        database.executescript(THIRD.with_suffix(".sql").read_text())
        database.execute("DROP TABLE steps")
        database.execute("DROP TABLE stops")
        database.execute("DROP TABLE history")
        database.execute("DROP TABLE file_systems")
        database.execute("ALTER TABLE runs DROP COLUMN planned_delta")
        database.execute("ALTER TABLE datasets DROP COLUMN limit_came_first")
        database.execute("PRAGMA user_version = 1")
    database.close()
    return Ledger(path)


def test_of_a_block_that_the_first_version_charged_all_steps_count_as_taken(tmp_path: Path) -> None:
    ledger = first_format(tmp_path / "old.sqlite")
    assert ledger.blocks("suspended") == {"steps": (5, 0)}
    ledger.resume("suspended")
    with pytest.raises(BudgetExceededError, match="all 5 private steps"):
        ledger.advance("suspended", "steps", steps(), 6)
    assert ledger.plan("suspended").added_delta == pytest.approx(0.1 * 1e-6)
    assert ledger.datasets()[0].noiseless_stops == 0
    Ledger(tmp_path / "old.sqlite")  # brought up to date once


def third_format(path: Path) -> None:
    """Make a file as format 3 was, with runs in all states and limits that came first or not."""
    with sqlite3.connect(path) as database:
        database.executescript(THIRD.with_suffix(".sql").read_text())
    database.close()


def test_a_ledger_of_the_third_format_says_what_it_said_and_goes_on(tmp_path: Path) -> None:
    third_format(tmp_path / "old.sqlite")
    told = json.loads(THIRD.with_suffix(".json").read_text())
    ledger = Ledger(tmp_path / "old.sqlite")
    now = json.loads(json.dumps([asdict(d) for d in ledger.datasets()]))
    assert all(run.pop("who") is None for d in now for run in d["runs"])  # a file does not know
    assert now == told["datasets"]
    assert ledger.blocks("suspended") == {"steps": (3, 2)}
    ledger.check_link(told["link"], "the model")
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 5.0, 1e-6, dataset="clinic")
    ledger.resume("stopped")
    assert Ledger(tmp_path / "old.sqlite").noiseless_stops("stopped") == 3


def test_a_ledger_of_the_third_format_that_lacks_charges_is_refused_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    third_format(path)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM events WHERE run = 'open'")
    database.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerError, match="it lacks charges that it had"):
            Ledger(path)
        assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_ledger_of_an_older_format_that_may_not_be_written_is_not_read_wrongly(tmp_path: Path) -> None:
    third_format(tmp_path / "old.sqlite")
    (tmp_path / "old.sqlite").chmod(0o400)
    with pytest.raises(LedgerError, match=r"has format 3, .* may not be written here. Open it where it may"):
        Ledger(tmp_path / "old.sqlite")


def test_a_stop_keeps_the_reservation_until_the_run_is_resumed_or_closed(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=1.0, delta=DELTA)
    run = reserve(ledger)
    ledger.stop(run)
    with pytest.raises(BudgetExceededError):
        reserve(ledger, 0.5, DELTA / 2)
    assert ledger.datasets()[0].runs[0].is_stopped
    ledger.resume(run, RECORD)
    assert not ledger.datasets()[0].runs[0].is_stopped
    ledger.stop(run)
    ledger.close(run)
    other = reserve(ledger)
    assert (ledger.noiseless_stops(other), ledger.datasets()[0].noiseless_stops) == (2, 2)
    with pytest.raises(LedgerError, match="expected a run that is open"):
        ledger.stop(run)


def test_what_stops_a_run_that_was_closed_meanwhile_quotes_no_record(ledger: Ledger) -> None:
    run = reserve(ledger)
    with pytest.raises(LedgerError, match="is closed") as told, ledger.reading(run):  # noqa: PT012  # what fails inside is the point
        ledger.close(run)  # from elsewhere
        raise ValueError("the value of a record")
    assert "value of a record" not in "".join(traceback.format_exception(told.value))


def test_a_stopped_run_is_taken_over_once_and_only_by_its_like(ledger: Ledger) -> None:
    asked = {"dataset": "adult", "unit": RECORD, "epsilon": 1.0, "delta": DELTA, "description": "marginal"}
    run = reserve(ledger)
    assert ledger.take_over(**asked) is None  # it may still be at work
    ledger.stop(run)
    others = [{"epsilon": 2.0}, {"delta": 1e-9}, {"dataset": "other"}, {"description": "dpgan"}]
    assert [ledger.take_over(**(asked | other)) for other in others] == [None] * 4
    assert ledger.take_over(**asked) == run
    assert ledger.take_over(**asked) is None
    ledger.charge(run, gaussian(0.01), "n")
    ledger.stop(run)
    assert ledger.take_over(**asked) is None  # what it has paid for is known to whoever began it


def test_a_run_that_has_charged_nothing_may_change_whom_it_protects(ledger: Ledger) -> None:
    run = reserve(ledger)
    ledger.stop(run)
    ledger.resume(run, PERSON)
    assert ledger.datasets()[0].unit == PERSON
    ledger.charge(run, gaussian(0.01), "n")
    ledger.suspend(run)
    with pytest.raises(LedgerError, match="fixed the unit"):
        ledger.resume(run, RECORD)


def test_under_a_limit_a_run_sets_aside_a_part_of_the_delta_that_is_left(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=100.0, delta=1e-6)
    runs = [reserve(ledger, 0.1, 1e-6, part_of_rest=0.5) for _ in range(8)]
    set_aside = [ledger.plan(run).added_delta for run in runs]
    assert set_aside == pytest.approx([1e-7 / 2**i for i in range(1, 9)])
    assert ledger.plan(runs[0]).mu_squared == pytest.approx(gdp_mu(0.1, 0.9e-6) ** 2)
    with pytest.raises(BudgetExceededError):
        ledger.charge(runs[1], discovery(1e-6, 0.26e-7), "sex")
    ledger.suspend(runs[0])
    ledger.resume(runs[0])
    assert ledger.plan(runs[0]).added_delta == set_aside[0]
    free = reserve(ledger, 0.1, 1e-6, dataset="unlimited", part_of_rest=0.5)
    assert ledger.plan(free).added_delta == pytest.approx(1e-7)
    assert ledger.plan(reserve(ledger, 0.1, 1e-6, part_of_rest=0.0)).added_delta == 0.0


def test_what_is_exceeded_is_named_with_what_would_fit(ledger: Ledger) -> None:
    ledger.set_limit("adult", epsilon=3.0, delta=1e-6)
    reserve(ledger, 0.5, 1e-6)
    with pytest.raises(BudgetExceededError, match=r"delta that is exceeded, not epsilon.*limit's --delta"):
        reserve(ledger, 0.5, 1e-6, part_of_rest=0.5)
    ledger.set_limit("adult", epsilon=3.0, delta=1.5e-6)
    with pytest.raises(BudgetExceededError, match=r"--delta 5e-07"):
        reserve(ledger, 0.5, 1e-6)
    with pytest.raises(BudgetExceededError, match=r"Ask for less \(--epsilon (\d\.\d+) fits\)") as caught:
        reserve(ledger, 4.0, 5e-7)
    fits = float(str(caught.value).split("--epsilon ")[1].split()[0])
    with pytest.raises(BudgetExceededError):
        reserve(ledger, fits + 2e-3, 5e-7)
    reserve(ledger, fits - 2e-3, 5e-7)


def test_a_limit_is_a_claim_if_it_was_fixed_before_the_first_run_and_not_changed_since(
    ledger: Ledger,
) -> None:
    def came_first() -> bool | None:
        return ledger.datasets()[0].limit_came_first

    ledger.set_limit("adult", epsilon=1.0, delta=DELTA)
    ledger.set_limit("adult", epsilon=2.0, delta=DELTA)
    assert came_first() is True
    ledger.finish(reserve(ledger))
    ledger.set_limit("adult", epsilon=3.0, delta=DELTA)
    assert came_first() is True  # the only run has spent nothing
    run = reserve(ledger)
    ledger.charge(run, gaussian(0.01), "n")
    ledger.set_limit("adult", epsilon=3.0, delta=DELTA)
    assert came_first() is True  # the same again
    ledger.set_limit("adult", epsilon=4.0, delta=DELTA)
    assert came_first() is False
    ledger.set_limit("adult", epsilon=3.0, delta=DELTA)
    assert came_first() is False


def test_what_comes_after_a_read_is_dated_by_its_day(ledger: Ledger) -> None:
    run = reserve(ledger)
    ledger.charge(run, gaussian(0.01), "n")
    ledger.stop(run)
    dates = [*(row[-1] for row in rows(ledger, "events")), *(row[-2] for row in rows(ledger, "states"))]
    assert [len(date) for date in dates] == [len("2026-11-30")] * 3
