"""From a schema to domains: find what it keeps private, make bins, and release the 1-way marginals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privsynth.accounting.gdp import noise_for
from privsynth.domains.binning import bins_from_histogram
from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid, codings_of
from privsynth.models.tables.fitting import Measurement
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import BoundCounts, Marginals
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.schema import PRIVATE, Category, Column, Schema, category_text, whole_steps
from privsynth.schema.constraints import MAX_COMBINATIONS, Combinations
from privsynth.schema.sequences import PREVIOUS
from privsynth.synthesizers.tables.bounds import find_bounds
from privsynth.synthesizers.tables.octaves import Octaves, is_wide

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MAX_VALUES = 256  # categories published of a column
MAX_SPIKES = 64  # single numbers published of a column
ONE_WAY = "1-way marginals"  # the purpose in ledger and guarantee
LISTS = "finding private categories and combinations"  # the purpose in plans
BOUNDS = "finding private bounds"
OCTAVES = "doubling bins of wide number lines"
MOST_OF_REST = 0.8  # of what an amended run has left, for 1-way marginals
EVEN_PART = 0.5  # of the budget of the 1-way marginals; the rest follows their numbers of cells
GIVEN_WEIGHT = 0.25  # of a 1-way marginal of what the tables above tell, which are drawn before
LIST_WEIGHT = 4.0  # of finding a list, against finding bounds: what is not found of a list is lost
MOST_FOR_LISTS = 2.0  # times the share of discovery that is spent at most when lists are private
MOST_BINS_BEFORE = 6  # of what stands in the row before
REST_MARGIN = 3.0  # "other" and a private missing cell stay if they stand this many noise deviations out


@dataclass(frozen=True, kw_only=True)
class DomainBudget:
    """Shares of ``mu**2`` for finding domains and for 1-way marginals; public.

    Attributes:
        lists: For each private list of categories or combinations.
        bounds: For each pair of private bounds.
        octaves: For the doubling bins of each number line with wide public bounds.
        point_masses: For the single values of each number line whose grid is not fine.
        one_way: For all 1-way marginals together.
        delta: For all lists and single values together; a delta, no share.
    """

    lists: float
    bounds: float
    octaves: float
    point_masses: float
    one_way: float
    delta: float


@dataclass(frozen=True)
class Domains:
    """What the run knows about each column, and the noisy number of units."""

    by_column: Mapping[str, Domain]
    one_way: list[Measurement]
    n_units: float
    n_units_std: float


def find_domains(
    curator: Curator, schema: Schema, budget: DomainBudget, *, n_units: float, n_bins: int
) -> Domains:
    """Release what the schema keeps private, then the 1-way marginals, and make bins from them.

    Args:
        curator: Gives the releases.
        schema: Public description of the table.
        budget: Shares of each step.
        n_units: First noisy count of the units; decides how finely number lines are divided.
        n_bins: Bins aimed at for a number line.

    Privacy:
        Accounted: by the curator, release by release.
    """
    mu_squared = budget.one_way * curator.allowance.mu_squared
    # by all that the run may spend: an amended run then finds the tables that it kept on the same grids
    resolution = n_units / noise_for(budget.one_way * curator.limit.mu_squared / len(schema.modelled))
    cell_noise = n_units / resolution
    octaves = {c.name: _octaves(curator, c, budget) for c in with_own_values(schema) if is_wide(c)}
    grids = {name: of.grid(schema.columns[name], cell_noise=cell_noise) for name, of in octaves.items()}
    own = {
        c.name: _fine_domain(curator, schema, c, budget, resolution, grids.get(c.name))
        for c in with_own_values(schema)
    }
    fine = {
        c.name: own[c.name] if c.values_of is None else _with_values_of(own[c.values_of], c)
        for c in schema.modelled
    }
    weights = [GIVEN_WEIGHT if domain.column.is_given else 1.0 for domain in fine.values()]
    parts = one_way_parts([domain.size for domain in fine.values()], weights)
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
    coarse: dict[str, tuple[Domain, Measurement]] = {}
    for domain, counts, noise in sorted(released, key=lambda part: part[0].column.values_of is not None):
        column = domain.column
        if column.values_of is not None:
            coarse[column.name] = _coarsen_as(coarse[column.values_of], domain, counts, noise)
        elif _is_missing_only(domain, counts, noise, n_units, n_units_std):
            coarse[column.name] = _missing_only(column, counts, noise)
        else:
            coarse[column.name] = _coarsen(domain, counts, noise, n_bins)
    domains = {name: coarse[name][0] for name in fine}
    return Domains(domains, [coarse[name][1] for name in fine], max(n_units, 1.0), n_units_std)


def with_own_values(schema: Schema) -> list[Column]:
    """Return the modelled columns whose values are not those of another one; public."""
    return [column for column in schema.modelled if column.values_of is None]


def _affordable(curator: Curator, key: str, planned: float, part: float) -> float:
    """Return what a release may cost: as planned, but in an amended run no more than its part of the rest."""
    if not any(release.void or release.kept for release in curator.store):
        return planned
    return min(planned, max(MOST_OF_REST * part * curator.remaining(key), 1e-9 * planned))


def one_way_parts(n_cells: Sequence[int], weights: Sequence[float] | None = None) -> FloatArray:
    """Return the part of a budget for each table of counts, ``(n_tables,)``; they sum to 1.

    The noise of a table of n cells is n times its standard deviation. Under a fixed sum of ``mu**2`` the
    noise of all cells is least when each table gets a part in proportion to n to the power of 2/3; but the
    rates of columns of few values matter more than their few cells, so `EVEN_PART` is divided evenly.

    Args:
        n_cells: Of each table.
        weights: How much each table counts; None: all alike.
    """
    even = np.ones(len(n_cells)) if weights is None else np.asarray(weights, dtype=np.float64)
    weight = even * np.asarray(n_cells, dtype=np.float64) ** (2.0 / 3.0)
    return EVEN_PART * even / even.sum() + (1.0 - EVEN_PART) * weight / weight.sum()


@dataclass(frozen=True)
class Discoveries:
    """What has to be found under the budget; public.

    Attributes:
        n_lists: Private lists of categories and of combinations.
        n_bounds: Number lines with a private bound.
        n_wide: Number lines that may need their single values.
        n_octaves: Number lines with wide public bounds.
    """

    n_lists: int
    n_bounds: int
    n_wide: int
    n_octaves: int = 0

    @classmethod
    def of(cls, schema: Schema) -> Discoveries:
        """Count what a schema keeps private."""
        columns = with_own_values(schema)
        lists = sum(1 for c in columns if c.categories == PRIVATE)
        return cls(
            n_lists=lists + len(private_combinations(schema)),
            n_bounds=sum(1 for c in columns if {"low", "high"} & set(c.private_facts)),
            n_wide=sum(1 for c in columns if c.is_numeric and not _has_fine_grid(c)),
            n_octaves=sum(1 for c in columns if is_wide(c)),
        )

    def delta_each(self, delta: float) -> float:
        """Return what each list, and each search for single values, may use of a delta.

        One share is spared for an answer that is lost in a crash.
        """
        return delta / (self.n_lists + self.n_wide + 1)

    def shares(self, share: float) -> tuple[float, float]:
        """Return what each list and each pair of bounds gets of the share of discovery.

        Every private list adds a quarter to the share, up to `MOST_FOR_LISTS` of it.
        """
        total = share * min(MOST_FOR_LISTS, 1.0 + self.n_lists / 4.0)
        each = total / max(LIST_WEIGHT * self.n_lists + self.n_bounds, 1.0)
        return LIST_WEIGHT * each, each


def private_combinations(schema: Schema) -> list[Combinations]:
    """Return the constraints whose combinations are found under the budget; public."""
    return [c for c in schema.constraints if isinstance(c, Combinations) and c.is_private]


def find_combinations(
    curator: Curator, schema: Schema, budget: DomainBudget
) -> dict[tuple[str, ...], tuple[tuple[str | None, ...], ...]]:
    """Release the combinations that the schema keeps private, by their columns.

    None are returned of a dependency that those found contradict: rows then need not keep to it.

    Privacy:
        Accounted: one thresholded release each.
    """
    out: dict[tuple[str, ...], tuple[tuple[str | None, ...], ...]] = {}
    for constraint in private_combinations(schema):
        held_by_many = HeldByMany(
            purpose=f"combinations of {', '.join(constraint.columns)} held by many",
            of=tuple(schema.columns[name] for name in constraint.columns),
            noise_multiplier=noise_for(budget.lists * curator.allowance.mu_squared),
            delta=Discoveries.of(schema).delta_each(budget.delta),
            max_values=MAX_COMBINATIONS,
        )
        release = curator.release(f"combinations/{'/'.join(constraint.columns)}", held_by_many)
        found = tuple(tuple(texts) for texts in release.facts["combinations"])
        begins = [texts[: constraint.n_determinants] for texts in found]
        out[constraint.columns] = () if len(set(begins)) < len(begins) else found
    return out


def _has_fine_grid(column: Column) -> bool:
    """Whether a column's grid is fine however few units there are."""
    low, high = column.bounds
    return low is not None and high is not None and _grid(column, low, high, resolution=1.0).is_fine


