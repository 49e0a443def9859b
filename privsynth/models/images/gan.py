"""The adversarial game on images. Takes no real record.

A generator that has prototypes to begin with makes its images out of their draws: before its first step it
is as good as they are. Its discriminator begins as one that tells their draws from draws under a wrong label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.errors import ParameterError
from privsynth.models.adversarial import AdversarialGame, GameOptions
from privsynth.models.images.mixture import Deformation, ImageMixture
from privsynth.models.images.networks import ARCHITECTURES, DiscriminatorNetwork, GeneratorNetwork
from privsynth.models.images.tensors import draw_images, one_hot_cells
from privsynth.models.state import module_arrays, restore_module
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import PixelArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ImageGanOptions(GameOptions):
    """How the networks are made and trained; public.

    Attributes:
        architecture: ``"mlp"`` or ``"dcgan"``, of both networks; or ``"features"``: a linear critic of public
            features, and a small U-Net (`privsynth.models.images.feature_gan`), to which ``loss``,
            ``discriminator_width``, ``norm``, and what judges the discriminator mean nothing.
        latent_dim: Length of the latent vector.
        generator_width: Hidden units, or channels.
        discriminator_width: Hidden units, or channels.
        norm: Whether a convolutional discriminator has a GroupNorm.
        warm_steps: Public steps of the discriminator before the first private one; only with prototypes.
        least_refined: Images of ``"features"`` lie at a random point between the start and what the generator
            made of it, at least this share of the way.

    The others are those of `GameOptions`.
    """

    architecture: str = "mlp"
    loss: str = "hinge"
    non_saturating: bool = True
    latent_dim: int = 32
    generator_width: int = 256
    discriminator_width: int = 256
    norm: bool = False
    discriminator_rate: float = 1e-3
    generator_rate: float = 2e-4
    fake_batch_size: int = 512
    min_fake_accuracy: float | None = 0.6
    judged_every_step: bool = False
    accuracy_weight: float = 0.1
    averaging: float = 0.98
    warm_steps: int = 200
    least_refined: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.architecture not in ARCHITECTURES:
            raise ParameterError(
                f"expected architecture to be one of {', '.join(ARCHITECTURES)}, got {self.architecture!r}"
            )
        if not 0 <= self.least_refined <= 1:
            raise ParameterError(f"expected 0 <= least_refined <= 1, got {self.least_refined!r}")
        if min(self.latent_dim, self.generator_width, self.discriminator_width) < 1 or self.warm_steps < 0:
            raise ParameterError(
                "expected latent_dim, generator_width and discriminator_width >= 1, warm_steps >= 0, "
                f"got {self}"
            )


class GeneratedImages:
    """A trained generator with what it begins with: what sampling needs.

    Attributes:
        network: The generator.
        start: Prototypes whose draws it begins with; None begins with noise alone.
        least_refined: Drawn images lie at least this far on the way from the start to the generator's.
    """

    def __init__(
        self,
        network: GeneratorNetwork,
        start: ImageMixture | None,
        n_cells: int,
        latent_dim: int,
        least_refined: float = 1.0,
    ):
        self.network, self.start = network, start
        self.n_cells, self.latent_dim, self.least_refined = n_cells, latent_dim, least_refined

    def with_network(self, network: GeneratorNetwork) -> GeneratedImages:
        """Return the same with another network."""
        return GeneratedImages(network, self.start, self.n_cells, self.latent_dim, self.least_refined)

    @classmethod
    def untrained(
        cls,
        shape: ImageShape,
        n_cells: int,
        options: ImageGanOptions,
        start: ImageMixture | None,
        rng: torch.Generator,
    ) -> GeneratedImages:
        """Return a generator at its start."""
        with torch.random.fork_rng(devices=[]):  # torch's own initial weights are drawn, and overwritten
            network = GeneratorNetwork(
                shape,
                n_cells,
                architecture=options.architecture,
                latent_dim=options.latent_dim,
                width=options.generator_width,
                has_start=start is not None,
                rng=rng,
            )
        least = options.least_refined if options.architecture == "features" else 1.0
        return cls(network, start, n_cells, options.latent_dim, least)

    def pixels(self, cells: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        """Draw an image for each cell, ``(n, n_values)`` from 0 to 1, that gradients pass through."""
        return self._begun_and_made(cells, rng)[1]

    def _begun_and_made(
        self, cells: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        device = next(self.network.parameters()).device
        latent = torch.from_numpy(rng.standard_normal((len(cells), self.latent_dim), dtype=np.float32))
        begun = None if self.start is None else self.start.pixels(cells, rng).clamp(0.0, 1.0).to(device)
        one_hot = one_hot_cells(torch.from_numpy(cells), self.n_cells)
        return begun, self.network(latent.to(device), one_hot.to(device), begun)

    def _between(self, cells: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        """Draw images between the start and what the generator makes of it."""
        begun, made = self._begun_and_made(cells, rng)
        if begun is None or self.least_refined == 1.0:
            return made
        share = torch.from_numpy(rng.uniform(self.least_refined, 1.0, (len(cells), 1)).astype(np.float32))
        return begun + share.to(made) * (made - begun)

    @torch.no_grad()
    def draw(self, cells: NDArray[np.int64], rng: np.random.Generator) -> PixelArray:
        """Draw an image for each cell, ``(n, height, width, channels)``."""
        network = self.network
        return draw_images(
            self._between, cells, rng, network.shape, floats_per_value=network.floats_per_value
        )

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays of a model file."""
        start = {} if self.start is None else self.start.to_arrays()
        weights = module_arrays("generator", self.network) | {"n_cells": np.array([self.n_cells])}
        return weights | {f"start/{k}": v for k, v in start.items()}

    @classmethod
    def from_arrays(
        cls,
        shape: ImageShape,
        options: ImageGanOptions,
        deformation: Deformation,
        arrays: Mapping[str, Array],
    ) -> GeneratedImages:
        """Take up what `to_arrays` returned; ``deformation`` is that of the start, if there is one."""
        of_start = {k.removeprefix("start/"): v for k, v in arrays.items() if k.startswith("start/")}
        start = ImageMixture.from_arrays(shape, deformation, of_start) if of_start else None
        rng = torch.Generator().manual_seed(0)
        images = cls.untrained(shape, int(arrays["n_cells"][0]), options, start, rng)
        restore_module("generator", images.network.requires_grad_(False), arrays)
        return images


