"""Processor and wall seconds of a fit beside busy processes: ``python -m tests.benchmarks.threads``.

Fits Adult (its training part, from ``$PRIVSYNTH_BENCH``) in fresh processes, with one thread and with the
default, beside 0, 1 and 4 processes that do nothing but compute. Prints a Markdown table; run it from the
checkout of another version to compare. The machine must be quiet otherwise.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privsynth.io.tables import write_table
from tests.benchmarks.fitting import Fit, fit_apart
from tests.benchmarks.tables import TABLES

LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
BUSY = "while True: pass"


@contextmanager
def busy_processes(n: int) -> Iterator[None]:
    """Keep so many processes computing."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def thread_limit(n: int | None) -> Iterator[None]:
    """Set the number of threads of processes to come; None leaves it to the library."""
    before = {name: os.environ.pop(name, None) for name in LIMITS}
    if n is not None:
        os.environ.update(dict.fromkeys(LIMITS, str(n)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def measured(fit: Fit, rows: Path) -> tuple[float, float]:
    """Return processor and wall seconds of one fit in a process of its own, imports and drawing included."""
    used, started = _used(), time.perf_counter()
    fit_apart(fit, rows)
    return _used() - used, time.perf_counter() - started


def _used() -> float:
    """Return processor seconds of all processes that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", nargs="+", type=int, default=[0, 1, 4], help="busy processes beside it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--synthesizer", default="marginal")
    arguments = parser.parse_args()
    table = TABLES["adult"]
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "adult.csv"
        write_table(table.parts(validation=True)[0], train)
        fit = Fit(
            synthesizer=arguments.synthesizer,
            settings={},
            epsilon=1.0,
            delta=1e-5,
            seed=0,
            train=str(train),
            schema=str(table.schema_path),
            n_rows=1000,
        )
        print("| busy processes | threads | processor s | wall s |\n|---|---|---|---|")
        for n_busy in arguments.busy:
            for n_threads in (1, None):
                runs = []
                for _ in range(arguments.repeats):
                    with busy_processes(n_busy), thread_limit(n_threads):
                        runs.append(measured(fit, Path(folder) / "rows.csv"))
                processor, wall = (sorted(values)[len(runs) // 2] for values in zip(*runs, strict=True))
                name = "default" if n_threads is None else n_threads
                print(f"| {n_busy} | {name} | {processor:.1f} | {wall:.1f} |", flush=True)


if __name__ == "__main__":
    main()
