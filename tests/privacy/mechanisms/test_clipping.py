"""Clipped sums against batches of one, Opacus' hooks, and the bound on one record; what mixes is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from privsynth.errors import ParameterError, UnsupportedLayerError
from privsynth.models.mixing import check_records_do_not_mix
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM, RecordClipper
from tests.helpers.gradient_steps import (
    check_a_record_adds_the_same_wherever_it_stands,
    check_clipped_sum_is_the_loop,
    check_one_record_moves_the_sum_by_the_bound,
    check_records_are_refused_if_they_mix,
    flat,
    loop_sum,
    mlp,
    penalised_loss,
    rows,
    seeded,
    softplus_loss,
    squared_norm,
)


class Twice(nn.Module):
    """One layer used twice, so that its gradient is not one outer product."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(5, 5), nn.Linear(5, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.inner(torch.tanh(self.inner(x)))))


class Halves(nn.Module):
    """Each record is two rows for its layers."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)

    def forward(self, x):
        return self.inner(x[:, :4].reshape(-1, 2)).tanh().reshape(len(x), -1).sum(1, keepdim=True)


class Pairs(nn.Module):
    """A pair term beside a layer norm."""

    def __init__(self):
        super().__init__()
        self.pairs, self.norm, self.last = nn.Linear(5, 5), nn.LayerNorm(5), nn.Linear(5, 1)

    def forward(self, x):
        return self.last(self.norm(self.pairs(x) * x))


def sum_of(network, loss=softplus_loss, records=None, bound=0.5, **options):
    records = rows(9) if records is None else records
    return flat(RecordClipper(network, loss, max_grad_norm=bound, **options).clipped_sum(records))


@pytest.mark.parametrize(
    "make", [mlp, lambda: seeded(Twice(), 2), lambda: seeded(Halves(), 2), lambda: seeded(Pairs(), 2)]
)
@pytest.mark.parametrize("by_record", [False, True])
def test_the_sum_is_that_of_batches_of_one(make, by_record):
    check_clipped_sum_is_the_loop(make, by_record=by_record)


def test_a_gradient_penalty_is_clipped_with_its_record():
    check_clipped_sum_is_the_loop(loss=penalised_loss, by_record=True)
    check_clipped_sum_is_the_loop(loss=penalised_loss)  # the layers act twice: by record by itself


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")  # Opacus' own hooks
@pytest.mark.parametrize("by_record", [False, True])
def test_the_sum_is_that_of_opacus(by_record):
    records, network = rows(32), mlp()
    wrapped = GradSampleModule(copy.deepcopy(network))
    optimizer = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=0.5,
        expected_batch_size=8,
    )
    softplus_loss(wrapped, records).mean().backward()
    optimizer.pre_step()
    theirs = flat([p.grad for p in wrapped.parameters()]) * 8
    assert torch.allclose(sum_of(network, records=records, by_record=by_record), theirs, atol=1e-4)


def test_a_record_adds_the_same_wherever_it_stands():
    check_a_record_adds_the_same_wherever_it_stands()


@pytest.mark.parametrize("by_record", [False, True])
def test_thousands_of_aligned_records_move_the_sum_by_the_bound_each_and_no_more(by_record):
    # In float32 the last of 4,096 equal gradients moved the sum by 1.00004 of the bound.
    clipper = RecordClipper(mlp(), softplus_loss, max_grad_norm=0.01, by_record=by_record)
    records = rows(1).expand(4097, -1)
    more, fewer = (clipper.clipped_steps(part, at_once=512) for part in (records, records[1:]))
    moved = [a - b for a, b in zip(more, fewer, strict=True)]
    assert 0.999 * STEPS_PER_NORM**2 < squared_norm(moved) <= STEPS_PER_NORM**2


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.floats(-2.0, 1.0),
    st.floats(-2.0, 2.0),
    st.booleans(),
    st.integers(1, 9),
)
def test_one_more_record_moves_the_sum_by_at_most_the_bound(seed, n, log_bound, log_size, by_record, hidden):
    bound = 10.0**log_bound
    records = rows(n, seed=seed) * 10.0**log_size
    clipper = RecordClipper(
        mlp(hidden=hidden, seed=seed), softplus_loss, max_grad_norm=bound, by_record=by_record
    )
    more, fewer = (clipper.clipped_steps(part, at_once=4) for part in (records, records[1:]))
    assert squared_norm([a - b for a, b in zip(more, fewer, strict=True)]) <= STEPS_PER_NORM**2
    alone = flat(clipper.clipped_sum(records[:1])).double()
    assert float(alone.norm()) <= bound


def test_one_record_of_several_rows_is_clipped_once():
    # A batch of one whose layer sees two rows must not be taken for two records.
    network = seeded(Halves(), 2)
    assert float(sum_of(network, records=rows(1), bound=0.01).norm()) <= 0.01


def test_one_record_moves_the_sum_by_the_bound():
    check_one_record_moves_the_sum_by_the_bound()


@pytest.mark.parametrize("by_record", [False, True])
def test_micro_batches_and_row_order_change_nothing(by_record):
    whole = sum_of(mlp(), by_record=by_record)
    for size in (1, 4):
        assert torch.allclose(sum_of(mlp(), by_record=by_record, micro_batch_size=size), whole, atol=1e-5)
    assert torch.allclose(sum_of(mlp(), records=rows(9).flip(0), by_record=by_record), whole, atol=1e-5)


@pytest.mark.parametrize("by_record", [False, True])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_a_gradient_that_is_not_finite_contributes_nothing(by_record, bad):
    records = rows(9)
    spoiled = torch.cat([records, torch.full((1, 5), bad)])
    assert torch.equal(
        sum_of(mlp(), records=spoiled, by_record=by_record),
        sum_of(mlp(), records=records, by_record=by_record),
    )


def test_tiny_and_huge_numbers_do_not_escape_the_norm():
    # Slopes of 2e-23 square to nothing in float32, and inputs of 4e13 make them matter: 16 times the bound.
    clipper = RecordClipper(
        nn.Sequential(nn.Linear(400, 1, bias=False)), lambda d, x: 2e-23 * d(x)[:, 0], max_grad_norm=1e-9
    )
    for size in (1.0, 1e13, 4e13, 1e20):
        moved = flat(clipper.clipped_sum(torch.full((1, 400), size))).double()
        assert float(moved.norm()) <= 1e-9


def test_frozen_parameters_get_no_gradient_and_keep_the_fast_path():
    for freeze in ("0.weight", "2.bias"):
        network = mlp()
        dict(network.named_parameters())[freeze].requires_grad_(False)
        clipper = RecordClipper(network, softplus_loss, max_grad_norm=0.5)
        assert clipper._linear
        fast = flat(clipper.clipped_sum(rows(9)))
        assert torch.allclose(fast, sum_of(network, by_record=True), atol=1e-5)
        assert len(clipper.parameters) == 5


def test_an_empty_batch_sums_to_zero():
    for by_record in (False, True):
        assert float(sum_of(mlp(), records=rows(0), by_record=by_record).abs().sum()) == 0.0


def test_whole_number_records_and_three_dimensions():
    codes = torch.randint(0, 5, (6, 2), generator=torch.Generator().manual_seed(0))

    def loss(network, records):
        return softplus_loss(network, (records[..., None] == torch.arange(5)).float().sum(1))

    for by_record in (False, True):
        got = sum_of(mlp(), loss, codes, by_record=by_record)
        assert torch.allclose(got, loop_sum(mlp(), loss, codes, 0.5), atol=1e-5)
    deep = seeded(nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 1)), 0)
    records = rows(16).reshape(8, 2, 5)
    assert torch.allclose(
        sum_of(deep, records=records), loop_sum(deep, softplus_loss, records, 0.5), atol=1e-5
    )


class Renamed(nn.BatchNorm1d):
    """A subclass, which validators that compare types let through."""


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(6),
        nn.BatchNorm1d(6, affine=False),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.SyncBatchNorm(6),
        nn.LazyBatchNorm1d(),
        Renamed(6),
        nn.InstanceNorm1d(6, track_running_stats=True),
        nn.Sequential(nn.Sequential(nn.BatchNorm1d(6).eval())),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_normalisation_over_a_batch_is_refused_by_name(layer):
    network = nn.Sequential(nn.Linear(5, 6), layer, nn.Linear(6, 1))
    with pytest.raises(UnsupportedLayerError, match=r"'discriminator\.1.*mixes records; use LayerNorm"):
        RecordClipper(network, softplus_loss, max_grad_norm=1.0)


class BatchStatistic(nn.Module):
    def forward(self, x):
        return x * (1.0 + x.std(0, correction=0))


class Packing(nn.Module):
    """Neighbouring rows are judged together, as in PacGAN."""

    def forward(self, x):
        return x + x.roll(1, 0)


class ChangedPlaces(nn.Module):
    """Each record goes on in another's place: sums of unclipped gradients do not show it."""

    def forward(self, x):
        return x.flip(0)


