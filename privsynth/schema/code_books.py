"""Turn a code book into a schema: SDV metadata, Frictionless Table Schema, pandera, or a CSV of columns.

No record is read. What a code book says and a schema cannot is not dropped in silence but noted.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE
from privsynth.schema.files import read_fields
from privsynth.schema.schema import Schema
from privsynth.schema.sdv import fields_from_sdv, is_sdv_metadata

OF_ALL = ""  # the key of notes that concern no single column
KNOWN = (
    "SDV metadata, a Frictionless Table Schema or Data Package, a pandera schema (to_json or to_yaml), or a "
    "CSV with the columns column, type, low, high, categories, missing"
)
DROPPED = {"type": "text", "drop": True}


@dataclass(frozen=True)
class CodeBook:
    """A schema made from a code book.

    Attributes:
        schema: The schema; what the code book does not tell of values is ``"private"``.
        notes: What it says that the schema does not hold, or what was assumed: sentences by column.
    """

    schema: Schema
    notes: dict[str, list[str]]


@dataclass
class _Columns:
    """Columns as they are found, with notes."""

    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, sentence: str) -> None:
        """Keep a sentence about a column."""
        self.notes.setdefault(name, []).append(sentence)

    def done(self) -> CodeBook:
        """Return the schema with its notes."""
        try:
            return CodeBook(Schema(self.fields), self.notes)
        except SchemaError as error:
            raise SchemaError(f"the code book makes no schema: {error}") from None


def schema_from_code_book(path: str | Path) -> CodeBook:
    """Read a code book; its kind is found by its content.

    Bounds, categories and gaps that it tells are taken over as public, the rest is ``"private"``.

    Args:
        path: JSON, YAML or CSV file.

    Raises:
        SchemaError: If the file cannot be read, is of no known kind, or describes no single table.

    Privacy:
        Public: reads no record.
    """
    if Path(path).suffix.lower() in (".csv", ".tsv"):
        return _from_csv(Path(path))
    fields = read_fields(path)
    if is_sdv_metadata(fields):
        return CodeBook(Schema.from_dict(fields_from_sdv(fields)), _notes_on_sdv(fields))
    if isinstance(fields, Mapping):
        if "fields" in fields or "resources" in fields:
            return _from_frictionless(_table_schema(fields))
        columns = fields.get("columns")
        if isinstance(columns, Mapping):
            described = [column for column in columns.values() if isinstance(column, Mapping)]
            if fields.get("schema_type") == "dataframe" or any("dtype" in column for column in described):
                return _from_pandera(fields)
            return CodeBook(Schema.from_dict(fields), {})  # a schema of ours, perhaps in YAML
    raise SchemaError(f"{str(path)!r} is no code book that is known; known are {KNOWN}")


# -- SDV -----------------------------------------------------------------------------------------------


def _notes_on_sdv(fields: Mapping[str, Any]) -> dict[str, list[str]]:
    columns = _Columns()
    table = next(iter(fields["tables"].values())) if "tables" in fields else fields
    for key in ("alternate_keys", "column_relationships", "sequence_index", "relationships"):
        if table.get(key) or fields.get(key):
            columns.note(OF_ALL, f"{key!r} is not taken over")
    for name, column in table["columns"].items():
        known = {"sdtype", "computer_representation", "datetime_format", "pii"}
        _note_unknown(columns, name, {key: column[key] for key in column if key not in known})
        if column["sdtype"] not in ("numerical", "datetime", "categorical", "boolean", "id"):
            columns.note(name, f"left out: the sdtype {column['sdtype']!r} is never learnt from records")
    return columns.notes


# -- Frictionless --------------------------------------------------------------------------------------


def _table_schema(fields: Mapping[str, Any]) -> Mapping[str, Any]:
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


def _from_frictionless(table: Mapping[str, Any]) -> CodeBook:
    listed = table.get("fields")
    if not isinstance(listed, list) or not listed:
        raise SchemaError("the Table Schema lists no fields")
    columns = _Columns()
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
    columns: _Columns, name: str, one: Mapping[str, Any], missing_values: list[Any]
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
        fields = {"type": "integer", **_bounds(low, high, int)}
        fields |= _number_format(columns, name, told, needs_digits=kind == "integer")
    elif kind == "number":
        fields = {"type": "real", **_bounds(low, high, float)}
        fields |= _number_format(columns, name, told, needs_digits=True)
    elif kind in ("date", "datetime", "yearmonth"):
        fields = {"type": "datetime", **_bounds(low, high, str)}
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
    _note_unknown(columns, name, {**constraints, **told})
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
    columns: _Columns, name: str, told: dict[str, Any], *, needs_digits: bool
) -> dict[str, str]:
    """Return the 'format' that tells how numbers are written, if a field says more than the default."""
    group, decimal = told.pop("groupChar", ""), told.pop("decimalChar", ".")
    if told.pop("bareNumber", True) is False:
        columns.note(
            name, "signs stand around its numbers: show how 1234.5 is written in 'format', as in \"$1,234.5\""
        )
    is_plain = group == "" and decimal == "."
    return {"format": f"1{group}234{decimal}5"} if needs_digits and not is_plain else {}


def _truth(columns: _Columns, name: str, told: dict[str, Any]) -> dict[str, Any]:
    false, true = told.pop("falseValues", []), told.pop("trueValues", [])
    if len(false) == len(true) == 1:
        return {"values": [false[0], true[0]]}
    if false or true:
        columns.note(name, "several texts for true or false are not taken over: list one of each in 'values'")
    return {}


# -- pandera -------------------------------------------------------------------------------------------

_PANDERA_BOUNDS = {
    "greater_than_or_equal_to": "low", "less_than_or_equal_to": "high", "greater_than": "low",
    "less_than": "high",
}  # fmt: skip


def _from_pandera(fields: Mapping[str, Any]) -> CodeBook:
    columns = _Columns()
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


def _of_pandera(columns: _Columns, name: str, column: Mapping[str, Any]) -> dict[str, Any]:
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
        fields = {"type": "integer", **_bounds(low, high, int)}
    elif any(kind in dtype for kind in ("float", "double", "decimal")):
        fields = {"type": "real", **_bounds(low, high, float)}
    elif "date" in dtype or "timestamp" in dtype:
        fields = {"type": "datetime", **_bounds(low, high, _iso)}
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


# -- CSV -----------------------------------------------------------------------------------------------

_HEADINGS = {
    **dict.fromkeys(("column", "name", "variable", "field"), "column"),
    **dict.fromkeys(("low", "min", "minimum"), "low"),
    **dict.fromkeys(("high", "max", "maximum"), "high"),
    **dict.fromkeys(("categories", "values", "levels", "codes"), "categories"),
    **{
        key: key
        for key in ("type", "missing", "missing_values", "decimals", "resolution", "format", "zone", "unit")
    },
    **{key: key for key in ("role", "generator", "drop")},
}
_TYPES = {
    **dict.fromkeys(("int", "whole"), "integer"),
    **dict.fromkeys(("float", "double", "number", "numeric", "decimal"), "real"),
    **dict.fromkeys(("str", "string", "category", "factor", "nominal", "ordinal"), "categorical"),
    **dict.fromkeys(("bool", "logical", "binary"), "boolean"),
    **dict.fromkeys(("date", "timestamp"), "datetime"),
    **dict.fromkeys(("identifier", "key"), "id"),
    "free text": "text",
}
_TRUTH = {
    "true": True,
    "yes": True,
    "y": True,
    "1": True,
    "false": False,
    "no": False,
    "n": False,
    "0": False,
}


def _from_csv(path: Path) -> CodeBook:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SchemaError(f"there is no code book {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        raise SchemaError(f"the code book {str(path)!r} cannot be read: {reason}") from None
    first = text.lstrip().partition("\n")[0]
    lines = csv.DictReader(
        io.StringIO(text.lstrip(), newline=""), delimiter=max(",;\t", key=first.count), skipinitialspace=True
    )
    headings = {heading: _HEADINGS.get((heading or "").strip().lower()) for heading in lines.fieldnames or []}
    if "column" not in headings.values() or "type" not in headings.values():
        raise SchemaError(f"{str(path)!r} has no columns 'column' and 'type'; known code books are {KNOWN}")
    columns = _Columns()
    unknown = [heading for heading, key in headings.items() if key is None and (heading or "").strip()]
    if unknown:
        columns.note(
            OF_ALL, f"the columns {', '.join(map(repr, unknown))} of the code book are not taken over"
        )
    for line in lines:
        cells = {
            key: (line.get(heading) or "").strip() for heading, key in headings.items() if key is not None
        }
        if not any(cells.values()):
            continue
        if cells["column"] in columns.fields:
            raise SchemaError(f"the code book describes column {cells['column']!r} twice")
        name = cells.pop("column")
        columns.fields[name] = _of_csv(columns, name, cells)
    return columns.done()


def _of_csv(columns: _Columns, name: str, cells: dict[str, str]) -> dict[str, Any]:
    told = {key: cell for key, cell in cells.items() if cell}
    kind = told.pop("type", "").lower()
    kind = _TYPES.get(kind, kind)
    if "categories" in told and kind in ("integer", "real", "datetime"):
        columns.note(name, f"it lists categories, so it is categorical, not {kind}")
        kind = "categorical"
    fields: dict[str, Any] = {"type": kind}
    if told.get("drop", "").lower() in ("true", "yes", "y", "1", "x"):
        return dict(DROPPED)
    told.pop("drop", None)
    if kind in ("integer", "real", "datetime"):
        read: Callable[[Any], Any] = str if kind == "datetime" else _number
        fields |= _bounds(told.pop("low", None), told.pop("high", None), read)
    elif kind == "categorical":
        fields["categories"] = _listed(told.pop("categories", PRIVATE))
    elif kind == "boolean" and "categories" in told:
        fields["values"] = _listed(told.pop("categories"))
    elif kind == "text" and "generator" not in told:
        columns.note(name, "left out: free text is never learnt")
        return dict(DROPPED)
    for key in ("low", "high", "categories"):
        if key in told:
            columns.note(name, f"{key!r} is not taken over: a {kind} column has none")
            del told[key]
    if kind not in ("id", "text") and told.get("role") not in ("key", "person_id"):
        missing = told.pop("missing", PRIVATE).lower()
        fields["missing"] = _TRUTH.get(missing, missing)
    else:
        told.pop("missing", None)
    if "missing_values" in told:
        fields["missing_values"] = _listed(told.pop("missing_values"))
    if "decimals" in told:
        fields["decimals"] = _number(told.pop("decimals"))
    return fields | told


def _listed(cell: str) -> Any:
    """Return the values that a cell lists, between bars, semicolons or commas; of ``1=male`` the code."""
    if cell.lower() == PRIVATE:
        return PRIVATE
    mark = next((mark for mark in "|;," if mark in cell), "|")
    values = [value.strip() for value in cell.split(mark) if value.strip()]
    if len(values) > 1 and all(re.fullmatch(r"-?\w+\s*=\s*\S.*", value) for value in values):
        values = [value.partition("=")[0].strip() for value in values]
    return values


# -- shared --------------------------------------------------------------------------------------------


def _bounds(low: Any, high: Any, read: Callable[[Any], Any]) -> dict[str, Any]:
    """Return bounds as the code book gives them, ``"private"`` where it gives none."""
    return {which: _bound(bound, read) for which, bound in (("low", low), ("high", high))}


def _bound(bound: Any, read: Callable[[Any], Any]) -> Any:
    if bound is None or bound == "" or str(bound).lower() == PRIVATE:
        return PRIVATE
    try:
        return read(bound)
    except (TypeError, ValueError, OverflowError):
        raise SchemaError(f"expected a bound to be a number, got {bound!r} in the code book") from None


def _number(cell: Any) -> int | float:
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(cell)
    return int(number) if number.is_integer() else number


def _note_unknown(columns: _Columns, name: str, told: Mapping[str, Any]) -> None:
    for key in sorted(key for key, value in told.items() if value not in (None, [], {}, "")):
        columns.note(name, f"{key!r} is not taken over")