def _fine_domain(
    curator: Curator,
    schema: Schema,
    column: Column,
    budget: DomainBudget,
    resolution: float,
    grid: NumericGrid | None,
) -> Domain:
    """Return a column's domain at the finest: every category, or a bin for each cell of its grid.

    The grid is made here if it is not given.
    """
    mu_squared = curator.allowance.mu_squared
    has_missing = bool(column.missing)
    delta = Discoveries.of(schema).delta_each(budget.delta)
    if not column.is_numeric:
        if column.labels is not None:
            return DiscreteDomain(column, column.labels, False, has_missing)
        held_by_many = HeldByMany(
            purpose=f"values of {column.name!r} held by many",
            of=(column,),
            noise_multiplier=noise_for(budget.lists * mu_squared),
            delta=delta,
            max_values=MAX_VALUES,
        )
        texts = tuple(curator.release(f"values/{column.name}", held_by_many).facts["values"])
        in_order = map(category_text, sorted(_as_numbers(texts)))
        return DiscreteDomain(column, tuple(in_order), True, has_missing)
    bounds_found = True
    if grid is None:
        low, high, bounds_found = find_bounds(curator, column, budget.bounds)
        grid = _grid(column, low, high, resolution)
    if not grid.is_fine:
        held_by_many = HeldByMany(
            purpose=f"values of {column.name!r} held by many",
            of=(column,),
            noise_multiplier=noise_for(budget.point_masses * mu_squared),
            delta=delta,
            max_values=MAX_SPIKES,
        )
        release = curator.release(f"spikes/{column.name}", held_by_many)
        point_masses = np.asarray(release.facts["values"], dtype=np.float64)
        grid = grid.with_point_masses(point_masses[(point_masses >= grid.low) & (point_masses <= grid.high)])
    cells = np.arange(grid.n_cells)
    return NumericDomain(column, grid, cells, np.ones(grid.n_cells), has_missing, bounds_found)


