"""The trainer of a critic of public features: what it may see of a record, and how often it is computed."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import torch
from torch.nn import functional as F

from privsynth.models.images.feature_gan import FeatureGan
from privsynth.models.images.gan import GeneratedImages, ImageGanOptions
from privsynth.models.images.mixture import ImageMixture
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.sampling.image_model import ImageModel
from privsynth.sampling.table_model import TableModel
from privsynth.synthesizers.images.measurements import Cells
from privsynth.synthesizers.images.private_steps import cell_shares, random_records
from privsynth.synthesizers.step_trainers import AdversarialTrainer
from privsynth.synthesizers.training import independent_seeds


class FeatureGanSettings(Protocol):
    """What the trainer needs of the settings; public."""

    @property
    def gan(self) -> ImageGanOptions:
        """How the networks are made and trained."""
        ...

    @property
    def n_steps(self) -> int:
        """Private steps."""
        ...


class Remembered:
    """Features of parts of the records, each computed once.

    A part is found again by its content, so that what is returned is what the function itself would return,
    whatever was asked before: with steps that take all records, every part comes again in every step.

    Privacy:
        Not private: holds features of records, in memory alone. A trainer's checkpoints leave it out.
    """

    def __init__(self, game: FeatureGan) -> None:
        self._game = game
        self._parts: dict[bytes, torch.Tensor] = {}

    def of(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features of each image of a part, ``(n, n_features)``; pixels are 0 to 255, flat."""
        key = hashlib.blake2b(pixels.cpu().contiguous().numpy().tobytes()).digest()
        if key not in self._parts:
            seen = self._game.features.of_each(self._game.planes(pixels.float() / 255.0))
            self._parts[key] = seen
        return self._parts[key]

    def forget(self) -> None:
        """Keep nothing."""
        self._parts.clear()


class FeatureGanTrainer(AdversarialTrainer):
    """One adversarial training against a linear critic of public features.

    Args:
        table: Of the labels; released.
        cells: Which codes choose the cell of an image.
        settings: Public settings.
        start: Prototypes to begin with; released.
        seed: Of initial weights and draws.
        device: Where torch computes.
    """

    game: FeatureGan

    def __init__(
        self,
        table: TableModel,
        cells: Cells,
        settings: FeatureGanSettings,
        start: ImageMixture | None,
        *,
        seed: int,
        device: str,
    ) -> None:
        self._table, self._cells = table, cells
        weights, draws = independent_seeds(seed, 2)
        rng = torch.Generator().manual_seed(weights)
        generated = GeneratedImages.untrained(cells.shape, cells.n, settings.gan, start, rng)
        super().__init__(
            FeatureGan(
                generated,
                settings.gan,
                shares=cell_shares(table, cells),
                wait=settings.n_steps // 4,
                device=device,
                seed=draws,
            )
        )
        self._remembered = Remembered(self.game)

    def _record_loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        """Return the critic's loss for each record, ``(n,)``; one whose labels are none has none."""
        cells, _ = self._cells.split(records)
        said = network(self._remembered.of(records[:, len(self._cells.domains) :]))
        losses = F.cross_entropy(said, cells.clamp_min(0), reduction="none")
        return torch.where(cells < 0, 0.0, losses)

    def _random_records(self) -> torch.Tensor:
        return random_records(self._cells, self.game.device)

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step, and teach the critic what prototypes can teach."""
        super().prepare(steps)
        self._remembered.forget()
        self.game.warm_up()

    def step(self, steps: GradientSteps) -> float:
        """Take one private step of the critic, then the generator's; return the loss on fakes."""
        loss = super().step(steps)
        if steps.plan.sample_rate < 1.0 or steps.n_begun >= steps.plan.n_steps:
            self._remembered.forget()  # other records come next, or none
        return loss

    def averaged(self) -> GeneratedImages:
        """Return the averaged generator, apart from the one that goes on learning."""
        return self.game.averaged()

    def model(self) -> ImageModel:
        """Return the model of the averaged generator."""
        return ImageModel(self._table, self.averaged())
