"""`ImageDiffusionSynthesizer`: a denoiser of images that learns by private steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.step_plan import StepPlan
from privsynth.models.images.diffusion import DiffusionImages, DiffusionOptions, NoiseDraws
from privsynth.models.images.mixture import ImageMixture
from privsynth.models.images.tensors import one_hot_cells
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.sampling.image_model import ImageModel
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.synthesizers.images.measurements import Cells
from privsynth.synthesizers.images.private_steps import (
    ImageStepSettings,
    ImageStepSynthesizer,
    cell_shares,
    random_records,
)
from privsynth.synthesizers.step_trainers import AveragedTrainer
from privsynth.synthesizers.training import independent_seeds

SECONDS_PER_WEIGHT = 5e-9  # of a step, for each image, draw, pixel and channel, on two cores


@dataclass(frozen=True, kw_only=True)
class ImageDiffusionSettings(ImageStepSettings):
    """Public settings of the recipe; draws of the prototypes teach the denoiser before it sees a record.

    Attributes:
        diffusion: How the denoiser is made, trained and drawn from.
    """

    n_steps: int = 200
    batch_size: int = 1024
    prototypes_share: float = 0.2
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return super().from_dict({**fields, "diffusion": DiffusionOptions(**fields["diffusion"])})


class ImageDiffusionSynthesizer(ImageStepSynthesizer):
    """Learn to take noise away from images, by private steps, and draw images out of noise.

    It begins with draws of prototypes released under a part of the budget. The private steps cost computing
    time: on a CPU keep to small images, networks and batches; made for machines with a GPU.

    Args and attributes are those of `Synthesizer`.

    References:
        Dockhorn, Cao, Vahdat and Kreis, "Differentially Private Diffusion Models", TMLR 2023 (many draws of
        noise for each image, averaged before clipping). Li et al., "DP-FETA", S&P 2025 (central images
        first). Karras et al., NeurIPS 2022.
    """

    name = "image-diffusion"
    settings_type = ImageDiffusionSettings
    purpose = "private steps of the denoiser"
    memory_mb = 800.0

    @classmethod
    def _seconds_of(cls, settings: ImageDiffusionSettings, plan: StepPlan, shape: ImageShape) -> float:
        options = settings.diffusion
        passes = settings.n_steps * plan.expected_batch_size * options.draws
        if settings.prototypes_share:
            passes += options.warm_steps * options.warm_batch_size * options.draws
        return SECONDS_PER_WEIGHT * passes * shape.n_values * options.width

    @staticmethod
    def _trainer(
        table: TableModel,
        cells: Cells,
        settings: ImageDiffusionSettings,
        start: ImageMixture | None,
        *,
        seed: int,
        device: str,
    ) -> ImageDiffusionTrainer:
        return ImageDiffusionTrainer(table, cells, settings, start, seed=seed, device=device)

    @staticmethod
    def _generator_from(
        schema: Schema, settings: ImageDiffusionSettings, arrays: dict[str, NDArray[Any]]
    ) -> DiffusionImages:
        assert schema.image is not None
        return DiffusionImages.from_arrays(schema.image, settings.diffusion, arrays)


class ImageDiffusionTrainer(AveragedTrainer):
    """One training of a denoiser: private steps, and the average of its weights."""

    shown = "length of the noisy gradient"

    def __init__(
        self,
        table: TableModel,
        cells: Cells,
        settings: ImageDiffusionSettings,
        start: ImageMixture | None,
        *,
        seed: int,
        device: str,
    ) -> None:
        self._table, self._cells, self._settings, self._start = table, cells, settings, start
        self._device = device
        weights, draws = independent_seeds(seed, 2)
        rng = torch.Generator().manual_seed(weights)
        self.drawn = DiffusionImages.untrained(cells.shape, cells.n, settings.diffusion, rng)
        self.drawn.network.to(device)
        self._rng = torch.Generator().manual_seed(draws)
        self._noise = self._next_noise()
        options = settings.diffusion
        adam = torch.optim.Adam(self.drawn.network.parameters(), lr=options.learning_rate, betas=(0.9, 0.99))
        super().__init__(self.drawn.network, adam, averaging=options.averaging, by_record=True)

    def _record_loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        """Return each record's loss under the draws of this step, ``(n,)``."""
        cells, pixels = self._cells.split(records)
        return self._noise.loss(network, pixels, one_hot_cells(cells, self._cells.n))

    def _random_records(self) -> torch.Tensor:
        return random_records(self._cells, self._device)

    def _next_noise(self) -> NoiseDraws:
        return NoiseDraws.of(
            self._settings.diffusion.draws, self._cells.shape.n_values, self._rng, self._device
        )

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step, and learn what prototypes can teach."""
        super().prepare(steps)
        if self._start is not None:
            self._warm_up(self._start)

    def _warm_up(self, start: ImageMixture) -> None:
        """Learn from draws of the prototypes, which cost nothing any more."""
        options, shares = self._settings.diffusion, cell_shares(self._table, self._cells)
        for _ in range(options.warm_steps):
            rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=self._rng)))
            cells = rng.choice(len(shares), options.warm_batch_size, p=shares)
            pixels = start.pixels(cells, rng).clamp(0.0, 1.0).to(self._device)
            one_hot = one_hot_cells(torch.from_numpy(cells), self._cells.n).to(self._device)
            loss = self._next_noise().loss(self.network, pixels, one_hot).mean()
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()
        self.begin_average()

    def _before_step(self, steps: GradientSteps) -> None:
        self._noise = self._next_noise()

    def _shown(self) -> float:
        """Return the length of the noisy gradient, there being no fakes to judge."""
        gradients = [p.grad.flatten() for p in self.network.parameters() if p.grad is not None]
        return float(torch.cat(gradients).norm())

    def averaged(self) -> DiffusionImages:
        """Return the averaged denoiser, apart from the one that goes on learning."""
        return DiffusionImages(self.averaged_network(), self.drawn.n_cells, self.drawn.n_levels)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        return {"rng": self._rng.get_state().numpy()} | super().to_arrays()

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        self._rng.set_state(torch.from_numpy(np.array(arrays["rng"])))
        super().from_arrays(arrays)

    def model(self) -> ImageModel:
        """Return the model of the averaged denoiser."""
        return ImageModel(self._table, self.averaged())
