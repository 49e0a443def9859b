"""The cells of noisy tables that others released, read from their files and laid out as arrays.

A table has an axis for each column: the values of a list, or the bins of a number line, then missing. Ends of
bins are in ticks (`privsynth.domains.encoding.NumericGrid`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import MAX_UNIT_CELLS, to_ticks
from privsynth.errors import SchemaError, TableError
from privsynth.io.source import Source
from privsynth.io.tables import open_table
from privsynth.records.coerce import MISSING_RULE, conform_column
from privsynth.releases.store import Release
from privsynth.schema import PRIVATE, Column, Schema, category_text, whole_steps
from privsynth.synthesizers.elsewhere.statement import LARGEST, StatedTable, Statement, own_file

MAX_FILE_BYTES = 2**28
MAX_CELLS = 2**22  # of one table
MAX_CELLS_IN_ALL = 2**24
LEAST_VARIANCE = 1e-12  # next to none: what is stated to have less has none
MECHANISM = "stated"  # of the event of a release made elsewhere: no mechanism of ours, and of no known kind

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """The codes of a column in one table.

    Attributes:
        column: Name of the column.
        values: Texts of its values, of a list; None of a number line.
        ends: Ends of its bins in ticks, of a number line, ``(n_bins + 1,)``; None of a list. The last bin
            holds its own end.
        has_missing: Whether the last code stands for missing.
    """

    column: str
    values: tuple[str, ...] | None
    ends: tuple[float, ...] | None
    has_missing: bool

    @property
    def size(self) -> int:
        """Number of codes."""
        own = len(self.ends or ()) - 1 if self.values is None else len(self.values)
        return own + self.has_missing

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able fields."""
        own = {"ends": list(self.ends or ())} if self.values is None else {"values": list(self.values)}
        return {"column": self.column, **own, "has_missing": self.has_missing}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Axis:
        """Read what `to_dict` wrote."""
        values, ends = fields.get("values"), fields.get("ends")
        return cls(
            fields["column"],
            None if values is None else tuple(values),
            None if ends is None else tuple(ends),
            fields["has_missing"],
        )


