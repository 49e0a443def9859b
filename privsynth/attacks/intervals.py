"""Confidence intervals of rates and shares, of their differences, and of the area under a ROC curve.

All of them treat the scored units (persons, or rows without a person column) as independent. None covers
the randomness of the fitted generator: another fit to the same records would score differently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def auc_p_value(auc: float, n_members: int, n_non_members: int) -> float:
    """Return the two-sided p-value of an AUC under chance, by the Mann-Whitney statistic (large samples).

    Privacy:
        Post-processing: of figures of real records.

    Example:
        >>> round(auc_p_value(0.536, 1000, 1000), 3)
        0.005
    """
    return float(2 * norm.sf(abs(auc - 0.5) / _chance_error(n_members, n_non_members)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number: below alpha holds for all of them together.

    References:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 1979.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors)
    out = np.empty(len(p_values))
    out[order] = np.minimum(adjusted, 1.0)
    return [float(p) for p in out]


def wilson(share: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share, which holds for few units and at zero.

    Args:
        share: Observed share, in [0, 1].
        n: Number of independent units behind it, > 0; may be an effective number.
        confidence: Coverage of the interval, in (0, 1).

    Privacy:
        Post-processing: of the share given.

    References:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927.

    Example:
        >>> tuple(round(limit, 4) for limit in wilson(0.0, 20))
        (0.0, 0.1611)
    """
    z = float(norm.ppf((1 + confidence) / 2))
    centre = share + z * z / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def difference_interval(
    first: tuple[float, float], second: tuple[float, float], *, confidence: float = 0.95
) -> list[float]:
    """Return an interval of the difference of two independent shares, first minus second.

    Combines the Wilson limits of both (the square-and-add method).

    Args:
        first: Share, and the number of units behind it; see `wilson`.
        second: Likewise.
        confidence: Coverage of the interval, in (0, 1).

    Privacy:
        Post-processing: of the shares given.

    References:
        Newcombe, "Interval Estimation for the Difference between Independent Proportions", Statistics in
        Medicine 1998, method 10; the example is its case (a).

    Example:
        >>> [round(limit, 4) for limit in difference_interval((56 / 70, 70), (48 / 80, 80))]
        [0.0524, 0.3339]
    """
    p, (low_p, high_p) = first[0], wilson(*first, confidence=confidence)
    q, (low_q, high_q) = second[0], wilson(*second, confidence=confidence)
    return [
        p - q - math.hypot(p - low_p, high_q - q),
        p - q + math.hypot(high_p - p, q - low_q),
    ]


def smallest_detectable_rate(
    rate: float, n_members: int, n_non_members: int, *, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Return the smallest true positive rate that stands clear of a false positive rate with this power.

    Clear means that the lower Clopper-Pearson limit on ``n_members`` passes the upper limit of the rate, if
    ``n_non_members`` show it as it is.

    Privacy:
        Post-processing: of counts.

    Example:
        >>> round(smallest_detectable_rate(0.01, 1000, 1000), 3)
        0.032
    """
    at_most = clopper_pearson(round(rate * n_non_members), n_non_members, confidence=confidence)[1]
    fewest, most = 0, n_members
    while fewest < most:  # the smallest count whose lower limit passes
        middle = (fewest + most) // 2
        if clopper_pearson(middle, n_members, confidence=confidence)[0] > at_most:
            most = middle
        else:
            fewest = middle + 1
    if clopper_pearson(fewest, n_members, confidence=confidence)[0] <= at_most:
        return 1.0
    return float(beta.ppf(power, fewest, n_members - fewest + 1)) if fewest else 0.0


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
    z = norm.ppf(1 - (1 - confidence) / 2) + norm.ppf(power)
    return min(1.0, 0.5 + float(z) * _chance_error(n_members, n_non_members))


def _chance_error(n_members: int, n_non_members: int) -> float:
    """Return the standard error of the AUC under chance."""
    return math.sqrt((n_members + n_non_members + 1) / (12 * n_members * n_non_members))


def _check_counts(n_successes: int, n_trials: int) -> None:
    if not 0 <= n_successes <= n_trials:
        raise ParameterError("expected 0 <= n_successes <= n_trials")
