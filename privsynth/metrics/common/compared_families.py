"""Families that are judged, and the references that they stand beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from privsynth.metrics.common.baselines import Compared
from privsynth.metrics.common.families import Families, LinkedTables
from privsynth.metrics.common.marginals import Coded


@dataclass(frozen=True)
class CompareFamilies:
    """Families to judge, and those that they are held against.

    Attributes:
        source: Of the persons that the generator was fitted to.
        judged: ``synthetic``; ``ceiling``, the holdout's, if there is one; ``floor``, independent links.
    """

    source: Families
    judged: dict[Compared, Families]

    @classmethod
    def of(cls, tables: LinkedTables, generator: np.random.Generator) -> CompareFamilies:
        """Deal the rows of the real tables.

        Privacy:
            Not private: holds real records.
        """
        judged: dict[Compared, Families] = {
            "synthetic": tables.synthetic,
            "floor": tables.real.dealt(generator),
        }
        if tables.holdout is not None:
            judged["ceiling"] = tables.holdout
        return cls(tables.real, judged)

    def each(self, measure: Callable[[Families], Coded | None]) -> dict[Compared, Coded | None]:
        """Return what is made of each side's families."""
        return {name: measure(families) for name, families in self.judged.items()}
