"""Sampling speed and memory on Adult: ``python -m tests.benchmarks.sampling MODEL``.

MODEL is a model file fitted to the Adult split (``--fit`` makes it, at epsilon 1). Prints rows a second in
memory, free and under conditions and targets: the best of ``--repeats`` runs of a million rows, since other
work on the machine only slows a run down, and the same per second of processor time, which it hardly touches.
Then rows a second to Parquet and the peak memory of a fresh process for 1, 5 and 20 million rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import privsynth
from tests.benchmarks.adult import adult_schema, bench_folder

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


def write_parquet(model: Path, n: int) -> None:
    """Write rows to a Parquet file in this process, and print seconds and peak memory as JSON."""
    synthesizer = privsynth.load(model)
    before = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        synthesizer.sample_to(Path(folder) / "rows.parquet", n)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb(), "loaded_mb": before}))


def _peak_mb() -> float:
    """Return the peak memory of this process (`getrusage` would inherit the parent's)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # of faint cells: only speed is of interest
    if arguments.write:
        write_parquet(arguments.model, arguments.write)
        return
    if arguments.fit:
        fit_adult(arguments.model)
    print("| request | rows/s | rows per processor second |\n|---|---|---|")
    for name, (wall, processor) in rows_per_second(
        arguments.model, arguments.rows, arguments.repeats
    ).items():
        print(f"| {name} | {wall:,.0f} | {processor:,.0f} |", flush=True)
    print(
        "\n| rows to Parquet | seconds | rows/s | peak MB (of that, libraries and model) |\n|---|---|---|---|"
    )
    for millions in arguments.millions:
        command = [sys.executable, "-m", "tests.benchmarks.sampling", str(arguments.model)]
        command += ["--write", str(millions * 1_000_000)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        rate = millions * 1e6 / found["seconds"]
        print(
            f"| {millions} million | {found['seconds']:.0f} | {rate:,.0f} | {found['peak_mb']:.0f} "
            f"({found['loaded_mb']:.0f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
