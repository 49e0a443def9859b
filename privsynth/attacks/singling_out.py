"""Singling out: from the synthetic rows alone, predicates that hold for exactly one person of the real table.

A predicate of weight ``w`` isolates someone among ``n`` independent persons by chance with probability
``n w (1 - w)^(n - 1)``, up to 1/e, so isolating as such shows nothing. The same predicates are tried on as
many persons whom the generator never saw.

References:
    Cohen and Nissim, "Towards Formalizing the GDPR's Notion of Singling Out", PNAS 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from privsynth.attacks.queries import agreement_counts, once_a_person
from privsynth.records.codes import Discretiser, as_numbers

N_PREDICATES = 500
FEWEST_COLUMNS, MOST_COLUMNS = 2, 6


@dataclass(frozen=True)
class Isolated:
    """Which predicates isolate exactly one row of each table.

    Attributes:
        members: ``(n_predicates,)`` bool, in ``n_rows`` rows of the real table.
        outsiders: The same in as many rows of the holdout.
        chance: Mean chance to isolate at the predicates' weights, by the formula above.
        n_rows: Rows of each table.
    """

    members: np.ndarray
    outsiders: np.ndarray
    chance: float
    n_rows: int


def multivariate(
    real: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    generator: np.random.Generator,
    persons: np.ndarray | None = None,
) -> Isolated:
    """Try conjunctions over some columns that exactly one synthetic unit satisfies.

    Args:
        real: Canonical rows of members, one a unit, in random order.
        holdout: The same of outsiders; the longer table is cut to the length of the shorter.
        synthetic: The released table, all of it.
        generator: Draws rows and columns.
        persons: Synthetic person of each released row; None where every row is a unit.

    Privacy:
        Not private: counts real records.
    """
    n_rows = min(len(real), len(holdout))
    discretiser = Discretiser.of_quantiles([synthetic])
    of_synthetic, of_real, of_holdout = (
        discretiser.matrix(table) for table in (synthetic, real[:n_rows], holdout[:n_rows])
    )
    n_columns = of_synthetic.shape[1]
    n_sets = 20
    hits: list[np.ndarray] = []
    for _ in range(n_sets):
        size = min(n_columns, int(generator.integers(FEWEST_COLUMNS, MOST_COLUMNS + 1)))
        columns = sorted(int(i) for i in generator.permutation(n_columns)[:size])
        every = range(size)
        released = once_a_person(of_synthetic[:, columns], persons)
        some = released[generator.permutation(len(released))[: 40 * N_PREDICATES // n_sets]]
        unique = some[agreement_counts(some, released, every) == 1][: N_PREDICATES // n_sets]
        holding = [agreement_counts(unique, table[:, columns], every) for table in (of_real, of_holdout)]
        hits.append(np.stack(holding, axis=1))
    return _isolated(np.concatenate(hits), n_rows)


def univariate(
    real: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, persons: np.ndarray | None = None
) -> Isolated:
    """Try every value that one unit has in a synthetic column, and the ranges beyond its ends.

    Arguments as in `multivariate`; at most `N_PREDICATES` values a table.

    Privacy:
        Not private: counts real records.
    """
    n_rows = min(len(real), len(holdout))
    tables = (real[:n_rows], holdout[:n_rows])
    hits: list[np.ndarray] = []
    most = max(1, N_PREDICATES // synthetic.shape[1])
    for name in synthetic.columns:
        released = as_numbers(synthetic[name])
        known = ~np.isnan(released)
        whose = None if persons is None else persons[known]
        values, counts = np.unique(once_a_person(released[known][:, None], whose), return_counts=True)
        single = values[counts == 1]
        single = single[np.linspace(0, len(single) - 1, min(most, len(single))).astype(int)]
        columns = [np.sort(as_numbers(table[name])) for table in tables]  # NaN last
        hits.append(
            np.stack(
                [
                    np.searchsorted(x, single, side="right") - np.searchsorted(x, single, side="left")
                    for x in columns
                ],
                axis=1,
            )
        )
        if not isinstance(synthetic[name].dtype, pd.CategoricalDtype) and len(values):
            ends = [
                [int((x < values[0]).sum()) for x in columns],
                [int((x > values[-1]).sum()) for x in columns],
            ]
            hits.append(np.array(ends))
    return _isolated(np.concatenate(hits), n_rows)


def _isolated(counts: np.ndarray, n_rows: int) -> Isolated:
    weight = (counts[:, 1] + 0.5) / (n_rows + 1)
    chance = n_rows * weight * (1 - weight) ** (n_rows - 1)
    return Isolated(
        members=counts[:, 0] == 1,
        outsiders=counts[:, 1] == 1,
        chance=float(chance.mean()) if len(chance) else 0.0,
        n_rows=n_rows,
    )
