"""One column as a schema declares it: type, role, range or categories, each public or ``"private"``.

Nothing in this module reads records.
"""

from __future__ import annotations

import datetime as dt
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.number_format import NumberFormat
from privsynth.schema.plain_values import plain
from privsynth.schema.times import TimeFormat, seconds_of

PRIVATE = "private"

Category = str | int | float | bool

TYPES: tuple[str, ...] = ("integer", "real", "categorical", "boolean", "datetime", "id", "text")
ROLES: tuple[str, ...] = ("target", "group", "person_id", "key")
KEY_ROLES = ("person_id", "key")
NUMERIC_TYPES = frozenset({"integer", "real", "datetime"})
DISCRETE_TYPES = frozenset({"categorical", "boolean"})
RESOLUTION_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
MAX_GRID_INTEGER = 2**53

_FIELDS_OF_TYPE: dict[str, frozenset[str]] = {
    "integer": frozenset({"low", "high", "unit", "format", "missing", "missing_values"}),
    "real": frozenset({"low", "high", "decimals", "unit", "format", "missing", "missing_values"}),
    "datetime": frozenset({"low", "high", "resolution", "format", "zone", "missing", "missing_values"}),
    "categorical": frozenset({"categories", "missing", "missing_values"}),
    "boolean": frozenset({"values", "missing", "missing_values"}),
    "id": frozenset({"generator"}),
    "text": frozenset({"generator"}),
}
_FIELDS_OF_ALL = frozenset({"type", "role", "drop"})
_COLUMN_FIELDS = frozenset().union(*_FIELDS_OF_TYPE.values()) | _FIELDS_OF_ALL


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
        unit: In which an integer or real column counts durations: day, hour, minute or second.
        format: How a table writes the column: of numbers, how it writes 1234.5, as in "$1,234.50"; of
            datetimes, a format of ``strptime``, as in "%d/%m/%Y".
        zone: Time zone of a datetime column, as in "Europe/Berlin"; None keeps what the clock showed.
        missing: Whether a field may be empty, or ``"private"``.
        missing_values: Strings that mean "missing" besides the empty field.
        values: The two values of a boolean column, false first.
        generator: What makes a text or id column: a provider of Faker, as in "name" or "name:de_DE".
        drop: Leave the column out: it is neither learnt nor made.
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
    unit: str | None = None
    format: str | None = None
    zone: str | None = None
    missing: bool | str = False
    missing_values: tuple[str, ...] = ()
    values: tuple[Category, Category] | None = None
    generator: str | None = None
    drop: bool = False
    is_computed: bool = False

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
        check = {
            "categorical": self._check_categories,
            "integer": self._check_range,
            "real": self._check_range,
            "datetime": self._check_range,
            "boolean": self._check_values,
        }.get(self.type or "")
        if check and self.is_modelled:
            check()

    def _take_plain_facts(self) -> None:
        """Turn facts as numpy and pandas give them into those of JSON."""
        for fact in ("low", "high", "decimals", "missing", "drop"):
            object.__setattr__(self, fact, plain(getattr(self, fact)))
        for fact in ("categories", "values", "missing_values"):
            values = plain(getattr(self, fact))
            object.__setattr__(self, fact, tuple(values) if isinstance(values, list) else values)

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
        if self.unit is not None and str(self.unit) not in RESOLUTION_SECONDS:
            raise SchemaError(
                f"column {self.name!r}: expected a unit among {', '.join(RESOLUTION_SECONDS)}, "
                f"got {self.unit!r}"
            )
        if self.type == "datetime":
            TimeFormat.checked(self.format, self.zone, f"column {self.name!r}")
        elif self.format is not None:
            self.number_format  # noqa: B018  # raises if it is none
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
            where = f"column {self.name!r}: {which!r}"
            return datetime_to_step(value, self.resolution_seconds, where, zone=self.zone)
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
        is_made = self.type in ("id", "text") or self.role in KEY_ROLES or self.is_computed
        return not (is_made or self.drop)

    @property
    def is_numeric(self) -> bool:
        """Whether the column lies on a line: integer, real, datetime."""
        return self.type in NUMERIC_TYPES

    @property
    def resolution_seconds(self) -> int:
        """Seconds in one step of a datetime column; a day unless declared otherwise."""
        return RESOLUTION_SECONDS[self.resolution or "day"]

    @property
    def unit_seconds(self) -> int | None:
        """Seconds in the unit in which durations are counted; None if the column states none."""
        return None if self.unit is None else RESOLUTION_SECONDS[self.unit]

    @property
    def step(self) -> float | None:
        """Distance of neighbouring values on the number line, None for a real without ``decimals``."""
        if self.type == "real":
            return None if self.decimals is None else 10.0**-self.decimals
        return 1.0

    @property
    def number_format(self) -> NumberFormat | None:
        """How the table writes the numbers of an integer or real column; None for plain ones."""
        if self.format is None or self.type not in ("integer", "real"):
            return None
        return NumberFormat.parse(self.format, f"column {self.name!r}")

    @property
    def time_format(self) -> TimeFormat:
        """How the table writes the times of a datetime column."""
        return TimeFormat(self.format, self.zone)

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

    def public_facts(self) -> str:
        """Say in one line what the column declares public."""
        facts = [f"type {self.type}"]
        if self.role:
            facts.append(f"role {self.role}")
        if self.is_modelled:
            if isinstance(self.categories, tuple):
                facts.append(f"{len(self.categories)} categories")
            public = [which for which in ("low", "high") if getattr(self, which) not in (None, PRIVATE)]
            facts += [f"{which} {getattr(self, which)}" for which in public]
            if self.missing != PRIVATE:
                facts.append("may be missing" if self.missing else "never missing")
            facts += [
                f"{key} {getattr(self, key)}" for key in ("unit", "format", "zone") if getattr(self, key)
            ]
        if self.drop:
            facts.append("dropped")
        return f"{self.name}: {', '.join(facts)}"

    def undeclared_facts(self) -> list[str]:
        """Names of the facts that are neither public nor private yet."""
        if self.drop:
            return []
        if self.type is None:
            return ["type"]
        if self.type == "text" and not self.generator:
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
        if self.type in _FIELDS_OF_TYPE and (self.is_modelled or self.is_computed or self.drop):
            for field in ("categories", "low", "high"):
                if field in _FIELDS_OF_TYPE[self.type]:
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
        if isinstance(kind, str) and kind in _FIELDS_OF_TYPE and fields.get("role") not in KEY_ROLES:
            foreign = sorted(set(fields) - _FIELDS_OF_TYPE[kind] - _FIELDS_OF_ALL)
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


