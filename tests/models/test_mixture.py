"""The mixture: tables, exact conditionals, and the fit, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from privsynth.models.fitting import FitOptions, Measurement, MixtureFitter
from privsynth.models.mixture import ProductMixture

FALSE_ALARM = 1e-6
NAMES, SIZES = ("a", "b", "c", "d"), (2, 3, 4, 2)


def mixture(seed=0, k=5):
    rng = np.random.default_rng(seed)
    blocks = [rng.dirichlet(np.full(n, 0.5), k).astype(np.float32) for n in SIZES]
    return ProductMixture(NAMES, tuple(blocks))


def joint(m):
    """Return the probability of every row by the definition, ``SIZES``-shaped."""
    out = np.zeros(SIZES)
    for row in itertools.product(*map(range, SIZES)):
        terms = [block[:, v].astype(float) for block, v in zip(m.blocks, row, strict=True)]
        out[row] = np.prod(terms, axis=0).mean()
    return out


@pytest.mark.parametrize("columns", [("a",), ("b", "c"), ("c", "a"), ("a", "b", "d"), NAMES])
def test_tables_are_sums_over_the_joint(columns):
    m = mixture()
    whole = joint(m)
    kept = [NAMES.index(name) for name in columns]
    dropped = tuple(j for j in range(4) if j not in kept)
    expected = whole.sum(axis=dropped).transpose(np.argsort(np.argsort(kept)))
    assert m.table(columns) == pytest.approx(expected, abs=1e-6)


def test_the_mass_of_a_condition_is_its_probability():
    m = mixture()
    allowed = {"b": np.array([1.0, 0.0, 0.5]), "d": np.array([0.0, 1.0])}
    expected = (joint(m) * allowed["b"][None, :, None, None] * allowed["d"][None, None, None, :]).sum()
    assert m.component_mass(allowed).mean() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"b": np.array([1.0, 0.0, 0.5])},
        {"a": np.array([0.0, 1.0]), "c": np.array([0.2, 0.0, 1.0, 0.0]), "d": np.array([1.0, 0.3])},
    ],
)
def test_draws_follow_the_exact_conditional(allowed):
    m, n = mixture(1), 100_000
    codes = m.draw(n, allowed, np.random.default_rng())
    seen = np.zeros(SIZES)
    np.add.at(seen, tuple(codes[name] for name in NAMES), 1)
    expected = joint(m)
    for name, share in allowed.items():
        shape = [1, 1, 1, 1]
        shape[NAMES.index(name)] = -1
        expected = expected * share.reshape(shape)
    expected = expected.ravel() / expected.sum() * n
    seen = seen.ravel()
    assert seen.sum() == n
    assert seen[expected == 0].sum() == 0
    common = expected > 10
    assert chisquare(seen[common], expected[common], sum_check=False).pvalue > FALSE_ALARM
    assert abs(seen[~common].sum() - expected[~common].sum()) < 6 * np.sqrt(expected[~common].sum() + 1)
    if allowed:  # power: the distribution without the condition would be told apart
        plain = joint(m).ravel() * n
        assert ((seen - plain)[plain > 10] ** 2 / plain[plain > 10]).sum() > 1000


def test_columns_are_independent_given_the_component():
    # Children of one parent dealt out in a shared order would be dependent; ours are not.
    one = ProductMixture(("a", "b"), (np.array([[0.3, 0.7]], np.float32), np.array([[0.5, 0.5]], np.float32)))
    codes = one.draw(100_000, {}, np.random.default_rng())
    table = np.histogram2d(codes["a"], codes["b"], bins=2)[0]
    assert chi2_contingency(table).pvalue > FALSE_ALARM


def test_codes_without_probability_are_never_drawn_even_at_the_ends():
    block = np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]], np.float32)
    m = ProductMixture(("x",), (block,))

    class Ends:
        def __init__(self, value):
            self.value = value

        def random(self, n):
            return np.full(n, self.value)

        def multinomial(self, n, p):
            return np.array([n // 2, n - n // 2])

    for value in (0.0, np.nextafter(1.0, 0.0)):
        codes = m.draw(10, {}, Ends(value))["x"]
        assert set(codes[:5]) == {1}
        assert set(codes[5:]) <= {0, 1}


def test_a_condition_without_mass_is_refused():
    with pytest.raises(ValueError, match="no mass"):
        mixture().draw(3, {"a": np.zeros(2)}, np.random.default_rng())


# -- fitting ----------------------------------------------------------------------------------------------


def fitter(*, entropy=0.0, k=64, seed=0):
    options = FitOptions(n_components=k, entropy_weight=entropy)
    return MixtureFitter(columns=NAMES, sizes=SIZES, options=options, seed=seed)


def one_way(m, n, variance=1.0):
    return [Measurement(columns=(name,), counts=n * m.table((name,)), variance=variance) for name in NAMES]


def test_the_gradient_is_that_of_automatic_differentiation():
    m, n = mixture(), 1000.0
    f = fitter(entropy=0.3, k=7)
    f.start(one_way(m, n), n)
    noise = np.random.default_rng(1)
    for columns in (("a", "b"), ("b", "d"), ("a", "c", "d")):
        table = n * m.table(columns)
        f.add(Measurement(columns=columns, counts=table + noise.normal(0, 3, table.shape), variance=9.0))
    loss, gradient = f._loss_and_gradient(f._targets())
    logits = f._logits.clone().double().requires_grad_(True)
    blocks = [torch.softmax(part, dim=1) for part in torch.split(logits, list(SIZES), dim=1)]
    total = torch.zeros((), dtype=torch.float64)
    everything = [
        *((columns, *f._one_way[columns]) for columns in f._one_way),
        *((columns, *f._pairs[columns]) for columns in f._pairs),
        *((h.columns, h.counts, np.full(h.counts.shape, h.variance)) for h in f._higher),
    ]
    for columns, counts, variance in everything:
        spans = [blocks[NAMES.index(name)] for name in columns]
        letters = "abcd"[: len(spans)]
        rule = ",".join("k" + letter for letter in letters) + "->" + letters
        model = n * torch.einsum(rule, *spans) / 7
        target, weight = torch.tensor(np.array(counts)), torch.tensor(1 / np.array(variance))
        total = total + (weight * (model - target) ** 2).sum()
    total = total / f.n_measured_cells
    assert float(loss) == pytest.approx(float(total.detach()), rel=1e-4)
    entropy = sum(-(b * b.log()).sum(dim=1).mean() for b in blocks)
    (expected,) = torch.autograd.grad(total - 0.3 * entropy, logits)
    assert gradient.double().numpy() == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-5)


def test_the_fit_finds_a_planted_dependence():
    m, n = mixture(3), 10_000.0
    f = fitter(k=128)
    f.start(one_way(m, n, variance=100.0), n)
    for pair in itertools.combinations(NAMES, 2):
        f.add(Measurement(columns=pair, counts=n * m.table(pair), variance=100.0))
    f.step_many(400, final=True)
    for pair in itertools.combinations(NAMES, 2):
        assert 0.5 * np.abs(f.mixture().table(pair) - m.table(pair)).sum() < 0.01
        assert f.block(f.pair_shares(), pair) == pytest.approx(f.mixture().table(pair), abs=1e-5)


def test_repeated_measurements_are_merged_by_inverse_variance():
    f = fitter()
    f.start(one_way(mixture(), 100.0), 100.0)
    f.add(Measurement(columns=("a", "b"), counts=np.full((2, 3), 10.0), variance=1.0))
    f.add(Measurement(columns=("b", "a"), counts=np.full((3, 2), 20.0), variance=4.0))
    counts, variance = f._pairs["a", "b"]
    assert counts == pytest.approx(np.full((2, 3), (10 / 1 + 20 / 4) / (1 + 1 / 4)))
    assert variance == pytest.approx(np.full((2, 3), 0.8))


def test_the_loss_of_a_good_fit_is_at_the_noise_or_below():
    m, n, sigma = mixture(5), 5000.0, 20.0
    rng = np.random.default_rng()
    f = fitter(entropy=0.02)
    f.start(one_way(m, n, variance=sigma**2), n)
    for pair in itertools.combinations(NAMES, 2):
        table = n * m.table(pair)
        f.add(Measurement(columns=pair, counts=table + rng.normal(0, sigma, table.shape), variance=sigma**2))
    assert f.step_many(300, final=True) < 2.0


def test_the_same_measurements_and_seed_give_the_same_bytes():
    def fit():
        f = fitter(seed=4)
        f.start(one_way(mixture(), 100.0), 100.0)
        f.add(Measurement(columns=("a", "b"), counts=100 * mixture().table(("a", "b")), variance=1.0))
        f.step_many(50)
        return f.mixture().blocks

    for first, second in zip(fit(), fit(), strict=True):
        assert first.tobytes() == second.tobytes()
