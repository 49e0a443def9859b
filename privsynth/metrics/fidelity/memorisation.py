"""Are synthetic images nearer to the real ones than other images of the source are? A diagnostic.

Each synthetic image is held beside its nearest real one; so is each holdout image, which shows how near an
image comes to the real ones without having been seen. No distance to a nearest neighbour proves that nothing
was memorised: the membership attacks are for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from privsynth.attacks.neighbours import nearest
from privsynth.metrics.common.estimates import figure
from privsynth.metrics.common.image_features import Seen
from privsynth.metrics.fidelity.image_pairs import PairScores, pair_scores, summary_of

MAX_QUERIES = 2_000
"""Images of each side whose nearest real image is looked for, drawn at random; among all real images."""

READING = (
    "the nearest of all real images, found by principal components of pixels; that of holdout images beside "
    "it says how near images of the source come by chance. Errors are no test: the membership attacks are"
)


def assess_memorisation(
    seen: Seen, *, max_queries: int = MAX_QUERIES, random_state: int = 0
) -> dict[str, Any]:
    """Return figures of images and the real ones nearest to them.

    Returns:
        ``mse``, ``psnr``, ``ssim`` (see `privsynth.metrics.fidelity.image_pairs`) and ``identical``, the
        share of queries that equal a real image: figures whose value speaks of synthetic images and whose
        ceiling speaks of holdout images; ``closer_to_real``, the chance that a synthetic image is nearer to
        the real images than to the holdout's, at equal numbers of both (ceiling 0.5; ties count half).

    Privacy:
        Not private: figures of real records.
    """
    generator = np.random.default_rng(random_state)
    pixels = seen.images.pixels
    points = seen.pixel_components
    drawn = {
        name: generator.permutation(len(pixels[name]))[:max_queries]
        for name in ("synthetic", "holdout")
        if name in pixels
    }
    beside = {name: _beside_nearest(seen, points, name, rows) for name, rows in drawn.items()}
    found = {name: summary_of(scores) for name, scores in beside.items()}
    out: dict[str, Any] = {
        name: figure(found["synthetic"][name], ceiling=found.get("holdout", {}).get(name))
        for name in ("mse", "psnr", "ssim", "identical")
    }
    out["closer_to_real"] = figure(None)
    if "holdout" in points:
        queries = points["synthetic"][drawn["synthetic"]]
        out["closer_to_real"] = figure(
            closer_to_first(queries, points["real"], points["holdout"], generator), ceiling=0.5
        )
    return {"n_queries": {name: len(rows) for name, rows in drawn.items()}, **out, "reading": READING}


def closer_to_first(
    queries: np.ndarray, first: np.ndarray, second: np.ndarray, generator: np.random.Generator
) -> float:
    """Return the chance that a query is nearer to the first set than to the second, ties counting half.

    The larger set is cut at random into parts as large as the smaller one, and every part is asked: no point
    is left out, and size alone makes neither set nearer.

    Args:
        queries: ``(n, n_axes)``.
        first: Points, ``(n_first, n_axes)``.
        second: Points, ``(n_second, n_axes)``.
        generator: Source of the parts.

    Privacy:
        Not private: a figure of the points given.
    """
    n_parts = max(1, round(len(first) / len(second)), round(len(second) / len(first)))
    sides = [
        np.array_split(points[generator.permutation(len(points))], n_parts if is_larger else 1)
        for points, is_larger in ((first, len(first) >= len(second)), (second, len(second) > len(first)))
    ]
    distances = [np.stack([nearest(queries, part, 1).distance[:, 0] for part in parts]) for parts in sides]
    difference = distances[0] - distances[1]
    return float((difference < 0).mean() + (difference == 0).mean() / 2)


def nearest_real(seen: Seen, rows: np.ndarray) -> np.ndarray:
    """Return the position of the real image that is nearest, in pixels, to each of some synthetic ones.

    Privacy:
        Not private: points at real records.
    """
    return nearest(seen.pixel_components["synthetic"][rows], seen.pixel_components["real"], 1).position[:, 0]


def _beside_nearest(seen: Seen, points: Mapping[str, np.ndarray], name: str, rows: np.ndarray) -> PairScores:
    pixels = seen.images.pixels
    position = nearest(points[name][rows], points["real"], 1).position[:, 0]
    return pair_scores(pixels[name][rows], pixels["real"][position])
