"""From a schema to domains: find what it keeps private, release the 1-way marginals, and make bins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import Domain, NumericDomain, codings_of
from privsynth.models.tables.fitting import Measurement
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import Marginals
from privsynth.schema import Column, Schema
from privsynth.schema.sequences import FIRST
from privsynth.synthesizers.tables.coarse_domains import (
    coarsened,
    coarsened_as,
    is_missing_only,
    missing_only,
)
from privsynth.synthesizers.tables.discoveries import (
    DomainBudget,
    counted,
    is_before,
    with_own_values,
)
from privsynth.synthesizers.tables.fine_domains import find_octaves, fine_domain
from privsynth.synthesizers.tables.octaves import is_wide
from privsynth.synthesizers.tables.row_before import BIAS, CERTAIN

FloatArray = NDArray[np.float64]

ONE_WAY = "1-way marginals"  # the purpose in ledger and guarantee
MOST_OF_REST = 0.8  # of what an amended run has left, for 1-way marginals
EVEN_PART = 0.5  # of the budget of the 1-way marginals; the rest follows their numbers of cells
GIVEN_SPREAD = 0.05  # of what the model of a table above tells, as a part of each share


@dataclass(frozen=True)
class Known:
    """What is known of a column before anything is counted: its codes, and their shares, ``(n_codes,)``."""

    domain: Domain
    shares: FloatArray


@dataclass(frozen=True)
class Domains:
    """What the run knows about each column, and the noisy number of units."""

    by_column: Mapping[str, Domain]
    one_way: list[Measurement]
    n_units: float
    n_units_std: float


def find_domains(
    curator: Curator,
    schema: Schema,
    budget: DomainBudget,
    *,
    n_units: float,
    n_bins: int,
    given: Mapping[str, Known] = MappingProxyType({}),
    counts_before: bool = True,
) -> Domains:
    """Release what the schema keeps private, then the 1-way marginals, and make bins from them.

    Args:
        curator: Gives the releases.
        schema: Public description of the table.
        budget: Shares of each step.
        n_units: First noisy count of the units; decides how finely number lines are divided.
        n_bins: Bins aimed at for a number line.
        given: What is known of the columns that the tables above tell of (``is_given``), from their releases.
        counts_before: Whether columns of the row before are counted; else they follow from the others.

    Privacy:
        Accounted: by the curator, release by release.
    """
    columns = counted(schema, before=counts_before)
    mu_squared = budget.one_way * curator.allowance.mu_squared
    # by all that the run may spend: an amended run then finds the tables that it kept on the same grids
    resolution = n_units / noise_for(budget.one_way * curator.limit.mu_squared / len(columns))
    cell_noise = n_units / resolution
    octaves = {c.name: find_octaves(curator, c, budget) for c in with_own_values(schema) if is_wide(c)}
    grids = {name: of.grid(schema.columns[name], cell_noise=cell_noise) for name, of in octaves.items()}
    own = {
        c.name: fine_domain(curator, schema, c, budget, resolution, grids.get(c.name), n_units=n_units)
        for c in with_own_values(schema)
    }
    fine = {
        c.name: own[c.name] if c.values_of is None else _with_values_of(own[c.values_of], c) for c in columns
    }
    parts = one_way_parts([domain.size for domain in fine.values()])
    released = []
    for i, (name, domain) in enumerate(fine.items()):
        key = f"counts/one-way/{name}"
        cost = _affordable(curator, key, parts[i] * mu_squared, parts[i] / parts[i:].sum())
        marginal = Marginals(
            purpose=ONE_WAY, codings=codings_of(fine), sets=((name,),), noise_multiplier=noise_for(cost)
        )
        release = curator.release(key, marginal)
        counts, noise = release.arrays["0"], release.noise_multiplier
        if isinstance(domain, NumericDomain) and name in octaves:
            cells = octaves[name].reconciled(domain.grid, counts[: domain.grid.n_cells], noise_std=noise)
            counts = np.r_[cells, counts[domain.grid.n_cells :]]
        released.append((domain, counts, noise))
    precisions = [1.0 / (noise**2 * counts.size) for _, counts, noise in released]
    n_units = float(np.average([counts.sum() for _, counts, _ in released], weights=precisions))
    n_units_std = 1.0 / math.sqrt(sum(precisions))
    follows = {} if counts_before else tables_before(schema, released)
    released += [(domain, table.counts, noise) for domain, table, noise in follows.values()]
    coarse: dict[str, tuple[Domain, Measurement]] = {}
    for domain, counts, noise in sorted(released, key=lambda part: part[0].column.values_of is not None):
        column = domain.column
        if column.values_of is not None:
            coarse[column.name] = coarsened_as(coarse[column.values_of], domain, counts, noise, n_bins)
        elif is_missing_only(domain, counts, noise, n_units, n_units_std):
            coarse[column.name] = missing_only(column, counts, noise)
        else:
            coarse[column.name] = coarsened(domain, counts, noise, n_bins)
    for name, (_, table, _) in follows.items():
        domain, measured = coarse[name]
        spread = np.asarray(measured.variance) + (BIAS * measured.counts) ** 2 + table.variance
        coarse[name] = (domain, replace(measured, variance=spread))
    n_units = max(n_units, 1.0)
    for name, known in given.items():
        counts, least = n_units * known.shares, min(noise for _, _, noise in released)
        coarse[name] = (
            known.domain,
            Measurement(columns=(name,), counts=counts, variance=(GIVEN_SPREAD * counts) ** 2 + least**2),
        )
    names = [column.name for column in schema.modelled]
    domains = {name: coarse[name][0] for name in names}
    return Domains(domains, [coarse[name][1] for name in names], n_units, n_units_std)


def tables_before(
    schema: Schema, released: Sequence[tuple[Domain, FloatArray, float]]
) -> dict[str, tuple[Domain, Measurement, float]]:
    """Return domain, table and noise of columns of the row before, as the tables of the rows tell of them.

    A row that is no person's first has a row before it, and that is any but a last one: about as all rows.

    Args:
        schema: A view of sequences.
        released: Domain at the finest, counts and noise of all other columns that are counted.

    Returns:
        By the name of each column of the row before.

    Privacy:
        Post-processing of releases.
    """
    of = {domain.column.name: (domain, counts, noise) for domain, counts, noise in released}
    first = np.maximum(of[FIRST][1], 0.0)
    part = float(first[1] / max(first.sum(), 1.0))
    out = {}
    for column in counted(schema):
        if not is_before(column):
            continue
        domain, counts, noise = of[str(column.values_of)]
        n_values = domain.size - domain.has_missing
        missing = counts[n_values:].sum() * (1.0 - part) + part * max(float(counts.sum()), 1.0)
        table = Measurement(
            columns=(column.name,), counts=np.r_[(1.0 - part) * counts[:n_values], missing], variance=CERTAIN
        )
        out[column.name] = (_with_values_of(domain, column), table, noise)
    return out


def _with_values_of(fine: Domain, column: Column) -> Domain:
    """Return the domain of a column that takes the values of another one, at the finest."""
    return replace(fine, column=column, has_missing=bool(column.missing))


def _affordable(curator: Curator, key: str, planned: float, part: float) -> float:
    """Return what a release may cost: as planned, but in an amended run no more than its part of the rest."""
    if not any(release.void or release.kept for release in curator.store):
        return planned
    return min(planned, max(MOST_OF_REST * part * curator.remaining(key), 1e-9 * planned))


def one_way_parts(n_cells: Sequence[int]) -> FloatArray:
    """Return the part of a budget for each table of counts, ``(n_tables,)``; they sum to 1.

    The noise of a table of n cells is n times its standard deviation. Under a fixed sum of ``mu**2`` the
    noise of all cells is least when each table gets a part in proportion to n to the power of 2/3; but the
    rates of columns of few values matter more than their few cells, so `EVEN_PART` is divided evenly.

    Args:
        n_cells: Of each table.
    """
    weight = np.asarray(n_cells, dtype=np.float64) ** (2.0 / 3.0)
    return EVEN_PART / len(n_cells) + (1.0 - EVEN_PART) * weight / weight.sum()
