"""Reads images through the curator: noisy sums of vectors by class, group and prototype."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import Domain, codings_of
from privsynth.models.images.moments import Spread, symmetric
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.vector_sums import VectorSums
from privsynth.schema.image_shape import ImageShape

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Place = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From the cell and the pixels of one image to the place that it adds to, -1 for none, and a residual."""

COUNT_WEIGHT = 0.3  # length of the part of a vector that counts, beside 1 for the image
ENERGY_WEIGHT = 0.3  # and of the part that measures squares
MIDDLE = 0.5  # the value from which images are measured, so that none can be longer than `_longest`


@dataclass(frozen=True)
class Cells:
    """Which column codes choose the cell of an image."""

    domains: Mapping[str, Domain]
    columns: tuple[str, ...]
    shape: ImageShape

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each column."""
        return tuple(self.domains[name].size for name in self.columns)

    @property
    def n(self) -> int:
        """Number of cells."""
        return math.prod(self.sizes)

    def split(self, record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cell of a record, -1 if a code is none, and its pixels from 0 to 1; or those of many."""
        names = list(self.domains)
        cell = torch.zeros_like(record[..., 0], dtype=torch.int64)
        known = cell == 0
        for name, size in zip(self.columns, self.sizes, strict=True):
            code = record[..., names.index(name)].long()
            cell, known = cell * size + code, known & (code >= 0)
        return torch.where(known, cell, -1), record[..., len(names) :].float() / 255.0


@dataclass(frozen=True)
class Allocation:
    """What one release is called, what it is for, and what of ``mu**2`` it may cost."""

    key: str
    purpose: str
    mu_squared: float

    @property
    def noise_multiplier(self) -> float:
        """The noise that it pays for."""
        return noise_for(self.mu_squared)


@dataclass(frozen=True)
class Sums:
    """A noisy sum of images by place: numbers, sums of residuals, sums of their squares, and their noise."""

    counts: FloatArray
    residuals: FloatArray
    squares: FloatArray
    count_std: float
    residual_std: float

    @staticmethod
    def std_of_counts(noise_multiplier: float) -> float:
        """Return the noise in each number at a noise multiplier; public."""
        return noise_multiplier * _LENGTH / COUNT_WEIGHT

    @property
    def total(self) -> float:
        """Number of images in all, to divide by: at least one, and two deviations of its noise."""
        return float(max(self.counts.sum(), 2.0 * self.count_std * math.sqrt(len(self.counts)), 1.0))

    @property
    def safe_counts(self) -> FloatArray:
        """Numbers to divide by: at least two deviations of noise, and one."""
        return np.maximum(self.counts, max(2.0 * self.count_std, 1.0))

    @property
    def mean_variance(self) -> FloatArray:
        """Variance of the noise in each value of a mean residual, by place."""
        return np.square(self.residual_std / self.safe_counts)


class ImageReader:
    """Takes noisy sums of images from a curator.

    Args:
        curator: Gives the releases.
        cells: Which codes choose the cell.
    """

    def __init__(self, curator: Curator, cells: Cells) -> None:
        self._curator = curator
        self._cells = cells

    def sums(self, allocation: Allocation, place: Place, *, n_places: int, longest: float) -> Sums:
        """Release numbers, residuals and squares by place.

        Args:
            allocation: Its share of the budget.
            place: From the cell and the pixels of an image to a place and a residual.
            n_places: Number of places.
            longest: Bound on the length of a residual; longer ones are scaled down.
        """
        n_values = self._cells.shape.n_values

        def embedding(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            where, residual = place(*self._cells.split(record))
            length = torch.linalg.vector_norm(residual)
            residual = residual / length.clamp_min(longest)
            square = ENERGY_WEIGHT * residual.square().sum()
            vector = torch.cat([residual, torch.stack([torch.full_like(square, COUNT_WEIGHT), square])])
            return where, vector / _LENGTH

        noise = allocation.noise_multiplier
        mechanism = VectorSums(
            purpose=allocation.purpose,
            codings=codings_of(self._cells.domains),
            embedding=embedding,
            n_cells=n_places,
            n_values=n_values + 2,
            noise_multiplier=noise,
        )
        release = self._curator.release(allocation.key, mechanism)
        sums = release.arrays["sums"] * _LENGTH
        return Sums(
            counts=sums[:, n_values] / COUNT_WEIGHT,
            residuals=sums[:, :n_values] * longest,
            squares=sums[:, n_values + 1] * longest**2 / ENERGY_WEIGHT,
            count_std=Sums.std_of_counts(noise),
            residual_std=noise * _LENGTH * longest,
        )

    def spread(
        self, allocation: Allocation, place: Place, *, waves: FloatArray, longest: float, n_units: float
    ) -> Spread:
        """Release the second moments of residuals in low frequencies, over all places together."""
        n_waves = waves.shape[1]
        basis = torch.from_numpy(waves.astype(np.float32))
        rows, columns = torch.triu_indices(n_waves, n_waves)
        weight = torch.where(rows == columns, 1.0, math.sqrt(2.0))
        length = math.hypot(1.0, ENERGY_WEIGHT)

        def embedding(record: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            where, residual = place(*self._cells.split(record))
            residual = residual / torch.linalg.vector_norm(residual).clamp_min(longest)
            z = residual @ basis
            square = ENERGY_WEIGHT * residual.square().sum()
            vector = torch.cat([z[rows] * z[columns] * weight, square[None]])
            return torch.where(where < 0, -1, 0), vector / length

        noise = allocation.noise_multiplier
        mechanism = VectorSums(
            purpose=allocation.purpose,
            codings=codings_of(self._cells.domains),
            embedding=embedding,
            n_cells=1,
            n_values=len(rows) + 1,
            noise_multiplier=noise,
        )
        release = self._curator.release(allocation.key, mechanism)
        scale = length * longest**2 / max(n_units, 1.0)
        sums = release.arrays["sums"][0] * scale
        return Spread.of_moments(
            waves,
            symmetric(sums[:-1], n_waves),
            float(sums[-1]) / ENERGY_WEIGHT,
            noise_std=noise * scale / math.sqrt(2.0),
        )


_LENGTH = math.sqrt(1.0 + COUNT_WEIGHT**2 + ENERGY_WEIGHT**2)  # of the longest vector of `ImageReader.sums`


@dataclass(frozen=True)
class Prototypes:
    """Prototypes by cell."""

    values: FloatArray
    cells: IntArray
    counts: FloatArray

    def place(self, cell: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest prototype of an image's cell, -1 if it has none, and the residual."""
        values, cells, halves = self._tensors
        far = halves - values @ pixels
        nearest = torch.where(cells == cell, far, torch.inf).argmin()
        return torch.where(cell < 0, -1, nearest), pixels - values[nearest]

    @property
    def _tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        values = torch.from_numpy(self.values.astype(np.float32))
        return values, torch.from_numpy(self.cells), values.square().sum(1) / 2.0


def from_the_middle(cell: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Place an image in its cell, measured from the middle value: never longer than half of each value."""
    return cell, pixels - MIDDLE


def about_means(
    means: torch.Tensor, cell: torch.Tensor, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Place an image in its cell, measured from the cell's mean."""
    return cell, pixels - means[cell.clamp_min(0)]
