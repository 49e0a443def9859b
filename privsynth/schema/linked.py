"""What is public about linked tables: a tree of tables with the person at its root, and public tables.

Each table is described as a table of its own is, by a `Schema` in which its parent's key stands where the
person column of a single table does. How its rows are learnt follows: `privsynth.schema.linked_views`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.columns import KEY_ROLES, PERSON, Column
from privsynth.schema.constraints import Constraint, read_constraints
from privsynth.schema.files import read_fields, refuse_unknown, write_fields
from privsynth.schema.linked_tables import (
    LinkedTable,
    check_tree,
    given_name,
    read_linked_table,
    said_of_table,
)
from privsynth.schema.public_tables import read_public_table
from privsynth.schema.row_rules import check_row_rules, columns_before
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


def is_linked(fields: object) -> bool:
    """Whether the objects of a file describe linked tables, as `LinkedSchema` reads them."""
    return isinstance(fields, Mapping) and "tables" in fields and ("person" in fields or "version" in fields)


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
            if not _is_name(name):
                raise SchemaError(
                    f"expected the name of a table, which names its file and its releases, got {name!r}; "
                    "leave out slashes, control characters and blanks at its ends"
                )
            if not isinstance(fields, Mapping):
                raise SchemaError(f"table {name!r}: expected an object, got {type(fields).__name__}")
        is_public = {str(name): "public" in fields for name, fields in tables.items()}
        self.public_tables = {
            name: read_public_table(name, tables[name], Path(folder))
            for name, is_so in is_public.items()
            if is_so
        }
        own = {name: dict(tables[name]) for name, is_so in is_public.items() if not is_so}
        self.person = person
        check_tree(own, person, self.public_tables)
        read = {name: read_linked_table(name, of, self.public_tables, own) for name, of in own.items()}
        self.tables: dict[str, LinkedTable] = {person: read.pop(person)}
        while read:
            name = next(name for name, table in read.items() if table.parent in self.tables)
            self.tables[name] = read.pop(name)
        self._check_tables()

    def _check_tables(self) -> None:
        for name, table in self.tables.items():
            with said_of_table(name):
                self.rules(name)  # raises an error if one cannot be kept
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

    def rules(self, name: str) -> tuple[Constraint, ...]:
        """Return the constraints between rows of a table and those above them.

        Raises:
            SchemaError: If one is malformed, or names a column that no table above learns.
        """
        table = self.tables[name]
        own = table.schema.columns
        above = {
            given_name(where.name, column.name): replace(
                column, name=given_name(where.name, column.name), role=None, per=PERSON
            )
            for where in self.path(name)[:-1]
            for column in where.schema.modelled
        }
        for fields in table.rules:
            unknown = [c for c in fields["columns"] if c not in {**own, **above, **columns_before(own)}]
            if unknown:
                raise SchemaError(
                    f"constraints: {fields.get('kind')!r} names {unknown[0]!r}, and no table above has "
                    f"such a column to learn; there are {', '.join(map(repr, above)) or 'none'}"
                )
            if fields.get("kind") != "inequality":
                raise SchemaError(
                    f"constraints: {fields.get('kind')!r} names columns of a table above, which inequalities "
                    "alone may; state one, or leave it out"
                )
        stated = table.schema.to_dict().get("constraints", [])
        read = read_constraints([*stated, *table.rules], {**own, **above, **columns_before(own)})
        most = self.most_children(name) if table.parent is not None else 1
        check_row_rules(read, {**own, **above}, most)
        return read[len(stated) :]

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
            with said_of_table(name):
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
            stated = [*table.schema.constraints, *self.rules(name)]
            facts += [f"table {name}: constraint: {constraint}" for constraint in stated]
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
        refuse_unknown("the schema of linked tables", fields, _FIELDS)
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
        write_fields(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> LinkedSchema:
        """Read schema JSON, or YAML that means the same; files of public tables lie beside it."""
        return cls.from_dict(read_fields(path), folder=Path(path).parent)


def _is_name(name: object) -> bool:
    """Whether it can be the name of a file in a folder, and of a part of a run."""
    if not isinstance(name, str) or not name or name != name.strip():
        return False
    return name.isprintable() and not set(name) & set("/\\")
