"""`ImageDiffusionSynthesizer`: a denoiser of images that learns by private steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.errors import ParameterError
from privsynth.models.image_diffusion import DiffusionImages, DiffusionOptions, NoiseDraws
from privsynth.models.image_mixture import ImageMixture
from privsynth.models.image_tensors import one_hot_cells
from privsynth.models.state import (
    module_arrays,
    optimizer_arrays,
    restore_module,
    restore_optimizer,
    running_average,
)
from privsynth.privacy.budget import Spend
from privsynth.privacy.clipping import RecordClipper, check_records_do_not_mix
from privsynth.privacy.curator import Curator
from privsynth.privacy.dpsgd import GradientSteps, SecretNoiseOptimizer
from privsynth.sampling.image_model import ImageModel
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.base import Progress
from privsynth.synthesizers.contract import Sketch
from privsynth.synthesizers.image import (
    ImageSettings,
    ImageSynthesizer,
    cell_shares,
    planned_table,
    random_records,
)
from privsynth.synthesizers.image_reader import Cells
from privsynth.synthesizers.prototypes import PrototypeSettings, fit_prototypes
from privsynth.synthesizers.training import (
    SLACK_SHARE,
    StepOptions,
    independent_seeds,
    planned_steps,
    step_plan,
    take_steps,
)

PURPOSE = "private steps of the denoiser"
SECONDS_PER_WEIGHT = 5e-9  # of a step, for each image, draw, shade and channel, on two cores


@dataclass(frozen=True, kw_only=True)
class ImageDiffusionSettings(ImageSettings, StepOptions):
    """Public settings of the recipe; the private steps get what table and prototypes leave.

    Attributes:
        prototypes_share: Of what the table leaves of ``mu**2``, for prototypes whose draws the denoiser
            learns from before it sees a record; 0 does without.
        prototypes: How these are learnt.
        diffusion: How the denoiser is made, trained and drawn from.
    """

    n_steps: int = 200
    batch_size: int = 1024
    prototypes_share: float = 0.2
    prototypes: PrototypeSettings = field(default_factory=PrototypeSettings)
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)

    def __post_init__(self) -> None:
        ImageSettings.__post_init__(self)
        StepOptions.__post_init__(self)
        if not 0 <= self.prototypes_share < 1:
            raise ParameterError(f"expected 0 <= prototypes_share < 1, got {self.prototypes_share!r}")

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        prototypes = PrototypeSettings.from_dict(fields["prototypes"])
        diffusion = DiffusionOptions(**fields["diffusion"])
        return super().from_dict({**fields, "prototypes": prototypes, "diffusion": diffusion})


class ImageDiffusionSynthesizer(ImageSynthesizer):
    """Learn to take noise away from images, by private steps, and draw images out of noise.

    It begins with draws of prototypes bought with a part of the budget. The private steps cost computing
    time: on a CPU keep to small images, networks and batches; made for machines with a GPU.

    Args and attributes are those of `Synthesizer`.

    References:
        Dockhorn, Cao, Vahdat and Kreis, "Differentially Private Diffusion Models", TMLR 2023 (many draws of
        noise for each image, averaged before clipping). Li et al., "DP-FETA", S&P 2025 (central images
        first). Karras et al., NeurIPS 2022.
    """

    name = "image-diffusion"
    settings_type = ImageDiffusionSettings
    discovery_delta_share = 1.0 - SLACK_SHARE

    @classmethod
    def sketch(
        cls, schema: Schema, settings: ImageDiffusionSettings, allowance: Spend, n_rows: int
    ) -> Sketch:
        """Say what a fit of about ``n_rows`` units would buy with this budget."""
        assert schema.image is not None
        values, options = schema.image.n_values, settings.diffusion
        steps = planned_table(schema, settings, allowance.mu_squared, n_rows)
        left = 1.0 - sum(step["share"] for step in steps)
        first = settings.prototypes_share * left
        if first:
            steps += settings.prototypes.planned(first, allowance.mu_squared)
        plan = step_plan(settings, (left - first) * allowance.mu_squared, allowance, n_rows)
        steps.append(planned_steps(PURPOSE, left - first, plan))
        passes = settings.n_steps * plan.expected_batch_size * options.draws
        passes += options.warm_steps * options.warm_batch_size * bool(first)
        return Sketch(
            steps=tuple(steps),
            memory_mb=800.0 + 2e-6 * n_rows * values,
            seconds=20.0 + SECONDS_PER_WEIGHT * passes * values * options.width,
        )

    def _generator(
        self,
        curator: Curator,
        table: TableModel,
        cells: Cells,
        settings: ImageDiffusionSettings,
        *,
        seed: int,
        device: str,
        progress: Progress,
    ) -> DiffusionImages:
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
        trainer = ImageDiffusionTrainer(table, cells, settings, start, seed=seed, device=device)
        take_steps(
            curator,
            settings,
            PURPOSE,
            trainer,
            domains=cells.domains,
            n_units=table.n_units,
            delta=self.delta,
            progress=progress,
        )
        return trainer.averaged()

    @staticmethod
    def _generator_from(
        schema: Schema, settings: ImageDiffusionSettings, arrays: dict[str, NDArray[Any]]
    ) -> DiffusionImages:
        assert schema.image is not None
        return DiffusionImages.from_arrays(schema.image, settings.diffusion, arrays)


class ImageDiffusionTrainer:
    """One training of a denoiser: private steps, and the average of its weights."""

    learns = True

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
        rate = settings.diffusion.learning_rate
        self._adam = torch.optim.Adam(self.drawn.network.parameters(), lr=rate, betas=(0.9, 0.99))
        self._clipper = RecordClipper(
            self.drawn.network, self._loss, max_grad_norm=settings.max_grad_norm, by_record=True
        )
        self._average = running_average(self.drawn.network, settings.diffusion.averaging)
        self._optimizer: SecretNoiseOptimizer | None = None

    def _loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        """Return each record's loss under the draws of this step, ``(n,)``."""
        cells, shades = self._cells.split(records)
        return self._noise.loss(network, shades, one_hot_cells(cells, self._cells.n))

    def _next_noise(self) -> NoiseDraws:
        return NoiseDraws.of(
            self._settings.diffusion.draws, self._cells.shape.n_values, self._rng, self._device
        )

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step: check on random rows that records do not mix; warm up."""
        check_records_do_not_mix(self._clipper, random_records(self._cells, self._device))
        if self._start is not None:
            self._warm_up(self._start)
        self._optimizer = steps.optimizer(self._adam)

    def _warm_up(self, start: ImageMixture) -> None:
        """Learn from draws of the prototypes, which cost nothing any more."""
        options, shares = self._settings.diffusion, cell_shares(self._table, self._cells)
        for _ in range(options.warm_steps):
            rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=self._rng)))
            cells = rng.choice(len(shares), options.warm_batch_size, p=shares)
            shades = start.shades(cells, rng).clamp(0.0, 1.0).to(self._device)
            one_hot = one_hot_cells(torch.from_numpy(cells), self._cells.n).to(self._device)
            loss = self._next_noise().loss(self.drawn.network, shades, one_hot).mean()
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()
        self._average = running_average(self.drawn.network, options.averaging)

    def step(self, steps: GradientSteps) -> float:
        """Take one private step; return the length of the noisy gradient, there being no fakes to judge."""
        assert self._optimizer is not None
        self._noise = self._next_noise()
        steps.noisy_gradient(self._clipper, self._optimizer)
        gradients = [p.grad.flatten() for p in self.drawn.network.parameters() if p.grad is not None]
        length = torch.cat(gradients).norm()
        self._adam.step()
        self._average.update_parameters(self.drawn.network)
        return float(length)

    def averaged(self) -> DiffusionImages:
        """Return the averaged denoiser, apart from the one that goes on learning."""
        network = copy.deepcopy(self.drawn.network).cpu().requires_grad_(False)
        network.load_state_dict(self._average.module.state_dict())
        return DiffusionImages(network, self.drawn.n_cells, self.drawn.n_levels)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        arrays: dict[str, NDArray[Any]] = {"rng": self._rng.get_state().numpy()}
        arrays |= module_arrays("network", self.drawn.network) | module_arrays("average", self._average)
        return arrays | optimizer_arrays("optimizer", self._adam)

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        self._rng.set_state(torch.from_numpy(np.array(arrays["rng"])))
        restore_module("network", self.drawn.network, arrays)
        restore_module("average", self._average, arrays)
        restore_optimizer("optimizer", self._adam, arrays)

    def model(self) -> ImageModel:
        """Return the model of the averaged denoiser."""
        return ImageModel(self._table, self.averaged())
