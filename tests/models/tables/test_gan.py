"""The public half of adversarial training: directions, waiting, averages, checkpoints."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from privsynth.errors import ParameterError
from privsynth.models.adversarial import FAKE_LOSSES, REAL_LOSSES
from privsynth.models.images.gan import ImageGanOptions
from privsynth.models.tables.discriminator import TableDiscriminator, one_hot
from privsynth.models.tables.gan import Gan, GanOptions
from privsynth.models.tables.generator import MixtureGenerator, allot_conditions

SIZES = (2, 3)


def gan(n_states=32, seed=0, **options):
    made = MixtureGenerator(
        [np.ones(size) for size in SIZES],
        condition_columns=[],
        conditions=allot_conditions(np.ones(()), n_states),
        n_states=n_states,
        scatter=0.5,
        temperature=0.5,
        rng=torch.Generator().manual_seed(seed),
    )
    fields = {"n_states": n_states, "fake_batch_size": 256, "hidden": (8,)} | options
    return Gan(made, GanOptions(**fields), device="cpu", rng=torch.Generator().manual_seed(seed + 1))


@pytest.mark.parametrize("loss", list(REAL_LOSSES))
def test_one_step_on_separable_rows_raises_real_scores_above_fake_ones(loss):
    trained = gan(loss=loss, weight_decay=0.0)
    real = torch.tensor([[0, 0]] * 64)
    fakes = one_hot(torch.tensor([[1, 2]] * 64), SIZES)
    before = trained.discriminator(one_hot(real, SIZES)).mean() - trained.discriminator(fakes).mean()
    for _ in range(5):
        total = trained.real_loss(trained.discriminator, one_hot(real, SIZES)).mean()
        (total + trained.fake_loss(trained.discriminator, fakes).mean()).backward()
        trained.discriminator_optimizer.step()
        trained.discriminator_optimizer.zero_grad()
    after = trained.discriminator(one_hot(real, SIZES)).mean() - trained.discriminator(fakes).mean()
    assert after > before + 1e-3


@pytest.mark.parametrize("loss", list(REAL_LOSSES))
def test_losses_fall_the_right_way_with_the_score(loss):
    low, high = torch.tensor([-0.5]), torch.tensor([0.5])
    assert REAL_LOSSES[loss](high) < REAL_LOSSES[loss](low)
    assert FAKE_LOSSES[loss](high) > FAKE_LOSSES[loss](low)


def test_the_generator_follows_the_discriminator():
    trained = gan(generator_rate=0.2)
    with torch.no_grad():  # it likes the code 2 of the second column, and nothing else
        for p in trained.discriminator.parameters():
            p.zero_()
        trained.discriminator.linear.weight[0, 4] = 5.0
    for _ in range(40):
        trained.generator_step(trained.fakes())
    assert trained.generator.mixture(["a", "b"]).blocks[1][:, 2].mean() > 0.9


def test_the_generator_step_takes_generated_rows_only():
    assert list(inspect.signature(Gan.generator_step).parameters) == ["self", "fakes"]


def test_the_generator_waits_while_fakes_are_not_told():
    trained = gan(loss="hinge", min_fake_accuracy=0.6)
    with torch.no_grad():
        for p in trained.discriminator.parameters():
            p.zero_()
        trained.discriminator.linear.bias.fill_(1.0)  # every fake passes for real
    start = trained.generator.logits.detach().clone()
    for _ in range(10):
        trained.generator_step(trained.fakes())
    waited = trained.generator.logits.detach().clone()
    for _ in range(5):  # a few steps until the running share has fallen, then none
        trained.generator_step(trained.fakes())
    assert torch.equal(waited, trained.generator.logits)
    assert trained.fake_accuracy < 0.6
    with torch.no_grad():
        trained.discriminator.linear.bias.fill_(-1.0)
        trained.discriminator.linear.weight[0, 4] = 1.0
    for _ in range(15):
        trained.generator_step(trained.fakes())
    assert not torch.equal(waited, trained.generator.logits)
    assert start.shape == waited.shape


def test_the_average_lags_behind_the_generator():
    trained = gan(averaging=0.9)
    seen = []
    for _ in range(20):
        trained.generator_step(trained.fakes())
        seen.append(trained.generator.logits.detach().clone())
    expected = seen[0]
    for number, logits in enumerate(seen[1:], start=2):
        decay = min(0.9, 1 - 1 / number)
        expected = decay * expected + (1 - decay) * logits
    assert torch.allclose(trained.averaged_generator().logits, expected, atol=1e-5)


def test_the_released_marginals_hold_the_generator_back():
    shares = []
    for weight in (0.0, 100.0):
        trained = gan(generator_rate=0.2, one_way_weight=weight, averaging=0.0)
        with torch.no_grad():
            for p in trained.discriminator.parameters():
                p.zero_()
            trained.discriminator.linear.weight[0, 4] = 1.0
        for _ in range(30):
            trained.generator_step(trained.fakes())
        shares.append(trained.generator.mixture(["a", "b"]).blocks[1][:, 2].mean())
    assert shares[0] > 0.6
    assert abs(shares[1] - 1 / 3) < 0.1


def test_a_training_goes_on_from_its_arrays_bit_for_bit():
    def steps(trained, n):
        for _ in range(n):
            fakes = trained.fakes()
            trained.discriminator_optimizer.zero_grad()
            trained.fake_loss(trained.discriminator, fakes.detach()).mean().backward()
            trained.discriminator_optimizer.step()
            trained.generator_step(fakes)

    whole, cut, resumed = gan(), gan(), gan(seed=9)
    steps(whole, 6)
    steps(cut, 3)
    resumed.from_arrays(cut.to_arrays())
    steps(resumed, 3)
    first, second = whole.to_arrays(), resumed.to_arrays()
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_checkpoint_of_the_first_version_goes_on():
    """It had the generator's logits and their average under names of their own, and counters together."""
    played = gan(loss="hinge", min_fake_accuracy=0.1)
    for _ in range(3):
        played.generator_step(played.fakes())
    now = played.to_arrays()
    others = {k: v for k, v in now.items() if k.startswith(("discriminator", "generator-optimizer"))}
    first = others | {
        "logits": now["generator/logits"],
        "average": now["average/module.logits"],
        "rng": now["rng"],
        "counters": np.array([3, played.fake_accuracy]),
    }
    resumed = gan(seed=9, loss="hinge", min_fake_accuracy=0.1)
    resumed.from_arrays(first)
    again = resumed.to_arrays()
    assert again.keys() == now.keys()
    assert all(np.array_equal(again[name], now[name]) for name in now)


