"""Time and size of an audit: ``python -m tests.benchmarks.report [--quick] [--non-private] [--out DIR]``.

Fits Adult at epsilon 1 (not timed), samples as many rows as the training part has, and audits them with every
section and attack, in this process and with one thread a library. Prints seconds by step (wall clock, then
the processor time of the whole audit, which is what matters on a machine that others use), the page's size,
and how long a headless Chromium takes until its load event. ``--non-private`` also fits without privacy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import privsynth
from tests.benchmarks.tables import adult_schema, bench_folder
from tests.helpers.browser import BROWSER, browser_tab

EPSILON, DELTA = 1.0, 1e-6
TARGETS = {"audit": 300.0, "quick": 40.0, "page_mb": 8.0, "load": 2.0}


def fitted_rows(epsilon: float | None, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Fit and sample; return the rows' file and the statement."""
    from privsynth import MarginalSynthesizer

    budget = {} if epsilon is None else {"delta": DELTA}
    synthesizer = MarginalSynthesizer(epsilon=epsilon, **budget)
    synthesizer.fit(
        bench_folder() / "adult_train.csv.gz", schema=adult_schema(), ledger=folder / "ledger.sqlite",
        dataset=f"adult-{epsilon}",
    )  # fmt: skip
    path = folder / f"synthetic-{epsilon}.parquet"
    synthesizer.sample(26_048, random_state=0).to_parquet(path)
    return path, synthesizer.guarantee_


class Steps:
    """Notes how long each step of an audit took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = ("starting", time.perf_counter())

    def __call__(self, message: str) -> None:
        """End the step before and begin this one."""
        name, since = self._last
        self.seconds[name] = time.perf_counter() - since
        self._last = (message, time.perf_counter())


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--non-private", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic, guarantee = fitted_rows(EPSILON, folder)
        non_private = fitted_rows(None, folder)[0] if arguments.non_private else None
        steps, wall, processor = Steps(), time.perf_counter(), time.process_time()
        report = privsynth.audit(
            real=bench_folder() / "adult_train.csv.gz",
            holdout=bench_folder() / "adult_test.csv.gz",
            synthetic=synthetic,
            non_private=non_private,
            schema=adult_schema(),
            guarantee=guarantee,
            quick=arguments.quick,
            progress=steps,
        )
        out = arguments.out or folder / "report"
        report.save(out, force=True)
        steps("done")
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print("| step | wall s |\n|---|---|")
        for step, seconds in steps.seconds.items():
            print(f"| {step} | {seconds:.1f} |")
        target = TARGETS["quick" if arguments.quick else "audit"]
        page = out / "report.html"
        print(f"| **all** (target {target:g}) | {wall:.1f}, processor {processor:.1f} |")
        print(f"| page MB (target {TARGETS['page_mb']:g}) | {page.stat().st_size / 1e6:.2f} |")
        if BROWSER:
            with browser_tab() as tab:
                loads = sorted(tab.open(page) for _ in range(3))
            print(f"| load event s, median of 3 (target {TARGETS['load']:g}) | {loads[1]:.2f} |")
        for line in report.left_out:
            print(f"left out: {line}")


if __name__ == "__main__":
    main()
