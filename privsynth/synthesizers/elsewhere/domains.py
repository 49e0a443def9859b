"""Domains of noisy tables that others released, and the tables over them, as measurements."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.domains.noisy_cells import denoise
from privsynth.domains.shape import shape_in_bins
from privsynth.errors import SchemaError, TableError
from privsynth.models.tables.fitting import Measurement
from privsynth.models.tables.merging import merged
from privsynth.schema import Column, Schema, category_text
from privsynth.synthesizers.elsewhere.cells import Axis, Cells
from privsynth.synthesizers.tables.domains import Domains
from privsynth.synthesizers.tables.fine_domains import as_numbers

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def domains_of(schema: Schema, tables: Sequence[Cells]) -> Domains:
    """Return the domains of all modelled columns, and what all tables say of each column by itself.

    A list that the schema keeps private is what the tables hold. A number line has the bins of the table that
    divides it least; finer tables of the line alone give the shape inside.

    Args:
        schema: What is public about the records.
        tables: The tables.

    Raises:
        SchemaError: If no table holds a column.
        TableError: If tables divide a column in ways that do not go together.

    Privacy:
        Post-processing.
    """
    by_column = {column.name: _domain(column, tables) for column in schema.modelled}
    one_way = [_one_way(name, domain, tables) for name, domain in by_column.items()]
    n_units, std = _number_of_units(tables)
    return Domains(by_column, one_way, n_units, std)


def measurement_of(table: Cells, domains: Domains) -> Measurement:
    """Return a table over the codes of domains."""
    counts, variance = table.counts, table.variance
    for position, axis in enumerate(table.axes):
        domain = domains.by_column[axis.column]
        counts, variance = (
            _over(axis, domain, values, position, left_out)
            for values, left_out in ((counts, 0.0), (variance, float(table.variance.max())))
        )
    return Measurement(columns=table.columns, counts=counts, variance=variance)


def projected(table: Measurement, columns: Sequence[str]) -> Measurement:
    """Return the sums of a table over all but some columns, in their order in the table."""
    kept = tuple(name for name in table.columns if name in columns)
    others = tuple(i for i, name in enumerate(table.columns) if name not in columns)
    variance = np.broadcast_to(np.asarray(table.variance, dtype=np.float64), table.counts.shape)
    return Measurement(columns=kept, counts=table.counts.sum(axis=others), variance=variance.sum(axis=others))


def pairs_of(table: Measurement) -> list[Measurement]:
    """Return the tables of all pairs of a table's columns."""
    return [projected(table, pair) for pair in combinations(table.columns, 2)]


def _number_of_units(tables: Sequence[Cells]) -> tuple[float, float]:
    """Return the noisy number of units, at least 1, and its standard deviation.

    Cells that were left out make sums too small: tables that have them are asked only where all have.
    """
    whole = [table for table in tables if not table.is_thresholded] or list(tables)
    totals = [Measurement(columns=(), counts=t.counts.sum(), variance=t.variance.sum()) for t in whole]
    both = merged(totals)
    return max(float(both.counts), 1.0), float(np.sqrt(both.variance))


def _one_way(name: str, domain: Domain, tables: Sequence[Cells]) -> Measurement:
    """Return what tables say of a column: those of it alone if there are any, else sums of the others."""
    known = Domains({name: domain}, [], 1.0, 1.0)
    own = [t for t in tables if t.columns == (name,)] or [t for t in tables if name in t.columns]
    sums = []
    for table in own:
        position = table.columns.index(name)
        others = tuple(i for i in range(len(table.axes)) if i != position)
        alone = Cells(
            (table.axes[position],),
            table.counts.sum(axis=others),
            table.variance.sum(axis=others),
            table.is_thresholded,
        )
        sums.append(measurement_of(alone, known))
    return merged(sums)


# -- domains -------------------------------------------------------------------------------------------


