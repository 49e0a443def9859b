"""What (epsilon, delta) allows any attack: the largest true positive rate at each false positive rate."""

from __future__ import annotations

import math

from scipy.special import ndtr, ndtri

from privsynth.errors import ParameterError


def allowed_tpr(fpr: float, epsilon: float, delta: float) -> float:
    """Return the largest true positive rate of any test between two neighbouring tables.

    Args:
        fpr: False positive rate of the test, in [0, 1].
        epsilon: Bound on the log-likelihood ratio, >= 0.
        delta: Probability with which the bound may fail, in [0, 1].

    Raises:
        ParameterError: If an argument is outside its range.

    Privacy:
        Public: a function of the guarantee alone.

    References:
        Kairouz, Oh and Viswanath, "The Composition Theorem for Differential Privacy", ICML 2015.

    Example:
        >>> round(allowed_tpr(0.01, epsilon=1.0, delta=1e-5), 5)
        0.02719
    """
    if not (0 <= fpr <= 1 and epsilon >= 0 and 0 <= delta <= 1):
        raise ParameterError(
            f"expected 0 <= fpr <= 1, epsilon >= 0, 0 <= delta <= 1, got {fpr=}, {epsilon=}, {delta=}"
        )
    small_fpr = math.exp(min(epsilon, 700.0)) * fpr + delta
    small_fnr = 1 - math.exp(-epsilon) * (1 - delta - fpr)
    return min(1.0, max(0.0, min(small_fpr, small_fnr)))


def gdp_allowed_tpr(fpr: float, mu: float, delta: float = 0.0) -> float:
    """Return the largest true positive rate of any test if the mechanism is mu-GDP but for ``delta``.

    ``Phi(Phi^-1(fpr) + mu)``; events of probability ``delta`` (discovery, sampled steps) may come on top, in
    either world.

    Args:
        fpr: False positive rate of the test, in [0, 1].
        mu: Parameter of Gaussian differential privacy, >= 0.
        delta: Probability of all that is outside the Gaussian part, in [0, 1].

    Raises:
        ParameterError: If an argument is outside its range.

    Privacy:
        Public: a function of the guarantee alone.

    References:
        Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022.

    Example:
        >>> round(gdp_allowed_tpr(0.01, mu=0.26805), 5)
        0.01978
    """
    if not (0 <= fpr <= 1 and mu >= 0 and 0 <= delta <= 1):
        raise ParameterError(f"expected 0 <= fpr <= 1, mu >= 0, 0 <= delta <= 1, got {fpr=}, {mu=}, {delta=}")
    return min(1.0, float(ndtr(ndtri(min(1.0, fpr + delta)) + mu)) + delta)


def replace_one(epsilon: float, delta: float) -> tuple[float, float]:
    """Return what an add-or-remove-one guarantee says about replacing one unit by another.

    Replacing is one removal followed by one addition: ``(2 epsilon, (1 + e^epsilon) delta)``. A fixed split
    into members and non-members plays this game, so only a point above its curve contradicts the claim.

    Privacy:
        Public: a function of the guarantee alone.

    References:
        Group privacy: Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014.

    Example:
        >>> replace_one(1.0, 0.0)
        (2.0, 0.0)
    """
    return 2 * epsilon, min(1.0, (1 + math.exp(min(epsilon, 700.0))) * delta)
