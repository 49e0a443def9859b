"""What a condition leaves of one column: every form, every refusal, and the edges of numbers and times."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.domains.encoding import DiscreteDomain, NumericDomain, NumericGrid, ticks_to_values
from privsynth.errors import RequestError
from privsynth.sampling.conditions import restrict
from privsynth.schema import Column


def line(column, *, cells_per_bin=10):
    """Return a domain over the column's bounds with bins of a few cells each, all cells alike."""
    low, high = column.bounds
    if column.step is not None:
        low, high = round(low / column.step), round(high / column.step)
    grid = NumericGrid.between(float(low), float(high), discrete=column.step is not None)
    bins = np.arange(grid.n_cells) // cells_per_bin
    return NumericDomain(column, grid, bins, 1 / np.bincount(bins)[bins], bool(column.missing))


AGE = line(Column(name="age", type="integer", low=0, high=99, missing=True))
PAY = line(Column(name="pay", type="real", low=-1.5, high=2.5, decimals=2))
TEMPERATURE = line(Column(name="t", type="real", low=-50, high=50, decimals=1))
DOSE = line(Column(name="dose", type="real", low=-1, high=1))
DAY = line(Column(name="day", type="datetime", low="2020-01-01", high="2020-12-31"))
HOUR = line(Column(name="hour", type="datetime", low="2020-01-01", high="2020-01-31", resolution="hour"))


def listed(values, *, kind="categorical", has_other=False, has_missing=False):
    column = Column(name="x", type=kind, categories=values if kind == "categorical" else None)
    return DiscreteDomain(column, values, has_other, has_missing)


SEX = listed(("F", "M"))
WARD = listed((1, 2, 3), has_missing=True)
TOWN = listed(("Bonn", "Ulm"), has_other=True, has_missing=True)
ILL = listed((False, True), kind="boolean")
OLD = listed((0, 1))
STAGE = listed(("1..2", "3..4"))
SCORE = listed((0.1, 0.25, 1.0))
SMOKES = listed(("no", "yes"), kind="boolean", has_missing=True)
FLAG = listed((0, 1), kind="boolean")


def allowed_ticks(domain, condition):
    """Return every tick that a condition allows, and whether missing is among what it allows."""
    restriction = restrict(domain, condition)
    missing = bool(domain.has_missing and restriction.share[-1])
    if restriction.pieces is None:
        return [], missing
    pairs = zip(restriction.pieces.first, restriction.pieces.last, strict=True)
    return sorted({tick for first, last in pairs for tick in np.arange(first, last + 1)}), missing


# -- lists of values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "condition", "codes"),
    [
        (SEX, "F", [0]),
        (SEX, " M ", [1]),
        (SEX, np.str_("M"), [1]),
        (SEX, ["F", "M"], [0, 1]),
        (SEX, {"M"}, [1]),
        (SEX, frozenset({"M"}), [1]),
        (SEX, pd.Series(["M", "M"]), [1]),
        (SEX, np.array(["F"]), [0]),
        (WARD, 2, [1]),
        (WARD, "2", [1]),
        (WARD, 2.0, [1]),
        (WARD, np.int64(2), [1]),
        (WARD, np.float32(2), [1]),
        (WARD, None, [3]),
        (WARD, math.nan, [3]),
        (WARD, pd.NA, [3]),
        (WARD, np.float32("nan"), [3]),
        (WARD, [1, None], [0, 3]),
        (WARD, (2, 3), [1, 2]),
        (WARD, {"low": 2}, [1, 2]),
        (WARD, {"high": "2"}, [0, 1]),
        (WARD, {"low": 1.5, "high": 2.5}, [1]),
        (WARD, (None, 1), [0]),
        (WARD, "2..3", [1, 2]),
        (WARD, "..1", [0]),
        (WARD, ["1", "3.."], [0, 2]),
        (WARD, pd.Interval(1, 3), [1, 2]),
        (WARD, pd.Interval(1, 3, closed="left"), [0, 1]),
        (WARD, range(1, 3), [0, 1]),
        (WARD, Decimal("2"), [1]),
        (WARD, {1, None}, [0, 3]),
        (WARD, "", [3]),
        (WARD, {2: "x"}.keys(), [1]),
        (WARD, pd.array([1, None], dtype="Int64"), [0, 3]),
        (STAGE, "1..2", [0]),
        (SCORE, np.float32(0.1), [0]),
        (SCORE, Decimal("0.10"), [0]),
        (SCORE, Fraction(1, 4), [1]),
        (SCORE, np.array(1.0), [2]),
        (OLD, True, [1]),
        (OLD, np.False_, [0]),
        (TOWN, "other", [2]),
        (TOWN, ["Ulm", "other", None], [1, 2, 3]),
        (ILL, True, [1]),
        (ILL, False, [0]),
        (ILL, np.True_, [1]),
        (ILL, "true", [1]),
        (ILL, "FALSE", [0]),
        (ILL, 1, [1]),
        (ILL, "0", [0]),
        (ILL, [False, True], [0, 1]),
        (SMOKES, "yes", [1]),
        (SMOKES, True, [1]),
        (SMOKES, [False, None], [0, 2]),
        (FLAG, 1, [1]),
        (FLAG, True, [1]),
        (FLAG, "false", [0]),
    ],
    ids=repr,
)
def test_a_condition_on_a_list_allows_these_codes_and_no_others(domain, condition, codes):
    restriction = restrict(domain, condition)
    assert restriction.pieces is None
    assert restriction.share.tolist() == [float(code in codes) for code in range(domain.size)]


