"""What stands behind a cell, and what is refused, warned of or dropped for want of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from privsynth.errors import UnsupportedRequestError
from privsynth.sampling.table_model import Measured
from tests.helpers.models import N_UNITS, model_of, plan_of, rows_of, support_of, with_blocks


def test_support_is_the_mass_times_the_units_and_the_noise_of_the_best_table():
    measured = [
        Measured(("sex", "ward", "ill"), 10.0),
        Measured(("ward",), 30.0),
        Measured(("sex", "ward"), 16.0),
    ]
    model = model_of(["sex", "ward", "ill"], measured=measured)
    table = support_of(model, n=7, balance=["sex", "ward"], conditions={"ill": [False, True]})
    expected = model.mixture.table(("sex", "ward"))[:, :3].ravel()  # missing is the fourth ward
    assert table.columns.tolist() == ["sex", "ward", "requested", "model_mass", "units", "noise_std"]
    assert list(zip(table["sex"], table["ward"], strict=True)) == list(itertools.product("FM", (1, 2, 3)))
    assert table["requested"].sum() == 7
    assert table["model_mass"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert table["units"].to_numpy() == pytest.approx(expected * N_UNITS, abs=1e-3)
    assert table["noise_std"].to_numpy() == pytest.approx(np.full(6, 10 * np.sqrt(2)))  # two cells of ill
    without = support_of(model, n=7, balance=["sex", "ward"])
    assert without["noise_std"].to_numpy() == pytest.approx(np.full(6, 10 * np.sqrt(2)))  # below 16
    ward = support_of(model, n=1, conditions={"ward": [1, 2]})
    assert ward["noise_std"].tolist() == pytest.approx([10 * np.sqrt(8)])  # below 16 x 2 and 30 x sqrt(2)
    nothing = model_of(["sex", "ward"], measured=[Measured(("sex",), 3.0)])
    assert support_of(nothing, balance=["ward"])["noise_std"].isna().all()


def test_support_looks_where_sampling_refuses():
    table = support_of(with_ill(0.5), n=10, balance=["sex", "ill"])
    assert table["requested"].sum() == 10
    assert table.set_index(["sex", "ill"])["units"].to_dict() == pytest.approx(
        {("F", False): 500, ("F", True): 0, ("M", False): 250, ("M", True): 250}
    )


def with_ill(share_of_ill, *, n_units=N_UNITS, noise_std=1.0, of_women=0.0):
    """Return a model in which no woman is ill (or hardly one), and of the men the share given."""
    model = model_of(["sex", "ill"], k=2, n_units=n_units, measured=[Measured(("sex", "ill"), noise_std)])
    ill = [[1 - of_women, of_women], [1 - share_of_ill, share_of_ill]]
    return with_blocks(model, sex=[[1, 0], [0, 1]], ill=ill)


BALANCED = {"n": 10, "balance": ["sex", "ill"]}


def test_a_cell_without_units_is_an_error_that_names_it():
    text = (
        r"^the model has less than one unit behind sex=F x ill=True; ask for other cells, "
        r"or pass on_unsupported='drop' to leave these out$"
    )
    for choice in ("error", "warn"):  # there is nothing to extrapolate from
        with pytest.raises(UnsupportedRequestError, match=text):
            plan_of(with_ill(0.5), **BALANCED, on_unsupported=choice)


def test_a_refusal_names_the_cells_within_the_noise_too():
    # of 500 men 50 are ill, which is two deviations of a noise of 25 at most
    text = (
        r"^the model has less than one unit behind sex=F x ill=True; the real count behind sex=M x ill=True "
        r"is within the noise of what was measured; ask for other cells, or pass on_unsupported='drop' to "
        r"leave those without a unit out or 'warn' to extrapolate$"
    )
    with pytest.raises(UnsupportedRequestError, match=text):
        plan_of(with_ill(0.0999, of_women=1e-6, noise_std=25.0), **BALANCED)


def test_a_cell_with_a_little_mass_may_be_extrapolated():
    model = with_ill(0.5, of_women=1e-6)
    with pytest.raises(UnsupportedRequestError, match=r"to leave these out or 'warn' to extrapolate$"):
        plan_of(model, **BALANCED)
    plan = plan_of(model, **BALANCED, on_unsupported="warn")
    assert plan.warnings == ("the model has less than one unit behind sex=F x ill=True: extrapolated",)
    rows = rows_of(model, **BALANCED, on_unsupported="warn")
    assert sorted(rows.groupby(["sex", "ill"]).size()) == [2, 2, 3, 3]


def test_dropped_cells_give_their_rows_to_the_others():
    plan = plan_of(with_ill(0.5), **BALANCED, on_unsupported="drop")
    assert plan.warnings == ("the model has less than one unit behind sex=F x ill=True: left out",)
    assert sorted(plan.sizes) == [0, 3, 3, 4]
    assert plan.sizes[1] == 0


def test_dropped_counts_are_not_made_up_for():
    counts = [{"sex": "F", "ill": True, "count": 5}, {"sex": "M", "ill": True, "count": 3}]
    plan = plan_of(with_ill(0.5), proportions=counts, on_unsupported="drop")
    assert plan.sizes.tolist() == [0, 3]
    assert plan.warnings[0].endswith("behind sex=F x ill=True: left out, and nothing is drawn in their place")


def test_nothing_left_is_an_error():
    conditions = {"sex": "F", "ill": True}
    for choice in ("error", "warn", "drop"):
        with pytest.raises(UnsupportedRequestError, match="less than one unit behind"):
            plan_of(with_ill(0.5), n=10, conditions=conditions, on_unsupported=choice)
    with pytest.raises(UnsupportedRequestError, match=r"behind every cell asked for$"):
        plan_of(with_ill(0.5), n=10, conditions=conditions, on_unsupported="drop")


def test_a_cell_within_the_noise_is_a_warning():
    # 500 men, 8 % of them ill: 40 units, 2.5 deviations of a noise of 16, and 1.6 of one of 25
    conditions = {"sex": "M", "ill": True}
    assert plan_of(with_ill(0.08, noise_std=16.0), n=10, conditions=conditions).warnings == ()
    plan = plan_of(with_ill(0.08, noise_std=25.0), n=10, conditions=conditions)
    assert plan.warnings == ("the real count behind the conditions is within the noise of what was measured",)
    assert plan.n_rows == 10


def test_many_cells_are_named_in_part():
    model = model_of(["sex", "ward", "ill"], n_units=1.0)
    with pytest.raises(UnsupportedRequestError, match="sex=M x ward=1 x ill=True and 4 more cells;"):
        plan_of(model, n=12, balance=["sex", "ward", "ill"])


def test_a_point_without_mass_is_refused_and_a_spike_is_not():
    model = model_of(["dose"])
    with pytest.raises(UnsupportedRequestError, match="behind the conditions"):
        plan_of(model, n=3, conditions={"dose": 0.123}, on_unsupported="warn")
    rows = rows_of(model, n=3, conditions={"dose": 0.0}, on_unsupported="warn")
    assert rows["dose"].tolist() == [0.0] * 3


def test_cells_that_only_meeting_targets_together_fills_are_a_warning():
    model = with_ill(0.5, of_women=1e-6)
    halves = {"sex": {"F": 0.5, "M": 0.5}, "ill": {True: 0.9, False: 0.1}}
    plan = plan_of(model, n=1000, proportions=halves)
    assert plan.warnings == (
        "meeting the targets together fills sex=F x ill=True, behind which the model has less than one unit: "
        "extrapolated",
    )


def test_a_group_without_one_of_its_labels_is_dropped_as_a_whole():
    model = with_ill(0.5, of_women=1e-6)
    plan = plan_of(model, n=100, parity=("ill", ["sex"]), on_unsupported="drop")
    assert plan.sizes.tolist() == [0, 0, 38, 12]  # of the men, as many are ill as of all
    assert plan.warnings[0].startswith("the model has less than one unit behind sex=F x ill=True: left out")
