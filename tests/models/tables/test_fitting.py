"""The fit: its gradient, what it finds, what its loss means, and that it can be repeated."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from privsynth.models.tables.fitting import FitOptions, Measurement, MixtureFitter
from privsynth.models.tables.mixture import ProductMixture
from tests.helpers.chi_square import FALSE_ALARM

NAMES, SIZES = ("a", "b", "c", "d"), (2, 3, 4, 2)
PAIRS = list(itertools.combinations(NAMES, 2))


def truth(seed=0, k=5):
    rng = np.random.default_rng(seed)
    blocks = [rng.dirichlet(np.full(n, 0.5), k).astype(np.float32) for n in SIZES]
    return ProductMixture(NAMES, tuple(blocks))


def fitter(*, k=64, seed=0, context=None, **options):
    options = FitOptions(n_components=k, **({"entropy_weight": 0.0} | options))
    return MixtureFitter(columns=NAMES, sizes=SIZES, options=options, seed=seed, context=context)


def measured(model, columns, n, *, noise=0.0, variance=1.0, seed=0):
    table = n * model.table(columns)
    noisy = table + np.random.default_rng([seed, *map(ord, columns)]).normal(0, noise, table.shape)
    return Measurement(columns=columns, counts=noisy, variance=variance)


def started(f, model, n, **how):
    f.start([measured(model, (name,), n, **how) for name in NAMES], n)
    return f


def tv(model, other, columns):
    return 0.5 * np.abs(model.table(columns) - other.table(columns)).sum()


# -- loss and gradient ---------------------------------------------------------------------------------


def objective(logits, measurements, n, k, entropy_weight):
    """Return the loss and what is minimised, from their definitions, in double precision."""
    blocks = [torch.softmax(part, dim=1) for part in torch.split(logits, list(SIZES), dim=1)]
    total, n_cells = torch.zeros((), dtype=torch.float64), 0
    for m in measurements:
        letters = "abcd"[: len(m.columns)]
        rule = ",".join("k" + letter for letter in letters) + "->" + letters
        model = n * torch.einsum(rule, *(blocks[NAMES.index(name)] for name in m.columns)) / k
        variance = torch.from_numpy(np.broadcast_to(m.variance, m.counts.shape).astype(np.float64))
        total = total + ((model - torch.from_numpy(m.counts)) ** 2 / variance).sum()
        n_cells += m.counts.size
    entropy = sum(-(block * block.log()).sum(dim=1).mean() for block in blocks)
    return total / n_cells, total / n_cells - entropy_weight * entropy


@pytest.mark.parametrize(
    "tables",
    [
        [],
        [("a", "b"), ("b", "d")],
        [("a", "c", "d")],
        [("a", "b"), ("c", "d"), ("a", "c", "d"), ("a", "b", "c"), NAMES],
    ],
)
@pytest.mark.parametrize("context", [None, "a", "c"])
@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
def test_the_gradient_is_that_of_automatic_differentiation(tables, entropy_weight, context):
    model, n, k = truth(), 1000.0, 7
    f = started(
        fitter(k=k, entropy_weight=entropy_weight, context=context), model, n, noise=5.0, variance=4.0
    )
    rng = np.random.default_rng(1)
    shapes = {columns: n * model.table(columns) for columns in tables}
    tables_measured = [
        Measurement(columns=c, counts=t + rng.normal(0, 3, t.shape), variance=rng.uniform(1, 20, t.shape))
        for c, t in shapes.items()
    ]
    for m in tables_measured:
        f.add(m)
    ones = [measured(model, (name,), n, noise=5.0, variance=4.0) for name in NAMES]
    loss, gradient = f._loss_and_gradient(f._targets())
    logits = f._logits.T.double().requires_grad_(True)
    expected_loss, minimised = objective(logits, [*ones, *tables_measured], n, k, entropy_weight)
    (expected,) = torch.autograd.grad(minimised, logits)
    expected = expected.T
    assert float(loss) == pytest.approx(float(expected_loss.detach()), rel=1e-4)
    assert gradient.numpy() == pytest.approx(
        expected.numpy(), rel=1e-3, abs=1e-5 * float(expected.abs().max())
    )


def test_only_what_was_measured_is_computed():
    model, n = truth(), 1000.0
    f = started(fitter(context="d"), model, n)
    assert f._targets().groups == []
    for columns in [("a", "b"), ("c", "a"), ("b", "c", "d")]:
        f.add(measured(model, columns, n))
    assert [group.shares.numel() for group in f._targets().groups] == [2 * (3 + 4), 3 * 4 * 2]


def test_at_the_truth_the_loss_is_the_noise_of_the_measurements():
    # Independent columns, 1-ways exact: what is left of 28 pairs' cells times their variance is chi-square.
    names = tuple("abcdefgh")
    blocks = tuple(np.full((1, 8), 1 / 8, np.float32) for _ in names)
    model, n, sigma = ProductMixture(names, blocks), 10_000.0, 25.0
    f = MixtureFitter(
        columns=names, sizes=(8,) * 8, options=FitOptions(n_components=4, init_scale=0.0), seed=0
    )
    f.start([measured(model, (name,), n, variance=1.0) for name in names], n)
    pairs = list(itertools.combinations(names, 2))
    for pair in pairs:
        f.add(measured(model, pair, n, noise=sigma, variance=sigma**2))
    stat = f.step_many(1) * f.n_measured_cells
    n_cells = 64 * len(pairs)
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], df=n_cells)
    assert low < stat < high
    assert 1.25 * stat > high  # a quarter too large a variance would be caught
    assert stat / 1.25 < low


# -- what it finds -------------------------------------------------------------------------------------


def test_the_fit_finds_a_planted_dependence():
    model, n = truth(3), 10_000.0
    f = started(fitter(k=128), model, n, variance=100.0)
    for pair in PAIRS:
        f.add(measured(model, pair, n, variance=100.0))
    far = max(tv(f.mixture(), model, pair) for pair in PAIRS)
    f.step_many(400, final=True)
    assert far > 0.1
    assert max(tv(f.mixture(), model, pair) for pair in PAIRS) < 0.01


def test_the_fit_finds_a_dependence_of_three_columns():
    # parity: every pair is independent, only the 3-way table shows it
    parity = ProductMixture(
        NAMES,
        (
            np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32),
            np.full((4, 3), 1 / 3, np.float32),
            np.array([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5]] * 2, np.float32),
            np.array([[1, 0], [0, 1], [0, 1], [1, 0]], np.float32),
        ),
    )
    columns, n = ("a", "c", "d"), 10_000.0
    f = started(fitter(k=128), parity, n, variance=100.0)
    f.add(measured(parity, columns, n, variance=100.0))
    far = tv(f.mixture(), parity, columns)
    f.step_many(400, final=True)
    assert far > 0.3
    assert tv(f.mixture(), parity, columns) < 0.05


def test_the_loss_of_a_good_fit_is_at_the_noise_or_below():
    model, n, sigma = truth(5), 5000.0, 20.0
    f = started(fitter(entropy_weight=0.02), model, n, noise=sigma, variance=sigma**2)
    for pair in PAIRS:
        f.add(measured(model, pair, n, noise=sigma, variance=sigma**2))
    first, last = f.step_many(1), f.step_many(300, final=True)
    assert first > 3
    assert 0.1 < last < 1.5


def test_a_precise_measurement_outweighs_a_vague_one():
    model, n = truth(1), 10_000.0
    wrong = truth(2)
    f = started(fitter(), model, n, variance=25.0)
    f.add(measured(model, ("a", "b"), n, variance=25.0))
    f.add(measured(wrong, ("a", "c"), n, variance=1e8))
    f.step_many(300, final=True)
    assert tv(f.mixture(), model, ("a", "b")) < 0.01
    assert tv(f.mixture(), model, ("c",)) < 0.02


def test_a_cell_has_a_least_variance():
    def mixture(variance, least):
        f = started(replace(fitter(entropy_weight=1.0), least_variance=least), truth(1), 1000.0)
        f.add(measured(truth(1), ("a", "b"), 1000.0, variance=variance))
        f.step_many(20)
        return np.concatenate([block.ravel() for block in f.mixture().blocks])

    assert (mixture(1e-8, 1.0) == mixture(1.0, 0.0)).all()
    assert (mixture(4.0, 1.0) == mixture(4.0, 0.0)).all()
    assert (mixture(1e-8, 0.0) != mixture(1e-8, 1.0)).any()


def test_the_entropy_reward_spreads_the_components():
    def entropy(weight):
        f = started(fitter(entropy_weight=weight), truth(), 1000.0)
        f.step_many(100)
        return np.mean([-(b * np.log(b + 1e-12)).sum(axis=1).mean() for b in f.mixture().blocks])

    assert entropy(0.0) < entropy(1.0) < entropy(100.0)


# -- measurements --------------------------------------------------------------------------------------


def test_repeated_measurements_are_merged_by_inverse_variance_in_either_order_of_columns():
    model, n = truth(), 100.0
    first, second = np.full((2, 3), 10.0), np.full((3, 2), 20.0)
    merged = Measurement(
        columns=("a", "b"), counts=np.full((2, 3), (10 / 1 + 20 / 4) / (1 + 1 / 4)), variance=0.8
    )
    twice, once = started(fitter(), model, n), started(fitter(), model, n)
    twice.add(Measurement(columns=("a", "b"), counts=first, variance=1.0))
    twice.add(Measurement(columns=("b", "a"), counts=second, variance=np.full((3, 2), 4.0)))
    once.add(merged)
    assert twice.n_measured_cells == once.n_measured_cells == sum(SIZES) + 6
    first, second = twice._targets(), once._targets()
    assert first.weights.numpy() == pytest.approx(second.weights.numpy())
    (one,), (other,) = first.groups, second.groups
    assert (one.rows, one.cols.tolist()) == (other.rows, other.cols.tolist())
    assert one.shares.numpy() == pytest.approx(other.shares.numpy())
    assert one.weights.numpy() == pytest.approx(other.weights.numpy())


def test_a_one_way_measured_again_is_merged():
    f = started(fitter(), truth(), 100.0, variance=1.0)
    f.add(Measurement(columns=("a",), counts=np.array([0.0, 100.0]), variance=1.0))
    counts = (100 * truth().table(("a",)) + [0.0, 100.0]) / 2
    assert f._targets().shares[:2].numpy() == pytest.approx(counts / 100)


@pytest.mark.parametrize(
    "counts", [np.array([-3.0, -1.0]), np.array([0.0, 0.0]), np.array([1e9, -50.0])], ids=str
)
def test_negative_and_empty_counts_give_finite_logits(counts):
    f = fitter()
    ones = [
        Measurement(columns=(n,), counts=np.full(s, 5.0), variance=1.0)
        for n, s in zip(NAMES, SIZES, strict=True)
    ]
    f.start([Measurement(columns=("a",), counts=counts, variance=1.0), *ones[1:]], -4.0)
    f.step_many(20)
    for block in f.mixture().blocks:
        assert np.isfinite(block).all()
        assert block.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-5)


def test_shares_are_the_tables_of_the_mixture():
    f = started(fitter(context="c"), truth(), 100.0)
    f.step_many(5)
    sets = [*PAIRS, ("d", "b"), ("d", "a", "c"), ("a", "b", "c"), ("a", "d", "c"), ("a", "d")]
    tables = list(f.shares(sets))
    for columns, table in zip(sets, tables, strict=True):
        assert table == pytest.approx(f.mixture().table(columns), abs=1e-6)


# -- repeating it --------------------------------------------------------------------------------------


def fingerprint():
    """Return a hash of a fit large enough that its steps are divided among threads."""
    sizes = dict.fromkeys("abcde", 30) | {"f": 2}
    f = MixtureFitter(
        columns=tuple(sizes), sizes=tuple(sizes.values()), options=FitOptions(), seed=4, context="f"
    )
    rng = np.random.default_rng(0)
    f.start(
        [Measurement(columns=(n,), counts=rng.random(k) * 100, variance=1.0) for n, k in sizes.items()],
        1500.0,
    )
    for columns in [*itertools.combinations(sizes, 2), ("a", "f", "b")]:
        shape = tuple(sizes[name] for name in columns)
        f.add(Measurement(columns=columns, counts=rng.random(shape) * 3, variance=4.0))
    f.add(Measurement(columns=("a", "b", "c"), counts=rng.random((30, 30, 30)), variance=9.0))
    f.step_many(3)
    blocks = b"".join(block.tobytes() for block in f.mixture().blocks)
    shares = b"".join(
        table.tobytes() for table in f.shares([*itertools.combinations(sizes, 2), ("a", "b", "f")])
    )
    return hashlib.sha256(blocks + shares).hexdigest()


def test_fresh_processes_give_the_same_bytes_whatever_their_threads():
    # Together, two threads make the first call of a vector function, and divide products between them.
    code = "from tests.models.tables.test_fitting import fingerprint; print(fingerprint(), fingerprint())"
    hashes = set()
    for threads in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        process = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        )
        hashes |= set(process.stdout.split())
    assert len(hashes) == 1


def test_another_seed_gives_another_fit():
    blocks = [started(fitter(seed=seed), truth(), 100.0).mixture().blocks[0] for seed in (0, 1)]
    assert not np.array_equal(*blocks)
