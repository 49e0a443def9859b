"""Read SDV's metadata JSON: it gives types and the primary key, and the rest becomes ``"private"``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE

_TIME_CODES = ("%H", "%I", "%R", "%T", "%X", "%c", "%s")  # of a datetime format that tells the time of day


def is_sdv_metadata(fields: object) -> bool:
    """Whether an object is SDV metadata: single-table, or with exactly one table."""
    if not isinstance(fields, Mapping):
        return False
    if "METADATA_SPEC_VERSION" in fields:
        return True
    columns = fields.get("columns")
    return isinstance(columns, Mapping) and any(
        isinstance(column, Mapping) and "sdtype" in column for column in columns.values()
    )


def fields_from_sdv(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema JSON for SDV metadata, in which every fact about values is ``"private"``.

    Numerical columns with a ``computer_representation`` of integers become integers. Identifiers become
    ids, the primary key a key; every other sdtype (names, addresses …) becomes text that is dropped.

    Raises:
        SchemaError: If the metadata describes several tables, none, or sequences of rows, or a column has
            no sdtype.

    Privacy:
        Public: reads no record.
    """
    if "tables" in fields:
        tables = fields["tables"]
        if not isinstance(tables, Mapping) or len(tables) != 1:
            raise SchemaError("expected SDV metadata of one table: privsynth models one table at a time")
        fields = next(iter(tables.values()))
    columns = fields.get("columns") if isinstance(fields, Mapping) else None
    if not isinstance(columns, Mapping) or not columns:
        raise SchemaError("the SDV metadata lists no columns")
    if fields.get("sequence_key"):
        raise SchemaError(
            f"the SDV metadata has the sequence_key {fields['sequence_key']!r}, so rows belong together: "
            "write a schema that gives that column the role 'person_id' and sets 'max_records_per_person'"
        )
    keys = fields.get("primary_key") or ()
    keys = {keys} if isinstance(keys, str) else set(keys)
    return {"columns": {name: _column(name, column, name in keys) for name, column in columns.items()}}


def _column(name: str, column: object, is_key: bool) -> dict[str, Any]:
    if not isinstance(column, Mapping) or not isinstance(column.get("sdtype"), str):
        raise SchemaError(f"column {name!r}: expected an object with an 'sdtype', got {column!r}")
    if is_key:
        return {"type": "id", "role": "key"}
    sdtype = column["sdtype"]
    if sdtype == "numerical":
        representation = str(column.get("computer_representation", "Float")).lower()
        return {
            "type": "integer" if "int" in representation else "real",
            "low": PRIVATE,
            "high": PRIVATE,
            "missing": PRIVATE,
        }
    if sdtype == "datetime":
        written = column.get("datetime_format")
        has_time = any(code in str(written or "") for code in _TIME_CODES)
        return {
            "type": "datetime",
            "low": PRIVATE,
            "high": PRIVATE,
            "resolution": "second" if has_time else "day",
            **({"format": written} if written else {}),
            "missing": PRIVATE,
        }
    if sdtype == "categorical":
        return {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE}
    if sdtype == "boolean":
        return {"type": "boolean", "missing": PRIVATE}
    if sdtype == "id":
        return {"type": "id"}
    return {"type": "text", "drop": True}  # names, addresses and the like: never learnt from records
