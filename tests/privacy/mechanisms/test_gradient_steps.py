"""Private gradient steps: the noise, the batch, the divisor, the counter, and what is left behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from privsynth.accounting.events import SampledGaussian
from privsynth.accounting.step_plan import LARGEST_NOISE, StepPlan
from privsynth.errors import ParameterError
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM, RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import part_size
from privsynth.privacy.mechanisms.noise import LARGEST_STD
from privsynth.privacy.mechanisms.noise_optimizer import SecretNoiseOptimizer
from privsynth.privacy.randomness import OsEntropy
from tests.helpers import gradient_steps as checks
from tests.helpers.gradient_steps import block, flat, mlp, plan, rows, softplus_loss
from tests.helpers.predictable import PredictableSourceForTests

FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    "check",
    [
        checks.check_noise_is_booked_noise,
        checks.check_noise_is_secret,
        checks.check_the_divisor_is_public,
        checks.check_an_empty_batch_is_a_step,
        checks.check_a_step_is_spent_before_it_draws,
    ],
)
def test_the_guarantee(check):
    check()


def test_the_variance_of_a_noisy_sum_is_that_of_the_noise():
    # All records in every batch: what varies from step to step is noise alone, on top of the clipped sum.
    step_plan = plan(sample_rate=1.0, noise_multiplier=0.8)
    network = mlp()
    clipper = RecordClipper(network, softplus_loss, max_grad_norm=0.5)
    centre = flat(clipper.clipped_sum(rows(8)))
    sums = checks.noisy_gradients(step_plan, rows(8), n=200, network=network) * 4.0
    residual = ((sums - centre) / (0.8 * 0.5)).numpy()
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=residual.size)
    assert low < float((residual**2).sum()) < high
    assert 0.95**2 * float((residual**2).sum()) < low  # power


def step_with(network, steps):
    clipper = RecordClipper(network, softplus_loss, max_grad_norm=0.5)
    optimizer = steps.optimizer(torch.optim.SGD(network.parameters(), lr=1.0))
    steps.noisy_gradient(clipper, optimizer)
    return optimizer


def test_nothing_exact_is_left_on_the_parameters():
    network = mlp()
    optimizer = step_with(network, block(plan(), rows(8)))
    assert all(p.summed_grad is None and p.grad_sample is None for p in network.parameters())
    assert optimizer.secret is None
    with pytest.raises(ValueError, match="not initialized"):
        optimizer.step()  # would add noise twice, or to nothing


def test_every_step_draws_afresh_and_a_resumed_test_run_repeats_itself():
    def gradients(n_begun):
        network = mlp()
        steps = block(plan(), rows(8), secret=PredictableSourceForTests(4), n_begun=n_begun)
        return [
            flat([p.grad for p in network.parameters()])
            for _ in range(3 - n_begun)
            if step_with(network, steps)
        ]

    whole, resumed = gradients(0), gradients(1)
    assert not torch.equal(whole[0], whole[1])
    assert torch.equal(whole[1], resumed[0])
    assert torch.equal(whole[2], resumed[1])


def test_a_keystream_goes_on_and_differs_from_step_to_step():
    source = OsEntropy().for_step(0)
    first, second = source.read(64), source.read(64)
    assert len({first, second, OsEntropy().for_step(0).read(64), source.for_step(0).read(64)}) == 4
    bits = np.unpackbits(np.frombuffer(source.read(100_000), dtype=np.uint8))
    assert abs(float(bits.mean()) - 0.5) < 5.0 * 0.5 / math.sqrt(len(bits))


def test_the_event_is_made_of_the_plan():
    assert plan().event("x") == SampledGaussian(
        purpose="x", noise_multiplier=1.0, sample_rate=0.3, count=5, delta=1e-7
    )


def test_a_plan_stays_within_its_budget_and_its_divisor_is_public():
    made = StepPlan.within(0.5, 1e-7, n_steps=50, batch_size=100, n_units=1000.0, max_grad_norm=1.0)
    assert made.event("x").mu_squared <= 0.5
    assert (made.sample_rate, made.expected_batch_size) == (0.1, 100)
    few = StepPlan.within(0.5, 1e-7, n_steps=5, batch_size=100, n_units=-3.0, max_grad_norm=1.0)
    assert (few.sample_rate, few.expected_batch_size) == (1.0, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"max_grad_norm": 0.0},
        {"max_grad_norm": math.inf},
        {"expected_batch_size": math.nan},
        {"sample_rate": 0.0},
        {"noise_multiplier": 0.0},
        {"n_steps": 0},
    ],
)
def test_impossible_plans_are_refused(change):
    with pytest.raises(ParameterError, match="expected"):
        plan(**change)


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"batch_size": math.nan}, {"n_units": math.nan}])
def test_impossible_sizes_are_refused(change):
    sizes = {"batch_size": 10, "n_units": 100.0, **change}
    with pytest.raises(ParameterError, match="batch_size > 0 and a finite n_units"):
        StepPlan.within(0.5, 1e-7, n_steps=5, max_grad_norm=1.0, **sizes)


def test_clipper_optimizer_and_plan_must_belong_together():
    network, steps = mlp(), block(plan(), rows(8))
    base = torch.optim.SGD(network.parameters(), lr=1.0)
    clipper = RecordClipper(network, softplus_loss, max_grad_norm=0.5)
    with pytest.raises(ParameterError, match="max_grad_norm of the plan"):
        steps.noisy_gradient(RecordClipper(network, softplus_loss, max_grad_norm=5.0), steps.optimizer(base))
    with pytest.raises(ParameterError, match="another noise"):
        steps.noisy_gradient(clipper, SecretNoiseOptimizer(base, plan(noise_multiplier=0.1)))
    with pytest.raises(ParameterError, match="same parameters"):
        steps.noisy_gradient(clipper, steps.optimizer(torch.optim.SGD(mlp().parameters(), lr=1.0)))
    with pytest.raises(ParameterError, match="which pays for the step"):
        steps.optimizer(base).add_noise()
    assert steps.n_begun == 0


def test_parts_have_a_public_size_that_most_batches_fill_once():
    for expected in (1.0, 30.5, 2048.0):
        size = part_size(plan(expected_batch_size=expected))
        assert size % 16 == 0
        assert expected + 4 * math.sqrt(expected) <= size < expected + 4 * math.sqrt(expected) + 16


def test_a_plan_refuses_noise_that_sums_of_gradients_cannot_hold():
    assert LARGEST_NOISE == LARGEST_STD / STEPS_PER_NORM
    plan(noise_multiplier=LARGEST_NOISE)
    with pytest.raises(ParameterError, match="expected a noise_multiplier up to"):
        plan(noise_multiplier=1.01 * LARGEST_NOISE)
