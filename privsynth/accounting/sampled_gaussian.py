"""What Poisson-sampled Gaussian steps cost, in the currency of the filter: ``mu`` and a small delta.

No sampled Gaussian is ``mu``-GDP for a useful ``mu``: its trade-off curve is steep where errors are tiny.
But many such steps together are `(mu, slack)`-*approximately* GDP: their exact privacy profile, composed by
privacy loss distributions, lies nowhere more than ``slack`` above the Gaussian one,
``delta(epsilon) <= gdp_delta(mu, epsilon) + slack`` for every epsilon, in both directions. That is all that
composition needs: ``mu**2`` and ``slack`` add up, also for levels chosen adaptively (Lemma 11 of
privacy/PROOF.md). Public arithmetic: nothing here reads records.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from privsynth.accounting.gdp import rounded_down
from privsynth.errors import ParameterError

FloatArray = NDArray[np.float64]

_GRID = 400  # points at which a profile is evaluated; between them it is bounded by convexity
_LOSS_SHARE = (0.05, 0.2)  # step of the discretised losses over one step's spread: 0.05 and 0.3 % of mu²
_LOSSES = 20_000  # the coarser where the finer would need more losses than this
_SEARCH_TOLERANCE = 1e-4  # how close `noise_for_steps` comes, relative, from the safe side
# Beyond it exp overflows: sampling is not counted on, and nobody is protected anyway.
_LARGEST_EPSILON = 500.0
_LEAST_NOISE = 0.1  # nor below this
_SMALLEST_MU = 1e-9  # no finer


class Profile:
    """The privacy profile of ``n_steps`` steps: an upper bound on delta for every epsilon.

    Args:
        noise_multiplier: Noise standard deviation over ``max_grad_norm``, > 0.
        sample_rate: Probability that a unit enters a step's batch, in (0, 1].
        n_steps: Number of steps, >= 1.

    References:
        Doroshenko et al., "Connect the Dots: Tighter Discrete Approximations of Privacy Loss Distributions",
        PoPETs 2022, as implemented by dp-accounting.
    """

    def __init__(self, *, noise_multiplier: float, sample_rate: float, n_steps: int) -> None:
        check_steps(noise_multiplier=noise_multiplier, sample_rate=sample_rate, n_steps=n_steps)
        from dp_accounting.pld import privacy_loss_distribution  # takes a second

        one = privacy_loss_distribution.from_gaussian_mechanism(
            noise_multiplier,
            sampling_prob=sample_rate,
            value_discretization_interval=_loss_step(noise_multiplier, sample_rate),
        )
        self._composed = one.self_compose(n_steps)
        # Composition is a power of a discrete Fourier transform: rounding errors grow with n_steps.
        self.rounding = (n_steps + 100) * 2.0**-52

    def delta(self, epsilon: FloatArray) -> FloatArray:
        """Return delta at each epsilon (sorted), the larger of the two directions (adding, removing)."""
        found = self._composed.get_delta_for_epsilon(list(epsilon))
        return np.asarray(found, dtype=np.float64) + self.rounding

    def epsilon(self, delta: float) -> float:
        """Return the smallest epsilon at ``delta``; inf if there is none."""
        if delta <= self.rounding:
            return math.inf
        return float(self._composed.get_epsilon_for_delta(delta - self.rounding))


def steps_epsilon(
    *, noise_multiplier: float, sample_rate: float, n_steps: int, delta: float
) -> dict[str, float]:
    """Return epsilon of steps whose number and levels were fixed beforehand, by PLD and by RDP.

    Returns:
        ``{"pld": epsilon, "rdp": epsilon}`` at ``delta``; each is an upper bound.

    Example:
        >>> found = steps_epsilon(noise_multiplier=4.0, sample_rate=0.01, n_steps=10_000, delta=1e-5)
        >>> found["pld"] < found["rdp"] < 1.26  # Abadi et al. 2016
        True
    """
    profile = Profile(noise_multiplier=noise_multiplier, sample_rate=sample_rate, n_steps=n_steps)
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.rdp import RdpAccountant

    rdp = RdpAccountant()
    step = PoissonSampledDpEvent(sample_rate, GaussianDpEvent(noise_multiplier))
    rdp.compose(SelfComposedDpEvent(step, n_steps))
    return {"pld": profile.epsilon(delta), "rdp": float(rdp.get_epsilon(delta))}


@lru_cache(maxsize=256)
def steps_mu(*, noise_multiplier: float, sample_rate: float, n_steps: int, slack: float) -> float:
    """Return the smallest ``mu`` found for which the steps are ``(mu, slack)``-approximately GDP.

    At most ``sqrt(n_steps) / noise_multiplier``, as if every unit were in every batch. No less is found where
    there is hardly any noise, or where ``slack`` is within the rounding errors of the composition, about
    ``n_steps * 2e-16``.

    Raises:
        ParameterError: If an argument is out of range.
    """
    if not 0 < slack < 1:
        raise ParameterError(f"expected 0 < slack < 1, got slack={slack!r}")
    check_steps(noise_multiplier=noise_multiplier, sample_rate=sample_rate, n_steps=n_steps)
    low, high = 0.0, math.sqrt(n_steps) / noise_multiplier
    if noise_multiplier < _LEAST_NOISE:
        return high
    profile = Profile(noise_multiplier=noise_multiplier, sample_rate=sample_rate, n_steps=n_steps)
    end = profile.epsilon(slack)  # from here on the slack alone covers the profile
    if end > _LARGEST_EPSILON:
        return high
    epsilon = np.linspace(0.0, max(end, 1e-3), _GRID)
    delta = profile.delta(epsilon)
    if not _is_covered(high, slack, epsilon, delta):
        return high  # by monotony in the sampling rate; the bounds on the profile are not quite exact
    while high - low > 1e-7 * high and high > _SMALLEST_MU:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _is_covered(middle, slack, epsilon, delta) else (middle, high)
    return high


def noise_for_steps(mu_squared: float, *, sample_rate: float, n_steps: int, slack: float) -> float:
    """Return noise at which the steps cost at most ``mu_squared`` and ``slack``; rounded up.

    Raises:
        ParameterError: If an argument is out of range.
    """
    if not (math.isfinite(mu_squared) and mu_squared > 0):
        raise ParameterError(f"expected a finite mu_squared > 0, got {mu_squared!r}")
    check_steps(noise_multiplier=1.0, sample_rate=sample_rate, n_steps=n_steps)

    def excess(log_noise: float) -> float:
        noise = math.exp(log_noise)
        mu = steps_mu(noise_multiplier=noise, sample_rate=sample_rate, n_steps=n_steps, slack=slack)
        return 2.0 * math.log(mu) - math.log(mu_squared)

    # Noise at which the steps are safe even if every unit were in every batch, and where the search ends.
    enough, least = 0.5 * math.log(n_steps / mu_squared), math.log(_LEAST_NOISE)
    if excess(least) <= 0:
        return -rounded_down(-math.exp(min(enough, least)))
    noise = float(brentq(excess, least, enough + _SEARCH_TOLERANCE, xtol=_SEARCH_TOLERANCE))
    while excess(math.log(-rounded_down(-math.exp(noise)))) > 0:
        noise += _SEARCH_TOLERANCE
    return -rounded_down(-math.exp(min(noise, enough)))


def check_steps(*, noise_multiplier: float, sample_rate: float, n_steps: int) -> None:
    """Raise a `ParameterError` unless these can be the public parameters of noisy steps."""
    if not (math.isfinite(noise_multiplier) and noise_multiplier > 0):
        raise ParameterError(f"expected a positive, finite noise_multiplier, got {noise_multiplier!r}")
    if not 0 < sample_rate <= 1:
        raise ParameterError(
            f"expected 0 < sample_rate <= 1, got sample_rate={sample_rate!r}; it is a probability per step "
            "(a mean batch of 64 out of n records is sample_rate=64/n)"
        )
    if n_steps < 1 or n_steps != int(n_steps):
        raise ParameterError(f"expected a whole number n_steps >= 1, got n_steps={n_steps!r}")


def _loss_step(noise_multiplier: float, sample_rate: float) -> float:
    """Return the discretisation of one step's losses: a part of their spread."""
    spread = sample_rate * math.sqrt(math.expm1(min(noise_multiplier**-2, 50.0)))
    reach = 8.0 / noise_multiplier + 0.5 / noise_multiplier**2
    fine, coarse = (share * spread for share in _LOSS_SHARE)
    step = max(fine, min(coarse, reach / _LOSSES), 1e-5)
    return min(step, 1e-2 * max(1.0, 1.0 / noise_multiplier))


def _is_covered(mu: float, slack: float, epsilon: FloatArray, delta: FloatArray) -> bool:
    """Whether ``delta <= gdp_delta(mu) + slack`` at and between the grid points.

    Both profiles are convex in ``exp(epsilon)``. Between two points the steps' profile lies below its chord
    and the Gaussian one above its two tangents, so the worst place is where the tangents meet.
    """
    gamma = np.exp(epsilon)
    tail = np.exp(log_ndtr(-epsilon / mu - mu / 2.0))
    gauss = ndtr(-epsilon / mu + mu / 2.0) - gamma * tail
    if (delta > gauss + slack).any():
        return False
    width = np.diff(gamma)
    chord = np.diff(delta) / width
    bend = tail[:-1] - tail[1:]
    # Tangents: gauss_i − tail_i · (g − gamma_i). They meet at the offset `meet` from gamma_i.
    meet = np.where(
        bend > 1e-300, (gauss[:-1] - gauss[1:] - tail[1:] * width) / np.maximum(bend, 1e-300), 0.0
    )
    meet = np.clip(meet, 0.0, width)
    worst = delta[:-1] + chord * meet - (gauss[:-1] - tail[:-1] * meet)
    return bool((worst <= slack).all())
