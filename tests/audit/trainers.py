"""One fit of each trainer on a table of canaries: rows that hold a pair of codes which nobody else holds.

A canary is a row of two columns of `N_CODES` codes, a cell off the diagonal of their joint table, in or out
by a coin of its own. The 1-way marginals, which are released too, hardly know it; the pair is what a trainer
learns.
The attacker sees what a fit publishes: rows drawn from the model, or the votes that it released.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.accounting.budget import Spend
from privsynth.attacks.one_run import count_correct_guesses, one_run_mu
from privsynth.models.tables.gan import GanOptions
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.base import Mechanism
from privsynth.privacy.mechanisms.votes import Votes
from privsynth.schema import Schema
from privsynth.synthesizers import DenoisingSynthesizer, DPGANSynthesizer, PATEGANSynthesizer
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.denoising import DenoisingSettings
from privsynth.synthesizers.tables.dpgan import DPGANSettings
from privsynth.synthesizers.tables.pategan import PATEGANSettings

EPSILON, DELTA = 0.2, 1e-9  # a weak claim, so that so few guesses can refute it at 1 - 1e-6
N_CODES = 20
CELLS = np.argwhere(~np.eye(N_CODES, dtype=bool))  # one canary each
N_COMMON = 1  # rows of everybody else in each cell of the diagonal
N_GUESSES = 100
N_SAMPLED = 1000  # rows for each code of the first column
PAIR = Schema({name: {"type": "categorical", "categories": list(range(N_CODES))} for name in "ab"})


def claimed_mu() -> float:
    """Return the mu that a fit is claimed to have: the filter's limit."""
    return float(np.sqrt(Spend.of_budget(epsilon=EPSILON, delta=DELTA).mu_squared))


def table_with(included: np.ndarray) -> pd.DataFrame:
    """Return the rows of everybody else and the canaries that are in."""
    common = np.repeat(np.arange(N_CODES), N_COMMON)[:, None].repeat(2, axis=1)
    return pd.DataFrame(np.concatenate([common, CELLS[included]]), columns=["a", "b"])


