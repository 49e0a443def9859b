"""A block of private gradient steps, planned: its batches and its event come from the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from privsynth.accounting.events import SampledGaussian
from privsynth.accounting.sampled_gaussian import check_steps, noise_for_steps
from privsynth.errors import ParameterError

LARGEST_NOISE = 2.0**23  # beyond it, noise in steps of the sums of gradients is no 64-bit integer any more


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """Public parameters of a block of noisy steps; batches and accounting both come from here.

    Attributes:
        n_steps: Private gradient steps, what costs budget.
        sample_rate: Probability that a unit enters a step's batch, in (0, 1].
        noise_multiplier: Noise standard deviation over ``max_grad_norm``, > 0.
        max_grad_norm: L2 bound on one record's gradient, > 0.
        expected_batch_size: Fixed public divisor of the clipped sum, in records.
        slack: Delta booked for the block.
    """

    n_steps: int
    sample_rate: float
    noise_multiplier: float
    max_grad_norm: float
    expected_batch_size: float
    slack: float

    def __post_init__(self) -> None:
        check_steps(
            noise_multiplier=self.noise_multiplier, sample_rate=self.sample_rate, n_steps=self.n_steps
        )
        if self.noise_multiplier > LARGEST_NOISE:
            raise ParameterError(
                f"expected a noise_multiplier up to {LARGEST_NOISE:g}, got {self.noise_multiplier!r}: "
                "nothing would be learnt; take fewer steps, or more epsilon"
            )
        if not (0 < self.max_grad_norm < math.inf and 0 < self.expected_batch_size < math.inf):
            raise ParameterError(
                f"expected max_grad_norm > 0 and expected_batch_size > 0, got {self.max_grad_norm!r}, "
                f"{self.expected_batch_size!r}"
            )

    @classmethod
    def within(
        cls,
        mu_squared: float,
        slack: float,
        *,
        n_steps: int,
        batch_size: float,
        n_units: float,
        max_grad_norm: float,
    ) -> StepPlan:
        """Return the plan with the least noise within a budget.

        Args:
            mu_squared: What the block may cost.
            slack: Delta that it may cost beside that.
            n_steps: Number of steps.
            batch_size: Batch size aimed at, in records; infinite takes all of them in every step.
            n_units: Noisy, or public, number of units; turns ``batch_size`` into a ``sample_rate``.
            max_grad_norm: Clipping bound.
        """
        if not (batch_size > 0 and -math.inf < n_units < math.inf):
            raise ParameterError(
                f"expected batch_size > 0 and a finite n_units, got {batch_size!r}, {n_units!r}"
            )
        sample_rate = min(1.0, batch_size / max(n_units, 1.0))
        noise = noise_for_steps(mu_squared, sample_rate=sample_rate, n_steps=n_steps, slack=slack)
        return cls(
            n_steps=n_steps,
            sample_rate=sample_rate,
            noise_multiplier=noise,
            max_grad_norm=max_grad_norm,
            expected_batch_size=min(batch_size, max(n_units, 1.0)),
            slack=slack,
        )

    def event(self, purpose: str) -> SampledGaussian:
        """Return what the ledger books for the whole block, before its first step."""
        return SampledGaussian(
            purpose=purpose,
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            count=self.n_steps,
            delta=self.slack,
        )
