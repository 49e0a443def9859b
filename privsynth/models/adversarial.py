"""The adversarial game, on rows and on images: losses, the generator's step, its average, checkpoints.

Nothing here takes a real record: the noisy gradient of real records arrives in the discriminator's ``p.grad``
from outside, so everything in this module is post-processing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from privsynth.errors import ParameterError
from privsynth.models.state import (
    averaged_network,
    module_arrays,
    optimizer_arrays,
    restore_module,
    restore_optimizer,
    running_average,
)

Array = NDArray[Any]
Loss = Callable[[torch.Tensor], torch.Tensor]

REAL_LOSSES: dict[str, Loss] = {
    "hinge": lambda score: F.relu(1.0 - score),
    "bce": lambda score: F.softplus(-score),
    "wasserstein": lambda score: -score,
}
FAKE_LOSSES: dict[str, Loss] = {
    "hinge": lambda score: F.relu(1.0 + score),
    "bce": F.softplus,
    "wasserstein": lambda score: score,
}
# Unwritten at their defaults, so that a fit from before they were options has the fingerprint that it had.
ADDED = ("non_saturating", "judged_every_step", "accuracy_weight", "least_refined")


@dataclass(frozen=True, kw_only=True)
class GameOptions:
    """How generator and discriminator are trained against each other; public.

    Attributes:
        loss: Of the discriminator, ``"wasserstein"``, ``"hinge"`` or ``"bce"``.
        non_saturating: Whether under ``"bce"`` the generator lowers ``softplus(-score)``, the non-saturating
            loss; otherwise, and under the other losses, it raises the mean score.
        discriminator_rate: Adam's step of the discriminator.
        generator_rate: Adam's step of the generator.
        generator_steps: Generator steps after each private step.
        fake_batch_size: Fakes in each step.
        min_fake_accuracy: The generator waits while the discriminator tells fewer than this share of fakes
            from real ones (a score below 0); judged on fakes only, so it costs nothing. None never waits;
            means nothing for ``"wasserstein"``.
        judged_every_step: Whether the discriminator is judged before each generator step, or only before the
            first that follows a private step.
        accuracy_weight: Of the present fakes in the running average of that share.
        averaging: Decay of the running average of the generator's weights that is kept as the model.
    """

    loss: str
    non_saturating: bool
    discriminator_rate: float
    generator_rate: float
    generator_steps: int = 1
    fake_batch_size: int
    min_fake_accuracy: float | None
    judged_every_step: bool
    accuracy_weight: float
    averaging: float

    def __post_init__(self) -> None:
        if self.loss not in REAL_LOSSES:
            raise ParameterError(f"expected loss to be one of {', '.join(REAL_LOSSES)}, got {self.loss!r}")
        if self.loss == "wasserstein" and self.min_fake_accuracy is not None:
            raise ParameterError(
                "min_fake_accuracy needs the hinge or bce loss: Wasserstein scores have no zero"
            )
        if self.fake_batch_size < 1 or self.generator_steps < 0:
            raise ParameterError(f"expected fake_batch_size >= 1 and generator_steps >= 0, got {self}")
        if not (0 <= self.averaging < 1 and 0 < self.accuracy_weight <= 1):
            raise ParameterError(f"expected 0 <= averaging < 1 and 0 < accuracy_weight <= 1, got {self}")
        if not (self.generator_rate > 0 and self.discriminator_rate > 0):
            raise ParameterError(f"expected rates > 0, got {self}")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-able fields."""
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in ADDED or value != defaults[name]
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in written.items()}
        return cls(**known)


class AdversarialGame(ABC):
    """Generator and its average, discriminator, their optimizers: exactly what a checkpoint needs.

    Args:
        generator: The generator at its start, on the device that computes.
        discriminator: Likewise.
        discriminator_optimizer: Of the discriminator's parameters.
        options: How to train.
        rng: Of all draws, on the CPU.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        discriminator_optimizer: torch.optim.Optimizer,
        options: GameOptions,
        rng: torch.Generator,
    ) -> None:
        self.discriminator, self.discriminator_optimizer = discriminator, discriminator_optimizer
        self.rng, self._options, self._generator = rng, options, generator
        self.generator_optimizer = torch.optim.Adam(
            generator.parameters(), lr=options.generator_rate, betas=(0.5, 0.99)
        )
        self._average = running_average(generator, options.averaging)
        self.fake_accuracy = 1.0

    @abstractmethod
    def fakes(self) -> torch.Tensor:
        """Draw a batch of generated rows, as the discriminator takes them, that gradients pass through."""

    fake_weight = 1.0  # of the gradient of fakes, beside that of records

    # -- losses, one per row -----------------------------------------------------------------------------

    def real_loss(self, discriminator: Any, rows: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss for each row that is to pass for real, ``(n,)``."""
        return REAL_LOSSES[self._options.loss](discriminator(rows))

    def fake_loss(self, discriminator: Any, rows: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss for each generated row, ``(n,)``."""
        return FAKE_LOSSES[self._options.loss](discriminator(rows))

    def generator_loss(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what the generator lowers, given the scores of its rows."""
        bce = self._options.loss == "bce" and self._options.non_saturating
        return REAL_LOSSES["bce" if bce else "wasserstein"](scores).mean()

    # -- steps -------------------------------------------------------------------------------------------

    def generator_step(self, fakes: torch.Tensor) -> float:
        """Move the generator, and its average after it; return the mean score of its rows.

        Args:
            fakes: Rows for the first of ``generator_steps``; further ones draw their own.

        With ``min_fake_accuracy`` it first judges whether the discriminator is worth following.
        """
        options = self._options
        self.discriminator.requires_grad_(False)
        score = 0.0
        for number in range(options.generator_steps):
            scores = self.discriminator(fakes if number == 0 else self.fakes())
            score = float(scores.detach().mean())
            is_judged = number == 0 or options.judged_every_step
            if is_judged and not self._is_worth_following(scores.detach()):
                break
            loss = self.generator_loss(scores)
            self.generator_optimizer.zero_grad()
            loss.backward()
            self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        self._average.update_parameters(self._generator)
        return score

    def _is_worth_following(self, scores: torch.Tensor) -> bool:
        if self._options.min_fake_accuracy is None:
            return True
        weight = self._options.accuracy_weight
        accuracy = float((scores < 0).float().mean())
        self.fake_accuracy = (1.0 - weight) * self.fake_accuracy + weight * accuracy
        return self.fake_accuracy >= self._options.min_fake_accuracy

    def averaged_generator(self) -> Any:
        """Return a copy of the averaged generator on the CPU, apart from the one that goes on learning."""
        return averaged_network(self._average)

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
    def _networks(self) -> dict[str, nn.Module]:
        return {
            "generator": self._generator,
            "average": self._average,
            "discriminator": self.discriminator,
        }

    @property
    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "generator-optimizer": self.generator_optimizer,
            "discriminator-optimizer": self.discriminator_optimizer,
        }
