"""The cost of gradient steps against closed forms, published values, Opacus and finer accounting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.stats import norm

from privsynth.accounting.events import Exponential, Gaussian, SampledGaussian
from privsynth.accounting.gdp import gdp_delta, gdp_epsilon
from privsynth.accounting.sampled_gaussian import Profile, noise_for_steps, steps_epsilon, steps_mu
from privsynth.errors import ParameterError
from tests.helpers.fixed_plan import compose_fixed_plan

DELTA = 1e-5
SLACK = 1e-6


# PLD and RDP by dp_accounting 0.6.0 on its default grid, at delta 1e-5.
@pytest.mark.parametrize(
    ("sample_rate", "noise", "n_steps", "by_pld", "by_rdp"),
    [
        (1.0, 10.0, 100, 4.37718, 4.72851),
        (0.01, 4.0, 10_000, 0.9470, 1.0355),
        (0.01, 1.0, 1_000, 1.8282, 2.1014),
        (0.05, 1.5, 500, 3.7847, 4.1438),
    ],
)
def test_epsilon_of_fixed_steps_matches_the_reference(sample_rate, noise, n_steps, by_pld, by_rdp):
    found = steps_epsilon(noise_multiplier=noise, sample_rate=sample_rate, n_steps=n_steps, delta=DELTA)
    assert found["pld"] == pytest.approx(by_pld, rel=2e-3)
    assert found["rdp"] == pytest.approx(by_rdp, rel=1e-3)


def test_full_batches_cost_what_one_gaussian_release_costs():
    # 100 steps at noise 10 are one Gaussian release at noise 1: 4.37718 (Balle and Wang 2018, Theorem 8).
    found = steps_epsilon(noise_multiplier=10.0, sample_rate=1.0, n_steps=100, delta=DELTA)
    assert 4.3771 <= found["pld"] <= 4.3772 * 1.001
    assert steps_mu(noise_multiplier=10.0, sample_rate=1.0, n_steps=100, slack=SLACK) <= 1.0
    assert steps_mu(noise_multiplier=10.0, sample_rate=1.0, n_steps=100, slack=SLACK) > 0.99


def test_the_published_bound_of_the_moments_accountant_holds():
    # Abadi et al. 2016: sampling rate 0.01, noise 4, 10 000 steps cost at most 1.26 at delta 1e-5.
    assert steps_epsilon(noise_multiplier=4.0, sample_rate=0.01, n_steps=10_000, delta=DELTA)["rdp"] <= 1.26


@pytest.mark.filterwarnings("ignore:Optimal order is the largest alpha:UserWarning")  # Opacus, of its grid
@pytest.mark.parametrize(
    ("sample_rate", "noise", "n_steps"),
    [(0.01, 1.0, 300), (0.08, 5.0, 500), (0.02, 1.3, 600), (0.01, 4.0, 4000)],
)
def test_epsilon_agrees_with_opacus(sample_rate, noise, n_steps):
    found = steps_epsilon(noise_multiplier=noise, sample_rate=sample_rate, n_steps=n_steps, delta=DELTA)
    rdp, prv = RDPAccountant(), PRVAccountant()
    rdp.history = prv.history = [(noise, sample_rate, n_steps)]
    assert found["rdp"] == pytest.approx(rdp.get_epsilon(delta=DELTA), rel=0.01)
    theirs = prv.get_epsilon(delta=DELTA)  # an upper bound by design: 0.01 above its estimate
    assert 0.5 < theirs < 2.2
    assert theirs - 0.015 <= found["pld"] <= theirs


@pytest.mark.parametrize(
    ("sample_rate", "noise", "n_steps", "slack"),
    [
        (0.01, 1.0, 1000, 1e-6),
        (0.08, 5.0, 500, 1e-7),
        (0.5, 2.0, 30, 1e-7),
        (0.99, 3.0, 20, 1e-8),
        (0.002, 0.7, 50, 1e-7),
    ],
)
def test_a_gaussian_and_the_slack_cover_the_steps_between_the_grid_points_too(
    sample_rate, noise, n_steps, slack
):
    mu = steps_mu(noise_multiplier=noise, sample_rate=sample_rate, n_steps=n_steps, slack=slack)
    # Five times finer losses, each direction by itself, at epsilons of their own.
    spread = sample_rate * math.sqrt(math.expm1(noise**-2))
    finer = pld.from_gaussian_mechanism(
        noise, sampling_prob=sample_rate, value_discretization_interval=0.01 * spread
    ).self_compose(n_steps)
    epsilons = np.sort(np.r_[np.linspace(0, 6, 31), np.random.default_rng(0).uniform(0, 12, 60)])
    allowed = np.array([gdp_delta(mu, e) + slack for e in epsilons])
    for direction in (finer._pmf_remove, finer._pmf_add):
        exact = np.array([direction.get_delta_for_epsilon(float(e)) for e in epsilons])
        assert (exact <= allowed + 1e-12).all()
    # and the bound is not idle: 3 % less would not cover them
    shrunk = np.array([gdp_delta(0.97 * mu, e) + slack for e in epsilons])
    assert (finer.get_delta_for_epsilon(list(epsilons)) > shrunk).any()


@pytest.mark.parametrize(
    ("sample_rate", "noise", "slack"), [(0.3, 1.0, 1e-4), (0.02, 0.8, 1e-3), (0.9, 3.0, 1e-5)]
)
def test_one_step_is_covered_at_every_epsilon_below_zero_too(sample_rate, noise, slack):
    # The two laws of one step by their densities: with the unit, a mixture; without it, the Gaussian at 0.
    mu = steps_mu(noise_multiplier=noise, sample_rate=sample_rate, n_steps=1, slack=slack)
    x, width = np.linspace(-12 * noise, 1 + 12 * noise, 200_001, retstep=True)
    without = norm.pdf(x, 0, noise)
    having = (1 - sample_rate) * without + sample_rate * norm.pdf(x, 1, noise)
    for p, q in ((having, without), (without, having)):
        for epsilon in np.linspace(-6, 6, 121):
            exact = float(np.maximum(p - math.exp(epsilon) * q, 0.0).sum() * width)
            assert exact <= gdp_delta(mu, epsilon) + slack + 1e-9


def test_profiles_are_never_below_the_exact_ones():
    # At sampling rate 1 the profile is known. Fourier transforms of 10 000 steps are off by about 5e-14.
    for n_steps in (1, 100, 10_000):
        profile = Profile(noise_multiplier=math.sqrt(n_steps) / 2.0, sample_rate=1.0, n_steps=n_steps)
        epsilons = np.array(
            [0.0, *(gdp_epsilon(2.0, delta) for delta in (1e-2, 1e-5, 1e-8, 1e-11, 1e-12, 1e-13))]
        )
        assert (profile.delta(epsilons) >= [gdp_delta(2.0, e) for e in epsilons]).all()


@pytest.mark.parametrize(
    ("mu_squared", "sample_rate", "n_steps", "slack"),
    [
        (0.06, 0.08, 300, 1e-7),
        (1.0, 0.01, 200, 1e-7),
        (30.0, 0.3, 50, 1e-7),
        (4.0, 0.999, 40, 1e-7),
        (3.0, 1.0, 100, 1e-7),
        (1e-6, 0.1, 100, 1e-7),
        (1e-12, 1.0, 3, 1e-9),
        (1e4, 0.9, 10, 1e-7),
        (100.0, 0.5, 3, 1e-6),
        (0.05, 1e-6, 10, 1e-5),
        (0.5, 0.1, 100, 1e-15),
    ],
)
def test_calibrated_noise_never_overshoots_and_wastes_little(mu_squared, sample_rate, n_steps, slack):
    noise = noise_for_steps(mu_squared, sample_rate=sample_rate, n_steps=n_steps, slack=slack)
    cost = steps_mu(noise_multiplier=noise, sample_rate=sample_rate, n_steps=n_steps, slack=slack) ** 2
    assert cost <= mu_squared * (1 + 1e-12)
    assert noise <= math.sqrt(n_steps / mu_squared) * (1 + 1e-4) or noise == 0.1
    if slack >= 1e-10 and noise > 0.11 and cost > 1e-10 and mu_squared < 500:
        assert cost >= mu_squared * (1 - 2e-3)


@settings(max_examples=12, deadline=None)
@given(st.floats(0.8, 8.0), st.floats(0.02, 0.9), st.integers(1, 60))
def test_cost_grows_with_steps_and_rate_and_falls_with_noise(noise, rate, n_steps):
    def mu(noise=noise, rate=rate, n_steps=n_steps):
        return steps_mu(noise_multiplier=noise, sample_rate=rate, n_steps=n_steps, slack=SLACK)

    here = mu() * (1 - 0.01)  # the discretisation differs between settings
    assert mu(n_steps=n_steps + 10) >= here
    assert mu(rate=min(1.0, rate * 1.3)) >= here
    assert mu(noise=noise / 1.3) >= here
    assert mu() <= math.sqrt(n_steps) / noise
    assert mu() >= 0.0


def test_a_block_composes_with_a_gaussian_and_a_second_block_like_gaussians():
    # privacy/README.md claims: below the Gaussian of the summed mu², plus the slacks. Checked by PLDs.
    blocks = [(2.0, 0.05, 200), (1.2, 0.02, 100)]
    total, slacks, composed = (
        0.3**2,
        0.0,
        pld.from_gaussian_mechanism(1 / 0.3, value_discretization_interval=1e-3),
    )
    for noise, rate, n_steps in blocks:
        total += steps_mu(noise_multiplier=noise, sample_rate=rate, n_steps=n_steps, slack=SLACK) ** 2
        slacks += SLACK
        one = pld.from_gaussian_mechanism(noise, sampling_prob=rate, value_discretization_interval=1e-3)
        composed = composed.compose(one.self_compose(n_steps))
    epsilons = np.linspace(0.0, 8.0, 200)
    allowed = np.array([gdp_delta(math.sqrt(total), e) + slacks for e in epsilons])
    assert (composed.get_delta_for_epsilon(list(epsilons)) <= allowed).all()


def test_a_plan_of_counts_selections_and_steps_composes():
    counts = Gaussian(purpose="c", noise_multiplier=10.0, count=4)
    chosen = Exponential(purpose="s", epsilon0=0.1, count=5)
    steps = SampledGaussian(
        purpose="g",
        noise_multiplier=4.0,
        sample_rate=0.05,
        count=200,
        delta=SLACK,
    )
    fixed = compose_fixed_plan([counts, chosen, steps], DELTA)
    total = math.sqrt(sum(event.mu_squared for event in (counts, chosen, steps)))
    by_filter = gdp_epsilon(total, DELTA - SLACK)
    assert fixed["epsilon"] <= by_filter <= 1.05 * fixed["pld"]
    alone = compose_fixed_plan([steps], DELTA)
    expected = steps_epsilon(noise_multiplier=4.0, sample_rate=0.05, n_steps=200, delta=DELTA)
    assert alone["pld"] == pytest.approx(expected["pld"], rel=2e-3)
    assert fixed["pld"] > alone["pld"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_multiplier": 0.0}, "positive, finite noise_multiplier"),
        ({"noise_multiplier": math.inf}, "positive, finite noise_multiplier"),
        ({"sample_rate": 0.0}, "expected 0 < sample_rate <= 1"),
        ({"sample_rate": 64.0}, "a mean batch of 64 out of n records is sample_rate=64/n"),
        ({"n_steps": 0}, "n_steps >= 1"),
        ({"n_steps": 2.5}, "whole number n_steps"),
        ({"slack": 0.0}, "expected 0 < slack < 1"),
    ],
)
def test_impossible_steps_are_refused(change, message):
    fields = {"noise_multiplier": 1.0, "sample_rate": 0.1, "n_steps": 3, "slack": SLACK}
    with pytest.raises(ParameterError, match=message):
        steps_mu(**{**fields, **change})


@pytest.mark.parametrize("mu_squared", [0.0, -1.0, math.nan, math.inf])
def test_impossible_budgets_are_refused(mu_squared):
    with pytest.raises(ParameterError, match="finite mu_squared > 0"):
        noise_for_steps(mu_squared, sample_rate=0.1, n_steps=10, slack=SLACK)