def doubly_centred(cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what rows and columns do not explain of a square table; cells of no weight are left at 0."""
    left = np.where(weights > 0, cells, 0.0)
    for _ in range(20):
        for axis in (0, 1):
            total = weights.sum(axis=axis, keepdims=True)
            mean = (left * weights).sum(axis=axis, keepdims=True) / np.maximum(total, 1e-12)
            left = np.where(weights > 0, left - mean, 0.0)
    return left


def scores_from_rows(synthesizer: TableSynthesizer) -> np.ndarray:
    """Score canaries by their cells' shares among many rows, given each of the cell's codes by itself."""
    support = synthesizer.support(balance=["a"])
    possible = support.loc[support["model_mass"] > 0, "a"].tolist()  # a code that noise hid whole has no rows
    rows = synthesizer.sample(
        N_CODES * N_SAMPLED, conditions={"a": possible}, balance=["a"], on_unsupported="warn"
    )
    cells = np.zeros((N_CODES, N_CODES))
    np.add.at(cells, (rows["a"].astype(int), rows["b"].astype(int)), 1.0)
    shares = cells / np.maximum(cells.sum(axis=0, keepdims=True), 1.0)
    return shares[tuple(CELLS.T)]


def scores_from_votes(synthesizer: TableSynthesizer, queries: list[np.ndarray]) -> np.ndarray:
    """Score canaries by the released votes on their cells.

    A teacher that holds one row votes for all rows with one of its codes, and only once for its own cell:
    one vote fewer there than rows and columns of the table add up to.
    """
    votes = [r.arrays["votes"] for r in synthesizer.releases_ if r.key.startswith("votes")]
    total, n_asked = np.zeros((N_CODES, N_CODES)), np.zeros((N_CODES, N_CODES))
    for asked, counts in zip(queries, votes, strict=True):
        np.add.at(total, tuple(asked.T), counts)
        np.add.at(n_asked, tuple(asked.T), 1.0)
    off = np.where(np.eye(N_CODES, dtype=bool), 0.0, n_asked)
    residual = doubly_centred(total / np.maximum(n_asked, 1.0), off)
    return -residual[tuple(CELLS.T)]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """One trainer under audit, and how its canaries are scored.

    Attributes:
        kind: The synthesizer.
        settings: Of its fit: the whole table in every batch, and half of the budget on 1-way marginals, so
            that noise there does not hide what the trainer gives away.
        score: From the fitted synthesizer, and the generated rows that teachers were asked about in each
            round (a function of public settings and of releases), to one score for each canary; higher = in.
    """

    kind: type[TableSynthesizer]
    settings: Any
    score: Callable[[TableSynthesizer, list[np.ndarray]], np.ndarray]


PATEGAN = PATEGANSettings(
    n_rounds=40, queries_per_round=400, one_way_share=0.5, units_per_teacher=1, n_states=1024
)
TRAINERS = {
    "rows of dpgan": Trainer(
        kind=DPGANSynthesizer,
        settings=DPGANSettings(
            n_steps=200,
            batch_size=10**6,
            one_way_share=0.5,
            gan=GanOptions(n_states=1024, fake_batch_size=1024, averaging=0.9),
        ),
        score=lambda synthesizer, queries: scores_from_rows(synthesizer),
    ),
    "rows of denoising": Trainer(
        kind=DenoisingSynthesizer,
        settings=DenoisingSettings(
            n_steps=60, batch_size=10**6, one_way_share=0.5, hidden=0, soft_share=0.0
        ),
        score=lambda synthesizer, queries: scores_from_rows(synthesizer),
    ),
    # The student believes the votes, however noisy, and the generator follows it away from filled cells,
    # where votes are one fewer than the codes by themselves explain: what is seldom among the rows was in.
    "rows of pategan": Trainer(
        kind=PATEGANSynthesizer,
        settings=replace(
            PATEGAN, n_rounds=12, queries_per_round=800, memory=2, vote_spread=1e5, generator_rate=0.1,
            generator_steps=30, one_way_weight=50.0, averaging=0.0,
        ),
        score=lambda synthesizer, queries: -scores_from_rows(synthesizer),
    ),
    # Which rows are asked about hardly moves: every canary's cell is among them.
    "votes of pategan": Trainer(
        kind=PATEGANSynthesizer,
        settings=replace(PATEGAN, memory=1, generator_rate=1e-4, generator_steps=1),
        score=scores_from_votes,
    ),
}  # fmt: skip


def shown_mu(
    trainer: Trainer,
    patch: Any,
    *,
    confidence: float,
    generator: np.random.Generator | None = None,
) -> float:
    """Fit once with canaries in or out by coins, guess which were in, and return the bound on mu.

    Args:
        trainer: What is fitted and how it is attacked.
        patch: Pytest's ``MonkeyPatch``, to note what teachers are asked.
        confidence: Of the bound.
        generator: Tosses the coins.
    """
    generator = generator or np.random.default_rng()
    included = generator.random(len(CELLS)) < 0.5
    queries: list[np.ndarray] = []
    honest = Curator.release

    def release(curator: Curator, key: str, mechanism: Mechanism) -> Any:
        if isinstance(mechanism, Votes):
            queries.append(mechanism.teacher.keywords["queries"].numpy())
        return honest(curator, key, mechanism)

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, patch.context() as watched:
        warnings.simplefilter("ignore")  # cells without support are asked for, by design
        watched.setattr(Curator, "release", release)
        synthesizer = trainer.kind(epsilon=EPSILON, delta=DELTA, settings=trainer.settings, device="cpu").fit(
            table_with(included), schema=PAIR, dataset="canaries", ledger=Path(folder) / "ledger.sqlite"
        )
        scores = trainer.score(synthesizer, queries) + 1e-9 * generator.random(len(CELLS))  # ties by chance
    n_correct = count_correct_guesses(scores, included, n_guesses=N_GUESSES)
    return one_run_mu(n_canaries=len(CELLS), n_guesses=N_GUESSES, n_correct=n_correct, confidence=confidence)


def no_noise(patch: Any) -> None:
    """Plant a leak: no noise, neither on gradients nor on counts; all else, the charge too, is as it was.

    Exact 1-way marginals say next to nothing about which cells are filled, so it is the trainer that tells.
    """
    patch.setattr("privsynth.privacy.mechanisms.noise.standard_normals", lambda n, secret: np.zeros(n))
