"""What breaks a schema, shown to the owner: by the rules of a fit, with counts and examples."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import privsynth
from privsynth.errors import SchemaError, TableError
from privsynth.records.checking import NOT_COVERED, check
from privsynth.records.conform import conform
from privsynth.schema import Schema

SCHEMA = Schema(
    {
        "who": {"type": "id", "role": "person_id"},
        "age": {"type": "integer", "low": 0, "high": 120, "missing_values": ["?"]},
        "sex": {"type": "categorical", "categories": ["F", "M"]},
        "seen": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "missing": True},
        "note": {"type": "text", "drop": True},
    },
    max_records_per_person=3,
)
CLEAN = pd.DataFrame({"who": list("aab"), "age": ["1", "2", "3"], "sex": ["F", "M", "F"], "seen": ""})


def test_a_clean_table_is_said_to_be_clean() -> None:
    result = check(CLEAN, SCHEMA)
    assert result.is_clean
    assert result.broken == {}
    assert str(result).splitlines() == [NOT_COVERED, "nothing breaks the schema"]
    conform(CLEAN, SCHEMA)
    assert privsynth.check is check


def test_each_broken_rule_comes_with_its_count_and_examples() -> None:
    table = pd.DataFrame(
        {
            "who": list("abcdef"),
            "age": ["12", "twelve", "200", "?", "1.5", "twelve"],
            "sex": ["F", "female", "M", "F", "", "female"],
            "seen": ["2020-05-01", "", "31.12.2020", "", "", "2021-01-01"],
            "extra": 1,
        }
    )
    result = check(table, SCHEMA)
    found = {
        (name, rule.rule.partition(" (")[0]): (rule.n_fields, rule.first_row, rule.examples)
        for name, rules in result.broken.items()
        for rule in rules
    }
    assert found[("age", "a field is not a finite number")] == (2, 2, ("twelve",))
    assert found[("age", "a value is not a whole number")] == (1, 5, ("1.5",))
    assert found[("age", "a value is outside the public bounds")] == (1, 3, ("200",))
    assert found[("age", "a field is missing, but 'missing' is not true")] == (1, 4, ("?",))
    assert found[("sex", "a value is not among its categories")] == (2, 2, ("female",))
    assert found[("sex", "a field is missing, but 'missing' is not true")] == (1, 5, ("",))
    assert found[("seen", "a value is outside the public bounds")] == (1, 6, ("2021-01-01",))
    assert result.ignored == ("extra",)
    assert str(result).startswith(NOT_COVERED)
    assert "'age': a value is not a whole number: 1 of 6 fields, first in row 5: '1.5'" in str(result)


@pytest.mark.parametrize("stored", ["frame", "csv", "parquet"])
def test_the_rules_are_those_of_a_fit(stored: str, tmp_path: Path) -> None:
    table = CLEAN.assign(age=["1", "x", "999"], sex=["F", "", "D"], seen=["", "2020-13-01", "2019-01-01"])
    source: pd.DataFrame | Path = table
    if stored != "frame":
        source = tmp_path / f"t.{stored}"
        table.to_csv(source, index=False) if stored == "csv" else table.to_parquet(source)
    with pytest.raises(SchemaError) as refused:
        conform(table, SCHEMA)
    result = check(source, SCHEMA)
    assert not result.is_clean
    for name, rules in result.broken.items():
        for rule in rules:
            assert f"column {name!r}: {rule.rule}" in str(refused.value)
    assert sum(map(len, result.broken.values())) == str(refused.value).count("column '")
    assert "`privsynth check TABLE --schema S`" in str(refused.value)


def test_a_draft_and_a_table_that_lacks_columns_can_be_checked() -> None:
    draft = Schema({"age": {"type": "integer"}, "sex": {"type": None}, "seen": {"type": "boolean"}})
    result = check(CLEAN[["age", "sex"]].assign(age=["1", "x", "2"]), draft)
    assert result.undeclared == {"age": ("low", "high"), "sex": ("type",)}
    assert result.lacking == ("seen",)
    assert [rule.examples for rule in result.broken["age"]] == [("x",)]
    assert not check(CLEAN.iloc[:0], SCHEMA).is_clean


def test_long_values_and_many_of_them_are_cut() -> None:
    table = pd.DataFrame({"x": [f"word {i} " * 40 for i in range(30)]})
    (rule,) = check(table, Schema({"x": {"type": "real", "low": 0, "high": 1}})).broken["x"]
    assert rule.n_fields == 30
    assert len(rule.examples) == 5
    assert max(map(len, rule.examples)) <= 60


def test_the_result_is_json() -> None:
    fields = json.loads(json.dumps(check(CLEAN.assign(sex="D"), SCHEMA).to_dict()))
    assert fields["clean"] is False
    assert fields["broken"]["sex"][0]["examples"] == ["D"]
    assert fields["not_covered"] == NOT_COVERED


def test_what_cannot_be_checked_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no file"):
        check(tmp_path / "nowhere.csv", SCHEMA)
    images = Schema({"y": {"type": "boolean"}}, image={"height": 2, "width": 2, "channels": 1})
    with pytest.raises(SchemaError, match="describes images"):
        check(CLEAN, images)
