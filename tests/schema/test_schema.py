"""The schema: what JSON says is what is read, and every mistake in it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import SchemaError
from privsynth.schema import PRIVATE, Column, Schema, category_text, datetime_to_step

# -- strategies: any schema that is well formed ----------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(str.strip)
MISSING = st.sampled_from([None, True, False, PRIVATE])
CATEGORY = st.one_of(
    WORDS, st.integers(-99, 99), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)


def maybe(draw: st.DrawFn, fields: dict[str, Any], name: str, values: st.SearchStrategy[Any]) -> None:
    """Set a field, or leave it out."""
    value = draw(st.none() | values)
    if value is not None:
        fields[name] = value


def one_meaning(values: list[Any]) -> bool:
    """Whether no number stands beside a boolean: 1 and true would be one value."""
    kinds = {type(value) for value in values}
    return bool not in kinds or not kinds & {int, float}


@st.composite
def discrete_fields(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        values = st.lists(CATEGORY, min_size=2, max_size=2, unique_by=category_text).filter(one_meaning)
        fields: dict[str, Any] = {"type": "boolean"}
        maybe(draw, fields, "values", values)
        return fields
    categories = st.lists(CATEGORY, min_size=1, max_size=5, unique_by=category_text).filter(one_meaning)
    return {"type": "categorical", "categories": draw(st.none() | st.just(PRIVATE) | categories)}


@st.composite
def numeric_fields(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["integer", "real", "datetime"]))
    fields: dict[str, Any] = {"type": kind}
    if kind == "integer":
        pair = st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=2)
    elif kind == "real":
        pair = st.lists(st.floats(-1e288, 1e288), min_size=2, max_size=2)  # with 12 decimals within 1e300
        maybe(draw, fields, "decimals", st.integers(0, 12))
    else:
        pair = st.lists(st.datetimes().map(lambda moment: moment.isoformat()), min_size=2, max_size=2)
        maybe(draw, fields, "resolution", st.sampled_from(["day", "hour", "minute", "second"]))
    low, high = sorted(draw(pair))
    if "decimals" in fields:  # between bounds off the grid there may be no number
        low, high = float(round(low)), float(round(high))
    fields["low"] = draw(st.sampled_from([low, PRIVATE, None]))
    fields["high"] = draw(st.sampled_from([high, PRIVATE, None]))
    return fields


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        fields = draw(discrete_fields() | numeric_fields())
        maybe(draw, fields, "missing", MISSING)
        if fields.get("role") is None and draw(st.booleans()):
            fields["role"] = "group"
        columns[name] = fields
    extras = [
        {"type": "id"},
        {"type": "id", "role": "key"},
        {"type": "text", "drop": True},
        {"type": "text", "generator": "name"},
        {"type": None},
    ]
    for i, fields in enumerate(draw(st.lists(st.sampled_from(extras), max_size=3))):
        columns[f"extra column {i}"] = fields
    out: dict[str, Any] = {"version": 1, "columns": columns}
    if draw(st.booleans()):
        columns["whose row this is"] = {"type": "id", "role": "person_id"}
        out["max_records_per_person"] = draw(st.integers(1, 2**16))
    if draw(st.booleans()):
        out["types_from_records"] = True
    return out


@settings(max_examples=150, deadline=None)
@given(schemas())
def test_a_schema_survives_json(fields: dict[str, Any]) -> None:
    schema = Schema.from_dict(fields)
    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert again.columns == schema.columns  # every attribute of every column, not only what is written
    assert list(again.columns) == list(fields["columns"])
    assert (again.max_records_per_person, again.types_from_records) == (
        fields.get("max_records_per_person"),
        fields.get("types_from_records", False),
    )
    assert again == schema
    for name, given_fields in fields["columns"].items():
        written = schema.to_dict()["columns"][name]
        said = {key: value for key, value in given_fields.items() if value is not None and value is not False}
        assert {key: value for key, value in written.items() if value is not None} == said


def test_a_schema_survives_a_file(tmp_path: Path) -> None:
    schema = Schema(
        {
            "Größe": {
                "type": "real",
                "low": 0,
                "high": 2.5,
                "decimals": 2,
                "missing": True,
                "missing_values": ["?"],
            },
            "seen": {"type": "datetime", "low": "2020-01-01", "high": "2024-12-31", "resolution": "hour"},
            "ok": {"type": "boolean", "values": ["no", "yes"], "role": "target"},
        }
    )
    schema.save(tmp_path / "s.json")
    assert Schema.load(tmp_path / "s.json") == schema
    assert "Größe" in (tmp_path / "s.json").read_text(encoding="utf-8")
    assert Schema.load(tmp_path / "s.json").columns["Größe"].missing_values == ("?",)


def test_version_may_be_left_out() -> None:
    assert Schema.from_dict({"columns": {"x": {"type": "boolean"}}}).columns["x"].type == "boolean"


# -- meanings --------------------------------------------------------------------------------------------


def test_roles_and_units() -> None:
    schema = Schema(
        {
            "who": {"type": "id", "role": "person_id"},
            "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
            "race": {"type": "categorical", "categories": PRIVATE, "role": "group"},
            "ill": {"type": "boolean", "role": "target"},
            "row": {"type": "id", "role": "key"},
            "note": {"type": "text", "drop": True},
        },
        max_records_per_person=3,
    )
    assert (schema.person_id, schema.unit, schema.target, schema.groups) == (
        "who",
        "person",
        "ill",
        ["sex", "race"],
    )
    assert [column.name for column in schema.modelled] == ["sex", "race", "ill"]
    assert [column.name for column in schema.output_columns] == ["who", "sex", "race", "ill", "row"]
    assert schema.columns["race"].private_facts == ["categories"]
    assert Schema({"x": {"type": "boolean"}}).unit == "record"


@pytest.mark.parametrize(
    ("fields", "bounds"),
    [
        ({"type": "integer", "low": -3, "high": 5}, (-3, 5)),
        ({"type": "real", "low": PRIVATE, "high": 2.5}, (None, 2.5)),
        ({"type": "datetime", "low": "1970-01-02", "high": "1970-01-03T23:59:59"}, (1.0, 2.0)),
        (
            {"type": "datetime", "low": "1969-12-31", "high": "1970-01-01T02:00+02:00", "resolution": "hour"},
            (-24, 2),  # what the clock shows
        ),
    ],
)
def test_bounds_are_numbers_in_steps(
    fields: dict[str, Any], bounds: tuple[float | None, float | None]
) -> None:
    assert Column.from_dict("x", fields).bounds == bounds


def test_steps_before_1970_round_down() -> None:
    assert datetime_to_step("1969-12-31T23:59:59", 60, "x") == -1.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        ("3", "3"),
        (True, "true"),
        (" a ", "a"),
        (2.5, "2.5"),
        (-0.0, "0"),
        (2.0**60, "1.152921504606847e+18"),
    ],
)
def test_category_text(value: object, text: str) -> None:
    assert category_text(value) == text


def test_public_facts_say_what_is_declared() -> None:
    schema = Schema(
        {
            "age": {"type": "integer", "low": 0, "high": PRIVATE},
            "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group", "missing": PRIVATE},
            "who": {"type": "id"},
            "cost": {
                "type": "real",
                "low": 0,
                "high": 9,
                "decimals": 0,
                "missing": True,
                "missing_values": ["NA"],
            },
            "seen": {"type": "datetime", "low": "2020-01-01", "high": "2021-01-01", "resolution": "day"},
        }
    )
    assert schema.public_facts() == [
        "age: type integer, low 0, never missing",
        "sex: type categorical, role group, 2 categories",
        "who: type id",
        "cost: type real, low 0, high 9, may be missing, decimals 0, missing values 'NA'",
        "seen: type datetime, low 2020-01-01, high 2021-01-01, never missing, resolution day",
    ]


# -- every mistake is named ------------------------------------------------------------------------------

COLUMN_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"type": "number"}, "expected a type among integer, .* got 'number'"),
    "role": ({"type": "integer", "role": "label"}, "expected a role among target, .* got 'label'"),
    "missing": ({"type": "integer", "missing": "yes"}, "'missing' is true, false or \"private\", got 'yes'"),
    "id as target": ({"type": "id", "role": "target"}, "a id column cannot be a target"),
    "text as group": ({"type": "text", "role": "group"}, "a text column cannot be a group"),
    "real as person": ({"type": "real", "role": "person_id"}, "a person_id has type 'id', got 'real'"),
    "no categories": (
        {"type": "categorical", "categories": []},
        "'categories' is a list of at least one value",
    ),
    "categories as text": (
        {"type": "categorical", "categories": "F,M"},
        "'categories' is a list of at least",
    ),
    "category twice": ({"type": "categorical", "categories": [3, "3"]}, "the same category is listed twice"),
    "empty category": (
        {"type": "categorical", "categories": ["a", " "]},
        "leave it out and set 'missing' to true",
    ),
    "category is missing": (
        {"type": "categorical", "categories": ["a", "?"], "missing_values": ["?"]},
        r"'\?' is both a category and a missing value",
    ),
    "resolution": (
        {"type": "datetime", "resolution": "week"},
        "expected a resolution among day, .* got 'week'",
    ),
    "decimals": ({"type": "real", "decimals": 13}, "'decimals' is a whole number from 0 to 12, got 13"),
    "decimals true": (
        {"type": "real", "decimals": True},
        "'decimals' is a whole number from 0 to 12, got True",
    ),
    "far": ({"type": "real", "decimals": 2, "low": 0, "high": 1.7e308}, "bounds within 1e"),
    "order": ({"type": "integer", "low": 9, "high": 1}, "expected low <= high, got low=9, high=1"),
    "order of dates": (
        {"type": "datetime", "low": "2021-01-01", "high": "2020-01-01"},
        "expected low <= high, got low='2021-01-01'",
    ),
    "date bound as number": ({"type": "datetime", "low": 2020}, "'low' is an ISO-8601 text, got 2020"),
    "date bound": (
        {"type": "datetime", "high": "31.12.2020"},
        "'high' is not an ISO-8601 date or time: '31.12.2020'",
    ),
    "bound as text": ({"type": "integer", "low": "17"}, "'low' is a finite number or \"private\", got '17'"),
    "infinite bound": (
        {"type": "real", "high": float("inf")},
        "'high' is a finite number or \"private\", got inf",
    ),
    "bound true": ({"type": "real", "high": True}, "'high' is a finite number or \"private\", got True"),
    "broken integer bound": ({"type": "integer", "low": 1.5}, r"whole number up to 2\^53, got 1.5"),
    "large integer bound": ({"type": "integer", "high": 2**53 + 2}, r"whole number up to 2\^53, got 9007"),
    "one value": ({"type": "boolean", "values": ["yes"]}, "lists its two values, false first"),
    "number beside boolean": (
        {"type": "categorical", "categories": [2, True]},
        "'categories' lists texts, finite numbers or booleans",
    ),
    "no scalar": ({"type": "categorical", "categories": [[1]]}, "'categories' lists texts, finite numbers"),
    "null category": ({"type": "categorical", "categories": [None]}, "'categories' lists texts, finite"),
    "null value": ({"type": "boolean", "values": [None, 1]}, "'values' lists texts, finite numbers"),
    "missing as number": ({"type": "boolean", "missing": 1}, "'missing' is true, false or"),
    "drop as text": ({"type": "text", "drop": "no"}, "'drop' is true or false"),
    "type as list": ({"type": ["integer"]}, "expected a type among"),
    "same values": ({"type": "boolean", "values": [1, "1"]}, "lists its two values, false first"),
    "unknown key": ({"type": "integer", "min": 3}, "unknown key 'min'; known are categories, "),
    "key of another type": ({"type": "integer", "categories": [1]}, "a integer column has no 'categories'"),
    "values as text": ({"type": "boolean", "values": "no,yes"}, "'values' is a list, got 'no,yes'"),
}


@pytest.mark.parametrize(("fields", "message"), COLUMN_MISTAKES.values(), ids=COLUMN_MISTAKES.keys())
def test_a_mistake_in_a_column_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=f"column 'x': {message}|column 'x': .*{message}"):
        Schema({"x": fields})


def test_a_column_that_is_no_object() -> None:
    with pytest.raises(SchemaError, match="column 'x': expected an object with a 'type', got 'integer'"):
        Schema({"x": "integer"})


BOOLEAN = {"type": "boolean"}
PERSON = {"type": "id", "role": "person_id"}
SCHEMA_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no columns": ({"columns": {}}, "expected 'columns' to map at least one column name"),
    "nothing": ({}, "expected an object with 'columns'; `privsynth schema TABLE -o S` drafts one"),
    "image without a size": (
        {"image": {}, "columns": {"x": BOOLEAN}},
        "expected 'image' to have the keys height, width, channels, got {}",
    ),
    "image with an unknown key": (
        {"image": {"height": 8, "width": 8, "depth": 8}, "columns": {"x": BOOLEAN}},
        "expected 'image' to have the keys height, width, channels, got",
    ),
    "image without pixels": (
        {"image": {"height": 0, "width": 8}, "columns": {"x": BOOLEAN}},
        "expected an image height of 1 to 256 pixels, got 0",
    ),
    "image of two channels": (
        {"image": {"height": 8, "width": 8, "channels": 2}, "columns": {"x": BOOLEAN}},
        r"expected 1 image channel \(grey\) or 3 \(colour\), got 2",
    ),
    "unknown key": (
        {"columns": {"x": BOOLEAN}, "rows": 5},
        "unknown key 'rows' in the schema; known are columns, ",
    ),
    "version": ({"columns": {"x": BOOLEAN}, "version": 2}, "expected schema version 1, got 2"),
    "two targets": (
        {"columns": {"x": {**BOOLEAN, "role": "target"}, "y": {**BOOLEAN, "role": "target"}}},
        "expected at most one target column, got 'x', 'y'",
    ),
    "no cap": (
        {"columns": {"p": PERSON, "x": BOOLEAN}},
        "column 'p' names persons, so 'max_records_per_person' is",
    ),
    "cap of nobody": (
        {"columns": {"x": BOOLEAN}, "max_records_per_person": 2},
        "needs a column with role 'person_id'",
    ),
    "cap 0": (
        {"columns": {"p": PERSON, "x": BOOLEAN}, "max_records_per_person": 0},
        "expected 1 <= max_records_per_person <= 65536, got 0",
    ),
    "cap true": (
        {"columns": {"p": PERSON, "x": BOOLEAN}, "max_records_per_person": True},
        "expected 1 <= max_records_per_person <= 65536, got True",
    ),
}


@pytest.mark.parametrize(("fields", "message"), SCHEMA_MISTAKES.values(), ids=SCHEMA_MISTAKES.keys())
def test_a_mistake_in_the_schema_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.from_dict(fields)


INCOMPLETE: dict[str, tuple[dict[str, Any], str]] = {
    "no type": ({"type": None}, "column 'x' has no type; set 'type' to one of integer, .*--infer"),
    "no bounds": (
        {"type": "integer"},
        "column 'x' has no bounds; give 'low' and 'high' .*\"private\" to find them",
    ),
    "no high": ({"type": "real", "low": 0}, "column 'x' has no bounds; give 'high' in the schema if public"),
    "no categories": (
        {"type": "categorical"},
        "column 'x' has no categories; give 'categories' .*\"private\"",
    ),
    "free text": (
        {"type": "text"},
        "column 'x' is free text, which is never learnt from records; name a 'generator'",
    ),
    "nothing to model": ({"type": "id"}, "no column is left to model: all are ids, keys or text"),
}


@pytest.mark.parametrize(("fields", "message"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_what_a_schema_lacks_is_named(fields: dict[str, Any], message: str) -> None:
    schema = Schema({"x": fields})
    with pytest.raises(SchemaError, match=message):
        schema.require_complete()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"there is no schema file '.*nowhere\.json'"):
        Schema.load(tmp_path / "nowhere.json")
    with pytest.raises(SchemaError, match="cannot be read"):
        Schema.load(tmp_path)


def test_the_shape_of_images_is_read_written_and_public(tmp_path: Path) -> None:
    fields = {
        "image": {"height": 8, "width": 9},
        "columns": {"digit": {"type": "categorical", "categories": [0]}},
    }
    schema = Schema.from_dict(fields)
    assert schema.image is not None
    assert schema.image.axes == (8, 9, 1)
    schema.save(tmp_path / "s.json")
    assert Schema.load(tmp_path / "s.json") == schema
    assert schema.public_facts()[0] == "the images: each of 8 x 9 pixels, grey"
    assert Schema(fields["columns"]).image is None
