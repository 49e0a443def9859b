"""From the scores of an attack to its figures: AUC, true positive rates at low false positive rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.attacks.intervals import (
    auc_interval,
    auc_p_value,
    clopper_pearson,
    smallest_detectable_auc,
    smallest_detectable_rate,
)

FALSE_POSITIVE_RATES = (0.1, 0.01, 0.001)


def read_out(
    member_scores: np.ndarray,
    non_member_scores: np.ndarray,
    *,
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return the figures of one attack as they stand in ``report.json``.

    The AUC uses every unit. For the operating points the non-members are halved at random: one half sets
    the threshold, the other half shows the false positive rate that this threshold really has.

    Args:
        member_scores: One finite score a member, higher = more likely a member.
        non_member_scores: One finite score a non-member.
        generator: Source of the split of the non-members.
        confidence: Coverage of each interval, in (0, 1).

    Returns:
        ``auc``, ``auc_interval``, ``p_value`` under chance; ``tpr_at_fpr`` with ``tpr``, ``interval``, the
        false positive rate measured (``fpr``, ``fpr_interval``), the counts behind both and the
        ``smallest_detectable_tpr``, null with a ``reason`` where too few non-members are left;
        ``n_members``, ``n_non_members``, ``confidence``, ``smallest_detectable_auc``; and
        ``epsilon_lower_bound``, null: see `privsynth.attacks.pairs` for splits made by chance.

    Privacy:
        Not private: figures of real records, which no epsilon covers.
    """
    estimate = auc_interval(member_scores, non_member_scores, confidence=confidence)
    shuffled = non_member_scores[generator.permutation(len(non_member_scores))]
    threshold_half, read_half = np.array_split(shuffled, 2)
    return {
        "auc": estimate.auc,
        "auc_interval": [estimate.low, estimate.high],
        "p_value": auc_p_value(estimate.auc, len(member_scores), len(non_member_scores)),
        "tpr_at_fpr": {
            f"{rate:g}": _operating_point(member_scores, threshold_half, read_half, rate, confidence)
            for rate in FALSE_POSITIVE_RATES
        },
        "n_members": len(member_scores),
        "n_non_members": len(non_member_scores),
        "confidence": confidence,
        "smallest_detectable_auc": smallest_detectable_auc(
            len(member_scores), len(non_member_scores), confidence=confidence
        ),
        "epsilon_lower_bound": None,
    }


def _operating_point(
    member_scores: np.ndarray,
    threshold_half: np.ndarray,
    read_half: np.ndarray,
    rate: float,
    confidence: float,
) -> dict[str, Any]:
    """Accuse whoever scores above the threshold that at most ``rate`` of ``threshold_half`` pass."""
    n_accused = int(np.floor(rate * len(threshold_half) + 1e-9))
    if n_accused < 1:
        needed = int(np.ceil(1 / rate))
        reason = f"needs {needed} non-members to set the threshold, {len(threshold_half)} are there"
        return {"tpr": None, "interval": None, "fpr": None, "fpr_interval": None, "reason": reason}
    threshold = np.sort(threshold_half)[-n_accused - 1] if n_accused < len(threshold_half) else -np.inf
    n_true = int((member_scores > threshold).sum())
    n_false = int((read_half > threshold).sum())
    return {
        "tpr": n_true / len(member_scores),
        "interval": list(clopper_pearson(n_true, len(member_scores), confidence=confidence)),
        "fpr": n_false / len(read_half),
        "fpr_interval": list(clopper_pearson(n_false, len(read_half), confidence=confidence)),
        "n_true_positives": n_true,
        "n_false_positives": n_false,
        "n_members": len(member_scores),
        "n_non_members": len(read_half),
        "smallest_detectable_tpr": smallest_detectable_rate(
            rate, len(member_scores), len(read_half), confidence=confidence
        ),
    }
