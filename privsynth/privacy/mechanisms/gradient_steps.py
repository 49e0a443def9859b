"""Private gradient steps: batch, clipping, noise, and what they cost, from one object.

A step draws a Poisson batch of units, sums the clipped per-record gradients of the discriminator's loss in
whole steps of a public grid, adds Gaussian noise rounded to that grid (`noise`) and divides by a public batch
size. What comes out, the noisy gradient, is a release; what a trainer does with it, generators and optimizers
included, is post-processing. Of Opacus' `DPOptimizer` the product runs `scale_grad` (`noise_optimizer`); its
clipped sums and its accountants are what the tests compare ours with.

Proved in Lemmas 9 and 10 of ``PROOF.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from privsynth.accounting.events import SampledGaussian
from privsynth.accounting.step_plan import StepPlan
from privsynth.domains.coding import Coding
from privsynth.errors import BudgetExceededError, ParameterError, ReplayError
from privsynth.privacy.distributed import Ranks, summed_by
from privsynth.privacy.mechanisms.base import Answer, DrawingMechanism
from privsynth.privacy.mechanisms.clipping import STEADY, RecordClipper
from privsynth.privacy.randomness import SecureRandom
from privsynth.privacy.records import CodedRows, SensitiveRecords

if TYPE_CHECKING:
    from privsynth.privacy.mechanisms.noise_optimizer import SecretNoiseOptimizer


@dataclass(frozen=True, kw_only=True)
class StepBlock(DrawingMechanism):
    """A block of private gradient steps over the encoded records, charged whole, before the first.

    The release itself is empty: what is released are the noisy gradients (`GradientSteps`).

    Attributes:
        purpose: What they are for.
        codings: Coding of every column; a record is what `SensitiveRecords.rows` says.
        plan: Public parameters.
    """

    purpose: str
    codings: Mapping[str, Coding]
    plan: StepPlan

    @property
    def event(self) -> SampledGaussian:
        """See `Mechanism`."""
        return self.plan.event(self.purpose)

    def draw(self, records: SensitiveRecords, secret: SecureRandom) -> Answer:
        """Return nothing: records are read step by step."""
        return {}, {}


def part_size(plan: StepPlan) -> int:
    """Return how many records go through the network together, public: most batches are one such part."""
    most = plan.expected_batch_size + 4.0 * math.sqrt(plan.expected_batch_size)
    return STEADY * math.ceil(most / STEADY)


class GradientSteps:
    """A paid block of noisy steps on the records of one curator.

    Args:
        plan: Public parameters.
        records: Real rows, coded, and which unit each is of; None replays ``tape``.
        secret: Source of batches and noise.
        advance: Writes the number of steps begun durably, before a step draws; what it wrote is spent.
        keep: Is told how many steps a checkpoint holds.
        n_begun: Steps begun by earlier, interrupted attempts.
        tape: If given, noisy gradients are added to it, or, without records, replayed from it.
        ranks: The processes that a batch is divided among; without records this one helps the first.

    Privacy:
        Accounted: the block's event was charged before this object was made.
    """

    def __init__(
        self,
        plan: StepPlan,
        *,
        records: CodedRows | None,
        secret: SecureRandom,
        advance: Callable[[int], None],
        keep: Callable[[int], None] = lambda n_steps: None,
        n_begun: int = 0,
        tape: list[list[torch.Tensor]] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.plan = plan
        self.n_begun = n_begun
        self._records = records
        self._secret = secret
        self._advance, self.keep = advance, keep
        self._tape, self._ranks = tape, ranks

    def optimizer(self, base: torch.optim.Optimizer) -> SecretNoiseOptimizer:
        """Wrap the discriminator's optimizer."""
        from privsynth.privacy.mechanisms.noise_optimizer import SecretNoiseOptimizer  # Opacus takes seconds

        return SecretNoiseOptimizer(base, self.plan)

    def noisy_gradient(self, clipper: RecordClipper, optimizer: SecretNoiseOptimizer) -> None:
        """Take one step: set ``p.grad`` of the discriminator to the noisy mean gradient of real records.

        The caller adds what is public (the gradient of fakes) and lets the base optimizer step.

        Raises:
            BudgetExceededError: If the block's steps are used up.

        Privacy:
            Accounted: one of the block's steps.
        """
        if self.n_begun >= self.plan.n_steps:
            raise BudgetExceededError(
                f"all {self.plan.n_steps} private steps of this block are spent; stopped before another"
            )
        if clipper.max_grad_norm != self.plan.max_grad_norm:
            raise ParameterError("expected a clipper with the max_grad_norm of the plan")
        if optimizer.plan != self.plan:
            raise ParameterError("expected an optimizer made by this block: another has another noise")
        parameters = clipper.parameters
        if {id(p) for p in optimizer.params} != {id(p) for p in parameters}:
            raise ParameterError("expected an optimizer and a clipper of the same parameters")
        step, summed = self.n_begun, partial(clipper.clipped_steps, at_once=part_size(self.plan))
        if self._records is None:
            if self._ranks is not None:
                gradients = self._ranks.helped(summed)
            elif self._tape is not None and step < len(self._tape):
                gradients = [gradient.clone() for gradient in self._tape[step]]
            else:
                raise ReplayError(
                    "this private step is not on the tape, and there are no records to take it from"
                )
            self.n_begun += 1
            for p, gradient in zip(parameters, gradients, strict=True):
                p.grad = gradient
            return
        self._advance(step + 1)
        self.n_begun = step + 1
        secret = self._secret.for_step(step)
        held, rate = self._records, self.plan.sample_rate
        batch = held.take(held.weighting.poisson_sample(rate, n_rows=len(held), secret=secret))
        batch = batch.to(parameters[0].device)
        sums = summed_by(self._ranks, summed, batch)
        try:
            for p, total in zip(parameters, sums, strict=True):
                # Opacus keeps both as attributes of the parameter; no sample is left, all are clipped.
                vars(p).update(summed_grad=total, grad_sample=None)
            optimizer.secret = secret
            optimizer.add_noise()
            optimizer.scale_grad()
        finally:
            optimizer.secret = None
            for p in parameters:  # parameters carry their attributes into copies and pickles
                vars(p).update(summed_grad=None)
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self._tape is not None:
            self._tape.append([gradient.clone() for gradient in gradients])
        if self._ranks is not None:
            self._ranks.share_gradient(gradients)
