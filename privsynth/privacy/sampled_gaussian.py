"""What Poisson-sampled Gaussian steps cost, in the currency of the filter: ``mu`` and a small delta.

No sampled Gaussian is ``mu``-GDP for a useful ``mu``: its trade-off curve is steep where errors are tiny.
But many such steps together are `(mu, slack)`-*approximately* GDP: their exact privacy profile, composed by
privacy loss distributions, lies nowhere more than ``slack`` above the Gaussian one,
``delta(epsilon) <= gdp_delta(mu, epsilon) + slack`` for every epsilon, in both directions. That is all that
composition needs: ``mu**2`` and ``slack`` add up, also for levels chosen adaptively (privacy/README.md has
the proof). Public arithmetic: nothing here reads records.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from privsynth.errors import ParameterError
from privsynth.privacy.accounting import rounded_down

FloatArray = NDArray[np.float64]

_GRID = 400  # points at which a profile is evaluated; between them it is bounded by convexity
_LOSS_SHARE = (
    0.03  # step of the discretised privacy losses over the spread of one step's; rounded to an upper bound
)
_LEAST_NOISE = 0.1  # below it sampling is not counted on: nothing that small protects anyone
_SEARCH_TOLERANCE = 1e-4  # relative, in the noise; `noise_for_steps` ends on the safe side


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
        one = privacy_loss_distribution.from_gaussian_mechanism(
            noise_multiplier,
            sampling_prob=sample_rate,
            value_discretization_interval=_loss_step(noise_multiplier, sample_rate, n_steps),
        )
        self._composed = one.self_compose(n_steps)

    def delta(self, epsilon: FloatArray) -> FloatArray:
        """Return delta at each epsilon, the larger of the two directions (adding, removing)."""
        return np.asarray(self._composed.get_delta_for_epsilon(list(epsilon)), dtype=np.float64)

    def epsilon(self, delta: float) -> float:
        """Return the smallest epsilon at ``delta``; inf if there is none."""
        return float(self._composed.get_epsilon_for_delta(delta))


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
    rdp = RdpAccountant()
    step = PoissonSampledDpEvent(sample_rate, GaussianDpEvent(noise_multiplier))
    rdp.compose(SelfComposedDpEvent(step, n_steps))
    return {"pld": profile.epsilon(delta), "rdp": float(rdp.get_epsilon(delta))}


@lru_cache(maxsize=256)
def steps_mu(*, noise_multiplier: float, sample_rate: float, n_steps: int, slack: float) -> float:
    """Return the smallest ``mu`` found for which the steps are ``(mu, slack)``-approximately GDP.

    Raises:
        ParameterError: If an argument is out of range.
    """
    if not 0 < slack < 1:
        raise ParameterError(f"expected 0 < slack < 1, got slack={slack!r}")
    check_steps(noise_multiplier=noise_multiplier, sample_rate=sample_rate, n_steps=n_steps)
    if noise_multiplier < _LEAST_NOISE:
        return math.sqrt(n_steps) / noise_multiplier  # as if every unit were in every batch
    profile = Profile(noise_multiplier=noise_multiplier, sample_rate=sample_rate, n_steps=n_steps)
    end = profile.epsilon(slack)  # from here on the slack alone covers the profile
    if not math.isfinite(end):
        return math.inf
    epsilon = np.linspace(0.0, max(end, 1e-3), _GRID)
    delta = profile.delta(epsilon)
    low, high = 0.0, max(1e-3, 2.0 * math.sqrt(n_steps) * sample_rate / noise_multiplier)
    while not _is_covered(high, slack, epsilon, delta):
        low, high = high, 2.0 * high
        if high > 1e4:
            return math.inf
    while high - low > 1e-7 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _is_covered(middle, slack, epsilon, delta) else (middle, high)
    return high


def noise_for_steps(mu_squared: float, *, sample_rate: float, n_steps: int, slack: float) -> float:
    """Return noise at which the steps cost at most ``mu_squared`` and ``slack``; rounded up.

    Raises:
        ParameterError: If an argument is out of range.
    """
    if not (math.isfinite(mu_squared) and mu_squared > 0):
        raise ParameterError(f"expected mu_squared > 0, got {mu_squared!r}")

    if n_steps / mu_squared < _LEAST_NOISE**2:
        return -rounded_down(-math.sqrt(n_steps / mu_squared))

    def excess(noise: float) -> float:
        mu = steps_mu(noise_multiplier=noise, sample_rate=sample_rate, n_steps=n_steps, slack=slack)
        return mu**2 / mu_squared - 1.0

    # The central limit of many steps, mu² = rate² · n · (exp(1/noise²) − 1), is always a little too low.
    noise = 1.0 / math.sqrt(math.log1p(mu_squared / (n_steps * sample_rate**2)))
    low, high = noise, 1.02 * noise
    while excess(high) > 0:
        low, high = high, high * (high / low) ** 2
    noise = float(brentq(excess, low, high, rtol=_SEARCH_TOLERANCE)) if excess(low) > 0 else low
    while excess(noise := -rounded_down(-noise)) > 0:
        noise *= 1 + _SEARCH_TOLERANCE
    return noise


def check_steps(*, noise_multiplier: float, sample_rate: float, n_steps: int) -> None:
    """Raise a `ParameterError` unless these can be the public parameters of noisy steps."""
    if not (math.isfinite(noise_multiplier) and noise_multiplier > 0):
        raise ParameterError(f"expected a positive, finite noise_multiplier, got {noise_multiplier!r}")
    if not 0 < sample_rate <= 1:
        raise ParameterError(
            f"expected 0 < sample_rate <= 1, got sample_rate={sample_rate!r}; it is a probability per step "
            "(a mean batch of 64 out of n records is sample_rate=64/n)"
        )
    if n_steps < 1:
        raise ParameterError(f"expected n_steps >= 1, got n_steps={n_steps!r}")


def _loss_step(noise_multiplier: float, sample_rate: float, n_steps: int) -> float:
    """Return the discretisation of one step's losses: a part of their spread."""
    spread = sample_rate * math.sqrt(math.expm1(min(noise_multiplier**-2, 50.0)))
    return min(max(_LOSS_SHARE * spread, 1e-5), 1e-2)


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
