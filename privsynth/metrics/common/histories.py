"""Rows of persons as histories: in the order of each person, and each row beside one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from privsynth.records.conform import Records
from privsynth.records.person_rows import PersonRows
from privsynth.schema import Column, Schema
from privsynth.schema.sequences import columns_of_persons, columns_of_rows

BEFORE = "before."
"""Begins the names of columns of the row before."""


@dataclass(frozen=True)
class Histories:
    """Rows of persons, one person after the other, each person's in their order.

    Attributes:
        frame: Canonical rows.
        persons: Number of each row's person, 0 to n_persons - 1, increasing, ``(n_rows,)``.
        schema: Says which columns a person's rows share, and which one orders them.
    """

    frame: pd.DataFrame
    persons: np.ndarray
    schema: Schema

    @classmethod
    def of(cls, records: Records, schema: Schema, generator: np.random.Generator) -> Histories:
        """Put canonical records in order as a fit does: ties by the table, and by chance without an order.

        Args:
            records: With persons.
            schema: Sequential.
            generator: Decides on the order of rows that have none.

        Privacy:
            Not private: returns the records.
        """
        assert records.persons is not None, "a sequential schema names persons"
        order = generator.random(len(records.frame))
        if schema.order is not None:
            order = records.frame[schema.order].to_numpy(dtype=np.float64)
        rows = PersonRows.of(records.persons, order).rows
        persons = np.unique(records.persons[rows], return_inverse=True)[1]
        return cls(records.frame.iloc[rows].reset_index(drop=True), persons, schema)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Rows of each person, ``(n_persons,)``."""
        return np.bincount(self.persons)

    @cached_property
    def starts(self) -> np.ndarray:
        """Position of each person's first row, ``(n_persons,)``."""
        return (np.cumsum(self.sizes) - self.sizes).astype(np.int64)

    @cached_property
    def positions(self) -> np.ndarray:
        """How many rows of the same person come before each row, ``(n_rows,)``."""
        return np.arange(len(self.persons)) - self.starts[self.persons]

    @property
    def n_persons(self) -> int:
        """Number of persons."""
        return len(self.sizes)

    def pairs(self, lag: int) -> Pairs:
        """Return each row that has one ``lag`` rows before it, with that one.

        Privacy:
            Not private: points at records.
        """
        later = np.flatnonzero(self.positions >= lag)
        return Pairs(later - lag, later, self.persons[later])

    def totals(self, names: Sequence[str]) -> pd.DataFrame:
        """Return the sum of each person's known numbers, NaN without one, ``(n_persons, n_columns)``.

        Privacy:
            Not private: sums of records.
        """
        return pd.DataFrame({name: self._sum_of(name) for name in names}, index=range(self.n_persons))

    def gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the order moves from row to row, and whose step it is; empty without an order.

        Privacy:
            Not private: differences of records.
        """
        if self.schema.order is None:
            return np.empty(0), np.empty(0, dtype=np.int64)
        order, pairs = self.frame[self.schema.order].to_numpy(dtype=np.float64), self.pairs(1)
        return order[pairs.later] - order[pairs.earlier], pairs.persons

    def with_row_before(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Return each row that has one before it: the person's columns, the row's own, and ``before.X``.

        Returns:
            The rows, and the person of each.

        Privacy:
            Not private: returns records.
        """
        pairs, names = self.pairs(1), [column.name for column in events_of(self.schema)]
        shared = [column.name for column in columns_of_persons(self.schema)]
        later = self.frame[[*shared, *names]].iloc[pairs.later].reset_index(drop=True)
        earlier = self.frame[names].iloc[pairs.earlier].reset_index(drop=True).add_prefix(BEFORE)
        return pd.concat([later, earlier], axis=1), pairs.persons

    def dealt(self, generator: np.random.Generator) -> Histories:
        """Return independent rows: the same rows dealt to the persons at random, as many as each had.

        What differs between a person's rows is dealt, row by row; what they share stays.

        Privacy:
            Not private: returns records.
        """
        names = [column.name for column in columns_of_rows(self.schema)]
        shuffled = self.frame[names].iloc[generator.permutation(len(self.frame))].reset_index(drop=True)
        rows = self.frame.assign(**{name: shuffled[name] for name in names})
        return Histories.of(Records(rows, self.persons), self.schema, generator)

    def some(self, n_most: int, generator: np.random.Generator) -> Histories:
        """Return the histories of ``n_most`` persons drawn at random, or of all if there are no more.

        Privacy:
            Not private: returns records.
        """
        if self.n_persons <= n_most:
            return self
        kept = np.isin(self.persons, generator.permutation(self.n_persons)[:n_most])
        persons = np.unique(self.persons[kept], return_inverse=True)[1]
        return replace(self, frame=self.frame[kept].reset_index(drop=True), persons=persons)

    def _sum_of(self, name: str) -> np.ndarray:
        values = self.frame[name].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        total = np.bincount(self.persons, np.where(known, values, 0.0), self.n_persons)
        return np.where(np.bincount(self.persons[known], minlength=self.n_persons) > 0, total, np.nan)


@dataclass(frozen=True)
class Pairs:
    """Rows of one person, one so many rows before the other.

    Attributes:
        earlier: Positions of the rows before, ``(n_pairs,)``.
        later: Positions of the rows after.
        persons: Person of each pair.
    """

    earlier: np.ndarray
    later: np.ndarray
    persons: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """What each pair weighs, so that every person with a pair counts once, ``(n_pairs,)``."""
        return weights_of(self.persons)


def weights_of(persons: np.ndarray) -> np.ndarray:
    """Return for each entry one over the number of entries of the same person.

    Privacy:
        Not private: of real persons, if the entries are.

    Example:
        >>> weights_of(np.array([0, 0, 3])).tolist()
        [0.5, 0.5, 1.0]
    """
    return 1.0 / np.bincount(persons)[persons] if len(persons) else np.empty(0)


def events_of(schema: Schema) -> list[Column]:
    """Return the modelled columns that may differ between a person's rows, without that of the order."""
    return [column for column in columns_of_rows(schema) if column.name != schema.order]
