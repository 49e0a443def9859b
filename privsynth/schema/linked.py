"""What is public about linked tables: a tree of tables with the person at its root, and public tables.

Each table is described as a table of its own is, by a `Schema` in which its parent's key stands where the
person column of a single table does. How its rows are learnt follows: `privsynth.schema.linked_views`.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.columns import KEY_ROLES, Column
from privsynth.schema.files import read_fields
from privsynth.schema.plain_values import plain
from privsynth.schema.schema import Schema
from privsynth.schema.sdv import linked_fields_from_sdv
from privsynth.schema.sequences import most_records

LINKED_VERSION = 2
MOST_PARTS = 2**10
"""Largest product of caps along a path: a 64th of the grid on which rows weigh
(`privsynth.privacy.units.PERSON_GRID`), so that rounding weights down costs at most a 64th of a person."""

ROWS_OF_LINKED = (
    "a synthetic row of the table of persons stands for one person, and those of other tables belong to the "
    "rows that their keys name, which are made afresh"
)
_FIELDS = frozenset({"version", "tables", "person"})
_OF_TABLE = frozenset({"key", "columns", "constraints", "csv"})
_OF_CHILD = frozenset({"parent", "parent_key", "max_records_per_parent"})
_OF_PUBLIC = frozenset({"public", "key", "keys"})

ONE_PARENT = (
    "a row must belong to one person alone, through one table: with two parents it could belong to two. Keep "
    "the link that leads to the person, and list the other key as a column, or join what it refers to into "
    "the table"
)


def is_linked(fields: object) -> bool:
    """Whether the objects of a file describe linked tables, as `LinkedSchema` reads them."""
    return isinstance(fields, Mapping) and "tables" in fields and ("person" in fields or "version" in fields)


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


@dataclass(frozen=True)
class LinkedTable:
    """One table of the tree.

    Attributes:
        name: Its name.
        schema: Its description as a table by itself, in which the key of its parent names "persons"; of the
            root its own key does.
        key: The column that names its rows, which its children refer to; None if nothing refers to it.
        parent: Name of the table that its rows belong to; None for the root.
        references: Public table that a column refers to, by column.
    """

    name: str
    schema: Schema
    key: str | None
    parent: str | None
    references: Mapping[str, str]

    @property
    def parent_key(self) -> str | None:
        """The column that says to which row of the parent a row belongs; None for the root."""
        return None if self.parent is None else self.schema.person_id

    @property
    def max_records_per_parent(self) -> int:
        """Largest number of rows of one parent row; 1 for the root."""
        assert self.schema.max_records_per_person is not None
        return int(self.schema.max_records_per_person)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as it stands in schema JSON."""
        whole = self.schema.to_dict()
        keys = (self.key, self.parent_key)
        columns = {name: fields for name, fields in whole["columns"].items() if name not in keys}
        for name, public in self.references.items():
            del columns[name]["categories"]
            columns[name]["table"] = public
        of_child: dict[str, Any] = (
            {}
            if self.parent is None
            else {
                "parent": self.parent,
                "parent_key": self.parent_key,
                "max_records_per_parent": self.max_records_per_parent,
            }
        )
        key: dict[str, Any] = {} if self.key is None else {"key": self.key}
        rest = {name: whole[name] for name in ("constraints", "csv") if name in whole}
        return key | of_child | {"columns": columns} | rest


