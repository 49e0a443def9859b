"""Tables that are declared public: what columns refer to, and how their keys are read."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.files import refuse_unknown

_FIELDS = frozenset({"public", "key", "keys"})


@dataclass(frozen=True)
class PublicTable:
    """A table that is declared public: its keys are the values of the columns that refer to it.

    Attributes:
        file: Name of its file, beside that of the schema.
        key: The column that holds its keys.
        keys: Its keys, as texts, in the order of the file.
    """

    file: str
    key: str
    keys: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as it stands in schema JSON, with its keys: the file need not be there again."""
        return {"public": self.file, "key": self.key, "keys": list(self.keys)}


def read_public_table(name: str, fields: Mapping[str, Any], folder: Path) -> PublicTable:
    """Read a public table's keys, from the schema if they stand there, else from its file.

    Args:
        name: Of the table.
        fields: As in schema JSON.
        folder: Where the file lies.

    Raises:
        SchemaError: If a field is unknown, the file cannot be read, or a key is not there once.

    Privacy:
        Public: reads no record, but the public table.
    """
    what = f"public table {name!r}"
    refuse_unknown(what, fields, _FIELDS)
    file, key = fields["public"], fields.get("key")
    if not isinstance(file, str) or not isinstance(key, str):
        raise SchemaError(f"{what}: expected 'public' to be the name of its file, and 'key' that of a column")
    keys = fields.get("keys")
    if keys is None:
        keys = _keys_of_file(what, folder / file, key)
    if not isinstance(keys, list) or not keys or len(set(map(str, keys))) != len(keys):
        raise SchemaError(f"{what}: expected every {key!r} to be there once, and at least one")
    return PublicTable(file, key, tuple(map(str, keys)))


def column_of_reference(
    what: str, fields: Mapping[str, Any], public: Mapping[str, PublicTable]
) -> dict[str, Any]:
    """Return a column that refers to a public table, with its keys as categories."""
    table = fields["table"]
    if table not in public:
        known = f"there are {', '.join(map(repr, public))}" if public else "there is none"
        raise SchemaError(f"{what}: there is no public table {table!r}; {known}")
    if fields.get("type", "categorical") != "categorical" or "categories" in fields:
        raise SchemaError(
            f"{what}: its categories are the keys of {table!r}; leave 'categories' out, and any other type"
        )
    rest = {name: value for name, value in fields.items() if name != "table"}
    return rest | {"type": "categorical", "categories": list(public[table].keys)}


def _keys_of_file(what: str, path: Path, key: str) -> list[str]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if path.suffix == ".gz"
            else open(path, encoding="utf-8-sig", newline="")
        ) as file:
            rows = csv.DictReader(file)
            if key not in (rows.fieldnames or ()):
                raise SchemaError(f"{what}: the file {path.name!r} has no column {key!r}")
            return [row[key] for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SchemaError(f"{what}: {str(path)!r} cannot be read ({type(error).__name__})") from None
