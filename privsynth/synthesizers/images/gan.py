"""`ImageGANSynthesizer`: a generator of images whose discriminator learns by private steps."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from numpy.typing import NDArray

from privsynth.accounting.step_plan import StepPlan
from privsynth.errors import ParameterError
from privsynth.models.images.augmentation import augmented, n_augmentations
from privsynth.models.images.gan import GeneratedImages, ImageGan, ImageGanOptions
from privsynth.models.images.mixture import ImageMixture
from privsynth.models.images.public_features import n_public_features
from privsynth.models.images.tensors import one_hot_cells
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.sampling.image_model import ImageModel, image_conditions
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.synthesizers.images.feature_gan import FeatureGanTrainer
from privsynth.synthesizers.images.measurements import Cells
from privsynth.synthesizers.images.private_steps import (
    ImageStepSettings,
    ImageStepSynthesizer,
    ImageTrainer,
    cell_shares,
    random_records,
)
from privsynth.synthesizers.step_trainers import AdversarialTrainer
from privsynth.synthesizers.training import independent_seeds

CRITIC_OF_FEATURES = ImageGanOptions(
    architecture="features",
    generator_width=16,
    discriminator_rate=100.0,
    generator_rate=2e-3,
    generator_steps=3,
    fake_batch_size=192,
    min_fake_accuracy=None,
    averaging=0.95,
    warm_steps=100,
)
SECONDS_PER_FEATURES = 3e-7  # of an image, for each of its values, on two cores; three times that for a slope
SECONDS_PER_RECORD = 5e-6  # of a step on features that are known
SECONDS_PER_WEIGHT = 2e-10  # of a step, for each image and weight, on two cores


@dataclass(frozen=True, kw_only=True)
class ImageGANSettings(ImageStepSettings):
    """Public settings of the recipe; both networks begin with the prototypes, or without any with noise.

    Attributes:
        gan: How the networks are made and trained.
        augmentations: Small fixed shifts and turns of each real image, itself among them, whose gradients are
            averaged before they are clipped.
        flips: Whether left and right may be exchanged in them.
    """

    n_steps: int = 40
    batch_size: int | None = None
    max_grad_norm: float = 0.3
    prototypes_share: float = 0.6
    gan: ImageGanOptions = CRITIC_OF_FEATURES
    augmentations: int = 1
    flips: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        largest = n_augmentations(flips=self.flips)
        if not 1 <= self.augmentations <= largest:
            raise ParameterError(
                f"expected 1 to {largest} augmentations with flips={self.flips}, got {self.augmentations!r}"
            )
        if self.augmentations > 1 and self.gan.architecture == "features":
            raise ParameterError("expected the architecture 'mlp' or 'dcgan' where there are augmentations")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        return {**asdict(self), "gan": self.gan.to_dict()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return super().from_dict({**fields, "gan": ImageGanOptions.from_dict(fields["gan"])})


class ImageGANSynthesizer(ImageStepSynthesizer):
    """Train a generator of images against a discriminator that sees records only through private steps.

    Both are given the cell of an image, its classes and groups. They begin with prototypes, which take a part
    of the budget: the generator makes its images out of draws of the prototypes, and the discriminator knows
    which of these bear which label before it sees a record.

    Args and attributes are those of `Synthesizer`.

    References:
        Bie, Kamath and Zhang, "Private GANs, Revisited", TMLR 2023 (large batches; a generator that waits for
        its discriminator, judged on fakes). De et al., "Unlocking High-Accuracy Differentially Private Image
        Classification through Scale", 2022 (augmentation multiplicity). Shrivastava et al., "Learning from
        Simulated and Unsupervised Images through Adversarial Training", CVPR 2017 (refined images).
    """

    name = "image-gan"
    settings_type = ImageGANSettings
    purpose = "private steps of the discriminator"
    memory_mb = 600.0

    @classmethod
    def _seconds_of(cls, settings: ImageGANSettings, plan: StepPlan, shape: ImageShape) -> float:
        gan = settings.gan
        if gan.architecture == "features":
            n_records, n_fakes = plan.expected_batch_size, gan.fake_batch_size * gan.generator_steps
            seen = n_records + 3 * settings.n_steps * n_fakes
            on_features = SECONDS_PER_RECORD * settings.n_steps * n_records
            return shape.n_values * SECONDS_PER_FEATURES * seen + on_features
        rows = plan.expected_batch_size * settings.augmentations + gan.fake_batch_size
        cost = shape.n_values * gan.discriminator_width * (1 if gan.architecture == "mlp" else 10)
        return settings.n_steps * SECONDS_PER_WEIGHT * rows * cost

    @classmethod
    def _n_parameters(cls, schema: Schema, settings: ImageGANSettings) -> int | None:
        declared = [(column.declared_values, column.missing) for column in image_conditions(schema)]
        if settings.gan.architecture != "features" or schema.image is None:
            return None
        sizes = [len(values) + bool(missing) for values, missing in declared if values is not None]
        if len(sizes) < len(declared):
            return None
        return (n_public_features(schema.image) + 1) * (math.prod(sizes) + 1)

    @staticmethod
    def _trainer(
        table: TableModel,
        cells: Cells,
        settings: ImageGANSettings,
        start: ImageMixture | None,
        *,
        seed: int,
        device: str,
    ) -> ImageTrainer:
        if settings.gan.architecture == "features":
            return FeatureGanTrainer(table, cells, settings, start, seed=seed, device=device)
        return ImageGanTrainer(table, cells, settings, start, seed=seed, device=device)

    @staticmethod
    def _generator_from(
        schema: Schema, settings: ImageGANSettings, arrays: dict[str, NDArray[Any]]
    ) -> GeneratedImages:
        assert schema.image is not None
        return GeneratedImages.from_arrays(
            schema.image, settings.gan, settings.prototypes.deformation, arrays
        )


class ImageGanTrainer(AdversarialTrainer):
    """One adversarial training on images: how a real one is scored, and what comes before the first step."""

    game: ImageGan

    def __init__(
        self,
        table: TableModel,
        cells: Cells,
        settings: ImageGANSettings,
        start: ImageMixture | None,
        *,
        seed: int,
        device: str,
    ) -> None:
        self._table, self._cells, self._settings = table, cells, settings
        weights, draws = independent_seeds(seed, 2)
        rng = torch.Generator().manual_seed(weights)
        generated = GeneratedImages.untrained(cells.shape, cells.n, settings.gan, start, rng)
        shares = cell_shares(table, cells)
        super().__init__(
            ImageGan(generated, settings.gan, shares=shares, device=device, seed=draws),
            by_record=settings.augmentations > 1,  # the path by layer wants one pass a record
        )

    def _record_loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's mean loss over the augmentations of each record, ``(n,)``."""
        cells, pixels = self._cells.split(records)
        one_hot = one_hot_cells(cells, self._cells.n)
        settings = self._settings
        losses = [
            self.game.real_loss(network, torch.cat([image, one_hot], dim=1))
            for image in augmented(pixels, self._cells.shape, settings.augmentations, flips=settings.flips)
        ]
        return torch.stack(losses).mean(0)

    def _random_records(self) -> torch.Tensor:
        return random_records(self._cells, self.game.device)

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step, and teach the discriminator what prototypes can teach."""
        super().prepare(steps)
        self.game.warm_up()

    def averaged(self) -> GeneratedImages:
        """Return the averaged generator, apart from the one that goes on learning."""
        return self.game.averaged()

    def model(self) -> ImageModel:
        """Return the model of the averaged generator."""
        return ImageModel(self._table, self.averaged())
