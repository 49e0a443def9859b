"""The audits' own figures: ``python -m tests.benchmarks.audit mechanisms|adult|scale``.

``mechanisms`` prints what two-world audits at 95 % show of each mechanism beside what the ledger books, and
one-run canaries of the gradient steps. ``adult`` attacks, on the Adult split, a generator that copies (each
row with one field in four taken from one of its nearest neighbours), and ours. ``scale`` times the whole
audit of a table, report included, in a process of its own, and says its peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from privsynth.attacks.features import FeatureSpace
from privsynth.attacks.neighbours import nearest
from privsynth.attacks.two_worlds import audit_scores
from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.leakage.membership import membership
from privsynth.report import audit
from privsynth.schema import Schema
from tests.benchmarks.tables import adult_schema, bench_folder


def mechanisms(n_test: int, n_fits: int) -> None:
    """Print the table of lower bounds."""
    from tests.audit.mechanisms import MECHANISMS, VECTORISED
    from tests.audit.test_canaries import FULL_BATCH, N_CANARIES, N_GUESSES, SAMPLED
    from tests.audit.test_canaries import audit as canary_audit
    from tests.audit.test_whole_synthesizer import audits
    from tests.audit.whole import claimed_mu

    print("| mechanism | booked mu | shown, 95 % | share | test runs in each world |\n|---|---|---|---|---|")

    def line(name: str, booked: float, shown: float, runs: str) -> None:
        print(f"| {name} | {booked:.4g} | {shown:.4g} | {shown / booked:.0%} | {runs} |", flush=True)

    for mechanism in [*MECHANISMS, *VECTORISED]:
        n = 10 * n_test if mechanism in VECTORISED else n_test
        worlds = (mechanism.scores(with_target, n + n // 4) for with_target in (False, True))
        found = audit_scores(*worlds, n_validation=n // 4)
        line(mechanism.name, mechanism.claimed_mu, found.mu, f"{n:,}")
    for name, plan in (("gradient steps, full batch", FULL_BATCH), ("gradient steps, sampled", SAMPLED)):
        shown = canary_audit(plan, confidence=0.95).mu
        runs = f"one run, {N_CANARIES} canaries, {N_GUESSES} guesses"
        line(name, float(np.sqrt(plan.event("audit").mu_squared)), shown, runs)
    if n_fits:
        inside, outside, _ = audits(n_fits, 0.95)
        line("MarginalSynthesizer, from its releases", claimed_mu(), inside.mu, f"{inside.errors.n_with:,}")
        line("MarginalSynthesizer, from its rows", claimed_mu(), outside.mu, f"{outside.errors.n_with:,}")


def jittered_copies(train: pd.DataFrame, schema: Schema, seed: int) -> pd.DataFrame:
    """Return a generator's rows that copies: each row, one field in four taken from a near neighbour."""
    generator = np.random.default_rng(seed)
    tables = load_tables(train, train, schema=schema)
    points = FeatureSpace.fit([tables.real.frame]).place(tables.real.frame)
    near = nearest(points, points, 6).position[:, 1:]
    chosen = near[np.arange(len(train)), generator.integers(0, 5, len(train))]
    swapped = generator.random((len(train), train.shape[1])) < 0.25
    values, others = train.to_numpy(), train.iloc[chosen].to_numpy()
    return pd.DataFrame(np.where(swapped, others, values), columns=train.columns)


