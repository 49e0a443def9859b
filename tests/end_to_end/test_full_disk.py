"""A disk that is full, and what killed processes leave: true messages, nothing lost, nothing readable."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.io.atomic import made_aside, written_aside
from privsynth.ledger.ledger import Ledger
from tests.helpers.shims import DISK_THAT_IS_FULL, preloading

COMMAND = [sys.executable, "-m", "privsynth.cli"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds disks full."""
    return preloading(tmp_path_factory.mktemp("shim"), DISK_THAT_IS_FULL)


@pytest.fixture
def fit(tmp_path: Path) -> list[str]:
    """A fit whose model and paid releases, and whose ledger, lie in folders of their own."""
    rng = np.random.default_rng(3)
    rows = {"age": rng.integers(18, 91, 300), "ill": rng.random(300) < 0.5}
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    columns = {"age": {"type": "integer", "low": 18, "high": 90}, "ill": {"type": "boolean"}}
    (tmp_path / "s.json").write_text(json.dumps({"columns": columns}))
    (tmp_path / "models").mkdir()
    (tmp_path / "ledgers").mkdir()
    fit = [*COMMAND, "fit", "t.csv", "--schema", "s.json", "--epsilon", "1", "-o", "models/m"]
    return [*fit, "--ledger", "ledgers/l.sqlite"]


def failed(command: list[str], folder: Path, full: dict[str, str], where: str, room: int) -> str:
    environment = full | {"FULL": str(folder / where), "ROOM": str(room)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (2, 3), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for wrong in ("put back", "discard", "unexpected", "damaged"):
        assert wrong not in last
    assert "Traceback" not in done.stderr
    return last


def test_a_full_disk_says_so_and_the_same_command_goes_on_when_there_is_room(
    fit: list[str], tmp_path: Path, full: dict[str, str]
) -> None:
    limit = [*COMMAND, "ledger", "limit", "--dataset", "t", "--epsilon", "1", "--delta", "1e-6"]
    limit += ["--ledger", "ledgers/l.sqlite"]
    assert subprocess.run(limit, cwd=tmp_path, capture_output=True).returncode == 0
    said = failed([*limit, "--epsilon", "2"], tmp_path, full, "ledgers", 5000)
    assert "ledgers/l.sqlite' cannot be used, and nothing more was read: the disk is full. Make room" in said
    said = failed(fit, tmp_path, full, "models", 200_000)
    assert "the paid releases cannot be kept in 'models/m.partial': the disk is full. Make room" in said
    said = failed(fit, tmp_path, full, "models/.m.", 100)
    assert (
        "'models/m' cannot be written: No space left on device. Nothing is lost: 'models/m.partial'" in said
    )
    done = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (summary,) = Ledger(tmp_path / "ledgers" / "l.sqlite").datasets()
    assert [run.status for run in summary.runs] == ["finished"]
    assert summary.epsilon <= 1.0
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["m"]


WRITES_FOR_EVER = """
import sys, time
from pathlib import Path
from privsynth.io.atomic import made_aside
with made_aside(Path(sys.argv[1]), is_folder=sys.argv[2] == "folder") as (aside, mode):
    (aside / "f" if aside.is_dir() else aside).write_text("half")
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_private_and_removed_by_the_next_and_what_is_being_written_is_not(
    tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "rows.csv"
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(target), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        (aside,) = tmp_path.iterdir()
        assert stat.S_IMODE(aside.stat().st_mode) == (0o600 if kind == "file" else 0o700)
        with made_aside(target):
            assert aside.exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp_path.iterdir()) == [aside]
    for other in ("rows.csv.gz", "s.csv"):
        with written_aside(tmp_path / other) as mine:
            assert {aside, mine} <= set(tmp_path.iterdir())
    with written_aside(target) as mine:
        assert stat.S_IMODE(mine.stat().st_mode) == 0o600
        assert not aside.exists()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_a_ledger_half_made_by_a_killed_process_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f".l.sqlite.{'0' * 32}"
    young = tmp_path / f".l.sqlite.{'1' * 32}"
    for path in (left, young):
        path.touch()
    os.utime(left, (time.time() - 3600,) * 2)
    Ledger(tmp_path / "l.sqlite")
    assert {p.name for p in tmp_path.iterdir()} == {"l.sqlite", young.name}
