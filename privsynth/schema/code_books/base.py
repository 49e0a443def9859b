"""What a code book becomes: a schema, and notes on what the schema does not hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from privsynth.errors import SchemaError
from privsynth.schema.column_facts import PRIVATE
from privsynth.schema.schema import Schema

OF_ALL = ""  # the key of notes that concern no single column
KNOWN = (
    "SDV metadata, a Frictionless Table Schema or Data Package, a pandera schema (to_json or to_yaml), or a "
    "CSV with the columns column, type, low, high, categories, missing"
)
DROPPED = {"type": "text", "drop": True}


@dataclass(frozen=True)
class CodeBook:
    """A schema made from a code book.

    Attributes:
        schema: The schema; what the code book does not tell of values is ``"private"``.
        notes: What it says that the schema does not hold, or what was assumed: sentences by column.
    """

    schema: Schema
    notes: dict[str, list[str]]


@dataclass
class Columns:
    """Columns as they are found, with notes."""

    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, sentence: str) -> None:
        """Keep a sentence about a column."""
        self.notes.setdefault(name, []).append(sentence)

    def done(self, max_records_per_person: int | None = None) -> CodeBook:
        """Return the schema with its notes."""
        named = [name for name, fields in self.fields.items() if fields.get("role") == "person_id"]
        if named and max_records_per_person is None:
            raise SchemaError(
                f"the code book names persons by {named[0]!r}, and cannot say how many records of one shall "
                "be used at most: say it by --max-records N (max_records_per_person=N)"
            )
        try:
            return CodeBook(Schema(self.fields, max_records_per_person=max_records_per_person), self.notes)
        except SchemaError as error:
            raise SchemaError(f"the code book makes no schema: {error}") from None


def bounds_of(low: Any, high: Any, read: Callable[[Any], Any]) -> dict[str, Any]:
    """Return bounds as the code book gives them, ``"private"`` where it gives none."""
    return {which: bound_of(bound, read) for which, bound in (("low", low), ("high", high))}


def bound_of(bound: Any, read: Callable[[Any], Any]) -> Any:
    if bound is None or bound == "" or str(bound).lower() == PRIVATE:
        return PRIVATE
    try:
        return read(bound)
    except (TypeError, ValueError, OverflowError):
        raise SchemaError(f"expected a bound to be a number, got {bound!r} in the code book") from None


def number_of(cell: Any) -> int | float:
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(cell)
    return int(number) if number.is_integer() else number


def note_unknown(columns: Columns, name: str, told: Mapping[str, Any]) -> None:
    for key in sorted(key for key, value in told.items() if value not in (None, [], {}, "")):
        columns.note(name, f"{key!r} is not taken over")
