"""Conditions and balance: every form, every refusal, exact counts, support."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.encoding import DiscreteDomain, NumericDomain, NumericGrid
from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.models.mixture import ProductMixture
from privsynth.sampling.table_model import Cell, Measured, TableModel
from privsynth.schema import Schema

SCHEMA = Schema(
    {
        "id": {"type": "id", "role": "key"},
        "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        "ward": {"type": "categorical", "categories": [1, 2, 3], "missing": True},
        "ill": {"type": "boolean", "role": "target"},
        "age": {"type": "integer", "low": 0, "high": 99},
        "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31"},
    }
)
N_UNITS = 1000.0


def model(seed=0, k=4, never_ill=False) -> TableModel:
    rng = np.random.default_rng(seed)
    columns = SCHEMA.columns
    age = NumericGrid.between(0, 99, discrete=True)
    day = NumericGrid.between(18262, 18627, discrete=True)
    domains = {
        "sex": DiscreteDomain(columns["sex"], ("F", "M"), False, False),
        "ward": DiscreteDomain(columns["ward"], (1, 2, 3), False, True),
        "ill": DiscreteDomain(columns["ill"], (False, True), False, False),
        "age": NumericDomain(columns["age"], age, np.arange(100) // 10, np.full(100, 0.1), False),
        "day": NumericDomain(columns["day"], day, np.arange(366) // 61, np.full(366, 1 / 61), False),
    }
    blocks = [rng.dirichlet(np.ones(d.size), k).astype(np.float32) for d in domains.values()]
    if never_ill:
        blocks[2] = np.tile(np.array([1.0, 0.0], np.float32), (k, 1))
    mixture = ProductMixture(tuple(domains), tuple(blocks))
    measured = (Measured(("sex",), 10.0), Measured(("sex", "ill"), 20.0))
    return TableModel(SCHEMA, domains, mixture, N_UNITS, 5.0, measured)


def draw(conditions, n=300, m=None):
    m = m or model()
    return m.draw([Cell({}, n)], m.restrictions(conditions), np.random.default_rng())


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"sex": "F"}, lambda t: t["sex"].eq("F")),
        ({"ward": 2}, lambda t: t["ward"].eq(2)),
        ({"ward": "2"}, lambda t: t["ward"].eq(2)),
        ({"ward": [1, None]}, lambda t: t["ward"].isna() | t["ward"].eq(1)),
        ({"ward": None}, lambda t: t["ward"].isna()),
        ({"ward": (2, 3)}, lambda t: t["ward"].isin([2, 3])),
        ({"sex": {"F", "M"}}, lambda t: t["sex"].isin(["F", "M"])),
        ({"ill": True}, lambda t: t["ill"]),
        ({"ill": "True"}, lambda t: t["ill"]),
        ({"age": 42}, lambda t: t["age"].eq(42)),
        ({"age": np.int64(42)}, lambda t: t["age"].eq(42)),
        ({"age": (18, 30)}, lambda t: t["age"].between(18, 30)),
        ({"age": {"low": 85}}, lambda t: t["age"].ge(85)),
        ({"age": {"low": 17.5, "high": 18.5}}, lambda t: t["age"].eq(18)),
        ({"age": [3, 4, 97]}, lambda t: t["age"].isin([3, 4, 97])),
        ({"day": ("2020-02-01", "2020-02-29")}, lambda t: t["day"].dt.month.eq(2)),
        ({"day": pd.Timestamp("2020-03-05")}, lambda t: t["day"].eq("2020-03-05")),
        ({"day": dt.date(2020, 3, 5)}, lambda t: t["day"].eq("2020-03-05")),
        ({"sex": "M", "ill": False, "age": (0, 5)}, lambda t: t["sex"].eq("M") & ~t["ill"] & t["age"].le(5)),
    ],
)
def test_every_row_meets_its_condition(conditions, holds):
    rows = draw(conditions)
    assert len(rows) == 300
    assert holds(rows).all()


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({"town": "Ulm"}, "there is no modelled column 'town'"),
        ({"id": 3}, "there is no modelled column 'id'"),
        ({"sex": "X"}, r"'X' is not among its values \(F, M\)"),
        ({"sex": []}, "an empty list allows nothing"),
        ({"sex": None}, "never missing"),
        ({"sex": ("A", "B")}, "expected|a range needs numbers|low"),
        ({"age": 200}, "nothing between the bounds 0 and 99"),
        ({"age": (30, 18)}, "expected low <= high"),
        ({"age": (1, 2, 3)}, "2-tuple"),
        ({"age": {"from": 3}}, "expected a value"),
        ({"age": "old"}, "expected a value"),
        ({"age": True}, "expected a value"),
        ({"age": 17.5}, "nothing between the bounds"),
        ({"day": "soon"}, "not an ISO-8601"),
        ({"ward": (7, 9)}, "holds none of its values"),
    ],
)
def test_a_malformed_condition_says_what_is_wrong(conditions, text):
    with pytest.raises(RequestError, match=text):
        draw(conditions)


def test_ids_are_fresh():
    assert draw({}, n=5)["id"].tolist() == [1, 2, 3, 4, 5]


def test_no_rows_are_a_table_with_all_columns():
    rows = draw({"sex": "F"}, n=0)
    assert len(rows) == 0
    assert list(rows.columns) == list(SCHEMA.columns)


@settings(max_examples=40)
@given(
    st.integers(0, 500),
    st.lists(st.sampled_from(["sex", "ward", "ill"]), min_size=1, max_size=3, unique=True),
    st.integers(0, 2**32),
)
def test_balanced_cells_differ_by_at_most_one_row(n, balance, seed):
    m = model(seed)
    rng = np.random.default_rng(seed)
    cells = m.balanced_cells(n, balance, {}, rng)
    rows = m.draw(cells, {}, rng)
    assert len(rows) == n
    sizes = rows.groupby(balance, observed=True).size()
    n_cells = int(np.prod([{"sex": 2, "ward": 3, "ill": 2}[name] for name in balance]))
    if n >= n_cells:
        assert len(sizes) == n_cells
    assert sizes.max() - (sizes.min() if len(sizes) == n_cells else 0) <= 1 if n else True


def test_balance_stays_within_conditions():
    m = model()
    restrictions = m.restrictions({"ward": [1, 2], "age": (20, 29)})
    cells = m.balanced_cells(100, ["ward", "sex"], restrictions, np.random.default_rng())
    rows = m.draw(cells, restrictions, np.random.default_rng())
    assert rows.groupby(["ward", "sex"]).size().tolist() == [25] * 4
    assert rows["age"].between(20, 29).all()


def test_the_order_says_nothing_about_the_cells():
    m = model()
    cells = m.balanced_cells(1000, ["sex"], {}, np.random.default_rng())
    first_half = m.draw(cells, {}, np.random.default_rng())["sex"][:500].eq("F").sum()
    assert abs(first_half - 250) < 6 * np.sqrt(1000 * 0.25 / 4 * 2)


def test_a_seed_reproduces_the_rows():
    m = model()
    first, second = (m.draw([Cell({}, 50)], {}, np.random.default_rng(7)) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("balance", "text"),
    [
        ("sex", "list of different columns"),
        ([], "list of different columns"),
        (["sex", "sex"], "list of different columns"),
        (["age"], "it is a number line"),
        (["town"], "no such modelled column"),
    ],
)
def test_a_malformed_balance_says_what_is_wrong(balance, text):
    with pytest.raises(RequestError, match=text):
        model().balanced_cells(10, balance, {}, np.random.default_rng())


def test_support_is_the_mass_times_the_units_and_the_noise_of_the_best_table():
    m = model()
    cells = m.balanced_cells(10, ["sex"], {}, np.random.default_rng())
    table = m.support(cells, {})
    assert table["model_mass"].to_numpy() == pytest.approx(m.mixture.table(("sex",)), abs=1e-6)
    assert table["units"].to_numpy() == pytest.approx(N_UNITS * m.mixture.table(("sex",)), abs=1e-2)
    assert table["noise_std"].tolist() == [10.0, 10.0]  # one cell of (sex); two of (sex, ill) have 28
    joint = m.support(m.balanced_cells(10, ["sex", "ill"], {}, np.random.default_rng()), {})
    assert joint["noise_std"].tolist() == [20.0] * 4
    assert (
        m.support(m.balanced_cells(10, ["ward"], {}, np.random.default_rng()), {})["noise_std"].isna().all()
    )


def test_cells_that_the_model_does_not_know_are_refused_or_dropped():
    m = model(never_ill=True)
    cells = m.balanced_cells(10, ["sex", "ill"], {}, np.random.default_rng())
    for choice in ("error", "warn"):  # nothing can be drawn from a cell without mass
        with pytest.raises(UnsupportedRequestError, match="less than one unit behind sex=F x ill=True"):
            m.supported_cells(cells, {}, choice)
    kept, messages = m.supported_cells(cells, {}, "drop")
    assert [cell.n_rows for cell in kept] == [5, 5]
    assert "left out" in messages[0]
    with pytest.raises(UnsupportedRequestError, match="every cell"):
        m.supported_cells(cells[1::2], {}, "drop")


def test_a_faint_cell_is_a_warning():
    m = model()
    table = m.support([Cell({"sex": 0, "ill": 0}, 1)], m.restrictions({"age": 3}))
    assert table["noise_std"].isna().all()
    faint = TableModel(SCHEMA, m.domains, m.mixture, 30.0, 5.0, m.measured)
    _, messages = faint.supported_cells([Cell({"sex": 0}, 5), Cell({"sex": 1}, 5)], {}, "error")
    assert any("within the noise" in message for message in messages)
