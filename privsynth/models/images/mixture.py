"""A generator of images: prototypes of each cell, directions in which images vary, small deformations.

``x = deform(prototype_k + sum_j z_j * loading_j)`` with standard normal ``z``. Labels are exact, drawing is
fast, and what the generator knows can be looked at: its prototypes are images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.domains.systematic import Distributions
from privsynth.errors import ParameterError
from privsynth.models.images.tensors import as_planes, as_rows, draw_images
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import PixelArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ELASTIC_KNOTS = 5  # a side, between which the elastic displacement is smooth


@dataclass(frozen=True, kw_only=True)
class Deformation:
    """How far a drawn image is turned, moved, scaled and bent at random; public, since no record decides it.

    Attributes:
        degrees: Largest rotation and shear, each way.
        shift: Largest displacement, in parts of the side.
        scale: Largest relative change of size.
        elastic: Standard deviation of a smooth local displacement, in parts of the side.
    """

    degrees: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    elastic: float = 0.0

    def __post_init__(self) -> None:
        values = tuple(asdict(self).values())
        if not all(0 <= value < math.inf for value in values) or self.scale >= 1:
            raise ParameterError(f"expected finite amounts >= 0 and scale < 1, got {self}")

    def apply(self, images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Deform each image by itself, ``(n, channels, height, width)``; what comes from outside repeats
        the border."""
        n = len(images)
        if not n or not any(asdict(self).values()):
            return images

        def uniform(largest: float) -> torch.Tensor:
            return torch.from_numpy(rng.uniform(-largest, largest, n).astype(np.float32))

        angle, shear = uniform(math.radians(self.degrees)), uniform(math.radians(self.degrees))
        size, right, down = 1.0 + uniform(self.scale), uniform(2 * self.shift), uniform(2 * self.shift)
        theta = torch.stack(
            [
                torch.stack([size * angle.cos(), shear - size * angle.sin(), right], 1),
                torch.stack([size * angle.sin(), size * angle.cos(), down], 1),
            ],
            1,
        )
        grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
        if self.elastic:
            knots = rng.normal(0.0, 2 * self.elastic, (n, 2, ELASTIC_KNOTS, ELASTIC_KNOTS))
            bend = torch.nn.functional.interpolate(
                torch.from_numpy(knots.astype(np.float32)),
                images.shape[2:],
                mode="bicubic",
                align_corners=True,
            )
            grid = grid + bend.permute(0, 2, 3, 1)
        return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


@dataclass(frozen=True, eq=False)
class ImageMixture:
    """Prototypes and what varies about them. Holds what was fitted to releases.

    Attributes:
        shape: Of each image.
        prototypes: ``(n_prototypes, n_values)`` float32, pixels from 0 to 1.
        weights: Share of each prototype within its cell, up to a factor, ``(n_prototypes,)``.
        cells: Cell of each prototype, ``(n_prototypes,)``; every cell has at least one.
        loadings: Directions in which images vary, ``(n_directions, n_values)`` float32.
        deformation: Of drawn images.
    """

    shape: ImageShape
    prototypes: NDArray[np.float32]
    weights: FloatArray
    cells: IntArray
    loadings: NDArray[np.float32]
    deformation: Deformation

    def pixels(self, cells: IntArray, rng: np.random.Generator) -> torch.Tensor:
        """Draw the pixels of an image for each cell, ``(n, n_values)``; they may pass beyond 0 and 1."""
        shares = np.zeros((int(self.cells.max()) + 1, len(self.weights)))
        shares[self.cells, np.arange(len(self.weights))] = self.weights
        which = Distributions(shares).draw(cells, rng)
        z = rng.standard_normal((len(cells), len(self.loadings)), dtype=np.float32)
        flat = torch.from_numpy(self.prototypes[which] + z @ self.loadings)
        return as_rows(self.deformation.apply(as_planes(flat, self.shape), rng))

    def draw(self, cells: IntArray, rng: np.random.Generator) -> PixelArray:
        """Draw an image for each cell, ``(n, height, width, channels)``."""
        return draw_images(self.pixels, cells, rng, self.shape, floats_per_value=1)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a model file."""
        return {
            "prototypes": self.prototypes,
            "weights": self.weights,
            "cells": self.cells,
            "loadings": self.loadings,
        }

    @classmethod
    def from_arrays(
        cls, shape: ImageShape, deformation: Deformation, arrays: Mapping[str, NDArray[Any]]
    ) -> ImageMixture:
        """Take up what `to_arrays` returned.

        Raises:
            ValueError: If the arrays do not fit one another.
        """
        prototypes, weights, cells, loadings = (arrays[name] for name in cls._names)
        n = len(prototypes)
        if not weights.shape == cells.shape == (n,) or cells.dtype != np.int64 or (cells < 0).any():
            raise ValueError("no cells of these prototypes")
        if not (np.isfinite(weights).all() and (weights >= 0).all()) or cells.max() >= n:
            raise ValueError("no weights of these prototypes")
        if (np.bincount(cells, weights=weights) <= 0).any():
            raise ValueError("a cell without prototypes")
        if not prototypes.shape[1:] == loadings.shape[1:] == (shape.n_values,):
            raise ValueError("prototypes of another shape")
        return cls(shape, prototypes, weights, cells, loadings, deformation)

    _names = ("prototypes", "weights", "cells", "loadings")
