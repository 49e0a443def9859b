"""What is public about a table: its columns, their types, ranges and roles.

Each fact in it is declared public, except those set to ``"private"``, which are found under the privacy
budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.columns import TYPES, Column
from privsynth.schema.constraints import Constraint, Sum, read_constraints
from privsynth.schema.dialect import CsvDialect
from privsynth.schema.files import read_fields, refuse_unknown, write_fields
from privsynth.schema.image_shape import ImageShape
from privsynth.schema.plain_values import plain
from privsynth.schema.row_rules import PREVIOUS, check_names_before, check_row_rules, columns_before
from privsynth.schema.sdv import fields_from_sdv, is_sdv_metadata
from privsynth.schema.times import TimeFormat
from privsynth.schema.workload import Workload, read_workload

SCHEMA_VERSION = 1
ROWS_OF_PERSONS = (
    "each synthetic row stands for one person: shares and means count every person once, however many "
    "records they have, and are not those of records"
)
ROWS_OF_HISTORIES = (
    "the synthetic rows of a person belong together, and the person column, made afresh, says which they "
    "are: shares and means count every person once, however many rows they have"
)
_SCHEMA_FIELDS = frozenset(
    {
        "version",
        "csv",
        "image",
        "columns",
        "max_records_per_person",
        "constraints",
        "workload",
        "types_from_records",
    }
)


class Schema:
    """The public description of a table, and the roles of its columns.

    Args:
        columns: Column name to its fields, in the order of the table (see `Column`).
        image: Shape of the images that the columns speak of; None for a table.
        csv: How CSV files of the table are written, as in schema JSON; see
            `privsynth.schema.dialect.CsvDialect`.
        max_records_per_person: Rows kept of each person; required with a person column.
        constraints: Constraints that every row satisfies, as in schema JSON; see
            `privsynth.schema.constraints`.
        workload: Tables of counts that a fit measures whatever its choice says: lists of column names.
        types_from_records: Whether the types are a function of the records, inferred from values or taken
            over from how a frame or a Parquet file stores them: no guarantee covers that.

    Raises:
        SchemaError: If a field is unknown or out of range, or two columns claim one role.

    Privacy:
        Public: reads no record.

    Example:
        >>> schema = Schema({"age": {"type": "integer", "low": 17, "high": 90},
        ...                  "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"}})
        >>> schema.groups
        ['sex']
        >>> Schema.from_dict(schema.to_dict()) == schema
        True
    """

    def __init__(
        self,
        columns: Mapping[str, Mapping[str, Any] | Column],
        *,
        image: Mapping[str, Any] | ImageShape | None = None,
        csv: Mapping[str, Any] | CsvDialect | None = None,
        max_records_per_person: int | None = None,
        constraints: Iterable[Mapping[str, Any]] = (),
        workload: Iterable[Iterable[str]] = (),
        types_from_records: bool = False,
    ) -> None:
        if not isinstance(columns, Mapping) or not columns:
            raise SchemaError("expected 'columns' to map at least one column name to its description")
        self.columns: dict[str, Column] = {
            str(name): fields if isinstance(fields, Column) else Column.from_dict(str(name), fields)
            for name, fields in columns.items()
        }
        self.image = image if isinstance(image, ImageShape | None) else ImageShape.from_dict(image)
        self.csv = csv if isinstance(csv, CsvDialect | None) else CsvDialect.from_dict(csv)
        self.max_records_per_person = plain(max_records_per_person)
        stated = list(constraints) if isinstance(constraints, Iterable) else [None]
        if not all(isinstance(constraint, Mapping) for constraint in stated):
            raise SchemaError("expected 'constraints' to be a list of objects")
        self._stated_constraints = tuple(plain(constraint) for constraint in stated)
        self.constraints: tuple[Constraint, ...] = self._read_constraints()
        self.workload: Workload = read_workload(plain(workload), self.columns)
        self.types_from_records = types_from_records
        self._check_roles()

    def _read_constraints(self) -> tuple[Constraint, ...]:
        """Read the constraints, and mark the columns that they compute."""
        self.columns = {name: replace(column, is_computed=False) for name, column in self.columns.items()}
        check_names_before(self._stated_constraints, self.columns)
        read = read_constraints(self._stated_constraints, self.columns | columns_before(self.columns))
        for constraint in read:
            if isinstance(constraint, Sum):
                total = constraint.columns[0]
                self.columns[total] = replace(self.columns[total], is_computed=True)
        return read

    def _check_roles(self) -> None:
        for role in ("target", "person_id", "order"):
            named = [c.name for c in self.columns.values() if c.role == role]
            if len(named) > 1:
                raise SchemaError(f"expected at most one {role} column, got {', '.join(map(repr, named))}")
        cap = self.max_records_per_person
        if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or not 1 <= cap <= 2**16):
            raise SchemaError(f"expected 1 <= max_records_per_person <= 65536, got {cap!r}")
        if self.person_id is not None and cap is None:
            raise SchemaError(
                f"column {self.person_id!r} names persons, so 'max_records_per_person' is required: "
                "the largest number of rows of one person that the model may use"
            )
        if self.person_id is None and cap is not None:
            raise SchemaError("'max_records_per_person' needs a column with role 'person_id'")
        if self.workload and self.image is not None:
            raise SchemaError("the workload of a schema of images is not measured; leave 'workload' out")
        if self.is_sequential:
            self._check_sequences()

    def _check_sequences(self) -> None:
        """Check that rows belong to persons, and that nothing they share is computed from others."""
        if self.person_id is None:
            named = self.order or self.per_person[0]
            raise SchemaError(
                f"column {named!r} speaks of the rows of a person; give the column that names persons the "
                "role 'person_id', and set 'max_records_per_person'"
            )
        if self.image is not None:
            raise SchemaError("images of a person are not learnt in order; leave 'per' and 'order' out")
        if self.order is not None and self.columns[self.order].is_computed:
            raise SchemaError(f"column {self.order!r} orders the rows of a person, so it cannot be computed")
        check_row_rules(self.constraints, self.columns, int(self.max_records_per_person or 1))
        for constraint in self.constraints:
            if isinstance(constraint, Sum) and self.columns[constraint.columns[0]].per:
                varying = [name for name in constraint.columns[1:] if not self.columns[name].per]
                if varying:
                    raise SchemaError(
                        f"constraints: {constraint}: {varying[0]!r} may differ between a person's rows, so "
                        f"{constraint.columns[0]!r} is not one value per person"
                    )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # mutable mapping inside

    def __repr__(self) -> str:
        return f"Schema({len(self.columns)} columns, groups={self.groups}, target={self.target!r})"

    # -- roles ---------------------------------------------------------------------------------------

    @property
    def target(self) -> str | None:
        """Name of the target column, if any."""
        return next((c.name for c in self.columns.values() if c.role == "target"), None)

    @property
    def groups(self) -> list[str]:
        """Names of the group columns."""
        return [c.name for c in self.columns.values() if c.role == "group"]

    @property
    def person_id(self) -> str | None:
        """Name of the column that says whose record a row is, if any."""
        return next((c.name for c in self.columns.values() if c.role == "person_id"), None)

    @property
    def order(self) -> str | None:
        """Name of the column that orders the rows of a person, if any."""
        return next((c.name for c in self.columns.values() if c.role == "order"), None)

    @property
    def per_person(self) -> list[str]:
        """Names of the columns in which all rows of a person hold the same value."""
        return [c.name for c in self.columns.values() if c.per]

    @property
    def is_sequential(self) -> bool:
        """Whether the rows of a person belong together in a synthetic table too."""
        return self.order is not None or bool(self.per_person)

    @property
    def unit(self) -> str:
        """The unit of the guarantee: ``"person"`` or ``"record"``."""
        return "record" if self.person_id is None else "person"

    @property
    def rows_of_persons(self) -> str | None:
        """What a synthetic row means where the unit is a person; None where it is a record."""
        if self.person_id is None:
            return None
        return ROWS_OF_HISTORIES if self.is_sequential else ROWS_OF_PERSONS

    @property
    def given(self) -> str | None:
        """What a guarantee is conditional on, so that it stands beside every epsilon; None if on nothing."""
        return "the types, which were read from the records" if self.types_from_records else None

    @property
    def modelled(self) -> list[Column]:
        """Columns that a generator learns, in table order."""
        return [c for c in self.columns.values() if c.is_modelled]

    @property
    def output_columns(self) -> list[Column]:
        """Columns of a synthetic table: all but the dropped ones."""
        return [c for c in self.columns.values() if not c.drop]

    @property
    def time_formats(self) -> dict[str, TimeFormat]:
        """How the datetime columns are written that declare a format."""
        return {c.name: c.time_format for c in self.columns.values() if c.type == "datetime" and c.format}

    def over(
        self,
        columns: Iterable[Column],
        *,
        max_records_per_person: int | None = None,
        also: Iterable[Mapping[str, Any]] = (),
    ) -> Schema:
        """Return a schema of these columns, with the constraints that speak of them alone.

        One that speaks of the row before is kept where its rows have an order, or the row before is there.

        Args:
            columns: Its columns.
            max_records_per_person: Its largest number of rows of a person; None is that of this schema.
            also: Constraints that it has beside those, as in schema JSON.
        """
        named = {column.name: column for column in columns}
        stated = zip(self._stated_constraints, self.constraints, strict=True)
        return Schema(
            named,
            csv=self.csv,
            max_records_per_person=max_records_per_person or self.max_records_per_person,
            constraints=[
                *(fields for fields, read in stated if named.keys() >= _columns_of(read, named)),
                *also,
            ],
            workload=[columns for columns in self.workload if named.keys() >= set(columns)],
            types_from_records=self.types_from_records,
        )

    # -- completeness --------------------------------------------------------------------------------

    def require_complete(self) -> None:
        """Raise a `SchemaError` if a fact is neither declared public nor ``"private"``."""
        for column in self.columns.values():
            missing = column.undeclared_facts()
            if not missing:
                continue
            if missing == ["type"]:
                raise SchemaError(
                    f"column {column.name!r} has no type; set 'type' to one of {', '.join(TYPES)}, "
                    "or draft the schema with --infer"
                )
            if missing == ["generator"]:
                raise SchemaError(
                    f"column {column.name!r} is free text, which is never learnt from records; name a "
                    "'generator' or set 'drop' to true"
                )
            what = "no bounds" if column.is_numeric else "no categories"
            give = " and ".join(repr(fact) for fact in missing)
            raise SchemaError(
                f"column {column.name!r} has {what}; give {give} in the schema if public, or set "
                f'{give} to "private" to find them under the budget: reading them off the records '
                "would not be private"
            )
        if not self.modelled:
            raise SchemaError("no column is left to model: all are ids, keys or text")

    def public_facts(self) -> list[str]:
        """Say, one sentence a column and a constraint, what the schema declares public."""
        facts = [] if self.image is None else [f"the images: each of {self.image}"]
        facts += [column.public_facts() for column in self.columns.values()]
        facts += [f"constraint: {c}" for c in self.constraints]
        return facts + [f"measured whatever is chosen: {' x '.join(columns)}" for columns in self.workload]

    # -- JSON ----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-able objects."""
        out: dict[str, Any] = {
            "version": SCHEMA_VERSION,
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
        }
        if self.image is not None:
            out["image"] = self.image.to_dict()
        if self.csv is not None:
            out["csv"] = self.csv.to_dict()
        if self.max_records_per_person is not None:
            out["max_records_per_person"] = self.max_records_per_person
        if self.constraints:
            out["constraints"] = [dict(c) for c in self._stated_constraints]
        if self.workload:
            out["workload"] = [list(columns) for columns in self.workload]
        if self.types_from_records:
            out["types_from_records"] = True
        return out

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Schema:
        """Read a schema from JSON-able objects; unknown keys are errors."""
        if isinstance(fields, Mapping) and "tables" in fields:
            raise SchemaError(
                "the schema describes linked tables, and one table is expected here; `privsynth plan`, "
                "`split`, `fit` and `audit` take it with a folder of tables, as LinkedSchema and "
                "LinkedSynthesizer do in Python"
            )
        if not isinstance(fields, Mapping) or "columns" not in fields:
            raise SchemaError(
                "expected an object with 'columns'; `privsynth schema TABLE -o S` drafts one, and `privsynth "
                "schema --from FILE -o S` makes one from a code book"
            )
        refuse_unknown("the schema", fields, _SCHEMA_FIELDS)
        version = fields.get("version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise SchemaError(f"expected schema version {SCHEMA_VERSION}, got {version!r}")
        return cls(
            fields["columns"],
            image=fields.get("image"),
            csv=fields.get("csv"),
            max_records_per_person=fields.get("max_records_per_person"),
            constraints=fields.get("constraints", ()),
            workload=fields.get("workload", ()),
            types_from_records=bool(fields.get("types_from_records", False)),
        )

    def save(self, path: str | Path) -> None:
        """Write the schema as JSON."""
        write_fields(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read schema JSON, or YAML that means the same: ours, or SDV's metadata."""
        fields = read_fields(path)
        return cls.from_dict(fields_from_sdv(fields) if is_sdv_metadata(fields) else fields)


def _columns_of(constraint: Constraint, columns: Mapping[str, Column]) -> set[str]:
    """Return the columns that a constraint speaks of, those of the row before by their own names."""
    before = columns_before(columns)
    return {name.removeprefix(PREVIOUS) if name in before else name for name in constraint.columns}
