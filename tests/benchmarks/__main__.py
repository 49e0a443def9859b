"""Data quality, time and memory on real tables: ``python -m tests.benchmarks``.

Runs tables x epsilons x seeds x synthesizers and writes means and standard deviations as Markdown, to
standard output and beside the JSON of all figures. Each fit has a process of its own. A result that the JSON
holds is not run again, so an interrupted call goes on where it was, and more seeds add to what is there;
results of a changed program belong into a new file. Rows scored beside them: the training part itself
(`real`), and its columns each shuffled (`independent columns`).

``--validation`` scores on a part of the training part and leaves the test part alone, as every choice must
be made. ``--settings '{"n_steps": 0}'`` changes settings of the synthesizers named. ``--compare A B`` says
how two files differ, with standard errors. The scorer and Adult's split are in ``$PRIVSYNTH_BENCH``, the
other tables in ``$PRIVSYNTH_DATA`` (else ``shared/bench`` and ``shared/data`` beside the repository). No row
count is taken as public. Processes that run different tables may share a JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from privsynth.errors import PrivsynthError
from privsynth.io.tables import read_table, write_table
from privsynth.synthesizers import TABLE_SYNTHESIZERS
from tests.benchmarks.fitting import Fit, fit_apart
from tests.benchmarks.results import INDEPENDENT, REAL, Results, Run, compare, label, markdown
from tests.benchmarks.scoring import Scorer, independent_columns
from tests.benchmarks.tables import TABLES, Table

SHOWN = ("auc_hgb", "auc_lr", "tvd1", "tvd2", "tvd3", "c2st_auc", "quality", "fit_seconds", "peak_mb")


def planned(arguments: argparse.Namespace, table: str) -> list[Run]:
    """Return the runs that are asked for on one table, baselines first, one seed of everything at a time."""
    common = {"table": table, "part": "validation" if arguments.validation else "test"}
    baselines = [{**common, "synthesizer": name, "epsilon": None} for name in (REAL, INDEPENDENT)]
    fits = itertools.product(range(arguments.seeds), arguments.epsilons, arguments.synthesizers)
    return baselines + [
        {
            **common,
            "synthesizer": synthesizer,
            "settings": arguments.settings,
            "epsilon": epsilon,
            "delta": arguments.delta,
            "seed": seed,
        }
        for seed, epsilon, synthesizer in fits
    ]


class Bench:
    """One table, divided and coded, ready for runs.

    Args:
        table: The table.
        folder: Where its parts and synthetic rows go.
        validation: Whether the training part is divided and the test part left alone.
    """

    def __init__(self, table: Table, folder: Path, *, validation: bool) -> None:
        train, test = table.parts(validation=validation)
        self._table = table
        self._train_file, self._rows_file = folder / f"{table.name}.csv", folder / "rows.csv"
        write_table(train, self._train_file)
        self._rows = table.scored_rows(train)
        self._scorer = Scorer(table, self._rows, table.scored_rows(test), folder)

    def run(self, run: Run) -> Run:
        """Fit, draw and score; an error is what came of it."""
        try:
            return {**run, **self._run(run)}
        except (PrivsynthError, RuntimeError) as error:
            return {**run, "error": str(error)}

    def _run(self, run: Run) -> dict[str, Any]:
        if run["synthesizer"] in (REAL, INDEPENDENT):
            rows = self._rows if run["synthesizer"] == REAL else independent_columns(self._rows)
            return {"figures": self._scorer.score(rows)}
        what = {name: run[name] for name in ("synthesizer", "settings", "epsilon", "delta", "seed")}
        took = fit_apart(
            Fit(
                **what,
                train=str(self._train_file),
                schema=str(self._table.schema_path),
                n_rows=len(self._rows),
            ),
            self._rows_file,
        )
        told = {"warnings": took.pop("warnings"), "revision": revision()}
        return {"figures": self._scorer.score(read_table(self._rows_file)) | took, **told}


def revision() -> str | None:
    """Return which state of the repository ran; None outside of one."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or None


def run_all(arguments: argparse.Namespace) -> None:
    """Run what is asked for and not done yet."""
    results = Results.load(arguments.json)
    plan = {name: planned(arguments, name) for name in arguments.tables}
    n_left = sum(not results.has(run) for runs in plan.values() for run in runs)
    done = 0
    for name, runs in plan.items():
        left = [run for run in runs if not results.has(run)]
        if not left:
            continue
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(TABLES[name], Path(folder), validation=arguments.validation)
            for run in left:
                start = time.perf_counter()
                ended = bench.run(run)
                results.add(ended)
                done += 1
                print(
                    f"{done}/{n_left} {_told(ended)} ({time.perf_counter() - start:.0f} s)", file=sys.stderr
                )
    asked = [run for runs in plan.values() for run in runs]
    print(markdown(run for run in results.runs if any(_same_row(run, one) for one in asked)))


def _told(run: Run) -> str:
    what = f"{run['table']} {label(run)}"
    if run["epsilon"] is not None:
        what += f" epsilon {run['epsilon']:g} seed {run['seed']}"
    if "error" in run:
        return f"{what} failed: {run['error']}"
    return f"{what}: " + ", ".join(f"{n} {run['figures'][n]:.4g}" for n in SHOWN if n in run["figures"])


def _same_row(run: Run, other: Run) -> bool:
    names = ("table", "part", "synthesizer", "settings", "epsilon", "delta")
    return all(run.get(name) == other.get(name) for name in names)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--epsilons", nargs="+", type=float, default=[0.3, 1.0, 3.0, 10.0])
    parser.add_argument("--seeds", type=int, default=5, help="how many runs of each")
    parser.add_argument("--synthesizers", nargs="+", choices=list(TABLE_SYNTHESIZERS), default=["marginal"])
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON of settings to change")
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--validation", action="store_true", help="divide the training part")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="file of all results")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"), help="compare two files")
    arguments = parser.parse_args()
    if arguments.compare:
        try:
            print(compare(*(Results.load(path).runs for path in arguments.compare)))
        except ValueError as error:
            parser.error(str(error))
        return
    run_all(arguments)


if __name__ == "__main__":
    main()
