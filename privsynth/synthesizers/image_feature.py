"""`ImageFeatureSynthesizer`: prototypes of images and how they vary, from a handful of noisy sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.errors import ParameterError
from privsynth.models.image_mixture import Deformation, ImageMixture
from privsynth.models.image_moments import Spread, low_frequencies
from privsynth.privacy.accounting import noise_for
from privsynth.privacy.budget import Spend
from privsynth.privacy.curator import Curator
from privsynth.schema import Schema
from privsynth.synthesizers.base import Progress
from privsynth.synthesizers.contract import Sketch
from privsynth.synthesizers.image import ImageSettings, ImageSynthesizer, planned_table
from privsynth.synthesizers.image_recipe import (
    MIDDLE,
    Cells,
    ImageReader,
    Prototypes,
    Sums,
    about_means,
    from_the_middle,
)
from privsynth.synthesizers.training import independent_seeds

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ImageFeatureSettings(ImageSettings):
    """Public settings of the recipe; shares are of what the table of labels leaves of ``mu**2``.

    Attributes:
        means_share: For number and mean of each cell's images.
        moments_share: For the second moments, twice: about the means, and about the prototypes.
        n_rounds: Rounds of Lloyd's algorithm, which get what is left.
        n_frequencies: Low frequencies in which second moments are taken.
        units_per_prototype: Units that a prototype shall stand for, in deviations of the noise of one count.
        max_prototypes: Largest number of prototypes of a cell.
        spread: How far drawn images vary about their prototype, over how far real ones do.
        deformation: Of drawn images.
    """

    means_share: float = 0.12
    moments_share: float = 0.05
    n_rounds: int = 3
    n_frequencies: int = 128
    units_per_prototype: float = 20.0
    max_prototypes: int = 80
    spread: float = 0.7
    deformation: Deformation = field(
        default_factory=lambda: Deformation(degrees=10.0, shift=0.04, scale=0.08)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = (self.means_share, self.moments_share)
        if not (min(shares) > 0 and self.means_share + 2 * self.moments_share < 1):
            raise ParameterError(f"expected shares above 0 that leave some for the prototypes, got {shares}")
        if min(self.n_rounds, self.n_frequencies, self.max_prototypes) < 1 or self.units_per_prototype <= 0:
            raise ParameterError(
                "expected n_rounds, n_frequencies and max_prototypes of 1 or more and units_per_prototype > 0"
            )
        if not 0 <= self.spread < math.inf:
            raise ParameterError(f"expected a finite spread >= 0, got {self.spread!r}")

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return super().from_dict({**fields, "deformation": Deformation(**fields["deformation"])})

    @property
    def steps(self) -> list[tuple[str, str, float]]:
        """Key, purpose and share of each release, in order."""
        left = 1.0 - self.means_share - 2 * self.moments_share
        rounds = [
            (f"image/round-{i:02d}", "prototypes of the images", left / self.n_rounds)
            for i in range(self.n_rounds)
        ]
        return [
            ("image/means", "number and mean of the images of each cell", self.means_share),
            ("image/moments", "second moments about the means", self.moments_share),
            *rounds,
            ("image/within", "second moments about the prototypes", self.moments_share),
        ]


class ImageFeatureSynthesizer(ImageSynthesizer):
    """Learn prototypes of each class and group, and how images vary about them, from noisy sums alone.

    The one-shot generator: no gradient step sees a record. The budget buys a table of the labels, then in
    turn each cell's mean image, second moments in low frequencies, a few rounds of private clustering, and
    second moments about the clusters. What noise would have made is shrunk away before it is used.

    Args and attributes are those of `Synthesizer`.

    Example:
        >>> import pandas as pd
        >>> from privsynth.images import LabelledImages
        >>> schema = Schema({"side": {"type": "categorical", "categories": ["left", "right"]}},
        ...                 image={"height": 8, "width": 8, "channels": 1})
        >>> images = np.zeros((400, 8, 8), np.uint8)
        >>> images[::2, :, :4], images[1::2, :, 4:] = 255, 255
        >>> real = LabelledImages(images, pd.DataFrame({"side": ["left", "right"] * 200}))
        >>> synthesizer = ImageFeatureSynthesizer(epsilon=None).fit(real, schema=schema)  # not private
        >>> drawn = synthesizer.sample(10, conditions={"side": "left"})
        >>> drawn.images.shape, bool(drawn.images[:, :, :4].mean() > 200 > drawn.images[:, :, 4:].mean())
        ((10, 8, 8, 1), True)

    References:
        Su et al., "Differentially Private k-Means Clustering", CODASPY 2016 (noisy Lloyd rounds). Harder,
        Adamczewski and Park, "DP-MERF", AISTATS 2021 (one noisy mean embedding, then only post-processing).
        Li et al., "DP-FETA", S&P 2025 (central images of classes).
    """

    name = "image-feature"
    settings_type = ImageFeatureSettings

    @classmethod
    def sketch(cls, schema: Schema, settings: ImageFeatureSettings, allowance: Spend, n_rows: int) -> Sketch:
        """Say what a fit of about ``n_rows`` units would buy with this budget."""
        assert schema.image is not None
        steps = planned_table(schema, settings, allowance.mu_squared)
        left = 1.0 - sum(step["share"] for step in steps)
        for _, purpose, share in settings.steps:
            noise = noise_for(share * left * allowance.mu_squared)
            steps.append({"purpose": purpose, "share": share * left, "count": 1, "noise_std": noise})
        values = schema.image.n_values
        n_prototypes = n_rows / (settings.units_per_prototype * steps[-2]["noise_std"])
        return Sketch(
            steps=tuple(steps),
            memory_mb=500.0 + 2e-6 * n_rows * values,
            seconds=5.0 + 2e-10 * n_rows * values * (settings.n_rounds * min(n_prototypes, 1000) + 500),
        )

    def _generator(
        self,
        curator: Curator,
        table: Any,
        cells: Cells,
        settings: ImageFeatureSettings,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> ImageMixture:
        return fit_prototypes(curator, cells, settings, table.n_units, seed=seed, progress=progress)

    @staticmethod
    def _generator_from(
        schema: Schema, settings: ImageFeatureSettings, arrays: dict[str, NDArray[Any]]
    ) -> ImageMixture:
        assert schema.image is not None
        return ImageMixture.from_arrays(schema.image, settings.deformation, arrays)


def fit_prototypes(
    curator: Curator,
    cells: Cells,
    settings: ImageFeatureSettings,
    n_units: float,
    *,
    seed: int,
    progress: Progress,
) -> ImageMixture:
    """Buy the releases of the recipe one after the other, and return the generator.

    Privacy:
        Accounted: by the curator, release by release; everything else is post-processing.
    """
    reader = ImageReader(curator, cells)
    n_values = cells.shape.n_values
    waves = low_frequencies(cells.shape, settings.n_frequencies)
    rng = np.random.default_rng(independent_seeds(seed, 1)[0])
    pay = _payments(curator, settings, progress)

    key, purpose, mu_squared = next(pay)
    longest = MIDDLE * math.sqrt(n_values)
    first = reader.sums(
        key, purpose, from_the_middle, n_places=cells.n, longest=longest, mu_squared=mu_squared
    )
    means = _class_means(first)
    rms = _rms_about(means, first)

    key, purpose, mu_squared = next(pay)
    centred = torch.from_numpy((means + MIDDLE).astype(np.float32))
    spread = reader.spread(
        key, purpose, partial(about_means, centred), waves=waves, longest=rms, n_units=n_units,
        mu_squared=mu_squared,
    )  # fmt: skip
    means = _posterior_means(first, spread)

    prototypes = _first_prototypes(first, means, spread, curator, settings, rng)
    for _ in range(settings.n_rounds):
        key, purpose, mu_squared = next(pay)
        found = reader.sums(
            key, purpose, prototypes.place, n_places=len(prototypes.cells), longest=rms,
            mu_squared=mu_squared,
        )  # fmt: skip
        prototypes = _moved(prototypes, found, means, spread, rng)
        rms = min(rms, math.sqrt(max(float(found.squares.sum() / found.safe_counts.sum()), 1e-6)) * 1.1)

    key, purpose, mu_squared = next(pay)
    within = reader.spread(
        key, purpose, prototypes.place, waves=waves, longest=rms, n_units=n_units, mu_squared=mu_squared
    )
    progress("fitted", len(settings.steps), len(settings.steps))
    return ImageMixture(
        shape=cells.shape,
        prototypes=prototypes.values.clip(0.0, 1.0).astype(np.float32),
        weights=np.maximum(prototypes.counts, 1e-3),
        cells=prototypes.cells,
        loadings=within.loadings(settings.spread).astype(np.float32),
        deformation=settings.deformation,
    )


def _payments(
    curator: Curator, settings: ImageFeatureSettings, progress: Progress
) -> Iterator[tuple[str, str, float]]:
    """Yield key, purpose and price of each release: of what is left, its share among those to come."""
    steps = settings.steps
    for i, (key, purpose, share) in enumerate(steps):
        progress(purpose, i, len(steps))
        yield key, purpose, curator.remaining(key) * share / sum(later for _, _, later in steps[i:])


def _class_means(sums: Sums) -> FloatArray:
    """Return the cells' means, measured from the middle, each drawn to the mean of all as its noise asks.

    References:
        The positive-part estimator of James and Stein.
    """
    own = sums.residuals / sums.safe_counts[:, None]
    everyone = sums.residuals.sum(0) / sums.safe_counts.sum()
    noise = sums.mean_variance * own.shape[1]
    distance = np.square(own - everyone).sum(1)
    kept = np.clip(1.0 - noise / np.maximum(distance, 1e-12), 0.0, 1.0)
    return everyone + kept[:, None] * (own - everyone)


def _rms_about(means: FloatArray, sums: Sums) -> float:
    """Return the root of the mean square distance of images from their cell's mean."""
    total = sums.safe_counts.sum()
    squares = sums.squares.sum() / total - (sums.safe_counts @ np.square(means).sum(1)) / total
    least = 0.05 * math.sqrt(means.shape[1])  # a twentieth of full contrast
    return max(math.sqrt(max(float(squares), 0.0)), least)


