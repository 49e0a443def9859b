"""Means and medians under bounds far wider than values: ``python -m tests.benchmarks.wide_bounds``.

Fits made-up columns of several kinds beside a boolean, each under wide public and under private bounds, and
prints the mean of the drawn values over that of the real ones (cut at their 99.9 % quantiles), and the same
of medians; of kinds around zero, and of dates, the difference in standard deviations. One line a kind, number
of records, epsilon and bounds: the median over the seeds, and the least and the largest.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer

Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A column: how its values are drawn, and its schema.

    Attributes:
        draw: Draws values, NaN for missing; of dates, days since 1970.
        column: Its schema, bounds included.
        is_shifted: Whether estimates are compared by differences and not by ratios.
    """

    draw: Draw
    column: dict[str, Any]
    is_shifted: bool = False


def amounts(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return Pareto amounts in cents, around a thousand, whose mean is a third of what few hold."""
    return np.round(rng.pareto(1.3, n) * 1000 + 1, 2)


def some(share: float, otherwise: float) -> Draw:
    """Return what draws amounts for a share of the records."""
    return lambda rng, n: np.where(rng.random(n) < share, amounts(rng, n), otherwise)


MONEY = {"type": "real", "low": 0, "high": 1e9, "decimals": 2}
KINDS = {
    "amounts": Kind(amounts, MONEY),
    "amounts without decimals": Kind(amounts, {"type": "real", "low": 0, "high": 1e9}),
    "losses": Kind(lambda rng, n: -amounts(rng, n), {**MONEY, "low": -1e9, "high": 0}),
    "mostly zero": Kind(some(0.2, 0.0), MONEY),
    "mostly missing": Kind(some(0.3, np.nan), {**MONEY, "missing": True}),
    "around zero": Kind(lambda rng, n: rng.normal(0, 1000, n).round(2), {**MONEY, "low": -1e9}, True),
    "log-normal integers": Kind(
        lambda rng, n: np.floor(rng.lognormal(7, 1.5, n)), {"type": "integer", "low": 0, "high": 2**40}
    ),
    "far from zero": Kind(lambda rng, n: rng.normal(50_000, 5000, n).round(2), MONEY),
    "dates of a year": Kind(
        lambda rng, n: rng.integers(18_628, 18_993, n).astype(float),
        {"type": "datetime", "low": "1900-01-01", "high": "2100-12-31"},
        True,
    ),
}


def one(kind: Kind, n: int, epsilon: float, seed: int, *, private: bool) -> tuple[float, float]:
    """Return how far mean and median of the drawn values are from the real ones."""
    rng = np.random.default_rng(seed)
    values = kind.draw(rng, n)
    is_date = kind.column["type"] == "datetime"
    column = {**kind.column, "low": "private", "high": "private"} if private else kind.column
    given = pd.to_datetime(pd.Series(values), unit="D") if is_date else pd.Series(values)
    if column["type"] == "integer":
        given = given.astype("int64")
    table = pd.DataFrame({"g": rng.random(n) < 0.5, "x": given})
    schema = Schema({"g": {"type": "boolean"}, "x": column})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fitted = MarginalSynthesizer(epsilon=epsilon, random_state=seed)
        fitted.fit(table, schema=schema, dataset="wide", ledger=Path(folder) / "ledger.sqlite")
    drawn = fitted.sample(max(n, 8000), random_state=seed)["x"]
    if is_date:
        drawn = (drawn - pd.Timestamp(0)) / pd.Timedelta(days=1)
    drawn = drawn.dropna().to_numpy(dtype=float)
    real = values[~np.isnan(values)]
    cut = np.clip(real, *np.quantile(real, [0.001, 0.999]))
    if not len(drawn):
        return np.nan, np.nan
    if kind.is_shifted:
        return (drawn.mean() - cut.mean()) / cut.std(), (np.median(drawn) - np.median(real)) / cut.std()
    return drawn.mean() / cut.mean(), (np.median(drawn) + 1.0) / (np.median(real) + 1.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--records", nargs="+", type=int, default=[500, 8000, 100_000])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[0.3, 1.0, 3.0, 10.0])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print("| kind | records | epsilon | bounds | mean | least, largest | median |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.kinds:
        for n in arguments.records:
            for epsilon in arguments.epsilons:
                for private in (False, True):
                    found = [
                        one(KINDS[name], n, epsilon, seed, private=private) for seed in range(arguments.seeds)
                    ]
                    means, medians = zip(*found, strict=True)
                    bounds = "private" if private else "public"
                    print(
                        f"| {name} | {n} | {epsilon:g} | {bounds} | {np.median(means):.2f} | "
                        f"{min(means):.2f}, {max(means):.2f} | {np.median(medians):.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
