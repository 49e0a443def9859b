"""Read SDV's metadata JSON: it gives types, keys and sequences, and the rest becomes ``"private"``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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


def fields_from_sdv(
    fields: Mapping[str, Any], *, max_records_per_person: int | None = None
) -> dict[str, Any]:
    """Return the schema JSON for SDV metadata, in which every fact about values is ``"private"``.

    Numerical columns with a ``computer_representation`` of integers become integers. Identifiers become
    ids, the primary key a key; every other sdtype (names, addresses …) becomes text that is dropped. The
    ``sequence_key`` names persons, and the ``sequence_index`` orders their rows.

    Args:
        fields: The metadata.
        max_records_per_person: Rows used of each person, which SDV's metadata does not tell.

    Raises:
        SchemaError: If the metadata describes several tables or none, a column has no sdtype, or rows belong
            together and it is not said how many of a person are used.

    Privacy:
        Public: reads no record.
    """
    if "tables" in fields:
        tables = fields["tables"]
        if not isinstance(tables, Mapping) or len(tables) != 1:
            raise SchemaError(
                "expected SDV metadata of one table; LinkedSchema.from_sdv reads that of linked ones"
            )
        fields = next(iter(tables.values()))
    columns = fields.get("columns") if isinstance(fields, Mapping) else None
    if not isinstance(columns, Mapping) or not columns:
        raise SchemaError("the SDV metadata lists no columns")
    keys = fields.get("primary_key") or ()
    keys = {keys} if isinstance(keys, str) else set(keys)
    out: dict[str, Any] = {
        "columns": {name: _column(name, column, name in keys) for name, column in columns.items()}
    }
    if fields.get("sequence_key"):
        _take_sequences(out["columns"], fields, max_records_per_person)
    if max_records_per_person is not None:
        out["max_records_per_person"] = max_records_per_person
    return out


def _take_sequences(
    columns: dict[str, dict[str, Any]], fields: Mapping[str, Any], max_records_per_person: int | None
) -> None:
    """Give the columns that say whose a row is, and how a person's rows are ordered, their roles."""
    key, order = fields["sequence_key"], fields.get("sequence_index")
    named = {"sequence_key": key, **({"sequence_index": order} if order else {})}
    for what, name in named.items():
        if not isinstance(name, str) or name not in columns:
            raise SchemaError(f"the SDV metadata names {name!r} as {what}, which is none of its columns")
    if max_records_per_person is None:
        raise SchemaError(
            f"the SDV metadata has the sequence_key {key!r}, so rows belong together, and cannot say how "
            "many of a person shall be used at most: `privsynth schema --from METADATA -o SCHEMA "
            "--max-records N` says it, and writes the schema"
        )
    columns[key] = {"type": "id", "role": "person_id"}
    if order:
        known = {name: fact for name, fact in columns[order].items() if name != "missing"}
        columns[order] = known | {"role": "order"}


def linked_fields_from_sdv(
    fields: Mapping[str, Any],
    *,
    max_records_per_parent: Mapping[str, int],
    public: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the JSON of linked tables for SDV metadata of several; see `fields_from_sdv` for their columns.

    The table without a parent is that of persons.

    Args:
        fields: SDV metadata with ``tables`` and ``relationships``.
        max_records_per_parent: Of every other table the largest number of rows of one parent row that is
            used; metadata does not say it.
        public: File of each table that is public; what refers to it becomes a column over its keys.

    Raises:
        SchemaError: If the metadata lacks a name, or not exactly one table has no parent.

    Privacy:
        Public: reads no record.
    """
    public = public or {}
    tables, links = fields.get("tables"), fields.get("relationships", [])
    if not isinstance(tables, Mapping) or not isinstance(links, list):
        raise SchemaError("expected SDV metadata with 'tables' and 'relationships'")
    parents: dict[str, list[tuple[str, str]]] = {}
    for link in links:
        if not isinstance(link, Mapping) or not link.keys() >= _OF_LINK:
            raise SchemaError(f"expected each relationship of the SDV metadata to have {_list(_OF_LINK)}")
        child, parent, key = (str(link[name]) for name in _PARTS_OF_LINK)
        parents.setdefault(child, []).append((parent, key))
    out: dict[str, Any] = {
        name: {"public": file, "key": _primary_key(name, tables.get(name))} for name, file in public.items()
    }
    roots = []
    for name, table in tables.items():
        if name in public:
            continue
        columns = dict(fields_from_sdv(table)["columns"])
        found = parents.get(name, [])
        for parent, key in found:
            if parent in public:
                columns[key] = {"table": parent, "missing": PRIVATE}
        own = [(parent, key) for parent, key in found if parent not in public]
        out[name] = {"key": table["primary_key"]} if table.get("primary_key") else {}
        if own:
            named = [parent for parent, _ in own]
            cap = max_records_per_parent.get(name)
            out[name] |= {"parent": named[0] if len(named) == 1 else named, "parent_key": own[0][1]}
            out[name] |= {"max_records_per_parent": cap}
        else:
            roots.append(name)
        keys = {out[name].get("key"), out[name].get("parent_key")}
        out[name]["columns"] = {column: of for column, of in columns.items() if column not in keys}
    if len(roots) != 1:
        raise SchemaError(
            f"expected SDV metadata in which one table has no parent, that of persons, got {_list(roots)}; "
            "name in 'public' those that are about nobody"
        )
    return {"version": 2, "tables": out, "person": roots[0]}


_PARTS_OF_LINK = ("child_table_name", "parent_table_name", "child_foreign_key")
_OF_LINK = frozenset(_PARTS_OF_LINK)


def _list(names: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"


def _primary_key(name: str, table: object) -> Any:
    key = table.get("primary_key") if isinstance(table, Mapping) else None
    if not isinstance(key, str):
        raise SchemaError(f"the SDV metadata gives the public table {name!r} no primary_key")
    return key


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
