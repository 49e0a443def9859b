"""`MarginalSynthesizer`: the default for tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.accounting.gdp import exponential_epsilon0
from privsynth.errors import LedgerError, ParameterError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.curator import Curator
from privsynth.releases.store import Release
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.arguments import FitArguments
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.base_measurements import planned_base_measurements, planned_counts
from privsynth.synthesizers.tables.beginning import adapted_settings
from privsynth.synthesizers.tables.earlier import (
    Earlier,
    check_goes_on,
    joint_statement,
    parted,
    reserved_by,
)
from privsynth.synthesizers.tables.row_before import pairs_before
from privsynth.synthesizers.tables.select_measure_fit import (
    BEFORE,
    MarginalSettings,
    fit_marginals,
    n_counted,
    pairs_per_round,
    planned_candidates,
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
        settings = adapted_settings(settings, schema, n_rows * math.sqrt(mu_squared))
        steps = planned_base_measurements(schema, settings, mu_squared)
        n_before = len(pairs_before(schema))
        if n_before:
            steps.append(planned_counts(BEFORE, settings.before_share, n_before, mu_squared))
        if schema.workload:
            n_declared = len(schema.workload)
            steps.append(planned_counts(DECLARED, settings.workload_share, n_declared, mu_squared))
        n_columns = n_counted(schema)
        if n_columns > 1:
            if n_before:
                settings = replace(settings, most_pairs_per_column=0.0)
            count = settings.n_rounds * pairs_per_round(n_columns, settings, planned_candidates(schema))
            left = 1.0 - sum(step["share"] for step in steps)
            selection = settings.selection_share * left
            epsilon0 = exponential_epsilon0(math.sqrt(selection * mu_squared / count))
            choice = {"purpose": "choice of tables", "share": selection, "count": count, "epsilon0": epsilon0}
            steps += [choice, planned_counts("2- and 3-way marginals", left - selection, count, mu_squared)]
        return FitPlan(steps=tuple(steps))

    def _make(
        self, curator: Curator, settings: MarginalSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        fitted = fit_marginals(
            curator, settings, seed=seed, device=device, progress=progress, earlier=self._earlier
        )
        return fitted.first.table_model(curator.schema, fitted.mixture)

    # -- going on from an earlier model ------------------------------------------------------------------

    @property
    def _earlier(self) -> Earlier | None:
        """The fit that this one goes on from."""
        earlier: Earlier | None = getattr(self, "earlier_", None)
        return earlier

    def _going_on(self, start: Any, asked: FitArguments) -> FitArguments:
        self.earlier_: Earlier | None = None
        if start is None:
            return asked
        self.earlier_ = earlier = _earlier_of(start)
        assert isinstance(asked.schema, Schema)
        check_goes_on(earlier, asked.schema, asked.dataset)
        return replace(asked, start=earlier.fingerprint)

    def _check_ledger_of_start(self, ledger: str | Path | Ledger | None) -> None:
        self._limit: tuple[float, float] | None = None
        link = None if self._earlier is None else self._earlier.ledger_link
        if link is None:
            return
        book = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        if book.last_link()["chain"] != link["chain"]:
            raise LedgerError(
                f"the ledger {book.name!r} is not the one that the earlier model was charged to, so it would "
                "hold a part of what both cost; name that one (ledger=, --ledger)"
            )
        book.check_link(link, "the earlier model")
        dataset = self._earlier.guarantee["dataset"] if self._earlier is not None else None
        for summary in book.datasets():
            if summary.dataset == dataset and summary.limit_came_first:
                self._limit = summary.limit

    def _take_over(self, asked: FitArguments) -> None:
        if self._earlier is None:
            return
        self.releases_ = (*self.releases_, *self._earlier.all_releases)
        if asked.epsilon is not None:
            last = reserved_by(asked.epsilon, asked.delta, self.added_delta_)
            self.guarantee_ = joint_statement(
                self.guarantee_, self.schema_, self._earlier, last, self.releases_, self._limit
            )

    def _own_releases(self) -> Sequence[Release]:
        return parted(self.releases_)[0]

    def _facts_of_start(self) -> dict[str, Any]:
        return {} if self._earlier is None else {"earlier": self._earlier.to_dict()}

    def _take_start(self, manifest: Mapping[str, Any]) -> None:
        fields = manifest.get("earlier")
        before = parted(self.releases_)[1]
        self.earlier_ = None if fields is None else Earlier.from_dict(fields, before, self.settings_type)


def _earlier_of(start: Any) -> Earlier:
    """Return what is kept of a fitted synthesizer, or of its file, to go on from."""
    if isinstance(start, str | Path):
        from privsynth.synthesizers import load

        start = load(start)
    if type(start) is not MarginalSynthesizer:
        raise ParameterError(
            "expected start (--start) to be a model fitted by MarginalSynthesizer (marginal), or its file, "
            f"got {type(start).__name__}: only noisy tables of records can be measured on"
        )
    start._fitted()
    if start.epsilon is None:
        raise ParameterError(
            "the earlier model is not private, so nothing that is made of it is; begin from a private one, "
            "or leave start (--start) out"
        )
    return Earlier(
        schema=start.schema_,
        settings=start.settings_,
        epsilon=start.epsilon,
        delta=start.delta,
        added_delta=start.added_delta_,
        releases=tuple(start._own_releases()),
        guarantee=start.guarantee_,
        ledger_link=start.ledger_link_,
        earlier=start._earlier,
    )
