"""A ledger that went backwards is found, and one whose locks keep nobody apart is refused."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from privsynth.accounting.events import Gaussian
from privsynth.errors import LedgerError
from privsynth.io import sqlite_files
from privsynth.ledger.ledger import Ledger, Unit
from tests.helpers.commands import run
from tests.helpers.shims import LOCKS_THAT_DO_NOT_WORK, preloading

EVENT = Gaussian(purpose="counts", noise_multiplier=20.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def spend(path: Path, n_events: int = 2) -> str:
    ledger = Ledger(path)
    run = ledger.reserve(dataset="d", unit=Unit(unit="record"), epsilon=1, delta=1e-6, description="fit")
    for i in range(n_events):
        ledger.charge(run, EVENT, f"k{i}")
    ledger.finish(run)
    return run


# -- history ----------------------------------------------------------------------------------------------


def test_a_copy_put_back_lacks_the_link_that_was_seen_whatever_was_spent_since(path: Path) -> None:
    spend(path)
    before = Ledger(path).last_link()
    copy = shutil.copy(path, path.with_name("copy"))
    spend(path)
    seen = Ledger(path).last_link()
    Ledger(path).check_link(before, "the model")
    Ledger(path).check_link(seen, "the model")
    shutil.copy(copy, path)
    Ledger(path).check_link(before, "the model")
    for _ in range(4):
        with pytest.raises(LedgerError, match=r"is an older copy: it lacks charges .* the model was written"):
            Ledger(path).check_link(seen, "the model")
        spend(path)


def test_a_run_finds_that_what_it_was_told_is_charged_is_charged_no_more(path: Path) -> None:
    """As where a standby takes over that lags behind, or a copy is put back under a run that goes on."""
    ledger = Ledger(path)
    run = ledger.reserve(dataset="d", unit=Unit(unit="record"), epsilon=1, delta=1e-6, description="fit")
    copy = shutil.copy(path, path.with_name("copy"))
    assert ledger.charge(run, EVENT, "k0") == 1
    shutil.copy(copy, path)
    with pytest.raises(LedgerError, match="is an older copy: it lacks charges of this run"):
        ledger.charge(run, EVENT, "k1")
    assert Ledger(path).events(run) == []


def test_another_ledger_says_nothing_of_a_link(path: Path, tmp_path: Path) -> None:
    spend(path)
    spend(tmp_path / "other")
    Ledger(tmp_path / "other").check_link(Ledger(path).last_link(), "the model")
    Ledger(path).check_link(None, "a model of an older version")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE sequence = 2",
        "DELETE FROM events WHERE key = 'k0'",
        "DELETE FROM runs WHERE id = 'nobody' OR rowid = 2",
        "UPDATE events SET event = replace(event, '20.0', '40.0')",
        "UPDATE runs SET epsilon = epsilon / 2",
        "DELETE FROM history WHERE number = 3",
        "INSERT INTO events SELECT 9, run, 9, key, event, mu_squared, delta, charged FROM events LIMIT 1",
        "UPDATE states SET reserved_mu_squared = 0 WHERE number = 2",
        "DELETE FROM states WHERE status = 'finished'",
        "UPDATE units SET unit = replace(unit, 'record', 'person')",
    ],
)
def test_spends_that_are_missing_or_changed_are_found_when_it_is_opened(path: Path, statement: str) -> None:
    spend(path)
    spend(path, n_events=0)
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement).rowcount > 0
    with pytest.raises(
        LedgerError, match="it lacks charges that it had, so more was spent than it says; put back"
    ):
        Ledger(path)


def test_a_fit_and_an_audit_find_that_the_ledger_of_their_model_went_backwards(tmp_path: Path) -> None:
    rows = pd.DataFrame({"sex": ["F", "M"] * 100, "ill": ["true", "false", "false", "true"] * 50})
    rows.to_csv(tmp_path / "t.csv", index=False)
    columns = {"sex": {"type": "categorical", "categories": ["F", "M"]}, "ill": {"type": "boolean"}}
    (tmp_path / "s.json").write_text(json.dumps({"columns": columns}))
    ledger, model = tmp_path / "l.sqlite", tmp_path / "m"
    spend(ledger)
    copy = shutil.copy(ledger, tmp_path / "copy")
    fit = ["fit", tmp_path / "t.csv", "--schema", tmp_path / "s.json", "--epsilon", 1, "-o", model]
    assert run(*fit, "--ledger", ledger).code == 0
    shutil.copy(copy, ledger)
    refused = run(*fit, "--ledger", ledger, "--force")
    assert (refused.code, "is an older copy" in refused.error) == (3, True)
    audit = ["audit", "--real", tmp_path / "t.csv", "--synthetic", tmp_path / "t.csv", "-o", tmp_path / "r"]
    audit += ["--schema", tmp_path / "s.json", "--model", model, "--audit-epsilon", 1]
    refused = run(*audit, "--ledger", ledger)
    assert (refused.code, "is an older copy" in refused.error) == (3, True)
    assert [r.n_events for d in Ledger(ledger).datasets() for r in d.runs] == [2]


# -- locks ------------------------------------------------------------------------------------------------

SPEND_AT_ONCE = """
import sys
from privsynth.ledger.ledger import Ledger, Unit
Ledger(sys.argv[1]).reserve(dataset="d", unit=Unit(unit="record"), epsilon=1.0, delta=1e-6, description="")
"""


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process for which no file system has working locks."""
    return preloading(tmp_path_factory.mktemp("shim"), LOCKS_THAT_DO_NOT_WORK)


def test_a_file_system_whose_locks_do_not_work_is_refused_before_anything_is_spent(
    path: Path, without_locks: dict[str, str]
) -> None:
    command = [sys.executable, "-c", SPEND_AT_ONCE, str(path)]
    for is_there, service in ((False, {"NO_LOCK_SERVICE": "1"}), (False, {}), (True, {})):
        done = subprocess.run(command, env=without_locks | service, capture_output=True, text=True)
        assert "LedgerError" in done.stderr
        assert "whose locks do not keep two runs apart" in done.stderr
        assert path.exists() == is_there
        if not is_there and not service:
            spend(path)  # as on another machine, where they work
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("DELETE FROM file_systems")
    assert len(Ledger(path).datasets()[0].runs) == 1
    assert [p.name for p in path.parent.iterdir()] == ["ledger.sqlite"]


def test_locks_are_tried_once_for_a_file_system_and_again_where_the_ledger_was_moved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    real = sqlite_files._try_locks
    monkeypatch.setattr(sqlite_files, "_try_locks", lambda folder: tried.append(folder) or real(folder))
    monkeypatch.setattr(sqlite_files, "_tried", {})
    spend(path)
    assert len(tried) == 1
    sqlite_files._tried.clear()  # as in a later process
    spend(path)
    assert len(tried) == 1
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE file_systems SET name = 'elsewhere'")
    spend(path)
    assert len(tried) == 2


def test_what_a_killed_trial_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / ".privsynth-locks-0123"
    left.touch()
    os.utime(left, (0, 0))
    assert sqlite_files._try_locks(tmp_path)
    assert list(tmp_path.iterdir()) == []
