"""Numbers as people write them: read by a declared example, each by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import SchemaError
from privsynth.records.coerce import conform_column, read_column
from privsynth.schema import Column, Schema
from privsynth.schema.number_format import NumberFormat

WRITTEN = [
    ("1,234.5", {"1,234.50": 1234.5, "12,000.00": 12000.0, "7": 7.0, "-1,000": -1e3, "1,00,000": 100000.0}),
    ("1.234,5", {"1.234,50": 1234.5, "12,5": 12.5, "1.000.000": 1e6, "12.5": 12.5, ",5": 0.5}),
    ("1234,5", {"12,50": 12.5, "-7,25": -7.25, "3": 3.0}),
    ("$1,234.50", {"$12.50": 12.5, "-$7": -7.0, "$-7": -7.0, "($1,000.25)": -1000.25, "3": 3.0, "$ 4": 4.0}),
    ("1 234,50 €", {"1 234,50 €": 1234.5, "1\u00a0234,5\u00a0€": 1234.5, "1\u202f234": 1234.0}),
    ("CHF 1'234.50", {"CHF 1'234.50": 1234.5, "CHF 1’000": 1000.0}),
    ("1234.5%", {"5%": 5.0, "12.5 %": 12.5, "\u22123%": -3.0, "1e-3%": 0.001}),
    ("1234.5", {"1234.5": 1234.5, "100-": -100.0}),
]  # fmt: skip
NO_NUMBERS = ["", "?", "-", "$", "1,2,3", "12,3456", "1,234.5.6", "--1", "(-1)", "five", "1 2"]


@pytest.mark.parametrize(("example", "values"), WRITTEN, ids=[example for example, _ in WRITTEN])
def test_numbers_are_read_as_the_example_writes_them(example: str, values: dict[str, float]) -> None:
    column = Column(name="x", type="real", format=example)
    read, broken = conform_column(pd.Series(list(values), dtype=object), column)
    assert broken == []
    np.testing.assert_array_equal(read, list(values.values()))


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_left_as_it_is(text: str) -> None:
    assert NumberFormat.parse("$1,234.50", "here").plain_text(text) == text


@given(st.floats(-1e9, 1e9).map(lambda number: round(number, 2)))
def test_whatever_a_format_writes_it_reads(number: float) -> None:
    english = f"{number:,.2f}"
    swapped = english.translate(str.maketrans(",.", ".,"))
    assert float(NumberFormat.parse("$1,234.50", "here").plain_text(f"${english}")) == number
    assert float(NumberFormat.parse("1.234,50 €", "here").plain_text(f"{swapped} €")) == number


def test_a_column_reads_each_value_by_itself() -> None:
    column = Column(name="x", type="integer", format="1,234", missing_values=("NA",), missing=True)
    texts = pd.Series(["1,000", "NA", "12", "", "1,5"], dtype=object)
    together, broken = read_column(texts, column)
    assert {rule.partition(" (")[0]: list(rows) for rule, rows in broken.items()} == {
        "a field is not a finite number": [False, False, False, False, True]
    }
    alone = [conform_column(texts[[i]], column)[0][0] for i in range(len(texts))]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, [1000, np.nan, 12, np.nan, np.nan])


def test_stored_numbers_need_no_format() -> None:
    column = Column(name="x", type="real", format="1.234,5")
    np.testing.assert_array_equal(conform_column(pd.Series([1.234, 5.0]), column)[0], [1.234, 5.0])


def test_a_format_is_said_by_an_example_and_kept() -> None:
    fields = {"type": "real", "low": 0, "high": 9, "format": "$1,234.50"}
    assert Schema({"x": fields}).to_dict()["columns"]["x"] == fields
    for wrong in ("%d", "9,999.5", "1,234,5", "", 5):
        with pytest.raises(SchemaError, match=r"'format' shows how the number 1234\.5 is written"):
            Column(name="x", type="real", format=wrong)  # type: ignore[arg-type]  # the point


def test_a_number_that_cannot_be_read_says_what_to_declare() -> None:
    _, (rule,) = conform_column(pd.Series(["12,50"]), Column(name="x", type="real"))
    assert "'missing_values'" in rule
    assert "'format'" in rule
