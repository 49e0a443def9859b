"""pandera: a schema of a frame, as `to_json` and `to_yaml` write it."""

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
)
from privsynth.schema.column_facts import PRIVATE

_PANDERA_BOUNDS = {
    "greater_than_or_equal_to": "low", "less_than_or_equal_to": "high", "greater_than": "low",
    "less_than": "high",
}  # fmt: skip


def from_pandera(fields: Mapping[str, Any]) -> CodeBook:
    columns = Columns()
    if fields.get("checks"):
        columns.note(OF_ALL, "checks of the whole frame are not taken over")
    if fields.get("unique"):
        columns.note(OF_ALL, f"'unique' ({fields['unique']}) is not taken over; a key has role 'key'")
    if fields.get("index"):
        columns.note(OF_ALL, "the index is not taken over: privsynth reads columns only")
    if not isinstance(fields.get("columns"), Mapping) or not fields["columns"]:
        raise SchemaError("the pandera schema lists no columns")
    for name, column in fields["columns"].items():
        if not isinstance(column, Mapping):
            raise SchemaError(f"column {name!r}: expected an object with a 'dtype', got {column!r}")
        if column.get("regex"):
            columns.note(OF_ALL, f"the pattern {name!r} of column names is not taken over")
            continue
        columns.fields[name] = _of_pandera(columns, name, column)
    return columns.done()


def _of_pandera(columns: Columns, name: str, column: Mapping[str, Any]) -> dict[str, Any]:
    dtype = str(column.get("dtype") or "").lower()
    low = high = categories = None
    for check, value in _pandera_checks(column.get("checks")):
        if check == "isin":
            categories = value["allowed_values"] if isinstance(value, Mapping) else value
        elif check in ("in_range", "between") and isinstance(value, Mapping):
            low, high = value.get("min_value"), value.get("max_value")
            if not (value.get("include_min", True) and value.get("include_max", True)):
                columns.note(name, "a bound that is itself excluded is taken as included")
        elif check in _PANDERA_BOUNDS:
            bound = next(iter(value.values())) if isinstance(value, Mapping) else value
            strict = {"greater_than": 1, "less_than": -1}.get(check, 0)
            if strict and "int" in dtype:
                bound += strict
            elif strict:
                columns.note(name, "a bound that is itself excluded is taken as included")
            low, high = (bound, high) if _PANDERA_BOUNDS[check] == "low" else (low, bound)
        else:
            columns.note(name, f"the check {check!r} is not taken over")
    if column.get("unique"):
        columns.note(name, "'unique' is not taken over; an identifier has type 'id'")

    fields: dict[str, Any]
    if categories is not None:
        fields = {"type": "categorical", "categories": list(categories)}
    elif "bool" in dtype:
        fields = {"type": "boolean"}
    elif "timedelta" in dtype or "period" in dtype:
        columns.note(name, f"left out: {column['dtype']} is no single number, text or date")
        return dict(DROPPED)
    elif "int" in dtype and "interval" not in dtype:
        fields = {"type": "integer", **bounds_of(low, high, int)}
    elif any(kind in dtype for kind in ("float", "double", "decimal")):
        fields = {"type": "real", **bounds_of(low, high, float)}
    elif "date" in dtype or "timestamp" in dtype:
        fields = {"type": "datetime", **bounds_of(low, high, _iso)}
        fields["resolution"] = "day" if dtype == "date" else "second"
    elif any(kind in dtype for kind in ("str", "object", "category", "utf8")):
        if column.get("unique"):
            return {"type": "id"}
        fields = {"type": "categorical", "categories": PRIVATE}
    else:
        fields = {"type": None}
        columns.note(name, f"its dtype {column.get('dtype')!r} tells no type: give it one")
    if column.get("nullable") and fields["type"] is not None:
        fields["missing"] = PRIVATE
    return fields


def _pandera_checks(checks: Any) -> list[tuple[str, Any]]:
    """Return the name and value of each check, from either form in which versions of pandera write them."""
    if isinstance(checks, Mapping):
        named = [(name, value) for name, value in checks.items()]
    else:
        named = [(_check_name(check), check) for check in checks or []]
    return [(name, _without_options(value)) for name, value in named]


def _check_name(check: Any) -> str:
    options = check.get("options") if isinstance(check, Mapping) else None
    return str(options.get("check_name")) if isinstance(options, Mapping) else "?"


def _without_options(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    bare = {key: part for key, part in value.items() if key != "options"}
    return bare["value"] if set(bare) == {"value"} else bare


def _iso(value: Any) -> str:
    return str(value).replace(" ", "T")