def test_a_category_of_the_name_other_is_itself():
    domain = listed(("other", "Ulm"), has_other=True)
    assert restrict(domain, "other").share.tolist() == [1, 0, 0]


# -- numbers and times ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "condition", "ticks"),
    [
        (AGE, 42, [42]),
        (AGE, "42", [42]),
        (AGE, np.int8(42), [42]),
        (AGE, [3, 97, 3], [3, 97]),
        (AGE, (18, 20), [18, 19, 20]),
        (AGE, (18, 18), [18]),
        (AGE, {"low": 97}, [97, 98, 99]),
        (AGE, {"high": 1}, [0, 1]),
        (AGE, {"low": None, "high": 1}, [0, 1]),
        (AGE, (98, None), [98, 99]),
        (AGE, {"low": 97.5, "high": 1e9}, [98, 99]),
        (AGE, (-math.inf, 0), [0]),
        (AGE, "18..20", [18, 19, 20]),
        (AGE, " 18 .. 20 ", [18, 19, 20]),
        (AGE, "..1", [0, 1]),
        (AGE, "98..", [98, 99]),
        (AGE, slice(18, 20), [18, 19, 20]),
        (AGE, slice(98, None), [98, 99]),
        (AGE, range(18, 21), [18, 19, 20]),
        (AGE, range(20, 17, -1), [18, 19, 20]),
        (AGE, range(18, 22, 2), [18, 20]),
        (AGE, pd.Interval(18, 20), [19, 20]),
        (AGE, pd.Interval(17.5, 20, closed="neither"), [18, 19]),
        (AGE, pd.interval_range(18, 20), [19, 20]),
        (AGE, ["18..20", (19, 21), 40], [18, 19, 20, 21, 40]),
        (AGE, Decimal("18"), [18]),
        (AGE, np.array(42), [42]),
        (TEMPERATURE, np.float32(0.3), [3]),
        (PAY, 0.07, [7]),
        (PAY, (-0.02, 0.01), [-2, -1, 0, 1]),
        (PAY, (0.071, 0.09), [8, 9]),
        (DAY, "2020-02-29", [18321]),
        (DAY, dt.date(2020, 2, 29), [18321]),
        (DAY, dt.datetime(2020, 2, 29), [18321]),
        (DAY, pd.Timestamp("2020-02-29"), [18321]),
        (DAY, np.datetime64("2020-02-29"), [18321]),
        (DAY, np.datetime64("2020-02-29", "ns"), [18321]),
        (DAY, ("2020-02-28", "2020-03-01"), [18320, 18321, 18322]),
        (DAY, ("2020-02-28T12:00", "2020-02-29T12:00"), [18321]),
        (DAY, {"low": "2020-12-30"}, [18626, 18627]),
        (DAY, "2020-02-28..2020-02-29", [18320, 18321]),
        (DAY, pd.Period("2020-02", "M"), list(range(18293, 18322))),
        (DAY, pd.date_range("2020-02-28", periods=2), [18320, 18321]),
        (DAY, pd.Interval(pd.Timestamp("2020-02-28"), pd.Timestamp("2020-02-29")), [18321]),
        (DAY, slice(dt.date(2020, 2, 28), dt.date(2020, 2, 29)), [18320, 18321]),
        (HOUR, "2020-01-02T03:00", [18263 * 24 + 3]),
        (HOUR, dt.datetime(2020, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))), [18263 * 24 + 3]),
    ],
    ids=repr,
)
def test_a_condition_on_a_line_allows_these_ticks_and_no_others(domain, condition, ticks):
    assert allowed_ticks(domain, condition) == (ticks, False)


