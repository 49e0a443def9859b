"""The description of linked tables: what is read, what is refused, and the views that follow."""

from __future__ import annotations

import copy
import json

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema
from privsynth.schema.linked import MOST_PARTS, LinkedSchema
from privsynth.schema.linked_views import linked_view
from privsynth.schema.sdv import fields_from_sdv
from tests.helpers.linked import BOOLEAN, SCHEMA, TABLES


def changed(table: str, **fields) -> dict:
    """Return the tables with fields of one changed; None leaves a field out."""
    tables = copy.deepcopy(TABLES)
    whole = tables.setdefault(table, {}) | fields
    tables[table] = {name: value for name, value in whole.items() if value is not None}
    return tables


def child(**fields) -> dict:
    return {
        "parent": "client",
        "parent_key": "who",
        "max_records_per_parent": 2,
        "columns": {"x": BOOLEAN},
    } | fields


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (changed("card", parnet="client"), "unknown key 'parnet' in table 'card'"),
        (changed("client", parent_key="x"), "unknown key 'parent_key' in table 'client'"),
        (
            changed("client", parent="account", parent_key="x"),
            "'client' holds the persons, so it is the root",
        ),
        (changed("card", parent=["client", "account"]), "name one table, got .*it could belong to two"),
        (changed("card", parents=["client", "account"]), "got 'parents': .*it could belong to two"),
        (changed("card", parent=None), "'card' has no 'parent', and 'client' is the root"),
        (changed("card", parent="bank"), "'card': there is no table 'bank'; there are 'trans', 'client'"),
        (changed("account", parent="trans"), "in a circle: trans -> account -> trans"),
        (changed("card", parent="card"), "in a circle: card -> card"),
        (changed("client", key=None), "the root has no 'key'"),
        (changed("account", key=None), "'account' has no 'key', and 'trans' refers to it"),
        (changed("card", parent_key=None), "'card': it has no 'parent_key'"),
        (changed("card", max_records_per_parent=None), "it has no 'max_records_per_parent'"),
        (changed("card", max_records_per_parent=0), "whole number max_records_per_parent >= 1, got 0"),
        (changed("card", max_records_per_parent=True), "max_records_per_parent >= 1, got True"),
        (
            changed("trans", max_records_per_parent=513),
            f"at most {MOST_PARTS} rows of one person, got 2 x 513",
        ),
        (changed("card", key="client"), "'client' is the key of its rows and of their parents"),
        (changed("card", columns={"client": BOOLEAN}), "'client' is a key, which is made afresh"),
        (changed("card", columns={}), "'card': expected 'columns' to map at least one"),
        (changed("card", columns={"x": {"type": "id"}}), "'card' has no column to learn"),
        (changed("card", columns={"x": {**BOOLEAN, "per": "person"}}), "stands in the table of persons"),
        (
            changed("card", columns={"x": {"type": "id", "role": "person_id"}}),
            "named by 'key' and 'parent_key'",
        ),
        (
            changed("card", columns={"x": {"type": "boolean", "low": 1}}),
            "table 'card': column 'x': a boolean",
        ),
        (changed("client", columns={"x": {"type": "integer", "role": "order"}}), "persons have no order"),
        (
            changed("card", columns={"x": {"table": "place"}}),
            "there is no public table 'place'; there is none",
        ),
        ({**TABLES, "place": "a"}, "table 'place': expected an object"),
        ({}, "expected 'tables' to map"),
        *(
            ({**TABLES, name: child()}, "expected the name of a table, which names its file")
            for name in ("../card", "card/gold", "a\\b", "", " card", "a\nb", 3)
        ),
    ],
)
def test_what_is_no_tree_of_tables_is_refused_by_one_clear_message(tables, message) -> None:
    with pytest.raises(SchemaError, match=message):
        LinkedSchema(tables, person="client")


