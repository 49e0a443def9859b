"""What the model of a table above tells of the columns that a table below has from it.

Rows below are drawn given rows above, and these by the model above. So what they are like is known there, and
nothing of it is found or counted again. Post-processing of the releases of the table above: free.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.sampling.table_model import TableModel
from privsynth.schema.columns import Column
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_tables import given_name
from privsynth.schema.linked_views import given, linked_view, n_of
from privsynth.schema.sequences import N_RECORDS
from privsynth.synthesizers.tables.domains import Known

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def handed_down(schema: LinkedSchema, name: str, above: TableModel) -> dict[str, Known]:
    """Return what is known of the columns of a child's view that stand above it, of parents that have rows.

    Args:
        schema: The linked tables.
        name: The child table.
        above: The model of its parent's view.

    Privacy:
        Post-processing of releases.
    """
    parent, view, count = str(schema.tables[name].parent), linked_view(schema, name), n_of(name)
    has_rows = _has_rows(above.domains[count])
    known = {}
    for where, column in given(schema, name):
        own = column.name if where == parent else given_name(where, column.name)
        source = own if own in above.domains else N_RECORDS  # how many the parent's parent has of such rows
        shares = _shares(above.table((source, count)) @ has_rows)
        of_child = view.columns[given_name(where, column.name)]
        known[of_child.name] = Known(_as_declared(above.domains[source], of_child), shares)
    n_rows = above.table((count,)) * has_rows
    known[N_RECORDS] = _numbers(above.domains[count], n_rows, view.columns[N_RECORDS])
    return known


def _as_declared(domain: Domain, column: Column) -> Domain:
    """Return a domain as that of another column of the same values; single numbers may stand on a line."""
    if isinstance(domain, DiscreteDomain) and column.is_numeric:
        numbers = np.array(domain.values, dtype=np.float64)
        grid = NumericGrid(float(numbers[0]), float(numbers[-1]), True, numbers)
        n = len(numbers)
        return NumericDomain(column, grid, np.arange(n), np.ones(n), False)
    return replace(domain, column=column)


def _has_rows(count: Domain) -> FloatArray:
    """Return the probability that a parent has rows, by the code of their number, ``(n_codes,)``."""
    if isinstance(count, DiscreteDomain):
        return (np.array(count.values, dtype=np.int64) > 0).astype(np.float64)
    assert isinstance(count, NumericDomain)
    out, (begin, end) = np.ones(count.size), count.grid.intervals()
    out[count.bin_of_cell[0]] -= count.cell_weight[0] / (end[0] - begin[0] + 1.0)
    return out


def _numbers(count: Domain, shares: FloatArray, column: Column) -> Known:
    """Return what the parents' numbers of rows, those above zero, tell of how many rows stand together."""
    if column.is_numeric:
        return Known(replace(count, column=column), _shares(shares))  # n.CHILD has as many values, and zero
    numbers, of_number = _by_number(count, shares)
    labels = column.labels
    assert labels is not None
    place = np.minimum(numbers, len(labels)) - 1
    is_some = numbers > 0
    each = np.zeros(len(labels))
    np.add.at(each, place[is_some], of_number[is_some])
    return Known(DiscreteDomain(column, labels, False, False), _shares(each))


def _by_number(count: Domain, shares: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the numbers that a column may count, and the share of each."""
    if isinstance(count, DiscreteDomain):
        return np.array(count.values, dtype=np.int64), shares
    assert isinstance(count, NumericDomain)
    begin, end = count.grid.intervals()
    n = (end - begin + 1.0).astype(np.int64)
    of_cell = shares[count.bin_of_cell] * count.cell_weight / n
    return np.arange(int(begin[0]), int(begin[0]) + int(n.sum())), np.repeat(of_cell, n)


def _shares(table: FloatArray) -> FloatArray:
    """Return shares that add up to 1; all alike where no parent has rows."""
    total = float(table.sum())
    return table / total if total > 0 else np.full(len(table), 1.0 / len(table))
