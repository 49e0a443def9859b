"""Kill processes at random moments, count what is lost: `python -m tests.benchmarks.faults [SCALE] [KIND]`.

SIGKILL reaches 200 fits of each source (memory, stream, DuckDB, PostgreSQL), 100 samples and 200 writers of
each ledger (times SCALE); the server ends the connections of 50 fits; and 8 processes contend for a limit in
each ledger. What is killed was forked from a process that has imported all, so that the moments fall into the
work. Printed: kind, times tried, lost, double, half, and seconds. KIND: parts of the names of what is wanted.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.accounting.events import Gaussian
from privsynth.cli import main as cli
from privsynth.errors import BudgetExceededError, PrivsynthError
from privsynth.ledger.ledger import Ledger, Unit
from privsynth.synthesizers import load
from tests.helpers.engines import Postgres, fill, in_duckdb, postgres, programs_of_postgres

Row = tuple[int, int, int, int]
SOURCES = ("memory", "stream", "DuckDB", "PostgreSQL")
LEDGERS = ("file", "server")
MOST_KILLS = 6  # of one run, before it may end
MOST_SECONDS = 300.0  # what runs longer has not gone on
N_ROWS = 100_000  # that are sampled


class Forked:
    """A process that was forked from this one; what it prints goes to a file of its folder."""

    def __init__(self, folder: Path, act: Callable[[], object]) -> None:
        self.printed, self._started, self.took = folder / "printed", time.monotonic(), math.inf
        self.printed.write_text("")
        self._id = os.fork()
        if self._id:
            return
        code = 70
        try:
            os.chdir(folder)
            for stream in (1, 2):
                os.dup2(os.open(self.printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            act()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def wait(self) -> int:
        """Return its exit code; negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self._id, 0)[1])

    def ended_within(self, seconds: float) -> bool:
        """Wait so long; say whether it has ended by itself."""
        while (now := time.monotonic()) < self._started + seconds:
            if os.waitid(os.P_PID, self._id, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self.took = now - self._started
                return True
            time.sleep(0.001)
        return False

    def killed_after(self, seconds: float) -> bool:
        """Kill it after so long; say whether it was still running."""
        if not self.ended_within(seconds):
            os.kill(self._id, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL


class Workplace:
    """A folder with a table in all kinds of places, and two kinds of ledgers."""

    def __init__(self, folder: Path, server: Postgres | None) -> None:
        self.folder, self.server, self._n = folder, server, 0
        rng = np.random.default_rng(0)
        table = pd.DataFrame({"age": rng.integers(18, 91, 2000), "ill": rng.random(2000) < 0.5})
        table.to_csv(folder / "t.csv", index=False)
        columns = {"age": {"type": "integer", "low": 18, "high": 90}, "ill": {"type": "boolean"}}
        (folder / "s.json").write_text(json.dumps({"columns": columns}))
        types = {"age": "INTEGER", "ill": "BOOLEAN"}
        in_duckdb(table, types, folder / "t.duckdb")._find_backend().con.close()
        self._sources = {"memory": ["t.csv"], "stream": ["t.csv", "--stream"]}
        self._sources["DuckDB"] = [f"duckdb://{folder}/t.duckdb#visits"]
        if server is not None:
            with server.connect().cursor() as cursor:
                fill(cursor.execute, cursor.executemany, "t", table, types, "%s")
            self._sources["PostgreSQL"] = [f"{server.dsn}#t"]

    def ledger(self, kind: str) -> str:
        """Return a place where no ledger is yet."""
        self._n += 1
        if kind == "file":
            return str(self.folder / f"ledger-{self._n}")
        assert self.server is not None
        return f"{self.server.dsn}#ledger_{self._n}"

    def fit(self, source: str, ledger: str, name: str) -> Forked:
        """Begin a fit, or go on with it."""
        command = ["fit", *self._sources[source], "--schema", "s.json", "--epsilon", "1", "--ledger", ledger]
        command += ["--dataset", name, "-o", name]
        return Forked(self.folder, lambda: cli(command))

    def import_all(self) -> None:
        """Import here what a fit imports, so that what is forked has it."""
        command = ["fit", "t.csv", "--schema", "s.json", "--epsilon", "1", "--ledger", "l", "-o", "imported"]

        def fit() -> None:
            with suppress(SystemExit):
                cli(command)
            print("\n".join(["", *sys.modules]))

        fitted = Forked(self.folder, fit)
        fitted.wait()
        for name in fitted.printed.read_text().split("\n"):
            with suppress(Exception):
                importlib.import_module(name)

    def seconds(self, begin: Callable[[], Forked]) -> float:
        """Return how long something takes that nobody kills."""
        started = time.monotonic()
        begin().wait()
        return time.monotonic() - started


def writers(n: int, at: Workplace, kind: str) -> Row:
    """Kill ledger writers: every charge that was acknowledged must be there, once."""

    def write(place: str) -> None:
        ledger = Ledger(place)
        run = ledger.reserve(dataset="d", unit=Unit(unit="record"), epsilon=1.0, delta=1e-6, description="")
        print(run, flush=True)
        for i in range(10**6):
            ledger.charge(run, Gaussian(purpose="c", noise_multiplier=1e4), f"k{i}")
            print(i, flush=True)

    tried = lost = double = half = 0
    for i in range(n):
        if i % 20 == 0:
            place = at.ledger(kind)
        writer = Forked(at.folder, lambda place=place: write(place))  # type: ignore[misc]  # of this round
        tried += writer.killed_after(random.uniform(0.0, 1.0))
        lines = writer.printed.read_text().split("\n")[:-1]
        try:
            ledger = Ledger(place)
            keys = [key for _, key, _ in ledger.events(lines[0])] if lines else []
        except PrivsynthError as error:
            print(f"writer, {kind}: {error}", file=sys.stderr, flush=True)
            half += 1
            continue
        lost += len({f"k{i}" for i in lines[1:]} - set(keys))
        double += len(keys) - len(set(keys))
        half += len(keys) > len(lines)  # one more than was acknowledged, at most
    return tried, lost, double, half


def fits(n: int, at: Workplace, source: str, *, end_connections: bool = False) -> Row:
    """Kill fits, then let the same command end: no more is charged again than was cut short."""
    tried = lost = double = half = number = 0
    kind = "server" if source == "PostgreSQL" else "file"
    place = at.ledger(kind)
    whole = at.seconds(lambda: at.fit(source, place, "whole"))
    while tried < n:
        name, cuts = f"{source}-{end_connections}-{number}", 0
        number += 1
        for _ in range(MOST_KILLS):
            fit = at.fit(source, place, name)
            if fit.ended_within(random.uniform(0.0, whole)):
                whole = min(whole, fit.took)  # the machine is faster than it was
                half += fit.wait() != 0
                break
            if not end_connections:
                cuts += fit.killed_after(0.0)
                continue
            cuts += 1
            assert at.server is not None
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            at.server.connect().execute(ended)
            half += fit.wait() not in (0, 2, 3) or "Traceback" in fit.printed.read_text()
        fit = at.fit(source, place, name)
        if not fit.ended_within(MOST_SECONDS):
            fit.killed_after(0.0)
            half += 1
            continue
        is_done = fit.wait() == 0
        tried += cuts
        ledger = Ledger(place)
        (run,) = next(d for d in ledger.datasets() if d.dataset == name).runs
        keys = [key for _, key, _ in ledger.events(run.run)]
        double += max(len(keys) - len(set(keys)) - cuts, 0)
        half += not is_done or run.status != "finished"
        lost += is_done and len(load(at.folder / name).releases_) != len(keys)
        print(f"{source}: {tried} {lost} {double} {half}", file=sys.stderr, flush=True)
    return tried, lost, double, half


def samples(n: int, at: Workplace) -> Row:
    """Kill samples: a file is whole or not there."""
    at.fit("memory", at.ledger("file"), "sampled").wait()
    command = ["sample", "sampled", "-n", str(N_ROWS), "-o", "r.csv", "--force"]
    whole = at.seconds(lambda: Forked(at.folder, lambda: cli(command)))
    tried = half = 0
    rows = at.folder / "r.csv"
    while tried < n:
        tried += Forked(at.folder, lambda: cli(command)).killed_after(random.uniform(0.0, whole))
        half += rows.exists() and len(pd.read_csv(rows)) != N_ROWS
    return tried, 0, 0, half


def contention(at: Workplace, kind: str) -> Row:
    """Let 8 processes contend for a limit: exactly as many runs are granted as fit, and all are there."""

    def take() -> None:
        ledger, n = Ledger(place), 0
        for _ in range(5):
            try:
                ledger.reserve(
                    dataset="d", unit=Unit(unit="record"), epsilon=0.5, delta=1e-7, description=str(n)
                )
                n += 1
            except BudgetExceededError:
                pass
        sys.exit(100 + n)

    place = at.ledger(kind)
    Ledger(place).set_limit("d", epsilon=50.0, delta=1e-6)  # a tenth of each delta is set aside: ten fit
    running = [Forked(at.folder, take) for _ in range(8)]
    granted = sum(process.wait() - 100 for process in running)
    (summary,) = Ledger(place).datasets()
    return 8, abs(10 - len(summary.runs)), abs(granted - len(summary.runs)), 0


def kinds(scale: float, at: Workplace) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield what can be tried here, by name."""

    def times(n: int) -> int:
        return max(1, round(n * scale))

    for ledger in LEDGERS[: 2 if at.server else 1]:
        yield f"contention, {ledger}", partial(contention, at, ledger)
        yield f"writer, {ledger}", partial(writers, times(200), at, ledger)
    yield "sample", lambda: samples(times(100), at)
    for source in SOURCES[: 4 if at.server else 3]:
        yield f"fit, {source}", partial(fits, times(200), at, source)
    if at.server:
        yield "fit, connections end", lambda: fits(times(50), at, "PostgreSQL", end_connections=True)


def main(scale: float, wanted: list[str]) -> None:
    """Print the fault table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server: Any = stack.enter_context(postgres()) if programs_of_postgres() else None
        at = Workplace(folder, server)
        at.import_all()
        print("kind                  tried   lost  double  half  seconds", flush=True)
        for kind, act in kinds(scale, at):
            if all(part not in kind for part in wanted or [""]):
                continue
            started = time.monotonic()
            figures = "  ".join(f"{figure:5d}" for figure in act())
            print(f"{kind:<20} {figures}  {time.monotonic() - started:7.0f}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, sys.argv[2:])
