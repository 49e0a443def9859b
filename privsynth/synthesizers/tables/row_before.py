"""What a view of sequences tells of its own tables, and which of them are worth measuring.

``prev.X`` is the X of the row before: missing in first rows, and in later ones its table with other columns
is that of X, but for persons' last rows. See `privsynth.schema.sequences`. All of it is public or
post-processing: free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import Domain, NumericDomain
from privsynth.models.tables.fitting import Measurement
from privsynth.schema import Schema
from privsynth.schema.row_rules import PREVIOUS
from privsynth.schema.sequences import FIRST, N_RECORDS, START

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

BIAS = 0.1  # how far a table is off that is taken from the rows after, as a part of each cell
CERTAIN = 1.0  # least variance of a cell: of what follows from tables, and of tables without noise; in units


def is_view(schema: Schema) -> bool:
    """Whether a schema is the view of sequences."""
    return FIRST in schema.columns and any(column.values_of is not None for column in schema.modelled)


def derived(schema: Schema) -> frozenset[str]:
    """Return the columns of a view that follow from the rows of others; none if it is no view."""
    names = [c.name for c in schema.modelled if c.values_of is not None or c.distance_of is not None]
    return frozenset([FIRST, *names]) if is_view(schema) else frozenset()


def pairs_before(schema: Schema) -> tuple[tuple[str, str], ...]:
    """Return each column of a row with itself in the row before."""
    lags = derived(schema)
    pairs = ((PREVIOUS + column.name, column.name) for column in schema.modelled)
    return tuple(pair for pair in pairs if pair[0] in lags)


def is_worth_measuring(schema: Schema, pair: Sequence[str]) -> bool:
    """Whether what is drawn rests on a table of two columns that does not follow from others.

    Persons are drawn first, together, and then each row given its person and the row before. Of what is given
    by then, tables follow from those of rows (`RowBefore.table_before`).
    """
    if not is_view(schema):
        return True
    kinds = {_kind(schema, name) for name in pair}
    if all(schema.columns[name].is_given or name == N_RECORDS for name in pair):
        return not any(schema.columns[name].is_given for name in pair)  # drawn with the table above
    return "row" in kinds or kinds == {"person"}


def are_shared(schema: Schema, columns: Sequence[str]) -> bool:
    """Whether all rows of a person hold the same value in each of some columns of a view."""
    return is_view(schema) and {_kind(schema, name) for name in columns} <= {"person"}


def _kind(schema: Schema, name: str) -> str:
    lags = derived(schema)
    if name == FIRST or (name in lags and name.startswith(PREVIOUS)):
        return "before"
    is_gap = schema.columns[name].distance_of is not None
    is_of_row = PREVIOUS + name in lags or START + name in lags or is_gap
    return "row" if is_of_row else "person"


@dataclass(frozen=True)
class RowBefore:
    """What is known of the columns of a view that hold the row before.

    Attributes:
        schema: The view.
        domains: Of its columns.
        one_way: Their 1-way measurements.
    """

    schema: Schema
    domains: Mapping[str, Domain]
    one_way: Sequence[Measurement]

    @cached_property
    def share_of_first(self) -> float:
        """The share of rows that are a person's first, from its released counts."""
        counts = next(np.maximum(m.counts, 0.0) for m in self.one_way if m.columns == (FIRST,))
        return float(counts[1] / max(counts.sum(), 1.0))

    def possible_codes(self, n_components: int) -> dict[str, NDArray[np.bool_]]:
        """Return which codes each component may have: some are of first rows, and the others of later ones.

        Returns:
            Column to ``(n_codes, n_components)``.
        """
        n_first = min(max(round(n_components * self.share_of_first), 1), n_components - 1)
        is_first = np.arange(n_components) < n_first
        out = {FIRST: np.stack([~is_first, is_first])}
        for column in self.schema.modelled:
            domain = self.domains[column.name]
            is_before = PREVIOUS + str(column.values_of) == column.name
            if is_before or column.distance_of is not None:
                is_missing = np.arange(domain.size) == domain.size - 1
                may_be_missing = (
                    column.values_of is not None and self.domains[column.values_of].has_missing
                ) or domain.size == 1
                later = ~is_missing | may_be_missing
                out[column.name] = np.where(is_first, is_missing[:, None], later[:, None])
        return out

    def first_of_records(self) -> Measurement:
        """Return the table of the number of records and ``first``: of a person's n rows, one is the first."""
        of = next(m for m in self.one_way if m.columns == (N_RECORDS,))
        domain = self.domains[N_RECORDS]
        if isinstance(domain, NumericDomain):
            begin, end = domain.grid.intervals()
            each = 2.0 / (begin + end)
            share = np.array([each[domain.bin_of_cell == b].mean() for b in range(domain.n_bins)])
        else:
            share = 1.0 / np.array(domain.values, dtype=np.float64)
        share = np.append(share, [0.5] * (domain.size - len(share)))
        parts = np.stack([1.0 - share, share], axis=1)
        variance = np.broadcast_to(np.asarray(of.variance, dtype=np.float64), of.counts.shape)
        return Measurement(
            columns=(N_RECORDS, FIRST),
            counts=np.maximum(of.counts, 0.0)[:, None] * parts,
            variance=variance[:, None] * parts**2 + CERTAIN,
        )

    def table_before(self, table: Measurement) -> Measurement | None:
        """Return a table of two columns as the next row has it before it; None if there is none.

        Persons' last rows stand before no other, so it is only about right: its variance says so.
        """
        if len(table.columns) != 2:
            return None
        before = tuple(self._before(name) for name in table.columns)
        if before == table.columns or any(_kind(self.schema, name) == "row" for name in before):
            return None
        counts, in_first = table.counts, table.counts
        variance = np.broadcast_to(np.asarray(table.variance, dtype=np.float64), counts.shape)
        for axis, (name, lag) in enumerate(zip(table.columns, before, strict=True)):
            if name == lag:
                continue
            to, size = codes_before(self.domains[name], self.domains[lag]), self.domains[lag].size
            counts, variance = (_added_up(part, to, size, axis) for part in (counts, variance))
            in_first = _added_up(in_first, np.full_like(to, size - 1), size, axis)
        part = self.share_of_first
        later, first = (1.0 - part) * counts, part * in_first
        variance = (1.0 - part) ** 2 * variance + (BIAS * (later + first)) ** 2 + CERTAIN
        return Measurement(columns=before, counts=later + first, variance=variance, norm=table.norm)

    def _before(self, name: str) -> str:
        return PREVIOUS + name if PREVIOUS + name in derived(self.schema) else name


def codes_before(domain: Domain, lag: Domain) -> IntArray:
    """Return which code of ``prev.X`` each code of X becomes."""
    missing = [lag.size - 1] * domain.has_missing
    if isinstance(domain, NumericDomain):
        assert isinstance(lag, NumericDomain)
        _, first = np.unique(domain.bin_of_cell, return_index=True)
        return np.array([*lag.bin_of_cell[first], *missing], dtype=np.int64)
    return np.array([*range(domain.size - domain.has_missing), *missing], dtype=np.int64)


def _added_up(table: FloatArray, to: IntArray, size: int, axis: int) -> FloatArray:
    """Add up a table along one axis, by where each of its positions goes."""
    out = np.zeros((size, *np.delete(table.shape, axis)))
    np.add.at(out, to, np.moveaxis(table, axis, 0))
    return np.moveaxis(out, 0, axis)
