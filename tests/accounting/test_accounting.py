"""Accounting against closed forms, published values and dp-accounting; the safe side everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant
from scipy.stats import norm

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event, Exponential, Gaussian, ThresholdedGaussian
from privsynth.accounting.gdp import (
    ADDED_DELTA_SHARE,
    exponential_epsilon0,
    exponential_mu,
    gdp_delta,
    gdp_epsilon,
    gdp_mu,
    noise_for,
    rounded_down,
)
from privsynth.errors import ParameterError
from tests.helpers.fixed_plan import compose_fixed_plan

# Balle and Wang 2018, Theorem 8, solved by bisection to five digits.
MU_AT_1E5 = {
    0.1: 0.03252,
    0.5: 0.14221,
    1: 0.26805,
    2: 0.50155,
    3: 0.71912,
    5: 1.12124,
    8: 1.66603,
    10: 2.00045,
}
MU_AT_1E6 = {
    0.1: 0.02754,
    0.5: 0.12411,
    1: 0.23670,
    2: 0.44833,
    3: 0.64773,
    5: 1.02036,
    8: 1.53155,
    10: 1.84813,
}


@pytest.mark.parametrize(("table", "delta"), [(MU_AT_1E5, 1e-5), (MU_AT_1E6, 1e-6)])
def test_mu_of_a_budget_matches_the_exact_values(table, delta):
    for epsilon, mu in table.items():
        assert gdp_mu(epsilon, delta) == pytest.approx(mu, abs=6e-6)


@pytest.mark.parametrize(
    ("mu", "delta", "epsilon"),
    [(1, 1e-5, 4.37718), (0.5, 1e-5, 1.99309), (2, 1e-5, 9.99726), (1, 1e-6, 4.88655)],
)
def test_epsilon_of_mu_matches_the_exact_values(mu, delta, epsilon):
    assert gdp_epsilon(mu, delta) == pytest.approx(epsilon, abs=6e-6)


@given(st.floats(0.01, 20), st.floats(-12, -1.1))
def test_a_budget_turned_into_mu_and_back_is_never_exceeded(epsilon, log_delta):
    delta = 10.0**log_delta
    mu = gdp_mu(epsilon, delta)
    assert gdp_delta(mu, epsilon) <= delta
    assert gdp_epsilon(mu, delta) <= epsilon
    assert gdp_epsilon(mu, delta) >= epsilon * (1 - 1e-6)  # and hardly anything is wasted


@given(st.floats(0.05, 10), st.floats(0.05, 10), st.floats(-10, -2))
def test_epsilon_grows_with_mu_and_falls_with_delta(a, b, log_delta):
    low, high = sorted((a, b))
    delta = 10.0**log_delta
    assert gdp_epsilon(low, delta) <= gdp_epsilon(high, delta) * (1 + 1e-9)
    assert gdp_epsilon(high, delta) >= gdp_epsilon(high, min(0.5, delta * 2)) * (1 - 1e-9)


def test_no_noise_is_no_privacy_and_much_noise_is_nearly_free():
    assert gdp_epsilon(100.0, 1e-6) > 5000
    assert gdp_epsilon(1e-9, 1e-6) == 0.0
    assert gdp_delta(0.0, 1.0) == 0.0


# The closed form at three points, as published with its proof in privacy/README.md.
@pytest.mark.parametrize(("epsilon0", "mu"), [(0.1, 0.062663), (1.0, 0.623893), (3.0, 1.812320)])
def test_mu_of_the_exponential_mechanism_matches_the_closed_form(epsilon0, mu):
    assert exponential_mu(epsilon0) == pytest.approx(mu, abs=1e-6)
    assert exponential_epsilon0(mu) == pytest.approx(epsilon0, rel=1e-5)


@pytest.mark.parametrize("epsilon0", [0.01, 0.3, 1.0, 4.0, 8.0])
def test_the_gaussian_curve_lies_below_every_bounded_range_curve(epsilon0):
    # A bounded-range mechanism is worst at two outcomes with loss t and t - epsilon0 for some t. Its
    # trade-off curve has one kink (p, 1 - q), logit q - logit p = epsilon0; G_mu must pass below each.
    mu = exponential_mu(epsilon0)
    logit_p = np.linspace(-30, 30, 4001) - epsilon0 / 2
    p, q = 1 / (1 + np.exp(-logit_p)), 1 / (1 + np.exp(-(logit_p + epsilon0)))
    gaussian = norm.cdf(-norm.ppf(p) - mu)
    assert np.all(gaussian <= (1 - q) + 1e-12)
    # and the bound is tight: one percent less is not enough
    assert np.any(norm.cdf(-norm.ppf(p) - 0.99 * mu) > (1 - q))


def test_a_large_epsilon0_does_not_overflow():
    assert math.isfinite(exponential_mu(1e6))
    assert exponential_mu(1e6) > exponential_mu(1e4)


def test_events_add_up():
    gaussian = Gaussian(purpose="x", noise_multiplier=10.0, count=100)
    assert gaussian.mu_squared == pytest.approx(1.0)
    chosen = Exponential(purpose="x", epsilon0=1.0, count=4)
    assert chosen.mu_squared == pytest.approx(4 * 0.623893**2, rel=1e-5)
    assert Event.from_dict(chosen.to_dict()) == chosen
    assert Event.from_dict({**chosen.to_dict(), "sample_rate": None}) == chosen  # an absent level, written


@pytest.mark.parametrize(
    "fields",
    [
        {"mechanism": "gaussian", "noise_multiplier": 0.0},
        {"mechanism": "gaussian"},
        {"mechanism": "gaussian", "noise_multiplier": math.nan},
        {"mechanism": "exponential", "epsilon0": -1.0},
        {"mechanism": "gaussian", "noise_multiplier": 1.0, "count": 0},
        {"mechanism": "gaussian", "noise_multiplier": 1.0, "delta": 1e-9},
        {"mechanism": "thresholded_gaussian", "noise_multiplier": 1.0},
        {"mechanism": ["gaussian"], "noise_multiplier": 1.0},
        {"mechanism": "laplace", "noise_multiplier": 1.0},
    ],
)
def test_impossible_events_are_refused(fields):
    with pytest.raises(ParameterError, match=r"expected|delta belongs"):
        Event.from_dict({"purpose": "x", **fields})


def test_pld_and_rdp_check_the_exact_value():
    events = [Gaussian(purpose="x", noise_multiplier=10.0, count=100)]
    composed = compose_fixed_plan(events, 1e-5)
    assert composed["pld"] == pytest.approx(4.37718, abs=2e-4)
    assert 4.3771 <= composed["rdp"] <= 1.10 * 4.3772  # RDP may lose up to 10 %; it can never gain
    assert composed["epsilon"] == min(composed["pld"], composed["rdp"])


def test_selections_are_cheaper_in_gdp_than_in_zcdp():
    # Adult's AIM ledger: 224 selections at epsilon0 .010447 and 224 Gaussians at 63.817 cost .9433 by GDP
    # and 1.0000 by zCDP at delta 1e-5.
    events = [
        Exponential(purpose="s", epsilon0=0.010447, count=224),
        Gaussian(purpose="m", noise_multiplier=63.817, count=224),
    ]
    mu = math.sqrt(sum(event.mu_squared for event in events))
    assert gdp_epsilon(mu, 1e-5) == pytest.approx(0.9433, abs=1e-4)
    composed = compose_fixed_plan(events, 1e-5)
    assert composed["pld"] == pytest.approx(0.9433, abs=1e-3)
    assert composed["rdp"] == pytest.approx(1.0, abs=2e-3)


def test_our_rdp_agrees_with_opacus():
    opacus = RDPAccountant()
    opacus.history = [(10.0, 1.0, 100)]
    ours = compose_fixed_plan([Gaussian(purpose="x", noise_multiplier=10.0, count=100)], 1e-5)
    assert ours["rdp"] == pytest.approx(opacus.get_epsilon(delta=1e-5), rel=0.01)


def test_booked_delta_is_taken_off_before_composing():
    event = ThresholdedGaussian(purpose="x", noise_multiplier=1.0, delta=9e-6)
    plain = Gaussian(purpose="x", noise_multiplier=1.0)
    assert compose_fixed_plan([event], 1e-5)["pld"] == pytest.approx(
        compose_fixed_plan([plain], 1e-6)["pld"], rel=1e-3
    )
    assert compose_fixed_plan([event], 9e-6)["epsilon"] == math.inf


@given(st.floats(0.05, 12), st.floats(-9, -2))
def test_a_spend_states_no_more_than_was_asked(epsilon, log_delta):
    delta = 10.0**log_delta
    spend = Spend.of_budget(epsilon=epsilon, delta=delta)
    stated_epsilon, stated_delta = spend.budget(delta)
    assert stated_epsilon <= epsilon
    assert stated_delta == delta
    gdp = gdp_delta(math.sqrt(spend.mu_squared), epsilon)
    assert gdp + spend.added_delta <= delta
    assert spend.added_delta == pytest.approx(ADDED_DELTA_SHARE * delta)


@given(st.floats(1e-12, 1e6))
def test_levels_are_rounded_to_the_safe_side(mu_squared):
    noise = noise_for(mu_squared)
    assert 1 / noise**2 <= mu_squared * (1 + 1e-12)
    assert 1 / noise**2 >= mu_squared * (1 - 5e-5)
    assert rounded_down(mu_squared) <= mu_squared


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, 2.0])
def test_impossible_deltas_are_refused(delta):
    with pytest.raises(ParameterError, match="expected 0 < delta < 1"):
        gdp_mu(1.0, delta)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan])
def test_impossible_epsilons_are_refused(epsilon):
    with pytest.raises(ParameterError, match="epsilon > 0"):
        gdp_mu(epsilon, 1e-6)


@pytest.mark.parametrize("mu", [0.01, 0.3, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("p", [1e-9, 1e-6, 1e-3, 0.3])
def test_one_delta_pays_for_both_directions_of_discovery(mu, p):
    # Lemma 7 of privacy/PROOF.md: with 1 - p, nothing of the unit's own is published
    for epsilon in [0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0]:
        excess = gdp_delta(mu, epsilon + math.log1p(-p)) - gdp_delta(mu, epsilon)
        assert -1e-15 <= excess < p
