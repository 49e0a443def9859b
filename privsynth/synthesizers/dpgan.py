"""`DPGANSynthesizer`: an adversarially trained generator whose discriminator learns by private steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd  # noqa: F401  # for the example
import torch
from numpy.typing import NDArray

from privsynth.models.gan import Gan, GanOptions
from privsynth.models.generator import MixtureGenerator, allot_conditions
from privsynth.privacy.budget import Spend
from privsynth.privacy.clipping import RecordClipper, check_records_do_not_mix
from privsynth.privacy.curator import Curator
from privsynth.privacy.dpsgd import GradientSteps, SecretNoiseOptimizer
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.base import Progress, Sketch, TableSynthesizer
from privsynth.synthesizers.preliminaries import (
    Preliminaries,
    buy_preliminaries,
    count_units,
    expected_width,
    planned_preliminaries,
)
from privsynth.synthesizers.training import SLACK_SHARE, independent_seeds, planned_steps, step_plan, train

SECONDS_PER_CODE = 3.5e-8  # of a step, for each row of real and fake and each code of a row, on two cores
BLOCK = "steps/discriminator"


@dataclass(frozen=True, kw_only=True)
class DPGANSettings:
    """Public settings of the recipe; shares are of ``mu**2``, and the private steps get what is left.

    Attributes:
        discovery_share: For private categories and bounds, all columns together; only if there are any.
        spikes_share: For the single values of wide number lines; only if there are any.
        one_way_share: For the 1-way marginals, which make the bins and the generator's start.
        units_share: For a first count of the units.
        condition_share: For the joint table of target and groups; only if there is one.
        n_bins: Bins aimed at for a number line.
        n_steps: Private steps of the discriminator; 0 leaves it untrained, for comparison.
        batch_size: Expected number of records in a step.
        max_grad_norm: L2 bound on one record's gradient.
        gan: How the networks are made and trained.
    """

    discovery_share: float = 0.10
    spikes_share: float = 0.03
    one_way_share: float = 0.12
    units_share: float = 0.01
    condition_share: float = 0.03
    n_bins: int = 32
    n_steps: int = 800
    batch_size: int = 2048
    max_grad_norm: float = 1.0
    gan: GanOptions = field(default_factory=GanOptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        return {**asdict(self), "gan": self.gan.to_dict()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> DPGANSettings:
        """Read what `to_dict` wrote."""
        return cls(**{**fields, "gan": GanOptions.from_dict(fields["gan"])})


class DPGANSynthesizer(TableSynthesizer):
    """Train a generator against a discriminator that sees records only through private gradient steps.

    Beside the steps it buys domains, 1-way marginals and the joint table of target and groups; all other
    dependence comes from the adversary. The generator is a mixture of products, so conditional
    and balanced sampling are exact, as for `MarginalSynthesizer`.

    Args and attributes are those of `TableSynthesizer`.

    Example:
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

    @classmethod
    def sketch(cls, schema: Schema, settings: DPGANSettings, allowance: Spend, n_rows: int) -> Sketch:
        """Say what a fit of about ``n_rows`` units would buy with this budget."""
        steps = planned_preliminaries(schema, settings, allowance.mu_squared)
        left = 1.0 - sum(step["share"] for step in steps)
        plan = step_plan(settings, left * allowance.mu_squared, allowance, n_rows)
        width = sum(expected_width(column, settings.n_bins) for column in schema.modelled)
        rows = plan.expected_batch_size + settings.gan.fake_batch_size
        steps.append(planned_steps("private steps of the discriminator", left, plan))
        return Sketch(
            steps=tuple(steps),
            memory_mb=400.0 + 4e-6 * (6 * settings.gan.n_states * width + 12 * rows * width),
            seconds=settings.n_steps * (0.01 + SECONDS_PER_CODE * rows * width),
            advice=(
                "on the census table that was measured, the marginal and the denoising synthesizer gave "
                "better data at every budget; the adversary took its structure from pairs",
            ),
        )

    def _make(
        self, curator: Curator, settings: DPGANSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        progress("finding domains", 0, settings.n_steps)
        n_units = count_units(curator, settings.units_share)
        first = buy_preliminaries(curator, settings, n_units=n_units, delta_share=1.0 - SLACK_SHARE)
        trainer = GanTrainer(curator.schema, first, settings, seed=seed, device=device)
        if not settings.n_steps:
            return trainer.model()
        left = curator.remaining(BLOCK)
        plan = step_plan(settings, left, curator.allowance, first.domains.n_units)
        steps = curator.gradient_steps(
            BLOCK, "private steps of the discriminator", first.domains.by_column, plan
        )
        trainer.prepare(steps)
        return train(
            curator,
            trainer,
            steps,
            key=BLOCK,
            mu_squared_before=curator.allowance.mu_squared - left,
            delta=self.delta,
            progress=progress,
        )


class GanTrainer:
    """One adversarial training: the private step of the discriminator, and everything public around it."""

    def __init__(
        self, schema: Schema, first: Preliminaries, settings: DPGANSettings, *, seed: int, device: str
    ) -> None:
        self._schema = schema
        self._first = first
        self._settings = settings
        weights, draws = (torch.Generator().manual_seed(s) for s in independent_seeds(seed, 2))
        names = list(first.domains.by_column)
        columns, counts = first.conditions(schema)
        generator = MixtureGenerator(
            [np.asarray(m.counts) for m in first.domains.one_way],
            condition_columns=[names.index(name) for name in columns],
            conditions=allot_conditions(counts, settings.gan.n_states),
            n_states=settings.gan.n_states,
            scatter=settings.gan.scatter,
            temperature=settings.gan.temperature,
            rng=draws,
        )
        self.gan = Gan(generator, settings.gan, device=device, rng=weights)
        bound = settings.max_grad_norm
        self._real = RecordClipper(self.gan.discriminator, self.gan.real_loss, max_grad_norm=bound)
        self._fake = RecordClipper(self.gan.discriminator, self.gan.fake_loss, max_grad_norm=bound)
        self._optimizer: SecretNoiseOptimizer | None = None

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step: check on random rows that records do not mix."""
        rng = np.random.default_rng(0)
        rows = np.stack([rng.integers(size, size=4) for size in self.gan.generator.sizes], axis=1)
        check_records_do_not_mix(self._real, torch.from_numpy(rows).to(self.gan.average.device))
        self._optimizer = steps.optimizer(self.gan.discriminator_optimizer)

    def step(self, steps: GradientSteps) -> float:
        """Take one private step of the discriminator, then the generator's; return the loss on fakes."""
        assert self._optimizer is not None
        steps.noisy_gradient(self._real, self._optimizer)
        # Fakes are clipped like records, so that a small bound does not let them drown the real ones.
        fakes = self.gan.fakes()
        for p, total in zip(self._fake.parameters, self._fake.clipped_sum(fakes.detach()), strict=True):
            assert p.grad is not None
            p.grad += total / len(fakes)
        self._optimizer.original_optimizer.step()
        return -self.gan.generator_step(fakes)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        return self.gan.to_arrays()

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        self.gan.from_arrays(arrays)

    def model(self) -> TableModel:
        """Return the model of the averaged generator."""
        columns = tuple(self._first.domains.by_column)
        return self._first.table_model(self._schema, self.gan.generator.mixture(columns, self.gan.average))
