"""The rows of each person, put in order and held against what a schema says of them.

Everything here is a function of one person's own rows: a person still changes no row but their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.records.number_lines import BrokenRules
from privsynth.schema import Schema
from privsynth.schema.sequences import columns_of_persons

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
CanonicalColumn: TypeAlias = "NDArray[np.float64] | pd.Categorical"


class Uniforms(Protocol):
    """Where random order comes from: each number independent of all others."""

    def random(self, n: int, /) -> NDArray[np.float64]:
        """Return ``(n,)`` uniforms in [0, 1)."""
        ...


VARIES = "the rows of one person hold different values, and 'per' says that they share one"
TIED = "two rows of one person stand at the same place in the order, which has to tell them apart"


@dataclass(frozen=True)
class PersonRows:
    """Rows in runs, one a person, each in the order of the person's rows.

    Attributes:
        rows: Index of each row in the table, ``(n_rows,)``.
        starts: Where each person's run begins, ``(n_persons,)``.
        sizes: Rows of each person, ``(n_persons,)``.
    """

    rows: IntArray
    starts: IntArray
    sizes: IntArray

    @classmethod
    def of(cls, persons: IntArray, order: NDArray[np.float64]) -> PersonRows:
        """Put rows in order; rows at the same place as the table has them.

        Args:
            persons: Number of each row's person, ``(n_rows,)``.
            order: Place of each row, NaN last, ``(n_rows,)``.
        """
        rows = np.lexsort((order, persons)).astype(np.int64)
        ordered = persons[rows]
        is_first = np.r_[True, ordered[1:] != ordered[:-1]] if len(rows) else np.zeros(0, dtype=bool)
        starts = np.flatnonzero(is_first)
        return cls(rows, starts, np.diff(np.r_[starts, len(rows)]))

    @property
    def is_first(self) -> BoolArray:
        """Whether each row, in this order, is its person's first, ``(n_rows,)``."""
        first = np.zeros(len(self.rows), dtype=bool)
        first[self.starts] = True
        return first

    def each(self, of_persons: IntArray) -> IntArray:
        """Return a number of each person once for each of their rows, in this order, ``(n_rows,)``."""
        return np.repeat(of_persons, self.sizes)


def order_of(columns: Mapping[str, CanonicalColumn], schema: Schema) -> NDArray[np.float64] | None:
    """Return the place of each row in its person's order; None without an order."""
    return None if schema.order is None else np.asarray(columns[schema.order], dtype=np.float64)


def rules_of_persons(
    columns: Mapping[str, CanonicalColumn], persons: IntArray, schema: Schema
) -> dict[str, BrokenRules]:
    """Say which rows break what the schema says of a person's rows, by column and rule.

    Args:
        columns: Canonical columns that the table has.
        persons: Number of each row's person, ``(n_rows,)``.
        schema: Says which columns a person's rows share, and which orders them.

    Privacy:
        Not private: tells something about the records.
    """
    by_person = PersonRows.of(persons, np.arange(len(persons), dtype=np.float64))
    broken: dict[str, BrokenRules] = {}
    for column in columns_of_persons(schema):
        if column.name in columns:
            codes = _codes(columns[column.name])
            ordered = codes[by_person.rows]
            differs = ordered != by_person.each(ordered[by_person.starts])
            broken[column.name] = {VARIES: _at(by_person.rows, differs)}
    if schema.order in columns:
        order = order_of(columns, schema)
        assert order is not None
        in_order = PersonRows.of(persons, order)
        places = order[in_order.rows]
        tied = (
            np.r_[False, places[1:] == places[:-1]] & ~in_order.is_first if len(places) else in_order.is_first
        )
        broken[str(schema.order)] = {TIED: _at(in_order.rows, tied)}
    return {name: rules for name, rules in broken.items() if any(rows.any() for rows in rules.values())}


def share_first_values(
    columns: Mapping[str, CanonicalColumn], persons: IntArray, schema: Schema
) -> dict[str, CanonicalColumn]:
    """Return the columns that a person's rows share, each with the person's first value that is known.

    Privacy:
        Not private: returns the records.
    """
    order = order_of(columns, schema)
    rows = np.arange(len(persons), dtype=np.float64) if order is None else order
    in_order = PersonRows.of(persons, rows)
    return {
        column.name: _first_known(columns[column.name], in_order) for column in columns_of_persons(schema)
    }


def _first_known(values: CanonicalColumn, in_order: PersonRows) -> CanonicalColumn:
    known = _is_known(values)[in_order.rows]
    place = np.arange(len(known)) - in_order.each(in_order.starts)
    rank = np.where(known, place, in_order.each(in_order.sizes) - 1)  # the last stands for none that is known
    first = np.minimum.reduceat(rank, in_order.starts) if len(rank) else rank
    source = np.empty(len(known), dtype=np.int64)
    source[in_order.rows] = in_order.rows[in_order.each(in_order.starts + first)]
    return values[source]


def _is_known(values: CanonicalColumn) -> BoolArray:
    return values.codes >= 0 if isinstance(values, pd.Categorical) else ~np.isnan(values)


def _codes(values: CanonicalColumn) -> IntArray:
    """Return a number for each value, the same for equal ones."""
    if isinstance(values, pd.Categorical):
        return np.asarray(values.codes, dtype=np.int64)
    return pd.factorize(values)[0].astype(np.int64)


def _at(rows: IntArray, marked: BoolArray) -> BoolArray:
    out = np.zeros(len(rows), dtype=bool)
    out[rows] = marked
    return out
