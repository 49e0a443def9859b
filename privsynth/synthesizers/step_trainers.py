"""Trainers that learn by private steps: of one network that is the model, or of a discriminator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from privsynth.models.adversarial import AdversarialGame
from privsynth.models.mixing import check_records_do_not_mix
from privsynth.models.state import (
    averaged_network,
    module_arrays,
    optimizer_arrays,
    restore_module,
    restore_optimizer,
    running_average,
)
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps

if TYPE_CHECKING:
    from privsynth.privacy.mechanisms.noise_optimizer import SecretNoiseOptimizer


class StepTrainer(ABC):
    """One network that learns from records through noisy sums of clipped gradients.

    Args:
        network: What learns from records.
        adam: Its optimizer.
        by_record: As for `RecordClipper`.
    """

    def __init__(self, network: nn.Module, adam: torch.optim.Optimizer, *, by_record: bool = False) -> None:
        self.network = network
        self._adam = adam
        self._by_record = by_record
        self._clipper: RecordClipper | None = None
        self._optimizer: SecretNoiseOptimizer | None = None

    @property
    def learns(self) -> bool:
        """Whether there is anything to learn from records."""
        return any(p.requires_grad for p in self.network.parameters())

    @abstractmethod
    def _record_loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        """Return the loss of each real record, ``(n,)``, each from its record alone."""

    @abstractmethod
    def _random_records(self) -> torch.Tensor:
        """Return a few random records, none of them real."""

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step: check on random records that records do not mix."""
        self._clipper = RecordClipper(
            self.network, self._record_loss, max_grad_norm=steps.plan.max_grad_norm, by_record=self._by_record
        )
        check_records_do_not_mix(self._clipper, self._random_records())
        self._optimizer = steps.optimizer(self._adam)

    def _noisy_gradient(self, steps: GradientSteps) -> None:
        """Put the noisy mean of the clipped gradients into the network's ``p.grad``."""
        assert self._clipper is not None
        assert self._optimizer is not None
        steps.noisy_gradient(self._clipper, self._optimizer)


class AveragedTrainer(StepTrainer):
    """A network that is itself the model: the running average of its weights is kept.

    Args:
        network: What learns from records.
        adam: Its optimizer.
        averaging: Decay of the running average.
        by_record: As for `RecordClipper`.
    """

    names = ("network", "optimizer")  # in checkpoints

    def __init__(
        self, network: nn.Module, adam: torch.optim.Optimizer, *, averaging: float, by_record: bool = False
    ) -> None:
        super().__init__(network, adam, by_record=by_record)
        self._averaging = averaging
        self.begin_average()

    def begin_average(self) -> None:
        """Begin the running average anew."""
        self._average = running_average(self.network, self._averaging)

    @property
    def n_steps(self) -> int:
        """Private steps taken."""
        return int(self._average.n_averaged)

    def averaged_network(self) -> Any:
        """Return a copy of the averaged network on the CPU, apart from the one that goes on learning."""
        return averaged_network(self._average)

    @abstractmethod
    def _before_step(self, steps: GradientSteps) -> None:
        """Do what comes before each private step."""

    @abstractmethod
    def _shown(self) -> float:
        """Return what the progress line shows after a step."""

    def step(self, steps: GradientSteps) -> float:
        """Take one private step; return what is ``shown``."""
        self._before_step(steps)
        self._noisy_gradient(steps)
        self._adam.step()
        self._average.update_parameters(self.network)
        return self._shown()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        network, optimizer = self.names
        arrays = module_arrays(network, self.network) | module_arrays("average", self._average)
        return arrays | optimizer_arrays(optimizer, self._adam)

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        network, optimizer = self.names
        restore_module(network, self.network, arrays)
        restore_module("average", self._average, arrays)
        restore_optimizer(optimizer, self._adam, arrays)


class AdversarialTrainer(StepTrainer):
    """One adversarial training: private steps of a discriminator, and everything public around them.

    Args:
        game: Both networks and all that is public about training them; takes no real record.
        by_record: As for `RecordClipper`.
    """

    shown = "loss on fakes"

    def __init__(self, game: AdversarialGame, *, by_record: bool = False) -> None:
        super().__init__(game.discriminator, game.discriminator_optimizer, by_record=by_record)
        self.game = game
        self._fake_clipper: RecordClipper | None = None

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step: check on random records that records do not mix."""
        super().prepare(steps)
        self._fake_clipper = RecordClipper(
            self.network, self.game.fake_loss, max_grad_norm=steps.plan.max_grad_norm
        )

    def step(self, steps: GradientSteps) -> float:
        """Take one private step of the discriminator, then the generator's; return the loss on fakes."""
        assert self._fake_clipper is not None
        self._noisy_gradient(steps)
        # Fakes are clipped like records, so that a small bound does not let them drown the real ones.
        fakes = self.game.fakes()
        clipped = self._fake_clipper.clipped_sum(fakes.detach())
        for p, total in zip(self._fake_clipper.parameters, clipped, strict=True):
            assert p.grad is not None
            p.grad += self.game.fake_weight * total / len(fakes)
        self._adam.step()
        return -self.game.generator_step(fakes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        return self.game.to_arrays()

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        self.game.from_arrays(arrays)
