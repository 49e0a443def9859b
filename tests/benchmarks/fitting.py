"""One fit in a process of its own, so that its peak memory is its own.

``python -m tests.benchmarks.fitting ROWS`` reads a `Fit` as JSON from standard input, writes the drawn rows,
and prints seconds, memory and warnings as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

LAST_LINES = 3


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What to fit and to draw.

    Attributes:
        synthesizer: Its name.
        settings: Which of its settings to change.
        epsilon: Asked for.
        delta: Asked for.
        seed: Fixes initial weights and the drawing of rows; the noise is fresh each time.
        train: File of the records.
        schema: File of the schema.
        n_rows: How many rows to draw.
        arguments: Others of `fit`.
    """

    synthesizer: str
    settings: dict[str, Any]
    epsilon: float
    delta: float
    seed: int
    train: str
    schema: str
    n_rows: int
    arguments: dict[str, Any] = field(default_factory=dict)


def changed(settings: Any, changes: dict[str, Any]) -> Any:
    """Return settings with some fields changed, those of nested settings too."""
    nested = {
        name: changed(getattr(settings, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return replace(settings, **nested)


def fit_apart(fit: Fit, rows: Path) -> dict[str, Any]:
    """Fit in a fresh process, write the drawn rows, and return what the fit took.

    Raises:
        RuntimeError: If the fit fails; holds what it said last.
    """
    command = [sys.executable, "-m", "tests.benchmarks.fitting", str(rows)]
    done = subprocess.run(command, input=json.dumps(asdict(fit)), capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-LAST_LINES:]
        raise RuntimeError(" ".join(said) or f"the fit ended with exit status {done.returncode}")
    return json.loads(done.stdout)


def fit_here(fit: Fit, rows: Path) -> dict[str, Any]:
    """Fit, write the drawn rows, and return seconds, this process's peak memory, and warnings."""
    from privsynth.io.tables import write_table
    from privsynth.schema import Schema
    from privsynth.synthesizers import TABLE_SYNTHESIZERS

    kind, schema = TABLE_SYNTHESIZERS[fit.synthesizer], Schema.load(fit.schema)
    synthesizer = kind(
        epsilon=fit.epsilon,
        delta=fit.delta,
        settings=changed(kind.settings_type(), fit.settings),
        random_state=fit.seed,
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")  # what a fit warns of is recorded with its figures
        start, cpu = time.perf_counter(), time.process_time()
        synthesizer.fit(fit.train, schema=schema, ledger=Path(folder) / "ledger.sqlite", **fit.arguments)
        fitted, cpu = time.perf_counter(), time.process_time() - cpu
        drawn: pd.DataFrame = synthesizer.sample(fit.n_rows)
        sampled = time.perf_counter()
    write_table(drawn, rows, force=True)
    return {
        "fit_seconds": fitted - start,
        "fit_cpu_seconds": cpu,
        "sample_seconds": sampled - fitted,
        "peak_mb": peak_megabytes(),
        "warnings": sorted({str(warning.message) for warning in told}),
    }


def peak_megabytes() -> float:
    """Return this process's peak memory since it began to run this program."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, it does not start at the memory of the process that forked us
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    print(json.dumps(fit_here(Fit(**json.load(sys.stdin)), Path(sys.argv[1]))))
