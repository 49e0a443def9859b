"""`MarginalSynthesizer`: the default for tables."""

from __future__ import annotations

import math

from privsynth.accounting.budget import Spend
from privsynth.accounting.gdp import exponential_epsilon0
from privsynth.privacy.curator import Curator
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.base_measurements import planned_base_measurements, planned_counts
from privsynth.synthesizers.tables.row_before import pairs_before
from privsynth.synthesizers.tables.select_measure_fit import (
    BEFORE,
    MarginalSettings,
    fit_marginals,
    n_counted,
    pairs_per_round,
)
from privsynth.synthesizers.tables.workload import DECLARED


class MarginalSynthesizer(TableSynthesizer):
    """Fit a table through noisy marginals chosen under the budget; sample it, conditioned at will.

    Args and attributes are those of `TableSynthesizer`.

    Example:
        >>> import pandas as pd
        >>> schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"]},
        ...                  "ill": {"type": "boolean"}})
        >>> table = pd.DataFrame({"sex": ["F", "M"] * 200, "ill": [True, False] * 200})
        >>> synthesizer = MarginalSynthesizer(epsilon=None).fit(table, schema=schema)  # not private: a demo
        >>> synthesizer.sample(10, balance=["sex"])["sex"].value_counts().to_dict() == {"F": 5, "M": 5}
        True
    """

    name = "marginal"
    measures_workload = True
    settings_type = MarginalSettings
    learns_from_rows = False

    @classmethod
    def plan_for(cls, schema: Schema, settings: MarginalSettings, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would release under this budget."""
        mu_squared = allowance.mu_squared
        settings = settings.adapted_to(n_rows * math.sqrt(mu_squared))
        steps = planned_base_measurements(schema, settings, mu_squared)
        n_before = len(pairs_before(schema))
        if n_before:
            steps.append(planned_counts(BEFORE, settings.before_share, n_before, mu_squared))
        if schema.workload:
            n_declared = len(schema.workload)
            steps.append(planned_counts(DECLARED, settings.workload_share, n_declared, mu_squared))
        n_columns = n_counted(schema)
        if n_columns > 1:
            count = settings.n_rounds * pairs_per_round(n_columns, settings)
            left = 1.0 - sum(step["share"] for step in steps)
            selection = settings.selection_share * left
            epsilon0 = exponential_epsilon0(math.sqrt(selection * mu_squared / count))
            choice = {"purpose": "choice of tables", "share": selection, "count": count, "epsilon0": epsilon0}
            steps += [choice, planned_counts("2- and 3-way marginals", left - selection, count, mu_squared)]
        return FitPlan(steps=tuple(steps))

    def _make(
        self, curator: Curator, settings: MarginalSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        fitted = fit_marginals(curator, settings, seed=seed, device=device, progress=progress)
        return fitted.first.table_model(curator.schema, fitted.mixture)
