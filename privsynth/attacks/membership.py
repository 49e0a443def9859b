"""All attacks on one released table, run together on rows whose membership they do not know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from privsynth.attacks.density_ratio import calibrated_nearness, density_ratio, isolation, nearness
from privsynth.attacks.neighbours import Neighbourhood
from privsynth.attacks.queries import classifier_scores, marginal_scores, rarity
from privsynth.records.codes import Discretiser

ATTACKS = {
    "density_ratio": "rows closer to a synthetic row than the reference explains",
    "nearest": "rows close to a synthetic row, without a reference",
    "nearest_calibrated": "rows closer to a synthetic row than their neighbours in the reference are",
    "marginal_queries": "rows whose cells in 1- and 2-way marginals are fuller than in the reference",
    "query_classifier": "rows that a classifier on counts of conjunctions takes for synthetic",
    "ensemble": "Fisher's combination of the five others, by rank",
}
"""Name of each attack, and whom it flags as a member."""


@dataclass(frozen=True)
class AttackedRows:
    """What the attacks say of each row, higher = more likely a member, and how exposed the row is by itself.

    Attributes:
        scores: Name of an attack to the score of each row, ``(n_rows,)``.
        isolation: Mean distance to the nearest reference rows, ``(n_rows,)``.
        rarity: Minus the count of the row's rarest pair of values in the reference, ``(n_rows,)``.
    """

    scores: dict[str, np.ndarray]
    isolation: np.ndarray
    rarity: np.ndarray


def attack_rows(
    rows: pd.DataFrame,
    *,
    synthetic: pd.DataFrame,
    reference: pd.DataFrame,
    names: Sequence[str] = tuple(ATTACKS),
    seed: int = 0,
) -> AttackedRows:
    """Run the attacks of `ATTACKS`.

    Args:
        rows: Canonical rows, members and non-members mixed: the attacks are not told.
        synthetic: The released table, all of it: leaving rows out would hide copies.
        reference: Rows of the same source, none of them among ``rows``.
        names: Attacks to run; the ensemble combines those before it.
        seed: Of the random choices.

    Privacy:
        Not private: scores of real records.
    """
    near = Neighbourhood.of_tables(rows, synthetic, reference)
    discretiser = Discretiser.of_quantiles([synthetic, reference])
    asked, released, known = (discretiser.matrix(table) for table in (rows, synthetic, reference))
    attacks: dict[str, Callable[[], np.ndarray]] = {
        "density_ratio": lambda: density_ratio(near),
        "nearest": lambda: nearness(near),
        "nearest_calibrated": lambda: calibrated_nearness(near),
        "marginal_queries": lambda: marginal_scores(asked, released, known, np.random.default_rng([seed, 1])),
        "query_classifier": lambda: classifier_scores(
            asked, released, known, np.random.default_rng([seed, 2])
        ),
    }
    scores = {name: attack() for name, attack in attacks.items() if name in names}
    if "ensemble" in names:
        scores["ensemble"] = _combined(scores)
    return AttackedRows(scores, isolation(near), rarity(asked, known))


def _combined(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Return Fisher's combination of the attacks: the sum of -log of the share of rows that score higher."""
    n_rows = len(next(iter(scores.values())))
    below = np.stack([rankdata(of_one) for of_one in scores.values()])
    return np.asarray(-np.log1p(-(below - 0.5) / n_rows).sum(axis=0))
