"""Each guarantee check of the gradient steps holds, and fails when its rule is broken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from privsynth.errors import BudgetExceededError
from privsynth.models import mixing
from privsynth.privacy import units
from privsynth.privacy.mechanisms import clipping, noise
from privsynth.privacy.mechanisms import gradient_steps as dpsgd
from privsynth.privacy.mechanisms.clipping import RecordClipper
from privsynth.privacy.randomness import standard_normals
from tests.helpers import gradient_steps as checks
from tests.helpers.gradient_steps import flat, loop_sum, mlp, seeded


def batch_norm():
    return seeded(nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6, affine=False), nn.Linear(6, 1)), 0)


class OwnBatchNorm(nn.Module):
    """A batch norm that no list of layers knows."""

    def forward(self, x):
        return x - x.mean(0)


def hidden_batch_norm():
    return seeded(nn.Sequential(nn.Linear(5, 6), OwnBatchNorm(), nn.Tanh(), nn.Linear(6, 1)), 0)


def clip_after_averaging(self, records):
    gradient = torch.autograd.grad(self.loss(self.discriminator, records).sum(), self.parameters)
    norm = float(flat(list(gradient)).norm()) / max(len(records), 1)
    return [g * min(1.0, self.max_grad_norm / max(norm, 1e-30)) for g in gradient]


def unclipped(self, norm):
    return torch.ones_like(norm)


def fixed_size(n, rate, secret):
    return np.sort(np.random.default_rng(0).choice(n, size=round(rate * n), replace=False))


def halved(n, secret):
    return 0.5 * standard_normals(n, secret)


def seeded_noise(n, secret):
    return np.random.standard_normal(n)  # noqa: NPY002  # the bug


def skipping(original):
    def noisy_gradient(self, clipper, optimizer):
        if self._records is not None and len(self._records) == 0:
            return  # "nothing to learn from"
        original(self, clipper, optimizer)

    return noisy_gradient


def counting_afterwards(original):
    def noisy_gradient(self, clipper, optimizer):
        advance, self._advance = self._advance, lambda n: None
        try:
            original(self, clipper, optimizer)
            advance(self.n_begun)
        finally:
            self._advance = advance

    return noisy_gradient


def test_batch_norm_by_name(monkeypatch):
    checks.check_records_are_refused_if_they_mix(batch_norm)
    monkeypatch.setattr(clipping, "refuse_layers_that_mix_records", lambda module: None)
    network = batch_norm()
    with pytest.raises(AssertionError):
        checks.check_one_record_moves_the_sum_by_the_bound(lambda: network)


def test_batch_norm_in_disguise(monkeypatch):
    checks.check_records_are_refused_if_they_mix(hidden_batch_norm)
    monkeypatch.setattr(checks, "check_records_do_not_mix", lambda clipper, records: None)
    with pytest.raises(AssertionError):
        checks.check_records_are_refused_if_they_mix(hidden_batch_norm)


def test_clipping_after_averaging(monkeypatch):
    checks.check_one_record_moves_the_sum_by_the_bound()
    checks.check_clipped_sum_is_the_loop()
    monkeypatch.setattr(RecordClipper, "clipped_sum", clip_after_averaging)
    with pytest.raises(AssertionError):
        checks.check_one_record_moves_the_sum_by_the_bound()
    with pytest.raises(AssertionError):
        checks.check_clipped_sum_is_the_loop()


@pytest.mark.parametrize("bug", ["filling", "rounding"])
def test_what_a_record_adds_hangs_on_the_others(monkeypatch, bug):
    checks.check_a_record_adds_the_same_wherever_it_stands()
    if bug == "rounding":
        monkeypatch.setattr(clipping, "_whole", lambda rows, scale: rows.double() * scale[:, None])
    else:
        monkeypatch.setattr(clipping, "_kept", lambda factor, n_real: slice(None))  # rows of zeros count too
    with pytest.raises(AssertionError):
        checks.check_a_record_adds_the_same_wherever_it_stands()


def test_no_clipping(monkeypatch):
    monkeypatch.setattr(RecordClipper, "_factor", unclipped)
    with pytest.raises(AssertionError):
        checks.check_one_record_moves_the_sum_by_the_bound()


def test_gradient_penalty_outside_the_clip(monkeypatch):
    checks.check_clipped_sum_is_the_loop(loss=checks.penalised_loss, by_record=True)
    right = RecordClipper.clipped_sum

    def penalty_added_unclipped(self, records):
        sums = right(self, records)
        added = torch.autograd.grad(checks.penalised_loss(self.discriminator, records).sum(), self.parameters)
        return [a + b for a, b in zip(sums, added, strict=True)]

    monkeypatch.setattr(RecordClipper, "clipped_sum", penalty_added_unclipped)
    with pytest.raises(AssertionError):
        checks.check_clipped_sum_is_the_loop(loss=checks.penalised_loss, by_record=True)
    with pytest.raises(AssertionError):
        checks.check_one_record_moves_the_sum_by_the_bound()


def test_gradient_penalty_through_hooks(monkeypatch):
    # Hooks see what flows through the layers' outputs; the penalty's second derivative does not.
    monkeypatch.setattr(
        clipping, "_linear_layers", lambda module: {"0": module[0], "2": module[2], "4": module[4]}
    )

    def loss(network, records):
        inputs = records.clone().requires_grad_()
        scores = network(inputs)
        slopes = torch.autograd.grad(scores.sum(), inputs, create_graph=True)[0]
        return nn.functional.softplus(-scores[:, 0]) + slopes.square().sum(1)

    got = flat(RecordClipper(mlp(), loss, max_grad_norm=0.5).clipped_sum(checks.rows(9)))
    assert float((got - loop_sum(mlp(), loss, checks.rows(9), 0.5)).norm()) > 1e-2
    with pytest.raises(clipping.UnsupportedLayerError, match="by_record=True"):
        mixing.check_records_do_not_mix(RecordClipper(mlp(), loss, max_grad_norm=0.5), checks.rows(9))


def test_fixed_size_batches(monkeypatch):
    checks.check_batches_are_poisson()
    monkeypatch.setattr(units, "bernoullis", fixed_size)
    with pytest.raises(AssertionError):
        checks.check_batches_are_poisson()


def test_double_batches(monkeypatch):
    right = units.bernoullis
    monkeypatch.setattr(units, "bernoullis", lambda n, rate, secret: right(n, 2 * rate, secret))
    with pytest.raises(AssertionError):
        checks.check_batches_are_poisson()


@pytest.mark.parametrize("bug", [halved, lambda n, secret: np.full(n, standard_normals(1, secret)[0])])
def test_noise_halved_or_one_number_for_all(monkeypatch, bug):
    checks.check_noise_is_booked_noise()
    monkeypatch.setattr(noise, "standard_normals", bug)
    with pytest.raises(AssertionError):
        checks.check_noise_is_booked_noise()


def test_noise_from_a_global_seed(monkeypatch):
    checks.check_noise_is_secret()
    monkeypatch.setattr(noise, "standard_normals", seeded_noise)
    with pytest.raises(AssertionError):
        checks.check_noise_is_secret()


def test_dividing_by_the_drawn_batch(monkeypatch):
    checks.check_the_divisor_is_public()
    right = dpsgd.GradientSteps.noisy_gradient

    def by_drawn_batch(self, clipper, optimizer):
        right(self, clipper, optimizer)
        for p in clipper.parameters:
            p.grad *= self.plan.expected_batch_size / len(self._records)

    monkeypatch.setattr(dpsgd.GradientSteps, "noisy_gradient", by_drawn_batch)
    with pytest.raises(AssertionError):
        checks.check_the_divisor_is_public()


def test_an_empty_batch_skipped(monkeypatch):
    checks.check_an_empty_batch_is_a_step()
    monkeypatch.setattr(dpsgd.GradientSteps, "noisy_gradient", skipping(dpsgd.GradientSteps.noisy_gradient))
    with pytest.raises(AssertionError):
        checks.check_an_empty_batch_is_a_step()


def test_a_charge_after_the_step(monkeypatch):
    checks.check_a_step_is_spent_before_it_draws()
    monkeypatch.setattr(
        dpsgd.GradientSteps, "noisy_gradient", counting_afterwards(dpsgd.GradientSteps.noisy_gradient)
    )
    with pytest.raises(AssertionError):
        checks.check_a_step_is_spent_before_it_draws()


def test_steps_beyond_the_block():
    steps = checks.block(checks.plan(n_steps=1), checks.rows(8), n_begun=1)
    network = mlp()
    clipper = RecordClipper(network, checks.softplus_loss, max_grad_norm=0.5)
    with pytest.raises(BudgetExceededError, match="all 1 private steps of this block are spent"):
        steps.noisy_gradient(clipper, steps.optimizer(torch.optim.SGD(network.parameters(), lr=1.0)))