@pytest.mark.parametrize("nothing", [None, math.nan, pd.NA, pd.NaT, np.datetime64("NaT"), np.float32("nan")])
def test_missing_is_allowed_alone_or_beside_values(nothing):
    assert allowed_ticks(AGE, nothing) == ([], True)
    assert allowed_ticks(AGE, [nothing, 5]) == ([5], True)


def test_a_range_leaves_missing_out():
    share = restrict(AGE, (None, None)).share
    assert share == pytest.approx([1.0] * 10 + [0.0])


@given(st.integers(-150, 250), st.integers(0, 300), st.integers(0, 12), st.integers(0, 9_000_000_000))
def test_a_decimal_is_met_however_large(tick, width, decimals, offset):
    # ends are read as written: neither rounding in 0.1 + 0.2 nor large numbers lose the ends of a range
    low = offset - 1000
    column = Column(
        name="x",
        type="real",
        low=float(f"{low}e-{decimals}"),
        high=float(f"{low + 3000}e-{decimals}"),
        decimals=decimals,
    )
    domain = line(column)
    first, last = offset + tick, offset + tick + width
    condition = (float(f"{first}e-{decimals}"), float(f"{last}e-{decimals}"))
    share = restrict(domain, condition).share
    ticks = np.arange(first, last + 1, dtype=float)
    expected = np.zeros(domain.n_bins)
    cell = domain.grid.index(ticks)
    np.add.at(expected, domain.bin_of_cell[cell], domain.cell_weight[cell] / domain.grid.widths()[cell])
    assert share == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tick", [1_000_000_000_022, 1_000_000_000_029, 8_999_999_999_999])
def test_a_large_amount_in_cents_is_met(tick):
    # 10000000000.22 / 0.01 is not a whole number in floating point
    amount = line(Column(name="x", type="real", low=0, high=1e11, decimals=2))
    pieces = restrict(amount, float(f"{tick}e-2")).pieces
    assert (pieces.first.tolist(), pieces.last.tolist()) == ([tick], [tick])


def test_an_open_end_of_a_line_without_decimals_is_left_out():
    pieces = restrict(DOSE, pd.Interval(0.25, 0.5, closed="neither")).pieces
    assert pieces.first.min() > 0.25
    assert pieces.last.max() < 0.5


@pytest.mark.parametrize("condition", [(-0.05, 0.05), (-0.3, 0.3), -0.0, [0.0], "-0.04..0", (-0.0, -0.0)])
def test_zero_is_never_negative(condition):
    pieces = restrict(TEMPERATURE, condition).pieces
    drawn = pieces.draw(np.repeat(np.unique(pieces.bin), 50), np.random.default_rng(0))
    for ticks in (drawn, -drawn, -0.0 * drawn):
        written = ticks_to_values(ticks, TEMPERATURE.column)
        assert not np.signbit(written[written == 0]).any()


def test_zero_is_never_negative_without_decimals():
    assert not np.signbit(ticks_to_values(np.array([-0.0]), DOSE.column)[0])


