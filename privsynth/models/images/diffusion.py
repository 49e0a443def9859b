"""A denoiser of images and what is drawn from it. Nothing here takes a real record but the loss, one by one.

Noise of many levels is added to an image, and a network learns to take it away; images are drawn by taking
noise away step after step. The draws of noise in a step are public and the same for every image, so that the
loss of an image depends on that image alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from privsynth.errors import ParameterError
from privsynth.models.images.networks import group_norm, padded, start_weights
from privsynth.models.images.tensors import as_planes, as_rows, draw_images, one_hot_cells
from privsynth.models.state import module_arrays, restore_module
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import PixelArray

Array = NDArray[Any]

DATA_STD = 0.5  # of pixels from -1 to 1; public, and only a scale
LOWEST, HIGHEST = 0.02, 20.0  # noise levels between which images are drawn
LEVEL_MEAN, LEVEL_STD = -0.8, 1.2  # of the logarithm of the levels that are learnt from


@dataclass(frozen=True, kw_only=True)
class DiffusionOptions:
    """How the denoiser is made, trained and drawn from; public.

    Attributes:
        architecture: ``"mlp"`` or ``"u-net"``.
        width: Hidden units, or channels.
        draws: Draws of noise for each image in a step, averaged before clipping.
        learning_rate: Adam's step.
        averaging: Decay of the running average of the weights that is kept as the model.
        warm_steps: Public steps on draws of the prototypes before the first private one.
        warm_batch_size: Images in each of them.
        n_levels: Steps in which an image is drawn.
    """

    architecture: str = "u-net"
    width: int = 16
    draws: int = 4
    learning_rate: float = 2e-3
    averaging: float = 0.98
    warm_steps: int = 300
    warm_batch_size: int = 128
    n_levels: int = 18

    def __post_init__(self) -> None:
        if self.architecture not in ("mlp", "u-net"):
            raise ParameterError(f"expected architecture 'mlp' or 'u-net', got {self.architecture!r}")
        if min(self.width, self.draws, self.warm_batch_size) < 1 or self.n_levels < 2 or self.warm_steps < 0:
            raise ParameterError(
                "expected width, draws and warm_batch_size >= 1, n_levels >= 2 and warm_steps >= 0"
            )
        if not (0 <= self.averaging < 1 and self.learning_rate > 0):
            raise ParameterError(f"expected 0 <= averaging < 1 and learning_rate > 0, got {self}")


class DenoiserNetwork(nn.Module):
    """Predict an image, pixels from -1 to 1, from a noisy one, the level of noise and the cell.

    Rows hold the noisy image, the logarithm of its level, and the one-hot cell. The output is preconditioned
    as by Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022.

    Args:
        shape: Of the images.
        n_cells: Number of cells.
        options: Architecture and width.
        rng: Of the initial weights.
    """

    def __init__(
        self, shape: ImageShape, n_cells: int, options: DiffusionOptions, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.shape = shape
        width, n_given = options.width, 3 + n_cells
        if options.architecture == "mlp":
            self.layers: nn.Module = nn.Sequential(
                *(nn.Linear(shape.n_values + n_given, width), nn.SiLU()),
                *(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, shape.n_values)),
            )
        else:
            self.layers = _UNet(shape, n_given, width)
        start_weights(self, rng)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the predicted images, ``(n, n_values)``."""
        n = self.shape.n_values
        noisy, log_level, one_hot = rows[:, :n], rows[:, n : n + 1], rows[:, n + 1 :]
        level = log_level.exp()
        scale = (level**2 + DATA_STD**2).sqrt()
        waves = torch.cat([log_level / 4.0, torch.sin(log_level), torch.cos(log_level)], dim=1)
        said = self.layers(torch.cat([noisy / scale, waves, one_hot], dim=1))
        return noisy * (DATA_STD / scale) ** 2 + said * level * DATA_STD / scale