@pytest.mark.parametrize(("judged_every_step", "n_judged"), [(True, 3), (False, 1)])
def test_the_discriminator_is_judged_as_often_as_the_options_say(judged_every_step, n_judged):
    weight = 0.5
    trained = gan(
        loss="hinge",
        min_fake_accuracy=0.0,
        generator_steps=3,
        judged_every_step=judged_every_step,
        accuracy_weight=weight,
    )
    with torch.no_grad():
        trained.discriminator.linear.bias.fill_(100.0)  # every fake passes for real
    trained.generator_step(trained.fakes())
    assert trained.fake_accuracy == (1 - weight) ** n_judged


def test_under_bce_the_generator_lowers_the_loss_that_it_was_given():
    scores = torch.tensor([-2.0, 3.0])
    raised = gan(loss="bce").generator_loss(scores)
    assert raised == -scores.mean()
    lowered = gan(loss="bce", non_saturating=True).generator_loss(scores)
    assert lowered == torch.nn.functional.softplus(-scores).mean()


def test_scores_are_the_sum_of_the_three_terms_by_hand():
    net = TableDiscriminator(SIZES, hidden=(), pairs=True, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.linear.weight[0] = torch.arange(5.0)
        net.linear.bias.fill_(1.0)
        net.pairs.weight[0, 4], net.pairs.weight[4, 0], net.pairs.weight[0, 0] = 2.0, 4.0, 8.0
    row = one_hot(torch.tensor([[0, 2]]), SIZES)  # codes 0 and 4 side by side
    assert net(row).item() == pytest.approx((0.0 + 4.0 + 1.0) / 2**0.5 + (2.0 + 4.0 + 8.0) / 2)


def test_the_pair_terms_gradient_is_as_long_for_every_record():
    net = TableDiscriminator((4, 3, 5), hidden=(), pairs=True, rng=torch.Generator().manual_seed(0))
    lengths = set()
    for codes in ([0, 0, 0], [3, 2, 4], [1, 2, 3]):
        net.zero_grad()
        net(one_hot(torch.tensor([codes]), net.sizes)).sum().backward()
        lengths.add(round(float(net.pairs.weight.grad.norm()), 6))
    assert lengths == {1.0}


def test_one_hot_leaves_codes_outside_the_domain_empty():
    assert one_hot(torch.tensor([[-1, 1]]), SIZES).tolist() == [[0, 0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "l2"}, "expected loss to be one of"),
        ({"min_fake_accuracy": 0.5}, "min_fake_accuracy needs the hinge or bce loss"),
        ({"averaging": 1.0}, "averaging < 1"),
        ({"accuracy_weight": 0.0}, "0 < accuracy_weight"),
    ],
)
def test_bad_options_are_refused(options, text):
    with pytest.raises(ParameterError, match=text):
        GanOptions(**options)


def test_options_are_read_as_they_were_written():
    options = GanOptions(hidden=(3, 2), loss="bce", min_fake_accuracy=0.7)
    assert GanOptions.from_dict(options.to_dict()) == options


@pytest.mark.parametrize("kind", [GanOptions, ImageGanOptions])
def test_options_that_the_first_version_did_not_have_are_written_only_where_they_are_set(kind):
    """Equal settings keep their fingerprint, so that a finished fit is known again."""
    assert not {"non_saturating", "judged_every_step", "accuracy_weight"} & kind().to_dict().keys()
    other = kind(judged_every_step=not kind().judged_every_step, accuracy_weight=0.3)
    assert kind.from_dict(other.to_dict()) == other
