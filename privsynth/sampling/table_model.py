"""The fitted table model: domains, mixture, released counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain
from privsynth.errors import RequestError, SchemaError
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.axes import Axis, CellTable
from privsynth.sampling.conditions import Restriction, restrict
from privsynth.sampling.constrained import CombinationFactor, OrderedFactor, combination_codes
from privsynth.sampling.factors import ColumnFactor, Factor, Prepared
from privsynth.sampling.grouped import GroupedFactor, ValueGroups
from privsynth.schema import Schema
from privsynth.schema.constraints import Combination, Combinations, Constraint, Inequality

MOST, NEARLY_ALL = 0.5, 0.95  # shares from which on "other", and missing, are worth a word

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CELLS_AT_ONCE = 1024  # of which the components' weights are held together


@dataclass(frozen=True)
class Measured:
    """A released table: its columns and the noise in each cell, in units."""

    columns: tuple[str, ...]
    noise_std: float


@dataclass(frozen=True)
class TableModel:
    """All that is needed to draw synthetic rows. Holds releases and what was fitted to them.

    Attributes:
        schema: The public description of the table.
        domains: Domain of each modelled column.
        mixture: The generator.
        n_units: Noisy number of units (records or persons).
        n_units_std: Standard deviation of the noise in ``n_units``.
        measured: Tables that were measured, for statements about support.
        combinations: Combinations that were found under the budget, by their columns.
        groups: Columns of many values whose blocks of the mixture are over groups of them.
    """

    schema: Schema
    domains: Mapping[str, Domain]
    mixture: ProductMixture
    n_units: float
    n_units_std: float
    measured: tuple[Measured, ...]
    combinations: Mapping[tuple[str, ...], tuple[Combination, ...]] = field(default_factory=dict)
    groups: Mapping[str, ValueGroups] = field(default_factory=dict)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Columns that are independent given the component: one each, or those of a constraint together."""
        bound = list(self._bound.values())
        taken = {name for factor in bound for name in factor.columns}
        blocks = zip(self.mixture.columns, self.mixture.blocks, strict=True)
        free: list[Factor] = [
            GroupedFactor(self.groups[name], block)
            if name in self.groups
            else ColumnFactor(name, self.domains[name], block)
            for name, block in blocks
            if name not in taken
        ]
        return (*free, *bound)

    def over(self, schema: Schema) -> TableModel:
        """Return the model of the modelled columns of a smaller schema: the marginal of their mixture."""
        names = [column.name for column in schema.modelled]
        blocks = dict(zip(self.mixture.columns, self.mixture.blocks, strict=True))
        constraints = {constraint.columns for constraint in schema.constraints}
        return replace(
            self,
            schema=schema,
            domains={name: self.domains[name] for name in names},
            mixture=ProductMixture(tuple(names), tuple(blocks[name] for name in names)),
            measured=tuple(table for table in self.measured if set(names) >= set(table.columns)),
            combinations={key: of for key, of in self.combinations.items() if key in constraints},
            groups={name: of for name, of in self.groups.items() if name in names},
        )

    def table(self, columns: Sequence[str]) -> FloatArray:
        """Return the mixture's joint probabilities of the codes of some columns, one axis a column."""
        table = self.mixture.table(columns)
        for axis, name in enumerate(columns):
            if name in self.groups:
                table = self.groups[name].spread(table, axis)
        return table

    @property
    def _stated(self) -> list[Constraint]:
        """The constraints over columns that the model has: others are of the row before."""
        return [c for c in self.schema.constraints if self.domains.keys() >= set(c.columns)]

    @cached_property
    def _bound(self) -> dict[Combinations | Inequality, Factor]:
        """The columns of each constraint that rows keep to, drawn together."""
        stated = [c for c in self._stated if isinstance(c, Combinations | Inequality)]
        return {c: factor for c in stated if (factor := self._factor_of(c)) is not None}

    def _factor_of(self, constraint: Combinations | Inequality) -> Factor | None:
        """Return the columns of a constraint; None if what was not found leaves no row that satisfies it."""
        blocks = [self.mixture.blocks[self.mixture.columns.index(name)] for name in constraint.columns]
        blocks = [
            self.groups[name].spread(block) if name in self.groups else block
            for name, block in zip(constraint.columns, blocks, strict=True)
        ]
        if isinstance(constraint, Inequality):
            lines = tuple(self.domains[name] for name in constraint.columns)
            ordered = OrderedFactor(constraint, lines, tuple(blocks))  # type: ignore[arg-type]  # the schema says so
            all_found = all(line.bounds_found for line in ordered.domains)
            return ordered if all_found or ordered.prepare({}).mass.any() else None
        allowed = self.combinations[constraint.columns] if constraint.is_private else constraint.allowed
        codes = combination_codes(constraint, allowed, self.domains)
        if constraint.is_private and not len(codes):
            return None
        return CombinationFactor(constraint.columns, tuple(blocks[: constraint.n_determinants]), codes)

    @property
    def not_found(self) -> tuple[str, ...]:
        """What the schema keeps private and the budget did not find, and what stands in its place."""
        columns = [_not_found(domain) for domain in self.domains.values()]
        free = [
            f"constraint {constraint}: the budget found nothing that satisfies it; rows need not keep to it"
            for constraint in self._stated
            if isinstance(constraint, Combinations | Inequality) and constraint not in self._bound
        ]
        return (*(sentence for sentence in columns if sentence is not None), *free)

    @property
    def mostly_other(self) -> tuple[str, ...]:
        """Columns with a private list of which most rows hold no value that was found, a sentence each."""
        lists = {n: d for n, d in self.domains.items() if isinstance(d, DiscreteDomain) and d.values}
        shares = {n: float(self.table((n,))[len(d.values)]) for n, d in lists.items() if d.has_other}
        return tuple(
            f"column {name!r}: {share:.0%} of the rows hold none of the {len(lists[name].values)} values "
            "found of its private list; declare its categories if they are public, or drop it"
            for name, share in shares.items()
            if share >= MOST
        )

    @property
    def nearly_empty(self) -> tuple[str, ...]:
        """Columns of which nearly every value is missing."""
        can_be = [name for name, domain in self.domains.items() if domain.has_missing and domain.size > 1]
        return tuple(name for name in can_be if float(self.table((name,))[-1]) >= NEARLY_ALL)

    @cached_property
    def feasible_mass(self) -> float:
        """Probability under the mixture that a row satisfies all constraints; one if there are none."""
        mass = np.full(self.mixture.n_components, 1.0 / self.mixture.n_components)
        for factor in self.factors:
            of_factor = factor.prepare({}).mass
            if of_factor is not None:
                mass = mass * of_factor
        return float(mass.sum())

    def require_feasible(self) -> None:
        """Raise a `SchemaError` if no row that the model can make satisfies the constraints."""
        if self.feasible_mass <= 0.0:
            named = "; ".join(str(c) for c in self.schema.constraints)
            raise SchemaError(
                f"no row that the model can make satisfies the constraints ({named}); check them against the "
                "columns' values and bounds, and declare combinations that were not found under the budget"
            )

    def restrictions(self, conditions: Mapping[str, Any] | None) -> dict[str, Restriction]:
        """Return what the conditions leave of each column that they name.

        Raises:
            RequestError: If a condition is malformed or names no modelled column.
        """
        out = {}
        for name, condition in (conditions or {}).items():
            if name not in self.domains:
                raise RequestError(
                    f"conditions: there is no modelled column {name!r}; there are {', '.join(self.domains)}"
                )
            out[name] = restrict(self.domains[name], condition)
        return out


