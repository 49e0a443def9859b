"""Balance, proportions, like and parity: exact in every row count, met together, refused by name."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import RequestError
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from tests.helpers.chi_square import fits, tilted
from tests.helpers.models import (
    COLUMNS,
    N_UNITS,
    VALUES,
    conditioned_columns,
    model_of,
    plan_of,
    rows_of,
    support_of,
    with_blocks,
)

MANY = 1e30  # units: every cell is supported


def counts(rows, *columns):
    return rows.groupby(list(columns), dropna=False).size().to_dict()


# -- balance -------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(conditioned_columns(), st.data(), st.integers(0, 100), st.integers(0, 2**32))
def test_balanced_cells_are_equal_up_to_one_row_and_add_up(request_, data, n, seed):
    names, conditions = request_
    discrete = [name for name in names if name in VALUES]
    conditions = {name: c for name, (c, _) in conditions.items() if name not in discrete}
    if not discrete:
        return
    balance = data.draw(st.lists(st.sampled_from(discrete), min_size=1, unique=True))
    rows = rows_of(
        model_of(names, seed=seed, n_units=MANY), n=n, balance=balance, conditions=conditions, seed=seed
    )
    declared = [[v for v in VALUES[name] if v not in (None, "other")] for name in balance]
    sizes = [
        np.logical_and.reduce([rows[name] == v for name, v in zip(balance, cell, strict=True)]).sum()
        for cell in itertools.product(*declared)
    ]
    assert sum(sizes) == len(rows) == n
    assert max(sizes) - min(sizes) <= 1


def test_conditions_narrow_the_cells_of_balance():
    model = model_of(["sex", "ward", "age"])
    conditions = {"ward": [2, None], "age": (20, 29)}
    rows = rows_of(model, n=10, balance=["sex", "ward"], conditions=conditions)
    assert rows["ward"].tolist() == [2] * 10
    assert counts(rows, "sex") == {"F": 5, "M": 5}
    assert rows["age"].between(20, 29).all()


@pytest.mark.parametrize(
    ("balance", "text"),
    [
        (["age"], "'age' must be a categorical or boolean column, but it is a number line"),
        (["race"], "'race' must be a categorical or boolean column, but there is no such modelled column"),
    ],
)
def test_a_balance_on_what_has_no_values_is_refused(balance, text):
    with pytest.raises(RequestError, match=text):
        plan_of(model_of(["sex", "age"]), balance=balance)


def test_balance_over_what_a_condition_leaves_empty_is_refused():
    with pytest.raises(RequestError, match="expected 1 to 100000 cells, got 0"):
        plan_of(model_of(["ward"]), balance=["ward"], conditions={"ward": None})


def test_too_many_cells_are_refused_however_many_there_are():
    # 2^64 cells: a product in 64 bits would be zero
    names = [f"c{i}" for i in range(64)]
    schema = Schema(dict.fromkeys(names, COLUMNS["sex"]))
    domains = {name: DiscreteDomain(schema.columns[name], ("F", "M"), False, False) for name in names}
    blocks = tuple(np.full((1, 2), 0.5, np.float32) for _ in names)
    model = TableModel(schema, domains, ProductMixture(tuple(names), blocks), N_UNITS, 5.0, ())
    with pytest.raises(RequestError, match=f"expected 1 to 100000 cells, got {2**64}"):
        plan_of(model, balance=names)


# -- proportions ---------------------------------------------------------------------------------------

WARD = {1: 0.2, 2: 0.3, 3: 0.4, None: 0.1}


def test_shares_of_one_column_are_met_to_the_row():
    model = model_of(["sex", "ward"], n_units=MANY)
    rows = rows_of(model, n=1000, proportions={"ward": WARD})
    assert rows["ward"].isna().sum() == 100
    assert rows["ward"].value_counts().to_dict() == {1: 200, 2: 300, 3: 400}
    assert sorted(counts(rows_of(model, n=7, proportions={"sex": {"F": 0.5, "M": 0.5}}), "sex").values()) == [
        3,
        4,
    ]
    zero = rows_of(model, n=50, proportions={"sex": {"F": 1, "M": 0}})
    assert counts(zero, "sex") == {"F": 50}


def test_counts_decide_the_number_of_rows():
    model = model_of(["sex", "ward"], n_units=MANY)
    rows = rows_of(model, proportions={"sex": {"F": 30, "M": 12}})
    assert counts(rows, "sex") == {"F": 30, "M": 12}
    assert len(rows_of(model, n=42, proportions={"sex": {"F": 30, "M": 12}})) == 42
    assert counts(rows_of(model, proportions={"ward": {2: 5}}), "ward") == {2: 5}
    with pytest.raises(RequestError, match="the counts asked for add up to 42, and n=50; leave n out"):
        plan_of(model, n=50, proportions={"sex": {"F": 30, "M": 12}})


def test_values_that_are_not_named_share_what_is_left_as_the_model_has_them():
    model = model_of(["ward", "sex"], n_units=MANY)
    of_ward = model.mixture.table(("ward",))
    table = support_of(model, n=10_000, proportions={"ward": {2: 0.5}}).set_index("ward")["requested"]
    others = np.delete(of_ward, 1)
    assert table.iloc[0] == 5000
    assert table.iloc[1:].to_numpy() == pytest.approx(5000 * others / others.sum(), abs=1)


def test_a_joint_table_is_met_to_the_row_in_every_form(tmp_path):
    model = model_of(["sex", "ill", "ward"], n_units=MANY)
    cells = [("F", True, 0.1), ("F", False, 0.2), ("M", True, 0.4), ("M", False, 0.3)]
    frame = pd.DataFrame(cells, columns=["sex", "ill", "share"])
    expected = {(sex, ill): round(share * 500) for sex, ill, share in cells}
    as_text = frame.astype(str)
    for form in (frame, as_text, frame.to_dict("records"), [frame]):
        assert counts(rows_of(model, n=500, proportions=form), "sex", "ill") == expected
    whole = frame.assign(count=[5, 0, 7, 9]).drop(columns="share")
    found = counts(rows_of(model, proportions=whole), "sex", "ill")
    assert found == {("F", True): 5, ("M", True): 7, ("M", False): 9}


def test_ranges_of_a_number_line_are_parts_like_others():
    model = model_of(["age", "sex", "day"], n_units=MANY)
    for key in ((0, 29), "0..29"):
        rows = rows_of(model, n=100, proportions={"age": {key: 0.25, (30, None): 0.75}})
        assert rows["age"].le(29).sum() == 25
    days = {"..2020-03-31": 10, ("2020-04-01", "2020-12-31"): 5}
    rows = rows_of(model, proportions={"day": days})
    assert rows["day"].le("2020-03-31").sum() == 10
    joint = pd.DataFrame({"age": ["0..49", "50..99"], "sex": ["F", "M"], "count": [4, 6]})
    rows = rows_of(model, proportions=joint)
    assert counts(rows.assign(old=rows["age"].ge(50)), "sex", "old") == {("F", False): 4, ("M", True): 6}


def test_margins_alone_are_met_together_nearest_to_the_models_joint():
    # the odds ratios of the model's joint are kept: the mark of iterative proportional fitting
    model = model_of(["sex", "ill", "ward"], n_units=MANY, seed=2)
    n = 2_000_000
    table = support_of(model, n=n, proportions={"sex": {"F": 0.5, "M": 0.5}, "ill": {True: 0.3, False: 0.7}})
    sizes = table.pivot(index="sex", columns="ill", values="requested").to_numpy()
    assert sizes.sum(axis=1).tolist() == [n // 2, n // 2]
    assert sizes.sum(axis=0).tolist() == [n * 7 // 10, n * 3 // 10]
    joint = model.mixture.table(("sex", "ill"))

    def odds(table):
        return table[0, 0] * table[1, 1] / table[0, 1] / table[1, 0]

    assert odds(sizes) == pytest.approx(odds(joint), rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 400), st.integers(0, 2**32))
def test_every_margin_of_a_random_request_is_exact(data, n, seed):
    model = model_of(["sex", "ward", "ill", "town", "age"], seed=seed, n_units=MANY)
    named = data.draw(st.lists(st.sampled_from(["sex", "ward", "ill", "town"]), min_size=2, unique=True))
    rng = np.random.default_rng(seed)
    asked = {
        name: dict(zip(VALUES[name], rng.dirichlet(np.ones(len(VALUES[name]))), strict=True))
        for name in named
    }
    rows = rows_of(model, n=n, proportions=asked, seed=seed)
    assert len(rows) == n
    for name, shares in asked.items():
        for value, share in shares.items():
            found = rows[name].isna().sum() if value is None else rows[name].eq(value).sum()
            assert abs(found - share * n) < 1 + 1e-6  # largest remainder: never off by a whole row


def test_joint_tables_may_overlap_if_they_agree():
    model = model_of(["sex", "ward", "ill"], n_units=MANY)
    first = pd.DataFrame(
        {"sex": ["F", "F", "M", "M"], "ill": [True, False] * 2, "share": [0.2, 0.3, 0.1, 0.4]}
    )
    second = pd.DataFrame({"sex": ["F", "F", "M", "M"], "ward": [1, 2] * 2, "share": [0.25, 0.25, 0.5, 0.0]})
    rows = rows_of(model, n=999, proportions=[first, second, {"ill": {True: 0.3, False: 0.7}}])
    assert len(rows) == 999
    for frame, column in ((first, "ill"), (second, "ward")):
        found = counts(rows, "sex", column)
        for sex, value, share in frame.itertuples(index=False):
            assert abs(found.get((sex, value), 0) - 999 * share) < 2
    with pytest.raises(RequestError, match="this disagrees with another target about a column"):
        plan_of(model, n=999, proportions=[first, second.assign(share=[0.1, 0.1, 0.7, 0.1])])


def test_balance_and_proportions_hold_together():
    model = model_of(["sex", "ward", "ill"], n_units=MANY)
    rows = rows_of(model, n=600, balance=["sex", "ward"], proportions={"ill": {True: 0.25, False: 0.75}})
    assert set(counts(rows, "sex", "ward").values()) == {100}
    assert counts(rows, "ill") == {True: 150, False: 450}


@pytest.mark.parametrize(
    ("proportions", "text"),
    [
        ({}, "proportions: expected at least one column"),
        ([], "proportions: expected {"),
        ("F", "proportions: expected {"),
        ({"race": {"A": 1}}, "proportions: there is no modelled column 'race'"),
        ({"sex": 0.5}, "proportions of 'sex': expected a mapping from value to share or count, got 0.5"),
        ({"sex": {"X": 1}}, r"proportions of 'sex': 'sex': 'X' is not among its values \(F, M\)"),
        ({"sex": {None: 1}}, "proportions of 'sex': 'sex' is never missing in the model"),
        ({"sex": {"F": 0.5, "M": 0.4}}, "proportions of 'sex': expected shares that add up to one, got 0.9"),
        ({"sex": {"F": 0.7, "M": 0.7}}, "proportions of 'sex': counts are whole numbers; a share is at most"),
        ({"sex": {"F": -1, "M": 2}}, "shares and counts are finite numbers of at least zero"),
        ({"sex": {"F": "many"}}, "shares and counts are finite numbers"),
        ({"sex": {"F": 0, "M": 0}}, "all shares are zero"),
        ({"ill": {True: 0.5, "true": 0.5}}, "proportions of 'ill': the same cell is named twice"),
        ({"age": {(0, 50): 0.5, (50, 99): 0.5}}, "the ranges of 'age' overlap"),
        ({"age": {(0, 50): 0.5}}, "proportions of 'age': expected shares that add up to one, got 0.5"),
        ({"age": {(100, 120): 1}}, "condition on 'age': it allows nothing between the bounds 0 and 99"),
        ({"sex": {"F": 3, "M": 4}, "ill": {True: 5}}, r"add up to different numbers: 7 .* 5"),
        (pd.DataFrame({"sex": ["F"]}), "expected a table of columns and one column 'share' or 'count'"),
        (pd.DataFrame({"sex": ["F"], "share": [0.3]}), "expected shares that add up to one, got 0.3"),
        (pd.DataFrame({"sex": ["F"], "count": [0.3]}), "counts are whole numbers"),
        (pd.DataFrame({"sex": ["F", "F"], "count": [1, 2]}), "the same cell is named twice"),
    ],
    ids=repr,
)
def test_malformed_proportions_say_what_is_wrong(proportions, text):
    with pytest.raises(RequestError, match=text):
        plan_of(model_of(["sex", "ill", "age"], n_units=MANY), n=None, proportions=proportions)


def test_what_conditions_exclude_cannot_be_asked_for():
    model = model_of(["sex", "age", "ward"], n_units=MANY)
    with pytest.raises(RequestError, match="sex=M is asked for, and the conditions exclude it"):
        plan_of(model, proportions={"sex": {"F": 0.5, "M": 0.5}}, conditions={"sex": "F"})
    with pytest.raises(RequestError, match="'age' is a number line that the conditions restrict as well"):
        plan_of(model, proportions={"age": {(0, 99): 1}}, conditions={"age": (3, 9)})
    rows = rows_of(model, n=10, proportions={"ward": {1: 0.5}}, conditions={"ward": [1, 3]})
    assert counts(rows, "ward") == {1: 5, 3: 5}


def test_targets_that_contradict_the_model_are_refused():
    blocks = {"sex": [[1, 0], [0, 1]], "ill": [[1, 0], [0, 1]]}
    model = with_blocks(model_of(["sex", "ill"], k=2, n_units=MANY), **blocks)  # no woman is ill
    with pytest.raises(RequestError, match="cannot be met together with the other targets"):
        plan_of(model, n=10, proportions={"sex": {"F": 0.5, "M": 0.5}, "ill": {True: 0.9, False: 0.1}})


# -- like ----------------------------------------------------------------------------------------------


def test_a_reference_table_gives_its_joint_distribution():
    model = model_of(["sex", "ward", "age", "ill"], n_units=MANY)
    reference = pd.DataFrame(
        {"sex": ["F", "F", "M", "F"], "ward": [1, np.nan, 3, 1], "age": [20, 55, 55, 21]}
    )
    rows = rows_of(model, n=400, like=reference[["sex", "ward"]])
    assert counts(rows.assign(ward=pd.to_numeric(rows["ward"]).fillna(0)), "sex", "ward") == {
        ("F", 1): 200,
        ("F", 0): 100,
        ("M", 3): 100,
    }
    rows = rows_of(model, n=400, like=reference)
    codes = model.domains["age"].encode(rows["age"])
    young, old = model.domains["age"].encode(pd.Series([20, 55]))
    assert (codes == young).sum() == 200
    assert (codes == old).sum() == 200
    assert counts(rows.assign(old=codes == old), "sex", "old")[("M", True)] == 100


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (pd.DataFrame({"sex": []}), "like: the reference table has no rows or no columns"),
        (pd.DataFrame({"race": ["A"]}), "like: there is no modelled column 'race'"),
        (pd.DataFrame({"sex": ["X"]}), "like: 'sex': 'X' is not among its values"),
        (pd.DataFrame({"age": [100]}), "like: expected 'age' between 0 and 99"),
        (pd.DataFrame({"sex": [None]}), "like: 'sex' is never missing in the model"),
    ],
)
def test_a_reference_table_that_does_not_fit_is_refused(reference, text):
    with pytest.raises(RequestError, match=text):
        plan_of(model_of(["sex", "age"], n_units=MANY), like=reference)


# -- parity --------------------------------------------------------------------------------------------


def rates(rows, target, groups):
    return rows.groupby(groups)[target].mean()


@settings(max_examples=60, deadline=None)
@given(st.integers(300, 3000), st.integers(0, 2**32))
def test_under_parity_every_group_has_the_same_rate_and_its_own_size(n, seed):
    model = model_of(["sex", "ward", "ill", "age"], seed=seed, n_units=MANY)
    rows = rows_of(model, n=n, parity=("ill", ["sex"]), seed=seed)
    of_group = rows["sex"].value_counts()
    assert len(rows) == n
    rate = model.mixture.table(("ill",))[1]
    for sex, share in zip("FM", model.mixture.table(("sex",)), strict=True):
        assert abs(of_group.get(sex, 0) - share * n) < 1 + 1e-3
        if of_group.get(sex, 0):
            assert abs(rows.loc[rows["sex"] == sex, "ill"].sum() - rate * of_group[sex]) < 1.5
    assert abs(rows["ill"].sum() - rate * n) < 1 + 1e-3


def test_dependence_is_below_a_hundredth_where_every_group_has_200_rows():
    blocks = {"sex": [[0.9, 0.1], [0.2, 0.8]], "ill": [[0.9, 0.1], [0.3, 0.7]]}
    model = with_blocks(model_of(["sex", "ill", "smokes"], k=2, n_units=MANY), **blocks)
    joint = model.mixture.table(("sex", "ill"))
    assert abs(np.diff(joint[:, 1] / joint.sum(axis=1)))[0] > 0.1  # there is something to mend
    rows = rows_of(model, n=20_000, parity=("ill", ["sex", "smokes"]))
    found = rows.groupby(["sex", "smokes"], dropna=False)["ill"].agg(["mean", "size"])
    assert found["size"].min() > 200
    assert found["mean"].max() - found["mean"].min() <= 0.01


def test_parity_leaves_the_rest_given_target_and_groups_as_it_was():
    model = model_of(["sex", "ill", "age"], n_units=MANY, concentration=0.3)
    plan = plan_of(model, n=1000, parity=("ill", ["sex"]))
    joint = model.mixture.table(("sex", "ill", "age"))
    given_cell = joint / joint.sum(axis=2, keepdims=True)
    for cell in range(4):
        weights = plan.prepared.weights(np.array([cell]))[0]
        block = model.mixture.blocks[2].astype(float)
        sex, ill = plan.prepared.table.cells[cell]
        assert weights @ block / weights.sum() == pytest.approx(given_cell[sex, ill], abs=1e-6)


def test_parity_holds_beside_other_targets():
    model = model_of(["sex", "ward", "ill"], n_units=MANY)
    request = {
        "parity": ("ill", ["sex"]),
        "balance": ["sex"],
        "proportions": {"ill": {True: 0.25, False: 0.75}},
    }
    rows = rows_of(model, n=800, **request)
    assert counts(rows, "sex", "ill") == {
        ("F", False): 300,
        ("F", True): 100,
        ("M", False): 300,
        ("M", True): 100,
    }
    assert len(rows_of(model, n=0, **request)) == 0
    for n in (801, 803):  # whose rows get the odd one is settled once for all targets
        for seed in range(5):
            rows = rows_of(model, n=n, **request, seed=seed)
            spread = rates(rows, "ill", "sex")
            assert abs(rows["sex"].eq("F").sum() - n / 2) < 1
            assert spread.max() - spread.min() < 0.01
    wards = {1: 0.25, 2: 0.25, 3: 0.25, None: 0.25}
    rows = rows_of(model, n=800, parity=("ill", ["sex"]), proportions={"ward": wards})
    assert rows["ward"].isna().sum() == 200
    spread = rates(rows, "ill", "sex")
    assert spread.max() - spread.min() < 0.01


def test_groups_too_small_for_equal_rates_are_told():
    model = with_blocks(model_of(["sex", "ill"], k=1, n_units=MANY), sex=[[0.9, 0.1]], ill=[[0.5, 0.5]])
    assert plan_of(model, n=400, parity=("ill", ["sex"])).warnings == ()
    plan = plan_of(model, n=30, parity=("ill", ["sex"]))  # 3 men: 1 or 2 of them ill
    (text,) = plan.warnings
    assert text.startswith("parity: the rate of ill differs by up to 0.1")
    assert text.endswith("between groups, for want of rows in the smallest; ask for more rows")


@pytest.mark.parametrize(
    ("parity", "text"),
    [
        (("age", ["sex"]), "parity: 'age' must be a categorical or boolean column, but it is a number line"),
        (("ill", ["age"]), "parity: 'age' must be a categorical or boolean column"),
        (("race", ["sex"]), "parity: 'race' must be .* there is no such modelled column"),
    ],
)
def test_parity_of_what_has_no_labels_is_refused(parity, text):
    with pytest.raises(RequestError, match=text):
        plan_of(model_of(["sex", "ill", "age"]), parity=parity)


# -- decorrelation -------------------------------------------------------------------------------------


def dependent_model():
    """Return a model in which a component decides on sex, illness and everything else."""
    near = {
        "sex": [[0.9, 0.1], [0.2, 0.8]],
        "ill": [[0.8, 0.2], [0.3, 0.7]],
        "town": [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]],
        "smokes": [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]],
    }
    return with_blocks(model_of(["sex", "ill", "town", "smokes", "age"], k=2, n_units=MANY), **near)


def table_of(rows, *names):
    """Return the counts of some columns as an array, in the order of `VALUES`."""
    codes = [
        rows[name].map({v: i for i, v in enumerate(VALUES[name])}).fillna(2).astype(int) for name in names
    ]
    out = np.zeros([len(VALUES[name]) for name in names])
    np.add.at(out, tuple(codes), 1)
    return out


def test_decorrelated_columns_depend_on_the_label_as_before_and_not_on_the_group():
    # 100,000 rows: town by illness as in the model, and independent of sex given it; smoking as in the model
    # given all three; a tilt of 10 % would be seen, and the model's own dependence on sex is
    model = dependent_model()
    parity = {"target": "ill", "groups": ["sex"], "decorrelate": ["town"]}
    rows = rows_of(model, n=100_000, parity=parity, seed=1)
    seen = table_of(rows, "sex", "ill", "town")
    joint = model.mixture.table(("sex", "ill", "town"))
    sex, ill_town = joint.sum(axis=(1, 2)), joint.sum(axis=0)
    expected = sex[:, None, None] * ill_town
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))
    assert not fits(seen, joint)
    whole = model.mixture.table(("sex", "ill", "town", "smokes"))
    conditional = whole / whole.sum(axis=3, keepdims=True)
    assert fits(table_of(rows, "sex", "ill", "town", "smokes"), expected[..., None] * conditional)


def test_all_columns_may_be_decorrelated():
    model = dependent_model()
    parity = {"target": "ill", "groups": ["sex"], "decorrelate": "all"}
    rows = rows_of(model, n=100_000, parity=parity, seed=1)
    seen = table_of(rows, "sex", "ill", "town", "smokes")
    joint = model.mixture.table(("sex", "ill", "town", "smokes"))
    expected = joint.sum(axis=(1, 2, 3))[:, None, None, None] * joint.sum(axis=0)
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))


@pytest.mark.parametrize(
    ("decorrelate", "text"),
    [
        (["race"], "parity: there is no modelled column 'race' to decorrelate"),
        (["sex"], "parity: 'sex' cannot be decorrelated: the request says something else of it"),
        (["age"], "parity: 'age' cannot be decorrelated"),
        ("town", "parity: 'decorrelate': expected a list of different columns, got 'town'"),
    ],
)
def test_what_cannot_be_decorrelated_is_refused(decorrelate, text):
    parity = {"target": "ill", "groups": ["sex"], "decorrelate": decorrelate}
    with pytest.raises(RequestError, match=text):
        plan_of(dependent_model(), n=100, parity=parity, conditions={"age": (10, 20)})
