"""Table synthesizers that learn by private steps, after the base measurements and under the same budget."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from privsynth.accounting.budget import Spend
from privsynth.accounting.step_plan import StepPlan
from privsynth.privacy.curator import Curator
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    BaseMeasurementSettings,
    count_units,
    measure_base,
    planned_base_measurements,
)
from privsynth.synthesizers.training import (
    SLACK_SHARE,
    StepOptions,
    Trainer,
    planned_steps,
    step_plan,
    take_steps,
)


@dataclass(frozen=True, kw_only=True)
class StepSettings(StepOptions, BaseMeasurementSettings):
    """Public settings of a recipe that learns by private steps, which get what the base measurements leave.

    Attributes are those of `StepOptions` and `BaseMeasurementSettings`.
    """

    def __post_init__(self) -> None:
        StepOptions.__post_init__(self)
        BaseMeasurementSettings.__post_init__(self)


class TableStepSynthesizer(TableSynthesizer):
    """Release the base measurements, then private steps of a network with all that is left.

    Args and attributes are those of `TableSynthesizer`.
    """

    purpose: ClassVar[str]  # of the steps
    advice: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def plan_for(cls, schema: Schema, settings: StepSettings, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would release under this budget."""
        steps = planned_base_measurements(schema, settings, allowance.mu_squared)
        left = 1.0 - sum(step["share"] for step in steps)
        plan = step_plan(settings, left * allowance.mu_squared, allowance, n_rows)
        memory_mb, seconds = cls._cost_of(schema, settings, plan)
        return FitPlan(
            steps=(*steps, planned_steps(cls.purpose, left, plan)),
            memory_mb=memory_mb,
            seconds=seconds,
            advice=cls.advice,
        )

    @staticmethod
    @abstractmethod
    def _cost_of(schema: Schema, settings: Any, plan: StepPlan) -> tuple[float, float]:
        """Return about how many megabytes the training takes, and how many seconds on two cores; public."""

    @staticmethod
    @abstractmethod
    def _trainer(
        schema: Schema, first: BaseMeasurements, settings: Any, *, seed: int, device: str
    ) -> Trainer:
        """Return what the steps train: a function of releases and public settings."""

    def _make(
        self, curator: Curator, settings: StepSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        progress("finding domains", 0, settings.n_steps)
        n_units = count_units(curator, settings.units_share)
        first = measure_base(curator, settings, n_units=n_units, delta_share=1.0 - SLACK_SHARE)
        trainer = self._trainer(curator.schema, first, settings, seed=seed, device=device)
        take_steps(
            curator,
            settings,
            self.purpose,
            trainer,
            domains=first.codes.by_column,
            n_units=first.domains.n_units,
            delta=self.delta,
            progress=progress,
        )
        model: TableModel = trainer.model()
        return model
