"""Networks, blocks of steps and guarantee checks for gradient steps. A check raises `AssertionError`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import binom, chi2
from torch import nn

from privsynth.accounting.step_plan import StepPlan
from privsynth.counting.coded_rows import RowsOfTensor
from privsynth.models.mixing import check_records_do_not_mix
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM, RecordClipper
from privsynth.privacy.mechanisms.gradient_steps import GradientSteps
from privsynth.privacy.randomness import OsEntropy, SecureRandom
from privsynth.privacy.units import Weighting, weigh_records

FALSE_ALARM = 1e-6


def mlp(width: int = 5, hidden: int = 7, *, seed: int = 0) -> nn.Sequential:
    """Return a small discriminator with weights of its own seed."""
    layers = [
        nn.Linear(width, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, 1),
    ]
    return seeded(nn.Sequential(*layers), seed)


def seeded(module: nn.Module, seed: int) -> nn.Module:
    """Give a module weights that depend on a seed, and on no global one."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=rng) * 0.5)
    return module


def rows(n: int, width: int = 5, *, seed: int = 1) -> torch.Tensor:
    """Return made-up records, some far larger than others."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=rng) * torch.logspace(-1, 1, n)[:, None]


def softplus_loss(network: Callable[[torch.Tensor], torch.Tensor], records: torch.Tensor) -> torch.Tensor:
    """Return one loss per record."""
    return nn.functional.softplus(-network(records)[:, 0])


def penalised_loss(network: Callable[[torch.Tensor], torch.Tensor], records: torch.Tensor) -> torch.Tensor:
    """Return the softplus loss and a gradient penalty at each record; for the path by record."""
    slopes = torch.func.grad(lambda x: network(x).sum())(records * 0.9)
    return softplus_loss(network, records) + 10.0 * (slopes.square().sum(1).add(1e-12).sqrt() - 1.0) ** 2


def flat(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return a list of gradients as one vector."""
    return torch.cat([p.flatten() for p in parts])


def loop_sum(network: nn.Module, loss: Callable, records: torch.Tensor, bound: float) -> torch.Tensor:
    """Return the sum of clipped gradients by the definition: one backward pass a record, by autograd."""
    total = torch.zeros(sum(p.numel() for p in network.parameters()))
    for i in range(len(records)):
        gradient = flat(
            list(torch.autograd.grad(loss(network, records[i : i + 1]).sum(), list(network.parameters())))
        )
        if torch.isfinite(gradient).all():
            total += gradient * min(1.0, bound / max(float(gradient.norm()), 1e-30))
    return total


def plan(**changes: float) -> StepPlan:
    """Return a plan, changed as asked."""
    fields = {
        "n_steps": 5,
        "sample_rate": 0.3,
        "noise_multiplier": 1.0,
        "max_grad_norm": 0.5,
        "expected_batch_size": 4.0,
        "slack": 1e-7,
    }
    return StepPlan(**{**fields, **changes})


def block(
    step_plan: StepPlan,
    records: torch.Tensor,
    *,
    secret: SecureRandom | None = None,
    advance: Callable[[int], None] = lambda n: None,
    n_begun: int = 0,
) -> GradientSteps:
    """Return a block of steps on records that are units of their own."""
    return GradientSteps(
        step_plan,
        records=RowsOfTensor(records, Weighting(None, None, 1, 1)),
        secret=secret or OsEntropy(),
        advance=advance,
        n_begun=n_begun,
    )


def noisy_gradients(
    step_plan: StepPlan, records: torch.Tensor, *, n: int, network: nn.Module | None = None
) -> torch.Tensor:
    """Return ``(n, n_parameters)`` noisy gradients of one and the same network."""
    network = network or mlp()
    steps = block(StepPlan(**{**vars(step_plan), "n_steps": n}), records)
    clipper = RecordClipper(network, softplus_loss, max_grad_norm=step_plan.max_grad_norm)
    optimizer = steps.optimizer(torch.optim.SGD(network.parameters(), lr=0.0))
    out = []
    for _ in range(n):
        steps.noisy_gradient(clipper, optimizer)
        out.append(flat([p.grad for p in network.parameters()]))
    return torch.stack(out)


