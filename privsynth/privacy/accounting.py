"""What a release costs, and how costs compose. Public arithmetic: nothing here reads records.

Everything whose noise level may depend on earlier releases composes in Gaussian differential privacy
(GDP): a Gaussian release of L2 sensitivity 1 with noise ``s`` is ``1/s``-GDP, an exponential mechanism is
GDP by the bound in `exponential_mu`, and a filter that stops before the sum of ``mu**2`` passes a limit
fixed in advance is ``sqrt(limit)``-GDP (Smith and Thakurta 2022).
Poisson-sampled Gaussian steps are approximately GDP (`sampled_gaussian`): they cost ``mu**2`` and a slack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri_exp

from privsynth.errors import ParameterError

Mechanism = Literal["gaussian", "thresholded_gaussian", "exponential", "sampled_gaussian"]

ADDED_DELTA_SHARE = 0.1
"""Share of every ``delta`` for what adds up as a delta, fixed beforehand: thresholded discovery, and the
slack of sampled Gaussian steps. The rest is for GDP."""

_RELATIVE_MARGIN = 1e-9  # results are moved by this much towards the safe side


@dataclass(frozen=True, kw_only=True)
class Event:
    """One charged access to real records, as the ledger keeps it.

    Attributes:
        purpose: What was bought, in plain words; public.
        mechanism: ``gaussian``, ``thresholded_gaussian`` (discovery), ``exponential`` (selection) or
            ``sampled_gaussian`` (gradient steps on Poisson samples).
        noise_multiplier: Noise standard deviation over L2 sensitivity, of the Gaussian mechanisms.
        epsilon0: Bounded range of one draw of the exponential mechanism.
        sample_rate: Probability that a unit enters the batch of one gradient step.
        count: Number of such releases in this event: each at the full cost, gradient steps together.
        delta: Booked for publishing a value that one unit alone holds, or as the slack of gradient steps.
    """

    purpose: str
    mechanism: Mechanism
    noise_multiplier: float | None = None
    epsilon0: float | None = None
    sample_rate: float | None = None
    count: int = 1
    delta: float = 0.0

    def __post_init__(self) -> None:
        level = self.epsilon0 if self.mechanism == "exponential" else self.noise_multiplier
        if level is None or not (math.isfinite(level) and level > 0):
            raise ParameterError(f"expected a positive, finite level of the {self.mechanism}, got {level!r}")
        if self.count < 1 or not 0 <= self.delta < 1:
            raise ParameterError(f"expected count >= 1 and 0 <= delta < 1, got {self.count}, {self.delta}")
        if (self.delta > 0) != (self.mechanism in ("thresholded_gaussian", "sampled_gaussian")):
            raise ParameterError(
                "delta belongs to thresholded discovery and gradient steps, and to nothing else"
            )
        if (self.sample_rate is not None) != (self.mechanism == "sampled_gaussian"):
            raise ParameterError("sample_rate belongs to gradient steps, and to nothing else")
        if self.sample_rate is not None and not 0 < self.sample_rate <= 1:
            raise ParameterError(f"expected 0 < sample_rate <= 1, got sample_rate={self.sample_rate!r}")

    @property
    def mu_squared(self) -> float:
        """GDP cost of the event, beside its ``delta``: the sum of ``mu**2`` over its ``count`` releases."""
        if self.mechanism == "exponential":
            assert self.epsilon0 is not None
            return self.count * exponential_mu(self.epsilon0) ** 2
        assert self.noise_multiplier is not None
        if self.mechanism == "sampled_gaussian":
            from privsynth.privacy.sampled_gaussian import steps_mu

            assert self.sample_rate is not None
            mu = steps_mu(
                noise_multiplier=self.noise_multiplier,
                sample_rate=self.sample_rate,
                n_steps=self.count,
                slack=self.delta,
            )
            return mu**2
        return self.count / self.noise_multiplier**2

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-able fields, absent ones left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Event:
        """Read what `to_dict` wrote."""
        return cls(**fields)


def exponential_mu(epsilon0: float) -> float:
    """Return the GDP parameter of an exponential mechanism of bounded range ``epsilon0``.

    The privacy losses of neighbouring tables lie in an interval of length ``epsilon0``, so the trade-off
    curve lies above a two-line curve with a kink; the worst position of the kink is the centred one, and
    the Gaussian curve through it has ``mu = -2 * Phi^-1(1 / (1 + exp(epsilon0 / 2)))``.

    References:
        Dong, Durfee and Rogers, "Optimal Differential Privacy Composition for Exponential Mechanisms",
        ICML 2020 (bounded range). `privacy/README.md` gives the argument for the Gaussian curve.

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
