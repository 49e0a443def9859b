"""Do the synthetic rows fall where the source's do (precision), and everywhere that they do (recall)?

Rows become points (numbers scaled to unit length, categories on one axis each) and all scores are read off
nearest neighbours or distances from a centre, with as many rows on each side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from privsynth.attacks.features import FeatureSpace
from privsynth.metrics.common.baselines import Baselines, figures_of

NEIGHBOURS = 5
MAX_ROWS = 5_000
_LEVELS = np.linspace(0.05, 1.0, 20)
_SAME = 1e-9  # distances closer than this are equal: identical rows are common in tables of categories

SCORES = ("precision", "recall", "density", "coverage", "alpha_precision", "beta_recall")


def compare_supports(
    baselines: Baselines, *, max_rows: int = MAX_ROWS, generator: np.random.Generator
) -> dict[str, Any]:
    """Return the six scores as figures, from a sample of at most ``max_rows`` rows of each table.

    Privacy:
        Not private: figures of real records.
    """
    drawn = baselines.sampled(max_rows, generator)
    space = FeatureSpace.fit([drawn.reference])
    reference = space.place(drawn.reference)
    scores = drawn.each(lambda table: support_scores(reference, space.place(table)))
    return {"n_rows": len(reference), "neighbours": NEIGHBOURS, **figures_of(scores)}


def support_scores(
    real: np.ndarray, synthetic: np.ndarray, *, neighbours: int = NEIGHBOURS
) -> dict[str, float]:
    """Return the six scores of synthetic points; each is 1 at best but density, which may be larger.

    A ball around a point reaches to its ``neighbours``-th nearest neighbour on its own side.
    ``precision``: share of synthetic points in the ball of some real point. ``recall``: share of real points
    in the ball of some synthetic one. ``density``: number of real balls around a synthetic point over
    ``neighbours``. ``coverage``: share of real points whose ball holds a synthetic point.
    ``alpha_precision``: one minus twice the mean distance between alpha and the share of synthetic points
    within the alpha quantile of the real distances from the real centre. ``beta_recall``: likewise, with the
    share of real points whose nearest synthetic point lies in their ball and within the beta quantile of the
    synthetic distances from the synthetic centre.

    Args:
        real: Points, ``(n_real, n_axes)``.
        synthetic: Points, ``(n_synthetic, n_axes)``.
        neighbours: Which nearest neighbour sets the radius of a ball.

    Returns:
        Score to value; NaN with fewer than two points on a side.

    Privacy:
        Not private: figures of real records.

    References:
        Kynkäänniemi et al., "Improved Precision and Recall Metric", NeurIPS 2019; Naeem et al., "Reliable
        Fidelity and Diversity Metrics", ICML 2020; Alaa et al., "How Faithful is your Synthetic Data?",
        ICML 2022.
    """
    if min(len(real), len(synthetic)) < 2:
        return dict.fromkeys(SCORES, float("nan"))
    real_radii, synthetic_radii = _radii(real, neighbours), _radii(synthetic, neighbours)
    n_balls = np.zeros(len(synthetic))
    in_synthetic_ball = np.zeros(len(real), dtype=bool)
    nearest, nearest_distance = np.zeros(len(real), dtype=np.int64), np.zeros(len(real))
    start = 0
    for distances in pairwise_distances_chunked(real, synthetic, working_memory=64):
        rows = slice(start, start + len(distances))
        # DEVIATION (Naeem et al. 2020: strictly inside): a point on the sphere is inside, since a table holds
        # identical rows and a ball of radius zero must hold a copy of its centre.
        n_balls += (distances <= real_radii[rows, None]).sum(axis=0)
        in_synthetic_ball[rows] = (distances <= synthetic_radii).any(axis=1)
        nearest[rows], nearest_distance[rows] = distances.argmin(axis=1), distances.min(axis=1)
        start += len(distances)
    covered = nearest_distance <= real_radii
    from_real_centre = np.linalg.norm(real - real.mean(axis=0), axis=1)
    synthetic_from_real_centre = np.linalg.norm(synthetic - real.mean(axis=0), axis=1)
    from_synthetic_centre = np.linalg.norm(synthetic - synthetic.mean(axis=0), axis=1)
    # DEVIATION (Alaa et al. 2022): no learnt embedding, and the ball of beta-recall reaches to the same
    # neighbour as the others: with the first one, a perfect generator would cover half of the points.
    alphas = [
        (synthetic_from_real_centre <= quantile + _SAME).mean()
        for quantile in np.quantile(from_real_centre, _LEVELS)
    ]
    betas = [
        (covered & (from_synthetic_centre[nearest] <= quantile + _SAME)).mean()
        for quantile in np.quantile(from_synthetic_centre, _LEVELS)
    ]
    return {
        "precision": float((n_balls > 0).mean()),
        "recall": float(in_synthetic_ball.mean()),
        "density": float(n_balls.mean() / neighbours),
        "coverage": float(covered.mean()),
        "alpha_precision": _agreement(alphas),
        "beta_recall": _agreement(betas),
    }


def _radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    k = min(neighbours, len(points) - 1)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points)
    return np.asarray(search.kneighbors()[0][:, -1]) + _SAME  # without points: each one's own is left out


def _agreement(shares: list[float]) -> float:
    return float(1 - 2 * np.abs(np.array(shares) - _LEVELS).mean())
