"""Turn a code book into a schema: SDV metadata, Frictionless Table Schema, pandera, or a CSV of columns.

No record is read. What a code book says and a schema cannot is not dropped in silence but noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.code_books.base import KNOWN, OF_ALL, CodeBook, Columns, note_unknown
from privsynth.schema.code_books.columns_csv import from_csv
from privsynth.schema.code_books.frictionless import from_frictionless, table_schema
from privsynth.schema.code_books.pandera import from_pandera
from privsynth.schema.files import read_fields
from privsynth.schema.schema import Schema
from privsynth.schema.sdv import fields_from_sdv, is_sdv_metadata

__all__ = ["OF_ALL", "CodeBook", "schema_from_code_book"]


def schema_from_code_book(path: str | Path, *, max_records_per_person: int | None = None) -> CodeBook:
    """Read a code book; its kind is found by its content.

    Bounds, categories and gaps that it tells are taken over as public, the rest is ``"private"``.

    Args:
        path: JSON, YAML or CSV file.
        max_records_per_person: Rows used of each person, where it names persons (SDV's ``sequence_key``, the
            role ``person_id``): no code book but a schema of ours tells that.

    Raises:
        SchemaError: If the file cannot be read, is of no known kind, or describes no single table.

    Privacy:
        Public: reads no record.
    """
    if Path(path).suffix.lower() in (".csv", ".tsv"):
        return from_csv(Path(path), max_records_per_person)
    fields = read_fields(path)
    if is_sdv_metadata(fields):
        sdv = fields_from_sdv(fields, max_records_per_person=max_records_per_person)
        return CodeBook(Schema.from_dict(sdv), notes_on_sdv(fields))
    if max_records_per_person is not None:
        raise SchemaError(
            "--max-records (max_records_per_person) is for code books that name persons: SDV metadata with a "
            f"sequence_key, or a CSV with the role person_id; {str(path)!r} is neither"
        )
    if isinstance(fields, Mapping):
        if "fields" in fields or "resources" in fields:
            return from_frictionless(table_schema(fields))
        columns = fields.get("columns")
        if isinstance(columns, Mapping):
            described = [column for column in columns.values() if isinstance(column, Mapping)]
            if fields.get("schema_type") == "dataframe" or any("dtype" in column for column in described):
                return from_pandera(fields)
            return CodeBook(Schema.from_dict(fields), {})  # a schema of ours, perhaps in YAML
    raise SchemaError(f"{str(path)!r} is no code book that is known; known are {KNOWN}")


def notes_on_sdv(fields: Mapping[str, Any]) -> dict[str, list[str]]:
    columns = Columns()
    table = next(iter(fields["tables"].values())) if "tables" in fields else fields
    not_taken = ["alternate_keys", "column_relationships", "relationships"]
    if table.get("sequence_key"):
        shared = 'which columns a person\'s rows share it cannot say: give them "per": "person"'
        columns.note(OF_ALL, f"persons are named by {table['sequence_key']!r}; {shared}")
    else:
        not_taken.append("sequence_index")
    for key in not_taken:
        if table.get(key) or fields.get(key):
            columns.note(OF_ALL, f"{key!r} is not taken over")
    for name, column in table["columns"].items():
        known = {"sdtype", "computer_representation", "datetime_format", "pii"}
        note_unknown(columns, name, {key: column[key] for key in column if key not in known})
        if column["sdtype"] not in ("numerical", "datetime", "categorical", "boolean", "id"):
            columns.note(name, f"left out: the sdtype {column['sdtype']!r} is never learnt from records")
    return columns.notes
