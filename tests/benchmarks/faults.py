"""Kill processes at random moments and count what is lost: `python -m tests.benchmarks.faults [SCALE]`.

SIGKILL reaches 200 fits, 100 samples and 200 ledger writers (times SCALE), and 8 processes contend for a
limit. Printed: kind, times tried, lost, double, half.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from privsynth.errors import PrivsynthError
from privsynth.ledger.ledger import Ledger
from privsynth.synthesizers import load

CLI = [sys.executable, "-m", "privsynth.cli"]
WRITER = """
import sys
from privsynth.accounting.events import Gaussian
from privsynth.ledger.ledger import Ledger, Unit
ledger = Ledger(sys.argv[1])
run = ledger.reserve(dataset="d", unit=Unit(unit="record"), epsilon=1.0, delta=1e-6, description="")
print(run, flush=True)
for i in range(10**6):
    ledger.charge(run, Gaussian(purpose="c", noise_multiplier=1e4), f"k{i}")
    print(i, flush=True)
"""
CONTENDER = """
import sys
from privsynth.errors import BudgetExceededError
from privsynth.ledger.ledger import Ledger, Unit
ledger, n = Ledger(sys.argv[1]), 0
for _ in range(5):
    try:
        ledger.reserve(dataset="d", unit=Unit(unit="record"), epsilon=0.5, delta=1e-7, description="")
        n += 1
    except BudgetExceededError:
        pass
print(n)
"""


def killed(command: list[str], folder: Path, seconds: float) -> tuple[bool, str]:
    """Run a command and kill it after so long; return whether it was still running, and what it printed."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    out = process.communicate()[0]
    return process.returncode == -signal.SIGKILL, out


def writers(n: int, folder: Path) -> tuple[int, int, int, int]:
    """Kill ledger writers: every charge that was acknowledged must be there, once."""
    tried = lost = double = half = 0
    for _ in range(n):
        was_killed, out = killed([sys.executable, "-c", WRITER, "w"], folder, random.uniform(0.2, 2.5))
        tried += was_killed
        lines = out.split("\n")[:-1]
        try:
            ledger = Ledger(folder / "w")
            keys = [key for _, key, _ in ledger.events(lines[0])] if lines else []
        except PrivsynthError:
            half += 1
            continue
        lost += len({f"k{i}" for i in lines[1:]} - set(keys))
        double += len(keys) - len(set(keys))
    return tried, lost, double, half


def fits(n: int, folder: Path) -> tuple[int, int, int, int]:
    """Kill fits, then let the same command end: no more is charged again than was cut short."""
    tried = lost = double = half = 0
    fit = [*CLI, "fit", "t.csv", "--schema", "s.json", "--epsilon", "1", "--ledger", "f"]
    while tried < n:
        name = f"m{tried}"
        command = [*fit, "--dataset", name, "-o", name]
        kills = 0
        for _ in range(3):
            was_killed, _ = killed(command, folder, random.uniform(1.0, 8.0))
            kills += was_killed
        done = subprocess.run(command, cwd=folder, capture_output=True)
        tried += max(kills, 1)
        (run,) = next(d for d in Ledger(folder / "f").datasets() if d.dataset == name).runs
        keys = [key for _, key, _ in Ledger(folder / "f").events(run.run)]
        double += max(len(keys) - len(set(keys)) - kills, 0)
        half += done.returncode != 0
        lost += done.returncode == 0 and len(load(folder / name).releases_) != len(keys)
    return tried, lost, double, half


def samples(n: int, folder: Path) -> tuple[int, int, int, int]:
    """Kill samples: a file is whole or not there."""
    tried = half = 0
    for _ in range(n):
        command = [*CLI, "sample", "m0", "-n", "300000", "-o", "r.csv", "--force"]
        was_killed, _ = killed(command, folder, random.uniform(1.0, 6.0))
        tried += was_killed
        rows = folder / "r.csv"
        half += rows.exists() and len(pd.read_csv(rows)) != 300000
    return tried, 0, 0, half


def contention(folder: Path) -> tuple[int, int, int, int]:
    """Let 8 processes contend for a limit: exactly as many runs are granted as fit, and all are there."""
    Ledger(folder / "c").set_limit("d", epsilon=1.6, delta=1e-6)
    command = [sys.executable, "-c", CONTENDER, "c"]
    running = [subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    granted = sum(int(process.communicate()[0]) for process in running)
    (summary,) = Ledger(folder / "c").datasets()
    return 8, abs(granted - len(summary.runs)), int(summary.epsilon > 1.6), 0


def main(scale: float) -> None:
    """Print the fault table."""
    print("kind            tried  lost  double  half")
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        table = pd.DataFrame({"age": rng.integers(18, 91, 2000), "ill": rng.random(2000) < 0.5})
        table.to_csv(folder / "t.csv", index=False)
        columns = {"age": {"type": "integer", "low": 18, "high": 90}, "ill": {"type": "boolean"}}
        (folder / "s.json").write_text(json.dumps({"columns": columns}))
        for kind, row in (
            ("contention", lambda: contention(folder)),
            ("ledger writer", lambda: writers(round(200 * scale), folder)),
            ("fit", lambda: fits(round(200 * scale), folder)),
            ("sample", lambda: samples(round(100 * scale), folder)),
        ):
            print(f"{kind:<15} {'  '.join(f'{figure:5d}' for figure in row())}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
