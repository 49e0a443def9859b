"""The cost of rebalancing, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth import MarginalSynthesizer
from privsynth.sampling.cost import rebalancing_cost
from tests.helpers.models import model_of, plan_of, with_blocks

MODEL = with_blocks(model_of(["sex"], k=1, n_units=1000), sex=[[0.8, 0.2]])


def test_the_cost_of_a_balance_is_that_of_its_weights():
    cost = rebalancing_cost(plan_of(MODEL, n=1000, balance=["sex"]))
    assert cost["divergence"] == pytest.approx(0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2))
    assert cost["total_variation"] == pytest.approx(0.3)
    assert cost["effective_share"] == pytest.approx(1 / (0.25 / 0.8 + 0.25 / 0.2))
    assert (cost["largest_weight"], cost["largest_weight_cell"]) == (pytest.approx(2.5), "sex=M")


def test_what_the_model_gives_anyway_costs_nothing():
    cost = rebalancing_cost(plan_of(MODEL, n=1000, proportions={"sex": {"F": 0.8, "M": 0.2}}))
    assert cost["divergence"] == pytest.approx(0.0, abs=1e-6)
    assert cost["total_variation"] == pytest.approx(0.0, abs=1e-6)
    assert cost["effective_share"] == pytest.approx(1.0)


def test_a_cell_outside_the_model_has_no_figure_and_no_rows_none():
    model = with_blocks(MODEL, sex=[[1.0, 0.0]])
    synthesizer = MarginalSynthesizer(epsilon=None)
    synthesizer.model_ = model
    cost = synthesizer.rebalancing_cost(10, balance=["sex"])
    assert (cost["divergence"], cost["total_variation"]) == (None, pytest.approx(0.5))
    assert set(rebalancing_cost(plan_of(MODEL, n=0)).values()) == {None}