class _UNet(nn.Module):
    """Two sizes, a skip between them, and GroupNorm: nothing that mixes records."""

    def __init__(self, shape: ImageShape, n_given: int, width: int) -> None:
        super().__init__()
        self.shape = shape
        self.given = nn.Linear(n_given, 3 * width)
        self.first = nn.Conv2d(shape.channels, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.middle = nn.Sequential(
            *(group_norm(2 * width), nn.SiLU(), nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            *(group_norm(2 * width), nn.SiLU(), nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
        )
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)
        self.last = nn.Conv2d(width, shape.channels, 3, padding=1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        image, given = rows[:, : self.shape.n_values], rows[:, self.shape.n_values :]
        bias = self.given(given)[:, :, None, None]
        width = self.first.out_channels
        planes = padded(as_planes(image, self.shape), 2)
        whole = F.silu(self.first(planes) + bias[:, :width])
        half = F.silu(self.down(whole) + bias[:, width:])
        half = half + self.middle(half)
        joined = F.silu(self.join(torch.cat([whole, self.up(half)], dim=1)))
        return as_rows(self.last(joined)[:, :, : self.shape.height, : self.shape.width])


@dataclass(frozen=True, eq=False)
class NoiseDraws:
    """Public draws of noise: levels ``(k,)`` and standard normals ``(k, n_values)``."""

    levels: torch.Tensor
    noises: torch.Tensor

    @classmethod
    def of(cls, k: int, n_values: int, rng: torch.Generator, device: str) -> NoiseDraws:
        """Draw ``k`` levels, spread evenly over their distribution, and a noise for each."""
        places = (torch.arange(k) + torch.rand(k, generator=rng)) / k
        logs = LEVEL_MEAN + LEVEL_STD * torch.special.ndtri(places.clamp(1e-3, 1 - 1e-3))
        return cls(logs.exp().to(device), torch.randn(k, n_values, generator=rng).to(device))

    def loss(self, network: Any, pixels: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        """Return the mean weighted squared error over the draws for each image, ``(n,)``."""
        clean = 2.0 * pixels - 1.0
        losses = []
        for level, noise in zip(self.levels, self.noises, strict=True):
            log_level = level.log().expand(len(clean), 1)
            guess = network(torch.cat([clean + level * noise, log_level, one_hot], dim=1))
            weight = (level**2 + DATA_STD**2) / (level * DATA_STD) ** 2
            losses.append(weight * (guess - clean).square().mean(1))
        return torch.stack(losses).mean(0)


class DiffusionImages:
    """A trained denoiser: what sampling needs.

    Attributes:
        network: The denoiser.
        n_cells: Number of cells.
        n_levels: Steps in which an image is drawn.
    """

    def __init__(self, network: DenoiserNetwork, n_cells: int, n_levels: int) -> None:
        self.network, self.n_cells, self.n_levels = network, n_cells, n_levels

    @classmethod
    def untrained(
        cls, shape: ImageShape, n_cells: int, options: DiffusionOptions, rng: torch.Generator
    ) -> DiffusionImages:
        """Return a denoiser at its start."""
        with torch.random.fork_rng(devices=[]):  # torch's own initial weights are drawn, and overwritten
            network = DenoiserNetwork(shape, n_cells, options, rng)
        return cls(network, n_cells, options.n_levels)

    @torch.no_grad()
    def draw(self, cells: NDArray[np.int64], rng: np.random.Generator) -> PixelArray:
        """Draw an image for each cell, ``(n, height, width, channels)``."""
        return draw_images(self._pixels, cells, rng, self.network.shape, floats_per_value=16)

    def _pixels(self, cells: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        """Take noise away step after step.

        References:
            Karras et al. 2022, their schedule of levels (rho of 7) and second-order steps.
        """
        steps = torch.linspace(0, 1, self.n_levels)
        levels = (HIGHEST ** (1 / 7) + steps * (LOWEST ** (1 / 7) - HIGHEST ** (1 / 7))) ** 7
        one_hot = one_hot_cells(torch.from_numpy(cells), self.n_cells)
        noise = rng.standard_normal((len(cells), self.network.shape.n_values), dtype=np.float32)
        x = levels[0] * torch.from_numpy(noise)
        for now, then in itertools.pairwise(levels):
            slope = (x - self._guess(x, now, one_hot)) / now
            ahead = x + (then - now) * slope
            x = x + (then - now) * 0.5 * (slope + (ahead - self._guess(ahead, then, one_hot)) / then)
        return (self._guess(x, levels[-1], one_hot) + 1.0) / 2.0

    def _guess(self, x: torch.Tensor, level: torch.Tensor, one_hot: torch.Tensor) -> torch.Tensor:
        guess: torch.Tensor = self.network(torch.cat([x, level.log().expand(len(x), 1), one_hot], dim=1))
        return guess.clamp(-1.0, 1.0)

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays of a model file."""
        return module_arrays("denoiser", self.network) | {"n_cells": np.array([self.n_cells])}

    @classmethod
    def from_arrays(
        cls, shape: ImageShape, options: DiffusionOptions, arrays: Mapping[str, Array]
    ) -> DiffusionImages:
        """Take up what `to_arrays` returned."""
        rng = torch.Generator().manual_seed(0)
        images = cls.untrained(shape, int(arrays["n_cells"][0]), options, rng)
        restore_module("denoiser", images.network.requires_grad_(False), arrays)
        return images
