"""SIGTERM and SIGHUP, sent to real processes: what was not claimed goes back, as after Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.errors.termination import Termination, held_back, raise_termination, terminations_raised
from privsynth.ledger.ledger import Ledger
from tests.helpers.linked import SCHEMA, bank

if not hasattr(signal, "SIGHUP"):
    pytest.skip("there are no such signals", allow_module_level=True)

COMMAND = [sys.executable, "-m", "privsynth.cli"]
COLUMNS = {
    "age": {"type": "integer", "low": 18, "high": 90},
    "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
    "ill": {"type": "boolean", "role": "target"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    rows = {
        "age": rng.integers(18, 91, 500),
        "sex": rng.choice(["F", "M"], 500),
        "ill": rng.random(500) < 0.5,
    }
    pd.DataFrame(rows).to_csv(tmp_path / "visits.csv", index=False)
    (tmp_path / "schema.json").write_text(json.dumps({"columns": COLUMNS}))
    return tmp_path


def ended(command: list[str], folder: Path, sent: signal.Signals, *, at: str) -> tuple[int, str]:
    """Send a signal, twice as terminals do, once a line holds a text; return exit code and last line."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if at in line:
            process.send_signal(sent)
            process.send_signal(sent)
            break
    said += process.communicate(timeout=60)[1]
    assert "Traceback" not in said
    return process.returncode, said.splitlines()[-1] if said else ""


def only_run(folder: Path) -> tuple[str, float, int]:
    """Return of the only run in the ledger its status, what it holds of its epsilon, and its events."""
    (summary,) = Ledger(folder / "l.sqlite").datasets()
    (run,) = summary.runs
    return run.status, summary.epsilon, run.n_events


def test_a_fit_that_is_terminated_keeps_what_it_paid_for_and_gives_back_the_rest(folder: Path) -> None:
    fit = [*COMMAND, "fit", "visits.csv", "--schema", "schema.json", "--epsilon", "2", "-o", "m"]
    code, last = ended([*fit, "--ledger", "l.sqlite"], folder, signal.SIGTERM, at="(3/")
    assert code == 128 + signal.SIGTERM == 143
    assert last.startswith("ended by SIGTERM; what was paid for stays charged and is kept in 'm.partial'")
    assert "the same command resumes" in last
    status, held, _ = only_run(folder)
    assert status == "suspended"
    assert 0 < held < 2
    assert {p.name for p in folder.iterdir()} == {"m.partial", "l.sqlite", "visits.csv", "schema.json"}


def test_a_fit_of_linked_tables_does_so_too_when_its_terminal_is_closed(folder: Path) -> None:
    (folder / "bank").mkdir()
    for name, table in bank(120).items():
        table.to_csv(folder / "bank" / f"{name}.csv", index=False)
    SCHEMA.save(folder / "linked.json")
    fit = [*COMMAND, "fit", "bank", "--schema", "linked.json", "--epsilon", "2", "-o", "m"]
    code, last = ended([*fit, "--ledger", "l.sqlite"], folder, signal.SIGHUP, at="(2/")
    assert code == 128 + signal.SIGHUP == 129
    assert last.startswith("ended by SIGHUP; what was paid for stays charged")
    status, held, _ = only_run(folder)
    assert status == "suspended"
    assert 0 < held < 2


def test_an_audit_under_a_budget_says_what_stays_charged(folder: Path) -> None:
    audit = [
        *COMMAND,
        "audit",
        "--real",
        "visits.csv",
        "--synthetic",
        "visits.csv",
        "--schema",
        "schema.json",
    ]
    audit += ["--ledger", "l.sqlite", "--audit-epsilon", "1", "-o", "report"]
    code, last = ended(audit, folder, signal.SIGTERM, at="counting under the budget")
    assert code == 143
    assert last.startswith("ended by SIGTERM; nothing was written; what the audit had counted stays charged")
    status, held, n_events = only_run(folder)
    assert status == "closed"
    assert (held > 0) == (n_events > 0)
    assert not (folder / "report" / "report.json").exists()


def test_a_fit_in_python_ends_by_the_signal_and_gives_back_first(folder: Path) -> None:
    (folder / "fit.py").write_text(
        "import os, signal\n"
        "from privsynth import MarginalSynthesizer\n"
        "from privsynth.schema import Schema\n"
        "def progress(message, done, total):\n"
        "    if done == 2: os.kill(os.getpid(), signal.SIGTERM)\n"
        "MarginalSynthesizer(epsilon=2.0).fit('visits.csv', schema=Schema.load('schema.json'),\n"
        "    ledger='l.sqlite', releases_path='m.partial', progress=progress)\n"
    )
    done = subprocess.run([sys.executable, "fit.py"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    status, held, n_events = only_run(folder)
    assert status == "suspended"
    assert 0 < held < 2
    assert n_events > 0


def test_a_handler_of_somebody_else_and_an_ignored_signal_stay_as_they_are() -> None:
    came = []
    previous = [signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))]
    previous.append(signal.signal(signal.SIGHUP, signal.SIG_IGN))
    try:
        with terminations_raised(as_exit_code=True):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            with held_back():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGHUP)
                assert came == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, previous[0])
        signal.signal(signal.SIGHUP, previous[1])
    assert came == [signal.SIGTERM] * 2
    assert Termination.received is None


def two_parts(done: list[str]) -> None:
    with held_back():
        signal.raise_signal(signal.SIGTERM)
        done.append("whole")


def test_what_belongs_together_comes_to_its_end_before_a_signal_is_obeyed() -> None:
    done = []
    with terminations_raised(as_exit_code=True):
        assert signal.getsignal(signal.SIGTERM) is raise_termination
        with pytest.raises(Termination):
            two_parts(done)
        signal.raise_signal(signal.SIGHUP)  # part of the same wish: what obeys the first is not cut short
        done.append("cleaned")
    assert done == ["whole", "cleaned"]
    assert Termination.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