def _as_numbers(texts: tuple[str, ...]) -> tuple[Category, ...]:
    """Return published texts as numbers if all are written like numbers; a function of the release alone."""
    try:
        numbers = [int(text) if text.lstrip("-").isdigit() else float(text) for text in texts]
    except ValueError:
        return texts
    is_plain = all(math.isfinite(n) and category_text(n) == t for n, t in zip(numbers, texts, strict=True))
    return tuple(numbers) if is_plain else texts


def _octaves(curator: Curator, column: Column, budget: DomainBudget) -> Octaves:
    """Release the counts of a number line's doubling bins."""
    noise = noise_for(budget.octaves * curator.allowance.mu_squared)
    orders = BoundCounts(
        purpose=f"orders of magnitude of {column.name!r}", column=column, noise_multiplier=noise
    )
    release = curator.release(f"octaves/{column.name}", orders)
    return Octaves(release.arrays["counts"], release.noise_multiplier)


def _grid(column: Column, low: float, high: float, resolution: float) -> NumericGrid:
    if column.step is None:
        return NumericGrid.between(low, high, discrete=False, resolution=resolution)
    first, last = whole_steps(low, high, column.step)
    return NumericGrid.between(first, last, discrete=True, resolution=resolution)


def _is_missing_only(
    fine: Domain, counts: FloatArray, noise: float, n_units: float, n_units_std: float
) -> bool:
    """Whether nothing is known of a number line but that it is missing: no bounds, and hardly any value."""
    if not (isinstance(fine, NumericDomain) and not fine.bounds_found and fine.has_missing):
        return False
    missing = float(counts[-1])
    present_std = math.hypot(noise, n_units_std)
    return missing > REST_MARGIN * noise and n_units - missing <= REST_MARGIN * present_std


def _missing_only(column: Column, counts: FloatArray, noise: float) -> tuple[Domain, Measurement]:
    """Return the domain of a column that is always missing, and its 1-way measurement."""
    total, variance = np.array([counts.sum()]), noise**2 * counts.size
    return NumericDomain.of_missing(column), Measurement(
        columns=(column.name,), counts=total, variance=variance
    )


