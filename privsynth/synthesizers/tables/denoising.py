"""`DenoisingSynthesizer`: the self-supervised road; hidden columns of a row are predicted from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.budget import Spend
from privsynth.errors import ParameterError
from privsynth.models.mixing import check_records_do_not_mix
from privsynth.models.state import (
    module_arrays,
    optimizer_arrays,
    restore_module,
    restore_optimizer,
    running_average,
)
from privsynth.models.tables.denoiser import TableDenoiser
from privsynth.models.tables.distillation import distilled, draw_rows, reordered
from privsynth.models.tables.generator import allot_conditions, smoothed_shares
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps, SecretNoiseOptimizer
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    condition_columns,
    expected_width,
    planned_base_measurements,
)
from privsynth.synthesizers.training import (
    StepSettings,
    fit_by_steps,
    independent_seeds,
    planned_steps,
    random_rows,
    step_plan,
)

SECONDS_PER_WEIGHT = 5e-10  # of a step, for each record and each weight, on two cores
PURPOSE = "private steps of the denoiser"
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


class DenoisingSynthesizer(TableSynthesizer):
    """Learn by private steps to predict hidden columns of a row, and draw rows column by column.

    Beside the steps it buys domains, 1-way marginals and the joint table of target and groups, which come
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

    @classmethod
    def plan_for(cls, schema: Schema, settings: DenoisingSettings, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would buy with this budget."""
        steps = planned_base_measurements(schema, settings, allowance.mu_squared)
        left = 1.0 - sum(step["share"] for step in steps)
        plan = step_plan(settings, left * allowance.mu_squared, allowance, n_rows)
        steps.append(planned_steps(PURPOSE, left, plan))
        widths = [expected_width(column, settings.n_bins) for column in schema.modelled]
        n_codes, n_predicted = sum(widths), len(widths) - len(condition_columns(schema))
        n_weights = n_codes * (n_codes + settings.hidden * (n_predicted + 2)) / 2
        rows = plan.expected_batch_size * len(widths) / 2 + 3 * settings.n_components
        return FitPlan(
            steps=tuple(steps),
            memory_mb=400.0 + 4e-6 * (3 * rows * n_codes + 8 * n_weights),
            seconds=settings.n_steps * (0.01 + SECONDS_PER_WEIGHT * plan.expected_batch_size * n_weights),
        )

    def _make(
        self, curator: Curator, settings: DenoisingSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        def trainer(first: BaseMeasurements) -> DenoisingTrainer:
            return DenoisingTrainer(curator.schema, first, settings, seed=seed, device=device)

        return fit_by_steps(curator, settings, PURPOSE, trainer, delta=self.delta, progress=progress)


class DenoisingTrainer:
    """One training of a denoiser: private steps, the average of its weights, and the mixture in the end."""

    shown = "loss on fakes"

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
        self._parameters = list(self.denoiser.parameters())
        self._average = running_average(self.denoiser, settings.averaging)
        self.n_steps = 0
        self._clipper: RecordClipper | None = None
        self._base: torch.optim.Optimizer | None = None
        self._optimizer: SecretNoiseOptimizer | None = None

    @property
    def learns(self) -> bool:
        """Whether there is anything to learn: a column that has others before it."""
        return bool(self._parameters)

    def prepare(self, steps: GradientSteps) -> None:
        """Make ready for the first private step: check on random rows that records do not mix."""
        sizes = [domain.size for domain in self._first.codes.by_column.values()]
        bound = steps.plan.max_grad_norm
        self._clipper = RecordClipper(self.denoiser, self._record_loss, max_grad_norm=bound)
        check_records_do_not_mix(self._clipper, random_rows(sizes, device=self._order.device))
        self._optimizer = steps.optimizer(self._adam())

    def step(self, steps: GradientSteps) -> float:
        """Take one private step; return the loss on generated rows."""
        assert self._optimizer is not None
        assert self._clipper is not None
        steps.noisy_gradient(self._clipper, self._optimizer)
        left = 1.0 - self.n_steps / steps.plan.n_steps
        for group in self._adam().param_groups:
            group["lr"] = self._settings.learning_rate * min(1.0, 2.0 * left)
        self._adam().step()
        self.n_steps += 1
        self._average.update_parameters(self.denoiser)
        return self._loss_on_own_rows()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as a checkpoint keeps it."""
        arrays = {"n_steps": np.array(self.n_steps)}
        arrays |= module_arrays("denoiser", self.denoiser) | module_arrays("average", self._average)
        return arrays | optimizer_arrays("adam", self._adam())

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a checkpoint."""
        self.n_steps = int(arrays["n_steps"])
        restore_module("denoiser", self.denoiser, arrays)
        restore_module("average", self._average, arrays)
        restore_optimizer("adam", self._adam(), arrays)

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

    def _record_loss(self, denoiser: Any, codes: torch.Tensor) -> torch.Tensor:
        return -denoiser(codes[..., self._order])

    @torch.no_grad()
    def _loss_on_own_rows(self) -> float:
        rng = torch.Generator().manual_seed(self._draw_seed + self.n_steps)
        given = torch.from_numpy(allot_conditions(self._counts, N_SHOWN))
        rows, _ = draw_rows(self.denoiser, given, self._shares, rng)
        codes = torch.stack([b.argmax(1) for b in rows.split(list(self.denoiser.sizes), 1)], dim=1)
        return -float(self.denoiser(codes).mean())

    def _adam(self) -> torch.optim.Optimizer:
        if self._base is None:
            self._base = torch.optim.Adam(
                self._parameters, lr=self._settings.learning_rate, betas=(0.9, 0.99)
            )
        return self._base


def prediction_order(first: BaseMeasurements, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns in the order of prediction: what is given, then from few codes to many."""
    domains = first.codes.by_column
    rest = sorted((name for name in domains if name not in given), key=lambda name: domains[name].size)
    return (*given, *rest)