# -- the guarantee, rule by rule: each holds for the package, and fails for a planted bug ------------------


def check_one_record_moves_the_sum_by_the_bound(
    make: Callable[[], nn.Module] = mlp, loss=softplus_loss
) -> None:
    """One more record moves the clipped sum by at most ``max_grad_norm``, on both paths."""
    for by_record in (False, True):
        for bound in (0.01, 0.5):
            clipper = RecordClipper(make(), loss, max_grad_norm=bound, by_record=by_record)
            records = rows(12)
            whole = flat(clipper.clipped_sum(records))
            for i in range(len(records)):
                rest = flat(clipper.clipped_sum(torch.cat([records[:i], records[i + 1 :]])))
                assert float((whole - rest).norm()) <= bound * (1 + 1e-4)


def squared_norm(steps: list[torch.Tensor]) -> int:
    """Return the squared L2 norm of whole numbers, exactly."""
    return sum(int(step) ** 2 for step in flat(steps))


def check_a_record_adds_the_same_wherever_it_stands(
    make: Callable[[], nn.Module] = mlp, loss=softplus_loss, records: torch.Tensor | None = None
) -> None:
    """A record's steps are within the bound, and sums are those of their records, to the last bit."""
    records = rows(21) if records is None else records
    for by_record in (False, True):
        clipper = RecordClipper(make(), loss, max_grad_norm=0.05, by_record=by_record)
        alone = [clipper.clipped_steps(records[i : i + 1], 16) for i in range(len(records))]
        assert all(squared_norm(steps) <= STEPS_PER_NORM**2 for steps in alone)
        for n in (1, 16, len(records)):
            whole = flat(clipper.clipped_steps(records[:n], 16))
            assert whole.dtype == torch.int64
            assert torch.equal(whole, torch.stack([flat(steps) for steps in alone[:n]]).sum(0))
            assert torch.equal(whole, flat(clipper.clipped_steps(records[:n].flip(0), 16)))


def check_records_are_refused_if_they_mix(make: Callable[[], nn.Module]) -> None:
    """A network that mixes records is refused, by its layers or by the check on random rows."""
    from privsynth.errors import UnsupportedLayerError

    try:
        clipper = RecordClipper(make(), softplus_loss, max_grad_norm=1.0)
        check_records_do_not_mix(clipper, rows(6))
    except UnsupportedLayerError:
        return
    raise AssertionError("a network that mixes records was accepted")


def check_clipped_sum_is_the_loop(
    make: Callable[[], nn.Module] = mlp, loss=softplus_loss, **options: bool
) -> None:
    """The clipped sum is that of batches of one, penalties included."""
    network, records = make(), rows(9)
    got = flat(RecordClipper(network, loss, max_grad_norm=0.5, **options).clipped_sum(records))
    expected = loop_sum(network, loss, records, 0.5)
    assert float((got - expected).norm()) <= 5e-5 * float(expected.norm())


def check_batches_are_poisson(n_rows: int = 60, rate: float = 0.2, n_steps: int = 3000) -> None:
    """Batch sizes are Binomial(n, q), no row comes twice, and two rows meet as often as independent ones."""
    weighting = weigh_records(None, max_records_per_person=None, secret=OsEntropy())
    drawn = np.zeros((n_steps, n_rows))
    for step in range(n_steps):
        batch = weighting.poisson_sample(rate, n_rows=n_rows, secret=OsEntropy())
        assert len(set(batch.tolist())) == len(batch)
        drawn[step, batch] = 1
    sizes = drawn.sum(1).astype(int)
    cuts = [7, 9, 10, 11, 12, 13, 14, 15, 17]
    cells = np.diff(np.r_[0.0, binom.cdf(cuts, n_rows, rate), 1.0])
    seen = np.bincount(np.searchsorted(cuts, sizes), minlength=len(cells))
    statistic = float(((seen - n_steps * cells) ** 2 / (n_steps * cells)).sum())
    assert statistic < chi2.isf(FALSE_ALARM, len(cells) - 1)
    # Each row's own number of draws, and the neighbours' number of meetings.
    z = (drawn.sum(0) - n_steps * rate) / np.sqrt(n_steps * rate * (1 - rate))
    assert float((z**2).sum()) < chi2.isf(FALSE_ALARM, n_rows)
    meet = (drawn[:, 0::2] * drawn[:, 1::2]).sum(0)
    z = (meet - n_steps * rate**2) / np.sqrt(n_steps * rate**2 * (1 - rate**2))
    assert float((z**2).sum()) < chi2.isf(FALSE_ALARM, len(meet))


