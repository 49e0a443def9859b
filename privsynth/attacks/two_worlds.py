"""The two-world audit: run a mechanism many times with and without one target, and try to tell which.

The scorer and its threshold are fixed on runs of their own; the errors are then counted once, on runs that
neither has seen. (A threshold chosen by the largest bound would find leaks where there are none.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from privsynth.attacks.bounds import ErrorCounts, epsilon_ceiling, epsilon_lower_bound, mu_lower_bound
from privsynth.errors import ParameterError

MIN_RUNS = 10  # of each world, in every part


@dataclass(frozen=True, kw_only=True)
class TwoWorldAudit:
    """What one audit found.

    Attributes:
        errors: Errors on the test runs, at a threshold that was fixed before.
        threshold: A run is taken for one with the target if its score is above.
        confidence: Coverage of each bound.
        delta: For ``epsilon``.
        mu: Lower bound on mu of Gaussian DP.
        epsilon: Lower bound on epsilon at ``delta``, for any mechanism.
        epsilon_ceiling: What ``epsilon`` would be without a single error.
    """

    errors: ErrorCounts
    threshold: float
    confidence: float
    delta: float
    mu: float
    epsilon: float
    epsilon_ceiling: float


def audit_scores(
    without: np.ndarray,
    with_target: np.ndarray,
    *,
    n_validation: int,
    confidence: float = 0.95,
    delta: float = 0.0,
) -> TwoWorldAudit:
    """Audit by scores: the first ``n_validation`` runs of each world set the threshold, the rest is the test.

    Args:
        without: Score of each run without the target, ``(n_runs,)``; higher = more likely with it.
        with_target: Score of each run with it.
        n_validation: Runs of each world that set the threshold, the one of largest ``TPR - FPR``.
        confidence: Coverage of each bound.
        delta: At which epsilon is bounded.

    Raises:
        ParameterError: If a part has fewer than `MIN_RUNS` runs, or a score is not finite.

    Privacy:
        Post-processing: of outputs; runs on real records need a budget of their own.
    """
    if min(n_validation, len(without) - n_validation, len(with_target) - n_validation) < MIN_RUNS:
        raise ParameterError(
            f"expected at least {MIN_RUNS} runs of each world to set the threshold and {MIN_RUNS} to test it"
        )
    if not (np.isfinite(without).all() and np.isfinite(with_target).all()):
        raise ParameterError("expected finite scores; score a failed run by what its failure tells")
    threshold = _best_threshold(without[:n_validation], with_target[:n_validation])
    test_without, test_with = without[n_validation:], with_target[n_validation:]
    errors = ErrorCounts(
        int((test_without > threshold).sum()),
        len(test_without),
        int((test_with <= threshold).sum()),
        len(test_with),
    )
    return TwoWorldAudit(
        errors=errors,
        threshold=threshold,
        confidence=confidence,
        delta=delta,
        mu=mu_lower_bound(errors, confidence=confidence),
        epsilon=epsilon_lower_bound(errors, delta=delta, confidence=confidence),
        epsilon_ceiling=epsilon_ceiling(errors.n_without, errors.n_with, delta=delta, confidence=confidence),
    )


def audit_features(
    without: np.ndarray,
    with_target: np.ndarray,
    *,
    confidence: float = 0.95,
    delta: float = 0.0,
) -> TwoWorldAudit:
    """Audit by features of each output: 40 % of the runs fit a scorer, 20 % set the threshold, 40 % test.

    Features are often coarse, and then repeat by chance: hold the whole outputs against
    `refuse_identical_runs` first.

    Args:
        without: Features of each run without the target, ``(n_runs, n_features)``.
        with_target: Features of each run with it.
        confidence: Coverage of each bound.
        delta: At which epsilon is bounded.

    Raises:
        ParameterError: As `audit_scores`.

    Privacy:
        Post-processing: of outputs.
    """
    n_fit, n_validation = int(0.4 * len(without)), int(0.2 * len(without))
    if n_fit < MIN_RUNS:
        raise ParameterError(f"expected at least {MIN_RUNS} runs of each world to fit the scorer")
    scorer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    scorer.fit(
        np.concatenate([without[:n_fit], with_target[:n_fit]]),
        np.repeat([0, 1], [n_fit, len(with_target[:n_fit])]),
    )
    return audit_scores(
        scorer.decision_function(without[n_fit:]),
        scorer.decision_function(with_target[n_fit:]),
        n_validation=n_validation,
        confidence=confidence,
        delta=delta,
    )


def refuse_identical_runs(outputs: np.ndarray) -> None:
    """Refuse an audit of runs that share their randomness: with one seed, everything looks like a leak.

    Args:
        outputs: What came out of each run, ``(n_runs, n_values)``, rich enough that chance repeats none.

    Raises:
        ParameterError: If two runs gave the same output.

    Privacy:
        Post-processing: of outputs.
    """
    if len(np.unique(outputs, axis=0)) < len(outputs):
        raise ParameterError(
            "two runs gave the same output, so their randomness is not fresh; an audit of them means nothing"
        )


def _best_threshold(without: np.ndarray, with_target: np.ndarray) -> float:
    """Return the threshold of largest TPR - FPR, in the middle between two scores."""
    values = np.unique(np.concatenate([without, with_target]))
    false_rate = 1 - np.searchsorted(np.sort(without), values, side="right") / len(without)
    true_rate = 1 - np.searchsorted(np.sort(with_target), values, side="right") / len(with_target)
    best = int(np.argmax(true_rate - false_rate))
    return float((values[best] + values[min(best + 1, len(values) - 1)]) / 2)
