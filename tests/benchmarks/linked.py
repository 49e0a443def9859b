"""How much of laws across linked tables a fit keeps: ``python -m tests.benchmarks.linked --persons 5000``.

The laws are made (`tests.helpers.linked.bank`): the rich have more accounts, most of them gold; of gold
accounts most transactions are big. Of each effect the share that is kept is printed, 1 being all of it: means
over seeds, and the largest error.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from privsynth.synthesizers.linked.marginal import LinkedSynthesizer
from tests.helpers.linked import SCHEMA, bank


def effects(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Return by how much more: gold accounts of the rich, accounts of theirs, big rows of gold accounts."""
    accounts = tables["account"].merge(tables["client"], left_on="owner", right_on="id")
    rows = tables["trans"].merge(accounts, on="account")
    kept = accounts.groupby(["rich", "owner"]).size().clip(upper=2).groupby("rich").sum()
    counts = kept / tables["client"].groupby("rich").size()
    return {
        "gold | rich": _difference(accounts["gold"], accounts["rich"]),
        "big | gold": _difference(rows["big"], rows["gold"]),
        "big | rich, two tables above": _difference(rows["big"], rows["rich"]),
        "accounts | rich": float(counts[True] - counts[False]),
    }


def _difference(values: pd.Series, by: pd.Series) -> float:
    return float(values[by].mean() - values[~by].mean())


def main() -> None:
    """Fit, draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--persons", type=int, default=5000)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    real = bank(asked.persons)
    whole = effects(real)
    print(f"| epsilon | {' | '.join(name.replace('|', 'given') for name in whole)} | fit, s |")
    print("|---" * (len(whole) + 2) + "|")
    for epsilon in asked.epsilons:
        shares, seconds = [], []
        for seed in range(asked.seeds):
            with tempfile.TemporaryDirectory() as folder:
                begun = time.monotonic()
                model = LinkedSynthesizer(epsilon=epsilon, random_state=seed).fit(
                    real, schema=SCHEMA, dataset="bank", ledger=Path(folder) / "ledger.sqlite"
                )
                seconds.append(time.monotonic() - begun)
            drawn = effects(model.sample(asked.persons, random_state=seed))
            shares.append([drawn[name] / whole[name] for name in whole])
        means, errors = np.mean(shares, axis=0), np.abs(np.asarray(shares) - 1.0).max(axis=0)
        cells = [f"{mean:.2f} (error up to {error:.2f})" for mean, error in zip(means, errors, strict=True)]
        print(f"| {epsilon:g} | {' | '.join(cells)} | {np.mean(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
