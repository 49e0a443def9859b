"""What a fit of a table begins from: domains and first tables, released now or by an earlier fit.

A fit that goes on from an earlier one keeps its domains, which cost nothing more, counts each column again,
and takes all tables that were released before as measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import codings_of
from privsynth.models.tables.fitting import Measurement
from privsynth.models.tables.merging import merged
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.releases.store import Release, ReleaseStore
from privsynth.synthesizers.amending import allowance
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    count_units,
    measure_base,
    measure_condition,
)
from privsynth.synthesizers.tables.domains import ONE_WAY, Domains, Known, one_way_parts
from privsynth.synthesizers.tables.earlier import Earlier
from privsynth.synthesizers.tables.marginal_settings import MarginalSettings
from privsynth.synthesizers.tables.rare_values import FittedCodes, grouped
from privsynth.synthesizers.tables.row_before import is_view
from privsynth.synthesizers.tables.workload import KEY, tables_of_workload


@dataclass(frozen=True)
class Beginning:
    """What a fit begins from.

    Attributes:
        settings: Those of the fit, adapted to the strength of the signal.
        first: Domains, 1-way tables, and the table of target and groups.
        tables: Other tables that earlier fits released.
    """

    settings: MarginalSettings
    first: BaseMeasurements
    tables: tuple[Measurement, ...] = ()


def begin(
    curator: Curator,
    settings: MarginalSettings,
    *,
    share: float = 1.0,
    delta_share: float = 1.0,
    given: Mapping[str, Known] = MappingProxyType({}),
    earlier: Earlier | None = None,
) -> Beginning:
    """Release domains and first tables, or the latter alone where an earlier fit found the domains.

    Args:
        curator: Gives the releases.
        settings: Public settings.
        share: Of the run's ``mu**2`` that the table may cost.
        delta_share: Part of the delta that adds up which discovery may use.
        given: What is known of columns that the tables above tell of.
        earlier: The fit to go on from; None if there is none.

    Privacy:
        Accounted: by the curator, release by release; what an earlier fit released costs nothing more.
    """
    if earlier is None:
        n_units = count_units(curator, share * settings.units_share)
        strength, of_view = n_units * math.sqrt(share * curator.limit.mu_squared), is_view(curator.schema)
        adapted = settings.adapted_to(strength).within(share)
        if of_view:  # many columns are given when a row is drawn, and more bins of each bring nothing
            adapted = replace(adapted, n_bins=min(adapted.n_bins, settings.n_bins))
        first = measure_base(curator, adapted, n_units=n_units, delta_share=delta_share, given=given)
        return Beginning(adapted, first)
    before = measured_before(earlier)
    mu_squared = curator.limit.mu_squared + earlier.mu_squared
    adapted = settings.adapted_to(before.first.domains.n_units * math.sqrt(mu_squared)).within(share)
    return Beginning(adapted, _counted_again(curator, before.first, adapted), before.tables)


def measured_before(earlier: Earlier) -> Beginning:
    """Return all that an earlier fit, and those before it, have measured.

    Privacy:
        Post-processing of their releases: there are no records.
    """
    store = ReleaseStore()
    for release in earlier.releases:
        store.append(release)
    whole = earlier.reserved
    curator = Curator(
        schema=earlier.schema, allowance=allowance(whole, store), limit=whole, store=store, records=None
    )
    begun = begin(curator, earlier.settings, earlier=earlier.earlier)
    tables = list(begun.tables)
    for release in store:
        if release.void or release.lost:
            continue
        if release.key == KEY:
            tables += tables_of_workload(release, begun.first.codes)
        elif release.key.startswith("round-") and release.key.endswith("/measure"):
            tables += measured_tables(release)
    return replace(begun, tables=tuple(tables))


def measured_tables(release: Release) -> list[Measurement]:
    """Return the tables of a release; none of older versions is cut."""
    sets = release.facts.get("cut_sets", release.facts.get("sets", []))
    norms = release.facts.get("norms", [1.0] * len(sets))
    return [
        Measurement(
            columns=tuple(columns),
            counts=release.arrays[str(i)],
            variance=release.noise_multiplier**2,
            norm=norm,
        )
        for i, (columns, norm) in enumerate(zip(sets, norms, strict=True))
    ]


def _counted_again(curator: Curator, first: BaseMeasurements, settings: MarginalSettings) -> BaseMeasurements:
    """Release the 1-way tables and that of target and groups once more, over the domains that there are."""
    domains, groups = first.domains, first.codes.groups
    names = list(domains.by_column)
    parts = one_way_parts([domains.by_column[name].size for name in names])
    mu_squared = settings.one_way_share * curator.allowance.mu_squared
    one_way, totals, precisions = [], [domains.n_units], [1.0 / domains.n_units_std**2]
    for name, part, known in zip(names, parts, domains.one_way, strict=True):
        marginal = Marginals(
            purpose=ONE_WAY,
            codings=codings_of(domains.by_column),
            sets=((name,),),
            noise_multiplier=noise_for(part * mu_squared),
        )
        (table,) = measured_tables(curator.release(f"counts/one-way/{name}", marginal))
        one_way.append(merged([known, table]))
        totals.append(float(table.counts.sum()))
        precisions.append(1.0 / (float(np.mean(table.variance)) * table.counts.size))
    n_units = max(float(np.average(totals, weights=precisions)), 1.0)
    both = Domains(domains.by_column, one_way, n_units, 1.0 / math.sqrt(sum(precisions)))
    condition = measure_condition(curator, both, settings.condition_share)
    if condition is not None and first.condition is not None:
        condition = merged([first.condition, condition])
    fitted = [grouped(groups[m.columns[0]], m) if m.columns[0] in groups else m for m in one_way]
    return BaseMeasurements(both, FittedCodes(first.codes.by_column, fitted), condition, first.combinations)
