"""``sample --jobs``: the same files, and nothing left of them or of the processes when it is cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import privsynth
from privsynth.sampling import rows as rows_module
from privsynth.synthesizers import MarginalSynthesizer
from tests.fuzz.targets import OLDER
from tests.helpers.commands import run
from tests.helpers.models import COLUMNS, model_of

MODEL = OLDER / "marginal.privsynth"
REQUEST = {"balance": ["sex"], "conditions": {"age": (20, 60)}, "random_state": 3}


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_rows_are_the_same_whatever_the_number_of_processes(tmp_path, monkeypatch, name) -> None:
    monkeypatch.setattr(rows_module, "BLOCK_ROWS", 64)
    synthesizer = MarginalSynthesizer(epsilon=None)
    synthesizer.model_ = model_of([column for column in COLUMNS if column != "note"], n_units=1e9)
    said: list[int] = []
    for jobs in (1, 3):
        (tmp_path / str(jobs)).mkdir()
        said.clear()
        n = synthesizer.sample_to(
            tmp_path / str(jobs) / name,
            300,
            **REQUEST,
            jobs=jobs,
            progress=lambda _, done, of: said.append(done),
        )
        assert n == 300
        assert said == [64, 128, 192, 256, 300]
    assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_few_rows_are_drawn_by_one_process(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    done = run("sample", MODEL, "-n", 50, "-o", tmp_path / "t.csv", "--jobs", 8)
    assert done.code == 0, done.err


def test_jobs_that_mean_nothing_are_refused(tmp_path) -> None:
    for jobs in (0, -1):
        done = run("sample", MODEL, "-n", 5, "-o", tmp_path / "t.csv", "--jobs", jobs)
        assert (done.code, done.error) == (2, f"error: expected jobs to be a whole number >= 1, got {jobs}")
    (tmp_path / "part.csv").write_text("sex\nF\n")
    done = run("sample", MODEL, "--complete", tmp_path / "part.csv", "-o", tmp_path / "t.csv", "--jobs", 2)
    assert (done.code, done.error) == (2, "error: --jobs is for tables that are drawn; leave it out")
    with pytest.raises(privsynth.errors.ParameterError, match="expected jobs"):
        privsynth.load(MODEL).sample_to(tmp_path / "t.csv", 5, jobs=1.5)


def workers_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in children.read_text().split()]


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_no_module_is_taken_from_the_folder_that_a_command_runs_in(tmp_path) -> None:
    for name in ("pickle", "json", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)\n", encoding="utf-8")
    begin = "import sys; from privsynth.cli import main; main(sys.argv[1:])"
    sample = ["sample", str(MODEL), "-n", "200000", "--jobs", "2", "-o", "rows.parquet"]
    done = subprocess.run(  # as a script that pip installs: the folder is not on its path
        [sys.executable, "-P", "-c", begin, *sample], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, "error" in done.stderr) == (0, False)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_cut_short_leaves_no_process_and_no_file(tmp_path, sent) -> None:
    """SIGKILL is sent to a worker: the command itself goes on, and says so."""
    command = [sys.executable, "-m", "privsynth.cli", "sample", str(MODEL), "-n", "500000000", "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "-o", "rows.parquet"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "rows written" in line:
            break
    workers = workers_of(process.pid)
    assert len(workers) == 2
    os.kill(workers[0] if sent == signal.SIGKILL else process.pid, sent)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == {signal.SIGKILL: 1}.get(sent, 128 + sent)
    assert "Traceback" not in said
    if sent == signal.SIGKILL:
        assert said.splitlines()[-1] == (
            "error: a process that draws rows ended before its time (killed by SIGKILL); nothing was written"
            "; run it again, with fewer --jobs (jobs=) if memory was short"
        )
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
    assert [path.name for path in tmp_path.iterdir()] == []