def test_the_root_is_the_table_of_persons() -> None:
    with pytest.raises(SchemaError, match="names the table 'bank', and there is none"):
        LinkedSchema(TABLES, person="bank")
    with pytest.raises(SchemaError, match="'client' has no 'parent', and 'account' is the root"):
        LinkedSchema(TABLES, person="account")
    with pytest.raises(SchemaError, match="expected 'person' to name"):
        LinkedSchema.from_dict({"tables": TABLES})
    with pytest.raises(SchemaError, match="unknown key 'persons'"):
        LinkedSchema.from_dict({"tables": TABLES, "persons": "client"})
    with pytest.raises(SchemaError, match="expected schema version 2, got 1"):
        LinkedSchema.from_dict({"tables": TABLES, "person": "client", "version": 1})


def test_tables_stand_after_their_parents_and_are_written_as_they_were_read(tmp_path) -> None:
    assert list(SCHEMA.tables) == ["client", "account", "trans", "card"]
    assert SCHEMA.children("client") == ("account", "card")
    assert [SCHEMA.max_records_of(name) for name in SCHEMA.tables] == [1, 2, 8, 1]
    assert (SCHEMA.max_records_per_person, SCHEMA.unit, SCHEMA.person_id) == (8, "person", "client.id")
    assert SCHEMA.to_dict()["tables"] == TABLES
    SCHEMA.save(tmp_path / "linked.json")
    assert LinkedSchema.load(tmp_path / "linked.json") == SCHEMA
    with pytest.raises(SchemaError, match="describes linked tables, and one table is expected"):
        Schema.load(tmp_path / "linked.json")


def test_a_column_may_refer_to_a_public_table(tmp_path) -> None:
    (tmp_path / "places.csv").write_text("code,name\n1,here\n2,there\n", encoding="utf-8")
    tables = {
        **TABLES,
        "place": {"public": "places.csv", "key": "code"},
        "home": child(columns={"where": {"table": "place", "missing": True}}),
    }
    schema = LinkedSchema(tables, person="client", folder=tmp_path)
    column = schema.tables["home"].schema.columns["where"]
    assert (column.type, column.categories, column.missing) == ("categorical", ("1", "2"), True)
    assert LinkedSchema.from_dict(schema.to_dict()) == schema  # its keys stand in it: no file is read again
    assert "table place: public, 2 keys" in schema.public_facts()
    for changes, message in (
        ({"key": "name2"}, "has no column 'name2'"),
        ({"public": "none.csv"}, "cannot be read"),
        ({"key": None}, "expected 'public' to be the name of its file"),
    ):
        with pytest.raises(SchemaError, match=message):
            LinkedSchema({**tables, "place": tables["place"] | changes}, person="client", folder=tmp_path)
    with pytest.raises(SchemaError, match="its parent 'place' is public, so its rows would belong to nobody"):
        LinkedSchema({**tables, "home": child(parent="place")}, person="client", folder=tmp_path)
    (tmp_path / "places.csv").write_text("code\n1\n1\n", encoding="utf-8")
    with pytest.raises(SchemaError, match="every 'code' to be there once"):
        LinkedSchema(tables, person="client", folder=tmp_path)


def test_the_view_of_a_table_holds_what_stands_above_it_and_counts_what_stands_below() -> None:
    names = {name: [c.name for c in linked_view(SCHEMA, name).modelled] for name in SCHEMA.tables}
    assert names["client"] == ["sex", "rich", "age", "n.account", "n.card"]
    above = ["client.sex", "client.rich", "client.age"]
    assert names["account"] == [
        *[*above, "client.n.card", "n_records", "first", "prev.gold", "prev.kind", "prev.n.trans"],
        *["gold", "kind", "n.trans"],
    ]
    assert names["trans"] == [
        *[*above, "client.n.account", "client.n.card", "account.gold", "account.kind"],
        *["n_records", "start.day", "first", "prev.big", "gap.day", "day", "big"],
    ]
    assert names["card"] == [*above, "client.n.account", "n_records", "first", "prev.limit", "limit"]
    for name in SCHEMA.tables:
        assert linked_view(SCHEMA, name).max_records_per_person == SCHEMA.max_records_of(name)
    given = [c.name for c in linked_view(SCHEMA, "trans").modelled if c.is_given]
    assert given == names["trans"][:8]