def _domain(column: Column, tables: Sequence[Cells]) -> Domain:
    holding = [(table, axis) for table in tables for axis in table.axes if axis.column == column.name]
    if not holding:
        raise SchemaError(
            f"no table of the folder holds the column {column.name!r}, so nothing is known of it; add one, "
            "or set 'drop' to true in the schema"
        )
    has_missing = any(axis.has_missing for _, axis in holding)
    for table, axis in holding:
        if axis.has_missing != has_missing and not table.is_thresholded:
            raise TableError(
                f"column {column.name!r} can be missing, and the table of {_named(table)} has no cell for "
                "that; public keys have a noisy count in every cell"
            )
    if column.is_numeric:
        return _line(column, holding, has_missing)
    labels = column.labels
    if labels is None:
        texts = sorted({value for _, axis in holding for value in axis.values or ()})
        for table, axis in holding:
            if len(axis.values or ()) < len(texts) and not table.is_thresholded:
                raise TableError(
                    f"the table of {_named(table)} lacks values of {column.name!r} that another table has; "
                    "public keys have a noisy count in every cell"
                )
        # numbers in their order, as of a list that a fit finds
        labels = as_numbers(tuple(map(category_text, sorted(as_numbers(tuple(texts))))))
    return DiscreteDomain(column, tuple(labels), False, has_missing)


def _line(column: Column, holding: Sequence[tuple[Cells, Axis]], has_missing: bool) -> NumericDomain:
    coarse = min((axis.ends or () for _, axis in holding), key=len)
    for table, axis in holding:
        if not set(coarse) <= set(axis.ends or ()):
            raise TableError(
                f"column {column.name!r}: the table of {_named(table)} divides it otherwise than another; "
                "every end of the coarsest 'edges' has to be one of all others"
            )
    alone = [(table, axis) for table, axis in holding if table.columns == (column.name,)]
    finest = max(alone, key=lambda held: len(held[1].ends or ()), default=None)
    ends = coarse if finest is None else finest[1].ends or ()
    bin_of_cell = _bins_of(ends, coarse)
    grid = NumericGrid(ends[0], ends[-1], column.step is not None, np.array(ends[:-1]))
    weight = np.ones(grid.n_cells)
    if finest is not None and grid.n_cells > len(coarse) - 1:
        noise = float(np.sqrt(finest[0].variance.mean()))
        cells = denoise(finest[0].counts[: grid.n_cells], noise_std=noise)
        weight = shape_in_bins(cells, bin_of_cell, grid.widths(), noise)
    return NumericDomain(column, grid, bin_of_cell, weight, has_missing)


def _bins_of(ends: Sequence[float], coarse: Sequence[float]) -> IntArray:
    """Return in which bin of a coarser division each bin of a finer one lies."""
    last = len(coarse) - 2
    return np.minimum(np.searchsorted(coarse, np.array(ends[:-1]), side="right") - 1, last).astype(np.int64)


def _over(axis: Axis, domain: Domain, values: FloatArray, position: int, left_out: float) -> FloatArray:
    """Return an array with one axis over the codes of a domain; codes that it lacks hold ``left_out``."""
    along = np.moveaxis(values, position, 0)
    n_own = axis.size - axis.has_missing
    if isinstance(domain, NumericDomain):
        first, last = domain.grid.intervals()
        n_bins, is_first = domain.n_bins, np.r_[True, np.diff(domain.bin_of_cell) > 0]
        to = _bins_of(axis.ends or (), [*first[is_first], last[-1]])
        out = np.zeros((domain.size, *along.shape[1:]))
    else:
        code_of = {category_text(value): code for code, value in enumerate(domain.values)}
        n_bins, to = (
            len(domain.values),
            np.array([code_of[text] for text in axis.values or ()], dtype=np.int64),
        )
        out = np.full((domain.size, *along.shape[1:]), left_out)
        out[to] = 0.0
    np.add.at(out, to, along[:n_own])
    if domain.has_missing:
        out[n_bins] = along[n_own] if axis.has_missing else left_out
    return np.moveaxis(out, 0, position)


def _named(table: Cells) -> str:
    return " x ".join(map(repr, table.columns))
