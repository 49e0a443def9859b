"""Hold a table against its schema: out come records in canonical form, or one message that quotes none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.io.source import Table
from privsynth.io.tables import open_table
from privsynth.records.coerce import conform_column, read_persons
from privsynth.records.person_rows import rules_of_persons, share_first_values
from privsynth.records.row_rules import broken_rows, settle_rows
from privsynth.schema import Schema

OnViolation = Literal["error", "clip"]

NEARNESS = 0.8  # of two column names, one of which may be meant by the other


def check_on_violation(on_violation: str) -> None:
    """Raise a `ParameterError` unless it is one of `OnViolation`."""
    if on_violation not in get_args(OnViolation):
        raise ParameterError(f"expected on_violation to be 'error' or 'clip', got {on_violation!r}")


@dataclass(frozen=True)
class Records:
    """Records in canonical form.

    Attributes:
        frame: Exactly the schema's modelled columns, in its order. Integers, reals: float64, NaN for missing.
            Datetimes: float64 whole steps of the resolution since 1970 (UTC). Categorical and boolean:
            categoricals over the declared values, code -1 for missing; where categories are
            ``"private"``, over the sorted texts of the observed ones.
        persons: Number of each row's person, 0 to n_persons - 1, ``(n_rows,)`` int64; None without a
            person column.
        images: Each row's image, ``(n_rows, height, width, channels)``; None for a table.
        parts: Of linked tables: each row is one of so many parts of its person, ``(n_rows,)`` int64, and the
            parts of a person add up to one at most; None cuts a person's rows, and weighs them alike.
    """

    frame: pd.DataFrame
    persons: npt.NDArray[np.int64] | None
    images: npt.NDArray[np.uint8] | None = None
    parts: npt.NDArray[np.int64] | None = None


def conform(
    table: Table, schema: Schema, *, on_violation: OnViolation = "error", name: str = "table"
) -> Records:
    """Hold a table against its schema and return its records in canonical form.

    Only empty fields (NaN, None, blanks) and the declared ``missing_values`` are missing. Values match
    categories by their text. Reals are rounded to their ``decimals``, times down to their ``resolution``.
    Columns that the schema does not name are ignored.

    Args:
        table: The records, one a row: whatever `privsynth.io.tables.open_table` opens.
        schema: What is public about them; complete.
        on_violation: What to do with values that break the schema. ``"error"`` raises. ``"clip"`` moves
            numbers into the public bounds and onto whole numbers, turns unknown values into a category
            "other" if the schema lists one and into missing otherwise, and what cannot be read into
            missing. A field that is missing against the schema stays so. Rows of a person that should share
            a value all take the first one that is known; of rows at one place in the order, the first in
            the table comes first. What an inequality with the row before does not allow is moved to the
            nearest value that it does (see `privsynth.records.row_rules.settle_rows`).
        name: Which table messages speak of, such as "holdout"; "table" for the only one.

    Raises:
        SchemaError: If the schema lacks a fact, the table lacks a column, or, with
            ``on_violation="error"``, a value breaks the schema; names columns and rules, never values.
        TableError: If it cannot be read, column names are not unique texts, or, with
            ``on_violation="error"``, there are no rows.

    Privacy:
        Not private: returns the records. With ``"error"``, that the call stops is itself a signal about
        them, which no guarantee covers; with ``"clip"`` values never stop it.
    """
    check_on_violation(on_violation)
    schema.require_complete()
    subject = "the table" if name == "table" else f"the {name} table"
    source = open_table(table, needed_columns(schema), schema=schema)
    check_has_columns(source.names, schema, subject)
    if source.n_rows == 0 and on_violation == "error":
        raise TableError(f"{subject} has no rows")

    columns, broken = {}, []
    for column in schema.modelled:
        columns[column.name], rules = conform_column(source.column(column.name), column)
        broken += [f"column {column.name!r}: {rule}" for rule in rules]
    persons = None
    if schema.person_id is not None:
        persons, rules = read_persons(source.column(schema.person_id))
        broken += [f"column {schema.person_id!r}: {rule}" for rule in rules]
    if persons is not None and schema.is_sequential:
        of_persons = rules_of_persons(columns, persons, schema)
        broken += [f"column {name!r}: {rule}" for name, rules in of_persons.items() for rule in rules]
        is_settled = on_violation == "clip"  # not where something is broken, which others' rows decide
        columns |= share_first_values(columns, persons, schema) if is_settled else {}
        of_rows = broken_rows(columns, persons, schema)
        broken += [f"column {name!r}: {rule}" for name, rules in of_rows.items() for rule in rules]
        columns |= settle_rows(columns, persons, schema) if is_settled else {}
    if broken and on_violation == "error":
        raise broken_schema(subject, broken)
    return Records(pd.DataFrame(columns, copy=False), persons)


def broken_schema(subject: str, broken: list[str]) -> SchemaError:
    """Return the error of a table that breaks its schema, by what it breaks; quotes no value.

    Privacy:
        Not private: which rules are broken is a function of the records.
    """
    found = f"{subject} breaks its schema: {'; '.join(broken)}"
    return SchemaError(
        f"{found}. Mend the table or the schema, or clip what breaks it with --on-violation clip "
        '(on_violation="clip")',
        next="`privsynth check TABLE --schema S` shows you which fields they are",
        found=found,
    )


def needed_columns(schema: Schema) -> list[str]:
    """Return the columns that a table must have: what is modelled, and who a row is about; public."""
    person = [] if schema.person_id is None else [schema.person_id]
    return [*(column.name for column in schema.modelled), *person]


def check_has_columns(names: list[str], schema: Schema, subject: str) -> None:
    """Raise a `SchemaError` unless all columns are there that a schema describes."""
    lacking = [column for column in needed_columns(schema) if column not in names]
    if lacking:
        raise SchemaError(
            f"{subject} has no column {', '.join(map(repr, lacking))}, which the schema describes; add "
            f"{'it' if len(lacking) == 1 else 'them'} to the table, or remove the description"
            + near_names(lacking, [name for name in names if name not in schema.columns])
        )


def near_names(lacking: Collection[str], names: Collection[str]) -> str:
    """Say, to end a message with, which of a table's columns may be meant by those that it lacks; public.

    Example:
        >>> near_names(["age"], ["sex", "Age "])
        ". The table has 'Age ': if 'age' is meant, rename it in one of the two"
    """
    bare = {name: re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold()) for name in names}
    near: dict[str, str] = {}
    for wanted in lacking:
        key = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", wanted).casefold())
        close = get_close_matches(key, bare.values(), n=1, cutoff=NEARNESS) if key else []
        near |= {name: wanted for name, other in bare.items() if close and other == close[0]}
    if not near:
        return ""
    meant = [
        f"{name!r}: if {wanted!r} is meant" + " (in another Unicode form)" * _looks_alike(name, wanted)
        for name, wanted in near.items()
    ]
    them = "it" if len(near) == 1 else "them"
    return f". The table has {', and '.join(meant)}, rename {them} in one of the two"


def _looks_alike(name: str, other: str) -> bool:
    return unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)
