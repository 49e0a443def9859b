"""Distance attacks: is a row nearer to the synthetic rows than its source makes it?

A generator that has memorised a record puts synthetic rows next to it that the source alone does not explain.
The attacks differ in what they hold against the distance to the nearest synthetic row: nothing (without a
reference table), the density of the reference around the row, or the distances of its neighbours there.

References:
    van Breugel, Sun, Qian and van der Schaar, "Membership Inference Attacks against Synthetic Data through
    Overfitting Detection" (DOMIAS), AISTATS 2023; Watson, Guo, Cormode and Sablayrolles, "On the Importance
    of Difficulty Calibration in Membership Inference Attacks", ICLR 2022.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from privsynth.attacks.neighbours import Neighbourhood

REFERENCE_NEIGHBOUR = 5
_SMALLEST_DISTANCE = 1e-3  # on axes of unit length: keeps the logarithm finite for identical rows


def density_ratio_scores(
    rows: pd.DataFrame, *, synthetic: pd.DataFrame, reference: pd.DataFrame
) -> np.ndarray:
    """Return the score of each row by the density-ratio attack: higher = more likely a member.

    Args:
        rows: Canonical rows to score, ``(n, n_columns)``: members and non-members alike.
        synthetic: The released table, at least one row.
        reference: Rows of the same source, at least one, none of them among ``rows``.

    Returns:
        ``(n,)`` float64, finite.

    Privacy:
        Not private: scores of real records.
    """
    return density_ratio(Neighbourhood.of_tables(rows, synthetic, reference))


def density_ratio(near: Neighbourhood) -> np.ndarray:
    """Return ``log(distance to the fifth reference row) - log(distance to the nearest synthetic row)``.

    A nearest-neighbour estimate of ``log p_synthetic - log p_reference``, up to a constant and a factor. The
    nearest synthetic row (not the fifth, say) is what a copied record gives away: on Adult with a tenth of
    the rows copied, the first finds nearly all copies at a false positive rate of 1 %, the fifth none.

    Privacy:
        Not private: scores of real records.
    """
    distances = near.to_reference.distance
    fifth = distances[:, min(REFERENCE_NEIGHBOUR, distances.shape[1]) - 1]
    return _log(fifth) - _log(near.to_synthetic.distance[:, 0])


def nearness(near: Neighbourhood) -> np.ndarray:
    """Return minus the log distance to the nearest synthetic row: the attack without a reference table.

    Privacy:
        Not private: scores of real records.
    """
    return -_log(near.to_synthetic.distance[:, 0])


def calibrated_nearness(near: Neighbourhood) -> np.ndarray:
    """Return how much nearer a row is to the synthetic rows than its neighbours in the reference are.

    The mean log distance to the nearest synthetic row over the nearest reference rows, less the row's own:
    rows in thinly populated regions are far from everything, and are judged by others of that region.

    Privacy:
        Not private: scores of real records.
    """
    of_reference = _log(near.reference_to_synthetic.distance[:, 0])
    return of_reference[near.to_reference.position].mean(axis=1) + nearness(near)


def isolation(near: Neighbourhood) -> np.ndarray:
    """Return the mean distance to the nearest reference rows: high for the rows most at risk.

    Privacy:
        Not private: a property of real records.

    References:
        Meeus, Guepin, Cretu and de Montjoye, "Achilles' Heels: Vulnerable Record Identification in Synthetic
        Data Publishing", ESORICS 2023.
    """
    return near.to_reference.distance[:, :REFERENCE_NEIGHBOUR].mean(axis=1)


def largest_by_unit(scores: np.ndarray, units: np.ndarray | None) -> np.ndarray:
    """Return one score a unit: that of its most exposed row; the scores themselves without persons.

    Args:
        scores: Score of each row, ``(n_rows,)``.
        units: Person of each row, codes ``0..n_persons - 1``, or None where each row is a unit.

    Privacy:
        Not private: scores of real records.

    Example:
        >>> largest_by_unit(np.array([1.0, 3.0, 2.0]), np.array([0, 0, 1])).tolist()
        [3.0, 2.0]
    """
    if units is None:
        return scores
    largest = np.full(int(units.max()) + 1 if len(units) else 0, -np.inf)
    np.maximum.at(largest, units, scores)
    return largest


def _log(distance: np.ndarray) -> np.ndarray:
    return np.log(distance + _SMALLEST_DISTANCE)
