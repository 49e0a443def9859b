"""Show the owner of a table what in it breaks a schema: how many fields, and a few of them.

By the rules of `privsynth.records.coerce`, which a fit reads records by. What is shown quotes records, and no
guarantee covers it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import SchemaError
from privsynth.io.source import Source, Table
from privsynth.io.tables import open_table
from privsynth.records.coerce import BoolArray, person_codes, read_column
from privsynth.records.conform import needed_columns
from privsynth.records.number_lines import BrokenRules
from privsynth.records.person_rows import rules_of_persons
from privsynth.records.row_rules import broken_rows, rules_of_rows
from privsynth.schema import PRIVATE, Column, Schema
from privsynth.schema.row_rules import PREVIOUS
from privsynth.schema.sequences import sequence_view

N_EXAMPLES = 5
LONGEST_EXAMPLE = 60
NOT_COVERED = "not covered by any guarantee: what follows quotes records, for the owner of the table only"


@dataclass(frozen=True)
class BrokenRule:
    """One rule of a schema that fields of a column break.

    Attributes:
        rule: The rule, as the error of a fit names it.
        n_fields: How many fields break it.
        first_row: The first of them, counted from 1 without the line of names.
        examples: The most frequent values that break it, as text.
    """

    rule: str
    n_fields: int
    first_row: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """What in a table breaks a schema. It quotes records, and no guarantee covers it.

    Attributes:
        n_rows: Rows of the table.
        broken: Rules that fields break, by column.
        lacking: Columns that the schema describes and the table has not.
        undeclared: Facts that the schema still has to declare, by column.
        ignored: Columns of the table that the schema does not describe.
    """

    n_rows: int
    broken: dict[str, tuple[BrokenRule, ...]]
    lacking: tuple[str, ...]
    undeclared: dict[str, tuple[str, ...]]
    ignored: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether a fit would take the table as it is."""
        return self.n_rows > 0 and not (self.broken or self.lacking or self.undeclared)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able objects."""
        return {
            "not_covered": NOT_COVERED,
            "clean": self.is_clean,
            "rows": self.n_rows,
            "broken": {name: [asdict(rule) for rule in rules] for name, rules in self.broken.items()},
            "lacking": list(self.lacking),
            "undeclared": {name: list(facts) for name, facts in self.undeclared.items()},
            "ignored": list(self.ignored),
        }

    def __str__(self) -> str:
        lines = [NOT_COVERED]
        if self.n_rows == 0:
            lines.append("the table has no rows")
        for name in self.lacking:
            lines.append(f"{name!r}: the schema describes it, and the table has no such column")
        for name, facts in self.undeclared.items():
            lines.append(f"{name!r}: the schema does not declare {', '.join(facts)}")
        for name, rules in self.broken.items():
            for rule in rules:
                shown = ", ".join(map(repr, rule.examples))
                lines.append(
                    f"{name!r}: {rule.rule}: {rule.n_fields} of {self.n_rows} fields, first in row "
                    f"{rule.first_row}: {shown}"
                )
        if self.ignored:
            lines.append(f"left aside, since the schema does not name them: {', '.join(self.ignored)}")
        lines.append("nothing breaks the schema" if self.is_clean else "mend the table or the schema")
        return "\n".join(lines)


def check(table: Table, schema: Schema) -> Check:
    """Hold a table against its schema and show what breaks it, with counts and examples.

    Of constraints those with the row before are looked at, and others are not, as in a fit.

    Args:
        table: As for `fit`: a frame, a table of Arrow or Polars, or the path of its file or files.
        schema: What is public about it; facts that it lacks are listed.

    Raises:
        SchemaError: If the schema describes images, or no fit can take it.
        TableError: If the table cannot be read.

    Privacy:
        Not private: quotes records, and counts them.

    Example:
        >>> visits = pd.DataFrame({"age": ["34", "n/a", "210"]})
        >>> result = check(visits, Schema({"age": {"type": "integer", "low": 0, "high": 120}}))
        >>> result.is_clean, [rule.examples for rule in result.broken["age"]]
        (False, [('n/a',), ('210',)])
    """
    if schema.image is not None:
        raise SchemaError("the schema describes images; check holds tables against a schema")
    fields = open_table(table, needed_columns(schema), schema=schema)
    undeclared = {
        column.name: tuple(facts)
        for column in schema.columns.values()
        if (facts := column.undeclared_facts())
    }
    if not undeclared:
        sequence_view(schema)  # which tells whether the names of its columns are free
    modelled = [
        _with_open_facts(column) for column in schema.modelled if "type" not in column.undeclared_facts()
    ]
    if schema.person_id is not None:
        modelled.append(Column(name=schema.person_id, type="categorical", categories=PRIVATE, missing=True))
    broken = {
        column.name: rules
        for column in modelled
        if column.name in fields.names and (rules := _broken_rules(fields, column))
    }
    for name, rules in _broken_by_persons(fields, schema, modelled).items():
        broken[name] = (*broken.get(name, ()), *rules)
    return Check(
        n_rows=fields.n_rows,
        broken=broken,
        lacking=tuple(name for name in needed_columns(schema) if name not in fields.names),
        undeclared=undeclared,
        ignored=tuple(name for name in fields.names if name not in schema.columns),
    )


def _with_open_facts(column: Column) -> Column:
    """Take undeclared facts for private ones, so that a draft can be checked, too."""
    facts: dict[str, Any] = dict.fromkeys(column.undeclared_facts(), PRIVATE)
    return replace(column, **facts)


def _broken_rules(fields: Source, column: Column) -> tuple[BrokenRule, ...]:
    raw = fields.column(column.name)
    return _shown_rules(raw, read_column(raw, column)[1])


def _broken_by_persons(
    fields: Source, schema: Schema, columns: Sequence[Column]
) -> dict[str, tuple[BrokenRule, ...]]:
    """Return what the rows of single persons break: what they share, their order, and the row before.

    Of a field that breaks a rule by itself, such as a date beyond the bounds, nothing more is said.
    """
    if not schema.is_sequential or schema.person_id not in fields.names:
        return {}
    persons = person_codes(fields.column(schema.person_id))
    in_rules = {name.removeprefix(PREVIOUS) for rule in rules_of_rows(schema) for name in rule.columns}
    asked = [
        c for c in columns if c.name in fields.names and (c.per or c.role == "order" or c.name in in_rules)
    ]
    read, wrong = {}, {}
    for column in asked:
        read[column.name], rules = read_column(fields.column(column.name), column)
        wrong[column.name] = np.any([np.zeros(fields.n_rows, dtype=bool), *rules.values()], axis=0)
    out = {}
    of_persons, of_rows = (of(read, persons, schema) for of in (rules_of_persons, broken_rows))
    for name in {**of_persons, **of_rows}:
        rules = of_persons.get(name, {}) | of_rows.get(name, {})
        more = {rule: rows & ~wrong[name] for rule, rows in rules.items()}
        if more := {rule: rows for rule, rows in more.items() if rows.any()}:
            out[name] = _shown_rules(fields.column(name), more)
    return out


def _shown_rules(raw: pd.Series, broken: BrokenRules) -> tuple[BrokenRule, ...]:
    return tuple(
        BrokenRule(rule, int(rows.sum()), int(np.argmax(rows)) + 1, _examples(raw, rows))
        for rule, rows in broken.items()
    )


def _examples(raw: pd.Series, rows: BoolArray) -> tuple[str, ...]:
    counted = Counter(map(_shown, raw[rows].tolist()))
    return tuple(text for text, _ in counted.most_common(N_EXAMPLES))


def _shown(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_EXAMPLE else text[: LONGEST_EXAMPLE - 1] + "…"
