"""Sampling speed and memory on Adult: ``python -m tests.benchmarks.sampling MODEL``.

MODEL is a model file fitted to the Adult split (``--fit`` makes it, at epsilon 1). Prints rows a second in
memory, free and under conditions and targets: the best of ``--repeats`` runs of a million rows, since other
work on the machine only slows a run down, and the same per second of processor time, which it hardly touches.
Then rows a second and processor seconds to Parquet, of a fresh process and its workers (``--jobs``), for 1, 5
and 20 million rows. Peak memory is the sum of the peaks of the process and of its workers.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import privsynth
from tests.benchmarks.tables import adult_schema, bench_folder

REQUESTS = {
    "free": {},
    "three conditions": {
        "conditions": {"sex": "Female", "age": (25, 40), "education": ["HS-grad", "Bachelors", "Masters"]}
    },
    "balance of 20 cells": {"balance": ["sex", "race", "income"], "on_unsupported": "warn"},
    "parity in 10 groups": {"parity": ("income", ["sex", "race"]), "on_unsupported": "warn"},
    "three marginals": {
        "proportions": {
            "sex": {"Female": 0.5, "Male": 0.5},
            "income": {">50K": 0.3},
            "age": {"..39": 0.5, "40..": 0.5},
        },
        "on_unsupported": "warn",
    },
}


def fit_adult(path: Path) -> None:
    """Fit a model at epsilon 1 and save it."""
    with tempfile.TemporaryDirectory() as folder:
        synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, delta=1e-6).fit(
            bench_folder() / "adult_train.csv.gz",
            schema=adult_schema(),
            ledger=Path(folder) / "ledger.sqlite",
        )
    synthesizer.save(path, force=True)


def rows_per_second(model: Path, n: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Return each request's best rates in memory: rows a second, and a second of processor time."""
    synthesizer = privsynth.load(model)
    rates = {}
    for name, request in REQUESTS.items():
        synthesizer.sample(1000, **request)
        wall, processor = [], []
        for _ in range(repeats):
            start, begun = time.perf_counter(), time.process_time()
            synthesizer.sample(n, **request)
            wall.append(time.perf_counter() - start)
            processor.append(time.process_time() - begun)
        rates[name] = n / min(wall), n / min(processor)
    return rates


def write_rows(model: Path, n: int, jobs: int, suffix: str) -> None:
    """Write rows to a file, and print seconds and peak memory as JSON."""
    synthesizer = privsynth.load(model)
    before = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        start, begun = time.perf_counter(), time.process_time()
        peaks: dict[str, float] = {}
        synthesizer.sample_to(
            Path(folder) / f"rows{suffix}",
            n,
            jobs=jobs,
            progress=lambda *told: peaks.update(_peaks_of_workers()),
        )
        seconds, processor = time.perf_counter() - start, time.process_time() - begun
    of_workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor += of_workers.ru_utime + of_workers.ru_stime
    peak = _peak_mb() + sum(peaks.values())
    print(json.dumps({"seconds": seconds, "processor": processor, "peak_mb": peak, "loaded_mb": before}))


def _peak_mb(process: str = "self") -> float:
    """Return the peak memory of a process (`getrusage` would inherit the parent's)."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def _peaks_of_workers() -> dict[str, float]:
    """Return the peak memory of each child, by its number."""
    begun_by = Path("/proc/self/task").glob("*/children")
    return {child: _peak_mb(child) for of_thread in begun_by for child in of_thread.read_text().split()}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--suffix", default=".parquet", help=".parquet, .csv or .csv.gz")
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # of faint cells: only speed is of interest
    if arguments.write:
        write_rows(arguments.model, arguments.write, arguments.jobs[0], arguments.suffix)
        return
    if arguments.fit:
        fit_adult(arguments.model)
    print("| request | rows/s | rows per processor second |\n|---|---|---|")
    for name, (wall, processor) in rows_per_second(
        arguments.model, arguments.rows, arguments.repeats
    ).items():
        print(f"| {name} | {wall:,.0f} | {processor:,.0f} |", flush=True)
    print(
        f"\n| rows to {arguments.suffix} | processes | seconds | rows/s | processor seconds | rows per "
        "processor second | peak MB of all (of that, libraries and model of the first) |"
    )
    print("|---|---|---|---|---|---|---|")
    for millions in arguments.millions:
        for jobs in arguments.jobs:
            _print_written(arguments.model, millions, jobs, arguments.suffix)


def _print_written(model: Path, millions: int, jobs: int, suffix: str) -> None:
    n = millions * 1_000_000
    command = [sys.executable, "-m", "tests.benchmarks.sampling", str(model), "--write", str(n)]
    command += ["--jobs", str(jobs), "--suffix", suffix]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    seconds, processor = found["seconds"], found["processor"]
    print(
        f"| {millions} million | {jobs} | {seconds:.1f} | {n / seconds:,.0f} | {processor:.1f} | "
        f"{n / processor:,.0f} | {found['peak_mb']:.0f} ({found['loaded_mb']:.0f}) |",
        flush=True,
    )


if __name__ == "__main__":
    main()
