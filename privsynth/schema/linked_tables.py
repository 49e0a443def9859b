"""The tables of linked tables: what each declares, and that all lead to the persons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.columns import KEY_ROLES
from privsynth.schema.files import refuse_unknown
from privsynth.schema.plain_values import plain
from privsynth.schema.public_tables import PublicTable, column_of_reference
from privsynth.schema.schema import Schema

_FIELDS_OF_ROOT = frozenset({"key", "columns", "constraints", "csv"})
_FIELDS_OF_CHILD = _FIELDS_OF_ROOT | {"parent", "parent_key", "max_records_per_parent"}
_WHY = {
    "key": "the root has no 'key'; name the column that names its rows, the persons",
    "parent_key": "it has no 'parent_key'; name the column that says which row of its parent it belongs to",
    "max_records_per_parent": (
        "it has no 'max_records_per_parent': the largest number of rows of one parent row that the model may "
        "use is public, and limits how much one person counts"
    ),
}

_ONE_PARENT = (
    "a row must belong to one person alone, through one table: with two parents it could belong to two. Keep "
    "the link that leads to the person, and list the other key as a column, or join what it refers to into "
    "the table"
)


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
        rules: Constraints that name columns of tables above, as in schema JSON.
    """

    name: str
    schema: Schema
    key: str | None
    parent: str | None
    references: Mapping[str, str]
    rules: tuple[Mapping[str, Any], ...] = ()

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
        if self.rules:
            rest["constraints"] = [*rest.get("constraints", []), *map(dict, self.rules)]
        return key | of_child | {"columns": columns} | rest


def given_name(table: str, column: str) -> str:
    """Return the name that a column of a table has in the views and constraints of those below it."""
    return f"{table}.{column}"


def check_tree(
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
                f"table {name!r}: expected 'parent' to name one table, got {parent!r}: {_ONE_PARENT}"
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


def read_linked_table(
    name: str, fields: Mapping[str, Any], public: Mapping[str, PublicTable], tables: Iterable[str] = ()
) -> LinkedTable:
    """Read one table of the tree.

    Args:
        name: Of the table.
        fields: As in schema JSON.
        public: Public tables that its columns may refer to, by name.
        tables: The tables of the tree, whose columns constraints may name, by ``TABLE.column``.

    Raises:
        SchemaError: If a field is unknown, missing or of another type.
    """
    is_root = fields.get("parent") is None
    what = f"table {name!r}"
    if "parents" in fields:
        raise SchemaError(f"{what}: expected one 'parent', got 'parents': {_ONE_PARENT}")
    refuse_unknown(what, fields, _FIELDS_OF_ROOT if is_root else _FIELDS_OF_CHILD)
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
            of = column_of_reference(f"{what}: column {column!r}", of, public)
        if isinstance(of, Mapping):
            _check_column(f"{what}: column {column!r}", of, is_root=is_root)
        columns[column] = of
    own, rules = _apart(fields.get("constraints", ()), columns, tables)
    with said_of_table(name):
        schema = Schema(columns, csv=fields.get("csv"), max_records_per_person=cap, constraints=own)
    return LinkedTable(name, schema, key, fields.get("parent"), references, rules)


def _apart(
    constraints: Any, columns: Mapping[str, Any], tables: Iterable[str]
) -> tuple[Any, tuple[Mapping[str, Any], ...]]:
    """Return the constraints of a table by itself, and those that name columns of other tables."""
    if not isinstance(constraints, list | tuple) or not all(isinstance(c, Mapping) for c in constraints):
        return constraints, ()

    def is_rule(fields: Mapping[str, Any]) -> bool:
        named = fields.get("columns")
        return isinstance(named, list | tuple) and any(
            isinstance(column, str)
            and column not in columns
            and any(column.startswith(given_name(table, "")) for table in tables)
            for column in named
        )

    rules = tuple(plain(fields) for fields in constraints if is_rule(fields))
    return [fields for fields in constraints if not is_rule(fields)], rules


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


@contextmanager
def said_of_table(name: str) -> Iterator[None]:
    """Put the table's name before what is wrong with its description."""
    try:
        yield
    except SchemaError as error:
        raise SchemaError(f"table {name!r}: {error}") from None


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