class Memory(nn.Module):
    """A running mean that is no batch norm."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        with torch.no_grad():
            self.mean.add_(x.detach().mean(0))
        return x


@pytest.mark.parametrize("layer", [BatchStatistic, Packing, ChangedPlaces, Memory])
def test_layers_that_mix_are_found_on_random_rows(layer):
    check_records_are_refused_if_they_mix(
        lambda: seeded(nn.Sequential(nn.Linear(5, 6), layer(), nn.Tanh(), nn.Linear(6, 1)), 0)
    )


def test_the_buffers_are_left_as_they_were():
    network = seeded(nn.Sequential(nn.Linear(5, 6), Memory(), nn.Linear(6, 1)), 0)
    with pytest.raises(UnsupportedLayerError, match=r"'discriminator\.1\.mean' remembers records"):
        check_records_do_not_mix(RecordClipper(network, softplus_loss, max_grad_norm=1.0), rows(6))
    assert float(network[1].mean.abs().sum()) == 0.0


def test_honest_networks_pass_the_check():
    for make in (mlp, lambda: seeded(Twice(), 1), lambda: seeded(Pairs(), 1)):
        check_records_do_not_mix(RecordClipper(make(), softplus_loss, max_grad_norm=1.0), rows(6))
    check_records_do_not_mix(RecordClipper(mlp(), penalised_loss, max_grad_norm=1.0), rows(6))


def test_gradients_that_cancel_are_no_sign_of_a_penalty():
    """What is left of their sum is rounding, which no share of the sum itself bounds."""
    records = torch.tensor([[1.0, 0.1], [1.0, 0.2], [1.0, -0.3]])
    clipper = RecordClipper(nn.Linear(1, 1), lambda d, x: x[:, 1] * d(x[:, :1]).squeeze(1), max_grad_norm=1.0)
    check_records_do_not_mix(clipper, records)


@pytest.mark.parametrize("by_record", [False, True])
def test_losses_over_the_batch_are_refused(by_record):
    clipper = RecordClipper(
        mlp(), lambda d, x: softplus_loss(d, x).mean(), max_grad_norm=1.0, by_record=by_record
    )
    with pytest.raises(UnsupportedLayerError, match="expected one loss per record"):
        clipper.clipped_sum(rows(6))


def test_losses_that_count_the_batch_are_refused():
    clipper = RecordClipper(mlp(), lambda d, x: softplus_loss(d, x) / len(x), max_grad_norm=1.0)
    with pytest.raises(UnsupportedLayerError, match="mixes records"):
        check_records_do_not_mix(clipper, rows(6))


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_bounds_are_refused(bound):
    with pytest.raises(ParameterError, match="max_grad_norm"):
        RecordClipper(mlp(), softplus_loss, max_grad_norm=bound)


def test_networks_that_cannot_learn_are_refused():
    with pytest.raises(ParameterError, match="at least one parameter"):
        RecordClipper(nn.Sequential(nn.Tanh()), softplus_loss, max_grad_norm=1.0)
    with pytest.raises(ParameterError, match="at least one parameter"):
        RecordClipper(mlp().requires_grad_(False), softplus_loss, max_grad_norm=1.0)
    with pytest.raises(UnsupportedLayerError, match="float32 or float64"):
        RecordClipper(mlp().bfloat16(), softplus_loss, max_grad_norm=1.0)
    with pytest.raises(ParameterError, match="micro_batch_size"):
        RecordClipper(mlp(), softplus_loss, max_grad_norm=1.0, micro_batch_size=0)
    with pytest.raises(ParameterError, match="at least 2 public rows"):
        check_records_do_not_mix(RecordClipper(mlp(), softplus_loss, max_grad_norm=1.0), rows(1))
