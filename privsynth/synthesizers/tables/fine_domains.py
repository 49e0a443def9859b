"""Domains at the finest, before rows are counted: what is public as declared, what is private as found."""

from __future__ import annotations

import math

import numpy as np

from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.counts import BoundCounts
from privsynth.privacy.mechanisms.discovery import HeldByMany
from privsynth.schema import Category, Column, Schema, category_text
from privsynth.schema.constraints import MAX_COMBINATIONS
from privsynth.synthesizers.tables.bounds import find_bounds
from privsynth.synthesizers.tables.discoveries import (
    Discoveries,
    DomainBudget,
    grid_between,
    private_combinations,
)
from privsynth.synthesizers.tables.octaves import Octaves

MAX_VALUES = 256  # categories published of a column
MOST_HELD = 2**21  # values that are considered of a column, about
MAX_SPIKES = 64  # single numbers published of a column


def least_held(n_units: float) -> int:
    """Return how many units a value must have to be considered: 1 for up to `MOST_HELD` units; public.

    Args:
        n_units: A noisy count of the units.
    """
    return max(1, math.ceil(n_units / MOST_HELD))


def fine_domain(
    curator: Curator,
    schema: Schema,
    column: Column,
    budget: DomainBudget,
    resolution: float,
    grid: NumericGrid | None,
    *,
    n_units: float,
) -> Domain:
    """Return a column's domain at the finest: every category, or a bin for each cell of its grid.

    The grid is made here if it is not given.

    Privacy:
        Accounted: releases of what the schema keeps private of the column.
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
            at_least=least_held(n_units),
        )
        texts = tuple(curator.release(f"values/{column.name}", held_by_many).facts["values"])
        in_order = map(category_text, sorted(as_numbers(texts)))
        return DiscreteDomain(column, tuple(in_order), True, has_missing)
    bounds_found = True
    if grid is None:
        low, high, bounds_found = find_bounds(curator, column, budget.bounds)
        grid = grid_between(column, low, high, resolution)
    if not grid.is_fine:
        held_by_many = HeldByMany(
            purpose=f"values of {column.name!r} held by many",
            of=(column,),
            noise_multiplier=noise_for(budget.point_masses * mu_squared),
            delta=delta,
            max_values=MAX_SPIKES,
            at_least=least_held(n_units),
        )
        release = curator.release(f"spikes/{column.name}", held_by_many)
        point_masses = np.asarray(release.facts["values"], dtype=np.float64)
        grid = grid.with_point_masses(point_masses[(point_masses >= grid.low) & (point_masses <= grid.high)])
    cells = np.arange(grid.n_cells)
    return NumericDomain(column, grid, cells, np.ones(grid.n_cells), has_missing, bounds_found)


def find_octaves(curator: Curator, column: Column, budget: DomainBudget) -> Octaves:
    """Release the counts of a number line's doubling bins.

    Privacy:
        Accounted: one release.
    """
    noise = noise_for(budget.octaves * curator.allowance.mu_squared)
    orders = BoundCounts(
        purpose=f"orders of magnitude of {column.name!r}", column=column, noise_multiplier=noise
    )
    release = curator.release(f"octaves/{column.name}", orders)
    return Octaves(release.arrays["counts"], release.noise_multiplier)


def find_combinations(
    curator: Curator, schema: Schema, budget: DomainBudget, *, n_units: float
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
            at_least=least_held(n_units),
        )
        release = curator.release(f"combinations/{'/'.join(constraint.columns)}", held_by_many)
        found = tuple(tuple(texts) for texts in release.facts["combinations"])
        begins = [texts[: constraint.n_determinants] for texts in found]
        out[constraint.columns] = () if len(set(begins)) < len(begins) else found
    return out


def as_numbers(texts: tuple[str, ...]) -> tuple[Category, ...]:
    """Return published texts as numbers if all are written like numbers; a function of the release alone."""
    try:
        numbers = [int(text) if text.lstrip("-").isdigit() else float(text) for text in texts]
    except ValueError:
        return texts
    is_plain = all(math.isfinite(n) and category_text(n) == t for n, t in zip(numbers, texts, strict=True))
    return tuple(numbers) if is_plain else texts
