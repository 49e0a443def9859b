"""State and public half of adversarial training on images. Nothing here takes a real record.

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
from privsynth.models.images.mixture import Deformation, ImageMixture
from privsynth.models.images.networks import ARCHITECTURES, DiscriminatorNetwork, GeneratorNetwork
from privsynth.models.images.tensors import draw_images, one_hot_cells
from privsynth.models.state import (
    averaged_network,
    module_arrays,
    optimizer_arrays,
    restore_module,
    restore_optimizer,
    running_average,
)
from privsynth.models.tables.discriminator import FAKE_LOSSES, REAL_LOSSES
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import PixelArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ImageGanOptions:
    """How the networks are made and trained; public.

    Attributes:
        architecture: ``"mlp"`` or ``"dcgan"``, of both networks.
        loss: ``"hinge"``, ``"bce"`` or ``"wasserstein"``.
        latent_dim: Length of the latent vector.
        generator_width: Hidden units, or channels.
        discriminator_width: Hidden units, or channels.
        norm: Whether a convolutional discriminator has a GroupNorm.
        discriminator_rate: Adam's step.
        generator_rate: Adam's step.
        generator_steps: Generator steps after each private step.
        fake_batch_size: Fakes in each step.
        min_fake_accuracy: The generator waits while the discriminator tells fewer than this share of fakes
            (a score below 0) from real ones; judged on fakes only, so it costs nothing. None never waits.
        averaging: Decay of the running average of the generator's weights that is kept as the model.
        warm_steps: Public steps of the discriminator before the first private one; only with prototypes.
    """

    architecture: str = "mlp"
    loss: str = "hinge"
    latent_dim: int = 32
    generator_width: int = 256
    discriminator_width: int = 256
    norm: bool = False
    discriminator_rate: float = 1e-3
    generator_rate: float = 2e-4
    generator_steps: int = 1
    fake_batch_size: int = 512
    min_fake_accuracy: float | None = 0.6
    averaging: float = 0.98
    warm_steps: int = 200

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES or self.loss not in REAL_LOSSES:
            raise ParameterError(
                f"expected architecture to be one of {', '.join(ARCHITECTURES)} and loss one of "
                f"{', '.join(REAL_LOSSES)}, got {self.architecture!r}, {self.loss!r}"
            )
        if self.loss == "wasserstein" and self.min_fake_accuracy is not None:
            raise ParameterError(
                "min_fake_accuracy needs the hinge or bce loss: Wasserstein scores have no zero"
            )
        counts = (self.latent_dim, self.generator_width, self.discriminator_width, self.fake_batch_size)
        if min(counts) < 1 or min(self.generator_steps, self.warm_steps) < 0:
            raise ParameterError(
                "expected latent_dim, generator_width, discriminator_width and fake_batch_size >= 1, "
                f"generator_steps and warm_steps >= 0, got {self}"
            )
        if not (0 <= self.averaging < 1 and self.generator_rate > 0 and self.discriminator_rate > 0):
            raise ParameterError(f"expected 0 <= averaging < 1 and rates > 0, got {self}")


class GeneratedImages:
    """A trained generator with what it begins with: what sampling needs.

    Attributes:
        network: The generator.
        start: Prototypes whose draws it begins with; None begins with noise alone.
    """

    def __init__(self, network: GeneratorNetwork, start: ImageMixture | None, n_cells: int, latent_dim: int):
        self.network, self.start = network, start
        self.n_cells, self.latent_dim = n_cells, latent_dim

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
        return cls(network, start, n_cells, options.latent_dim)

    def shades(self, cells: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        """Draw an image for each cell, ``(n, n_values)`` from 0 to 1, that gradients pass through."""
        device = next(self.network.parameters()).device
        latent = torch.from_numpy(rng.standard_normal((len(cells), self.latent_dim), dtype=np.float32))
        begun = None if self.start is None else self.start.shades(cells, rng).clamp(0.0, 1.0).to(device)
        one_hot = one_hot_cells(torch.from_numpy(cells), self.n_cells)
        out: torch.Tensor = self.network(latent.to(device), one_hot.to(device), begun)
        return out

    @torch.no_grad()
    def draw(self, cells: NDArray[np.int64], rng: np.random.Generator) -> PixelArray:
        """Draw an image for each cell, ``(n, height, width, channels)``."""
        return draw_images(self.shades, cells, rng, self.network.shape, floats_per_value=8)

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


class ImageGan:
    """Generator, discriminator and their optimizers: exactly what a checkpoint needs.

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
        self.rng = torch.Generator().manual_seed(seed)
        generated.network.to(device)
        with torch.random.fork_rng(devices=[]):
            self.discriminator = DiscriminatorNetwork(
                generated.network.shape,
                generated.n_cells,
                architecture=options.architecture,
                width=options.discriminator_width,
                norm=options.norm,
                rng=self.rng,
            ).to(device)
        self.generator_optimizer = torch.optim.Adam(
            generated.network.parameters(), lr=options.generator_rate, betas=(0.5, 0.99)
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=options.discriminator_rate, betas=(0.5, 0.99)
        )
        self._average = running_average(generated.network, options.averaging)
        self.fake_accuracy = 1.0

    # -- losses, one per row -----------------------------------------------------------------------------

    def real_loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss for each score of a real image."""
        return REAL_LOSSES[self.options.loss](scores)

    def fake_loss(self, discriminator: Any, rows: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss for each generated row, ``(n,)``."""
        return FAKE_LOSSES[self.options.loss](discriminator(rows))

    # -- steps -------------------------------------------------------------------------------------------

    def fakes(self) -> torch.Tensor:
        """Draw a batch of rows: shades, which gradients pass through, and one-hot cells."""
        rng = self._next_rng()
        cells = rng.choice(len(self._shares), self.options.fake_batch_size, p=self._shares)
        return torch.cat([self.generated.shades(cells, rng), self._one_hot(cells)], dim=1)

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
            shades = start.shades(cells, rng).clamp(0.0, 1.0).to(self.device)
            right, other = (
                self.discriminator(torch.cat([shades, self._one_hot(c)], dim=1)) for c in (cells, wrong)
            )
            loss = self.real_loss(right).mean() + FAKE_LOSSES[self.options.loss](other).mean()
            self.discriminator_optimizer.zero_grad()
            loss.backward()
            self.discriminator_optimizer.step()

    def generator_step(self, fakes: torch.Tensor) -> float:
        """Move the generator towards higher scores, and the average after it; return their mean score.

        Args:
            fakes: Rows for the first of ``generator_steps``; further ones draw their own.
        """
        self.discriminator.requires_grad_(False)
        score = 0.0
        for i in range(self.options.generator_steps):
            scores = self.discriminator(fakes if i == 0 else self.fakes())
            score = float(scores.detach().mean())
            if i == 0 and not self._is_ready(scores.detach()):
                break
            loss = REAL_LOSSES["bce" if self.options.loss == "bce" else "wasserstein"](scores).mean()
            self.generator_optimizer.zero_grad()
            loss.backward()
            self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        self._average.update_parameters(self.generated.network)
        return score

    def _is_ready(self, scores: torch.Tensor) -> bool:
        if self.options.min_fake_accuracy is None:
            return True
        accuracy = float((scores < 0).float().mean())
        self.fake_accuracy = 0.9 * self.fake_accuracy + 0.1 * accuracy
        return self.fake_accuracy >= self.options.min_fake_accuracy

    def averaged(self) -> GeneratedImages:
        """Return the averaged generator, apart from the one that goes on learning."""
        of = self.generated
        network = averaged_network(self._average)
        return GeneratedImages(network, of.start, of.n_cells, of.latent_dim)

    def _one_hot(self, cells: NDArray[np.int64]) -> torch.Tensor:
        return one_hot_cells(torch.from_numpy(cells), self.generated.n_cells).to(self.device)

    def _next_rng(self) -> np.random.Generator:
        return np.random.default_rng(int(torch.randint(2**62, (1,), generator=self.rng)))

    # -- checkpoints -------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Array]:
        """Return all state as arrays by name: weights, optimizers, average, draws, counters."""
        arrays: dict[str, Array] = {
            "rng": self.rng.get_state().numpy(),
            "fake_accuracy": np.array([self.fake_accuracy]),
        }
        for name, network in self._networks.items():
            arrays |= module_arrays(name, network)
        for name, optimizer in self._optimizers.items():
            arrays |= optimizer_arrays(name, optimizer)
        return arrays

    def from_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Take up the state that `to_arrays` returned."""
        self.rng.set_state(torch.from_numpy(np.array(arrays["rng"])))
        self.fake_accuracy = float(arrays["fake_accuracy"][0])
        for name, network in self._networks.items():
            restore_module(name, network, arrays)
        for name, optimizer in self._optimizers.items():
            restore_optimizer(name, optimizer, arrays)

    @property
    def _networks(self) -> dict[str, torch.nn.Module]:
        return {
            "generator": self.generated.network,
            "average": self._average,
            "discriminator": self.discriminator,
        }

    @property
    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "generator-optimizer": self.generator_optimizer,
            "discriminator-optimizer": self.discriminator_optimizer,
        }
