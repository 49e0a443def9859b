"""Noisy tables of counts over coded columns.

Proved in Lemmas 2 and 3 of ``PROOF.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privsynth.domains.coding import Coding
from privsynth.domains.doubling import doubling_bins
from privsynth.privacy.mechanisms.base import Exact, NoisyMechanism
from privsynth.privacy.records import SensitiveRecords
from privsynth.schema import Column


@dataclass(frozen=True, kw_only=True)
class Marginals(NoisyMechanism):
    """Tables of counts over sets of columns: array ``"0"`` for the first set, and on; fact ``sets``.

    Each table is one Gaussian event; they are read and stored together.

    Attributes:
        codings: Coding of every column named.
        sets: Sets of columns; the empty one counts all units.
    """

    codings: Mapping[str, Coding]
    sets: tuple[tuple[str, ...], ...]

    @property
    def n_releases(self) -> int:
        """See `NoisyMechanism`."""
        return len(self.sets)

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Mechanism`."""
        return tuple(sorted({name for columns in self.sets for name in columns}))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """See `Mechanism`."""
        return [tuple(self.codings[name].size for name in columns) for columns in self.sets]

    def exact(self, records: SensitiveRecords) -> Exact:
        """See `NoisyMechanism`: one unit adds at most 1 to each table in all."""
        tables = {str(i): records.table(columns, self.codings) for i, columns in enumerate(self.sets)}
        facts = {"sets": [list(columns) for columns in self.sets]}
        one = records.weighting.units_per_one
        return Exact(arrays=tables, steps_per_unit=one, finish=lambda noisy: (facts, dict(noisy)))


@dataclass(frozen=True, kw_only=True)
class BoundCounts(NoisyMechanism):
    """Counts of public doubling bins over a number line (array ``counts``): where its values lie.

    Attributes:
        column: The number line.
    """

    column: Column

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Mechanism`."""
        return (self.column.name,)

    def exact(self, records: SensitiveRecords) -> Exact:
        """See `NoisyMechanism`: a row is in one bin."""
        name = self.column.name
        return Exact(
            arrays={"counts": records.table((name,), {name: doubling_bins(self.column.step)})},
            steps_per_unit=records.weighting.units_per_one,
        )
