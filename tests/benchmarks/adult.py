"""Quality, time and memory on the Adult split: ``python -m tests.benchmarks.adult --epsilon 1 --runs 3``.

Fits in a process of its own (so that peak memory is the fit's), samples as many rows as the training part
has, and scores with the scorer that lies beside the split. Prints one line a run, then means and standard
deviations, as Markdown; ``--json`` writes all figures. The folder of the split is ``$PRIVSYNTH_BENCH``, else
``shared/bench`` beside the repository. The row count is not taken as public.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from privsynth.schema import Schema
from tests.helpers.tables import real_data

FIGURES = {
    "auc_hgb": "AUC boosting",
    "auc_lr": "AUC logistic",
    "worst_group_auc": "worst group",
    "tvd1": "TV 1-way",
    "tvd2": "TV 2-way",
    "tvd3": "TV 3-way",
    "c2st_auc": "C2ST",
    "quality": "quality",
    "fit_seconds": "fit s",
    "peak_mb": "peak MB",
}


def bench_folder() -> Path:
    """Return the folder that holds the split, its public facts and the scorer."""
    return Path(os.environ.get("PRIVSYNTH_BENCH", real_data().parent / "bench"))


def adult_schema() -> Schema:
    """Return Adult's schema: bounds and categories from the split's public facts."""
    meta = json.loads((bench_folder() / "meta.json").read_text())
    columns: dict[str, dict[str, object]] = {}
    for name in meta["columns"]:
        if name in meta["numeric"]:
            low, high = meta["bounds"][name]
            columns[name] = {"type": "integer", "low": low, "high": high}
        else:
            columns[name] = {"type": "categorical", "categories": meta["categories"][name]}
    columns["income"]["role"] = "target"
    columns["sex"]["role"] = columns["race"]["role"] = "group"
    return Schema(columns)


def fit_and_sample(epsilon: float, delta: float, output: Path) -> None:
    """Fit, sample, and print the fit's seconds and this process's peak memory as JSON."""
    from privsynth import MarginalSynthesizer

    train = bench_folder() / "adult_train.csv.gz"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        synthesizer = MarginalSynthesizer(epsilon=epsilon, delta=delta).fit(
            train, schema=adult_schema(), ledger=Path(folder) / "ledger.sqlite"
        )
        seconds = time.perf_counter() - start
    synthesizer.sample(26_048).to_csv(output, index=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"fit_seconds": seconds, "peak_mb": peak}))


def score(synthetic: Path) -> dict[str, float]:
    """Score a synthetic table with the split's own scorer."""
    folder = bench_folder()
    command = [sys.executable, str(folder / "evaluate.py"), "--synth", str(synthetic)]
    for part in ("train", "test"):
        command += [f"--real-{part}", str(folder / f"adult_{part}.csv.gz")]
    command += ["--meta", str(folder / "meta.json")]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def one_run(epsilon: float, delta: float) -> dict[str, float]:
    """Fit in a fresh process, sample and score."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic = Path(folder) / "synthetic.csv"
        command = [sys.executable, "-m", "tests.benchmarks.adult", "--fit-only", str(synthetic)]
        command += ["--epsilon", str(epsilon), "--delta", str(delta)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return score(synthetic) | json.loads(done.stdout)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--fit-only", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit_only:
        fit_and_sample(arguments.epsilon, arguments.delta, arguments.fit_only)
        return
    print("| run | " + " | ".join(FIGURES.values()) + " |\n|" + "---|" * (len(FIGURES) + 1))
    runs = []
    for number in range(arguments.runs):
        runs.append(one_run(arguments.epsilon, arguments.delta))
        print(f"| {number} | " + " | ".join(f"{runs[-1][name]:.4g}" for name in FIGURES) + " |", flush=True)
    columns = {name: [run[name] for run in runs] for name in FIGURES}
    print(
        "| mean ± sd | " + " | ".join(f"{np.mean(v):.4g} ± {np.std(v):.2g}" for v in columns.values()) + " |"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"epsilon": arguments.epsilon, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
