"""The denoiser and its mixture, against brute force over every row of a small table."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from privsynth.models.tables.denoiser import TableDenoiser
from privsynth.models.tables.distillation import distilled, draw_rows, reordered
from privsynth.privacy.mechanisms.clipping import RecordClipper
from tests.helpers.chi_square import fits

SIZES, NAMES = (2, 3, 2), ("a", "b", "c")
ALL_ROWS = torch.tensor(list(itertools.product(*map(range, SIZES))))


def shares(sizes=SIZES):
    return [torch.full((size,), 1.0 / size, dtype=torch.float64) for size in sizes]


def denoiser(*, n_given=1, hidden=3, spread=2.0, seed=0):
    """Return a denoiser with random weights everywhere."""
    rng = torch.Generator().manual_seed(seed)
    net = TableDenoiser(shares(), n_given=n_given, hidden=hidden, rng=rng)
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(std=spread, generator=rng)
    return net


@pytest.mark.parametrize("hidden", [0, 3])
@pytest.mark.parametrize("n_given", [0, 1, 2])
def test_the_likelihoods_of_all_rows_add_up_to_one_for_each_given_part(hidden, n_given):
    with torch.no_grad():
        likelihood = torch.exp(denoiser(hidden=hidden, n_given=n_given)(ALL_ROWS))
    # Of what is not predicted (the given columns, or else the first one) each combination has a row of ones.
    n_free = [SIZES[0], SIZES[0], SIZES[0] * SIZES[1]][n_given]
    assert float(likelihood.sum()) == pytest.approx(n_free, rel=1e-5)


def test_a_column_is_predicted_from_those_before_it_and_from_no_other():
    net = denoiser()
    before = torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        by_hand = [torch.log_softmax(net.logits(1, before), 1)[0, 2]]
        by_hand.append(torch.log_softmax(net.logits(2, torch.tensor([[1.0, 0, 0, 0, 1]])), 1)[0, 0])
        found = net(torch.tensor([[0, 2, 0]]))
    assert float(found) == pytest.approx(float(sum(by_hand)), rel=1e-6)


def test_an_untrained_denoiser_predicts_the_released_shares():
    start = [torch.tensor([0.3, 0.7]), torch.tensor([0.2, 0.3, 0.5]), torch.tensor([0.9, 0.1])]
    net = TableDenoiser(start, n_given=0, hidden=4, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = torch.softmax(net.logits(2, torch.tensor([[1.0, 0, 0, 1, 0]])), 1)
    assert found[0].tolist() == pytest.approx([0.9, 0.1], abs=1e-6)


def test_a_code_outside_the_domain_counts_for_nothing():
    net = denoiser()
    with torch.no_grad():
        missing, known = net(torch.tensor([[0, 1, -1], [0, 1, 0]]))
        last = torch.log_softmax(net.logits(2, torch.tensor([[1.0, 0, 0, 1, 0]])), 1)[0, 0]
    assert float(known - missing) == pytest.approx(float(last), rel=1e-5)


@pytest.mark.parametrize("hidden", [0, 3])
def test_gradient_norms_come_from_one_backward_pass_and_equal_batches_of_one(hidden, monkeypatch):
    net = denoiser(hidden=hidden)
    clipper = RecordClipper(net, lambda network, codes: -network(codes), max_grad_norm=0.3)

    def slow(records):
        raise AssertionError("the path by record was taken")

    monkeypatch.setattr(clipper, "_by_record", slow)
    together = clipper.clipped_sum(ALL_ROWS)
    expected = [torch.zeros_like(p) for p in clipper.parameters]
    for row in ALL_ROWS:
        gradients = torch.autograd.grad(-net(row[None]).sum(), clipper.parameters)
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        for total, g in zip(expected, gradients, strict=True):
            total += g * min(1.0, 0.3 / float(norm))
    for found, total in zip(together, expected, strict=True):
        assert torch.allclose(found, total, atol=1e-4)


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    denoiser(hidden=3)
    assert torch.equal(before, torch.get_rng_state())


# -- rows and the mixture --------------------------------------------------------------------------------


def test_rows_follow_the_likelihood():
    """Chi-square of drawn rows; the shares asked for are the model's own, so that nothing is tilted."""
    net = denoiser(spread=1.0)
    with torch.no_grad():
        joint = torch.exp(net(ALL_ROWS)).double() / SIZES[0]
    n = 40_000
    own = [
        torch.stack([joint[ALL_ROWS[:, j] == code].sum() for code in range(size)])
        for j, size in enumerate(SIZES)
    ]
    given = torch.arange(n).remainder(2)[:, None]
    rows, _ = draw_rows(net, given, torch.cat(own).float(), torch.Generator().manual_seed(1))
    codes = torch.stack([block.argmax(1) for block in rows.split(list(SIZES), 1)], 1).numpy()
    counts = np.zeros(SIZES)
    np.add.at(counts, tuple(codes.T), 1)
    expected = joint.reshape(SIZES).numpy() * n
    assert fits(counts.ravel(), expected.ravel())
    twisted = expected[:, ::-1].ravel()  # the test would notice codes of the second column swapped
    assert not fits(counts.ravel(), twisted)


def test_predictions_are_tilted_to_the_released_shares():
    net = denoiser()
    wanted = torch.tensor([0.5, 0.5, 0.7, 0.2, 0.1, 0.95, 0.05])
    _, predicted = draw_rows(net, torch.zeros(4000, 1, dtype=torch.int64), wanted, torch.Generator())
    assert predicted.mean(0)[2:].tolist() == pytest.approx(wanted[2:].tolist(), abs=0.01)


def test_components_are_the_rows_softened_but_for_the_given_columns():
    rows, predicted = draw_rows(
        denoiser(), torch.zeros(50, 1, dtype=torch.int64), torch.cat(shares()).float(), torch.Generator()
    )
    mixture = distilled(rows, predicted, sizes=SIZES, columns=NAMES, soft_share=0.2)
    assert mixture.n_components == 50
    assert (mixture.blocks[0] == np.array([1.0, 0.0])).all()
    for block in mixture.blocks[1:]:
        assert block.sum(1) == pytest.approx(1.0, abs=1e-6)
        assert (block > 0).all()
        assert (block.max(1) >= 0.8).all()
    hard = distilled(rows, predicted, sizes=SIZES, columns=NAMES, soft_share=0.0)
    assert all(set(np.unique(block)) <= {0.0, 1.0} for block in hard.blocks)
    turned = reordered(mixture, ("c", "a", "b"))
    assert turned.columns == ("c", "a", "b")
    assert turned.table(("a", "b")) == pytest.approx(mixture.table(("a", "b")))
