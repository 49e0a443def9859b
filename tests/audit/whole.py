"""The whole synthesizer in two worlds: ten rows of zeros, with and without one row of ones."""

from __future__ import annotations

import os
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from privsynth.accounting.budget import Spend
from privsynth.models.tables.fitting import FitOptions
from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings
from tests.audit.mechanisms import COLUMNS, TABLE

EPSILON, DELTA = 4.0, 1e-5
SETTINGS = MarginalSettings(
    n_rounds=2, steps_per_round=5, final_steps=5, fit=FitOptions(n_components=16), selection_share=0.1
)
N_SAMPLED = 400


class Run(NamedTuple):
    """What one fit gave away.

    Attributes:
        white_box: Log-likelihood ratio of all its Gaussian releases (the selections are left out).
        black_box: Share of every combination of two columns among sampled rows, and of the row of ones.
        mu_squared: Sum of 1/sigma^2 over the releases: what ``white_box`` can show.
        outputs: Every number that was released.
    """

    white_box: float
    black_box: np.ndarray
    mu_squared: float
    outputs: np.ndarray


def claimed_mu() -> float:
    """Return the mu that the whole fit is claimed to have: the filter's limit."""
    return float(np.sqrt(Spend.of_budget(epsilon=EPSILON, delta=DELTA).mu_squared))


def table(with_target: bool) -> pd.DataFrame:
    """Return the tiny table of one world."""
    rows = [["0"] * 3] * 10 + [["1"] * 3] * with_target
    return pd.DataFrame(rows, columns=list(COLUMNS))


def one_run(with_target: bool, ledger: Path, schema: Schema = TABLE) -> Run:
    """Fit once under the claim, through the front door: ledger, releases, model, sampled rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # delta is above 1/(10 n) for ten rows, by design
        synthesizer = MarginalSynthesizer(epsilon=EPSILON, delta=DELTA, settings=SETTINGS, device="cpu").fit(
            table(with_target), schema=schema, ledger=ledger
        )
    ratio = mu_squared = 0.0
    for release in synthesizer.releases_:
        sigma = release.event.get("noise_multiplier")
        if sigma is None:
            continue
        for array in release.arrays.values():  # the target adds one to the last cell, where nobody else is
            without = 10.0 if array.ndim == 0 or array.size == 1 else 0.0
            ratio += (float(array.flat[-1]) - without - 0.5) / sigma**2
            mu_squared += 1 / sigma**2
    rows = synthesizer.sample(N_SAMPLED)
    ones = rows.eq("1").to_numpy(dtype=float)
    pairs = [(ones[:, i] * ones[:, j]).mean() for i in range(3) for j in range(i, 3)]
    n_units = synthesizer.model_.n_units
    outputs = np.concatenate([a.ravel() for r in synthesizer.releases_ for a in r.arrays.values()])
    return Run(ratio, np.array([*pairs, ones.prod(axis=1).mean(), n_units]), mu_squared, outputs)


def _several(n_runs: int, with_target: bool) -> list[Run]:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        runs = []
        for i in range(n_runs):
            if i % 50 == 0:  # a ledger grows with its runs
                ledger = Path(folder) / f"{i}.sqlite"
            runs.append(one_run(with_target, ledger))
        return runs


def many_runs(n_runs: int, with_target: bool, *, n_processes: int | None = None) -> list[Run]:
    """Fit ``n_runs`` times, over the cores of the machine."""
    n_processes = n_processes or len(os.sched_getaffinity(0))
    if n_processes == 1:
        return _several(n_runs, with_target)
    shares = [len(part) for part in np.array_split(np.arange(n_runs), n_processes * 4)]
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        parts = pool.map(partial(_several, with_target=with_target), shares)
        return [run for part in parts for run in part]
