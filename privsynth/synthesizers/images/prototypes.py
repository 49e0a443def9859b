"""Prototypes of images under a budget: settings, and the order in which noisy sums are released.

1. Of each cell (class and groups): number of images and mean. 2. The second moments about the means, in low
frequencies, over all cells together. 3. Rounds of Lloyd's algorithm: each image goes to the nearest prototype
of its cell, and the noisy sum and number of each prototype's images move it. 4. The second moments about the
prototypes. Each is one noisy sum of vectors (`image_reader`): an image adds to one cell only, so that
classes, groups and prototypes share nothing of their noise budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.errors import ParameterError
from privsynth.models.images.mixture import Deformation, ImageMixture
from privsynth.models.images.moments import Spread, low_frequencies
from privsynth.privacy.curator import Curator
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.images.measurements import (
    MIDDLE,
    Allocation,
    Cells,
    ImageReader,
    Prototypes,
    Sums,
    about_means,
    from_the_middle,
)
from privsynth.synthesizers.training import independent_seeds

FloatArray = NDArray[np.float64]

SPARE = 0.005  # share that is never planned, so that the last release can be repeated if its answer is lost


@dataclass(frozen=True, kw_only=True)
class PrototypeSettings:
    """Public settings of the recipe; shares are of what it may cost in all.

    Attributes:
        means_share: For number and mean of each cell's images.
        moments_share: For the second moments, twice: about the means, and about the prototypes.
        n_rounds: Rounds of Lloyd's algorithm, which get what is left.
        n_frequencies: Low frequencies in which second moments are taken.
        units_per_prototype: Units that a prototype shall stand for, in deviations of the noise of one count.
        max_prototypes: Largest number of prototypes of a cell.
        spread: How far drawn images vary about their prototype, over how far real ones do.
        deformation: Of drawn images; none by default, since only some images may be turned or moved.
    """

    means_share: float = 0.12
    moments_share: float = 0.05
    n_rounds: int = 3
    n_frequencies: int = 128
    units_per_prototype: float = 20.0
    max_prototypes: int = 80
    spread: float = 1.0
    deformation: Deformation = field(default_factory=Deformation)

    def __post_init__(self) -> None:
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
        """Read settings from JSON-able fields."""
        return cls(**{**fields, "deformation": Deformation(**fields["deformation"])})

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

    def planned(self, share: float, mu_squared: float) -> list[dict[str, Any]]:
        """Return what the recipe would release with a share of ``mu**2``, for `privsynth plan`; public."""
        return [
            {
                "purpose": purpose,
                "share": share * own,
                "count": 1,
                "noise_std": noise_for(share * own * mu_squared),
            }
            for _, purpose, own in self.steps
        ]

    def seconds(self, n_rows: int, n_values: int, mu_squared: float) -> float:
        """Return about how long the recipe takes on two cores; public."""
        count_std = Sums.std_of_counts(noise_for(mu_squared * self.steps[2][2]))
        n_prototypes = min(n_rows / (self.units_per_prototype * count_std), 1000.0)
        return 5.0 + 2e-10 * n_rows * n_values * (self.n_rounds * n_prototypes + 500)


def fit_prototypes(
    curator: Curator,
    cells: Cells,
    settings: PrototypeSettings,
    n_units: float,
    *,
    seed: int,
    progress: Progress,
    reserve: float = 0.0,
) -> ImageMixture:
    """Make the releases of the recipe one after the other, and return the generator.

    Args:
        curator: Gives the releases.
        cells: Classes and groups.
        settings: Public settings.
        n_units: Noisy number of units.
        seed: Of where prototypes begin.
        progress: Called with a message, the releases made, and how many there will be.
        reserve: The part of ``mu**2`` that is not to be spent.

    Privacy:
        Accounted: by the curator, release by release; everything else is post-processing.
    """
    reader = ImageReader(curator, cells)
    waves = low_frequencies(cells.shape, settings.n_frequencies)
    rng = np.random.default_rng(independent_seeds(seed, 1)[0])
    pay = _payments(curator, settings, progress, reserve)

    longest = MIDDLE * math.sqrt(cells.shape.n_values)
    first = reader.sums(next(pay), from_the_middle, n_places=cells.n, longest=longest)
    means = _class_means(first)
    rms = _rms_about(means, first)

    centred = partial(about_means, torch.from_numpy((means + MIDDLE).astype(np.float32)))
    spread = reader.spread(next(pay), centred, waves=waves, longest=rms, n_units=n_units)
    means = _posterior_means(first, spread)

    allocation = next(pay)
    prototypes = _first_prototypes(first, means, spread, settings, allocation.noise_multiplier, rng)
    for _ in range(settings.n_rounds):
        found = reader.sums(allocation, prototypes.place, n_places=len(prototypes.cells), longest=rms)
        prototypes = _moved(prototypes, found, means, spread, rng)
        rms = min(rms, 1.1 * math.sqrt(max(float(found.squares.sum()) / found.total, 1e-6)))
        allocation = next(pay)

    within = reader.spread(allocation, prototypes.place, waves=waves, longest=rms, n_units=n_units)
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
    curator: Curator, settings: PrototypeSettings, progress: Progress, reserve: float
) -> Iterator[Allocation]:
    """Yield what each release may cost: of what is left, its share among those to come and the spare."""
    steps = settings.steps
    for i, (key, purpose, share) in enumerate(steps):
        progress(purpose, i, len(steps))
        to_come = sum(later for _, _, later in steps[i:]) + SPARE
        yield Allocation(key, purpose, (curator.remaining(key) - reserve) * share / to_come)


def _class_means(sums: Sums) -> FloatArray:
    """Return the cells' means, measured from the middle, each drawn to the mean of all as its noise asks.

    References:
        The positive-part estimator of James and Stein.
    """
    own = sums.residuals / sums.safe_counts[:, None]
    everyone = sums.residuals.sum(0) / sums.total
    noise = sums.mean_variance * own.shape[1]
    distance = np.square(own - everyone).sum(1)
    kept = np.clip(1.0 - noise / np.maximum(distance, 1e-12), 0.0, 1.0)
    return everyone + kept[:, None] * (own - everyone)


def _rms_about(means: FloatArray, sums: Sums) -> float:
    """Return the root of the mean square distance of images from their cell's mean."""
    squares = sums.squares.sum() / sums.total - np.average(np.square(means).sum(1), weights=sums.safe_counts)
    least = 0.05 * math.sqrt(means.shape[1])  # a twentieth of full contrast
    return max(math.sqrt(max(float(squares), 0.0)), least)


def _posterior_means(sums: Sums, spread: Spread) -> FloatArray:
    """Return the cells' mean images, the noise shrunk away by how images and means vary."""
    own = sums.residuals / sums.safe_counts[:, None]
    everyone = np.broadcast_to(sums.residuals.sum(0) / sums.total, own.shape)
    noise = sums.mean_variance
    return MIDDLE + spread.widened(own, everyone, noise).shrink(own, everyone, noise)


def _first_prototypes(
    first: Sums,
    means: FloatArray,
    spread: Spread,
    settings: PrototypeSettings,
    noise: float,
    rng: np.random.Generator,
) -> Prototypes:
    """Return as many prototypes of each cell as its images can pay for, scattered about its mean."""
    per_cell = first.counts / (settings.units_per_prototype * Sums.std_of_counts(noise))
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
