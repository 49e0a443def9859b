"""Code books become schemas without a record being read; what they say besides is noted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import PRIVATE, Schema
from privsynth.schema.code_books import OF_ALL, CodeBook, schema_from_code_book
from privsynth.schema.files import read_fields

DAY_FIRST = {"format": "%d/%m/%Y"}
OPEN = {"low": PRIVATE, "high": PRIVATE, "missing": PRIVATE}


def book(tmp_path: Path, name: str, content: Any) -> CodeBook:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return schema_from_code_book(path)


def columns(made: CodeBook) -> dict[str, dict[str, Any]]:
    assert Schema.from_dict(json.loads(json.dumps(made.schema.to_dict()))) == made.schema
    assert not made.schema.types_from_records
    return made.schema.to_dict()["columns"]


# -- Frictionless ------------------------------------------------------------------------------------------

TABLE_SCHEMA = {
    "fields": [
        {"name": "id", "type": "integer"},
        {"name": "age", "type": "integer", "constraints": {"minimum": 0, "maximum": 120, "required": True}},
        {"name": "cost", "type": "number", "groupChar": ",", "constraints": {"minimum": 0}},
        {"name": "sex", "type": "string", "constraints": {"enum": ["F", "M"], "required": True}},
        {"name": "grade", "type": "integer", "constraints": {"enum": [1, 2, 3]}},
        {"name": "town", "type": "string", "constraints": {"pattern": "[A-Z].*", "maxLength": 40}},
        {"name": "born", "type": "date", "format": "%d/%m/%Y", "constraints": {"minimum": "1900-01-01"}},
        {"name": "seen", "type": "datetime"},
        {"name": "ill", "type": "boolean", "trueValues": ["Y"], "falseValues": ["N"]},
        {"name": "year", "type": "year"},
        {"name": "where", "type": "geopoint"},
        {"name": "mail", "type": "string", "format": "email"},
        {"name": "token", "type": "string", "constraints": {"unique": True}},
    ],
    "missingValues": ["", "NA"],
    "primaryKey": "id",
    "foreignKeys": [{"fields": "town", "reference": {"resource": "towns", "fields": "name"}}],
}


def test_a_frictionless_table_schema(tmp_path: Path) -> None:
    made = book(tmp_path, "s.json", TABLE_SCHEMA)
    na = {"missing_values": ["NA"]}
    assert columns(made) == {
        "id": {"type": "id", "role": "key"},
        "age": {"type": "integer", "low": 0, "high": 120, **na},
        "cost": {"type": "real", **OPEN, "low": 0.0, "format": "1,234.5", **na},
        "sex": {"type": "categorical", "categories": ["F", "M"], **na},
        "grade": {"type": "categorical", "categories": [1, 2, 3], "missing": PRIVATE, **na},
        "town": {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE, **na},
        "born": {"type": "datetime", **OPEN, "low": "1900-01-01", "resolution": "day", **DAY_FIRST, **na},
        "seen": {"type": "datetime", **OPEN, "resolution": "second", **na},
        "ill": {"type": "boolean", "values": ["N", "Y"], "missing": PRIVATE, **na},
        "year": {"type": "integer", **OPEN, **na},
        "where": {"type": "text", "drop": True},
        "mail": {"type": "text", "drop": True},
        "token": {"type": "id"},
    }  # fmt: skip
    assert "'foreignKeys' is not taken over" in made.notes[OF_ALL]
    assert made.notes["town"] == ["'maxLength' is not taken over", "'pattern' is not taken over"]
    assert "left out" in made.notes["where"][0]
    package = {"resources": [{"name": "t", "schema": TABLE_SCHEMA}]}
    assert book(tmp_path, "datapackage.json", package).schema == made.schema
    with pytest.raises(SchemaError, match="Data Package of one resource"):
        book(tmp_path, "two.json", {"resources": [{}, {}]})


# -- pandera -----------------------------------------------------------------------------------------------

PANDERA = """
schema_type: dataframe
version: 0.29.0
columns:
  age:
    dtype: int64
    nullable: false
    checks:
    - value: 0
      options: {check_name: greater_than_or_equal_to, raise_warning: false}
    - value: 120
      options: {check_name: less_than}
    unique: false
  cost:
    dtype: float64
    nullable: true
    checks:
    - {min_value: 0.0, max_value: 500.5, options: {check_name: in_range}}
  answer:
    dtype: str
    nullable: false
    checks:
    - value: ["no", "yes"]
      options: {check_name: isin}
  town:
    dtype: object
    nullable: true
    checks:
    - value: "^[A-Z]"
      options: {check_name: str_matches}
  seen: {dtype: "datetime64[ns]", nullable: true, checks: null}
  ill: {dtype: bool, nullable: false, checks: null}
  stay: {dtype: "timedelta64[ns]", nullable: false, checks: null}