def _posterior_means(sums: Sums, spread: Spread) -> FloatArray:
    """Return the cells' mean images, the noise shrunk away by how images vary."""
    everyone = sums.residuals.sum(0) / sums.safe_counts.sum()
    own = sums.residuals / sums.safe_counts[:, None]
    return MIDDLE + spread.shrink(own, np.broadcast_to(everyone, own.shape), sums.mean_variance)


def _first_prototypes(
    first: Sums,
    means: FloatArray,
    spread: Spread,
    curator: Curator,
    settings: ImageFeatureSettings,
    rng: np.random.Generator,
) -> Prototypes:
    """Return as many prototypes of each cell as its images can pay for, scattered about its mean."""
    _, _, share = settings.steps[2]
    price = curator.remaining(settings.steps[2][0]) * share / sum(s for _, _, s in settings.steps[2:])
    count_std = Sums.std_of_counts(noise_for(price))
    per_cell = first.counts / (settings.units_per_prototype * count_std)
    n = np.clip(np.floor(per_cell), 1, settings.max_prototypes).astype(np.int64)
    of_cell = np.repeat(np.arange(len(n)), n)
    loadings = spread.loadings(settings.spread)
    scatter = rng.standard_normal((len(of_cell), len(loadings))) @ loadings
    scatter *= (n > 1)[of_cell][:, None]
    return Prototypes(means[of_cell] + scatter, of_cell, (first.safe_counts / n)[of_cell])


def _moved(
    before: Prototypes, found: Sums, means: FloatArray, spread: Spread, rng: np.random.Generator
) -> Prototypes:
    """Return the prototypes moved to the means of their images; one that stands for none starts anew."""
    noisy = before.values + found.residuals / found.safe_counts[:, None]
    values = spread.shrink(noisy, means[before.cells], found.mean_variance)
    lost = found.counts < 2.0 * found.count_std
    values[lost] = before.values[lost]
    counts = np.where(lost, 0.0, found.counts)
    scatter = 0.3 * spread.loadings(1.0)
    for k in np.flatnonzero(lost):
        largest = np.argmax(np.where(before.cells == before.cells[k], counts, -1.0))
        if counts[largest] > 0:
            values[k] = values[largest] + rng.standard_normal(len(scatter)) @ scatter
    return Prototypes(values, before.cells, counts)
