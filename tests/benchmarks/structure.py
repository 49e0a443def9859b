"""Who finds dependence of three columns that no two of them show: ``python -m tests.benchmarks.structure``.

A made-up table of yes-or-no columns: ``c`` is the exclusive or of ``a`` and ``b`` in 95 rows of 100, so that
any two of them are independent, and it is the target; ``h`` agrees with ``d`` in 90 of 100; the others are
noise. Prints, for each synthesizer and epsilon, how often synthetic rows hold the two laws (0.5 is chance),
as Markdown, means over ``--runs`` fits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from privsynth.schema import Schema
from privsynth.synthesizers import TABLE_SYNTHESIZERS
from tests.benchmarks.fitting import changed

N_ROWS = 26_000


def made_table(seed: int) -> pd.DataFrame:
    """Return the table."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.random(N_ROWS) < 0.5 for name in "abdefg"}
    columns["c"] = columns["a"] ^ columns["b"] ^ (rng.random(N_ROWS) < 0.05)
    columns["h"] = columns["d"] ^ (rng.random(N_ROWS) < 0.10)
    return pd.DataFrame(columns)


def laws(rows: pd.DataFrame) -> tuple[float, float]:
    """Return how often rows hold the law of three columns, and that of two."""
    return float((rows["c"] == rows["a"] ^ rows["b"]).mean()), float((rows["h"] == rows["d"]).mean())


def one_fit(name: str, settings: dict[str, object], epsilon: float, seed: int) -> tuple[float, float]:
    """Fit one table and return the laws of its rows."""
    kind, frame = TABLE_SYNTHESIZERS[name], made_table(seed)
    synthesizer = kind(epsilon=epsilon, delta=1e-6, settings=changed(kind.settings_type(), settings))
    with tempfile.TemporaryDirectory() as folder:
        columns: dict[str, dict[str, object]] = {column: {"type": "boolean"} for column in frame}
        columns["c"]["role"] = "target"
        schema = Schema(columns)
        synthesizer.fit(frame, schema=schema, dataset="made", ledger=Path(folder) / "ledger.sqlite")
    return laws(synthesizer.sample(N_ROWS))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    variants: list[tuple[str, dict[str, object]]] = [(name, {}) for name in TABLE_SYNTHESIZERS]
    variants.append(("dpgan", {"gan": {"hidden": (64, 64)}}))
    print("| synthesizer | epsilon | three columns | two columns |\n|---|---|---|---|")
    print("| real rows | | {:.3f} | {:.3f} |".format(*laws(made_table(0))))
    for name, settings in variants:
        for epsilon in arguments.epsilon:
            runs = [one_fit(name, settings, epsilon, seed) for seed in range(arguments.runs)]
            label = name + (f" {json.dumps(settings)}" if settings else "")
            print(
                "| {} | {:g} | {:.3f} | {:.3f} |".format(label, epsilon, *np.mean(runs, axis=0)), flush=True
            )


if __name__ == "__main__":
    main()
