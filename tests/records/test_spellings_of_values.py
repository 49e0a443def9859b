"""One value in several spellings: what people and programs write for the same category."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import SchemaError
from privsynth.records.coerce import conform_column, person_codes
from privsynth.records.number_lines import BEYOND_RULE
from privsynth.schema import PRIVATE, Column, Schema


def read(raw: Any, **fields: Any) -> tuple[list[Any], list[str]]:
    raw = raw if isinstance(raw, pd.Series) else pd.Series(raw, dtype=object)
    values, broken = conform_column(raw, Column(name="x", **fields))
    return [None if pd.isna(value) else value for value in list(values)], broken


@pytest.mark.parametrize(
    ("raw", "categories", "meant"),
    [
        (["1.0", "2.00", "-0", "01", "1e0", " 2", "2"], (0, 1, 2), [1, 2, 0, 1, 1, 2, 2]),
        (["1.0", "1", "2.0"], ("1", "2"), ["1", "1", "2"]),
        (["1.0", "1"], ("1", "1.0"), ["1.0", "1"]),
        (["0.50", ".5", "5e-1"], (0.5, 1), [0.5] * 3),
        (["Orle\u0301ans", "Orl\u00e9ans"], ("Orl\u00e9ans",), ["Orl\u00e9ans"] * 2),
        (["Orle\u0301ans", "Orl\u00e9ans"], ("Orle\u0301ans",), ["Orle\u0301ans"] * 2),
        (pd.Series([0.1, 0.2], dtype="float32"), (0.1, 0.2), [0.1, 0.2]),
        (pd.Series([0.1, 0.2], dtype="Float32"), ("0.1", "0.2"), ["0.1", "0.2"]),
    ],
)
def test_a_category_is_known_however_it_is_written(raw: Any, categories: Any, meant: list[Any]) -> None:
    assert read(raw, type="categorical", categories=categories) == (meant, [])


@pytest.mark.parametrize(
    ("text", "categories"),
    [("01", ("1",)), ("1_0", (10,)), ("1.5", (1, 2)), ("9007199254740992", (2**53 + 1,))],
)
def test_what_may_mean_something_else_is_no_category(text: str, categories: Any) -> None:
    assert read([text], type="categorical", categories=categories, missing=True) == (
        [None],
        ["a value is not among its categories"],
    )


def test_accents_make_no_second_category_and_no_second_person() -> None:
    both = pd.Series(["e\u0301", "\u00e9", "e"], dtype=object)
    assert read(both, type="categorical", categories=PRIVATE) == (["\u00e9", "\u00e9", "e"], [])
    assert person_codes(both).tolist() == [0, 0, 1]


@pytest.mark.parametrize("pair", ["false TRUE", "False true", "0 1", "0.0 1.0"])
def test_truth_values_are_known_by_word_and_number(pair: str) -> None:
    assert read(pair.split(), type="boolean") == ([False, True], [])
    assert read(pair.split(), type="boolean", values=(0, 1)) == ([0, 1], [])


def test_declared_values_that_say_otherwise_are_taken_at_their_word() -> None:
    assert read(["yes", "no"], type="boolean", values=("yes", "no")) == (["yes", "no"], [])
    values, broken = read(["Y"], type="boolean", missing=True)
    assert values == [None]
    assert broken == [
        "a value is neither of its two values, false and true; 'values' names others, false first"
    ]


def test_single_precision_lies_within_decimal_bounds() -> None:
    stored = pd.Series([0.1, 0.25, 0.3], dtype="float32")
    assert read(stored, type="real", low=0.1, high=0.3) == ([0.1, 0.25, 0.3], [])


@pytest.mark.parametrize(
    "raw",
    [
        ["900000000000000001", "7"],
        [900000000000000001, 7],
        pd.Series([900000000000000001, 7]),
        pd.Series([900000000000000001, None, 7], dtype="Int64").dropna(),
        [Decimal(900000000000000001), 7.0],
    ],
    ids=lambda raw: str(getattr(raw, "dtype", type(raw[0]))),
)
def test_whole_numbers_that_no_float_keeps_break_an_integer_column(raw: Any) -> None:
    assert read(raw, type="integer", low=PRIVATE, high=PRIVATE) == ([None, 7], [BEYOND_RULE])
    clipped, broken = read(raw, type="integer", low=0, high=99)
    assert clipped == [99, 7]  # a public bound says where it belongs
    assert broken == ["a value is outside the public bounds (low=0, high=99)"]
    assert read(raw, type="real", low=PRIVATE, high=PRIVATE) == ([9e17, 7], [])
    assert read(raw, type="categorical", categories=PRIVATE)[0][0] == "900000000000000001"


def test_a_schema_takes_facts_as_numpy_and_pandas_give_them() -> None:
    seen = pd.Series(["b", "a", "b"])
    declared = {
        "i": {"type": "integer", "low": np.int64(0), "high": np.float64(9), "missing": np.bool_(True)},
        "r": {"type": "real", "low": Decimal("0.5"), "high": np.float32(0.7), "decimals": np.int8(1)},
        "d": {"type": "datetime", "low": dt.date(2020, 1, 1), "high": pd.Timestamp("2020-12-31")},
        "n": {"type": "datetime", "low": np.datetime64("2020-01-01"), "high": dt.datetime(2020, 12, 31, 5)},
        "u": {"type": "categorical", "categories": seen.unique()},
        "c": {"type": "categorical", "categories": seen.astype("category").cat.categories},
        "k": {"type": "categorical", "categories": pd.Categorical(["b", "a"])},
        "s": {"type": "categorical", "categories": {"b", "a"}},
        "g": {"type": "categorical", "categories": range(3), "missing_values": np.array([-9])},
        "b": {"type": "boolean", "values": np.array([0, 1])},
        "t": {"type": "categorical", "categories": pd.interval_range(0, 2)},
    }
    schema = Schema(declared)
    facts = schema.to_dict()["columns"]
    assert facts["i"] == {"type": "integer", "low": 0, "high": 9.0, "missing": True}
    assert facts["r"] == {"type": "real", "low": 0.5, "high": 0.7, "decimals": 1}
    assert (facts["d"]["low"], facts["d"]["high"]) == ("2020-01-01", "2020-12-31T00:00:00")
    assert (facts["n"]["low"], facts["n"]["high"]) == ("2020-01-01", "2020-12-31T05:00:00")
    assert facts["u"]["categories"] == facts["k"]["categories"] == ["b", "a"]
    assert facts["c"]["categories"] == facts["s"]["categories"] == ["a", "b"]
    assert facts["g"]["categories"] == [0, 1, 2]
    assert facts["g"]["missing_values"] == ["-9"]
    assert facts["b"]["values"] == [0, 1]
    assert facts["t"]["categories"] == ["(0, 1]", "(1, 2]"]
    assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "integer", "low": 0, "high": 9},
        {"type": "real"},
        {"type": "categorical", "categories": ["a"]},
        {"type": "boolean"},
        {"type": "datetime"},
        {"type": "id"},
        {"type": "text"},
        {"type": None},
    ],
    ids=lambda fields: str(fields["type"]),
)
def test_a_column_of_any_type_is_left_out(fields: dict[str, Any]) -> None:
    schema = Schema({"x": {**fields, "drop": True}, "y": {"type": "boolean"}})
    schema.require_complete()
    assert [column.name for column in schema.modelled] == ["y"]
    assert [column.name for column in schema.output_columns] == ["y"]
    assert schema.public_facts()[0].endswith("dropped")
    assert Schema.from_dict(schema.to_dict()) == schema


def test_a_target_or_group_is_not_dropped() -> None:
    with pytest.raises(SchemaError, match="a group is modelled, so it cannot be dropped"):
        Schema({"x": {"type": "boolean", "role": "group", "drop": True}})
