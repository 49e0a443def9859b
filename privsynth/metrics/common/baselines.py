"""What fidelity is read beside: real rows (the ceiling) and independent columns (the floor)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from privsynth.metrics.common.estimates import figure
from privsynth.metrics.common.tables import Tables, weighted_rows

Compared = Literal["synthetic", "ceiling", "floor"]
T = TypeVar("T")


@dataclass(frozen=True)
class Baselines:
    """A reference, and the tables that are held against it, their rows weighing the same.

    Attributes:
        reference: The holdout, or the real table without one; canonical.
        reference_weights: Weight of each of its rows.
        judged: ``synthetic``; ``ceiling``, real rows in their place, with a holdout only; ``floor``, real
            columns each shuffled on its own. The latter two have as many rows as the smaller of the real and
            the synthetic table, so that their sampling error is like the synthetic one's.
    """

    reference: pd.DataFrame
    reference_weights: np.ndarray
    judged: dict[Compared, pd.DataFrame]

    @classmethod
    def of(cls, tables: Tables, generator: np.random.Generator) -> Baselines:
        """Draw ceiling and floor from the real table.

        Privacy:
            Not private: holds real records.
        """
        n_rows = min(len(tables.real.frame), len(tables.synthetic.frame))
        judged: dict[Compared, pd.DataFrame] = {
            "synthetic": tables.synthetic_sample(generator),
            "floor": tables.independent_sample(n_rows, generator),
        }
        if tables.holdout is None:
            return cls(tables.real.frame, tables.real_weights, judged)
        judged["ceiling"] = tables.real_sample(n_rows, generator).reset_index(drop=True)
        return cls(tables.holdout.frame, tables.holdout_weights, judged)

    def each(self, measure: Callable[[pd.DataFrame], T]) -> dict[Compared, T]:
        """Return what a measure says of each judged table."""
        return {name: measure(table) for name, table in self.judged.items()}

    def sampled(self, n_most: int, generator: np.random.Generator) -> Baselines:
        """Return as many rows of each table, at most ``n_most``, drawn by weight; all weigh the same.

        Privacy:
            Not private: holds real records.
        """
        n_rows = min(n_most, len(self.reference), *(len(table) for table in self.judged.values()))
        chosen = weighted_rows(self.reference_weights, n_rows, generator)
        judged = {
            name: table.iloc[generator.permutation(len(table))[:n_rows]].reset_index(drop=True)
            for name, table in self.judged.items()
        }
        reference = self.reference.iloc[chosen].reset_index(drop=True)
        return Baselines(reference, np.ones(n_rows), judged)


def figure_of(values: Mapping[Compared, float | None]) -> dict[str, Any]:
    """Return a figure from what a measure says of each judged table."""
    return figure(values["synthetic"], ceiling=values.get("ceiling"), floor=values.get("floor"))


def figures_of(values: Mapping[Compared, Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """Return figures by name from a measure that returns several scores."""
    return {
        score: figure_of({name: scores[score] for name, scores in values.items()})
        for score in values["synthetic"]
    }
