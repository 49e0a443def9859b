"""Image synthesizers that learn by private steps, beginning with prototypes under the same budget."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.accounting.step_plan import StepPlan
from privsynth.errors import ParameterError
from privsynth.models.images.mixture import ImageMixture
from privsynth.privacy.curator import Curator
from privsynth.sampling.image_model import ImageGenerator
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.images.base import ImageSettings, ImageSynthesizer, planned_table
from privsynth.synthesizers.images.measurements import Cells
from privsynth.synthesizers.images.prototypes import fit_prototypes
from privsynth.synthesizers.images.sample_grids import SampleGrids
from privsynth.synthesizers.training import (
    SLACK_SHARE,
    StepOptions,
    Trainer,
    planned_steps,
    random_rows,
    step_plan,
    take_steps,
)


@dataclass(frozen=True, kw_only=True)
class ImageStepSettings(ImageSettings, StepOptions):
    """Public settings of such a recipe; the private steps get what table and prototypes leave.

    Attributes:
        prototypes_share: Of what the table leaves of ``mu**2``, for the prototypes to begin with; 0 does
            without.
    """

    prototypes_share: float

    def __post_init__(self) -> None:
        ImageSettings.__post_init__(self)
        StepOptions.__post_init__(self)
        if not 0 <= self.prototypes_share < 1:
            raise ParameterError(f"expected 0 <= prototypes_share < 1, got {self.prototypes_share!r}")


class ImageTrainer(Trainer, Protocol):
    """What a training loop trains, where that is a generator of images."""

    def averaged(self) -> ImageGenerator:
        """Return the averaged generator, apart from the one that goes on learning."""
        ...


class ImageStepSynthesizer(ImageSynthesizer):
    """Release the table and prototypes, then private steps of a network with all that is left.

    Args and attributes are those of `Synthesizer`.
    """

    purpose: ClassVar[str]  # of the steps
    memory_mb: ClassVar[float]  # beside the images
    discovery_delta_share = 1.0 - SLACK_SHARE

    @classmethod
    def plan_for(cls, schema: Schema, settings: ImageStepSettings, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would release under this budget."""
        assert schema.image is not None
        steps = planned_table(schema, settings, allowance.mu_squared, n_rows)
        left = 1.0 - sum(step["share"] for step in steps)
        first = settings.prototypes_share * left
        seconds = 5.0
        if first:
            steps += settings.prototypes.planned(first, allowance.mu_squared)
            mu_squared = first * allowance.mu_squared
            seconds = settings.prototypes.seconds(n_rows, schema.image.n_values, mu_squared)
        plan = step_plan(settings, (left - first) * allowance.mu_squared, allowance, n_rows)
        steps.append(planned_steps(cls.purpose, left - first, plan))
        n_parameters = cls._n_parameters(schema, settings)
        if n_parameters:
            signal = plan.expected_batch_size / (plan.noise_multiplier * math.sqrt(n_parameters))
            steps[-1] |= {"n_parameters": n_parameters, "signal_to_noise_norm": signal}
        return FitPlan(
            steps=tuple(steps),
            memory_mb=cls.memory_mb + 2e-6 * n_rows * schema.image.n_values,
            seconds=seconds + cls._seconds_of(settings, plan, schema.image),
        )

    @classmethod
    def _n_parameters(cls, schema: Schema, settings: Any) -> int | None:
        """Return how many numbers a private step's gradient has, if that is known beforehand; public."""
        return None

    @classmethod
    @abstractmethod
    def _seconds_of(cls, settings: Any, plan: StepPlan, shape: ImageShape) -> float:
        """Return about how long the training takes on two cores; public."""

    @staticmethod
    @abstractmethod
    def _trainer(
        table: TableModel,
        cells: Cells,
        settings: Any,
        start: ImageMixture | None,
        *,
        seed: int,
        device: str,
    ) -> ImageTrainer:
        """Return what the steps train: a function of releases and public settings."""

    def _generator(
        self,
        curator: Curator,
        table: TableModel,
        cells: Cells,
        settings: Any,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> ImageGenerator:
        start = None
        if settings.prototypes_share:
            start = fit_prototypes(
                curator,
                cells,
                settings.prototypes,
                table.n_units,
                seed=seed,
                progress=progress,
                reserve=(1.0 - settings.prototypes_share) * curator.remaining("image/means"),
            )
        trainer = self._trainer(table, cells, settings, start, seed=seed, device=device)
        if isinstance(progress, SampleGrids):
            progress = progress.watching(trainer.averaged, cells.n)
        take_steps(
            curator,
            settings,
            self.purpose,
            trainer,
            domains=cells.domains,
            n_units=table.n_units,
            delta=self.delta,
            progress=progress,
        )
        return trainer.averaged()


def cell_shares(table: TableModel, cells: Cells) -> NDArray[np.float64]:
    """Return the share of each cell under a table model, ``(n_cells,)``."""
    shares = np.ones(1) if not cells.columns else table.table(cells.columns).ravel()
    return shares / shares.sum()


def random_records(cells: Cells, device: str) -> torch.Tensor:
    """Return a few random records, codes and pixels, for checks of a network; no real one among them."""
    sizes = [domain.size for domain in cells.domains.values()]
    sizes += [256] * cells.shape.n_values
    return random_rows(sizes, device=torch.device(device)).to(torch.int16)
