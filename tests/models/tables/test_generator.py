"""The mixture generator: what it draws, where gradients go, how conditions are divided."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from privsynth.models.tables.generator import MixtureGenerator, allot_conditions

FALSE_ALARM = 1e-6  # per statistical assertion


def generator(n_states=8, scatter=1.0, condition_columns=(0,), seed=0, temperature=0.5):
    counts = [np.array([60.0, 40.0]), np.array([10.0, 20.0, 70.0])]
    return MixtureGenerator(
        counts,
        condition_columns=condition_columns,
        conditions=allot_conditions(np.array([60.0, 40.0]), n_states)[:, : len(condition_columns)],
        n_states=n_states,
        scatter=scatter,
        temperature=temperature,
        rng=torch.Generator().manual_seed(seed),
    )


def test_rows_are_drawn_as_often_as_the_mixture_says():
    made, n = generator(), 40_000
    with torch.no_grad():
        rows = made.draw(n).numpy()
    joint = made.mixture(["a", "b"]).table(["a", "b"])
    observed = rows[:, :2].T @ rows[:, 2:]
    statistic = float(((observed - n * joint) ** 2 / (n * joint)).sum())
    # Rows are independent, their states included: a multinomial of six cells.
    assert statistic < chi2.ppf(1 - FALSE_ALARM, df=5)
    moved = joint + np.array([[0.02, -0.02, 0.0], [0.0, 0.0, 0.0]])  # a shift of 0.02 would be seen
    assert float(((observed - n * moved) ** 2 / (n * moved)).sum()) > chi2.ppf(1 - FALSE_ALARM, df=5)


def test_every_row_has_one_code_a_column_and_is_hard():
    rows = generator().draw(50).detach()
    assert torch.equal(rows[:, :2].sum(1), torch.ones(50))
    assert torch.equal(rows[:, 2:].sum(1), torch.ones(50))
    assert set(rows.flatten().tolist()) <= {0.0, 1.0}


def test_gradients_reach_the_logits_but_not_those_of_conditions():
    made = generator()
    (made.draw(64) * torch.arange(5.0)).sum().backward()
    assert made.logits.grad[:, 2:].abs().sum() > 0
    assert made.logits.grad[:, :2].abs().sum() == 0


def test_the_estimator_points_the_right_way():
    """A score on the last code raises its probability, as the exact gradient of the expectation does."""
    made = generator(n_states=1, condition_columns=())
    total = torch.zeros_like(made.logits)
    for _ in range(20):
        made.logits.grad = None
        made.draw(2000)[:, 4].mean().backward()
        total += made.logits.grad
    share = torch.softmax(made.logits[0, 2:], 0).detach()
    exact = share[2] * (torch.tensor([0.0, 0.0, 1.0]) - share)
    cosine = torch.nn.functional.cosine_similarity(total[0, 2:], exact, dim=0)
    assert cosine > 0.95


def test_it_starts_at_the_released_marginals():
    blocks = generator(n_states=4096, scatter=0.0).mixture(["a", "b"]).blocks
    assert blocks[1].mean(0) == pytest.approx([0.1, 0.2, 0.7], abs=0.005)  # a hundredth is spread evenly
    assert blocks[0].mean(0) == pytest.approx([0.6, 0.4], abs=2e-4)


def test_states_are_divided_by_largest_remainder():
    cells = allot_conditions(np.array([[50.0, 25.0], [24.9, -3.0]]), 4)
    assert [tuple(cell) for cell in cells] == [(0, 0), (0, 0), (0, 1), (1, 0)]
    assert len(allot_conditions(np.ones(3), 10)) == 10
    assert allot_conditions(np.ones(()), 5).shape == (5, 0)
    assert len(np.unique(allot_conditions(np.array([-1.0, -2.0]), 10))) == 2  # nothing known: equal shares


def test_the_generator_has_no_way_to_take_a_record():
    names = set(inspect.signature(MixtureGenerator.__init__).parameters)
    assert not {"real", "records", "rows", "frame", "codes"} & names
