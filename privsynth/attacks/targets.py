"""Whom a disclosure attack is tried on, and how its success is held against that on outsiders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.intervals import difference_interval
from privsynth.records.conform import Records


@dataclass(frozen=True)
class Success:
    """How often an attack succeeded on members and, for comparison, on persons that the generator never saw.

    What it finds out about outsiders it knows from the population; the difference is leakage.
    """

    n_members_hit: int
    n_members: int
    n_outsiders_hit: int
    n_outsiders: int

    @classmethod
    def of(cls, members: np.ndarray, outsiders: np.ndarray) -> Success:
        """Count from whether each target was hit."""
        return cls(int(members.sum()), len(members), int(outsiders.sum()), len(outsiders))

    def figures(self, *, confidence: float, n_comparisons: int) -> dict[str, Any]:
        """Return the figures as they stand in ``report.json``.

        Args:
            confidence: Of ``interval`` by itself, and of all ``family_interval`` together.
            n_comparisons: Comparisons of the family.
        """
        members = self.n_members_hit / self.n_members if self.n_members else None
        outsiders = self.n_outsiders_hit / self.n_outsiders if self.n_outsiders else None
        compared: dict[str, Any] = dict.fromkeys(("difference", "interval", "family_interval"))
        if members is not None and outsiders is not None:
            sides = ((members, self.n_members), (outsiders, self.n_outsiders))
            family = 1 - (1 - confidence) / n_comparisons
            compared = {
                "difference": members - outsiders,
                "interval": difference_interval(*sides, confidence=confidence),
                "family_interval": difference_interval(*sides, confidence=family),
            }
        return {
            "members": members,
            "outsiders": outsiders,
            **compared,
            "n_members": self.n_members,
            "n_outsiders": self.n_outsiders,
        }


def one_row_each(
    records: Records, generator: np.random.Generator, max_rows: int | None = None
) -> pd.DataFrame:
    """Return one random row of each unit, in random order, so that rows are independent.

    Args:
        records: Canonical records.
        generator: Draws rows and order.
        max_rows: Largest number of rows returned; None returns one of every unit.

    Privacy:
        Not private: returns records.
    """
    order = generator.permutation(len(records.frame))
    if records.persons is not None:
        order = order[np.unique(records.persons[order], return_index=True)[1]]
        order = order[generator.permutation(len(order))]
    return records.frame.iloc[order[:max_rows]].reset_index(drop=True)
