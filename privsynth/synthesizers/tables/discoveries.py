"""What has to be found under the budget, and what each part of it may cost; public."""

from __future__ import annotations

from dataclasses import dataclass

from privsynth.domains.encoding import NumericGrid
from privsynth.schema import PRIVATE, Column, Schema, whole_steps
from privsynth.schema.constraints import Combinations
from privsynth.schema.row_rules import PREVIOUS
from privsynth.synthesizers.tables.octaves import is_wide

LISTS = "finding private categories and combinations"  # the purpose in plans
BOUNDS = "finding private bounds"
OCTAVES = "doubling bins of wide number lines"
LIST_WEIGHT = 4.0  # of finding a list, against finding bounds: what is not found of a list is lost
MOST_FOR_LISTS = 2.0  # times the share of discovery that is spent at most when lists are private


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


def with_own_values(schema: Schema) -> list[Column]:
    """Return the counted columns whose values are not those of another one; public."""
    return [column for column in counted(schema) if column.values_of is None]


def counted(schema: Schema, *, before: bool = True) -> list[Column]:
    """Return the modelled columns but those that the model of a table above tells of; public.

    Without ``before``, those of the row before are left out too.
    """
    return [c for c in schema.modelled if not c.is_given and (before or not is_before(c))]


def is_before(column: Column) -> bool:
    """Whether a column of a view holds a value of the row before; public."""
    return column.values_of is not None and column.name == PREVIOUS + column.values_of


def private_combinations(schema: Schema) -> list[Combinations]:
    """Return the constraints whose combinations are found under the budget; public."""
    return [c for c in schema.constraints if isinstance(c, Combinations) and c.is_private]


def _has_fine_grid(column: Column) -> bool:
    """Whether a column's grid is fine however few units there are."""
    low, high = column.bounds
    return low is not None and high is not None and grid_between(column, low, high, resolution=1.0).is_fine


def grid_between(column: Column, low: float, high: float, resolution: float) -> NumericGrid:
    """Return a column's grid between bounds in its units; public if they are."""
    if column.step is None:
        return NumericGrid.between(low, high, discrete=False, resolution=resolution)
    first, last = whole_steps(low, high, column.step)
    return NumericGrid.between(first, last, discrete=True, resolution=resolution)
