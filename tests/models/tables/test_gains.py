"""Tables whose units were cut: the gain is found where noise allows, and never leaves what is possible."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.models.tables.fitting import FitOptions, Measurement, MixtureFitter
from privsynth.models.tables.gains import anchored, gains

NORM = 0.4


def planted(shape, seed=0):
    """Return a table, and a gain that is one factor for each value of each column."""
    rng = np.random.default_rng(seed)
    table = 20_000 * rng.dirichlet(np.ones(int(np.prod(shape)))).reshape(shape)
    gain = np.full(shape, 1.7)
    for axis, size in enumerate(shape):
        factors = rng.uniform(0.85, 1.15, size)
        gain = gain * factors.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    assert gain.min() > 1.0
    assert gain.max() < 1 / NORM
    return table, gain


@pytest.mark.parametrize("shape", [(5, 6), (3, 5, 4)])
def test_without_noise_the_gain_is_what_was_planted(shape):
    table, gain = planted(shape)
    found = gains(table * gain, np.full(shape, 1e-6), table, NORM)
    assert np.abs(found / gain - 1).max() < 0.01


def test_noise_that_hides_the_table_leaves_what_is_expected_before_it():
    table, gain = planted((5, 6))
    found = gains(table * gain, np.full((5, 6), 1e18), table, NORM)
    assert np.abs(found - (1 + 1 / NORM) / 2).max() < 1e-3


@pytest.mark.parametrize("factor", [-3.0, 0.0, 0.2, 9.0])
def test_a_gain_is_at_least_one_and_at_most_one_over_the_norm(factor):
    table, _ = planted((5, 6))
    found = gains(factor * table, np.ones((5, 6)), table, NORM)
    assert found.min() >= 1.0
    assert found.max() <= 1 / NORM


def test_an_anchored_table_has_the_measured_margins():
    table, gain = planted((5, 6))
    found = anchored(table * gain, [table.sum(axis=1), table.sum(axis=0)])
    assert np.abs(found.sum(axis=1) / table.sum(axis=1) - 1).max() < 0.01
    assert np.abs(found.sum(axis=0) / table.sum(axis=0) - 1).max() < 0.01


@pytest.mark.parametrize("counts", [np.zeros(5), np.full(5, -7.0)])
def test_margins_of_noise_alone_leave_numbers(counts):
    table, _ = planted((5, 6))
    found = anchored(table, [counts, table.sum(axis=0)])
    assert np.isfinite(found).all()
    assert (found > 0).all()


@pytest.mark.parametrize("context", [None, "c"])
def test_a_fit_to_cut_tables_finds_the_table_of_all_rows(context):
    columns, shape = (("a", "b"), (5, 6)) if context is None else (("a", "b", "c"), (5, 6, 2))
    table, gain = planted(shape)
    one_way = [
        Measurement(columns=(name,), counts=table.sum(axis=tuple({*range(len(shape))} - {i})), variance=1.0)
        for i, name in enumerate(columns)
    ]
    distances = []
    for counts, norm in ((table, 1.0), (table * gain, NORM)):
        fitter = MixtureFitter(
            columns=columns,
            sizes=shape,
            options=FitOptions(n_components=256, entropy_weight=0.0),
            seed=0,
            context=context,
        )
        fitter.start(one_way, table.sum())
        fitter.add(Measurement(columns=columns, counts=counts, variance=1.0, norm=norm))
        assert fitter.n_measured_cells == sum(shape) + table.size
        for _ in range(6):
            fitter.step_many(100)
        fitter.step_many(200, final=True)
        distances.append(0.5 * np.abs(fitter.mixture().table(columns) - table / table.sum()).sum())
    assert distances[0] < 0.01
    assert distances[1] < 0.02  # the cut table itself is off by 0.03 or more
    assert 0.5 * np.abs(table * gain / (table * gain).sum() - table / table.sum()).sum() > 0.03


def test_a_table_measured_cut_and_uncut_is_merged_by_precision():
    table, gain = planted((5, 6))
    fitter = MixtureFitter(columns=("a", "b"), sizes=(5, 6), options=FitOptions(entropy_weight=0.0), seed=0)
    fitter.start(
        [
            Measurement(columns=("a",), counts=table.sum(axis=1), variance=1.0),
            Measurement(columns=("b",), counts=table.sum(axis=0), variance=1.0),
        ],
        table.sum(),
    )
    for columns, counts, norm in ((("a", "b"), table, 1.0), (("b", "a"), (table * gain).T, NORM)):
        fitter.add(Measurement(columns=columns, counts=counts, variance=1.0, norm=norm))
    assert fitter.n_measured_cells == 11 + 30
    fitter.step_many(400)
    (group,) = fitter._targets().groups
    shares, weights = group.shares.numpy(), group.weights.numpy()
    assert np.abs(shares * table.sum() - table).max() < 0.1 * table.max()
    scale = table.sum() ** 2 / fitter.n_measured_cells
    assert (weights > 2 * scale).all()
    assert (weights < (1 + NORM**-2) * scale * 1.01).all()
