"""Opacus' optimizer, with clipped sums in whole steps and noise from a secret source.

Proved in Lemma 9 of ``PROOF.md``.
"""

from __future__ import annotations

import torch
from opacus.optimizers import DPOptimizer

from privsynth.accounting.step_plan import StepPlan
from privsynth.errors import ParameterError
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.privacy.randomness import SecureRandom


class SecretNoiseOptimizer(DPOptimizer):
    """Opacus' optimizer, with noise from a secret source.

    It is handed sums that are clipped already (``summed_grad``), in whole steps; `add_noise` and `scale_grad`
    turn them into the noisy mean gradient in ``p.grad``.
    """

    accumulated_iterations = 1  # one batch a step, whatever the micro-batches

    def __init__(self, optimizer: torch.optim.Optimizer, plan: StepPlan) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=plan.noise_multiplier,
            max_grad_norm=plan.max_grad_norm,
            expected_batch_size=plan.expected_batch_size,
        )
        self.plan = plan
        self.secret: SecureRandom | None = None

    def add_noise(self) -> None:
        """Set ``p.grad`` to the clipped sum plus noise of ``noise_multiplier * max_grad_norm``."""
        if self.secret is None:
            raise ParameterError("expected noise from GradientSteps.noisy_gradient, which pays for the step")
        sizes = [p.numel() for p in self.params]
        steps = torch.cat([p.summed_grad.flatten() for p in self.params]).cpu().numpy()
        noisy = add_gaussian_noise(
            steps, noise_multiplier=self.noise_multiplier, units_per_one=STEPS_PER_NORM, secret=self.secret
        )
        for p, part in zip(
            self.params, torch.from_numpy(noisy * self.max_grad_norm).split(sizes), strict=True
        ):
            p.grad = part.to(p).view_as(p)