def adult(epsilons: list[float], runs: int) -> None:
    """Print what the attacks find on Adult."""
    from privsynth import MarginalSynthesizer
    from privsynth.report.sections.membership import membership_verdict

    schema = adult_schema()
    train, test = (
        pd.read_csv(bench_folder() / f"adult_{part}.csv.gz", dtype=str, keep_default_na=False)
        for part in ("train", "test")
    )
    made: list[tuple[str, pd.DataFrame, dict | None]] = [
        ("jittered copies", jittered_copies(train, schema, 0), None)
    ]
    for epsilon in epsilons:
        for run in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                fitted = MarginalSynthesizer(epsilon=epsilon, delta=1e-6).fit(
                    train, schema=schema, dataset="adult", ledger=Path(folder) / "ledger.sqlite"
                )
            made.append(
                (f"ours, epsilon {epsilon:g}, run {run}", fitted.sample(len(train)), fitted.guarantee_)
            )
    print("| rows | attack | AUC | interval | TPR at 1 % | measured FPR | above the curve | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    for name, rows, guarantee in made:
        section = membership(train, rows, schema=schema, holdout=test, guarantee=guarantee)
        verdict = membership_verdict(section, guarantee)
        for attack, figures in section["attacks"].items():
            low, high = figures["auc_interval"]
            auc = f"{figures['auc']:.3f} | {low:.3f} to {high:.3f}"
            point = figures["tpr_at_fpr"]["0.01"]
            print(
                f"| {name} | {attack} | {auc} | {point['tpr']:.4f} | "
                f"{point['fpr']:.4f} | {len(section['trade_off']['above'])} | {verdict['verdict']} |",
                flush=True,
            )


def made_up(n: int, n_columns: int, seed: int) -> pd.DataFrame:
    """Return rows of dependent numbers and categories, half each."""
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(n, 3))
    columns: dict[str, np.ndarray] = {}
    for i in range(n_columns):
        x = factor @ np.random.default_rng(100 + i).normal(size=3) + generator.normal(size=n)
        numbers = np.clip(np.rint(1000 + 250 * x), 0, 2000).astype(int)
        columns[f"x{i}"] = (
            numbers if i % 2 else np.array([f"c{v:02}" for v in np.clip(x * 2 + 8, 0, 15).astype(int)])
        )
    columns["y"] = np.where(factor[:, 0] + generator.normal(size=n) > 0, "yes", "no")
    return pd.DataFrame(columns)


def made_up_schema(n_columns: int) -> Schema:
    """Return the schema of `made_up`."""
    categories = [f"c{v:02}" for v in range(16)]
    columns: dict[str, dict[str, object]] = {
        f"x{i}": {"type": "integer", "low": 0, "high": 2000}
        if i % 2
        else {"type": "categorical", "categories": categories}
        for i in range(n_columns)
    }
    columns["x0"]["role"] = "group"
    columns["y"] = {"type": "categorical", "categories": ["no", "yes"], "role": "target"}
    return Schema(columns)


def timed_audit(n_rows: int, n_columns: int, quick: bool) -> None:
    """Audit once and print seconds and peak memory as JSON."""
    tables = [made_up(n, n_columns - 1, seed) for seed, n in enumerate((n_rows, n_rows, n_rows // 4))]
    schema = made_up_schema(n_columns - 1)
    start, cpu_start = time.perf_counter(), time.process_time()
    report = audit(
        real=tables[0], synthetic=tables[1], holdout=tables[2], schema=schema, quick=quick,
        progress=lambda message: print(f"{time.perf_counter() - start:7.1f} s  {message}", file=sys.stderr),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        report.save(Path(folder) / "report")
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    attack = report.membership["attacks"]["density_ratio"]
    found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": peak}
    print(json.dumps(found | {"n_members": attack["n_members"]}))


def scale(sizes: list[int], n_columns: int) -> None:
    """Time full and quick audits of tables of these numbers of rows."""
    print("| rows | columns | effort | seconds | of processor | peak GB | members attacked |")
    print("|---|---|---|---|---|---|---|")
    for n_rows in sizes:
        for quick in (False, True):
            command = [sys.executable, "-m", "tests.benchmarks.audit", "one", "--sizes", str(n_rows)]
            command += ["--columns", str(n_columns), *(["--quick"] if quick else [])]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {n_rows:,} | {n_columns} | {'quick' if quick else 'full'} | {found['seconds']:.0f} | "
                f"{found['cpu_seconds']:.0f} | "
                f"{found['peak_gb']:.2f} | {found['n_members']:,} |",
                flush=True,
            )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["mechanisms", "adult", "scale", "one"])
    parser.add_argument("--runs", type=int, default=1, help="fits a budget, for adult")
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--test-runs", type=int, default=100_000)
    parser.add_argument("--fits", type=int, default=5000, help="fits in each world; 0 leaves them out")
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000])
    parser.add_argument("--columns", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "mechanisms":
        mechanisms(arguments.test_runs, arguments.fits)
    elif arguments.what == "adult":
        adult(arguments.epsilons, arguments.runs)
    elif arguments.what == "scale":
        scale(arguments.sizes, arguments.columns)
    else:
        timed_audit(arguments.sizes[0], arguments.columns, arguments.quick)


if __name__ == "__main__":
    main()
