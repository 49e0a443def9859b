"""The shadow-model attack: refit the generator many times with and without each target, and compare.

For each target the attacker knows how its score is distributed over fits that saw it and fits that did not;
the score on the released table is judged by the ratio of the two. It is the strongest black-box attack where
refitting is cheap, and needs a refit that is like the release: same records but for the coins, same settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import norm

from privsynth.attacks.density_ratio import largest_by_unit
from privsynth.attacks.membership import attack_rows
from privsynth.attacks.operating_points import read_out
from privsynth.errors import ParameterError

Refit = Callable[[pd.DataFrame, int], pd.DataFrame]
"""From records and a seed to synthetic rows; a fresh fit each time. It reads the records: charge it."""

FEWEST_FITS = 8
SHADOWED = ("density_ratio", "nearest_calibrated", "marginal_queries")
"""Attacks whose scores are compared over the fits: cheap ones, since each is run on every fit."""


@dataclass(frozen=True)
class Shadows:
    """Scores of the targets over shadow fits.

    Attributes:
        included: Whether fit ``i`` saw target ``j``, ``(n_fits, n_targets)`` bool.
        scores: Attack to the score of each target on each fit, ``(n_fits, n_targets)``.
    """

    included: np.ndarray
    scores: dict[str, np.ndarray]


def shadow_attack(
    *,
    members: pd.DataFrame,
    outsiders: pd.DataFrame,
    others: pd.DataFrame,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    refit: Refit,
    n_fits: int = 64,
    n_jobs: int = -1,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Attack targets with shadow fits of the generator.

    Every fit sees ``others`` and each target by a coin of its own. The coins of a fit do not depend on who is
    a member, so members and outsiders are treated alike.

    Args:
        members: Canonical rows of targets that the release saw. Rows of one index label are one unit: in a
            fit with all of its rows, and scored by the highest of them.
        outsiders: Canonical rows of targets that it did not see, about as many units, of labels of their own.
        others: Canonical rows in every fit: the rest of the real table.
        reference: Rows of the same source, none of them a target.
        synthetic: The released rows.
        refit: Fits the generator to canonical rows, labelled by unit, and returns canonical synthetic rows,
            as many as are released. Called in parallel processes, so it must be picklable; a synthesizer with
            a budget needs a ledger of its own here, since what it reads is attacked, not released.
        n_fits: Number of fits, at least `FEWEST_FITS`.
        n_jobs: Processes at once; -1 is one a core, 1 runs in this process.
        confidence: Coverage of each interval.
        random_state: Seed of coins, fits and attacks.

    Returns:
        Attack to its figures, as `privsynth.attacks.operating_points.read_out` gives them, by log-likelihood
        ratios over the fits; ``shadow_<name>`` for each of `SHADOWED`.

    Raises:
        ParameterError: If there are too few fits, members and outsiders share a label, or two fits gave the
            same rows.

    Privacy:
        Not private: refits to real records and scores them.

    References:
        Carlini et al., "Membership Inference Attacks From First Principles" (LiRA), IEEE S&P 2022; on
        synthetic tables: Stadler, Oprisanu and Troncoso, USENIX Security 2022.
    """
    if members.index.intersection(outsiders.index).size:
        raise ParameterError("expected index labels that name a unit each: members and outsiders share some")
    if n_fits < FEWEST_FITS:
        raise ParameterError(f"expected n_fits >= {FEWEST_FITS}, got {n_fits=}: each target needs both kinds")
    generator = np.random.default_rng(random_state)
    targets = pd.concat([members, outsiders])
    units, labels = pd.factorize(targets.index)
    included = _balanced_coins(n_fits, len(labels), generator)
    seeds = generator.integers(2**31, size=n_fits)
    fitted = Parallel(n_jobs=n_jobs)(
        delayed(_one_fit)(refit, others, targets, units, coins, reference, int(seed))
        for coins, seed in zip(included, seeds, strict=True)
    )
    if len({fingerprint for fingerprint, _ in fitted}) < n_fits:
        raise ParameterError(
            "two shadow fits gave the same rows: let refit use its seed, or fresh randomness"
        )
    shadows = Shadows(included, {name: np.stack([scores[name] for _, scores in fitted]) for name in SHADOWED})
    released = _unit_scores(targets, units, synthetic=synthetic, reference=reference)
    n_members = members.index.nunique()
    out: dict[str, Any] = {}
    for name in SHADOWED:
        ratios = likelihood_ratios(shadows, name, released[name])
        out[f"shadow_{name}"] = {
            "accuses": f"targets whose score is likelier with them than without, by {n_fits} refits",
            **read_out(ratios[:n_members], ratios[n_members:], generator=generator, confidence=confidence),
        }
    return out


def likelihood_ratios(shadows: Shadows, attack: str, released: np.ndarray) -> np.ndarray:
    """Return ln p(score | in) - ln p(score | out) of each target, by normal distributions over the fits.

    The two means are each target's own; the spread is pooled over both kinds, and shrunk towards that of all
    targets, since a few fits tell little of one target's spread.

    Args:
        shadows: Scores over the fits.
        attack: Name of the attack.
        released: Score of each target on the released rows, ``(n_targets,)``.

    Privacy:
        Not private: scores of real records.
    """
    scores, included = shadows.scores[attack], shadows.included
    means = {}
    residuals = scores.astype(np.float64)
    for kind, chosen in ((True, included), (False, ~included)):
        counts = np.maximum(chosen.sum(axis=0), 1)
        means[kind] = np.where(chosen, scores, 0).sum(axis=0) / counts
        residuals = np.where(chosen, scores - means[kind], residuals)
    own = (residuals**2).sum(axis=0) / max(len(scores) - 2, 1)
    spread = np.sqrt((own + own.mean()) / 2 + 1e-12)
    return norm.logpdf(released, means[True], spread) - norm.logpdf(released, means[False], spread)


def _balanced_coins(n_fits: int, n_targets: int, generator: np.random.Generator) -> np.ndarray:
    """Return coins that put each target into half of the fits, ``(n_fits, n_targets)``."""
    order = np.argsort(generator.random((n_fits, n_targets)), axis=0)
    return order < n_fits // 2


def _unit_scores(
    targets: pd.DataFrame, units: np.ndarray, *, synthetic: pd.DataFrame, reference: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Return the score of each unit by each attack: the highest of its rows."""
    rows = targets.reset_index(drop=True)
    scores = attack_rows(rows, synthetic=synthetic, reference=reference, names=SHADOWED).scores
    return {name: largest_by_unit(of_rows, units) for name, of_rows in scores.items()}


def _one_fit(
    refit: Refit,
    others: pd.DataFrame,
    targets: pd.DataFrame,
    units: np.ndarray,
    coins: np.ndarray,
    reference: pd.DataFrame,
    seed: int,
) -> tuple[int, dict[str, np.ndarray]]:
    table = pd.concat([others, targets[coins[units]]])
    rows = refit(table, seed)
    fingerprint = int(pd.util.hash_pandas_object(rows.astype(str), index=False).sum())
    return fingerprint, _unit_scores(targets, units, synthetic=rows, reference=reference)
