"""SDV's metadata: types and keys are taken over, everything about values is private."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import PRIVATE, Schema
from privsynth.schema.code_books import OF_ALL, schema_from_code_book
from privsynth.schema.sdv import fields_from_sdv, is_sdv_metadata

GUESTS = {
    "primary_key": "guest_email",
    "alternate_keys": ["credit_card_number"],
    "columns": {
        "guest_email": {"sdtype": "email", "pii": True},
        "has_rewards": {"sdtype": "boolean"},
        "room_type": {"sdtype": "categorical"},
        "amenities_fee": {"sdtype": "numerical", "computer_representation": "Float"},
        "nights": {"sdtype": "numerical", "computer_representation": "UInt8"},
        "rate": {"sdtype": "numerical"},
        "checkin": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
        "paid_at": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d %I:%M %p"},
        "undated": {"sdtype": "datetime"},
        "billing_address": {"sdtype": "address", "pii": True},
        "booking": {"sdtype": "id", "regex_format": "B_[0-9]{3}"},
        "odd": {"sdtype": "unknown"},
    },
}
BETWEEN = {"low": PRIVATE, "high": PRIVATE, "missing": PRIVATE}
EXPECTED: dict[str, dict[str, Any]] = {
    "guest_email": {"type": "id", "role": "key"},
    "has_rewards": {"type": "boolean", "missing": PRIVATE},
    "room_type": {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE},
    "amenities_fee": {"type": "real", **BETWEEN},
    "nights": {"type": "integer", **BETWEEN},
    "rate": {"type": "real", **BETWEEN},
    "checkin": {"type": "datetime", "resolution": "day", "format": "%Y-%m-%d", **BETWEEN},
    "paid_at": {"type": "datetime", "resolution": "second", "format": "%Y-%m-%d %I:%M %p", **BETWEEN},
    "undated": {"type": "datetime", "resolution": "day", **BETWEEN},
    "billing_address": {"type": "text", "drop": True},
    "booking": {"type": "id"},
    "odd": {"type": "text", "drop": True},
}


@pytest.mark.parametrize(
    "metadata",
    [
        {"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", **GUESTS},
        {"METADATA_SPEC_VERSION": "V1", "tables": {"guests": GUESTS}, "relationships": []},
        GUESTS,
    ],
    ids=["single table", "one of a multi-table", "without version"],
)
def test_types_and_keys_are_taken_over(metadata: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    schema = Schema.load(path)
    assert schema.to_dict()["columns"] == EXPECTED
    schema.require_complete()
    assert schema.unit == "record"


def test_our_own_schema_is_not_taken_for_sdv() -> None:
    assert not is_sdv_metadata({"version": 1, "columns": {"x": {"type": "boolean"}}})
    assert not is_sdv_metadata({"columns": ["x"]})
    assert not is_sdv_metadata([])


def test_several_keys() -> None:
    fields = {"primary_key": ["a", "b"], "columns": {name: {"sdtype": "id"} for name in "abc"}}
    schema = Schema.from_dict(fields_from_sdv(fields))
    assert [column.role for column in schema.columns.values()] == ["key", "key", None]


VISITS = {
    "METADATA_SPEC_VERSION": "SINGLE_TABLE_V1",
    "sequence_key": "patient",
    "sequence_index": "day",
    "columns": {
        "patient": {"sdtype": "id", "regex_format": "P[0-9]{5}"},
        "day": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
        "sex": {"sdtype": "categorical"},
        "cost": {"sdtype": "numerical"},
    },
}


def test_sequences_are_taken_over_once_it_is_said_how_many_rows_of_a_person_are_used() -> None:
    schema = Schema.from_dict(fields_from_sdv(VISITS, max_records_per_person=6))
    assert (schema.person_id, schema.order, schema.max_records_per_person) == ("patient", "day", 6)
    assert schema.to_dict()["columns"]["day"] == {
        "type": "datetime",
        "role": "order",
        "low": PRIVATE,
        "high": PRIVATE,
        "resolution": "day",
        "format": "%Y-%m-%d",
    }
    schema.require_complete()
    without = {name: fact for name, fact in VISITS.items() if name != "sequence_index"}
    assert Schema.from_dict(fields_from_sdv(without, max_records_per_person=6)).order is None


def test_a_multi_table_file_of_one_sequence_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    table = {name: fact for name, fact in VISITS.items() if name != "METADATA_SPEC_VERSION"}
    path.write_text(json.dumps({"METADATA_SPEC_VERSION": "V1", "tables": {"visits": table}}))
    with pytest.raises(SchemaError, match="--max-records N"):
        Schema.load(path)
    book = schema_from_code_book(path, max_records_per_person=6)
    assert book.schema == Schema.from_dict(fields_from_sdv(VISITS, max_records_per_person=6))
    assert book.notes[OF_ALL] == [
        "persons are named by 'patient'; which columns a person's rows share it cannot say: give them "
        '"per": "person"'
    ]
    assert "'regex_format' is not taken over" in book.notes["patient"]


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "two tables": ({"tables": {"a": GUESTS, "b": GUESTS}}, "expected SDV metadata of one table"),
    "no table": ({"tables": {}}, "expected SDV metadata of one table"),
    "tables as list": ({"tables": [GUESTS]}, "expected SDV metadata of one table"),
    "table as text": ({"tables": {"a": "guests"}}, "the SDV metadata lists no columns"),
    "no columns": ({"METADATA_SPEC_VERSION": "V1"}, "the SDV metadata lists no columns"),
    "column as text": (
        {"columns": {"x": "numerical"}},
        "column 'x': expected an object with an 'sdtype', got 'num",
    ),
    "no sdtype": ({"columns": {"x": {"pii": True}}}, "column 'x': expected an object with an 'sdtype'"),
    "sequences": (
        {"sequence_key": "p", "columns": {"p": {"sdtype": "id"}, "x": {"sdtype": "boolean"}}},
        "the sequence_key 'p', so rows belong together, and cannot say.*--from METADATA.*--max-records N",
    ),
    "a key of none": (
        {"sequence_key": "who", "columns": {"x": {"sdtype": "boolean"}}},
        "names 'who' as sequence_key, which is none of its columns",
    ),
    "an index of none": (
        {"sequence_key": "x", "sequence_index": "day", "columns": {"x": {"sdtype": "id"}}},
        "names 'day' as sequence_index, which is none of its columns",
    ),
}


@pytest.mark.parametrize(("fields", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_cannot_be_taken_over_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        fields_from_sdv(fields)
