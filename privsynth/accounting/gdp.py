"""Gaussian differential privacy: how costs compose, and what they come to as (epsilon, delta).

Public arithmetic: nothing here reads records.

Everything whose noise level may depend on earlier releases composes in Gaussian differential privacy
(GDP): a Gaussian release of L2 sensitivity 1 with noise ``s`` is ``1/s``-GDP, an exponential mechanism is
GDP by the bound in `exponential_mu`, and a filter that stops before the sum of ``mu**2`` passes a limit
fixed in advance is ``sqrt(limit)``-GDP (Smith and Thakurta 2022).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri_exp

from privsynth.errors import ParameterError

ADDED_DELTA_SHARE = 0.1
"""Share of every ``delta`` for what adds up as a delta, fixed beforehand: thresholded discovery, and the
slack of sampled Gaussian steps. The rest is for GDP."""

_RELATIVE_MARGIN = 1e-9  # results are moved by this much towards the safe side


def exponential_mu(epsilon0: float) -> float:
    """Return the GDP parameter of an exponential mechanism of bounded range ``epsilon0``.

    The privacy losses of neighbouring tables lie in an interval of length ``epsilon0``, so the trade-off
    curve lies above a two-line curve with a kink; the worst position of the kink is the centred one, and
    the Gaussian curve through it has ``mu = -2 * Phi^-1(1 / (1 + exp(epsilon0 / 2)))``.

    References:
        Dong, Durfee and Rogers, "Optimal Differential Privacy Composition for Exponential Mechanisms",
        ICML 2020 (bounded range). `privacy/PROOF.md`, Lemma 6, for the Gaussian curve.

    Example:
        >>> round(exponential_mu(1.0), 6)
        0.623893
    """
    return float(-2.0 * ndtri_exp(-np.logaddexp(0.0, epsilon0 / 2.0)))  # by the log: no overflow


def exponential_epsilon0(mu: float) -> float:
    """Return the bounded range whose `exponential_mu` is ``mu``."""
    return float(2.0 * (log_ndtr(mu / 2.0) - log_ndtr(-mu / 2.0)))


def noise_for(mu_squared: float) -> float:
    """Return the noise multiplier of one Gaussian release that costs ``mu_squared``, rounded up.

    Six significant digits: levels that differ only by rounding errors become one level.
    """
    return -rounded_down(-1.0 / math.sqrt(mu_squared))


def rounded_down(value: float) -> float:
    """Return ``value`` rounded down to six significant digits.

    Example:
        >>> rounded_down(1.23456789), -rounded_down(-1.23456789)
        (1.23456, 1.23457)
    """
    scale = 10.0 ** (5 - math.floor(math.log10(abs(value))))
    return min(value, math.floor(value * scale) / scale)


def gdp_delta(mu: float, epsilon: float) -> float:
    """Return the exact delta of a ``mu``-GDP mechanism at ``epsilon``.

    References:
        Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018, Theorem 8.
    """
    if mu <= 0:
        return 0.0
    upper = ndtr(-epsilon / mu + mu / 2.0)
    lower = math.exp(min(0.0, epsilon + float(log_ndtr(-epsilon / mu - mu / 2.0))))
    return max(0.0, float(upper) - lower)


def gdp_epsilon(mu: float, delta: float) -> float:
    """Return the smallest epsilon of a ``mu``-GDP mechanism at ``delta``, rounded up; inf if unknown.

    Example:
        >>> round(gdp_epsilon(1.0, 1e-5), 5)
        4.37718
    """
    _check_delta(delta)
    if mu <= 0 or gdp_delta(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while gdp_delta(mu, high) > delta:
        high *= 2.0
        if high > 1e6:
            return math.inf
    root = brentq(lambda epsilon: gdp_delta(mu, epsilon) - delta, 0.0, high, xtol=1e-14, rtol=1e-14)
    return float(root) * (1.0 + 1e-12)


def gdp_mu(epsilon: float, delta: float) -> float:
    """Return the largest ``mu`` that is within ``(epsilon, delta)``, rounded down.

    Example:
        >>> round(gdp_mu(1.0, 1e-5), 5)
        0.26805
    """
    _check_delta(delta)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ParameterError(f"expected a finite epsilon > 0, got epsilon={epsilon!r}")
    low, high = 1e-12, 1.0
    while gdp_delta(high, epsilon) < delta:
        high *= 2.0
    root = brentq(lambda mu: gdp_delta(mu, epsilon) - delta, low, high, xtol=1e-300, rtol=1e-14)
    return float(root) * (1.0 - _RELATIVE_MARGIN)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ParameterError(
            f"expected 0 < delta < 1, got delta={delta!r}; it is the probability that the guarantee fails, "
            "far below 1 over the number of units"
        )
