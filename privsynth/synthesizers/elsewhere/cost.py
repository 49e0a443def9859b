"""What others' releases cost, as far as they state it, and what several cost together. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from privsynth.accounting.gdp import exponential_mu, gdp_epsilon

_ORDERS = 1.0 + np.exp2(np.linspace(-8.0, 20.0, 2000))  # of Rényi divergences, of which the best is taken
_LARGEST = 700.0  # whose exponential is a number


@dataclass(frozen=True)
class Cost:
    """What one release, or several together, cost, by how it is stated; each part adds up.

    Attributes:
        mu_squared: Of Gaussian noise, stated by mu, or by rho, which is half of it.
        rho: Zero-concentrated differential privacy of any other noise.
        pure: Epsilon without a delta.
        epsilon: Epsilon beside a delta.
        delta: That delta, and the deltas of thresholds.
    """

    mu_squared: float = 0.0
    rho: float = 0.0
    pure: float = 0.0
    epsilon: float = 0.0
    delta: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.mu_squared + other.mu_squared,
            self.rho + other.rho,
            self.pure + other.pure,
            self.epsilon + other.epsilon,
            self.delta + other.delta,
        )

    @property
    def needs_delta(self) -> bool:
        """Whether an epsilon of it is known at a delta only."""
        return bool(self.mu_squared or self.rho)

    @property
    def as_mu_squared(self) -> float | None:
        """Its ``mu**2`` in Gaussian differential privacy, beside its delta; None where it has none."""
        if self.rho or self.epsilon:
            return None
        return self.mu_squared + exponential_mu(2.0 * self.pure) ** 2 if self.pure else self.mu_squared

    @property
    def least_variance(self) -> float:
        """The least variance with which a count can be told without bias at this cost; zero if not known.

        Of a cost that is stated in one way. The chi-squared divergence of neighbours is at most
        ``exp(mu**2) - 1``, ``exp(2 rho) - 1`` or ``(2 sinh(epsilon / 2))**2``, and a count of them differs
        by one at least.

        References:
            Chapman and Robbins, "Minimum variance estimation without regularity assumptions", 1951.
        """
        if self.epsilon:
            return 0.0
        if self.pure:
            return (2.0 * math.sinh(min(self.pure, _LARGEST) / 2.0)) ** -2
        divergence = self.mu_squared + 2.0 * self.rho
        return 1.0 / math.expm1(min(divergence, _LARGEST)) if divergence else 0.0


def composed(costs: Iterable[Cost], delta: float) -> tuple[float, float] | None:
    """Return an (epsilon, delta) that all costs together satisfy.

    Gaussian differential privacy is composed as such, pure epsilons in it where that is less, and
    zero-concentrated privacy by its rho; an epsilon beside a delta adds up with the rest.

    Args:
        costs: Of each release.
        delta: At which epsilon is told where it depends on it.

    Returns:
        Epsilon and its delta, ``delta`` itself where epsilon depends on it; None if what adds up as a delta
        leaves nothing of it.

    Example:
        >>> composed([Cost(pure=0.5), Cost(pure=0.25)], 0.0)
        (0.75, 0.0)
    """
    listed = list(costs)
    whole = sum(listed, Cost())
    by_sum = (whole.pure + whole.epsilon, whole.delta)
    rest = delta - whole.delta
    if rest <= 0 or delta >= 1:
        return None if whole.needs_delta else by_sum
    pure = math.fsum(exponential_mu(2.0 * cost.pure) ** 2 for cost in listed if cost.pure)
    ways = [_composed(whole.mu_squared + pure, whole.rho, rest) + whole.epsilon]  # pure epsilons as Gaussian
    ways.append(_composed(whole.mu_squared, whole.rho, rest) + whole.pure + whole.epsilon)
    return by_sum if not whole.needs_delta and by_sum[0] <= min(ways) else (min(ways), delta)


def _composed(mu_squared: float, rho: float, delta: float) -> float:
    """Return an epsilon of both together at a delta, of which each that is there gets an equal part."""
    each = delta / max(1, (mu_squared > 0) + (rho > 0))
    of_mu = gdp_epsilon(math.sqrt(mu_squared), each) if mu_squared else 0.0
    return of_mu + (rho_epsilon(rho, each) if rho else 0.0)


def rho_epsilon(rho: float, delta: float) -> float:
    """Return an epsilon of ``rho`` of zero-concentrated differential privacy at ``delta``.

    References:
        Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020, Proposition 12.
    """
    a = _ORDERS
    epsilon = rho * a + np.log1p(-1.0 / a) - (math.log(delta) + np.log(a)) / (a - 1.0)
    return max(0.0, float(epsilon.min()))
