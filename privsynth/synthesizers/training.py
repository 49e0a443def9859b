"""The loop of a private training: steps, progress, checkpoints, interruption, resumption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from privsynth.privacy.accounting import Event, gdp_epsilon
from privsynth.privacy.budget import Spend
from privsynth.privacy.curator import Curator
from privsynth.privacy.dpsgd import GradientSteps, StepPlan
from privsynth.sampling.table_model import TableModel
from privsynth.synthesizers.interruption import FitInterrupted, deferred_interruption

Progress = Callable[[str, int, int], None]

N_REPORTS = 20
CHECKPOINT_SECONDS = 30.0
SLACK_SHARE = 0.5  # of the delta that adds up; discovery has the rest


class StepSettings(Protocol):
    """Public settings of a block of private steps."""

    @property
    def n_steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_grad_norm(self) -> float: ...


class Trainer(Protocol):
    """What a training loop trains."""

    def step(self, steps: GradientSteps) -> float:
        """Take one private step and all public work that belongs to it; return the loss on fakes."""
        ...

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        ...

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        ...

    def model(self) -> TableModel:
        """Return the model as it stands."""
        ...


def train(
    curator: Curator,
    trainer: Trainer,
    steps: GradientSteps,
    *,
    key: str,
    mu_squared_before: float,
    delta: float,
    progress: Progress,
) -> TableModel:
    """Take the steps of a paid block that are left, and return the model.

    A training that was interrupted goes on from its last checkpoint. Steps begun behind that checkpoint are
    spent and not repeated: the block then has that many fewer.

    Args:
        curator: Whose store keeps the checkpoints.
        trainer: What is trained.
        steps: The paid block.
        key: Name of the checkpoint.
        mu_squared_before: Spent before the block, for the progress line.
        delta: At which the progress line states epsilon.
        progress: Called with a message, the steps done, and the steps planned.

    Raises:
        FitInterrupted: After Ctrl-C; the state is kept, and the error carries a usable model.

    Privacy:
        Accounted: by the block. Progress and checkpoints are functions of noisy gradients and settings.
    """
    saved = curator.store.checkpoint(key)
    if saved is not None:
        trainer.from_arrays(saved)
    plan, event = steps.plan, steps.plan.event("progress")
    every = max(1, plan.n_steps // N_REPORTS)
    started, begun_at = time.monotonic(), steps.n_begun
    kept = started
    with deferred_interruption() as interruption:
        while steps.n_begun < plan.n_steps:
            loss = trainer.step(steps)
            if steps.n_begun % every == 0 or steps.n_begun == plan.n_steps:
                pace = (time.monotonic() - started) / (steps.n_begun - begun_at)
                epsilon = _epsilon_so_far(event, steps.n_begun, mu_squared_before, delta)
                left = round(pace * (plan.n_steps - steps.n_begun))
                progress(
                    f"training: loss on fakes {loss:.3f}, epsilon so far {epsilon:.2f}, {left} s left",
                    steps.n_begun,
                    plan.n_steps,
                )
            if interruption.requested or time.monotonic() - kept > CHECKPOINT_SECONDS:
                curator.store.set_checkpoint(key, trainer.to_arrays())
                kept = time.monotonic()
            if interruption.requested:
                raise FitInterrupted(
                    trainer.model(), f"after {steps.n_begun} of {plan.n_steps} private steps"
                )
    return trainer.model()


def step_plan(settings: StepSettings, mu_squared: float, allowance: Spend, n_units: float) -> StepPlan:
    """Return the block with the least noise that ``mu_squared`` and a part of the delta pay for."""
    return StepPlan.within(
        mu_squared,
        SLACK_SHARE * allowance.added_delta,
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_units=n_units,
        max_grad_norm=settings.max_grad_norm,
    )


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