def _coarsen(fine: Domain, counts: FloatArray, noise: float, n_bins: int) -> tuple[Domain, Measurement]:
    """Return a column's final domain and its 1-way measurement over it."""
    has_missing = _keeps_missing(fine, counts, noise)
    name = fine.column.name
    if isinstance(fine, DiscreteDomain):
        domain = _kept(fine, counts, noise, has_missing)
        codes = [*range(len(fine.values) + domain.has_other), *([-1] if has_missing else [])]
        return domain, Measurement(columns=(name,), counts=counts[codes], variance=noise**2)
    n_cells = fine.grid.n_cells
    bins = bins_from_histogram(
        fine.column,
        fine.grid,
        counts[:n_cells],
        noise_std=noise,
        n_bins=n_bins,
        has_missing=has_missing,
        is_wide=is_wide(fine.column),
    )
    missing = counts[n_cells : n_cells + has_missing]
    return replace(bins.domain, bounds_found=fine.bounds_found), Measurement(
        columns=(name,),
        counts=np.r_[bins.counts, missing],
        variance=np.r_[bins.variance, [noise**2] * has_missing],
    )


def _with_values_of(fine: Domain, column: Column) -> Domain:
    """Return the domain of a column that takes the values of another one, at the finest."""
    return replace(fine, column=column, has_missing=bool(column.missing))


def _coarsen_as(
    coarse: tuple[Domain, Measurement], fine: Domain, counts: FloatArray, noise: float
) -> tuple[Domain, Measurement]:
    """Return a column's domain, from that of the column whose values it takes, and its 1-way measurement.

    What stands before is given and never drawn, so it is told apart less finely: number lines keep
    `MOST_BINS_BEFORE` bins of about equal mass.
    """
    (domain, measured), column = coarse, fine.column
    name = column.name
    if isinstance(domain, DiscreteDomain):
        domain = replace(domain, column=column, has_missing=bool(column.missing))
        codes = [*range(len(domain.values) + domain.has_other), *([-1] if domain.has_missing else [])]
        return domain, Measurement(columns=(name,), counts=counts[codes], variance=noise**2)
    assert isinstance(fine, NumericDomain)
    if not domain.n_bins:
        return _missing_only(column, counts, noise)
    if name.startswith(PREVIOUS):
        merged = merged_bins(domain, measured.counts[: domain.n_bins], MOST_BINS_BEFORE)
    else:
        merged = np.arange(domain.n_bins)
    bin_of_cell = merged[domain.bin_of_cell]
    size = int(merged.max()) + 1
    missing = counts[fine.grid.n_cells :]
    return replace(domain, column=column, bin_of_cell=bin_of_cell, has_missing=fine.has_missing), Measurement(
        columns=(name,),
        counts=np.r_[np.bincount(bin_of_cell, weights=counts[: fine.grid.n_cells], minlength=size), missing],
        variance=noise**2 * np.r_[np.bincount(bin_of_cell, minlength=size), np.ones(len(missing))],
    )


def merged_bins(domain: NumericDomain, counts: FloatArray, most: int) -> IntArray:
    """Return for each bin of a number line which of at most ``most`` neighbouring ones it becomes part of."""
    _, first = np.unique(domain.bin_of_cell, return_index=True)
    along = np.argsort(first)
    mass = np.maximum(counts[along], 0.0)
    middle = (np.cumsum(mass) - mass / 2) / max(mass.sum(), 1.0)
    group = np.minimum((middle * most).astype(np.int64), most - 1)
    out = np.empty(len(first), dtype=np.int64)
    out[along] = np.unique(group, return_inverse=True)[1]
    return out


def _kept(fine: DiscreteDomain, counts: FloatArray, noise: float, has_missing: bool) -> DiscreteDomain:
    """Return a domain with "other" and missing if they stay: "other" if its released count stands out.

    Values that were found are numbers again if nothing beside them has to be written as a text.
    """
    if not fine.has_other:
        return replace(fine, has_missing=has_missing)
    n_values = len(fine.values)
    is_clear = bool(counts[n_values] > REST_MARGIN * noise)
    has_other = is_clear or not (n_values or has_missing)
    texts = tuple(map(category_text, fine.values))
    values = _as_numbers(texts) if fine.column.missing or not has_other else texts
    return replace(fine, values=values, has_other=has_other, has_missing=has_missing)


def _keeps_missing(fine: Domain, counts: FloatArray, noise: float) -> bool:
    """Whether missing stays in the domain: as declared, or if its released count stands out."""
    if fine.column.missing == PRIVATE:
        return bool(counts[-1] > REST_MARGIN * noise)
    return fine.has_missing
