"""The workload of a schema: read, written, and refused with a reason."""

from __future__ import annotations

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema

COLUMNS = {
    "id": {"type": "id"},
    "sex": {"type": "categorical", "categories": ["F", "M"]},
    "ill": {"type": "boolean"},
    "age": {"type": "integer", "low": 0, "high": 99},
}


def test_a_workload_is_read_said_to_be_public_and_written_again():
    schema = Schema(COLUMNS, workload=[["sex", "ill"], ("ill", "age", "sex")])
    assert schema.workload == (("sex", "ill"), ("ill", "age", "sex"))
    assert schema.public_facts()[-2:] == [
        "measured whatever is chosen: sex x ill",
        "measured whatever is chosen: ill x age x sex",
    ]
    again = Schema.from_dict(schema.to_dict())
    assert again == schema
    assert again.workload == schema.workload


def test_without_a_workload_the_json_of_a_schema_is_what_it_was():
    assert "workload" not in Schema(COLUMNS).to_dict()


def test_a_smaller_schema_keeps_the_tables_of_its_own_columns():
    schema = Schema(COLUMNS, workload=[["sex", "ill"], ["sex", "age"]])
    smaller = schema.over([schema.columns["sex"], schema.columns["ill"]])
    assert smaller.workload == (("sex", "ill"),)


@pytest.mark.parametrize(
    ("workload", "text"),
    [
        ("sex", "list of lists"),
        ([["sex"]], "2 to 4 different columns a table, got 'sex'"),
        ([["sex", "sex"]], "2 to 4 different columns"),
        (["sex"], "expected a list of column names, got 'sex'"),
        ([["sex", 3]], "expected a list of column names"),
        ([["sex", "wage"]], "there is no column 'wage'"),
        ([["sex", "id"]], "'id' is not learnt"),
        ([["sex", "ill"], ["ill", "sex"]], "the table of 'ill', 'sex' stands there twice"),
    ],
)
def test_a_workload_that_cannot_be_measured_is_refused(workload, text):
    with pytest.raises(SchemaError, match=text):
        Schema(COLUMNS, workload=workload)


def test_images_have_no_workload():
    image = {"height": 4, "width": 4, "channels": 1}
    with pytest.raises(SchemaError, match="workload of a schema of images"):
        Schema(COLUMNS, image=image, workload=[["sex", "ill"]])
