"""Any schema, any request: exactly the rows asked for, each as asked for; and what stands behind them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from privsynth.encoding import DiscreteDomain, NumericDomain, NumericGrid
from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.models.mixture import ProductMixture
from privsynth.sampling.table_model import Cell, Measured, TableModel
from privsynth.schema import Schema
from tests.helpers.chi_square import FALSE_ALARM, fits, tilted

COLUMNS = {
    "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
    "ward": {"type": "categorical", "categories": [1, 2, 3], "missing": True},
    "town": {"type": "categorical", "categories": "private"},
    "ill": {"type": "boolean", "role": "target"},
    "smokes": {"type": "boolean", "values": ["no", "yes"], "missing": True},
    "age": {"type": "integer", "low": 0, "high": 99},
    "debt": {"type": "integer", "low": -1_000_000, "high": 1_000_000, "missing": True},
    "cost": {"type": "real", "low": 0, "high": 5000, "decimals": 2},
    "dose": {"type": "real", "low": -1, "high": 1},
    "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31"},
    "note": {"type": "text", "drop": True},
    "person": {"type": "id", "role": "key"},
}
N_UNITS = 1000.0


def domain_of(column, rng):
    if not column.is_numeric:
        values = column.boolean_values if column.type == "boolean" else column.categories
        is_private = values == "private"
        return DiscreteDomain(
            column, ("Bonn", "Ulm") if is_private else values, is_private, bool(column.missing)
        )
    low, high = column.bounds
    if column.step is not None:
        low, high = round(low / column.step), round(high / column.step)
    grid = NumericGrid.between(float(low), float(high), discrete=column.step is not None)
    grid = grid.with_spikes(np.array([0.0])) if low <= 0 <= high else grid
    bins = np.minimum(np.arange(grid.n_cells) // 40, 7)
    weight = rng.random(grid.n_cells) + 0.01
    return NumericDomain(
        column, grid, bins, weight / np.bincount(bins, weights=weight)[bins], bool(column.missing)
    )


def model_of(names, *, seed=0, k=4, concentration=1.0, n_units=N_UNITS, measured=()) -> TableModel:
    rng = np.random.default_rng(seed)
    schema = Schema({name: COLUMNS[name] for name in names})
    domains = {column.name: domain_of(column, rng) for column in schema.modelled}
    blocks = [rng.dirichlet(np.full(d.size, concentration), k).astype(np.float32) for d in domains.values()]
    mixture = ProductMixture(tuple(domains), tuple(blocks))
    return TableModel(schema, domains, mixture, n_units, 5.0, tuple(measured))


# -- every row is as asked for -------------------------------------------------------------------------

RANGES = {
    "age": (st.integers(0, 99), lambda v: v),
    "debt": (st.integers(-1_000_000, 1_000_000), lambda v: v),
    "cost": (st.integers(0, 500_000), lambda v: v / 100),
    "dose": (st.floats(-1, 1, width=32), lambda v: v),
    "day": (st.integers(0, 365), lambda v: pd.Timestamp("2020-01-01") + pd.Timedelta(days=v)),
}
VALUES = {
    "sex": ["F", "M"],
    "ward": [1, 2, 3, None],
    "town": ["Bonn", "Ulm", "other"],
    "ill": [False, True],
    "smokes": ["no", "yes", None],
}


@st.composite
def conditions_on(draw, name):
    """Draw a condition on a column, and a function that says of a synthetic column where it holds."""
    if name in VALUES:
        allowed = draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, unique=True))
        condition = allowed[0] if len(allowed) == 1 and draw(st.booleans()) else allowed
        return condition, lambda column: column.isin(allowed) | (column.isna() & (None in allowed))
    ends, value_of = RANGES[name]
    if name != "dose" and draw(st.booleans()):  # a single value of a real without decimals has no mass
        listed = [value_of(v) for v in draw(st.lists(ends, min_size=1, max_size=4, unique=True))]
        return listed, lambda column: column.isin(listed)
    low, high = sorted((draw(ends), draw(ends)))
    if name == "dose" and high - low < 1e-3:
        low, high = -1.0, 1.0
    low, high = value_of(low), value_of(high)
    form = draw(st.sampled_from(["tuple", "both", "low", "high"]))
    condition = {
        "tuple": (low, high),
        "both": {"low": low, "high": high},
        "low": {"low": low},
        "high": {"high": high},
    }[form]
    first = low if form != "high" else None
    last = high if form != "low" else None
    return condition, lambda column: (
        (column.ge(first) if first is not None else column.notna())
        & (column.le(last) if last is not None else column.notna())
    ).fillna(False)


@st.composite
def requests(draw):
    names = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=6, unique=True))
    names = names if set(names) - {"note", "person"} else [*names, "age"]
    modelled = [name for name in names if name not in ("note", "person")]
    conditioned = draw(st.lists(st.sampled_from(modelled), unique=True))
    return names, {name: draw(conditions_on(name)) for name in conditioned}


@settings(max_examples=200, deadline=None)
@given(requests(), st.integers(0, 60), st.integers(0, 2**32))
def test_exactly_the_rows_asked_for_each_as_asked_for(request_, n, seed):
    names, conditions = request_
    model = model_of(names, seed=seed)
    restrictions = model.restrictions({name: condition for name, (condition, _) in conditions.items()})
    rows = model.draw([Cell({}, n)], restrictions, np.random.default_rng(seed))
    assert len(rows) == n
    assert list(rows.columns) == [name for name in names if name != "note"]
    for name, (_, holds) in conditions.items():
        assert holds(rows[name]).all(), name
    for name in rows:
        allowed = COLUMNS[name].get("missing", False)
        assert allowed or rows[name].notna().all()


@settings(max_examples=100, deadline=None)
@given(requests(), st.data(), st.integers(0, 100), st.integers(0, 2**32))
def test_balanced_cells_are_equal_up_to_one_row_and_add_up(request_, data, n, seed):
    names, conditions = request_
    discrete = [name for name in names if name in VALUES]
    conditions = {name: c for name, (c, _) in conditions.items() if name not in discrete}
    if not discrete:
        return
    balance = data.draw(st.lists(st.sampled_from(discrete), min_size=1, unique=True))
    model, rng = model_of(names, seed=seed), np.random.default_rng(seed)
    restrictions = model.restrictions(conditions)
    cells = model.balanced_cells(n, balance, restrictions, rng)
    declared = [[v for v in VALUES[name] if v not in (None, "other")] for name in balance]
    sizes = {tuple(cell.codes.values()): cell.n_rows for cell in cells}
    assert len(sizes) == len(cells) == np.prod([len(values) for values in declared])
    assert sum(sizes.values()) == n
    assert max(sizes.values()) - min(sizes.values()) <= 1
    rows = model.draw(cells, restrictions, rng)
    for codes, combination in zip(
        itertools.product(*(range(len(values)) for values in declared)),
        itertools.product(*declared),
        strict=True,
    ):
        found = np.logical_and.reduce([rows[name] == v for name, v in zip(balance, combination, strict=True)])
        assert found.sum() == sizes[codes]


def test_the_rows_that_are_left_over_go_to_random_cells():
    # 4 of 6 cells get the extra row; each must be among them 2 times in 3
    model = model_of(["sex", "ward"])
    extra = np.zeros(6)
    for seed in range(600):
        cells = model.balanced_cells(4, ["sex", "ward"], {}, np.random.default_rng(seed))
        extra += [cell.n_rows for cell in cells]
    margin = norm.isf(FALSE_ALARM / 12) * np.sqrt(600 * 2 / 9)
    assert (np.abs(extra - 400) < margin).all()
    assert margin < 80  # a cell left out one time in eight would be seen


def test_conditions_narrow_the_cells_of_balance():
    model = model_of(["sex", "ward", "age"])
    restrictions = model.restrictions({"ward": [2, None], "age": (20, 29)})
    cells = model.balanced_cells(10, ["sex", "ward"], restrictions, np.random.default_rng(0))
    assert [dict(cell.codes) for cell in cells] == [{"sex": 0, "ward": 1}, {"sex": 1, "ward": 1}]
    rows = model.draw(cells, restrictions, np.random.default_rng(0))
    assert rows["ward"].tolist() == [2] * 10
    assert rows["age"].between(20, 29).all()


def test_rows_follow_the_model_given_the_condition():
    # 100,000 rows over 2 x 3 cells given an age in part of a bin: a tilt of 10 % would be seen
    model = model_of(["sex", "ill", "age"], seed=3)
    low, high = 15, 61
    restrictions = model.restrictions({"age": (low, high)})
    rows = model.draw([Cell({}, 100_000)], restrictions, np.random.default_rng(4))
    domain = model.domains["age"]
    cell = domain.grid.index(np.arange(low, high + 1.0))
    share = np.bincount(domain.bin_of_cell[cell], weights=domain.cell_weight[cell], minlength=domain.size)
    sex, ill, age = (block.astype(float) for block in model.mixture.blocks)
    expected = np.einsum("ka,kb,k->ab", sex, ill, age @ share)
    seen = rows.groupby(["sex", "ill"]).size().to_numpy()
    assert fits(seen, expected)
    assert not fits(seen, tilted(expected))


# -- order, seeds, ids, types --------------------------------------------------------------------------


def test_rows_come_in_random_order():
    # Two components that never agree: in order of component, neighbours would differ once in 2000 rows.
    model = model_of(["sex", "ill"], k=2)
    blocks = tuple(np.eye(2, dtype=np.float32) for _ in range(2))
    model = TableModel(model.schema, model.domains, ProductMixture(("sex", "ill"), blocks), N_UNITS, 5.0, ())
    for cells in ([Cell({}, 2000)], [Cell({"sex": 0}, 1000), Cell({"sex": 1}, 1000)]):
        rows = model.draw(cells, {}, np.random.default_rng(1))
        changes = (rows["sex"].to_numpy()[1:] != rows["sex"].to_numpy()[:-1]).sum()
        assert abs(changes - 1000) < norm.isf(FALSE_ALARM / 2) * np.sqrt(2000 / 4)
        assert (rows["sex"].eq("M") == rows["ill"]).all()


def test_a_seed_reproduces_the_rows_and_another_does_not():
    model = model_of([name for name in COLUMNS if name != "note"])
    cells = [Cell({}, 200)]
    first, again, other = (model.draw(cells, {}, np.random.default_rng(seed)) for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_ids_are_fresh_and_dropped_text_stays_out():
    rows = model_of(["person", "note", "sex"]).draw([Cell({}, 5)], {}, np.random.default_rng(0))
    assert rows["person"].tolist() == [1, 2, 3, 4, 5]
    assert list(rows.columns) == ["person", "sex"]


@pytest.mark.parametrize("condition", [{}, {"age": (20, 30), "ward": None, "debt": None}])
def test_no_rows_have_the_same_columns_and_types(condition):
    names = [name for name in COLUMNS if name != "note"]
    model = model_of(names)
    restrictions = model.restrictions(condition)
    empty, some = (model.draw([Cell({}, n)], restrictions, np.random.default_rng(0)) for n in (0, 50))
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == some.dtypes.to_dict()


def test_missing_alone_is_drawn_as_missing():
    model = model_of(["debt", "ward", "smokes"])
    restrictions = model.restrictions({"debt": None, "ward": [None], "smokes": pd.NA})
    assert model.draw([Cell({}, 20)], restrictions, np.random.default_rng(0)).isna().all(axis=None)


# -- support -------------------------------------------------------------------------------------------


def test_support_is_the_mass_times_the_units_and_the_noise_of_the_best_table():
    measured = [
        Measured(("sex", "ward", "ill"), 10.0),
        Measured(("ward",), 30.0),
        Measured(("sex", "ward"), 16.0),
    ]
    model = model_of(["sex", "ward", "ill"], measured=measured)
    cells = model.balanced_cells(7, ["sex", "ward"], {}, np.random.default_rng(0))
    table = model.support(cells, model.restrictions({"ill": [False, True]}))
    expected = model.mixture.table(("sex", "ward"))[:, :3].ravel()  # missing is the fourth ward
    assert table.columns.tolist() == ["sex", "ward", "requested", "model_mass", "units", "noise_std"]
    assert list(zip(table["sex"], table["ward"], strict=True)) == list(itertools.product("FM", (1, 2, 3)))
    assert table["requested"].sum() == 7
    assert table["model_mass"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert table["units"].to_numpy() == pytest.approx(expected * N_UNITS, abs=1e-3)
    assert table["noise_std"].to_numpy() == pytest.approx(np.full(6, 10 * np.sqrt(2)))  # two cells of ill
    without = model.support(cells, {})
    assert without["noise_std"].to_numpy() == pytest.approx(np.full(6, 10 * np.sqrt(2)))  # below 16
    ward = model.support([Cell({}, 1)], model.restrictions({"ward": [1, 2]}))
    assert ward["noise_std"].tolist() == pytest.approx([10 * np.sqrt(8)])  # below 16 x 2 and 30 x sqrt(2)
    nothing = model_of(["sex", "ward"], measured=[Measured(("sex",), 3.0)])
    assert nothing.support([Cell({"ward": 1}, 1)], {})["noise_std"].isna().all()


def with_ill(share_of_ill, *, n_units=N_UNITS, noise_std=1.0):
    """Return a model in which no woman is ill, and of the men the share given."""
    model = model_of(["sex", "ill"], n_units=n_units, measured=[Measured(("sex", "ill"), noise_std)])
    blocks = (
        np.array([[1, 0], [0, 1]], np.float32),
        np.array([[1, 0], [1 - share_of_ill, share_of_ill]], np.float32),
    )
    return TableModel(
        model.schema, model.domains, ProductMixture(("sex", "ill"), blocks), n_units, 5.0, model.measured
    )


def supported(model, on_unsupported, conditions=None):
    cells = model.balanced_cells(10, ["sex", "ill"], {}, np.random.default_rng(0))
    restrictions = model.restrictions(conditions)
    return model.supported_cells([Cell({}, 10)] if conditions else cells, restrictions, on_unsupported)


def test_a_cell_without_units_is_an_error_that_names_it():
    text = (
        r"^the model has less than one unit behind sex=F x ill=True; ask for other cells, "
        r"or pass on_unsupported='drop' to leave these out$"
    )
    for choice in ("error", "warn"):  # there is nothing to extrapolate from
        with pytest.raises(UnsupportedRequestError, match=text):
            supported(with_ill(0.5), choice)


def test_a_cell_with_a_little_mass_may_be_extrapolated():
    model = with_ill(0.5)
    blocks = (model.mixture.blocks[0], np.array([[1 - 1e-6, 1e-6], [0.5, 0.5]], np.float32))
    model = TableModel(
        model.schema, model.domains, ProductMixture(("sex", "ill"), blocks), N_UNITS, 5.0, model.measured
    )
    with pytest.raises(UnsupportedRequestError, match=r"to leave these out or 'warn' to extrapolate$"):
        supported(model, "error")
    cells, messages = supported(model, "warn")
    assert messages == ["the model has less than one unit behind sex=F x ill=True: extrapolated"]
    rows = model.draw(cells, {}, np.random.default_rng(0))
    assert sorted(rows.groupby(["sex", "ill"]).size()) == [2, 2, 3, 3]


def test_dropped_cells_give_their_rows_to_the_others():
    cells, messages = supported(with_ill(0.5), "drop")
    assert messages == ["the model has less than one unit behind sex=F x ill=True: left out"]
    assert sorted(cell.n_rows for cell in cells) == [3, 3, 4]
    assert {"sex": 0, "ill": 1} not in [dict(cell.codes) for cell in cells]


def test_nothing_left_is_an_error():
    for choice in ("error", "warn", "drop"):
        with pytest.raises(UnsupportedRequestError, match="less than one unit behind"):
            supported(with_ill(0.5), choice, {"sex": "F", "ill": True})
    with pytest.raises(UnsupportedRequestError, match=r"behind every cell asked for$"):
        supported(with_ill(0.5), "drop", {"sex": "F", "ill": True})


def test_a_cell_within_the_noise_is_a_warning():
    # 500 men, 8 % of them ill: 40 units, 2.5 deviations of a noise of 16, and 1.6 of one of 25
    assert supported(with_ill(0.08, noise_std=16.0), "error", {"sex": "M", "ill": True})[1] == []
    cells, messages = supported(with_ill(0.08, noise_std=25.0), "error", {"sex": "M", "ill": True})
    assert messages == ["the real count behind the conditions is within the noise of what was measured"]
    assert [cell.n_rows for cell in cells] == [10]


def test_many_cells_are_named_in_part():
    model = model_of(["sex", "ward", "ill"], n_units=1.0)
    cells = model.balanced_cells(12, ["sex", "ward", "ill"], {}, np.random.default_rng(0))
    with pytest.raises(UnsupportedRequestError, match="sex=M x ward=1 x ill=True and 4 more cells;"):
        model.supported_cells(cells, {}, "error")


def test_a_point_without_mass_is_refused_and_a_spike_is_not():
    model = model_of(["dose"])
    with pytest.raises(UnsupportedRequestError, match="behind the conditions"):
        model.supported_cells([Cell({}, 3)], model.restrictions({"dose": 0.123}), "warn")
    restrictions = model.restrictions({"dose": 0.0})
    cells, _ = model.supported_cells([Cell({}, 3)], restrictions, "warn")
    assert model.draw(cells, restrictions, np.random.default_rng(0))["dose"].tolist() == [0.0] * 3


# -- refusals ------------------------------------------------------------------------------------------


def test_unknown_columns_and_forms_are_refused():
    model = model_of(["sex", "person"])
    with pytest.raises(RequestError, match=r"there is no modelled column 'age'; there are sex$"):
        model.restrictions({"age": 3})
    with pytest.raises(RequestError, match="no modelled column 'person'"):
        model.restrictions({"person": 3})
    with pytest.raises(RequestError, match=r"expected a mapping from column to condition, got \['sex'\]"):
        model.restrictions(["sex"])


@pytest.mark.parametrize(
    ("balance", "text"),
    [
        ("sex", "balance: expected a list of different columns, got 'sex'"),
        ([], r"expected a list of different columns, got \[\]"),
        (["sex", "sex"], "expected a list of different columns"),
        (["age"], "'age' must be a categorical or boolean column, but it is a number line"),
        (["race"], "'race' must be a categorical or boolean column, but there is no such modelled column"),
    ],
)
def test_a_malformed_balance_is_refused(balance, text):
    with pytest.raises(RequestError, match=text):
        model_of(["sex", "age"]).balanced_cells(10, balance, {}, np.random.default_rng(0))


def test_balance_over_what_a_condition_leaves_empty_is_refused():
    model = model_of(["ward"])
    with pytest.raises(RequestError, match="expected 1 to 100000 cells, got 0"):
        model.balanced_cells(10, ["ward"], model.restrictions({"ward": None}), np.random.default_rng(0))


def test_too_many_cells_are_refused_however_many_there_are():
    # 2^64 cells: a product in 64 bits would be zero
    names = [f"c{i}" for i in range(64)]
    schema = Schema(dict.fromkeys(names, COLUMNS["sex"]))
    domains = {name: DiscreteDomain(schema.columns[name], ("F", "M"), False, False) for name in names}
    blocks = tuple(np.full((1, 2), 0.5, np.float32) for _ in names)
    model = TableModel(schema, domains, ProductMixture(tuple(names), blocks), N_UNITS, 5.0, ())
    with pytest.raises(RequestError, match=f"expected 1 to 100000 cells, got {2**64}"):
        model.balanced_cells(10, names, {}, np.random.default_rng(0))