def _not_found(domain: Domain) -> str | None:
    """Return what the budget did not find of a column, and what stands in its place; None if it found all."""
    column = domain.column
    if isinstance(domain, DiscreteDomain):
        if domain.values:
            return None
        texts = ["missing" if label is None else repr(label) for label in domain.labels]
        return f"column {column.name!r}: no category of its private list; every value is {' or '.join(texts)}"
    if domain.bounds_found:
        return None
    if not domain.n_bins:
        return f"column {column.name!r}: its private bounds; it is missing in every row"
    low, high = (column.line.tick_text(column, tick) for tick in (domain.grid.low, domain.grid.high))
    return (
        f"column {column.name!r}: its private bounds; its values lie in a guessed range, {low} to {high}, "
        "and mean little"
    )


@dataclass(frozen=True)
class PreparedFactor:
    """A factor in all variants that the cells of a request put it under.

    Attributes:
        columns: Names of the columns that are drawn together.
        variants: The factor under each variant.
        variant_of_cell: Which variant each cell needs, ``(n_cells,)``.
    """

    columns: tuple[str, ...]
    variants: tuple[Prepared, ...]
    variant_of_cell: IntArray

    @cached_property
    def mass(self) -> FloatArray | None:
        """Each component's mass under each variant, ``(n_variants, K)``; None if all of it under all."""
        masses = [variant.mass for variant in self.variants]
        found = [mass for mass in masses if mass is not None]
        if not found:
            return None
        return np.stack([np.ones_like(found[0]) if mass is None else mass for mass in masses])


