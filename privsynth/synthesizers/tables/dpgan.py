"""`DPGANSynthesizer`: an adversarially trained generator whose discriminator learns by private steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from privsynth.accounting.step_plan import StepPlan
from privsynth.models.tables.discriminator import one_hot
from privsynth.models.tables.gan import Gan, GanOptions
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.step_trainers import AdversarialTrainer
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    expected_width,
)
from privsynth.synthesizers.tables.private_steps import StepSettings, TableStepSynthesizer
from privsynth.synthesizers.training import independent_seeds, random_rows

SECONDS_PER_CODE = 3.5e-8  # of a step, for each row of real and fake and each code of a row, on two cores


@dataclass(frozen=True, kw_only=True)
class DPGANSettings(StepSettings):
    """Public settings of the recipe; shares are of ``mu**2``, and the private steps get what is left.

    Attributes:
        gan: How the networks are made and trained.
    """

    n_steps: int = 800
    gan: GanOptions = field(default_factory=GanOptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        return {**asdict(self), "gan": self.gan.to_dict()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> DPGANSettings:
        """Read what `to_dict` wrote."""
        return cls(**{**fields, "gan": GanOptions.from_dict(fields["gan"])})


class DPGANSynthesizer(TableStepSynthesizer):
    """Train a generator against a discriminator that sees records only through private gradient steps.

    Beside the steps it measures domains, 1-way marginals and the joint table of target and groups; all other
    dependence comes from the adversary. The generator is a mixture of products, so conditional
    and balanced sampling are exact, as for `MarginalSynthesizer`.

    Args and attributes are those of `TableSynthesizer`.

    Example:
        >>> import pandas as pd
        >>> schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        ...                  "ill": {"type": "boolean", "role": "target"}, "fit": {"type": "boolean"}})
        >>> table = pd.DataFrame({"sex": ["F", "M"] * 200, "ill": [True, False] * 200,
        ...                       "fit": [False, True] * 200})
        >>> settings = DPGANSettings(n_steps=5, gan=GanOptions(n_states=64))
        >>> synthesizer = DPGANSynthesizer(epsilon=None, settings=settings).fit(table, schema=schema)
        >>> len(synthesizer.sample(10, conditions={"ill": True}))
        10

    References:
        Bie, Kamath and Zhang, "Private GANs, Revisited", TMLR 2023 (few, large batches). Jang, Gu and Poole,
        "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017.
    """

    name = "dpgan"
    settings_type = DPGANSettings

    purpose = "private steps of the discriminator"
    advice = (
        "on the census table that was measured, the marginal and the denoising synthesizer gave better data "
        "at every budget; the adversary took its structure from pairs",
    )

    @staticmethod
    def _cost_of(schema: Schema, settings: DPGANSettings, plan: StepPlan) -> tuple[float, float]:
        width = sum(expected_width(column, settings.n_bins) for column in schema.modelled)
        rows = plan.expected_batch_size + settings.gan.fake_batch_size
        return (
            400.0 + 4e-6 * (6 * settings.gan.n_states * width + 12 * rows * width),
            settings.n_steps * (0.01 + SECONDS_PER_CODE * rows * width),
        )

    @staticmethod
    def _trainer(
        schema: Schema, first: BaseMeasurements, settings: DPGANSettings, *, seed: int, device: str
    ) -> GanTrainer:
        return GanTrainer(schema, first, settings, seed=seed, device=device)


class GanTrainer(AdversarialTrainer):
    """One adversarial training on rows."""

    game: Gan

    def __init__(
        self, schema: Schema, first: BaseMeasurements, settings: DPGANSettings, *, seed: int, device: str
    ) -> None:
        self._schema = schema
        self._first = first
        weights, draws = (torch.Generator().manual_seed(s) for s in independent_seeds(seed, 2))
        generator = first.generator(
            schema,
            n_states=settings.gan.n_states,
            scatter=settings.gan.scatter,
            temperature=settings.gan.temperature,
            rng=draws,
        )
        super().__init__(Gan(generator, settings.gan, device=device, rng=weights))

    def _record_loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        return self.game.real_loss(network, one_hot(records, self.game.generator.sizes))

    def _random_records(self) -> torch.Tensor:
        generator = self.game.generator
        return random_rows(generator.sizes, device=generator.logits.device)

    def model(self) -> TableModel:
        """Return the model of the averaged generator."""
        columns = tuple(self._first.codes.by_column)
        return self._first.table_model(self._schema, self.game.averaged_generator().mixture(columns))
