"""Confidence intervals of what an attack achieves: rates (Clopper–Pearson) and the area under its ROC curve.

All of them treat the scored units (persons, or rows without a person column) as independent. None covers
the randomness of the fitted generator: another fit to the same records would score differently.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, norm, rankdata

from privsynth.errors import ParameterError


class AucEstimate(NamedTuple):
    """Area under the ROC curve, with a two-sided confidence interval."""

    auc: float
    low: float
    high: float


def clopper_pearson(n_successes: int, n_trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a rate; ``(0, 1)`` without trials.

    Args:
        n_successes: Number of successes, in ``[0, n_trials]``.
        n_trials: Number of independent trials, >= 0.
        confidence: Coverage of the interval, in (0, 1).

    Raises:
        ParameterError: If a count is out of range.

    Privacy:
        Post-processing: of the counts given, which are those of real records if the caller's are.

    References:
        Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 1934.

    Example:
        >>> [round(limit, 5) for limit in clopper_pearson(5, 100)]
        [0.01643, 0.11283]
    """
    one_sided = 1 - (1 - confidence) / 2
    return (
        clopper_pearson_lower(n_successes, n_trials, confidence=one_sided),
        clopper_pearson_upper(n_successes, n_trials, confidence=one_sided),
    )


def clopper_pearson_lower(n_successes: int, n_trials: int, *, confidence: float) -> float:
    """Return the one-sided lower limit of a rate: 0 without a success."""
    _check_counts(n_successes, n_trials)
    if n_successes == 0:
        return 0.0
    return float(beta.ppf(1 - confidence, n_successes, n_trials - n_successes + 1))


def clopper_pearson_upper(n_successes: int, n_trials: int, *, confidence: float) -> float:
    """Return the one-sided upper limit of a rate: 1 without a failure."""
    _check_counts(n_successes, n_trials)
    if n_successes == n_trials:
        return 1.0
    return float(beta.ppf(confidence, n_successes + 1, n_trials - n_successes))


def auc_interval(
    member_scores: np.ndarray, non_member_scores: np.ndarray, *, confidence: float = 0.95
) -> AucEstimate:
    """Return the probability that a member scores above a non-member (ties count half), by DeLong.

    Where every member scores above every non-member the estimated variance is zero; the interval then
    runs to the exact limit of as many successes as the smaller side has units, which is conservative.

    Args:
        member_scores: One score a member, ``(n_members,)``, finite, higher = more likely a member.
        non_member_scores: One score a non-member, ``(n_non_members,)``, finite.
        confidence: Coverage of the interval, in (0, 1).

    Raises:
        ParameterError: If a side has fewer than two units.

    Privacy:
        Not private: a function of the scores of real records.

    References:
        DeLong, DeLong and Clarke-Pearson, Biometrics 1988; computed from mid-ranks as in Sun and Xu, 2014.

    Example:
        >>> auc_interval(np.array([3.0, 1.0]), np.array([2.0, 0.0])).auc
        0.75
    """
    n_members, n_non_members = len(member_scores), len(non_member_scores)
    if min(n_members, n_non_members) < 2:
        raise ParameterError(
            "expected at least two members and two non-members to score, got fewer; give larger tables"
        )
    ranks = rankdata(np.concatenate([member_scores, non_member_scores]))
    members_above = (ranks[:n_members] - rankdata(member_scores)) / n_non_members
    non_members_below = 1 - (ranks[n_members:] - rankdata(non_member_scores)) / n_members
    auc = float(members_above.mean())
    variance = members_above.var(ddof=1) / n_members + non_members_below.var(ddof=1) / n_non_members
    if variance <= 0:
        fewest = min(n_members, n_non_members)
        margin = 1 - clopper_pearson(fewest, fewest, confidence=confidence)[0]
    else:
        margin = norm.ppf(1 - (1 - confidence) / 2) * math.sqrt(variance)
    return AucEstimate(auc, max(0.0, float(auc - margin)), min(1.0, float(auc + margin)))


def smallest_detectable_auc(
    n_members: int, n_non_members: int, *, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Return the smallest AUC that a test of this size tells from chance with the stated power.

    Uses the standard error of the Mann–Whitney statistic under chance.

    Privacy:
        Post-processing: of two counts.

    Example:
        >>> round(smallest_detectable_auc(1000, 1000), 3)
        0.536
    """
    standard_error = math.sqrt((n_members + n_non_members + 1) / (12 * n_members * n_non_members))
    z = norm.ppf(1 - (1 - confidence) / 2) + norm.ppf(power)
    return min(1.0, 0.5 + float(z) * standard_error)


def _check_counts(n_successes: int, n_trials: int) -> None:
    if not 0 <= n_successes <= n_trials:
        raise ParameterError("expected 0 <= n_successes <= n_trials")