class PreparedModel:
    """A model under conditions, cut into cells: its weights and factors, ready to weigh and to draw.

    Args:
        model: The fitted model.
        restrictions: What the conditions leave of columns, in every cell.
        table: The cells.
    """

    def __init__(self, model: TableModel, restrictions: Mapping[str, Restriction], table: CellTable) -> None:
        self.model = model
        self.restrictions = restrictions
        self.table = table
        position = {axis.name: i for i, axis in enumerate(table.axes)}
        self.factors = [_prepared(factor, restrictions, table, position) for factor in model.factors]

    def weights(self, cells: IntArray, *, without: Collection[str] = ()) -> FloatArray:
        """Return each component's joint probability with each of some cells, ``(n_cells, K)``.

        Columns named in ``without`` are left out of the cells.
        """
        k = self.model.mixture.n_components
        weights = np.full((len(cells), k), 1.0 / k)
        for factor in self.factors:
            if factor.mass is not None and not set(factor.columns) & set(without):
                weights *= factor.mass[factor.variant_of_cell[cells]]
        return weights

    @cached_property
    def masses(self) -> FloatArray:
        """The probability of each cell within the conditions, given the constraints, ``(n_cells,)``."""
        cells = np.arange(len(self.table))
        parts = np.array_split(cells, max(1, -(-len(cells) // CELLS_AT_ONCE)))
        mass = np.concatenate([self.weights(part).sum(axis=1) for part in parts])
        return mass / self.model.feasible_mass


def _prepared(
    factor: Factor, restrictions: Mapping[str, Restriction], table: CellTable, position: Mapping[str, int]
) -> PreparedFactor:
    own = {name: restrictions[name] for name in factor.columns if name in restrictions}
    axes = [position[name] for name in factor.columns if name in position]
    if not axes:
        return PreparedFactor(factor.columns, (factor.prepare(own),), np.zeros(len(table), dtype=np.int64))
    combinations, variant_of_cell = np.unique(table.cells[:, axes], axis=0, return_inverse=True)
    variants = []
    for parts in combinations:
        cut = {
            table.axes[a].name: _part(table.axes[a], part, own) for a, part in zip(axes, parts, strict=True)
        }
        variants.append(factor.prepare(own | cut))
    return PreparedFactor(factor.columns, tuple(variants), variant_of_cell.reshape(-1))


def _part(axis: Axis, part: int, restrictions: Mapping[str, Restriction]) -> Restriction:
    """Return what a part leaves of a column, within a condition on it; of a number line there is none."""
    chosen = axis.parts[part]
    if axis.name not in restrictions:
        return chosen
    return Restriction(chosen.share * restrictions[axis.name].share)


def weigh(model: TableModel, weights: FloatArray, known: Mapping[str, IntArray]) -> FloatArray:
    """Multiply components' weights by the probability of known codes; each row up to a factor.

    Args:
        model: The fitted model.
        weights: One row for each combination of known codes, ``(n, K)``; changed in place.
        known: Codes of some columns, ``(n,)``, -1 for unknown.
    """
    for factor in model.factors:
        factor.weigh(weights, known)
        largest = weights.max(axis=1, keepdims=True)
        weights /= np.where(largest > 0, largest, 1.0)  # many small factors must not come to zero
    return weights
