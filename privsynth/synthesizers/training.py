"""The loop of a private training: steps, progress, checkpoints, interruption, resumption."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.accounting.gdp import gdp_epsilon
from privsynth.accounting.step_plan import StepPlan
from privsynth.domains.encoding import Coded, codings_of
from privsynth.errors import ParameterError
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps, StepBlock
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.interruption import FitInterrupted, deferred_interruption

N_REPORTS = 20
CHECKPOINT_SECONDS = 30.0
BLOCK = "steps"
SLACK_SHARE = 0.5  # of the delta that adds up; discovery has the rest


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Public settings of a block of private steps.

    Attributes:
        n_steps: Private steps; 0 leaves the model untrained, for comparison.
        batch_size: Expected number of records in a step; a table that is smaller is taken whole. None takes
            every record in every step.
        max_grad_norm: L2 bound on one record's gradient.
    """

    n_steps: int = 100
    batch_size: int | None = 2048
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        is_batch = self.batch_size is None or self.batch_size >= 1
        if self.n_steps < 0 or not is_batch or not 1e-9 <= self.max_grad_norm <= 1e9:
            raise ParameterError(
                "expected n_steps >= 0, batch_size >= 1 (or None) and 1e-9 <= max_grad_norm <= 1e9, got "
                f"{self.n_steps!r}, {self.batch_size!r}, {self.max_grad_norm!r}"
            )


class Trainer(Protocol):
    """What a training loop trains."""

    @property
    def learns(self) -> bool:
        """Whether there is anything to learn from records."""
        ...

    @property
    def shown(self) -> str:
        """What the progress line shows of each step; a function of noisy gradients and generated records."""
        ...

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step of a paid block."""
        ...

    def step(self, steps: GradientSteps) -> float:
        """Take one private step and all public work that belongs to it; return what is ``shown``."""
        ...

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        ...

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        ...

    def model(self) -> Any:
        """Return the model as it stands."""
        ...


def take_steps(
    curator: Curator,
    settings: StepOptions,
    purpose: str,
    trainer: Trainer,
    *,
    domains: Mapping[str, Coded],
    n_units: float,
    delta: float,
    progress: Progress,
) -> None:
    """Take one block of private steps with all that is left, and train.

    Args:
        curator: Gives the steps.
        settings: How many, and how large.
        purpose: What they are for; public.
        trainer: What is trained.
        domains: What encodes each column.
        n_units: Noisy number of units.
        delta: At which the progress line states epsilon.
        progress: Called with a message, the steps done, and the steps planned.

    Raises:
        FitInterrupted: After Ctrl-C; it carries a usable model.

    Privacy:
        Accounted: the block of steps whole, before the first.
    """
    if not settings.n_steps or not trainer.learns:
        return
    left = curator.remaining(BLOCK)
    plan = step_plan(settings, left, curator.allowance, n_units)
    steps = curator.steps(BLOCK, StepBlock(purpose=purpose, codings=codings_of(domains), plan=plan))
    trainer.prepare(steps)
    before = curator.allowance.mu_squared - left
    train(curator, trainer, steps, mu_squared_before=before, delta=delta, progress=progress)


def train(
    curator: Curator,
    trainer: Trainer,
    steps: GradientSteps,
    *,
    mu_squared_before: float,
    delta: float,
    progress: Progress,
) -> None:
    """Take the steps of a paid block that are left.

    A training that was interrupted goes on from its last checkpoint. Steps begun behind that checkpoint are
    spent and not repeated: the block then has that many fewer. The end is a checkpoint too, so that what
    comes after it can fail and be repeated.

    Args:
        curator: Whose store keeps the checkpoints.
        trainer: What is trained.
        steps: The paid block.
        mu_squared_before: Spent before the block, for the progress line.
        delta: At which the progress line states epsilon.
        progress: Called with a message, the steps done, and the steps planned.

    Raises:
        FitInterrupted: After Ctrl-C; the state is kept, and the error carries a usable model.

    Privacy:
        Accounted: by the block. Progress and checkpoints are functions of noisy gradients and settings.
    """
    saved = curator.store.checkpoint(BLOCK)
    if saved is not None and steps.n_begun:  # a replay begins at the beginning
        trainer.from_arrays(saved)
    plan, event = steps.plan, steps.plan.event("progress")
    every = max(1, plan.n_steps // N_REPORTS)
    started, begun_at = time.monotonic(), steps.n_begun
    kept = started
    with deferred_interruption() as interruption:
        progress("training", begun_at, plan.n_steps)
        while steps.n_begun < plan.n_steps:
            value = trainer.step(steps)
            is_last = steps.n_begun == plan.n_steps
            if steps.n_begun % every == 0 or is_last:
                pace = (time.monotonic() - started) / (steps.n_begun - begun_at)
                epsilon = _epsilon_so_far(event, steps.n_begun, mu_squared_before, delta)
                left = round(pace * (plan.n_steps - steps.n_begun))
                progress(
                    f"training: {trainer.shown} {value:.3f}, epsilon so far {epsilon:.2f}, {left} s left",
                    steps.n_begun,
                    plan.n_steps,
                )
            if interruption.requested or is_last or time.monotonic() - kept > CHECKPOINT_SECONDS:
                curator.store.set_checkpoint(BLOCK, trainer.to_arrays(), n_steps=steps.n_begun)
                steps.keep(steps.n_begun)
                kept = time.monotonic()
            if interruption.requested and not is_last:
                raise FitInterrupted(
                    trainer.model(), f"after {steps.n_begun} of {plan.n_steps} private steps"
                )


def step_plan(settings: StepOptions, mu_squared: float, allowance: Spend, n_units: float) -> StepPlan:
    """Return the block with the least noise that ``mu_squared`` and a part of the delta pay for."""
    return StepPlan.within(
        mu_squared,
        SLACK_SHARE * allowance.added_delta,
        n_steps=settings.n_steps,
        batch_size=math.inf if settings.batch_size is None else settings.batch_size,
        n_units=n_units,
        max_grad_norm=settings.max_grad_norm,
    )


def random_rows(sizes: Sequence[int], *, device: torch.device) -> torch.Tensor:
    """Return a few random rows of codes, no real record among them, for checks of a network."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(size, size=4) for size in sizes], axis=1)
    return torch.from_numpy(codes).to(device)


def planned_steps(purpose: str, share: float, plan: StepPlan) -> dict[str, Any]:
    """Return a block of steps as `privsynth plan` tells it."""
    return {
        "purpose": purpose,
        "share": share,
        "count": plan.n_steps,
        "noise_multiplier": plan.noise_multiplier,
        "sample_rate": plan.sample_rate,
        "batch_size": plan.expected_batch_size,
        "signal_to_noise": plan.expected_batch_size / plan.noise_multiplier,
    }


def _epsilon_so_far(event: Event, n_begun: int, mu_squared_before: float, delta: float) -> float:
    """Return about what was spent up to here, each step its part of the block: progress, and no claim."""
    return gdp_epsilon(math.sqrt(mu_squared_before + event.mu_squared * n_begun / event.count), delta)


def independent_seeds(seed: int, n: int) -> list[int]:
    """Return independent seeds, so that weights, draws and the sampling of rows do not follow each other."""
    return [int(s.generate_state(1, np.uint64)[0] >> 1) for s in np.random.SeedSequence(seed).spawn(n)]
