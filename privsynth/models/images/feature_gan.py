"""The adversarial game with a critic of fixed public features. Takes no real record.

The critic is one linear layer that tells which cell a real image is of, or that it is generated: a few
thousand parameters, so that the noise of a step stays below what the step says. Draws of the prototypes teach
it first. The generator follows a running average of it, and waits until that knows something.

References:
    Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016 (a class of its own for fakes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from privsynth.models.adversarial import AdversarialGame
from privsynth.models.images.gan import GeneratedImages, ImageGanOptions
from privsynth.models.images.public_features import PublicFeatures
from privsynth.models.images.tensors import as_planes, one_hot_cells
from privsynth.models.state import module_arrays, restore_module, running_average

MOMENTUM = 0.9  # of the critic's steps: an adaptive step size would follow the noise
CRITIC_AVERAGING = 0.9  # of the critic that the generator follows
WARM_RATE, WARM_DRAWS = 40.0, 2000


class FeatureGan(AdversarialGame):
    """The game on images, seen through `PublicFeatures`: rows are pixels, then the one-hot cell.

    Args:
        generated: The generator, at its start.
        options: How to train.
        shares: Share of each cell among fakes; released.
        wait: Private steps before the first of the generator.
        device: Where torch computes; initial weights and all draws come from the CPU.
        seed: Of all draws.
    """

    fake_weight = 0.5

    def __init__(
        self,
        generated: GeneratedImages,
        options: ImageGanOptions,
        *,
        shares: NDArray[np.float64],
        wait: int,
        device: str,
        seed: int,
    ) -> None:
        self.options, self.generated, self.device = options, generated, device
        self._shares, self._wait = shares, wait
        self.features = PublicFeatures(generated.network.shape).to(device).requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            critic = nn.Linear(self.features.n_features, generated.n_cells + 1, bias=False)
        nn.init.zeros_(critic.weight)
        critic = critic.to(device)
        optimizer = torch.optim.SGD(critic.parameters(), lr=options.discriminator_rate, momentum=MOMENTUM)
        rng = torch.Generator().manual_seed(seed)
        super().__init__(generated.network.to(device), critic, optimizer, options, rng)
        self._followed = running_average(critic, CRITIC_AVERAGING)

    @property
    def fake_class(self) -> int:
        """The class of what is generated."""
        return self.generated.n_cells

    def fakes(self) -> torch.Tensor:
        """Draw a batch of rows: pixels, which gradients pass through, and one-hot cells."""
        rng = self._next_rng()
        cells = rng.choice(len(self._shares), self.options.fake_batch_size, p=self._shares)
        one_hot = one_hot_cells(torch.from_numpy(cells), self.generated.n_cells)
        return torch.cat([self.generated.pixels(cells, rng), one_hot.to(self.device)], dim=1)

    def planes(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return flat pixels from 0 to 1 as the features take them."""
        return as_planes(pixels, self.generated.network.shape)

    def fake_loss(self, discriminator: Any, rows: torch.Tensor) -> torch.Tensor:
        """Return the critic's loss for each generated row, ``(n,)``."""
        pixels = rows[:, : self.generated.network.shape.n_values]
        said = discriminator(self.features.of_each(self.planes(pixels)))
        return F.cross_entropy(said, torch.full_like(said[:, 0], self.fake_class).long(), reduction="none")

    def warm_up(self) -> None:
        """Teach the critic, before it sees a record, which draws of the start bear which label."""
        start = self.generated.start
        if start is not None and self.options.warm_steps:
            rng = self._next_rng()
            cells = rng.choice(len(self._shares), WARM_DRAWS, p=self._shares)
            pixels = start.pixels(cells, rng).clamp(0.0, 1.0).to(self.device)
            seen, known = self.features.of_each(self.planes(pixels)), torch.from_numpy(cells).to(self.device)
            steps = torch.optim.SGD(self.discriminator.parameters(), lr=WARM_RATE, momentum=MOMENTUM)
            for _ in range(self.options.warm_steps):
                loss = F.cross_entropy(self.discriminator(seen), known)
                steps.zero_grad()
                loss.backward()
                steps.step()
        self._followed = running_average(self.discriminator, CRITIC_AVERAGING)

    def generator_step(self, fakes: torch.Tensor) -> float:
        """Move the generator, and its average after it, towards what passes for real; return its mean score.

        Args:
            fakes: Rows for the first of ``generator_steps``; further ones draw their own.
        """
        self._followed.update_parameters(self.discriminator)
        n_values, loss = self.generated.network.shape.n_values, torch.zeros(())
        is_waiting = int(self._followed.n_averaged) <= self._wait
        for number in range(self.options.generator_steps):
            rows = fakes if number == 0 else self.fakes()
            said = self._followed(self.features(self.planes(rows[:, :n_values])))
            loss = F.cross_entropy(said, rows[:, n_values:].argmax(1))
            if is_waiting:
                break
            self.generator_optimizer.zero_grad()
            loss.backward()
            self.generator_optimizer.step()
            self._average.update_parameters(self._generator)
        return -float(loss.detach())

    def averaged(self) -> GeneratedImages:
        """Return the averaged generator, apart from the one that goes on learning."""
        return self.generated.with_network(self.averaged_generator())

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state as arrays by name."""
        return super().to_arrays() | module_arrays("followed", self._followed)

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up the state that `to_arrays` returned."""
        super().from_arrays(arrays)
        restore_module("followed", self._followed, arrays)

    def _next_rng(self) -> np.random.Generator:
        return np.random.default_rng(int(torch.randint(2**62, (1,), generator=self.rng)))