@dataclass(frozen=True)
class Cells:
    """One noisy table.

    Attributes:
        axes: One of each column.
        counts: Noisy number of units in each cell; zero in cells that were left out.
        variance: Of each; the square of the threshold in cells that were left out.
        is_thresholded: Whether cells below a threshold were left out.
    """

    axes: tuple[Axis, ...]
    counts: FloatArray
    variance: FloatArray
    is_thresholded: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, in the order of its axes."""
        return tuple(axis.column for axis in self.axes)


def read_release(folder: str | Path, stated: Statement, index: int, schema: Schema) -> Release:
    """Read one table of a folder, hold it against its statement and the schema, and return it as a release.

    Args:
        folder: The folder.
        stated: What is stated of its tables.
        index: Position of the table.
        schema: What is public about the records.

    Raises:
        TableError: If a cell is missing, stands twice or is no cell, or a number is none; if the table is
            larger than it may be, or the stated cost cannot be that of this noise.
        SchemaError: If the schema has no such column, or lacks the ends of a line.

    Privacy:
        Post-processing: reads what was released.
    """
    table, name = stated.tables[index], repr(str(Path(folder) / stated.tables[index].cells))
    path = own_file(Path(folder) / table.cells, MAX_FILE_BYTES)
    source = open_table(path)
    try:
        cells = _cells(source, table, schema, name)
    finally:
        source.close()
    _check_cost(table, float(cells.variance.min(initial=math.inf)), f"{name} (table {index + 1})")
    what = " x ".join(table.columns) or "number of all"
    spread = np.sqrt(cells.variance)
    event = {
        "mechanism": MECHANISM,
        "purpose": f"made elsewhere: {what}",
        "noise": table.mechanism,
        "std": [float(spread.min()), float(spread.max())],
        "count": 1,
        "mu_squared": None if table.cost is None else table.cost.as_mu_squared,
    }
    return Release(
        key=f"elsewhere/{index}",
        event=event,
        facts={"axes": [axis.to_dict() for axis in cells.axes], "is_thresholded": cells.is_thresholded},
        arrays={"counts": cells.counts, "variance": cells.variance},
        columns=table.columns,
    )


def cells_of_release(release: Release) -> Cells:
    """Return the table that a release holds; raises a `KeyError` or `TypeError` if it holds none."""
    axes = tuple(Axis.from_dict(fields) for fields in release.facts["axes"])
    arrays, shape = release.arrays, tuple(axis.size for axis in axes)
    if not arrays["counts"].shape == arrays["variance"].shape == shape:
        raise ValueError("no table of these axes")
    return Cells(axes, arrays["counts"], arrays["variance"], bool(release.facts["is_thresholded"]))


def _cells(source: Source, table: StatedTable, schema: Schema, where: str) -> Cells:
    asked = [table.count, *(name for name in (table.std, table.variance) if isinstance(name, str))]
    for name in (*table.columns, *asked):
        if name not in source.names:
            raise TableError(
                f"{where}: there is no column {name!r}; it has {', '.join(map(repr, source.names[:20]))}"
            )
    if source.dtypes is not None:  # a Parquet file's footer tells; a CSV file is bounded by its size
        _check_size(source.n_rows, where)
    frame = {name: source.column(name) for name in dict.fromkeys((*table.columns, *asked))}
    n_rows = source.n_rows
    _check_size(n_rows, where)
    axes, codes = [], []
    for name in table.columns:
        axis, of_rows = _axis(frame[name], _column(schema, name, where), table, where)
        axes.append(axis)
        codes.append(of_rows)
    shape = tuple(axis.size for axis in axes)
    _check_size(math.prod(shape), where)
    position = np.ravel_multi_index(codes, shape) if codes else np.zeros(n_rows, dtype=np.int64)
    is_there = np.zeros(math.prod(shape), dtype=bool)
    is_there[position] = True
    if int(is_there.sum()) < n_rows:
        first = int(np.flatnonzero(pd.Series(position).duplicated())[0])
        raise TableError(f"{where}: cells overlap: row {first + 1} is a cell that stands there before")
    if not table.is_thresholded and not is_there.all():
        lacking = np.unravel_index(int(np.flatnonzero(~is_there)[0]), shape)
        named = ", ".join(
            f"{axis.column} = {_label(axis, int(code))}" for axis, code in zip(axes, lacking, strict=True)
        )
        raise TableError(
            f"{where}: {int((~is_there).sum()):,} of {is_there.size:,} cells are missing, such as "
            f"{named or 'its only one'}; public keys have a noisy count in every cell (else state "
            '"keys": "thresholded")'
        )
    counts, variance = (
        _numbers(frame[table.count], table.count, where),
        _variance(table, frame, n_rows, where),
    )
    if not n_rows:
        raise TableError(f"{where}: it holds no cell")
    laid = np.zeros(is_there.size), np.empty(is_there.size)
    threshold = table.threshold or max(float(counts.min()), 0.0)
    laid[1][:] = max(threshold**2, float(variance.max()))
    laid[0][position], laid[1][position] = counts, variance
    return Cells(tuple(axes), laid[0].reshape(shape), laid[1].reshape(shape), table.is_thresholded)


def _column(schema: Schema, name: str, where: str) -> Column:
    column = schema.columns.get(name)
    if column is None or not column.is_modelled:
        known = ", ".join(repr(c.name) for c in schema.modelled[:20])
        raise SchemaError(f"{where}: the schema has no modelled column {name!r}; it has {known}")
    return column


def _check_size(n_cells: int, where: str) -> None:
    if n_cells > MAX_CELLS:
        raise TableError(f"{where}: {n_cells:,} cells, above {MAX_CELLS:,}; leave a column out")


# -- axes ----------------------------------------------------------------------------------------------


def _axis(raw: pd.Series, column: Column, table: StatedTable, where: str) -> tuple[Axis, IntArray]:
    """Return the axis of a column, and the code of each row, ``(n_rows,)``."""
    has_edges = column.name in table.edges
    if has_edges and not column.is_numeric:
        raise TableError(f"{where}: 'edges' of {column.name!r}, whose values are listed; leave them out")
    reading = replace(column, missing=True)
    if column.is_numeric:
        reading = replace(reading, low=PRIVATE, high=PRIVATE)
    values, broken = conform_column(raw.reset_index(drop=True), reading)
    if broken:
        raise TableError(f"{where}: column {column.name!r}: {broken[0]}; no row of the table is such")
    if isinstance(values, pd.Categorical):
        axis_values = tuple(map(category_text, values.categories))
        codes, ends = values.codes.astype(np.int64), None
        if column.labels is None and not axis_values:
            raise TableError(f"{where}: column {column.name!r} has no value")
        n_own = len(axis_values)
    else:
        written, ends = _bins(column, table.edges.get(column.name), where)
        ticks, axis_values = to_ticks(values, column), None
        codes = np.searchsorted(written, ticks)
        is_known = np.isnan(ticks) | (written[np.minimum(codes, len(written) - 1)] == ticks)
        if not is_known.all():
            what = "the lower end of a bin ('edges')" if has_edges else "one of the column's values"
            raise TableError(
                f"{where}: row {int(np.flatnonzero(~is_known)[0]) + 1}: expected {column.name!r} to be {what}"
            )
        codes = np.where(np.isnan(ticks), -1, codes).astype(np.int64)
        n_own = len(written)
    is_missing = codes < 0
    if is_missing.any() and column.missing is False:
        raise TableError(f"{where}: column {column.name!r}: {MISSING_RULE} in the schema")
    has_missing = column.missing is True or bool(is_missing.any())
    return Axis(column.name, axis_values, ends, has_missing), np.where(is_missing, n_own, codes)


def _bins(column: Column, edges: tuple[Any, ...] | None, where: str) -> tuple[FloatArray, tuple[float, ...]]:
    """Return the lower ends of the bins as they are written, in ticks, and the ends within the bounds."""
    low, high = column.bounds
    if edges is None:
        if low is None or high is None or column.step is None:
            raise TableError(
                f"{where}: 'edges' of {column.name!r} are missing: without them every value is a cell, which "
                "needs public bounds in the schema and whole steps between them"
            )
        first, last = whole_steps(low, high, column.step)
        if last - first >= MAX_UNIT_CELLS:
            raise TableError(
                f"{where}: 'edges' of {column.name!r} are missing: it has more than {MAX_UNIT_CELLS} values, "
                "so state where its bins end"
            )
        ticks = first + np.arange(last - first + 1)
        return ticks, (*ticks.tolist(), float(last))
    unbounded = replace(column, low=PRIVATE, high=PRIVATE, missing=True)
    numbers, broken = conform_column(pd.Series(list(edges), dtype=object), unbounded)
    ends = to_ticks(np.asarray(numbers, dtype=np.float64), column)
    if broken or np.isnan(ends).any():
        raise TableError(f"{where}: 'edges' of {column.name!r}: {broken[0] if broken else 'one is empty'}")
    if (np.diff(ends) <= 0).any():
        raise TableError(f"{where}: cells overlap: 'edges' of {column.name!r} do not increase")
    first, last = ends[0], ends[-1]
    if column.step is not None and (low is not None or high is not None):
        low, high = whole_steps(
            -math.inf if low is None else low, math.inf if high is None else high, column.step
        )
    low, high = (
        first if low is None or low == -math.inf else low,
        last if high is None or high == math.inf else high,
    )
    if first > low or last < high:
        raise TableError(
            f"{where}: 'edges' of {column.name!r} leave a part of the line out: they go from {edges[0]} to "
            f"{edges[-1]}, and the schema's bounds are {column.low} and {column.high}; clamp values there, "
            "or mend the bounds"
        )
    clipped = np.r_[low, ends[1:-1], high]
    if (np.diff(clipped[:-1]) <= 0).any() or clipped[-2] > clipped[-1]:
        raise TableError(
            f"{where}: a bin of {column.name!r} holds no value between {column.low} and {column.high}, the "
            "schema's bounds; leave it out of 'edges'"
        )
    return ends[:-1], tuple(clipped.tolist())


def _label(axis: Axis, code: int) -> str:
    """Return what a code is called in messages: all of it is released, or public."""
    if axis.has_missing and code == axis.size - 1:
        return "missing"
    return repr(axis.values[code]) if axis.values is not None else f"bin {code + 1}"


# -- numbers -------------------------------------------------------------------------------------------


def _numbers(raw: pd.Series, name: str, where: str) -> FloatArray:
    """Return a column of finite numbers, ``(n_rows,)``."""
    column = Column(name=name, type="real", low=PRIVATE, high=PRIVATE)
    numbers, broken = conform_column(raw.reset_index(drop=True), column)
    out = np.asarray(numbers, dtype=np.float64)
    if broken or not (np.abs(out) <= LARGEST).all():  # NaN is not
        raise TableError(f"{where}: column {name!r}: expected a number within {LARGEST:g} in every row")
    return out


def _variance(table: StatedTable, frame: Mapping[str, pd.Series], n_rows: int, where: str) -> FloatArray:
    """Return the variance of the noise in each row, ``(n_rows,)``."""
    stated = table.std if table.variance is None else table.variance
    assert stated is not None
    values = _numbers(frame[stated], stated, where) if isinstance(stated, str) else np.full(n_rows, stated)
    if (values <= 0).any():
        raise TableError(f"{where}: column {stated!r}: expected a number above 0 in every row, for its noise")
    variance = values if table.std is None else values**2
    if (variance < LEAST_VARIANCE).any():
        raise TableError(f"{where}: expected noise of a variance of at least {LEAST_VARIANCE:g}")
    return np.asarray(variance, dtype=np.float64)


def _check_cost(table: StatedTable, variance: float, where: str) -> None:
    """Refuse a cost that no noise of this variance can have: one of both is stated wrongly."""
    least = 0.0 if table.cost is None else table.cost.least_variance
    if variance < 0.98 * least:  # figures are rounded
        raise TableError(
            f"{where}: the stated cost is too small for its noise: at that cost no count can have a standard "
            f"deviation below {math.sqrt(least):.4g}, and {math.sqrt(variance):.4g} is stated"
        )
