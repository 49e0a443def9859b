"""Costs of releases made elsewhere: what they come to together, and which noise they allow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from privsynth.accounting.gdp import exponential_mu, gdp_delta, gdp_epsilon
from privsynth.synthesizers.elsewhere.cost import Cost, composed, rho_epsilon


def test_gaussian_costs_compose_by_the_sum_of_their_squares() -> None:
    assert composed([Cost(mu_squared=0.09), Cost(mu_squared=0.16)], 1e-6) == (gdp_epsilon(0.5, 1e-6), 1e-6)


def test_pure_epsilons_add_up_or_compose_as_gaussian_whichever_is_less() -> None:
    assert composed([Cost(pure=0.5), Cost(pure=0.25)], 0.0) == (0.75, 0.0)
    assert composed([Cost(pure=0.5)], 1e-6) == (0.5, 0.0)
    many = composed([Cost(pure=0.1)] * 100, 1e-6)
    assert many == (pytest.approx(gdp_epsilon(math.sqrt(100.0) * exponential_mu(0.2), 1e-6), rel=1e-9), 1e-6)
    assert many is not None
    assert many[0] < 10.0


def test_the_mu_of_a_pure_epsilon_is_that_of_randomised_response() -> None:
    mu = math.sqrt(Cost(pure=0.7).as_mu_squared or 0.0)
    # the worst (epsilon, 0) mechanism is told apart with an advantage of tanh(epsilon / 2)
    assert gdp_delta(mu, 0.0) == pytest.approx(math.tanh(0.35), rel=1e-9)


def test_an_epsilon_beside_a_delta_is_added_to_the_rest() -> None:
    both = composed([Cost(mu_squared=0.25), Cost(epsilon=0.3, delta=1e-7)], 1e-6)
    assert both == (pytest.approx(0.3 + gdp_epsilon(0.5, 9e-7), rel=1e-12), 1e-6)


def test_a_delta_that_is_used_up_gives_no_epsilon() -> None:
    assert composed([Cost(mu_squared=0.25, delta=1e-6)], 1e-6) is None


@pytest.mark.parametrize("rho", [0.001, 0.05, 1.0])
def test_rho_comes_to_an_epsilon_that_holds_for_gaussian_noise_and_is_near_it(rho: float) -> None:
    exact = gdp_epsilon(math.sqrt(2 * rho), 1e-6)
    assert exact <= rho_epsilon(rho, 1e-6) < 1.3 * exact
    assert rho_epsilon(rho, 1e-6) < rho + 2 * math.sqrt(rho * math.log(1e6))  # Bun and Steinke 2016


@pytest.mark.parametrize(
    ("cost", "variance"),
    [
        (Cost(mu_squared=0.01), 100.0),  # Gaussian noise of sensitivity 1
        (Cost(rho=0.005), 100.0),
        (Cost(pure=0.1), 200.0),  # Laplace noise
        (Cost(pure=1.0), 2 * math.exp(1.0) / (math.exp(1.0) - 1.0) ** 2),  # geometric noise
    ],
)
def test_the_noise_of_usual_mechanisms_is_never_below_what_their_cost_allows(
    cost: Cost, variance: float
) -> None:
    assert 0.0 < cost.least_variance <= variance
    assert cost.least_variance > 0.3 * variance


def test_the_least_variance_is_that_of_the_chapman_robbins_bound() -> None:
    mu = 0.8  # chi-squared divergence of N(mu, 1) from N(0, 1), by integration
    x = np.linspace(-12.0, 12.0, 200_001)
    p, q = (np.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0.0, mu))
    divergence = float(np.sum((q - p) ** 2 / p) * (x[1] - x[0]))
    assert Cost(mu_squared=mu**2).least_variance == pytest.approx(1.0 / divergence, rel=1e-6)
