"""What every table recipe measures first: units, domains, 1-way marginals, the condition table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import codings_of
from privsynth.errors import ParameterError
from privsynth.models.tables.fitting import Measurement
from privsynth.models.tables.generator import MixtureGenerator, allot_conditions
from privsynth.models.tables.mixture import ProductMixture
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.sampling.table_model import Measured, TableModel
from privsynth.schema import Column, Schema
from privsynth.synthesizers.tables.discoveries import (
    BOUNDS,
    LISTS,
    MOST_FOR_LISTS,
    OCTAVES,
    Discoveries,
    DomainBudget,
    counted,
)
from privsynth.synthesizers.tables.domains import (
    EVEN_PART,
    ONE_WAY,
    Domains,
    Known,
    find_domains,
)
from privsynth.synthesizers.tables.fine_domains import find_combinations
from privsynth.synthesizers.tables.rare_values import FittedCodes

MAX_CONDITION_CELLS = 2048  # largest joint table of target and groups that is measured


@dataclass(frozen=True, kw_only=True)
class BaseMeasurementSettings:
    """Public settings that every table recipe has; shares are of ``mu**2``.

    Attributes:
        discovery_share: For private categories and bounds, all columns together; only if there are any, and
            more of it if there are private lists (see `Discoveries.shares`).
        octaves_share: For the doubling bins of number lines with wide public bounds; only if there are any.
        spikes_share: For the single values of wide number lines; only if there are any.
        one_way_share: For the 1-way marginals, which make the bins and where a model starts.
        units_share: For a first count of the units.
        condition_share: For the joint table of target and groups; only if there is one.
        n_bins: Bins aimed at for a number line.
        counts_before: Whether columns of the row before are counted by themselves; else their tables follow
            from those of the rows.
    """

    discovery_share: float = 0.10
    octaves_share: float = 0.02
    spikes_share: float = 0.03
    one_way_share: float = 0.12
    units_share: float = 0.01
    condition_share: float = 0.03
    n_bins: int = 32
    counts_before: bool = True

    def __post_init__(self) -> None:
        shares = (
            MOST_FOR_LISTS * self.discovery_share,
            self.octaves_share,
            self.spikes_share,
            self.one_way_share,
            self.units_share,
            self.condition_share,
        )
        if not (min(shares) > 0 and sum(shares) < 1 and self.n_bins >= 1):
            raise ParameterError(
                "expected shares above 0 that leave some of the budget for the model, and n_bins >= 1, got "
                f"shares of {sum(shares):g} in all, discovery counted {MOST_FOR_LISTS:g} times for private "
                f"lists, the least {min(shares):g}, and n_bins={self.n_bins!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(**fields)


@dataclass(frozen=True)
class BaseMeasurements:
    """What was measured first.

    Attributes:
        domains: Domains and 1-way marginals.
        codes: What a model is fitted over: the domains, rare values of long lists together.
        condition: The joint table of target and groups, if it was measured.
        combinations: Combinations that were found under the budget, by their columns.
    """

    domains: Domains
    codes: FittedCodes
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
            return columns, next(m.counts for m in self.codes.one_way if m.columns == columns)
        return (), np.ones(())

    def generator(
        self, schema: Schema, *, n_states: int, scatter: float, temperature: float, rng: torch.Generator
    ) -> MixtureGenerator:
        """Return a generator that starts at the 1-way marginals, its conditions from the condition table."""
        names = list(self.codes.by_column)
        columns, counts = self.conditions(schema)
        return MixtureGenerator(
            [np.asarray(m.counts) for m in self.codes.one_way],
            condition_columns=[names.index(name) for name in columns],
            conditions=allot_conditions(counts, n_states),
            n_states=n_states,
            scatter=scatter,
            temperature=temperature,
            rng=rng,
        )

    def table_model(self, schema: Schema, mixture: ProductMixture) -> TableModel:
        """Return the model that samples from a mixture over these codes."""
        return TableModel(
            schema,
            self.domains.by_column,
            mixture,
            self.domains.n_units,
            self.domains.n_units_std,
            self.measured,
            self.combinations,
            self.codes.groups,
        )


def count_units(curator: Curator, units_share: float) -> float:
    """Release a first count of the units, which decides how the rest of the budget is divided."""
    noise = noise_for(units_share * curator.allowance.mu_squared)
    total = Marginals(purpose="number of units", codings={}, sets=((),), noise_multiplier=noise)
    release = curator.release("counts/units", total)
    return max(float(release.arrays["0"].sum()), 1.0)


def measure_base(
    curator: Curator,
    settings: BaseMeasurementSettings,
    *,
    n_units: float,
    delta_share: float = 1.0,
    given: Mapping[str, Known] = MappingProxyType({}),
) -> BaseMeasurements:
    """Release domains, 1-way marginals and the condition table.

    Args:
        curator: Gives the releases.
        settings: Public settings.
        n_units: First noisy count of the units.
        delta_share: Part of the delta that adds up which discovery may use; gradient steps need the rest.
        given: What is known of columns that the tables above tell of.

    Privacy:
        Accounted: by the curator, release by release.
    """
    schema = curator.schema
    private = Discoveries.of(schema)
    lists, bounds = private.shares(settings.discovery_share)
    budget = DomainBudget(
        lists=lists,
        bounds=bounds,
        octaves=settings.octaves_share / max(private.n_octaves, 1),
        point_masses=settings.spikes_share / max(private.n_wide, 1),
        one_way=settings.one_way_share,
        delta=delta_share * curator.allowance.added_delta,
    )
    combinations = find_combinations(curator, schema, budget, n_units=n_units)
    domains = find_domains(
        curator,
        schema,
        budget,
        n_units=n_units,
        n_bins=settings.n_bins,
        given=given,
        counts_before=settings.counts_before,
    )
    condition = measure_condition(curator, domains, settings.condition_share)
    return BaseMeasurements(
        domains, FittedCodes.of(domains, whole=whole_columns(schema, domains)), condition, combinations
    )


def planned_base_measurements(
    schema: Schema, settings: BaseMeasurementSettings, mu_squared: float
) -> list[dict[str, Any]]:
    """Return what `measure_base` would release: purpose, share, count and noise of each kind of release.

    Of the 1-way marginals, which do not all get the same noise, it is the most that a column may get.

    Privacy:
        Public: reads no record.
    """
    private = Discoveries.of(schema)
    lists, bounds = private.shares(settings.discovery_share)
    releases = [
        (LISTS, private.n_lists * lists, private.n_lists),
        (BOUNDS, private.n_bounds * bounds, private.n_bounds),
        (OCTAVES, settings.octaves_share, private.n_octaves),
        ("single values of wide number lines", settings.spikes_share, private.n_wide),
        ("number of units", settings.units_share, 1),
        (ONE_WAY, settings.one_way_share, len(counted(schema, before=settings.counts_before))),
        ("joint table of target and groups", settings.condition_share, len(condition_columns(schema)) > 1),
    ]
    planned = {
        purpose: planned_counts(purpose, share, int(count), mu_squared)
        for purpose, share, count in releases
        if count
    }
    one_way = planned[ONE_WAY]
    even = EVEN_PART * one_way["share"] * mu_squared / one_way["count"]  # what each column gets at least
    return list((planned | {ONE_WAY: one_way | {"noise_std": noise_for(even)}}).values())


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


def whole_columns(schema: Schema, domains: Domains) -> tuple[str, ...]:
    """Return the columns whose values a fit keeps apart: target and groups, if they are not too many."""
    columns = condition_columns(schema)
    n_cells = math.prod(domains.by_column[name].size for name in columns)
    return columns if n_cells <= MAX_CONDITION_CELLS else ()


def measure_condition(curator: Curator, domains: Domains, share: float) -> Measurement | None:
    """Release the joint table of target and groups; None if there is none, or it is too large.

    Privacy:
        Accounted: one Gaussian release.
    """
    columns = whole_columns(curator.schema, domains)
    if len(columns) < 2:
        return None
    noise = noise_for(share * curator.allowance.mu_squared)
    joint = Marginals(
        purpose="joint table of target and groups",
        codings=codings_of(domains.by_column),
        sets=(columns,),
        noise_multiplier=noise,
    )
    release = curator.release("counts/condition", joint)
    return Measurement(columns=columns, counts=release.arrays["0"], variance=noise**2)
