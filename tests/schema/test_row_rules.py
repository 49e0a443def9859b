"""Constraints between a row and the one before it, as schemas state them."""

from __future__ import annotations

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.sequences import moving_columns, sequence_view

COLUMNS = {
    "who": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person"},
    "born": {"type": "integer", "low": 0, "high": 9, "per": "person"},
    "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "role": "order"},
    "left": {"type": "datetime", "low": "2020-01-01", "high": "2021-12-31"},
    "age": {"type": "integer", "low": 0, "high": 9},
    "dose": {"type": "integer", "low": 0, "high": 9, "missing": True},
    "wide": {"type": "integer", "low": 0, "high": 18, "missing": True},
    "kind": {"type": "categorical", "categories": ["a", "b"]},
    "total": {"type": "integer"},
    "note": {"type": "text", "drop": True},
}


def rule(*columns, **more):
    return {"kind": "inequality", "columns": list(columns), **more}


def schema(*constraints, columns=COLUMNS, cap=5, without=()) -> Schema:
    of = {name: fields for name, fields in columns.items() if name not in (*without, "total")}
    return Schema(of, max_records_per_person=cap, constraints=constraints)


def test_rules_are_written_read_and_told() -> None:
    of = schema(rule("prev.age", "age"), rule("prev.left", "day", "left"))
    assert Schema.from_dict(of.to_dict()) == of
    assert [str(c) for c in of.constraints] == ["prev.age <= age", "prev.left <= day <= left"]
    assert "constraint: prev.age <= age" in of.public_facts()


def test_the_view_holds_how_far_columns_move_that_only_rise_or_fall() -> None:
    of = schema(rule("prev.age", "age"), rule("dose", "prev.dose"), rule("prev.left", "day"))
    assert moving_columns(of) == {"age": 1}  # dose may be missing, and left stands beside the order
    view = sequence_view(of)
    assert [c.name for c in view.modelled if c.distance_of] == ["gap.day", "gap.age"]
    gap = view.columns["gap.age"]
    assert (gap.type, gap.low, gap.high, gap.missing, gap.role) == ("integer", 0, 9, True, None)
    assert [str(c) for c in view.constraints] == [str(c) for c in of.constraints]
    assert moving_columns(schema(rule("age", "prev.age", strict=True))) == {"age": -1}
    assert moving_columns(schema(rule("born", "prev.age", "age"))) == {"age": 1}
    assert moving_columns(schema(rule("prev.age", "dose", "age"))) == {}
    fine = {**COLUMNS, "age": {"type": "real", "low": -1, "high": 2.5, "decimals": 1}}
    gap = sequence_view(schema(rule("prev.age", "age"), columns=fine)).columns["gap.age"]
    assert (gap.type, gap.decimals, gap.low, gap.high) == ("real", 1, 0, 3.5)


@pytest.mark.parametrize(
    ("constraint", "without", "message"),
    [
        (
            rule("prev.agee", "age"),
            (),
            "'prev.agee': there is no column 'agee' whose value in the row before",
        ),
        (rule("prev.age", "age"), ("day",), "no order; give the column that orders the rows of a person the"),
        (rule("prev.age", "age"), ("day", "sex", "born"), "the rows of this table have no order"),
        (rule("prev.born", "age"), (), "all rows of a person hold the same 'born'; name it without 'prev.'"),
        (rule("prev.day", "left"), (), "'day' orders the rows of a person, so each is above the one before"),
        (rule("prev.note", "age"), (), "'note' is not learnt"),
        (rule("prev.kind", "kind"), (), "'prev.kind' is not a number line"),
        (rule("prev.age", "prev.dose", "age"), (), "it names 'prev.age' and 'prev.dose'; keep one of the"),
        (rule("prev.age", "born"), (), "expected a column of the row itself"),
        (rule("dose", "prev.age", "age"), (), "expected columns of the row itself on one side of 'prev.age'"),
        (rule("day", "prev.left"), (), "'day' orders the rows and only rises, so it cannot stay below"),
        (rule("prev.left", "age"), (), "'age' has another step than 'prev.left'"),
        (
            {"kind": "fixed_combinations", "columns": ["prev.kind", "kind"], "combinations": [["a", "b"]]},
            (),
            "which inequalities alone may name",
        ),
        ({"kind": "sum", "columns": ["wide", "prev.age", "age"]}, (), "which inequalities alone may name"),
    ],
    ids=lambda value: "-".join(value["columns"]) if isinstance(value, dict) else None,
)
def test_what_cannot_be_kept_is_refused(constraint, without, message) -> None:
    with pytest.raises(SchemaError, match=message):
        schema(constraint, without=without)


def test_a_strict_rise_needs_a_value_for_each_row() -> None:
    assert schema(rule("prev.age", "age", strict=True), cap=10).constraints
    with pytest.raises(
        SchemaError, match="a person may have 11 rows, and 'age' has too few values between 0"
    ):
        schema(rule("prev.age", "age", strict=True), cap=11)
    assert schema(rule("prev.age", "age"), cap=11).constraints


def test_a_column_is_named_by_one_constraint_beside_the_row_before() -> None:
    with pytest.raises(SchemaError, match="'age' stands in two constraints"):
        schema(rule("prev.age", "age"), rule("age", "dose"))


def test_a_computed_column_has_no_row_before() -> None:
    total = {"kind": "sum", "columns": ["total", "age", "wide"]}
    with pytest.raises(SchemaError, match=r"'prev.total' is computed from other columns; name these"):
        Schema(
            {**COLUMNS, "total": {"type": "integer", "missing": True}},
            max_records_per_person=5,
            constraints=[total, rule("prev.total", "dose")],
        )


def test_a_column_called_like_one_of_the_row_before_is_that_column() -> None:
    columns = {"prev.age": COLUMNS["age"], "age": COLUMNS["age"]}
    of = Schema(columns, constraints=[rule("prev.age", "age")])
    assert not of.is_sequential
    assert sequence_view(of) is of
