"""Frictionless: a Table Schema, or a Data Package of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.code_books.base import (
    DROPPED,
    OF_ALL,
    CodeBook,
    Columns,
    bounds_of,
    note_unknown,
)
from privsynth.schema.column_facts import PRIVATE


def table_schema(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one Table Schema of a Data Package, or the Table Schema that the file is."""
    if "resources" not in fields:
        return fields
    resources = fields["resources"]
    if not isinstance(resources, list) or len(resources) != 1:
        raise SchemaError("expected a Data Package of one resource: privsynth models one table at a time")
    schema = resources[0].get("schema") if isinstance(resources[0], Mapping) else None
    if not isinstance(schema, Mapping):
        raise SchemaError("expected the resource of the Data Package to hold its 'schema'")
    return schema


def from_frictionless(table: Mapping[str, Any]) -> CodeBook:
    listed = table.get("fields")
    if not isinstance(listed, list) or not listed:
        raise SchemaError("the Table Schema lists no fields")
    columns = Columns()
    keys = table.get("primaryKey") or []
    keys = [keys] if isinstance(keys, str) else list(keys)
    if len(keys) > 1:
        columns.note(OF_ALL, f"the primary key of several columns ({', '.join(keys)}) is not taken over")
    for key in ("foreignKeys", "uniqueKeys"):
        if table.get(key):
            columns.note(OF_ALL, f"{key!r} is not taken over")
    for one in listed:
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            raise SchemaError(f"expected every field of the Table Schema to have a 'name', got {one!r}")
        name = one["name"]
        if keys == [name]:
            columns.fields[name] = {"type": "id", "role": "key"}
            continue
        columns.fields[name] = _of_frictionless(columns, name, one, table.get("missingValues", [""]))
    return columns.done()


def _of_frictionless(
    columns: Columns, name: str, one: Mapping[str, Any], missing_values: list[Any]
) -> dict[str, Any]:
    constraints = dict(one.get("constraints") or {})
    kind, written = one.get("type", "string"), one.get("format", "default")
    told = {key: value for key, value in one.items() if value not in (None, "")}
    for key in ("name", "type", "format", "title", "description", "constraints", "example", "rdfType"):
        told.pop(key, None)
    words = told.pop("missingValues", missing_values)
    words = [word["value"] if isinstance(word, Mapping) else word for word in words]
    words = [word for word in words if word]
    required = constraints.pop("required", False) is True
    low, high = constraints.pop("minimum", None), constraints.pop("maximum", None)
    categories = constraints.pop("enum", None) or _labelled(told.pop("categories", None))
    told.pop("categoriesOrdered", None)
    for key, strict in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
        if key in constraints and kind == "integer":
            bound = int(constraints.pop(key)) + strict
            low, high = (bound, high) if strict == 1 else (low, bound)

    fields: dict[str, Any]
    if categories and kind not in ("boolean", "date", "datetime"):
        fields = {"type": "categorical", "categories": list(categories)}
    elif kind in ("integer", "year"):
        fields = {"type": "integer", **bounds_of(low, high, int)}
        fields |= _number_format(columns, name, told, needs_digits=kind == "integer")
    elif kind == "number":
        fields = {"type": "real", **bounds_of(low, high, float)}
        fields |= _number_format(columns, name, told, needs_digits=True)
    elif kind in ("date", "datetime", "yearmonth"):
        fields = {"type": "datetime", **bounds_of(low, high, str)}
        fields["resolution"] = "second" if kind == "datetime" else "day"
        if written == "any":
            columns.note(name, "its format is 'any': set 'format' if dates are not written as 2021-03-31")
        elif written != "default":
            fields["format"] = written
    elif kind == "boolean":
        fields = {"type": "boolean", **_truth(columns, name, told)}
    elif kind in ("string", "any") and written in ("default", "uuid") and not constraints.get("unique"):
        fields = {"type": "categorical", "categories": PRIVATE}
    elif kind == "string" and (
        written == "uuid" or (written == "default" and constraints.pop("unique", None))
    ):
        return {"type": "id"}
    else:
        columns.note(name, f"left out: {kind} ({written}) is not learnt")
        return dict(DROPPED)
    if (low, high) != (None, None) and "low" not in fields:
        columns.note(name, "minimum and maximum are not taken over beside its categories")
    if constraints.pop("unique", False):
        columns.note(name, "'unique' is not taken over; an identifier has type 'id'")
    note_unknown(columns, name, {**constraints, **told})
    if not required:
        fields["missing"] = PRIVATE
    if words:
        listed = {
            str(category) for category in fields.get("categories", ()) if fields["categories"] != PRIVATE
        }
        fields["missing_values"] = [str(word) for word in words if str(word) not in listed]
    return fields


def _labelled(categories: Any) -> list[Any] | None:
    if not isinstance(categories, list):
        return None
    return [one["value"] if isinstance(one, Mapping) else one for one in categories]


def _number_format(
    columns: Columns, name: str, told: dict[str, Any], *, needs_digits: bool
) -> dict[str, str]:
    """Return the 'format' that tells how numbers are written, if a field says more than the default."""
    group, decimal = told.pop("groupChar", ""), told.pop("decimalChar", ".")
    if told.pop("bareNumber", True) is False:
        columns.note(
            name, "signs stand around its numbers: show how 1234.5 is written in 'format', as in \"$1,234.5\""
        )
    is_plain = group == "" and decimal == "."
    return {"format": f"1{group}234{decimal}5"} if needs_digits and not is_plain else {}


def _truth(columns: Columns, name: str, told: dict[str, Any]) -> dict[str, Any]:
    false, true = told.pop("falseValues", []), told.pop("trueValues", [])
    if len(false) == len(true) == 1:
        return {"values": [false[0], true[0]]}
    if false or true:
        columns.note(name, "several texts for true or false are not taken over: list one of each in 'values'")
    return {}
