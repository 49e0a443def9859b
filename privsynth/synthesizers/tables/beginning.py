"""What a fit of a table begins from: domains and first tables, released now or by an earlier fit.

A fit that goes on from an earlier one keeps its domains, which cost nothing more, counts each column again,
and takes all tables that were released before as measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from privsynth.accounting.gdp import noise_for
from privsynth.domains.binning import bins_filled_anew
from privsynth.domains.encoding import Domain, NumericDomain, codings_of
from privsynth.models.tables.fitting import Measurement
from privsynth.models.tables.merging import merged
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.amending import allowance
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    count_units,
    measure_base,
    measure_condition,
)
from privsynth.synthesizers.tables.discoveries import Discoveries
from privsynth.synthesizers.tables.domains import ONE_WAY, Domains, Known, one_way_parts
from privsynth.synthesizers.tables.earlier import Earlier
from privsynth.synthesizers.tables.marginal_settings import MarginalSettings
from privsynth.synthesizers.tables.octaves import is_wide
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
        cells: Counts of the finest cells of number lines, missing left out, where earlier fits released them.
    """

    settings: MarginalSettings
    first: BaseMeasurements
    tables: tuple[Measurement, ...] = ()
    cells: Mapping[str, Measurement] = field(default_factory=dict)


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
        strength = n_units * math.sqrt(share * curator.limit.mu_squared)
        adapted = adapted_settings(settings, curator.schema, strength).within(share)
        if share < 1.0:
            adapted = replace(adapted, most_pairs_per_column=0.0)
        first = measure_base(curator, adapted, n_units=n_units, delta_share=delta_share, given=given)
        return Beginning(adapted, first)
    before = measured_before(earlier)
    mu_squared = curator.limit.mu_squared + earlier.mu_squared
    adapted = settings.adapted_to(before.first.domains.n_units * math.sqrt(mu_squared)).within(share)
    first, cells = _counted_again(curator, before, adapted)
    return Beginning(adapted, first, before.tables, cells)


def adapted_settings(settings: MarginalSettings, schema: Schema, strength: float) -> MarginalSettings:
    """Return the settings for the strength of the signal, and for rows of persons if a schema is a view.

    Args:
        settings: As they were asked for.
        schema: Of what is learnt.
        strength: As for `MarginalSettings.adapted_to`.

    Privacy:
        Public, or post-processing of the noisy count that the strength is made of.
    """
    adapted = settings.adapted_to(strength)
    if not is_view(schema):
        return adapted
    if strength <= settings.faint_strength:
        adapted = adapted.of_faint_rows(Discoveries.of(schema).n_lists)
    # many columns are given when a row is drawn, and more bins of each bring nothing
    return replace(adapted, n_bins=min(adapted.n_bins, settings.n_bins), most_pairs_per_column=0.0)


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
    return replace(begun, tables=tuple(tables), cells=begun.cells or _cells_of(store, begun.first.domains))


def _cells_of(store: ReleaseStore, domains: Domains) -> dict[str, Measurement]:
    """Return the counts of cells that a fit released which found the domains itself."""
    cells = {}
    for name, domain in domains.by_column.items():
        release = store.stored(f"counts/one-way/{name}")
        if release is not None and isinstance(domain, NumericDomain) and domain.n_bins:
            (table,) = measured_tables(release)
            if table.counts.size >= domain.grid.n_cells:
                cells[name] = _of_cells(table, domain)
    return cells


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


def _counted_again(
    curator: Curator, before: Beginning, settings: MarginalSettings
) -> tuple[BaseMeasurements, dict[str, Measurement]]:
    """Release the 1-way tables and that of target and groups once more, over the domains that there are.

    Number lines are counted by their finest cells, so that the shape within their bins gets clearer too.

    Returns:
        The first tables of all fits together, and the counts of cells of number lines.
    """
    domains, groups = before.first.domains, before.first.codes.groups
    finest = {name: _finest(domain) for name, domain in domains.by_column.items()}
    parts = one_way_parts([domain.size for domain in finest.values()])
    mu_squared = settings.one_way_share * curator.allowance.mu_squared
    by_column, one_way, cells = dict(domains.by_column), [], dict(before.cells)
    totals, precisions = [domains.n_units], [1.0 / domains.n_units_std**2]
    for name, part, known in zip(finest, parts, domains.one_way, strict=True):
        marginal = Marginals(
            purpose=ONE_WAY,
            codings=codings_of(finest),
            sets=((name,),),
            noise_multiplier=noise_for(part * mu_squared),
        )
        (table,) = measured_tables(curator.release(f"counts/one-way/{name}", marginal))
        totals.append(float(table.counts.sum()))
        precisions.append(1.0 / (float(np.mean(table.variance)) * table.counts.size))
        domain = by_column[name]
        if name in cells and isinstance(domain, NumericDomain):
            cells[name] = merged([cells[name], _of_cells(table, domain)])
            by_column[name], table = _binned(domain, cells[name], known, table)
            one_way.append(table)
        else:
            one_way.append(merged([known, table]))
    n_units = max(float(np.average(totals, weights=precisions)), 1.0)
    both = Domains(by_column, one_way, n_units, 1.0 / math.sqrt(sum(precisions)))
    condition, known_condition = (
        measure_condition(curator, both, settings.condition_share),
        before.first.condition,
    )
    if condition is not None and known_condition is not None:
        condition = merged([known_condition, condition])
    coded = {
        name: before.first.codes.by_column[name] if name in groups else by_column[name] for name in finest
    }
    fitted = [grouped(groups[m.columns[0]], m) if m.columns[0] in groups else m for m in one_way]
    first = BaseMeasurements(both, FittedCodes(coded, fitted), condition, before.first.combinations)
    return first, cells


def _finest(domain: Domain) -> Domain:
    """Return a domain whose codes are the cells of a number line; a list as it is."""
    if not isinstance(domain, NumericDomain) or not domain.n_bins:
        return domain
    n_cells = domain.grid.n_cells
    return replace(domain, bin_of_cell=np.arange(n_cells), cell_weight=np.ones(n_cells))


def _of_cells(table: Measurement, domain: NumericDomain) -> Measurement:
    """Return the counts of a line's cells, missing left out."""
    return replace(table, counts=table.counts[: domain.grid.n_cells])


def _binned(
    domain: NumericDomain, cells: Measurement, known: Measurement, table: Measurement
) -> tuple[NumericDomain, Measurement]:
    """Return a line's domain with the shape that its cells show, and its 1-way table over the bins."""
    bins = bins_filled_anew(
        domain,
        cells.counts,
        noise_std=float(np.sqrt(np.mean(cells.variance))),
        is_wide=is_wide(domain.column) or domain.column.counts_rows,
    )
    counts, variance = bins.counts, bins.variance
    if domain.has_missing:
        variance_known = np.broadcast_to(np.asarray(known.variance, dtype=np.float64), known.counts.shape)
        missing = merged(
            [
                Measurement(columns=known.columns, counts=known.counts[-1:], variance=variance_known[-1:]),
                replace(table, counts=table.counts[-1:]),
            ]
        )
        counts, variance = np.r_[counts, missing.counts], np.r_[variance, np.asarray(missing.variance)]
    return bins.domain, Measurement(columns=known.columns, counts=counts, variance=variance)
