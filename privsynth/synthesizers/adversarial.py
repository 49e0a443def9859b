"""What adversarial trainers share: the private step of a discriminator, and its generator's after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from privsynth.models.images.gan import ImageGan
from privsynth.models.mixing import check_records_do_not_mix
from privsynth.models.tables.gan import Gan
from privsynth.privacy.mechanisms.clipping import RecordClipper, RecordLoss
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps, SecretNoiseOptimizer


class AdversarialTrainer(ABC):
    """One adversarial training: private steps of a discriminator, and everything public around them.

    Args:
        gan: Both networks and all that is public about training them; takes no real record.
        real_loss: The discriminator's loss for each real record.
        max_grad_norm: L2 bound on the gradient of one record.
        by_record: As for `RecordClipper`.
    """

    learns = True
    shown = "loss on fakes"

    def __init__(
        self, gan: Gan | ImageGan, real_loss: RecordLoss, *, max_grad_norm: float, by_record: bool = False
    ) -> None:
        self.gan = gan
        self._real = RecordClipper(
            gan.discriminator, real_loss, max_grad_norm=max_grad_norm, by_record=by_record
        )
        self._fake = RecordClipper(gan.discriminator, gan.fake_loss, max_grad_norm=max_grad_norm)
        self._optimizer: SecretNoiseOptimizer | None = None

    @abstractmethod
    def _random_records(self) -> torch.Tensor:
        """Return a few random records, none of them real."""

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step: check on random records that records do not mix."""
        check_records_do_not_mix(self._real, self._random_records())
        self._optimizer = steps.optimizer(self.gan.discriminator_optimizer)

    def step(self, steps: GradientSteps) -> float:
        """Take one private step of the discriminator, then the generator's; return the loss on fakes."""
        assert self._optimizer is not None
        steps.noisy_gradient(self._real, self._optimizer)
        # Fakes are clipped like records, so that a small bound does not let them drown the real ones.
        fakes = self.gan.fakes()
        for p, total in zip(self._fake.parameters, self._fake.clipped_sum(fakes.detach()), strict=True):
            assert p.grad is not None
            p.grad += total / len(fakes)
        self._optimizer.original_optimizer.step()
        return -self.gan.generator_step(fakes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        return self.gan.to_arrays()

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        self.gan.from_arrays(arrays)
