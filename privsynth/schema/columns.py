"""One column as a schema declares it: type, role, range or categories, each public or ``"private"``.

Nothing in this module reads records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE, Category, ColumnFacts
from privsynth.schema.column_types import COLUMN_TYPES, ColumnType, Discrete, NumberLine
from privsynth.schema.number_format import NumberFormat
from privsynth.schema.plain_values import plain

TYPES: tuple[str, ...] = tuple(COLUMN_TYPES)
ROLES: tuple[str, ...] = ("target", "group", "person_id", "key", "order")
KEY_ROLES = ("person_id", "key")
DISCRETE_TYPES = frozenset(name for name, kind in COLUMN_TYPES.items() if isinstance(kind, Discrete))

PERSON = "person"

_FIELDS_OF_ALL = frozenset({"type", "role", "drop", "per"})
_COLUMN_FIELDS = _FIELDS_OF_ALL.union(*(kind.fields for kind in COLUMN_TYPES.values()))


@dataclass(frozen=True, kw_only=True)
class Column(ColumnFacts):
    """One column, as declared public: its facts, and what its type makes of them."""

    def __post_init__(self) -> None:
        self._take_plain_facts()
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
        if self.role in ("target", "group") and self.drop:
            raise SchemaError(f"column {self.name!r}: a {self.role} is modelled, so it cannot be dropped")
        if self.role in ("target", "group") and self.type in ("id", "text"):
            raise SchemaError(f"column {self.name!r}: a {self.type} column cannot be a {self.role}")
        if self.role in KEY_ROLES and self.type not in (None, "id", "integer", "categorical"):
            raise SchemaError(f"column {self.name!r}: a {self.role} has type 'id', got {self.type!r}")
        self._check_place()
        if self.kind is not None and self.is_modelled:
            self.kind.check(self)

    def _check_place(self) -> None:
        """Check what the column says of a person's rows: that they share a value, or stand in its order."""
        if self.per not in (None, PERSON):
            raise SchemaError(f"column {self.name!r}: expected 'per' to be \"person\", got {self.per!r}")
        if self.per is not None and self.role in (*KEY_ROLES, "order"):
            raise SchemaError(
                f"column {self.name!r}: the role {self.role!r} and 'per' exclude each other; leave one out"
            )
        if self.role != "order":
            return
        if self.type is not None and not self.is_numeric:
            raise SchemaError(
                f"column {self.name!r}: rows are ordered by an integer, real or datetime, got {self.type!r}"
            )
        if self.drop or self.missing is not False:
            raise SchemaError(
                f"column {self.name!r} orders the rows of a person, so it is learnt, and known of every "
                f"row; leave {'drop' if self.drop else 'missing'!r} out"
            )

    def _take_plain_facts(self) -> None:
        """Turn facts as numpy and pandas give them into those of JSON."""
        for fact in ("low", "high", "decimals", "missing", "drop"):
            object.__setattr__(self, fact, plain(getattr(self, fact)))
        for fact in ("categories", "values", "missing_values"):
            values = plain(getattr(self, fact))
            object.__setattr__(self, fact, tuple(values) if isinstance(values, list) else values)

    @property
    def kind(self) -> ColumnType | None:
        """What its type knows; None in a draft."""
        return COLUMN_TYPES.get(self.type or "")

    @property
    def line(self) -> NumberLine:
        """What the type of a number line knows."""
        assert isinstance(self.kind, NumberLine)
        return self.kind

    @property
    def labels(self) -> tuple[Category, ...] | None:
        """The public values of a discrete column, None if they are not public."""
        return self.kind.labels(self) if isinstance(self.kind, Discrete) else None

    @property
    def step(self) -> float | None:
        """Distance of neighbouring values on the number line, None for a real without ``decimals``."""
        return self.kind.step(self) if isinstance(self.kind, NumberLine) else 1.0

    @property
    def has_number_format(self) -> bool:
        """Whether its ``format`` says how numbers are written."""
        return isinstance(self.kind, NumberLine) and self.kind.has_number_format

    @property
    def number_format(self) -> NumberFormat | None:
        """How the table writes the numbers of an integer or real column; None for plain ones."""
        return self.kind.number_format(self) if isinstance(self.kind, NumberLine) else None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Public bounds as numbers; datetimes as whole steps of the resolution since 1970."""
        return self.kind.bounds(self) if isinstance(self.kind, NumberLine) else (None, None)

    @property
    def is_modelled(self) -> bool:
        """Whether the generator learns this column: ids and text are made afresh, computed ones follow."""
        is_made = self.type in ("id", "text") or self.role in KEY_ROLES or self.is_computed
        return not (is_made or self.drop)

    @property
    def is_numeric(self) -> bool:
        """Whether the column lies on a line: integer, real, datetime."""
        return isinstance(self.kind, NumberLine)

    @property
    def private_facts(self) -> list[str]:
        """Names of the facts that have to be found under the budget."""
        facts = ("categories", "low", "high", "missing") if self.values_of is None else ()
        return [fact for fact in facts if self.is_modelled and getattr(self, fact) == PRIVATE]

    def public_facts(self) -> str:
        """Say in one line what the column declares public."""
        facts = [f"type {self.type}"]
        if self.role:
            facts.append(f"role {self.role}")
        if self.per:
            facts.append(f"one value per {self.per}")
        if self.is_modelled:
            if isinstance(self.categories, tuple):
                facts.append(f"{len(self.categories)} categories")
            public = [which for which in ("low", "high") if getattr(self, which) not in (None, PRIVATE)]
            facts += [f"{which} {getattr(self, which)}" for which in public]
            if self.missing != PRIVATE:
                facts.append("may be missing" if self.missing else "never missing")
            told = ("decimals", "resolution", "unit", "format", "zone")
            facts += [f"{key} {getattr(self, key)}" for key in told if getattr(self, key) is not None]
            if self.missing_values:
                facts.append(f"missing values {', '.join(map(repr, self.missing_values))}")
        if self.drop:
            facts.append("dropped")
        return f"{self.name}: {', '.join(facts)}"

    def undeclared_facts(self) -> list[str]:
        """Names of the facts that are neither public nor private yet."""
        if self.drop:
            return []
        if self.type is None:
            return ["type"]
        if self.kind is None or not (self.is_modelled or self.type == "text"):
            return []
        return [fact for fact in self.kind.needed if getattr(self, fact) in (None, "")]

    def to_dict(self) -> dict[str, Any]:
        """Return the column as it stands in schema JSON, defaults left out."""
        out: dict[str, Any] = {"type": self.type}
        if self.role:
            out["role"] = self.role
        if self.per:
            out["per"] = self.per
        if self.kind is not None and (self.is_modelled or self.is_computed or self.drop):
            for field in ("categories", "low", "high"):
                if field in self.kind.fields:
                    value = getattr(self, field)
                    if value is not None or self.is_modelled:
                        out[field] = list(value) if isinstance(value, tuple) else value
        for field in ("decimals", "resolution", "unit", "format", "zone", "generator"):
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
        if isinstance(kind, str) and kind in COLUMN_TYPES and fields.get("role") not in KEY_ROLES:
            foreign = sorted(set(fields) - COLUMN_TYPES[kind].fields - _FIELDS_OF_ALL)
            if foreign:
                raise SchemaError(f"column {name!r}: a {kind} column has no {foreign[0]!r}")
        values: dict[str, Any] = dict(plain(fields))
        for field in ("categories", "values", "missing_values"):
            if isinstance(values.get(field), list):
                values[field] = tuple(values[field])
            elif field != "categories" and values.get(field) is not None:
                raise SchemaError(f"column {name!r}: {field!r} is a list, got {values[field]!r}")
        values.setdefault("type", None)
        values["missing_values"] = tuple(str(v) for v in values.get("missing_values") or ())
        return cls(name=str(name), **values)
