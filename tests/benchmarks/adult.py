"""Quality, time and memory on the Adult split: ``python -m tests.benchmarks.adult --epsilon 1 --runs 3``.

Fits in a process of its own (so that peak memory is the fit's), samples as many rows as the training part
has, and scores with the scorer that lies beside the split. Prints one line a run, then means and standard
deviations, as Markdown; ``--json`` writes all figures. The folder of the split is ``$PRIVSYNTH_BENCH``, else
``shared/bench`` beside the repository. The row count is not taken as public. ``--synthesizer dpgan`` measures
another one, ``--settings '{"n_steps": 0}'`` changes its settings (here: a discriminator never trained),
and ``--validation`` scores on a fifth of the training part instead of the test part, as every choice must be.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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


def changed(settings: Any, changes: dict[str, Any]) -> Any:
    """Return settings with some fields changed, those of nested settings too."""
    nested = {
        name: changed(getattr(settings, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return replace(settings, **nested)


def fit_and_sample(
    name: str, settings: dict[str, Any], epsilon: float, delta: float, train: Path, output: Path
) -> None:
    """Fit, sample, and print the fit's seconds and this process's peak memory as JSON."""
    from privsynth.synthesizers import SYNTHESIZERS

    kind = SYNTHESIZERS[name]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        synthesizer = kind(
            epsilon=epsilon, delta=delta, settings=changed(kind.settings_type(), settings)
        ).fit(train, schema=adult_schema(), ledger=Path(folder) / "ledger.sqlite")
        seconds = time.perf_counter() - start
    synthesizer.sample(len(pd.read_csv(train))).to_csv(output, index=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"fit_seconds": seconds, "peak_mb": peak}))


def score(synthetic: Path, train: Path, test: Path) -> dict[str, float]:
    """Score a synthetic table with the split's own scorer."""
    folder = bench_folder()
    command = [sys.executable, str(folder / "evaluate.py"), "--synth", str(synthetic)]
    command += ["--real-train", str(train), "--real-test", str(test), "--meta", str(folder / "meta.json")]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def parts(folder: Path, *, validation: bool) -> tuple[Path, Path]:
    """Return what is fitted and what is scored on: the split, or the training part divided at random."""
    train, test = (bench_folder() / f"adult_{part}.csv.gz" for part in ("train", "test"))
    if not validation:
        return train, test
    frame = pd.read_csv(train)
    is_held = np.random.default_rng(0).random(len(frame)) < 0.2
    for path, part in ((folder / "train.csv", frame[~is_held]), (folder / "held.csv", frame[is_held])):
        part.to_csv(path, index=False)
    return folder / "train.csv", folder / "held.csv"


def one_run(arguments: argparse.Namespace) -> dict[str, float]:
    """Fit in a fresh process, sample and score."""
    with tempfile.TemporaryDirectory() as folder:
        train, test = parts(Path(folder), validation=arguments.validation)
        synthetic = Path(folder) / "synthetic.csv"
        command = [sys.executable, "-m", "tests.benchmarks.adult", "--fit-only", str(train), str(synthetic)]
        command += ["--synthesizer", arguments.synthesizer, "--settings", json.dumps(arguments.settings)]
        command += ["--epsilon", str(arguments.epsilon), "--delta", str(arguments.delta)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return score(synthetic, train, test) | json.loads(done.stdout)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--synthesizer", default="marginal")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON of settings to change")
    parser.add_argument("--validation", action="store_true", help="score on a part of the training rows")
    parser.add_argument("--fit-only", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit_only:
        fit_and_sample(
            arguments.synthesizer,
            arguments.settings,
            arguments.epsilon,
            arguments.delta,
            *arguments.fit_only,
        )
        return
    print("| run | " + " | ".join(FIGURES.values()) + " |\n|" + "---|" * (len(FIGURES) + 1))
    runs = []
    for number in range(arguments.runs):
        runs.append(one_run(arguments))
        print(f"| {number} | " + " | ".join(f"{runs[-1][name]:.4g}" for name in FIGURES) + " |", flush=True)
    columns = {name: [run[name] for run in runs] for name in FIGURES}
    print(
        "| mean ± sd | " + " | ".join(f"{np.mean(v):.4g} ± {np.std(v):.2g}" for v in columns.values()) + " |"
    )
    if arguments.json:
        what = {name: getattr(arguments, name) for name in ("synthesizer", "settings", "epsilon", "delta")}
        arguments.json.write_text(json.dumps({**what, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