def check_noise_is_booked_noise(n: int = 300) -> None:
    """A step on nobody is noise of ``noise_multiplier * max_grad_norm / expected_batch_size``."""
    step_plan = plan(noise_multiplier=1.3)
    noise = noisy_gradients(step_plan, rows(0), n=n).numpy() / (1.3 * 0.5 / 4.0)
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=noise.size)
    statistic = float((noise**2).sum())
    assert low < statistic < high
    assert 0.95**2 * statistic < low  # power: 5 % too little noise is caught
    for other in (np.roll(noise, 1, axis=1), np.roll(noise, 1, axis=0)):  # next coordinate, next step
        assert abs(float((noise * other).sum()) / np.sqrt(noise.size)) < 5.0


def check_noise_is_secret() -> None:
    """Two steps under the same global seeds have different noise, and leave these seeds alone."""
    found, network = [], mlp()
    for _ in range(2):
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002  # the point: global seeds have no say
        found.append(noisy_gradients(plan(), rows(0), n=1, network=network))
        state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # the point: global seeds have no say
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002  # the point: global seeds have no say
        assert torch.equal(state, torch.get_rng_state())
        assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002  # the point: global seeds have no say
    assert not torch.equal(*found)


def check_the_divisor_is_public() -> None:
    """Twice the records, twice the sum: nothing is divided by how many there are, or were drawn."""
    step_plan = plan(noise_multiplier=1e-6, sample_rate=1.0)
    one = noisy_gradients(step_plan, rows(8), n=1)[0]
    two = noisy_gradients(step_plan, torch.cat([rows(8), rows(8)]), n=1)[0]
    assert torch.allclose(two, 2 * one, atol=1e-5)
    clipper = RecordClipper(mlp(), softplus_loss, max_grad_norm=step_plan.max_grad_norm)
    assert torch.allclose(one, flat(clipper.clipped_sum(rows(8))) / step_plan.expected_batch_size, atol=1e-5)


def check_an_empty_batch_is_a_step() -> None:
    """A batch of nobody still changes the gradient, by noise alone, and still counts."""
    network, steps = mlp(), block(plan(n_steps=2), rows(0))
    clipper = RecordClipper(network, softplus_loss, max_grad_norm=0.5)
    optimizer = steps.optimizer(torch.optim.SGD(network.parameters(), lr=1.0))
    steps.noisy_gradient(clipper, optimizer)
    assert steps.n_begun == 1
    assert all(p.grad is not None and float(p.grad.abs().min()) > 0 for p in network.parameters())


def check_a_step_is_spent_before_it_draws() -> None:
    """If the process dies between the counter and the draw, the counter has the step."""

    class DiedError(Exception):
        pass

    class Dying(OsEntropy):
        def for_step(self, step: int) -> SecureRandom:
            raise DiedError

    counted: list[int] = []
    network, steps = mlp(), block(plan(), rows(8), secret=Dying(), advance=counted.append, n_begun=2)
    clipper = RecordClipper(network, softplus_loss, max_grad_norm=0.5)
    optimizer = steps.optimizer(torch.optim.SGD(network.parameters(), lr=1.0))
    with contextlib.suppress(DiedError):
        steps.noisy_gradient(clipper, optimizer)
    assert counted == [3]