def category_text(value: object) -> str:
    """Return the text by which a table's value matches a category: 3, 3.0 and "3" are one.

    Letters with accents are composed (Unicode NFC), whichever way they are stored.

    Example:
        >>> [category_text(v) for v in (3, 3.0, "3", True, " a ")]
        ['3', '3', '3', 'true', 'a']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_GRID_INTEGER:
        return str(int(value))
    return unicodedata.normalize("NFC", str(value)).strip()


def whole_steps(low: float, high: float, step: float) -> tuple[float, float]:
    """Return the first and last whole multiple of ``step`` within bounds; a hair of slack absorbs rounding.

    Example:
        >>> whole_steps(0.25, 3.9, 0.1)
        (3.0, 39.0)
    """
    first, last = low / step, high / step
    return (
        float(math.ceil(first - _slack(first))) if math.isfinite(first) else first,
        float(math.floor(last + _slack(last))) if math.isfinite(last) else last,
    )


def _slack(steps: float) -> float:
    return max(1e-6, 4.0 * math.ulp(steps))  # of many steps, rounding moves more


def datetime_to_step(text: str, resolution_seconds: int, where: str, *, zone: str | None = None) -> float:
    """Return an ISO-8601 time as whole steps since 1970, as the clock shows it (in ``zone``, if given).

    A time of day without a date is on 1 January 1900.
    """
    for read in (dt.datetime.fromisoformat, dt.time.fromisoformat):
        try:
            moment = TimeFormat(zone=zone).on_the_wall(read(text))
        except ValueError:
            continue
        return float(seconds_of(moment) // resolution_seconds)
    raise SchemaError(f"{where} is not an ISO-8601 date or time: {text!r}")
