"""What a schema says of the rows of a person, and the view that follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import ROWS_OF_HISTORIES, ROWS_OF_PERSONS, Schema
from privsynth.schema.sequences import columns_of_persons, columns_of_rows, sequence_view

COLUMNS: dict[str, dict[str, Any]] = {
    "person": {"type": "id", "role": "person_id"},
    "visit": {"type": "id", "role": "key"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person", "role": "group"},
    "name": {"type": "text", "generator": "name", "per": "person"},
    "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "role": "order"},
    "cost": {"type": "real", "decimals": 2, "low": 0, "high": "private"},
    "code": {"type": "categorical", "categories": "private", "missing": "private"},
    "dead": {"type": "boolean", "role": "target"},
}
CHAIN = {"kind": "inequality", "columns": ["paid", "cost"]}


def schema(columns: dict[str, dict[str, Any]] = COLUMNS, cap: int | None = 5, **more: Any) -> Schema:
    return Schema(columns, max_records_per_person=cap, **more)


def test_roles_of_a_persons_rows_are_written_and_read() -> None:
    of = schema()
    assert Schema.from_dict(of.to_dict()) == of
    assert (of.order, of.per_person, of.is_sequential) == ("day", ["sex", "name"], True)
    assert [c.name for c in columns_of_persons(of)] == ["sex"]
    assert [c.name for c in columns_of_rows(of)] == ["day", "cost", "code", "dead"]
    assert "sex: type categorical, role group, one value per person, 2 categories" in of.public_facts()[2]


def test_without_them_a_schema_means_what_it_meant() -> None:
    plain = {n: {k: v for k, v in f.items() if k != "per" and v != "order"} for n, f in COLUMNS.items()}
    of = schema(plain)
    assert not of.is_sequential
    assert sequence_view(of) is of


def test_the_view_holds_each_row_beside_the_one_before() -> None:
    view = sequence_view(schema({**COLUMNS, "paid": COLUMNS["cost"]}, constraints=[CHAIN]))
    names = [c.name for c in view.modelled]
    before = ["prev.cost", "prev.code", "prev.dead", "prev.paid", "gap.day"]
    assert names == ["sex", "n_records", "start.day", "first", *before, "day", "cost", "code", "dead", "paid"]
    assert [str(c) for c in view.constraints] == ["paid <= cost"]
    assert (view.person_id, view.max_records_per_person, view.target, view.groups) == (
        "person", 5, "dead", ["sex"]
    )  # fmt: skip
    assert view.columns["n_records"].categories == (1, 2, 3, 4, 5)
    assert not view.is_sequential
    for name in ("cost", "code", "dead"):
        lag = view.columns[f"prev.{name}"]
        assert (lag.values_of, lag.missing, lag.role, lag.private_facts) == (name, True, None, [])
    gap = view.columns["gap.day"]
    assert (gap.type, gap.low, gap.high, gap.missing) == ("integer", 1, 365, True)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"type": "integer", "low": 3, "high": 3}, ("integer", None, 1, 1)),
        ({"type": "integer", "low": "private", "high": 9}, ("integer", None, 1, "private")),
        ({"type": "real", "low": 0, "high": 2.5}, ("real", None, 0, 2.5)),
        ({"type": "real", "decimals": 1, "low": 0, "high": 2.5}, ("real", 1, 0.1, 2.5)),
        (
            {"type": "datetime", "resolution": "hour", "low": "2020-01-01", "high": "2020-01-02"},
            ("integer", None, 1, 24),
        ),
    ],
)
def test_gaps_are_counted_in_steps_of_the_order(order, expected) -> None:
    view = sequence_view(schema({**COLUMNS, "day": {**order, "role": "order"}}))
    gap = view.columns["gap.day"]
    assert (gap.type, gap.decimals, gap.low, gap.high) == expected


def test_many_records_are_not_told_apart_one_by_one() -> None:
    count = sequence_view(schema(cap=65)).columns["n_records"]
    assert (count.type, count.low, count.high) == ("integer", 1, 65)


def test_rows_without_an_order_have_neighbours_but_no_gaps() -> None:
    columns = {name: fields for name, fields in COLUMNS.items() if name != "day"}
    names = [c.name for c in sequence_view(schema(columns)).modelled]
    assert names == [
        "sex",
        "n_records",
        "first",
        "prev.cost",
        "prev.code",
        "prev.dead",
        "cost",
        "code",
        "dead",
    ]


def _with(name: str, **fields: Any) -> dict[str, dict[str, Any]]:
    return {**COLUMNS, name: {**COLUMNS.get(name, {}), **fields}}


MISTAKES = {
    "nobody": (lambda: schema({k: v for k, v in COLUMNS.items() if k != "person"}, None), "names persons"),
    "two orders": (lambda: schema(_with("cost", role="order")), "order column, got 'day', 'cost'"),
    "order may be missing": (lambda: schema(_with("day", missing=True)), "leave 'missing' out"),
    "order of no line": (lambda: schema(_with("dead", role="order")), "integer, real or datetime"),
    "per what": (lambda: schema(_with("sex", per="household")), 'expected \'per\' to be "person"'),
    "key per person": (lambda: schema(_with("visit", per="person")), "exclude each other"),
    "order per person": (lambda: schema(_with("day", per="person")), "exclude each other"),
    "name that is taken": (lambda: sequence_view(schema(_with("first", type="boolean"))), "rename it"),
    "nothing varies": (
        lambda: sequence_view(schema({k: COLUMNS[k] for k in ("person", "sex")})),
        "no column is left that may differ",
    ),
    "sum of what varies": (
        lambda: schema(
            {**COLUMNS, **{n: {"type": "integer", "low": 0, "high": 9} for n in "ab"},
             "total": {"type": "integer", "per": "person"}},
            constraints=[{"kind": "sum", "columns": ["total", "a", "b"]}],
        ),
        "'a' may differ between a person's rows",
    ),
    "pictures": (
        lambda: schema(image={"height": 8, "width": 8, "channels": 1}),
        "images of a person are not learnt in order",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(made, message) -> None:
    with pytest.raises(SchemaError, match=message):
        made()


def test_what_a_synthetic_row_means_follows_from_the_schema() -> None:
    shared = {
        "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person"},
        "ill": {"type": "boolean"},
    }
    rows = {name: {k: v for k, v in fields.items() if k != "per"} for name, fields in shared.items()}
    person = {"id": {"type": "id", "role": "person_id"}}
    assert Schema(rows).rows_of_persons is None
    assert Schema(person | rows, max_records_per_person=3).rows_of_persons == ROWS_OF_PERSONS
    assert Schema(person | shared, max_records_per_person=3).rows_of_persons == ROWS_OF_HISTORIES
    assert "stands for one person" not in ROWS_OF_HISTORIES