# -- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "condition", "text"),
    [
        (SEX, "X", r"condition on 'x': 'X' is not among its values \(F, M\)"),
        (SEX, ["F", "f"], "'f' is not among its values"),
        (SEX, [], "condition on 'x': an empty list allows nothing"),
        (SEX, set(), "an empty list allows nothing"),
        (SEX, None, "condition on 'x': this column is never missing in the model"),
        (SEX, ["F", None], "never missing in the model"),
        (SEX, ("F", "M"), r"expected a value, a list of values, a range .* got 'F'"),
        (SEX, (1, 2), "a range needs numbers; list its values instead"),
        (SEX, [("F", "M")], r"expected a value, a list of values, a range .* got 'F'"),
        (SEX, pd.DataFrame({"x": ["F"]}), "expected a value, .* got a frame"),
        (SEX, slice("F", "M", 1), r"expected a value, .* got slice"),
        (WARD, (7, 9), "the range holds none of its values"),
        (WARD, 4, r"4 is not among its values \(1, 2, 3\)"),
        (WARD, True, "True is not among its values"),
        (TOWN, "Rome", r"'Rome' is not among its values \(Bonn, Ulm, other\)"),
        (ILL, "ja", r"'ja' is not among its values \(false, true\)"),
        (ILL, 2, "2 is not among its values"),
        (SMOKES, 1, r"1 is not among its values \(no, yes\)"),
        (AGE, 100, "condition on 'age': it allows nothing between the bounds 0 and 99"),
        (AGE, (100, 120), "it allows nothing between the bounds 0 and 99"),
        (AGE, [5, 100], "it allows nothing between the bounds 0 and 99"),
        (AGE, [100, None], "it allows nothing between the bounds 0 and 99"),
        (AGE, 17.5, "condition on 'age': its values are whole numbers, and 17.5 is none of them"),
        (AGE, (17.2, 17.8), r"its values are whole numbers, and none lies in 17.2\.\.17.8"),
        (AGE, pd.Interval(17, 18, closed="neither"), r"none lies in 17\.\.18, 17 and 18 left out"),
        (AGE, "30..18", r"expected low <= high, got '30'\.\.'18'"),
        (AGE, "18..old", "expected a value, .* got 'old'"),
        (AGE, range(0), "an empty list allows nothing"),
        (AGE, ["18..20", (98, 120), 200], "it allows nothing between the bounds 0 and 99"),
        (AGE, (30, 18), r"condition on 'age': expected low <= high, got 30\.\.18"),
        (AGE, (1, 2, 3), r"2-tuple, inclusive\), or None \(missing\), got \(1, 2, 3\)"),
        (AGE, (), r"expected a value, .* got \(\)"),
        (AGE, {}, r"expected a value, .* got {}"),
        (AGE, {"from": 3}, r"got {'from': 3}"),
        (AGE, {"low": 3, "high": 4, "step": 2}, "expected a value"),
        (AGE, "old", "expected a value, .* got 'old'"),
        (AGE, True, "expected a value, .* got True"),
        (AGE, (math.nan, 5), "expected a value, .* got nan"),
        (AGE, [[1, 2]], r"expected a value, .* got \[1, 2\]"),
        (AGE, object, "expected a value"),
        (PAY, 0.075, "its values are numbers with 2 decimals, and 0.075 is none of them"),
        (TEMPERATURE, "0.11..0.19", r"numbers with 1 decimal, and none lies in 0.11\.\.0.19"),
        (PAY, (3, 4), "between the bounds -1.5 and 2.5"),
        (DAY, "soon", "condition on 'day': the value is not an ISO-8601 date or time: 'soon'"),
        (DAY, "2021-01-01", "between the bounds 2020-01-01T00:00:00 and 2020-12-31T00:00:00"),
        (DAY, "2020-02-29T12:00", "its values are whole days, and 2020-02-29T12:00 is none of them"),
    ],
    ids=repr,
)
def test_a_condition_that_cannot_be_met_says_why(domain, condition, text):
    with pytest.raises(RequestError, match=text):
        restrict(domain, condition)


def test_a_long_list_of_values_is_cut_short():
    with pytest.raises(RequestError, match=r"\(v0, v1, .*, v11, \.\.\.\)$"):
        restrict(listed(tuple(f"v{i}" for i in range(50))), "w")


def test_bounds_are_shown_in_full():
    wide = line(Column(name="x", type="integer", low=0, high=1_234_567_890_123))
    with pytest.raises(RequestError, match="between the bounds 0 and 1234567890123"):
        restrict(wide, -1)