class ImageGan(AdversarialGame):
    """The game on images: rows are pixels, then the one-hot cell.

    Args:
        generated: The generator, at its start.
        options: How to train.
        shares: Share of each cell among fakes; released.
        device: Where torch computes; initial weights and all draws come from the CPU.
        seed: Of the discriminator's initial weights and all draws.
    """

    def __init__(
        self,
        generated: GeneratedImages,
        options: ImageGanOptions,
        *,
        shares: NDArray[np.float64],
        device: str,
        seed: int,
    ) -> None:
        self.options, self.generated, self.device = options, generated, device
        self._shares = shares
        rng = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            discriminator = DiscriminatorNetwork(
                generated.network.shape,
                generated.n_cells,
                architecture=options.architecture,
                width=options.discriminator_width,
                norm=options.norm,
                rng=rng,
            ).to(device)
        optimizer = torch.optim.Adam(
            discriminator.parameters(), lr=options.discriminator_rate, betas=(0.5, 0.99)
        )
        super().__init__(generated.network.to(device), discriminator, optimizer, options, rng)

    def fakes(self) -> torch.Tensor:
        """Draw a batch of rows: pixels, which gradients pass through, and one-hot cells."""
        rng = self._next_rng()
        cells = rng.choice(len(self._shares), self.options.fake_batch_size, p=self._shares)
        return self._rows(self.generated.pixels(cells, rng), cells)

    def warm_up(self) -> None:
        """Teach the discriminator, before it sees a record, which draws of the start bear which label."""
        start = self.generated.start
        if start is None or self.generated.n_cells < 2:
            return
        for _ in range(self.options.warm_steps):
            rng = self._next_rng()
            n, n_cells = self.options.fake_batch_size, self.generated.n_cells
            cells = rng.choice(n_cells, n, p=self._shares)
            wrong = (cells + rng.integers(1, n_cells, n)) % n_cells
            pixels = start.pixels(cells, rng).clamp(0.0, 1.0).to(self.device)
            loss = self.real_loss(self.discriminator, self._rows(pixels, cells)).mean()
            loss = loss + self.fake_loss(self.discriminator, self._rows(pixels, wrong)).mean()
            self.discriminator_optimizer.zero_grad()
            loss.backward()
            self.discriminator_optimizer.step()

    def averaged(self) -> GeneratedImages:
        """Return the averaged generator, apart from the one that goes on learning."""
        return self.generated.with_network(self.averaged_generator())

    def _rows(self, pixels: torch.Tensor, cells: NDArray[np.int64]) -> torch.Tensor:
        one_hot = one_hot_cells(torch.from_numpy(cells), self.generated.n_cells)
        return torch.cat([pixels, one_hot.to(self.device)], dim=1)

    def _next_rng(self) -> np.random.Generator:
        return np.random.default_rng(int(torch.randint(2**62, (1,), generator=self.rng)))
