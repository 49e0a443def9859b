"""`DenoisingSynthesizer`: the self-supervised road; hidden columns of a row are predicted from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from privsynth.accounting.step_plan import StepPlan
from privsynth.errors import ParameterError
from privsynth.models.tables.denoiser import TableDenoiser
from privsynth.models.tables.distillation import distilled, draw_rows, reordered
from privsynth.models.tables.generator import allot_conditions, smoothed_shares
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.step_trainers import AveragedTrainer
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    condition_columns,
    expected_width,
)
from privsynth.synthesizers.tables.private_steps import StepSettings, TableStepSynthesizer
from privsynth.synthesizers.training import independent_seeds, random_rows

SECONDS_PER_WEIGHT = 5e-10  # of a step, for each record and each weight, on two cores
N_SHOWN = 256  # generated rows behind the loss in the progress line


@dataclass(frozen=True, kw_only=True)
class DenoisingSettings(StepSettings):
    """Public settings of the recipe; shares are of ``mu**2``, and the private steps get what is left.

    Attributes:
        learning_rate: Adam's step; falls to zero over the second half.
        averaging: Decay of the running average of the weights that is kept as the model.
        hidden: Width of each column's hidden layer; 0 keeps to the linear part.
        n_components: Components of the mixture that the denoiser is distilled into.
        soft_share: Share of each column of a component left as it was predicted.
    """

    n_steps: int = 100
    batch_size: int = 4096
    learning_rate: float = 0.1
    averaging: float = 0.9
    hidden: int = 16
    n_components: int = 16_384
    soft_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.averaging < 1:
            raise ParameterError(f"expected 0 <= averaging < 1, got {self.averaging!r}")
        if not 0 <= self.soft_share <= 1:
            raise ParameterError(f"expected 0 <= soft_share <= 1, got {self.soft_share!r}")


class DenoisingSynthesizer(TableStepSynthesizer):
    """Learn by private steps to predict hidden columns of a row, and draw rows column by column.

    Beside the steps it measures domains, 1-way marginals and the joint table of target and groups, which come
    first in every row. What it learnt is distilled into a mixture of products, so conditional and
    balanced sampling are exact, as for `MarginalSynthesizer`.

    Args and attributes are those of `TableSynthesizer`.

    Example:
        >>> import pandas as pd
        >>> schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        ...                  "ill": {"type": "boolean", "role": "target"}, "fit": {"type": "boolean"}})
        >>> table = pd.DataFrame({"sex": ["F", "M"] * 200, "ill": [True, False] * 200,
        ...                       "fit": [False, True] * 200})
        >>> synthesizer = DenoisingSynthesizer(epsilon=None).fit(table, schema=schema)
        >>> len(synthesizer.sample(10, conditions={"ill": True}))
        10

    References:
        Uria, Murray and Larochelle, "A Deep and Tractable Density Estimator", ICML 2014: a row's
        likelihood by hiding its columns one after the other. Abadi et al., "Deep Learning with Differential
        Privacy", CCS 2016.
    """

    name = "denoising"
    settings_type = DenoisingSettings

    purpose = "private steps of the denoiser"

    @staticmethod
    def _cost_of(schema: Schema, settings: DenoisingSettings, plan: StepPlan) -> tuple[float, float]:
        widths = [expected_width(column, settings.n_bins) for column in schema.modelled]
        n_codes, n_predicted = sum(widths), len(widths) - len(condition_columns(schema))
        n_weights = n_codes * (n_codes + settings.hidden * (n_predicted + 2)) / 2
        rows = plan.expected_batch_size * len(widths) / 2 + 3 * settings.n_components
        return (
            400.0 + 4e-6 * (3 * rows * n_codes + 8 * n_weights),
            settings.n_steps * (0.01 + SECONDS_PER_WEIGHT * plan.expected_batch_size * n_weights),
        )

    @staticmethod
    def _trainer(
        schema: Schema, first: BaseMeasurements, settings: DenoisingSettings, *, seed: int, device: str
    ) -> DenoisingTrainer:
        return DenoisingTrainer(schema, first, settings, seed=seed, device=device)


class DenoisingTrainer(AveragedTrainer):
    """One training of a denoiser: private steps, the average of its weights, and the mixture in the end."""

    shown = "loss on fakes"
    names = ("denoiser", "adam")

    def __init__(
        self,
        schema: Schema,
        first: BaseMeasurements,
        settings: DenoisingSettings,
        *,
        seed: int,
        device: str,
    ) -> None:
        self._schema = schema
        self._first = first
        self._settings = settings
        weights, self._draw_seed = independent_seeds(seed, 2)
        given, self._counts = first.conditions(schema)
        self._names = prediction_order(first, given)
        self._n_given = len(given)
        by_name = {m.columns[0]: np.asarray(m.counts) for m in first.codes.one_way}
        shares = [torch.from_numpy(smoothed_shares(by_name[name])) for name in self._names]
        self.denoiser = TableDenoiser(
            shares,
            n_given=self._n_given,
            hidden=settings.hidden,
            rng=torch.Generator().manual_seed(weights),
        ).to(device)
        self._shares = torch.exp(self.denoiser.start)
        # A row of codes comes in table order, the denoiser wants its own.
        places = {name: place for place, name in enumerate(first.codes.by_column)}
        self._order = torch.tensor([places[name] for name in self._names], device=device)
        # as a group, since without a column to predict there is no parameter
        groups = [{"params": list(self.denoiser.parameters())}]
        adam = torch.optim.Adam(groups, lr=settings.learning_rate, betas=(0.9, 0.99))
        super().__init__(self.denoiser, adam, averaging=settings.averaging)

    def _record_loss(self, network: Any, records: torch.Tensor) -> torch.Tensor:
        return -network(records[..., self._order])

    def _random_records(self) -> torch.Tensor:
        sizes = [domain.size for domain in self._first.codes.by_column.values()]
        return random_rows(sizes, device=self._order.device)

    def _before_step(self, steps: GradientSteps) -> None:
        left = 1.0 - self.n_steps / steps.plan.n_steps
        for group in self._adam.param_groups:
            group["lr"] = self._settings.learning_rate * min(1.0, 2.0 * left)

    @torch.no_grad()
    def _shown(self) -> float:
        """Return the loss on generated rows."""
        rng = torch.Generator().manual_seed(self._draw_seed + self.n_steps)
        given = torch.from_numpy(allot_conditions(self._counts, N_SHOWN))
        rows, _ = draw_rows(self.denoiser, given, self._shares, rng)
        codes = torch.stack([b.argmax(1) for b in rows.split(list(self.denoiser.sizes), 1)], dim=1)
        return -float(self.denoiser(codes).mean())

    @torch.no_grad()
    def model(self) -> TableModel:
        """Return the model of the averaged weights: the denoiser's rows as a mixture.

        It depends on the weights and the seed alone, wherever the training was interrupted.
        """
        averaged = self._average.module
        assert isinstance(averaged, TableDenoiser)
        rng = torch.Generator().manual_seed(self._draw_seed)
        given = torch.from_numpy(allot_conditions(self._counts, self._settings.n_components))
        rows, predicted = draw_rows(averaged, given, self._shares, rng)
        mixture = distilled(
            rows,
            predicted,
            sizes=self.denoiser.sizes,
            columns=self._names,
            soft_share=self._settings.soft_share,
        )
        table_order = tuple(self._first.codes.by_column)
        return self._first.table_model(self._schema, reordered(mixture, table_order))


def prediction_order(first: BaseMeasurements, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns in the order of prediction: what is given, then from few codes to many."""
    domains = first.codes.by_column
    rest = sorted((name for name in domains if name not in given), key=lambda name: domains[name].size)
    return (*given, *rest)
