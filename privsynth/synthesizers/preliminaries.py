"""What every table recipe buys first: a count of the units, domains, 1-way marginals, the condition table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from privsynth.models.fitting import Measurement
from privsynth.models.mixture import ProductMixture
from privsynth.privacy.accounting import noise_for
from privsynth.privacy.curator import Curator
from privsynth.sampling.table_model import Measured, TableModel
from privsynth.schema import Column, Schema
from privsynth.synthesizers.domains import (
    DomainBudget,
    Domains,
    find_combinations,
    find_domains,
    n_discoveries,
)

MAX_CONDITION_CELLS = 2048  # largest joint table of target and groups that is measured


class Shares(Protocol):
    """Shares of ``mu**2`` for the preliminaries; public settings of every table recipe.

    Attributes:
        discovery_share: For private categories and bounds, all columns together; only if there are any.
        spikes_share: For the single values of wide number lines; only if there are any.
        one_way_share: For the 1-way marginals.
        units_share: For a first count of the units.
        condition_share: For the joint table of target and groups; only if there is one.
        n_bins: Bins aimed at for a number line.
    """

    @property
    def discovery_share(self) -> float: ...
    @property
    def spikes_share(self) -> float: ...
    @property
    def one_way_share(self) -> float: ...
    @property
    def units_share(self) -> float: ...
    @property
    def condition_share(self) -> float: ...
    @property
    def n_bins(self) -> int: ...


@dataclass(frozen=True)
class Preliminaries:
    """What was bought first."""

    domains: Domains
    condition: Measurement | None
    combinations: Mapping[tuple[str, ...], tuple[tuple[str | None, ...], ...]]

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The tables that were measured, with their mean noise, for statements about support."""
        tables = [*self.domains.one_way, *([self.condition] if self.condition is not None else [])]
        return tuple(Measured(m.columns, float(np.sqrt(np.mean(m.variance)))) for m in tables)

    def conditions(self, schema: Schema) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Return the condition columns and their released counts; a single one has its 1-way marginal."""
        if self.condition is not None:
            return self.condition.columns, self.condition.counts
        columns = condition_columns(schema)
        if len(columns) == 1:
            return columns, next(m.counts for m in self.domains.one_way if m.columns == columns)
        return (), np.ones(())

    def table_model(self, schema: Schema, mixture: ProductMixture) -> TableModel:
        """Return the model that samples from a mixture over these domains."""
        return TableModel(
            schema,
            self.domains.by_column,
            mixture,
            self.domains.n_units,
            self.domains.n_units_std,
            self.measured,
            self.combinations,
        )


def count_units(curator: Curator, units_share: float) -> float:
    """Buy a first count of the units, which decides how the rest of the budget is divided."""
    noise = noise_for(units_share * curator.allowance.mu_squared)
    release = curator.count("counts/units", "number of units", {}, [()], noise_multiplier=noise)
    return max(float(release.arrays["0"].sum()), 1.0)


def buy_preliminaries(
    curator: Curator, shares: Shares, *, n_units: float, delta_share: float = 1.0
) -> Preliminaries:
    """Buy domains, 1-way marginals and the condition table.

    Args:
        curator: Sells the releases.
        shares: Public settings.
        n_units: First noisy count of the units.
        delta_share: Part of the delta that adds up which discovery may use; gradient steps need the rest.

    Privacy:
        Accounted: by the curator, release by release.
    """
    schema = curator.schema
    n_private, n_wide = n_discoveries(schema)
    budget = DomainBudget(
        discovery=shares.discovery_share / max(n_private, 1),
        spikes=shares.spikes_share / max(n_wide, 1),
        one_way=shares.one_way_share,
        delta=delta_share * curator.allowance.added_delta,
    )
    combinations = find_combinations(curator, schema, budget)
    domains = find_domains(curator, schema, budget, n_units=n_units, n_bins=shares.n_bins)
    condition = _measure_condition(curator, domains, shares.condition_share)
    return Preliminaries(domains, condition, combinations)


def planned_preliminaries(schema: Schema, shares: Shares, mu_squared: float) -> list[dict[str, Any]]:
    """Return what `buy_preliminaries` would buy: purpose, share, count and noise of each kind of release.

    Privacy:
        Public: reads no record.
    """
    n_private, n_wide = n_discoveries(schema)
    bought = [
        ("finding private categories, bounds and combinations", shares.discovery_share, n_private),
        ("single values of wide number lines", shares.spikes_share, n_wide),
        ("number of units", shares.units_share, 1),
        ("1-way marginals", shares.one_way_share, len(schema.modelled)),
        ("joint table of target and groups", shares.condition_share, len(condition_columns(schema)) > 1),
    ]
    return [
        planned_counts(purpose, share, int(count), mu_squared) for purpose, share, count in bought if count
    ]


def planned_counts(purpose: str, share: float, count: int, mu_squared: float) -> dict[str, Any]:
    """Return the plan of ``count`` noisy tables that together cost a share of ``mu_squared``."""
    noise = noise_for(share * mu_squared / count)
    return {"purpose": purpose, "share": share, "count": count, "noise_std": noise}


def condition_columns(schema: Schema) -> tuple[str, ...]:
    """Return the columns whose joint table is always measured: target and groups, in table order."""
    return tuple(c.name for c in schema.modelled if c.role in ("target", "group"))


def expected_width(column: Column, n_bins: int) -> int:
    """Return about how many codes a column will have; public."""
    if isinstance(column.categories, tuple):
        return len(column.categories) + bool(column.missing)
    return 2 if column.type == "boolean" else n_bins


def _measure_condition(curator: Curator, domains: Domains, share: float) -> Measurement | None:
    columns = condition_columns(curator.schema)
    n_cells = math.prod(domains.by_column[name].size for name in columns)
    if len(columns) < 2 or n_cells > MAX_CONDITION_CELLS:
        return None
    noise = noise_for(share * curator.allowance.mu_squared)
    release = curator.count(
        "counts/condition",
        "joint table of target and groups",
        domains.by_column,
        [columns],
        noise_multiplier=noise,
    )
    return Measurement(columns=columns, counts=release.arrays["0"], variance=noise**2)
