"""Constraints: every row satisfies them, by the model's exact law given them; infeasible sets are found."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import RequestError, SchemaError, UnsupportedRequestError
from privsynth.sampling.completion import complete_rows
from privsynth.schema import Schema
from tests.helpers.chi_square import fits, tilted
from tests.helpers.models import COLUMNS, model_of, plan_of, rows_of, support_of

MANY = 1e12
LINES = {
    "a": {"type": "integer", "low": 0, "high": 20},
    "b": {"type": "integer", "low": -5, "high": 25, "missing": True},
    "c": {"type": "integer", "low": 3, "high": 30},
    "wide_a": {"type": "real", "low": 0, "high": 5000, "decimals": 2},
    "wide_b": {"type": "real", "low": -2000, "high": 9000, "decimals": 2, "missing": True},
    "x": {"type": "real", "low": -1, "high": 1},
    "y": {"type": "real", "low": -2, "high": 1, "missing": True},
    "begin": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31"},
    "end": {"type": "datetime", "low": "2020-02-01", "high": "2024-12-31", "missing": True},
}
ALL = COLUMNS | LINES


def inequality(*columns, strict=False):
    return {"kind": "inequality", "columns": list(columns), "strict": strict}


def combinations(kind, columns, allowed):
    return {"kind": kind, "columns": list(columns), "combinations": allowed}


def bound_model(names, *constraints, **options):
    return model_of(list(names), columns=ALL, constraints=constraints, n_units=MANY, **options)


def in_order(rows, names, strict=False):
    """Say of each row whether the values that are not missing increase."""
    ok = np.ones(len(rows), dtype=bool)
    for left, right in itertools.combinations(names, 2):
        both = (rows[left].notna() & rows[right].notna()).to_numpy()
        a, b = rows.loc[both, left], rows.loc[both, right]
        ok[both] &= (a < b).to_numpy(dtype=bool) if strict else (a <= b).to_numpy(dtype=bool)
    return ok


# -- every row satisfies every constraint ---------------------------------------------------------------

CHAINS = [
    ("a", "b"),
    ("b", "a"),
    ("a", "b", "c"),
    ("wide_a", "wide_b"),
    ("x", "y"),
    ("y", "x"),
    ("begin", "end"),
]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_columns_are_in_order_in_every_row(chain, strict):
    if strict and len(chain) > 2:
        chain = ("a", "c")
    model = bound_model([*chain, "sex"], inequality(*chain, strict=strict), seed=3)
    for request in ({}, {"balance": ["sex"]}, {"proportions": {"sex": {"F": 0.2}}}):
        rows = rows_of(model, n=3000, **request)
        assert in_order(rows, chain, strict).all()
        assert not in_order(rows_of(model_of([*chain], columns=ALL, seed=3), n=3000), chain, strict).all()


@st.composite
def constrained_requests(draw):
    """Draw constraints on disjoint columns, and a request on the same columns."""
    constraints, names = [], ["sex", "ill"]
    if draw(st.booleans()):
        constraints.append(inequality("a", "b", "c"))
        names += ["a", "b", "c"]
    if draw(st.booleans()):
        constraints.append(inequality("begin", "end", strict=draw(st.booleans())))
        names += ["begin", "end"]
    if draw(st.booleans()):
        values = itertools.product(["Bonn", "Ulm"], [1, 2, 3, None])
        allowed = draw(st.lists(st.sampled_from(list(values)), min_size=1, max_size=5, unique=True))
        constraints.append(combinations("fixed_combinations", ["town", "ward"], allowed))
        names += ["town", "ward"]
    if draw(st.booleans()):
        constraints.append({"kind": "sum", "columns": ["total", "cost", "wide_a"], "weights": [2, -1]})
        names += ["total", "cost", "wide_a"]
    request = {}
    if "a" in names and draw(st.booleans()):
        request["conditions"] = {"b": draw(st.sampled_from([(4, 9), {"low": 3}, [5, 6, None], None]))}
    elif "begin" in names and draw(st.booleans()):
        request["conditions"] = {"begin": ("2020-03-01", "2020-05-31")}
    if draw(st.booleans()):
        request["balance"] = ["sex", "ill"]
    elif "a" in names and "conditions" not in request:
        request["proportions"] = {"a": {(0, 9): 0.5, (10, 20): 0.5}, "ill": {True: 0.25, False: 0.75}}
    return constraints, names, request


@settings(max_examples=60, deadline=None)
@given(constrained_requests(), st.integers(0, 200), st.integers(0, 2**32))
def test_counts_conditions_and_constraints_all_hold(drawn, n, seed):
    constraints, names, request = drawn
    columns = {name: ALL[name] for name in names if name != "total"}
    if "total" in names:
        columns["total"] = {"type": "real", "decimals": 2}
    model = model_of(names, columns=columns, constraints=constraints, n_units=MANY, seed=seed)
    rows = rows_of(model, n=n, **request, seed=seed)
    assert len(rows) == n
    for constraint in constraints:
        of = constraint["columns"]
        if constraint["kind"] == "inequality":
            assert in_order(rows, of, constraint["strict"]).all()
        elif constraint["kind"] == "fixed_combinations":
            allowed = {tuple(c) for c in constraint["combinations"]}
            found = rows[of].astype(object).where(rows[of].notna(), None)
            assert set(found.itertuples(index=False, name=None)) <= allowed
        else:
            expected = (2 * rows["cost"] - rows["wide_a"]).round(2)
            assert rows["total"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-9)
    if "balance" in request and n:
        sizes = rows.groupby(["sex", "ill"]).size()
        assert sizes.sum() == n
        assert sizes.max() - (sizes.min() if len(sizes) == 4 else 0) <= 1
    if "proportions" in request:
        assert abs(rows["a"].le(9).sum() - n / 2) <= 1
        assert abs(rows["ill"].sum() - n / 4) <= 1
    for name, condition in request.get("conditions", {}).items():
        if condition == (4, 9):
            assert rows[name].between(4, 9).all()
        elif condition is None:
            assert rows[name].isna().all()
        elif name == "begin":
            assert rows[name].between(*condition).all()


# -- by the exact law ----------------------------------------------------------------------------------


def law_of(model, names, keep):
    """Return the joint of integer lines (missing last) and sex over all values, where ``keep`` holds."""
    parts = []
    for name in names:
        block, domain = (
            model.mixture.blocks[model.mixture.columns.index(name)].astype(float),
            model.domains[name],
        )
        if name == "sex":
            parts.append(block)
            continue
        values = block[:, domain.bin_of_cell] * domain.cell_weight
        parts.append(np.column_stack([values, block[:, -1:]]) if domain.has_missing else values)
    letters = "abcd"[: len(names)]
    joint = np.einsum(",".join("k" + c for c in letters) + "->" + letters, *parts)
    return np.where(keep, joint, 0.0)


def seen_in(model, rows, names, shape):
    at = []
    for name in names:
        if name == "sex":
            at.append(rows["sex"].eq("M").to_numpy(dtype=int))
            continue
        low = model.domains[name].grid.low
        values = rows[name].to_numpy(dtype=float, na_value=np.nan) - low
        at.append(np.where(np.isnan(values), shape[names.index(name)] - 1, np.nan_to_num(values)).astype(int))
    out = np.zeros(shape)
    np.add.at(out, tuple(at), 1)
    return out


@pytest.mark.parametrize("strict", [False, True])
def test_two_ordered_columns_follow_the_law_given_the_order(strict):
    # 200,000 rows over sex and up to 31 x 22 values, taken together in fives: a tilt of 10 % is seen
    model = bound_model(["sex", "c", "b"], inequality("c", "b", strict=strict), seed=6, concentration=0.5)
    c, b = np.arange(3, 31)[:, None], np.r_[np.arange(-5, 26), np.inf][None, :]  # missing allows all
    keep = (c < b) if strict else (c <= b)
    expected = law_of(model, ["sex", "c", "b"], keep[None])
    assert model.feasible_mass == pytest.approx(
        expected.sum() / 4, rel=1e-6
    )  # blocks are in single precision
    rows = rows_of(model, n=200_000, seed=1)
    seen = seen_in(model, rows, ["sex", "c", "b"], expected.shape)
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))


def test_a_chain_with_a_gap_follows_the_law_given_the_order():
    model = bound_model(["a", "b", "c"], inequality("a", "b", "c"), seed=8, concentration=0.5)
    a = np.arange(0, 21)[:, None, None]
    b = np.r_[np.arange(-5, 26), np.nan][None, :, None]
    c = np.arange(3, 31)[None, None, :]
    keep = (a <= c) & (np.isnan(b) | ((a <= b) & (b <= c)))
    expected = law_of(model, ["a", "b", "c"], keep)
    rows = rows_of(model, n=300_000, seed=2)
    seen = seen_in(model, rows, ["a", "b", "c"], expected.shape)
    for axes in ((2,), (1,), (0,)):  # every pair, summed over the third
        assert fits(seen.sum(axis=axes), expected.sum(axis=axes))
        assert not fits(seen.sum(axis=axes), tilted(expected.sum(axis=axes)))


def test_conditions_and_order_hold_together_exactly():
    model = bound_model(["sex", "c", "b"], inequality("c", "b"), seed=6, concentration=0.5)
    c, b = np.arange(3, 31)[:, None], np.r_[np.arange(-5, 26), np.nan][None, :]
    keep = (c <= b) & (c >= 5) & (b <= 17)
    expected = law_of(model, ["sex", "c", "b"], keep[None])
    conditions = {"c": {"low": 5}, "b": (0, 17)}
    rows = rows_of(model, n=100_000, conditions=conditions, seed=1)
    seen = seen_in(model, rows, ["sex", "c", "b"], expected.shape)
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))
    mass = support_of(model, conditions=conditions)["model_mass"][0]
    everything = law_of(model, ["sex", "c", "b"], (np.isnan(b) | (c <= b))[None])
    assert mass == pytest.approx(expected.sum() / everything.sum(), rel=1e-9)


def test_ordered_reals_follow_the_law_of_their_cells():
    # in tenths of the line, against free rows of which those in order were kept
    model = bound_model(["x", "y"], inequality("x", "y"), seed=4)
    edges = np.linspace(-2, 1, 31)
    rows = rows_of(model, n=100_000, seed=1).dropna()
    assert (rows["x"] <= rows["y"]).all()
    free = rows_of(model_of(["x", "y"], columns=ALL, seed=4, n_units=MANY), n=3_000_000, seed=2).dropna()
    kept = free[free["x"] <= free["y"]]
    expected = np.histogram2d(kept["x"], kept["y"], bins=[edges, edges])[0]
    seen = np.histogram2d(rows["x"], rows["y"], bins=[edges, edges])[0]
    both = np.stack([seen.ravel(), expected.ravel()])[:, (seen + expected).ravel() > 20]
    pooled = both.sum(axis=0) / both.sum()
    statistic = sum(((row - row.sum() * pooled) ** 2 / (row.sum() * pooled)).sum() for row in both)
    degrees = both.shape[1] - 1
    assert (
        statistic < degrees + 5 * np.sqrt(2 * degrees) + 12
    )  # two samples of one law: false alarm below 1e-6


def test_combinations_follow_the_law_given_that_they_are_allowed():
    allowed = [["Bonn", 1], ["Bonn", 2], ["Ulm", 3], ["Ulm", None]]
    model = bound_model(
        ["sex", "town", "ward"], combinations("fixed_combinations", ["town", "ward"], allowed), seed=2
    )
    sex, town, ward = (block.astype(float) for block in model.mixture.blocks)
    cells = [(0, 0), (0, 1), (1, 2), (1, 3)]
    expected = np.stack([(sex * (town[:, t] * ward[:, w])[:, None]).sum(axis=0) for t, w in cells], axis=1)
    rows = rows_of(model, n=100_000, seed=1)
    keys = rows["town"].astype(str) + rows["ward"].astype(object).where(rows["ward"].notna(), "?").astype(str)
    at = keys.map({"Bonn1": 0, "Bonn2": 1, "Ulm3": 2, "Ulm?": 3}).to_numpy()
    seen = np.zeros((2, 4))
    np.add.at(seen, (rows["sex"].eq("M").to_numpy(dtype=int), at), 1)
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))
    table = support_of(model, n=90, balance=["ward"])
    assert table["requested"].tolist() == [30] * 3
    found = rows_of(model, n=90, balance=["ward"])
    assert found.groupby(["town", "ward"]).size().to_dict() == {
        ("Bonn", 1): 30,
        ("Bonn", 2): 30,
        ("Ulm", 3): 30,
    }


def test_what_is_decided_follows_and_what_decides_keeps_its_law():
    decided = [["Bonn", "F"], ["Ulm", "M"]]
    model = bound_model(
        ["town", "sex", "ward"], combinations("functional_dependency", ["town", "sex"], decided), seed=5
    )
    rows = rows_of(model, n=50_000)
    assert (rows["sex"].eq("F") == rows["town"].eq("Bonn")).all()
    town, _, ward = (
        block.astype(float)[:, :size] for block, size in zip(model.mixture.blocks, (2, 2, 4), strict=True)
    )
    expected = np.einsum("ka,kb->ab", town, ward)
    seen = np.zeros((2, 4))
    wards = rows["ward"].map({1: 0, 2: 1, 3: 2}).fillna(3).to_numpy(dtype=int)
    np.add.at(seen, (rows["town"].eq("Ulm").to_numpy(dtype=int), wards), 1)
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))
    assert rows_of(model, n=20, conditions={"sex": "M"})["town"].eq("Ulm").all()


def test_partial_rows_are_completed_within_the_constraints():
    allowed = [["Bonn", 1], ["Bonn", 2], ["Ulm", 3]]
    constraints = (inequality("begin", "end"), combinations("fixed_combinations", ["town", "ward"], allowed))
    model = bound_model(["begin", "end", "town", "ward", "sex"], *constraints)
    frame = pd.DataFrame({"begin": ["2020-06-15", None] * 50, "town": ["Ulm", "Bonn", None, None] * 25})
    rows = complete_rows(model, frame, np.random.default_rng(0))
    assert in_order(rows, ["begin", "end"]).all()
    assert (rows["begin"][::2] == "2020-06-15").all()
    assert rows["begin"][1::2].nunique() > 10
    assert (rows["town"][::4] == "Ulm").all()
    found = rows[["town", "ward"]].astype(object).itertuples(index=False, name=None)
    assert set(found) == {tuple(c) for c in allowed}
    wrong = pd.DataFrame({"begin": ["2020-12-31"], "end": ["2020-02-01"]})
    with pytest.raises(UnsupportedRequestError, match=r"what row 0 \(counted from 0\) holds no probability"):
        complete_rows(model, wrong, np.random.default_rng(0))


def test_decorrelated_columns_keep_their_constraint():
    allowed = [["Bonn", 1], ["Bonn", 2], ["Ulm", 3]]
    constraint = combinations("fixed_combinations", ["town", "ward"], allowed)
    model = bound_model(["sex", "ill", "town", "ward", "age"], constraint)
    rows = rows_of(model, n=500, parity={"target": "ill", "groups": ["sex"], "decorrelate": ["town"]})
    found = rows[["town", "ward"]].astype(object).itertuples(index=False, name=None)
    assert set(found) == {tuple(c) for c in allowed}


def test_a_sum_is_computed_in_its_own_type_and_missing_with_its_parts():
    columns = {
        "total": {"type": "integer", "missing": True},
        "a": ALL["a"],
        "b": ALL["b"],
        "half": {"type": "real", "decimals": 1},
        "c": ALL["c"],
    }
    constraints = [
        {"kind": "sum", "columns": ["total", "a", "b"]},
        {"kind": "sum", "columns": ["half", "a", "c"], "weights": [0.5, 0.5]},
    ]
    model = model_of(list(columns), columns=columns, constraints=constraints, n_units=MANY)
    rows = rows_of(model, n=300)
    assert list(rows.columns) == list(columns)
    assert str(rows["total"].dtype) == "Int64"
    assert (rows["total"].isna() == rows["b"].isna()).all()
    assert (rows["total"] - rows["a"] - rows["b"]).dropna().eq(0).all()
    assert (rows["half"] * 2 == rows["a"] + rows["c"]).all()


# -- infeasible or malformed ---------------------------------------------------------------------------


def test_what_leaves_no_row_is_found_before_sampling():
    constraint = combinations(
        "fixed_combinations", ["town", "ward"], [["Rom", 1]]
    )  # never found in the records
    model = bound_model(["town", "ward"], constraint)
    with pytest.raises(
        SchemaError, match=r"no row that the model can make satisfies the constraints \(fixed comb"
    ):
        plan_of(model, n=10)


def test_conditions_that_the_constraints_exclude_are_refused():
    model = bound_model(["a", "c"], inequality("c", "a"))
    with pytest.raises(UnsupportedRequestError, match="less than one unit behind the conditions"):
        plan_of(model, n=5, conditions={"a": (0, 2)})  # c is 3 at least
    with pytest.raises(RequestError, match="'a' is a number line that the conditions restrict as well"):
        plan_of(model, n=5, conditions={"a": (4, 9)}, proportions={"a": {(4, 9): 1}})


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (
            {"kind": "median", "columns": ["a", "c"]},
            "of kind 'median' cannot be kept: .*known kinds are inequality",
        ),
        ({"columns": ["a", "c"]}, "of kind None cannot be kept"),
        ({"kind": "inequality", "columns": ["a"]}, "'inequality' needs 'columns', a list of at least 2"),
        ({"kind": "inequality", "columns": "ac"}, "'inequality' needs 'columns'"),
        ({"kind": "inequality", "columns": ["a", "a"]}, "different columns"),
        (
            {"kind": "inequality", "columns": ["a", "z"]},
            "names the column 'z', which the schema does not have",
        ),
        ({"kind": ["sum"], "columns": ["a", "c"]}, r"of kind \['sum'\] cannot be kept"),
        ({"kind": "inequality", "columns": ["a", ["c"]]}, r"names the column \['c'\]"),
        ({"kind": "inequality", "columns": ["a", "c"], "operator": "<"}, "has no 'operator'"),
        ({"kind": "inequality", "columns": ["a", "c"], "strict": 1}, "'strict' is true or false, got 1"),
        (inequality("a", "sex"), "a <= sex: 'sex' is not a number line"),
        (inequality("a", "cost"), "'cost' has another step than 'a'"),
        (inequality("a", "begin"), "'begin' has another step than 'a'"),
        (
            inequality("a", "b", "c", strict=True),
            "a strict chain cannot be kept across a column in its middle",
        ),
        (
            inequality("late", "a"),
            "late <= a cannot hold: 'a' ends at 20, and the columns before it begin above",
        ),
        (inequality("edge", "a", strict=True), "edge < a cannot hold"),
        (combinations("fixed_combinations", ["sex", "a"], []), "'a' is not a categorical or boolean column"),
        (combinations("fixed_combinations", ["sex", "ward"], []), "'combinations' is a list of 1 to 5000"),
        (combinations("fixed_combinations", ["sex", "ward"], [["F"]]), r"expected 2 values, got \['F'\]"),
        (combinations("fixed_combinations", ["sex", "ward"], [3]), "expected 2 values, got 3"),
        (
            combinations("fixed_combinations", ["sex", "town"], [["F", ["Ulm"]]]),
            r"\['Ulm'\] in a combination is not a text, number or boolean",
        ),
        (
            combinations("fixed_combinations", ["sex", "ward"], [["X", 1]]),
            "'X' in a combination is not among the",
        ),
        (
            combinations("fixed_combinations", ["sex", "ward"], [[None, 1]]),
            "has 'sex' missing, which it never is",
        ),
        (
            combinations("fixed_combinations", ["sex", "ward"], [["F", 1]] * 2),
            "the same combination is listed twice",
        ),
        (combinations("functional_dependency", ["sex", "ward"], [["F", 1], ["F", 2]]), "nothing is decided"),
        ({"kind": "sum", "columns": ["c", "a", "sex"]}, "'sex' is not a number"),
        (
            {"kind": "sum", "columns": ["c", "a"], "weights": [0]},
            "needs one weight other than 0 for each part",
        ),
        ({"kind": "sum", "columns": ["c", "b"]}, "a part may be missing, and then the sum is"),
        (
            {"kind": "sum", "columns": ["b", "a"], "weights": [0.5]},
            "'b' is an integer, and the sum need not be one",
        ),
        (
            {"kind": "sum", "columns": ["c", "a"]},
            "the parts may add up to less or more than 'low' and 'high' of 'c'",
        ),
        ({"kind": "sum", "columns": ["label", "a"]}, "'label' is computed, so it cannot be a target"),
        (
            {"kind": "unique", "columns": ["sex"]},
            "only a column that is made afresh .* can be unique, and sex cannot",
        ),
        ({"kind": "unique", "columns": ["person"], "pattern": 3}, "'pattern' is a text, got 3"),
    ],
    ids=repr,
)
def test_a_constraint_that_cannot_be_kept_says_why(constraint, text):
    columns = {name: ALL[name] for name in ("a", "b", "c", "sex", "ward", "town", "cost", "begin", "person")}
    columns["late"] = {"type": "integer", "low": 21, "high": 40}
    columns["edge"] = {"type": "integer", "low": 20, "high": 40}
    columns["label"] = {"type": "integer", "low": 0, "high": 99, "role": "target"}
    with pytest.raises(SchemaError, match=text):
        Schema(columns, constraints=[constraint])


def test_two_constraints_on_one_column_are_refused():
    columns = {name: ALL[name] for name in ("a", "b", "c", "cost")} | {
        "t": {"type": "real"},
        "u": {"type": "real"},
    }
    with pytest.raises(
        SchemaError, match="'b' stands in two constraints, a <= b and b <= c; state them as one"
    ):
        Schema(columns, constraints=[inequality("a", "b"), inequality("b", "c")])
    sums = [{"kind": "sum", "columns": ["t", "a", "c"]}, {"kind": "sum", "columns": ["u", "t", "a"]}]
    with pytest.raises(SchemaError, match="u = t \\+ a: the part 't' is itself computed"):
        Schema(columns, constraints=sums)


def test_constraints_are_public_facts_and_survive_json():
    constraints = [inequality("a", "c", strict=True), {"kind": "sum", "columns": ["t", "a", "c"]}]
    columns = {name: ALL[name] for name in ("a", "c")} | {"t": {"type": "integer"}}
    schema = Schema(columns, constraints=constraints)
    assert [c.name for c in schema.modelled] == ["a", "c"]
    assert schema.public_facts()[-2:] == ["constraint: a < c", "constraint: t = a + c"]
    again = Schema.from_dict(schema.to_dict())
    assert again == schema
    assert again.constraints == schema.constraints
    schema.require_complete()
    with pytest.raises(SchemaError, match="expected 'constraints' to be a list of objects"):
        Schema(columns, constraints=["a < c"])
