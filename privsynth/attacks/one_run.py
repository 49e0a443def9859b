"""Lower bounds from one run: many canaries, each in or out by a coin of its own, guessed afterwards.

Both bounds take the number of guesses as fixed beforehand (abstaining on the others) and hold however the
guesses were made.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, ndtr, ndtri
from scipy.stats import binom

from privsynth.errors import ParameterError

LARGEST_EPSILON, LARGEST_MU = 100.0, 20.0
_BISECTIONS = 60


def one_run_p_value(
    *, n_canaries: int, n_guesses: int, n_correct: int, epsilon: float, delta: float
) -> float:
    """Return how likely ``(epsilon, delta)`` makes so many correct guesses, or more; an upper bound.

    Args:
        n_canaries: Canaries with a coin each.
        n_guesses: Guesses made; on the other canaries the guesser abstained.
        n_correct: Correct guesses.
        epsilon: Claim that is tested.
        delta: Claim that is tested.

    Raises:
        ParameterError: Unless ``0 <= n_correct <= n_guesses <= n_canaries``, ``epsilon >= 0`` and
            ``0 <= delta <= 1``.

    Privacy:
        Post-processing: of the counts given.

    References:
        Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS 2023, Theorem 5.2.

    Example:
        >>> round(one_run_p_value(n_canaries=100, n_guesses=100, n_correct=75, epsilon=np.log(3), delta=0), 5)
        0.55347
    """
    _check(n_canaries, n_guesses, n_correct)
    if not (epsilon >= 0 and 0 <= delta <= 1):
        raise ParameterError(f"expected epsilon >= 0 and 0 <= delta <= 1, got {epsilon=}, {delta=}")
    rate = float(expit(epsilon))
    by_chance = float(binom.sf(n_correct - 1, n_guesses, rate))
    if delta == 0 or n_correct == 0:
        return min(1.0, by_chance)
    below = binom.pmf(np.arange(n_correct - 1, -1, -1), n_guesses, rate)
    alpha = float(np.max(np.cumsum(below) / np.arange(1, n_correct + 1)))
    return min(1.0, by_chance + 2 * n_canaries * delta * alpha)


def one_run_epsilon(
    *, n_canaries: int, n_guesses: int, n_correct: int, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """Return the largest epsilon that so many correct guesses rule out at ``delta``; 0 if none.

    Privacy:
        Post-processing: of the counts given.

    References:
        As `one_run_p_value`.

    Example:
        >>> round(one_run_epsilon(n_canaries=1000, n_guesses=100, n_correct=75, delta=1e-4), 3)
        0.673
    """

    def is_ruled_out(epsilon: float) -> bool:
        p = one_run_p_value(
            n_canaries=n_canaries, n_guesses=n_guesses, n_correct=n_correct, epsilon=epsilon, delta=delta
        )
        return p < 1 - confidence

    return _largest(is_ruled_out, LARGEST_EPSILON)


def one_run_rules_out_mu(
    *, n_canaries: int, n_guesses: int, n_correct: int, mu: float, confidence: float = 0.95
) -> bool:
    """Return whether so many correct guesses rule out that the mechanism is ``mu``-GDP.

    Privacy:
        Post-processing: of the counts given.

    References:
        Mahloujifar, Melis and Chaudhuri, "Auditing f-Differential Privacy in One Run", ICML 2025.
    """
    _check(n_canaries, n_guesses, n_correct)
    p0 = 1 - confidence
    right = p0 * n_correct / n_canaries
    wrong = p0 * (n_guesses - n_correct) / n_canaries
    for i in range(n_correct - 1, -1, -1):
        fewest_wrong = max(wrong, float(ndtr(ndtri(min(right, 1.0)) - mu)))
        right += i / (n_guesses - i) * (fewest_wrong - wrong)
        wrong = fewest_wrong
    return bool(right + wrong > n_guesses / n_canaries)


def one_run_mu(*, n_canaries: int, n_guesses: int, n_correct: int, confidence: float = 0.95) -> float:
    """Return the largest mu that so many correct guesses rule out; 0 if none.

    As an epsilon (`privsynth.accounting.gdp.gdp_epsilon`) it holds for Gaussian mechanisms only.

    Privacy:
        Post-processing: of the counts given.

    References:
        As `one_run_rules_out_mu`.

    Example:
        >>> round(one_run_mu(n_canaries=1000, n_guesses=100, n_correct=75), 3)
        0.269
    """

    def is_ruled_out(mu: float) -> bool:
        return one_run_rules_out_mu(
            n_canaries=n_canaries, n_guesses=n_guesses, n_correct=n_correct, mu=mu, confidence=confidence
        )

    return _largest(is_ruled_out, LARGEST_MU)


def count_correct_guesses(scores: np.ndarray, included: np.ndarray, *, n_guesses: int) -> int:
    """Guess "in" for the highest scores and "out" for the lowest, half each; return the correct guesses.

    Args:
        scores: Score of each canary, ``(n_canaries,)``; higher = more likely in.
        included: Whether its coin put it in, ``(n_canaries,)`` bool.
        n_guesses: Number of guesses, even, fixed before the scores were seen.

    Raises:
        ParameterError: If ``n_guesses`` is odd or above the number of canaries.

    Privacy:
        Post-processing: of scores of canaries.

    Example:
        >>> count_correct_guesses(np.array([3.0, 1, 2, 0]), np.array([True, True, False, False]), n_guesses=2)
        2
    """
    if n_guesses % 2 or not 0 < n_guesses <= len(scores):
        raise ParameterError(
            f"expected an even number of guesses between 2 and the {len(scores)} canaries, got {n_guesses=}"
        )
    order = np.argsort(scores, kind="stable")
    half = n_guesses // 2
    return int(included[order[-half:]].sum() + (~included[order[:half]]).sum())


def _largest(is_ruled_out: Callable[[float], bool], largest: float) -> float:
    if not is_ruled_out(0.0):
        return 0.0
    low, high = 0.0, largest
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_ruled_out(middle) else (low, middle)
    return low


def _check(n_canaries: int, n_guesses: int, n_correct: int) -> None:
    if not 0 <= n_correct <= n_guesses <= n_canaries or n_guesses == 0:
        raise ParameterError(
            "expected 0 <= n_correct <= n_guesses <= n_canaries and at least one guess, "
            f"got {n_correct=}, {n_guesses=}, {n_canaries=}"
        )
