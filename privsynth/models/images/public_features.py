"""Features of an image by fixed public rules: scattering, in directions that images of random shapes vary in.

A linear classifier of four hundred numbers pays a tenth of the noise that one of all features would. Which
four hundred is learnt from shapes that overlap at random ("dead leaves"): no record, no release, no download.

References:
    Lee, Mumford and Huang, "Occlusion Models for Natural Images", IJCV 2001. Baradad et al., "Learning to
    See by Looking at Noise", NeurIPS 2021.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from privsynth.models.images.scattering import Scattering, in_filled_parts
from privsynth.schema.image_shape import ImageShape

N_SHAPES = 2000  # images that directions come from
MOST_SHAPES = 7  # on one image
N_DIRECTIONS = 400
WHITENING, FLOOR = 0.4, 0.003  # each direction is divided by (its variance + FLOOR * the largest)^WHITENING
CONSTANT = 0.1  # of the squared length of a row, for the feature that is always the same


def random_shapes(shape: ImageShape, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return images of overlapping ellipses and boxes, ``(n, channels, height, width)``, from 0 to 1; public.

    Example:
        >>> random_shapes(ImageShape(height=6, width=5, channels=3), 2).shape
        (2, 3, 6, 5)
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape.height, : shape.width].astype(np.float32)
    longest = max(min(shape.height, shape.width) / 2.5, 1.5)
    images = np.zeros((n, shape.channels, shape.height, shape.width), np.float32)
    for image in images:
        for _ in range(rng.integers(1, MOST_SHAPES + 1)):
            half = np.exp(rng.uniform(0.0, math.log(longest), 2))
            angle, (right, down) = rng.uniform(0.0, math.pi), rng.uniform(0.15, 0.85, 2)
            across, along = x - right * shape.width, y - down * shape.height
            u = (across * math.cos(angle) + along * math.sin(angle)) / half[0]
            v = (along * math.cos(angle) - across * math.sin(angle)) / half[1]
            inside = u**2 + v**2 < 1 if rng.random() < 0.5 else np.maximum(abs(u), abs(v)) < 1
            image[:, inside] = rng.random((shape.channels, 1))
    return images


def n_public_features(shape: ImageShape) -> int:
    """Return how many features of an image there are, the constant one left out; public."""
    return min(N_DIRECTIONS, Scattering(shape).n_features, N_SHAPES)


class PublicFeatures(nn.Module):
    """Rows of length 1 at most, of `n_features` numbers, the last of them constant.

    Args:
        shape: Of the images.
    """

    mean: torch.Tensor
    directions: torch.Tensor

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.scattering = Scattering(shape)
        seen = self.scattering.of_each(torch.from_numpy(random_shapes(shape, N_SHAPES)))
        mean = seen.mean(0)
        away = (seen - mean).double()
        _, lengths, rows = np.linalg.svd(away.numpy(), full_matrices=False)
        rows = rows[:N_DIRECTIONS]
        largest = np.abs(rows).argmax(1)
        rows *= np.sign(rows[np.arange(len(rows)), largest])[:, None]  # else they are free to change sign
        variances = np.square(lengths[:N_DIRECTIONS]) / len(seen)
        scaled = rows / ((variances + FLOOR * variances[0]) ** WHITENING)[:, None]
        self.register_buffer("mean", mean)
        self.register_buffer("directions", torch.from_numpy(scaled.T.astype(np.float32)))

    @property
    def n_features(self) -> int:
        """Numbers in a row."""
        return self.directions.shape[1] + 1

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the rows of images, ``(n, channels, height, width)`` from 0 to 1; gradients pass through."""
        return self._row(self.scattering(planes))

    @torch.no_grad()
    def of_each(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the row of each image by itself, whatever stands before and behind it.

        Privacy:
            Not private: a function of one record a row.
        """
        return in_filled_parts(self, planes, self.n_features)

    def _row(self, seen: torch.Tensor) -> torch.Tensor:
        z = (seen - self.mean) @ self.directions
        z = z * math.sqrt(1.0 - CONSTANT) / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
        return torch.cat([z, z.new_full((len(z), 1), math.sqrt(CONSTANT))], dim=1)
