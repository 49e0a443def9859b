"""A CSV with a line for each column: column, type, low, high, categories, missing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.code_books.base import (
    DROPPED,
    KNOWN,
    OF_ALL,
    CodeBook,
    Columns,
    bounds_of,
    number_of,
)
from privsynth.schema.column_facts import PRIVATE

_HEADINGS = {
    **dict.fromkeys(("column", "name", "variable", "field"), "column"),
    **dict.fromkeys(("low", "min", "minimum"), "low"),
    **dict.fromkeys(("high", "max", "maximum"), "high"),
    **dict.fromkeys(("categories", "values", "levels", "codes"), "categories"),
    **{
        key: key
        for key in ("type", "missing", "missing_values", "decimals", "resolution", "format", "zone", "unit")
    },
    **{key: key for key in ("role", "per", "generator", "drop")},
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


def from_csv(path: Path, max_records_per_person: int | None = None) -> CodeBook:
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
    columns = Columns()
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
    return columns.done(max_records_per_person)


def _of_csv(columns: Columns, name: str, cells: dict[str, str]) -> dict[str, Any]:
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
        read: Callable[[Any], Any] = str if kind == "datetime" else number_of
        fields |= bounds_of(told.pop("low", None), told.pop("high", None), read)
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
    if kind not in ("id", "text") and told.get("role") not in ("key", "person_id", "order"):
        missing = told.pop("missing", PRIVATE).lower()
        fields["missing"] = _TRUTH.get(missing, missing)
    else:
        told.pop("missing", None)
    if "missing_values" in told:
        fields["missing_values"] = _listed(told.pop("missing_values"))
    if "decimals" in told:
        fields["decimals"] = number_of(told.pop("decimals"))
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
