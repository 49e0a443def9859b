"""What it costs to go on from an earlier model: ``python -m tests.benchmarks.refining``.

A fit at ``--epsilon``, another at the same epsilon that goes on from it, one fit at the epsilon that both
come to together, and one at twice the epsilon. Prints the figures as Markdown, means over ``--seeds`` fits,
scored on a part of the training part: the test part is left alone. The Adult split and the scorer are in
``$PRIVSYNTH_BENCH``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from privsynth.accounting.budget import Spend
from privsynth.accounting.gdp import ADDED_DELTA_SHARE, gdp_epsilon
from privsynth.io.tables import write_table
from privsynth.ledger.ledger import Ledger
from privsynth.synthesizers import MarginalSynthesizer
from tests.benchmarks.scoring import Scorer
from tests.benchmarks.tables import TABLES

SHOWN = ("auc_hgb", "auc_lr", "tvd1", "tvd2", "tvd3", "c2st_auc")


def composed(epsilon: float, delta: float) -> float:
    """Return the epsilon of one fit whose ``mu**2`` is that of two at ``epsilon``."""
    mu_squared = 2 * Spend.of_budget(epsilon=epsilon, delta=delta).mu_squared
    return gdp_epsilon(mu_squared**0.5, (1 - ADDED_DELTA_SHARE) * delta)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=list(TABLES), default="adult")
    parser.add_argument("--epsilon", type=float, default=0.5)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    table, at = TABLES[asked.table], asked.epsilon
    whole = composed(at, asked.delta)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        train, held_out = table.parts(validation=True)
        rows, path = table.scored_rows(train), Path(folder) / f"{table.name}.csv"
        write_table(train, path)
        scorer = Scorer(table, rows, table.scored_rows(held_out), Path(folder))
        for seed in range(asked.seeds):
            ledger = Ledger(Path(folder) / f"{seed}.sqlite")

            first: MarginalSynthesizer | None = None
            for label, epsilon in (
                (f"one fit at {at:g}", at),
                (f"{at:g}, then {at:g}", at),
                (f"one fit at {whole:.3g}, of the same cost", whole),
                (f"one fit at {2 * at:g}", 2 * at),
            ):
                begun = time.process_time()
                model = MarginalSynthesizer(epsilon=epsilon, delta=asked.delta, random_state=seed)
                start = first if "then" in label else None
                model.fit(path, schema=table.schema, ledger=ledger, start=start)
                seconds = time.process_time() - begun
                first = first or model
                figures = scorer.score(model.sample(len(rows), random_state=seed))
                found.setdefault(label, []).append(figures | {"fit_cpu_seconds": seconds})
                print(seed, label, {name: round(figures[name], 4) for name in SHOWN}, file=sys.stderr)
    names = (*SHOWN, "fit_cpu_seconds")
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for label, runs in found.items():
        told = (f"{np.mean([run[name] for run in runs]):.4g}" for name in names)
        print(f"| {label} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
