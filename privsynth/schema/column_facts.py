"""What a schema declares of one column, as it is written down."""

from __future__ import annotations

from dataclasses import dataclass

from privsynth.schema.times import TimeFormat

PRIVATE = "private"
RESOLUTION_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}

Category = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """The facts of a column, each public, ``"private"`` or undeclared.

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
        per: ``"person"`` where all rows of a person hold the same value.
        is_computed: Whether a constraint computes the column from others.
        values_of: Of a derived column, the one whose values it takes; see `privsynth.schema.sequences`.
        distance_of: Of a derived column, the one of which it holds how far it has moved since the row before.
        is_given: Whether it is known before rows are drawn, from a table above; see
            `privsynth.schema.linked_views`.
        counts_rows: Of a derived column, whether it counts rows up to a cap that may be far above them.
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
    per: str | None = None
    is_computed: bool = False
    values_of: str | None = None
    distance_of: str | None = None
    is_given: bool = False
    counts_rows: bool = False

    @property
    def resolution_seconds(self) -> int:
        """Seconds in one step of a datetime column; a day unless declared otherwise."""
        return RESOLUTION_SECONDS[self.resolution or "day"]

    @property
    def unit_seconds(self) -> int | None:
        """Seconds in the unit in which durations are counted; None if the column states none."""
        return None if self.unit is None else RESOLUTION_SECONDS[self.unit]

    @property
    def time_format(self) -> TimeFormat:
        """How the table writes the times of a datetime column."""
        return TimeFormat(self.format, self.zone)

    @property
    def declared_values(self) -> tuple[Category, ...] | None:
        """The values of a boolean or categorical column, None where they are private or undeclared."""
        if self.type == "boolean":
            return self.boolean_values
        return self.categories if isinstance(self.categories, tuple) else None

    @property
    def boolean_values(self) -> tuple[Category, Category]:
        """The two values of a boolean column, false first."""
        return self.values if self.values is not None else (False, True)