class LinkedSchema:
    """The public description of linked tables, in which every row belongs to one person.

    Args:
        tables: Table name to its fields, as in schema JSON: ``key``, ``columns``, ``constraints``, ``csv``;
            of all but the root also ``parent``, ``parent_key`` and ``max_records_per_parent``. A public table
            has ``public``, its file, and ``key``; a column refers to it by ``"table"`` instead of categories.
        person: Name of the table whose rows are the persons: the root of the tree.
        folder: Where the files of public tables lie.

    Attributes:
        tables: The tables of the tree by name, each after its parent.
        public_tables: The public tables by name.
        person: Name of the root.

    Raises:
        SchemaError: If a field is unknown or missing, or the tables are not one tree with ``person`` at its
            root.

    Privacy:
        Public: reads no record, but the public tables.

    Example:
        >>> bank = LinkedSchema({"client": {"key": "client_id", "columns": {"old": {"type": "boolean"}}},
        ...                      "account": {"parent": "client", "parent_key": "client_id",
        ...                                  "max_records_per_parent": 3,
        ...                                  "columns": {"open": {"type": "boolean"}}}}, person="client")
        >>> bank.children("client"), bank.max_records_of("account")
        (('account',), 3)
        >>> LinkedSchema.from_dict(bank.to_dict()) == bank
        True
    """

    def __init__(
        self, tables: Mapping[str, Mapping[str, Any]], *, person: str, folder: str | Path = "."
    ) -> None:
        if not isinstance(tables, Mapping) or not tables:
            raise SchemaError("expected 'tables' to map at least one table name to its description")
        for name, fields in tables.items():
            if not isinstance(fields, Mapping):
                raise SchemaError(f"table {name!r}: expected an object, got {type(fields).__name__}")
        is_public = {str(name): "public" in fields for name, fields in tables.items()}
        self.public_tables = {
            name: _public_table(name, tables[name], Path(folder))
            for name, is_so in is_public.items()
            if is_so
        }
        own = {name: dict(tables[name]) for name, is_so in is_public.items() if not is_so}
        self.person = person
        _check_tree(own, person, self.public_tables)
        read = {name: _table(name, fields, self.public_tables) for name, fields in own.items()}
        self.tables: dict[str, LinkedTable] = {person: read.pop(person)}
        while read:
            name = next(name for name, table in read.items() if table.parent in self.tables)
            self.tables[name] = read.pop(name)
        self._check_tables()

    def _check_tables(self) -> None:
        for name, table in self.tables.items():
            if self.children(name) and table.key is None:
                raise SchemaError(
                    f"table {name!r} has no 'key', and {self.children(name)[0]!r} refers to it; name the "
                    "column that names its rows"
                )
            if not table.schema.modelled:
                raise SchemaError(
                    f"table {name!r} has no column to learn: all are ids, keys or text; add one"
                )
            if self.max_records_of(name) > MOST_PARTS:
                caps = " x ".join(str(t.max_records_per_parent) for t in self.path(name)[1:])
                raise SchemaError(
                    f"table {name!r}: expected at most {MOST_PARTS} rows of one person, got {caps} = "
                    f"{self.max_records_of(name)}; lower 'max_records_per_parent' on the way to it"
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinkedSchema) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable mapping inside

    def __repr__(self) -> str:
        return f"LinkedSchema({', '.join(self.tables)}; person={self.person!r})"

    # -- the tree ------------------------------------------------------------------------------------

    def children(self, name: str) -> tuple[str, ...]:
        """Return the tables whose rows belong to rows of this one."""
        return tuple(child for child, table in self.tables.items() if table.parent == name)

    def path(self, name: str) -> list[LinkedTable]:
        """Return the tables from the root down to this one."""
        table = self.tables[name]
        return [*([] if table.parent is None else self.path(table.parent)), table]

    def max_records_of(self, name: str) -> int:
        """Return the largest number of rows of one person in a table: the product of caps on the way."""
        return math.prod(table.max_records_per_parent for table in self.path(name))

    def most_children(self, name: str) -> int:
        """Return the largest number of rows of one parent row that are told apart."""
        return most_records(self.tables[name].schema)

    # -- what a fit asks of a schema -----------------------------------------------------------------

    @property
    def columns(self) -> dict[str, Column]:
        """All columns, by ``table.column``."""
        return {
            f"{name}.{column.name}": column
            for name, table in self.tables.items()
            for column in table.schema.columns.values()
        }

    @property
    def unit(self) -> str:
        """The unit of the guarantee."""
        return "person"

    @property
    def person_id(self) -> str:
        """The column that names persons."""
        return f"{self.person}.{self.tables[self.person].key}"

    @property
    def max_records_per_person(self) -> int:
        """Largest number of rows of one person in any table."""
        return max(map(self.max_records_of, self.tables))

    @property
    def is_sequential(self) -> bool:
        """Whether the rows of a person belong together in the synthetic tables too."""
        return True

    @property
    def rows_of_persons(self) -> str:
        """What a synthetic row means."""
        return ROWS_OF_LINKED

    @property
    def types_from_records(self) -> bool:
        """Whether column types are a function of the records."""
        return False

    @property
    def given(self) -> str | None:
        """What a guarantee is conditional on; None if on nothing."""
        return None

    def require_complete(self) -> None:
        """Raise a `SchemaError` if a fact is neither declared public nor ``"private"``."""
        for name, table in self.tables.items():
            with _said_of(name):
                table.schema.require_complete()

    def public_facts(self) -> list[str]:
        """Say, a sentence each, what the schema declares public."""
        facts = []
        for name, table in self.tables.items():
            if table.parent is None:
                facts.append(f"table {name}: a row is a person, and every {table.key!r} is unique")
            else:
                facts.append(
                    f"table {name}: each row belongs to one row of {table.parent} ({table.parent_key!r}), of "
                    f"which up to {table.max_records_per_parent} rows are used"
                    + (f"; every {table.key!r} is unique" if self.children(name) else "")
                )
            own = [column for column in table.schema.columns.values() if column.role not in KEY_ROLES]
            facts += [f"table {name}: {column.public_facts()}" for column in own]
            facts += [f"table {name}: constraint: {constraint}" for constraint in table.schema.constraints]
        return facts + [f"table {name}: public, {len(t.keys)} keys" for name, t in self.public_tables.items()]

    # -- JSON ----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-able objects."""
        return {
            "version": LINKED_VERSION,
            "tables": {name: t.to_dict() for name, t in (self.tables | self.public_tables).items()},
            "person": self.person,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], *, folder: str | Path = ".") -> LinkedSchema:
        """Read a schema from JSON-able objects; unknown keys are errors.

        Args:
            fields: As `to_dict` writes them.
            folder: Where the files of public tables lie.
        """
        if not isinstance(fields, Mapping) or "tables" not in fields:
            raise SchemaError(
                "expected an object with 'tables' and 'person', the description of linked tables"
            )
        _check_fields("the schema of linked tables", fields, _FIELDS)
        if fields.get("version", LINKED_VERSION) != LINKED_VERSION:
            raise SchemaError(f"expected schema version {LINKED_VERSION}, got {fields['version']!r}")
        if not isinstance(fields.get("person"), str):
            raise SchemaError("expected 'person' to name the table whose rows are the persons")
        return cls(fields["tables"], person=fields["person"], folder=folder)

    @classmethod
    def from_sdv(
        cls,
        metadata: Mapping[str, Any] | str | Path,
        *,
        max_records_per_parent: Mapping[str, int],
        public: Mapping[str, str] | None = None,
        folder: str | Path = ".",
    ) -> LinkedSchema:
        """Read SDV's metadata of several tables, or its file; every fact about values becomes ``"private"``.

        The table without a parent is that of persons.

        Args:
            metadata: As SDV writes it, with ``tables`` and ``relationships``.
            max_records_per_parent: Of every other table the largest number of rows of one parent row that is
                used; metadata does not say it.
            public: File of each table that is public; what refers to it becomes a column over its keys.
            folder: Where these files lie.
        """
        fields = read_fields(metadata) if isinstance(metadata, str | Path) else metadata
        return cls.from_dict(
            linked_fields_from_sdv(fields, max_records_per_parent=max_records_per_parent, public=public),
            folder=folder,
        )

    def save(self, path: str | Path) -> None:
        """Write the schema as JSON."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> LinkedSchema:
        """Read schema JSON, or YAML that means the same; files of public tables lie beside it."""
        return cls.from_dict(read_fields(path), folder=Path(path).parent)


@contextmanager
def _said_of(name: str) -> Iterator[None]:
    """Put the table's name before what is wrong with it."""
    try:
        yield
    except SchemaError as error:
        raise SchemaError(f"table {name!r}: {error}") from None