checks: null
index:
- {dtype: int64, nullable: false, checks: null, name: null}
unique: null
"""


def test_a_pandera_schema(tmp_path: Path) -> None:
    made = book(tmp_path, "s.yaml", PANDERA)
    assert columns(made) == {
        "age": {"type": "integer", "low": 0, "high": 119},
        "cost": {"type": "real", "low": 0.0, "high": 500.5, "missing": PRIVATE},
        "answer": {"type": "categorical", "categories": ["no", "yes"]},
        "town": {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE},
        "seen": {"type": "datetime", **OPEN, "resolution": "second"},
        "ill": {"type": "boolean"},
        "stay": {"type": "text", "drop": True},
    }
    assert made.notes["town"] == ["the check 'str_matches' is not taken over"]
    assert any("index" in note for note in made.notes[OF_ALL])


def test_checks_as_older_versions_of_pandera_write_them(tmp_path: Path) -> None:
    checks = {"greater_than_or_equal_to": 1, "less_than_or_equal_to": {"value": 5, "options": {}}}
    column = {"dtype": "int64", "nullable": False, "checks": checks}
    made = book(tmp_path, "s.json", {"schema_type": "dataframe", "columns": {"x": column}})
    assert columns(made) == {"x": {"type": "integer", "low": 1, "high": 5}}


# -- CSV ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_of_columns(tmp_path: Path, delimiter: str) -> None:
    lines = [
        "Variable,Type,Min,Max,Values,Missing,missing_values,decimals,role,Label",
        "who,id,,,,,,,key,number of the row",
        "age,int,0,120,,no,NA|?,,,age in years",
        "cost,numeric,0,,,yes,,2,,",
        "sex,factor,,,1=male|2=female,no,,,group,",
        "town,string,,,private,,,,,",
        "born,date,1900-01-01,2020-12-31,,private,,,,",
        "ill,bool,,,N|Y,no,,,target,",
        "note,text,,,,,,,,",
    ]
    made = book(tmp_path, "book.csv", "\n".join(lines).replace(",", delimiter) + "\n")
    assert columns(made) == {
        "who": {"type": "id", "role": "key"},
        "age": {"type": "integer", "low": 0, "high": 120, "missing_values": ["NA", "?"]},
        "cost": {"type": "real", "low": 0, "high": PRIVATE, "decimals": 2, "missing": True},
        "sex": {"type": "categorical", "role": "group", "categories": ["1", "2"]},
        "town": {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE},
        "born": {"type": "datetime", "low": "1900-01-01", "high": "2020-12-31", "missing": PRIVATE},
        "ill": {"type": "boolean", "role": "target", "values": ["N", "Y"]},
        "note": {"type": "text", "drop": True},
    }
    assert made.notes[OF_ALL] == ["the columns 'Label' of the code book are not taken over"]
    assert "left out" in made.notes["note"][0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a,b\n1,2\n", "has no columns 'column' and 'type'"),
        ("column,type\nx,integer\nx,real\n", "describes column 'x' twice"),
        ("column,type\nx,complex\n", "makes no schema: column 'x': expected a type among"),
        ("column,type,low\nx,integer,zero\n", "expected a bound to be a number, got 'zero'"),
    ],
)
def test_a_csv_that_is_no_code_book_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        book(tmp_path, "book.csv", lines)


# -- SDV, ours, others -------------------------------------------------------------------------------------


def test_sdv_metadata(tmp_path: Path) -> None:
    fields = {
        "METADATA_SPEC_VERSION": "V1",
        "tables": {
            "guests": {
                "primary_key": "guest_email",
                "alternate_keys": ["card"],
                "columns": {
                    "guest_email": {"sdtype": "email"},
                    "room": {"sdtype": "categorical", "order_by": "alphabetical"},
                    "rate": {"sdtype": "numerical", "computer_representation": "Int64"},
                    "card": {"sdtype": "credit_card_number", "pii": True},
                },
            }
        },
    }
    made = book(tmp_path, "md.json", fields)
    assert {name: column["type"] for name, column in columns(made).items()} == {
        "guest_email": "id",
        "room": "categorical",
        "rate": "integer",
        "card": "text",
    }
    assert made.notes[OF_ALL] == ["'alternate_keys' is not taken over"]
    assert made.notes["room"] == ["'order_by' is not taken over"]
    assert "credit_card_number" in made.notes["card"][0]


def test_what_only_yaml_takes_for_numbers_and_truths_stays_a_text(tmp_path: Path) -> None:
    values = "[001, 010, 08, no, 2020-01-01, 0x10, 1_000, 12, 1.5, 1e3, true, ~]"
    path = tmp_path / "s.yaml"
    path.write_text(f"true: {values}")
    texts = ["001", "010", "08", "no", "2020-01-01", "0x10", "1_000"]
    assert read_fields(path) == {"true": [*texts, 12, 1.5, 1000.0, True, None]}


def test_a_schema_in_yaml_means_the_same_as_in_json(tmp_path: Path) -> None:
    text = """
    version: 1
    columns:
      who: {type: id, role: person_id}
      born: {type: datetime, low: 1900-01-01, high: 2020-12-31}
      agrees: {type: categorical, categories: [no, yes, off]}
      ratio: {type: real, low: -0.5, high: 1e3, missing: true}
      code: {type: categorical, categories: [1, 2], missing: private}
    max_records_per_person: 3
    """
    (tmp_path / "s.yaml").write_text(text)
    schema = Schema.load(tmp_path / "s.yaml")
    assert schema.columns["agrees"].categories == ("no", "yes", "off")
    assert schema.columns["born"].low == "1900-01-01"
    assert (schema.columns["ratio"].low, schema.columns["ratio"].high) == (-0.5, 1000.0)
    schema.save(tmp_path / "s.json")
    assert Schema.load(tmp_path / "s.json") == schema
    assert schema_from_code_book(tmp_path / "s.yaml").schema == schema


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.yaml", "columns: [", "it is not YAML in UTF-8"),
        ("s.yaml", "columns: {a: {type: id}, a: {type: id}}", "the key 'a' stands twice"),
        ("s.yaml", "columns: !!timestamp 2020-01-01", "it is not YAML in UTF-8"),  # JSON has no such values
        ("s.yaml", "columns: !!set {a, b}", "it is not YAML in UTF-8"),
        ("s.yaml", "? [a, b]\n: 1", "it is not YAML in UTF-8"),
        ("s.yaml", "columns: !!python/object/apply:os.system ['true']", "it is not YAML in UTF-8"),
        ("s.json", "[1]", "is no code book that is known; known are SDV metadata"),
        ("s.json", '{"a": 1}', "is no code book that is known"),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        book(tmp_path, name, text)
    with pytest.raises(SchemaError, match="there is no"):
        schema_from_code_book(tmp_path / f"nowhere.{name}")
