"""Linkage: do synthetic rows join two halves of a person's record, or carry over who is unique?

References:
    Article 29 Working Party, Opinion 05/2014 on Anonymisation Techniques (linkability); Raab, Nowok and
    Dibben, "Practical Privacy Metrics for Synthetic Data", 2024 (replicated uniques).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from privsynth.attacks.features import FeatureSpace
from privsynth.attacks.neighbours import nearest
from privsynth.attacks.queries import agreement_counts, once_a_person
from privsynth.records.codes import Discretiser


def linked(
    targets: pd.DataFrame, synthetic: pd.DataFrame, first: Sequence[str], second: Sequence[str]
) -> np.ndarray:
    """Return whose halves are linked: the synthetic row nearest to one half is nearest to the other too.

    Ties count as linked where the row found by the first half lies as near by the second half as any.

    Args:
        targets: Canonical rows.
        synthetic: The released table, all of it.
        first: Columns that one of the attacker's sources holds.
        second: Columns that the other holds.

    Returns:
        ``(n_targets,)`` bool.

    Privacy:
        Not private: compares with real records.
    """
    halves = []
    for columns in (list(first), list(second)):
        space = FeatureSpace.fit([synthetic[columns]])
        halves.append((space.place(targets[columns]), space.place(synthetic[columns])))
    (points, among), (other_points, other_among) = halves
    found = nearest(points, among, 1).position[:, 0]
    distance = np.linalg.norm(other_points.astype(np.float64) - other_among[found], axis=1)
    return distance <= nearest(other_points, other_among, 1).distance[:, 0] + 1e-5


def replicated_uniques(
    targets: pd.DataFrame,
    synthetic: pd.DataFrame,
    keys: Sequence[str],
    persons: np.ndarray | None = None,
) -> np.ndarray:
    """Return who is the only one with their key among the targets and whose key one synthetic unit has.

    Args:
        targets: Canonical rows, one a unit.
        synthetic: The released table, all of it.
        keys: Columns that an acquaintance knows.
        persons: Synthetic person of each released row; None where every row is a unit.

    Returns:
        ``(n_targets,)`` bool.

    Privacy:
        Not private: counts real records.
    """
    names = list(keys)
    discretiser = Discretiser.of_quantiles([synthetic[names]])
    codes, released = discretiser.matrix(targets[names]), discretiser.matrix(synthetic[names])
    columns = range(len(names))
    among_targets = agreement_counts(codes, codes, columns)
    return (among_targets == 1) & (agreement_counts(codes, once_a_person(released, persons), columns) == 1)