def _check_fields(what: str, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise SchemaError(f"unknown key {unknown[0]!r} in {what}; known are {', '.join(sorted(known))}")


def _check_tree(
    tables: Mapping[str, Mapping[str, Any]], person: str, public: Mapping[str, PublicTable]
) -> None:
    """Raise a `SchemaError` unless every table but the root has one parent, and all lead to the root."""
    if person not in tables:
        raise SchemaError(
            f"'person' names the table {person!r}, and there is none; there are {_list(tables)}"
        )
    for name, fields in tables.items():
        parent = fields.get("parent")
        if parent is not None and not isinstance(parent, str):
            raise SchemaError(
                f"table {name!r}: expected 'parent' to name one table, got {parent!r}: {ONE_PARENT}"
            )
        if name == person and parent is not None:
            raise SchemaError(
                f"table {name!r} holds the persons, so it is the root and has no 'parent'; name as 'person' "
                "the table whose rows everything else belongs to"
            )
        if name != person and parent is None:
            raise SchemaError(
                f"table {name!r} has no 'parent', and {person!r} is the root: expected one tree in which "
                'each row belongs to a person. A table about nobody is declared public ("public": its file)'
            )
        if parent in public:
            raise SchemaError(
                f"table {name!r}: its parent {parent!r} is public, so its rows would belong to nobody; refer "
                f'to it by a column with "table": {parent!r}'
            )
        if parent is not None and parent not in tables:
            raise SchemaError(f"table {name!r}: there is no table {parent!r}; there are {_list(tables)}")
    for name in tables:
        seen = [name]
        while (parent := tables[seen[-1]].get("parent")) is not None:
            if parent in seen:
                circle = " -> ".join([*seen[seen.index(parent) :], parent])
                raise SchemaError(f"the tables refer to one another in a circle: {circle}; expected a tree")
            seen.append(parent)


def _table(name: str, fields: Mapping[str, Any], public: Mapping[str, PublicTable]) -> LinkedTable:
    """Read one table of the tree."""
    is_root = fields.get("parent") is None
    what = f"table {name!r}"
    if "parents" in fields:
        raise SchemaError(f"{what}: expected one 'parent', got 'parents': {ONE_PARENT}")
    _check_fields(what, fields, _OF_TABLE if is_root else _OF_TABLE | _OF_CHILD)
    for needed in ["key"] if is_root else ["parent_key", "max_records_per_parent"]:
        if fields.get(needed) is None:
            raise SchemaError(f"{what}: {_WHY[needed]}")
    key, parent_key = fields.get("key"), fields.get("parent_key")
    for column in (key, parent_key):
        if column is not None and not isinstance(column, str):
            raise SchemaError(f"{what}: expected a key to be the name of one column, got {column!r}")
    if key is not None and key == parent_key:
        raise SchemaError(f"{what}: {key!r} is the key of its rows and of their parents; leave 'key' out")
    cap = plain(fields.get("max_records_per_parent", 1))
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise SchemaError(f"{what}: expected a whole number max_records_per_parent >= 1, got {cap!r}")
    stated = fields.get("columns")
    if not isinstance(stated, Mapping) or not stated:
        raise SchemaError(f"{what}: expected 'columns' to map at least one column name to its description")
    columns: dict[str, Any] = {} if key is None else {key: {"type": "id", "role": "key"}}
    columns[str(key if is_root else parent_key)] = {"type": "id", "role": "person_id"}
    references = {}
    for column, of in stated.items():
        if column in columns:
            raise SchemaError(f"{what}: {column!r} is a key, which is made afresh; leave it out of 'columns'")
        if isinstance(of, Mapping) and "table" in of:
            references[column] = str(of["table"])
            of = _reference(f"{what}: column {column!r}", of, public)
        if isinstance(of, Mapping):
            _check_column(f"{what}: column {column!r}", of, is_root=is_root)
        columns[column] = of
    with _said_of(name):
        schema = Schema(
            columns,
            csv=fields.get("csv"),
            max_records_per_person=cap,
            constraints=fields.get("constraints", ()),
        )
    return LinkedTable(name, schema, key, fields.get("parent"), references)


_WHY = {
    "key": "the root has no 'key'; name the column that names its rows, the persons",
    "parent_key": "it has no 'parent_key'; name the column that says which row of its parent it belongs to",
    "max_records_per_parent": (
        "it has no 'max_records_per_parent': the largest number of rows of one parent row that the model may "
        "use is public, and limits how much one person counts"
    ),
}


def _check_column(what: str, fields: Mapping[str, Any], *, is_root: bool) -> None:
    if fields.get("per") is not None:
        raise SchemaError(
            f"{what}: what a person's rows share stands in the table of persons; leave 'per' out"
        )
    if fields.get("role") in KEY_ROLES:
        raise SchemaError(f"{what}: keys are named by 'key' and 'parent_key'; leave the role out")
    if is_root and fields.get("role") == "order":
        raise SchemaError(
            f"{what}: each row of the root is a person, and persons have no order; leave it out"
        )


def _reference(what: str, fields: Mapping[str, Any], public: Mapping[str, PublicTable]) -> dict[str, Any]:
    """Return a column that refers to a public table, with its keys as categories."""
    table = fields["table"]
    if table not in public:
        known = f"there are {_list(public)}" if public else "there is none"
        raise SchemaError(f"{what}: there is no public table {table!r}; {known}")
    if fields.get("type", "categorical") != "categorical" or "categories" in fields:
        raise SchemaError(
            f"{what}: its categories are the keys of {table!r}; leave 'categories' out, and any other type"
        )
    rest = {name: value for name, value in fields.items() if name != "table"}
    return rest | {"type": "categorical", "categories": list(public[table].keys)}


def _public_table(name: str, fields: Mapping[str, Any], folder: Path) -> PublicTable:
    """Read a public table's keys, from the schema if they stand there, else from its file."""
    what = f"public table {name!r}"
    _check_fields(what, fields, _OF_PUBLIC)
    file, key = fields["public"], fields.get("key")
    if not isinstance(file, str) or not isinstance(key, str):
        raise SchemaError(f"{what}: expected 'public' to be the name of its file, and 'key' that of a column")
    keys = fields.get("keys")
    if keys is None:
        keys = _keys_of_file(what, folder / file, key)
    if not isinstance(keys, list) or not keys or len(set(map(str, keys))) != len(keys):
        raise SchemaError(f"{what}: expected every {key!r} to be there once, and at least one")
    return PublicTable(file, key, tuple(map(str, keys)))


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


def _list(names: Any) -> str:
    return ", ".join(map(repr, names))
