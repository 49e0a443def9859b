"""Noisy tables of counts over coded columns.

Proved in Lemmas 2, 3 and 16 of ``PROOF.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from privsynth.domains.coding import Coding
from privsynth.domains.doubling import doubling_bins
from privsynth.privacy.mechanisms.base import Exact, NoisyMechanism
from privsynth.privacy.records import SensitiveRecords
from privsynth.privacy.units import CUT_GRID
from privsynth.schema import Column


@dataclass(frozen=True, kw_only=True)
class Marginals(NoisyMechanism):
    """Tables of counts over sets of columns: array ``"0"`` for the first set, and on; fact ``sets``.

    Each table is one Gaussian event; they are read and stored together. A unit whose rows lie in many cells
    adds far less than 1 to a table in L2. With norms each unit's part of a table is cut to that length, and
    what is released is the cut table *over the norm*, with the noise that every table gets: what it holds
    stands out by up to ``1 / norm`` times as much.

    Attributes:
        codings: Coding of every column named.
        sets: Sets of columns; the empty one counts all units.
        norms: For each set, of one column at least, the L2 norm that a unit's part of its table is cut to, up
            to 1; public, or released before. The facts are then ``cut_sets`` and ``norms``. Empty: no table
            is cut.
    """

    codings: Mapping[str, Coding]
    sets: tuple[tuple[str, ...], ...]
    norms: tuple[float, ...] = ()

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
        """See `NoisyMechanism`: one unit adds at most 1 to each table in all, or a norm in L2."""
        norms = {"norms": list(self.norms)} if self.norms else {}
        facts = {"cut_sets" if norms else "sets": [list(columns) for columns in self.sets], **norms}
        if self.norms:
            each = zip(self.sets, self.norms, strict=True)
            tables = [records.cut_table(columns, self.codings, norm) for columns, norm in each]
        else:
            tables = [*records.tables(self.sets, self.codings)]
        return Exact(
            arrays={str(i): table for i, table in enumerate(tables)},
            steps_per_unit=records.weighting.units_per_one,
            steps_of={str(i): math.ceil(norm * CUT_GRID) for i, norm in enumerate(self.norms)},
            finish=lambda noisy: (facts, dict(noisy)),
        )


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
        (counts,) = records.tables([(name,)], {name: doubling_bins(self.column.step)})
        return Exact(
            arrays={"counts": counts},
            steps_per_unit=records.weighting.units_per_one,
        )
