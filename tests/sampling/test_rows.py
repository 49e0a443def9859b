"""Any schema, any condition: exactly the rows asked for, each as asked for, by the model's conditionals."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from privsynth.domains.encoding import DiscreteDomain
from privsynth.errors import RequestError
from privsynth.sampling import rows as rows_module
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import draw_blocks
from tests.helpers.chi_square import FALSE_ALARM, fits, tilted
from tests.helpers.models import COLUMNS, conditioned_columns, model_of, plan_of, rows_of, with_blocks

# -- every row is as asked for -------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(conditioned_columns(), st.integers(0, 60), st.integers(0, 2**32))
def test_exactly_the_rows_asked_for_each_as_asked_for(request_, n, seed):
    names, conditions = request_
    asked = {name: condition for name, (condition, _) in conditions.items()}
    model = model_of(names, seed=seed, n_units=1e100)  # whatever has any mass is supported
    rows = rows_of(model, n=n, conditions=asked, seed=seed)
    assert len(rows) == n
    assert list(rows.columns) == [name for name in names if name != "note"]
    for name, (_, holds) in conditions.items():
        assert holds(rows[name]).all(), name
    for name in rows:
        allowed = COLUMNS[name].get("missing", False)
        assert allowed or rows[name].notna().all()


# -- by the model's conditionals -----------------------------------------------------------------------

NUMERIC = ("age", "debt", "cost", "day")
CONDITIONS = {
    "nothing": {},
    "a value": {"sex": "F"},
    "a set": {"ward": [1, 3]},
    "a set with missing": {"ward": [2, None]},
    "missing": {"smokes": None, "debt": None},
    "a range within bins": {"age": (15, 61)},
    "a range of one bin": {"age": (41, 57)},
    "single numbers": {"age": [3, 44, 45, 97]},
    "several columns": {"sex": "M", "age": (10, 70), "smokes": ["yes", None], "town": ["Ulm", "other"]},
}


def exact_conditional(model, names, conditions):
    """Return the conditional table of some discrete columns and of age in decades, by definition."""
    restrictions = model.restrictions(conditions)
    joint = np.full(model.mixture.n_components, 1.0 / model.mixture.n_components)
    outer = []
    for name, block in zip(model.mixture.columns, model.mixture.blocks, strict=True):
        block = block.astype(np.float64)
        domain = model.domains[name]
        share = restrictions[name].share if name in restrictions else np.ones(domain.size)
        if name not in names:
            joint = joint * (block @ share)
        elif isinstance(domain, DiscreteDomain):
            outer.append(block * share)
        else:  # age: every year has a cell, so a year's probability is its bin's times its weight
            allowed = np.ones(100)
            if name in restrictions:
                allowed[:] = 0.0
                pieces = restrictions[name].pieces
                for first, last in zip(pieces.first, pieces.last, strict=True):
                    allowed[int(first) : int(last) + 1] = 1.0
            years = block[:, domain.bin_of_cell] * domain.cell_weight * allowed
            outer.append(years.reshape(len(block), 10, 10).sum(axis=2))
    letters = "abcdefg"[: len(outer)]
    return np.einsum(f"k,{','.join('k' + c for c in letters)}->{letters}", joint, *outer)


@pytest.mark.parametrize("conditions", CONDITIONS.values(), ids=CONDITIONS)
def test_rows_follow_the_exact_conditional(conditions):
    # 150,000 rows; the table of two discrete columns and decades has at most 120 cells: a tilt of 10 % of
    # every second cell is seen, and so would be a condition that forgets to reweight the components
    names = ["sex", "ward", "town", "smokes", "age", "debt"]
    model = model_of(names, seed=3, concentration=0.4)
    for shown in (["sex", "ward", "age"], ["town", "smokes", "age"]):
        expected = exact_conditional(model, shown, conditions)
        rows = rows_of(model, n=150_000, conditions=conditions, seed=4)
        codes = []
        for name in shown:
            labels = model.domains[name].labels if name != "age" else None
            codes.append(
                rows["age"].to_numpy() // 10
                if labels is None
                else rows[name]
                .map({label: code for code, label in enumerate(labels)}, na_action="ignore")
                .fillna(len(labels) - 1)
                .to_numpy(dtype=int)
            )
        seen = np.zeros(expected.shape)
        np.add.at(seen, tuple(codes), 1)
        assert seen.sum() == 150_000
        assert fits(seen, expected)
        assert not fits(seen, tilted(expected))


def test_not_reweighting_the_components_would_be_seen():
    # the power of the test above against the usual mistake: a condition that only cuts its own column
    names = ["sex", "ward", "town", "smokes", "age", "debt"]
    model = model_of(names, seed=3, concentration=0.4)
    shown, conditions = ["town", "smokes", "age"], CONDITIONS["a value"]
    rows = 150_000 * exact_conditional(model, shown, {})
    assert not fits(np.rint(rows), exact_conditional(model, shown, conditions))


@pytest.mark.parametrize("name", NUMERIC)
def test_values_within_a_range_follow_the_shape_of_the_line(name):
    # quartiles of the exact conditional distribution function hold a quarter of the rows each
    model = model_of([name, "sex"], seed=5)
    low, high = {"age": (7, 83), "debt": (-400_000, 90_000), "cost": (10, 1234.56), "day": (30, 300)}[name]
    if name == "day":
        low, high = (pd.Timestamp("2020-01-01") + pd.Timedelta(days=v) for v in (low, high))
    rows = rows_of(model, n=100_000, conditions={name: (low, high)}, seed=1)
    restriction = model.restrictions({name: (low, high)})[name]
    pieces = restriction.pieces
    mass_of_bin = model.mixture.table((name,))
    weight = mass_of_bin[pieces.bin] * pieces.weight
    ends = np.r_[pieces.first, pieces.last[-1] + 1]
    values = rows[name]
    if name == "day":
        values = (values - pd.Timestamp("1970-01-01")) // pd.Timedelta(days=1)
    ticks = np.rint(values.to_numpy(dtype=float) * (100 if name == "cost" else 1))
    order = np.argsort(pieces.first)
    cuts = np.interp([0.25, 0.5, 0.75], np.cumsum(weight[order]) / weight.sum(), pieces.last[order])
    cuts = np.floor(cuts)
    spread = np.r_[-np.inf, cuts, np.inf]
    counts = np.histogram(ticks, bins=np.r_[ends.min(), cuts + 1, ends.max() + 1])[0]
    expected = []
    for left, right in itertools.pairwise(spread):
        inside_first = np.maximum(pieces.first, left + 1 if np.isfinite(left) else pieces.first)
        inside_last = np.minimum(pieces.last, right)
        length = np.maximum(inside_last - inside_first + 1, 0)
        expected.append((weight * length / (pieces.last - pieces.first + 1)).sum())
    assert fits(counts, expected)
    assert not fits(counts, tilted(expected))


# -- order, seeds, ids, types --------------------------------------------------------------------------


def test_rows_come_in_random_order():
    # Two components that never agree: in order of component, neighbours would differ once in 2000 rows.
    model = with_blocks(model_of(["sex", "ill"], k=2), sex=np.eye(2), ill=np.eye(2))
    for request in ({}, {"balance": ["sex"]}):
        rows = rows_of(model, n=2000, **request, seed=1)
        changes = (rows["sex"].to_numpy()[1:] != rows["sex"].to_numpy()[:-1]).sum()
        assert abs(changes - 1000) < norm.isf(FALSE_ALARM / 2) * np.sqrt(2000 / 4)
        assert (rows["sex"].eq("M") == rows["ill"]).all()


def test_a_seed_reproduces_the_rows_and_another_does_not():
    model = model_of([name for name in COLUMNS if name != "note"])
    first, again, other = (rows_of(model, n=200, seed=seed) for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_ids_are_fresh_and_dropped_text_stays_out():
    rows = rows_of(model_of(["person", "note", "sex"]), n=5)
    assert rows["person"].tolist() == [1, 2, 3, 4, 5]
    assert list(rows.columns) == ["person", "sex"]


@pytest.mark.parametrize("condition", [{}, {"age": (20, 30), "ward": None, "debt": None}])
def test_no_rows_have_the_same_columns_and_types(condition):
    model = model_of([name for name in COLUMNS if name != "note"])
    empty, some = (rows_of(model, n=n, conditions=condition) for n in (0, 50))
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == some.dtypes.to_dict()


def test_missing_alone_is_drawn_as_missing():
    model = model_of(["debt", "ward", "smokes"])
    conditions = {"debt": None, "ward": [None], "smokes": pd.NA}
    assert rows_of(model, n=20, conditions=conditions).isna().all(axis=None)


# -- blocks --------------------------------------------------------------------------------------------


def test_blocks_hold_the_exact_counts_in_random_order(monkeypatch):
    # 30 blocks of 100 rows over two cells: each block holds a hypergeometric number of each
    monkeypatch.setattr(rows_module, "BLOCK_ROWS", 100)
    model = model_of(["person", "sex", "ill"])
    plan = plan_of(model, proportions={"sex": {"F": 1000, "M": 2000}})
    blocks = list(draw_blocks(plan, np.random.default_rng(2)))
    assert [len(block) for block in blocks] == [100] * 30
    rows = pd.concat(blocks)
    assert rows["person"].tolist() == list(range(1, 3001))
    assert rows["sex"].value_counts().to_dict() == {"F": 1000, "M": 2000}
    women = np.array([block["sex"].eq("F").sum() for block in blocks])
    spread = np.sqrt(100 * (1 / 3) * (2 / 3) * (2900 / 2999))
    assert (np.abs(women - 100 / 3) < norm.isf(FALSE_ALARM / 60) * spread).all()
    assert len(set(women)) > 1


def test_blocks_without_rows_are_one_empty_frame():
    blocks = list(draw_blocks(plan_of(model_of(["sex"]), n=0), np.random.default_rng(0)))
    assert [len(block) for block in blocks] == [0]


# -- refusals ------------------------------------------------------------------------------------------


def test_unknown_columns_and_forms_are_refused():
    model = model_of(["sex", "person"])
    with pytest.raises(RequestError, match=r"there is no modelled column 'age'; there are sex$"):
        plan_of(model, conditions={"age": 3})
    with pytest.raises(RequestError, match="no modelled column 'person'"):
        plan_of(model, conditions={"person": 3})
    with pytest.raises(RequestError, match=r"expected a mapping from column to condition, got \['sex'\]"):
        plan_of(model, conditions=["sex"])


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        ({"n": -1}, "expected a whole number n >= 0, got n=-1"),
        ({"n": True}, "got n=True"),
        ({"n": 2.5}, "got n=2.5"),
        ({"n": 10**9 + 1}, "expected at most 1000000000 at once"),
        ({"like": "F"}, "like: expected a frame of public rows, got str"),
        ({"parity": "ill"}, r"parity: expected \(target, groups\).*got 'ill'"),
        ({"parity": {"target": "ill"}}, "parity: expected"),
        ({"parity": {"target": "ill", "groups": [], "x": 1}}, "parity: expected"),
        ({"parity": ("ill", [])}, r"parity: expected a list of different columns, got \[\]"),
        ({"parity": ("ill", ["ill"])}, "'ill' is both target and group"),
        ({"balance": "sex"}, "balance: expected a list of different columns, got 'sex'"),
        ({"balance": []}, r"expected a list of different columns, got \[\]"),
        ({"balance": ["sex", "sex"]}, "expected a list of different columns"),
    ],
    ids=repr,
)
def test_a_malformed_request_says_what_is_wrong(stated, text):
    with pytest.raises(RequestError, match=text):
        SampleRequest(**stated)


def test_a_request_reads_from_json():
    stated = {"n": 5, "conditions": {"sex": "F"}, "parity": {"target": "ill", "groups": "sex"}}
    request = SampleRequest(**stated)
    assert (request.n, request.conditions, request.like) == (5, {"sex": "F"}, None)
    assert (request.parity.target, request.parity.groups) == ("ill", ("sex",))
    assert SampleRequest(parity=("ill", ["sex"])).parity == request.parity


def test_a_block_follows_from_the_seed_and_its_number_alone() -> None:
    drawing = rows_module.rows_of(plan_of(model_of(["sex", "age"]), n=300), most=100)
    blocks = list(drawing.blocks(np.random.default_rng(2)))
    assert [block.n for block in blocks] == [100, 100, 100] == [100] * drawing.n_blocks
    forward = [drawing.draw(block)[""].columns["age"] for block in blocks]
    backward = [drawing.draw(block)[""].columns["age"] for block in reversed(blocks)][::-1]
    np.testing.assert_array_equal(forward, backward)
    other = [drawing.draw(block)[""].columns["age"] for block in drawing.blocks(np.random.default_rng(3))]
    drawn = {tuple(columns.tolist()) for columns in (*forward, *other)}
    assert len(drawn) == 6  # no two blocks, and no two seeds, are alike
