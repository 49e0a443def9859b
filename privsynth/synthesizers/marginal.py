"""`MarginalSynthesizer`: the default for tables."""

from __future__ import annotations

import pandas as pd  # noqa: F401  # for the example

from privsynth.privacy.curator import Curator
from privsynth.sampling.table_model import TableModel
from privsynth.synthesizers.base import Progress, TableSynthesizer
from privsynth.synthesizers.recipe import MarginalSettings, fit_marginals


class MarginalSynthesizer(TableSynthesizer):
    """Fit a table through noisy marginals chosen under the budget; sample it, conditioned at will.

    Args and attributes are those of `TableSynthesizer`.

    Example:
        >>> from privsynth import Schema
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
        fitted = fit_marginals(curator, settings, seed=seed, device=device, progress=progress)
        return fitted.first.table_model(curator.schema, fitted.mixture)
