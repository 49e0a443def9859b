"""`MarginalSynthesizer`: the default for tables."""

from __future__ import annotations

import numpy as np
import pandas as pd  # noqa: F401  # for the example

from privsynth.privacy.curator import Curator
from privsynth.sampling.table_model import Measured, TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.base import Progress, TableSynthesizer
from privsynth.synthesizers.recipe import FittedTable, MarginalSettings, fit_marginals


class MarginalSynthesizer(TableSynthesizer):
    """Fit a table through noisy marginals chosen under the budget; sample it, conditioned at will.

    Args and attributes are those of `TableSynthesizer`.

    Example:
        >>> schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"]},
        ...                  "ill": {"type": "boolean"}})
        >>> table = pd.DataFrame({"sex": ["F", "M"] * 200, "ill": [True, False] * 200})
        >>> synthesizer = MarginalSynthesizer(epsilon=None).fit(table, schema=schema)  # not private: a demo
        >>> synthesizer.sample(10, balance=["sex"])["sex"].value_counts().to_dict() == {"F": 5, "M": 5}
        True
    """

    name = "marginal"
    settings_type = MarginalSettings

    def _make(
        self, curator: Curator, settings: MarginalSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        fitted = fit_marginals(curator, curator.schema, settings, seed=seed, device=device, progress=progress)
        return _table_model(curator.schema, fitted)


def _table_model(schema: Schema, fitted: FittedTable) -> TableModel:
    measured = [Measured(m.columns, float(np.sqrt(np.mean(m.variance)))) for m in fitted.domains.one_way]
    if fitted.condition is not None:
        measured.append(
            Measured(fitted.condition.columns, float(np.sqrt(np.mean(fitted.condition.variance))))
        )
    return TableModel(
        schema,
        fitted.domains.by_column,
        fitted.mixture,
        fitted.domains.n_units,
        fitted.domains.n_units_std,
        tuple(measured),
    )
