"""What is public about a table: its columns, their types, ranges and roles.

A schema is written by the caller and read by everyone else. Each fact in it is declared public, except
those set to ``"private"``, which are found under the privacy budget. Nothing in this module reads records.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from privsynth.errors import SchemaError

if TYPE_CHECKING:
    from privsynth.constraints import Constraint

SCHEMA_VERSION = 1
PRIVATE = "private"

Type = Literal["integer", "real", "categorical", "boolean", "datetime", "id", "text"]
Role = Literal["target", "group", "person_id", "key"]
Category = str | int | float | bool

TYPES: tuple[str, ...] = ("integer", "real", "categorical", "boolean", "datetime", "id", "text")
ROLES: tuple[str, ...] = ("target", "group", "person_id", "key")
KEY_ROLES = ("person_id", "key")
NUMERIC_TYPES = frozenset({"integer", "real", "datetime"})
DISCRETE_TYPES = frozenset({"categorical", "boolean"})
RESOLUTION_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
MAX_GRID_INTEGER = 2**53

_FIELDS_OF_TYPE: dict[str, frozenset[str]] = {
    "integer": frozenset({"low", "high", "missing", "missing_values"}),
    "real": frozenset({"low", "high", "decimals", "missing", "missing_values"}),
    "datetime": frozenset({"low", "high", "resolution", "missing", "missing_values"}),
    "categorical": frozenset({"categories", "missing", "missing_values"}),
    "boolean": frozenset({"values", "missing", "missing_values"}),
    "id": frozenset({"generator"}),
    "text": frozenset({"generator", "drop"}),
}
_COLUMN_FIELDS = frozenset().union(*_FIELDS_OF_TYPE.values()) | {"type", "role"}
_SCHEMA_FIELDS = frozenset(
    {"version", "columns", "max_records_per_person", "constraints", "types_from_records"}
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column, as declared public.

    Attributes:
        name: Column name; public.
        type: One of `TYPES`, or None in a draft.
        role: One of `ROLES`, or None.
        categories: Values of a categorical column, ``"private"``, or None while undeclared.
        low: Smallest value (inclusive), ``"private"``, or None while undeclared; ISO-8601 for datetimes.
        high: Largest value (inclusive); as ``low``.
        decimals: Digits after the point of a real column; None keeps full precision.
        resolution: Step of a datetime column: day, hour, minute or second.
        missing: Whether a field may be empty, or ``"private"``.
        missing_values: Strings that mean "missing" besides the empty field.
        values: The two values of a boolean column, false first.
        generator: What makes a text or id column: a provider of Faker, as in "name" or "name:de_DE".
        drop: Leave a text column out.
        is_computed: Whether a constraint computes the column from others.
    """

    name: str
    type: str | None
    role: str | None = None
    categories: tuple[Category, ...] | str | None = None
    low: float | int | str | None = None
    high: float | int | str | None = None
    decimals: int | None = None
    resolution: str | None = None
    missing: bool | str = False
    missing_values: tuple[str, ...] = ()
    values: tuple[Category, Category] | None = None
    generator: str | None = None
    drop: bool = False
    is_computed: bool = False

    def __post_init__(self) -> None:
        if self.type is not None and (not isinstance(self.type, str) or self.type not in TYPES):
            raise SchemaError(
                f"column {self.name!r}: expected a type among {', '.join(TYPES)}, got {self.type!r}"
            )
        if self.role is not None and (not isinstance(self.role, str) or self.role not in ROLES):
            raise SchemaError(
                f"column {self.name!r}: expected a role among {', '.join(ROLES)}, got {self.role!r}"
            )
        if not (isinstance(self.missing, bool) or self.missing == PRIVATE):
            raise SchemaError(
                f"column {self.name!r}: 'missing' is true, false or \"private\", got {self.missing!r}"
            )
        if not isinstance(self.generator, str | None):
            raise SchemaError(f"column {self.name!r}: 'generator' is a text, got {self.generator!r}")
        if not isinstance(self.drop, bool):
            raise SchemaError(f"column {self.name!r}: 'drop' is true or false, got {self.drop!r}")
        if self.role in ("target", "group") and self.type in ("id", "text"):
            raise SchemaError(f"column {self.name!r}: a {self.type} column cannot be a {self.role}")
        if self.role in KEY_ROLES and self.type not in (None, "id", "integer", "categorical"):
            raise SchemaError(f"column {self.name!r}: a {self.role} has type 'id', got {self.type!r}")
        check = {
            "categorical": self._check_categories,
            "integer": self._check_range,
            "real": self._check_range,
            "datetime": self._check_range,
            "boolean": self._check_values,
        }.get(self.type or "")
        if check and self.is_modelled:
            check()

    def _check_categories(self) -> None:
        if self.categories is None or self.categories == PRIVATE:
            return
        if isinstance(self.categories, str) or not self.categories:
            raise SchemaError(
                f"column {self.name!r}: 'categories' is a list of at least one value, or \"private\""
            )
        self._check_values_of("categories", self.categories)
        texts = [category_text(value) for value in self.categories]
        if len(set(texts)) != len(texts):
            raise SchemaError(f"column {self.name!r}: the same category is listed twice")
        if "" in texts:
            raise SchemaError(
                f"column {self.name!r}: an empty category is how missing fields are written; "
                "leave it out and set 'missing' to true"
            )
        both = sorted(set(texts) & set(self.missing_values))
        if both:
            raise SchemaError(f"column {self.name!r}: {both[0]!r} is both a category and a missing value")

    def _check_range(self) -> None:
        if self.resolution is not None and str(self.resolution) not in RESOLUTION_SECONDS:
            raise SchemaError(
                f"column {self.name!r}: expected a resolution among {', '.join(RESOLUTION_SECONDS)}, "
                f"got {self.resolution!r}"
            )
        if self.decimals is not None and not (
            isinstance(self.decimals, int)
            and 0 <= self.decimals <= 12
            and not isinstance(self.decimals, bool)
        ):
            raise SchemaError(
                f"column {self.name!r}: 'decimals' is a whole number from 0 to 12, got {self.decimals!r}"
            )
        low, high = self._bound("low"), self._bound("high")
        if low is not None and high is not None and low > high:
            raise SchemaError(
                f"column {self.name!r}: expected low <= high, got low={self.low!r}, high={self.high!r}"
            )
        if low is not None and high is not None and self.step is not None:
            first, last = whole_steps(low, high, self.step)
            if first > last:
                raise SchemaError(
                    f"column {self.name!r}: no number with {self.decimals} decimals lies between low={low!r} "
                    f"and high={high!r}"
                )

    def _bound(self, which: str) -> float | None:
        """Return a public bound as a number (datetimes in steps of the resolution), None if not public."""
        value = getattr(self, which)
        if value is None or value == PRIVATE:
            return None
        if self.type == "datetime":
            if not isinstance(value, str):
                raise SchemaError(f"column {self.name!r}: {which!r} is an ISO-8601 text, got {value!r}")
            return datetime_to_step(value, self.resolution_seconds, f"column {self.name!r}: {which!r}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SchemaError(
                f'column {self.name!r}: {which!r} is a finite number or "private", got {value!r}'
            )
        if self.type == "integer" and (value != int(value) or abs(value) > MAX_GRID_INTEGER):
            raise SchemaError(
                f"column {self.name!r}: {which!r} of an integer column is a whole number up to 2^53, "
                f"got {value!r}"
            )
        return value

    def _check_values(self) -> None:
        if self.values is not None and (
            isinstance(self.values, str)
            or len(self.values) != 2
            or category_text(self.values[0]) == category_text(self.values[1])
        ):
            raise SchemaError(
                f"column {self.name!r}: 'values' of a boolean column lists its two values, false first"
            )
        self._check_values_of("values", self.boolean_values)

    def _check_values_of(self, field: str, values: tuple[Category, ...]) -> None:
        """Check that all are texts, finite numbers or booleans; 1 and true together would be one value."""
        kinds = {
            bool if isinstance(v, bool) else float if isinstance(v, int | float) else type(v) for v in values
        }
        finite = all(math.isfinite(v) for v in values if isinstance(v, int | float))
        if not kinds <= {bool, float, str} or {bool, float} <= kinds or not finite:
            raise SchemaError(
                f"column {self.name!r}: {field!r} lists texts, finite numbers or booleans, and not numbers "
                f"beside booleans; got {list(values)!r}"
            )

    @property
    def is_modelled(self) -> bool:
        """Whether the generator learns this column: ids and text are made afresh, computed ones follow."""
        return self.type not in ("id", "text") and self.role not in KEY_ROLES and not self.is_computed

    @property
    def is_numeric(self) -> bool:
        """Whether the column lies on a line: integer, real, datetime."""
        return self.type in NUMERIC_TYPES

    @property
    def resolution_seconds(self) -> int:
        """Seconds in one step of a datetime column; a day unless declared otherwise."""
        return RESOLUTION_SECONDS[self.resolution or "day"]

    @property
    def step(self) -> float | None:
        """Distance of neighbouring values on the number line, None for a real without ``decimals``."""
        if self.type == "real":
            return None if self.decimals is None else 10.0**-self.decimals
        return 1.0

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Public bounds as numbers; datetimes as whole steps of the resolution since 1970."""
        return self._bound("low"), self._bound("high")

    @property
    def boolean_values(self) -> tuple[Category, Category]:
        """The two values of a boolean column, false first."""
        return self.values if self.values is not None else (False, True)

    @property
    def private_facts(self) -> list[str]:
        """Names of the facts that have to be found under the budget."""
        facts = ("categories", "low", "high", "missing")
        return [fact for fact in facts if self.is_modelled and getattr(self, fact) == PRIVATE]

    def undeclared_facts(self) -> list[str]:
        """Names of the facts that are neither public nor private yet."""
        if self.type is None:
            return ["type"]
        if self.type == "text" and not (self.drop or self.generator):
            return ["generator"]
        if not self.is_modelled:
            return []
        needed = ("low", "high") if self.is_numeric else ("categories",) if self.type == "categorical" else ()
        return [fact for fact in needed if getattr(self, fact) is None]

    def to_dict(self) -> dict[str, Any]:
        """Return the column as it stands in schema JSON, defaults left out."""
        out: dict[str, Any] = {"type": self.type}
        if self.role:
            out["role"] = self.role
        if self.type in _FIELDS_OF_TYPE and (self.is_modelled or self.is_computed):
            for field in ("categories", "low", "high"):
                if field in _FIELDS_OF_TYPE[self.type]:
                    value = getattr(self, field)
                    if value is not None or not self.is_computed:
                        out[field] = list(value) if isinstance(value, tuple) else value
        for field in ("decimals", "resolution", "generator"):
            if getattr(self, field) is not None:
                out[field] = getattr(self, field)
        if self.missing:
            out["missing"] = self.missing
        if self.missing_values:
            out["missing_values"] = list(self.missing_values)
        if self.values is not None:
            out["values"] = list(self.values)
        if self.drop:
            out["drop"] = True
        return out

    @classmethod
    def from_dict(cls, name: str, fields: Mapping[str, Any]) -> Column:
        """Read one column of schema JSON; an unknown key, or one of another type, is an error."""
        if not isinstance(fields, Mapping):
            raise SchemaError(f"column {name!r}: expected an object with a 'type', got {fields!r}")
        unknown = sorted(set(fields) - _COLUMN_FIELDS)
        if unknown:
            raise SchemaError(
                f"column {name!r}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_COLUMN_FIELDS))}"
            )
        kind = fields.get("type")
        if isinstance(kind, str) and kind in _FIELDS_OF_TYPE and fields.get("role") not in KEY_ROLES:
            foreign = sorted(set(fields) - _FIELDS_OF_TYPE[kind] - {"type", "role"})
            if foreign:
                raise SchemaError(f"column {name!r}: a {kind} column has no {foreign[0]!r}")
        values: dict[str, Any] = dict(fields)
        for field in ("categories", "values", "missing_values"):
            if isinstance(values.get(field), list):
                values[field] = tuple(values[field])
            elif field != "categories" and not isinstance(values.get(field), tuple | None):
                raise SchemaError(f"column {name!r}: {field!r} is a list, got {values[field]!r}")
        values.setdefault("type", None)
        values["missing_values"] = tuple(str(v) for v in values.get("missing_values") or ())
        return cls(name=str(name), **values)


class Schema:
    """The public description of a table, and the roles of its columns.

    Args:
        columns: Column name to its fields, in the order of the table (see `Column`).
        max_records_per_person: Rows kept of each person; required with a person column.
        constraints: Constraints that every row satisfies, as in schema JSON; see `privsynth.constraints`.
        types_from_records: Whether the types were inferred by reading values, which is not covered.

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
        max_records_per_person: int | None = None,
        constraints: Iterable[Mapping[str, Any]] = (),
        types_from_records: bool = False,
    ) -> None:
        if not isinstance(columns, Mapping) or not columns:
            raise SchemaError("expected 'columns' to map at least one column name to its description")
        self.columns: dict[str, Column] = {
            str(name): fields if isinstance(fields, Column) else Column.from_dict(str(name), fields)
            for name, fields in columns.items()
        }
        self.max_records_per_person = max_records_per_person
        stated = list(constraints) if isinstance(constraints, Iterable) else [None]
        if not all(isinstance(constraint, Mapping) for constraint in stated):
            raise SchemaError("expected 'constraints' to be a list of objects")
        self._stated_constraints = tuple(dict(constraint) for constraint in stated)
        self.constraints: tuple[Constraint, ...] = self._read_constraints()
        self.types_from_records = types_from_records
        self._check_roles()

    def _read_constraints(self) -> tuple[Constraint, ...]:
        """Read the constraints, and mark the columns that they compute."""
        from privsynth.constraints import Sum, read_constraints

        self.columns = {name: replace(column, is_computed=False) for name, column in self.columns.items()}
        read = read_constraints(self._stated_constraints, self.columns)
        for constraint in read:
            if isinstance(constraint, Sum):
                total = constraint.columns[0]
                self.columns[total] = replace(self.columns[total], is_computed=True)
        return read

    def _check_roles(self) -> None:
        for role in ("target", "person_id"):
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
    def unit(self) -> str:
        """The unit of the guarantee: ``"person"`` or ``"record"``."""
        return "record" if self.person_id is None else "person"

    @property
    def modelled(self) -> list[Column]:
        """Columns that a generator learns, in table order."""
        return [c for c in self.columns.values() if c.is_modelled]

    @property
    def output_columns(self) -> list[Column]:
        """Columns of a synthetic table: all but dropped text."""
        return [c for c in self.columns.values() if not (c.type == "text" and c.drop)]

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
        facts = [_public_facts(column) for column in self.columns.values()]
        return facts + [f"constraint: {c}" for c in self.constraints]

    # -- JSON ----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-able objects."""
        out: dict[str, Any] = {
            "version": SCHEMA_VERSION,
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
        }
        if self.max_records_per_person is not None:
            out["max_records_per_person"] = self.max_records_per_person
        if self.constraints:
            out["constraints"] = [dict(c) for c in self._stated_constraints]
        if self.types_from_records:
            out["types_from_records"] = True
        return out

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Schema:
        """Read a schema from JSON-able objects; unknown keys are errors."""
        if not isinstance(fields, Mapping) or "columns" not in fields:
            raise SchemaError("expected an object with 'columns'; `privsynth schema TABLE -o S` drafts one")
        if "image" in fields:
            raise SchemaError("image schemas are not supported by this version")
        unknown = sorted(set(fields) - _SCHEMA_FIELDS)
        if unknown:
            raise SchemaError(
                f"unknown key {unknown[0]!r} in the schema; known are {', '.join(sorted(_SCHEMA_FIELDS))}"
            )
        version = fields.get("version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise SchemaError(f"expected schema version {SCHEMA_VERSION}, got {version!r}")
        return cls(
            fields["columns"],
            max_records_per_person=fields.get("max_records_per_person"),
            constraints=fields.get("constraints", ()),
            types_from_records=bool(fields.get("types_from_records", False)),
        )

    def save(self, path: str | Path) -> None:
        """Write the schema as JSON."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read schema JSON, ours or SDV's metadata JSON."""
        from privsynth.sdv_metadata import is_sdv_metadata, schema_from_sdv

        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_no_duplicates)
        except FileNotFoundError:
            raise SchemaError(f"there is no schema file {str(path)!r}") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON in UTF-8"
            raise SchemaError(f"the schema file {str(path)!r} cannot be read: {reason}") from None
        return schema_from_sdv(fields) if is_sdv_metadata(fields) else cls.from_dict(fields)