def test_a_column_named_like_a_derived_one_is_refused() -> None:
    clash = LinkedSchema(changed("card", columns={"client.sex": BOOLEAN}), person="client")
    with pytest.raises(SchemaError, match=r"'card': column 'client\.sex' is named like one that is derived"):
        linked_view(clash, "card")


def sdv(**tables_of_links) -> dict:
    """Return SDV metadata of a bank; links as ``child=[(parent, key), ...]``."""
    links = {"account": [("client", "owner"), ("place", "where")], "trans": [("account", "account")]}
    columns = {
        "client": {
            "id": {"sdtype": "id"},
            "age": {"sdtype": "numerical", "computer_representation": "Int64"},
        },
        "account": {
            "account": {"sdtype": "id"},
            "owner": {"sdtype": "id"},
            "where": {"sdtype": "id"},
            "kind": {"sdtype": "categorical"},
        },
        "trans": {"account": {"sdtype": "id"}, "day": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"}},
        "place": {"code": {"sdtype": "id"}},
    }
    keys = {"client": "id", "account": "account", "place": "code"}
    return {
        "METADATA_SPEC_VERSION": "V1",
        "tables": {
            name: {"columns": of, **({"primary_key": keys[name]} if name in keys else {})}
            for name, of in columns.items()
        },
        "relationships": [
            {
                "parent_table_name": parent,
                "parent_primary_key": keys[parent],
                "child_table_name": child,
                "child_foreign_key": key,
            }
            for child, found in (links | tables_of_links).items()
            for parent, key in found
        ],
    }


def test_metadata_of_sdv_reads_into_linked_tables(tmp_path) -> None:
    (tmp_path / "places.csv").write_text("code\n1\n2\n", encoding="utf-8")
    caps, public = {"account": 2, "trans": 9}, {"place": "places.csv"}
    how = {"max_records_per_parent": caps, "public": public, "folder": tmp_path}
    schema = LinkedSchema.from_sdv(sdv(), **how)
    assert (schema.person, list(schema.tables)) == ("client", ["client", "account", "trans"])
    account = schema.tables["account"]
    assert (account.key, account.parent, account.parent_key) == ("account", "client", "owner")
    assert account.schema.columns["where"].categories == ("1", "2")
    assert [column.name for column in account.schema.modelled] == ["where", "kind"]
    assert schema.max_records_of("trans") == 18
    (tmp_path / "sdv.json").write_text(json.dumps(sdv()), encoding="utf-8")
    assert LinkedSchema.from_sdv(tmp_path / "sdv.json", **how) == schema
    schema.require_complete()
    with pytest.raises(SchemaError, match="table 'trans': it has no 'max_records_per_parent'"):
        LinkedSchema.from_sdv(sdv(), **(how | {"max_records_per_parent": {"account": 2}}))
    two = sdv(trans=[("account", "account"), ("client", "who")])
    with pytest.raises(
        SchemaError, match=r"table 'trans': expected 'parent' to name one table, got \['account'"
    ):
        LinkedSchema.from_sdv(two, **how)
    with pytest.raises(SchemaError, match="one table has no parent, that of persons, got 'client', 'place'"):
        LinkedSchema.from_sdv(sdv(account=[("client", "owner")]), max_records_per_parent=caps)
    with pytest.raises(SchemaError, match=r"LinkedSchema\.from_sdv reads that of linked ones"):
        Schema.from_dict(fields_from_sdv(sdv()))
    with pytest.raises(SchemaError, match="expected each relationship of the SDV metadata to have"):
        LinkedSchema.from_sdv({"tables": {}, "relationships": [{}]}, max_records_per_parent={})