def category_text(value: object) -> str:
    """Return the text by which a table's value matches a category: 3, 3.0 and "3" are one.

    Example:
        >>> [category_text(v) for v in (3, 3.0, "3", True, " a ")]
        ['3', '3', '3', 'true', 'a']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_GRID_INTEGER:
        return str(int(value))
    return str(value).strip()


def whole_steps(low: float, high: float, step: float) -> tuple[float, float]:
    """Return the first and last whole multiple of ``step`` within bounds; a hair of slack absorbs rounding.

    Example:
        >>> whole_steps(0.25, 3.9, 0.1)
        (3.0, 39.0)
    """
    first, last = low / step - 1e-6, high / step + 1e-6
    return (
        float(math.ceil(first)) if math.isfinite(first) else first,
        float(math.floor(last)) if math.isfinite(last) else last,
    )


def datetime_to_step(text: str, resolution_seconds: int, where: str) -> float:
    """Return an ISO-8601 time as whole steps since 1970 (UTC if it names no zone)."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SchemaError(f"{where} is not an ISO-8601 date or time: {text!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return float((moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds() // resolution_seconds)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"the key {twice!r} stands twice in one object of the schema")
    return out


def _public_facts(column: Column) -> str:
    facts = [f"type {column.type}"]
    if column.role:
        facts.append(f"role {column.role}")
    if column.is_modelled:
        if isinstance(column.categories, tuple):
            facts.append(f"{len(column.categories)} categories")
        public = [which for which in ("low", "high") if getattr(column, which) not in (None, PRIVATE)]
        facts += [f"{which} {getattr(column, which)}" for which in public]
        if column.missing != PRIVATE:
            facts.append("may be missing" if column.missing else "never missing")
    return f"{column.name}: {', '.join(facts)}"
