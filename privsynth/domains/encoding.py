"""Domains: how the values of a column become codes, and codes values. Public facts and releases only.

A column's domain is a finite list of cells; code ``-1`` is a value outside it, which is counted nowhere.
Numbers live on a `NumericGrid`, a public partition that is fine where values are dense on a logarithmic
or a linear scale; bins are runs of its cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.coding import Coding, NumberCoding, TextCoding, as_ticks, cells_of
from privsynth.domains.systematic import Distributions
from privsynth.schema import Category, Column, category_text

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MAX_UNIT_CELLS = 512  # up to here every value of a grid column has a cell of its own
UNIFORM_CELLS = 128
CELLS_PER_OCTAVE = 8
CONTINUOUS_OCTAVES = 20
OTHER = "other"


@dataclass(frozen=True)
class NumericGrid:
    """A public partition of ``[low, high]`` into cells; some hold a single value, which stays alone.

    Numbers are held in *ticks*: whole multiples of the column's step, or the number itself for a real
    column without ``decimals``.

    Attributes:
        low: Smallest tick.
        high: Largest tick.
        discrete: Whether ticks are whole numbers.
        edges: Left ends of the cells, increasing, ``(n_cells,)``; the first is ``low``.
        point_masses: Ticks that stand out, increasing, ``(n_point_masses,)``; each has a cell, later a bin,
            of its own.
    """

    low: float
    high: float
    discrete: bool
    edges: FloatArray
    point_masses: FloatArray = field(default_factory=lambda: np.empty(0))

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.edges)

    @property
    def is_fine(self) -> bool:
        """Whether every value already has a cell of its own."""
        return self.discrete and self.high - self.low + 1 == len(self.edges)

    def with_point_masses(self, point_masses: FloatArray) -> NumericGrid:
        """Return the grid with these ticks, all within the bounds, in cells of their own."""
        point_masses = np.unique(np.asarray(point_masses, dtype=np.float64))
        after = point_masses + 1 if self.discrete else np.nextafter(point_masses, np.inf)
        edges = np.unique(np.r_[self.edges, point_masses, after[after <= self.high]])
        return replace(self, edges=edges, point_masses=point_masses)

    def index(self, ticks: FloatArray) -> IntArray:
        """Return the cell of each tick; values beyond the bounds fall into the outer cells, NaN into -1."""
        return cells_of(ticks, self.edges, self.low, self.high)

    def intervals(self) -> tuple[FloatArray, FloatArray]:
        """Return first and last tick of each cell.

        When ticks are not whole the last is exclusive, except that a cell of a single value ends where it
        begins, and that the last cell holds ``high``.
        """
        following = self.edges[1:]
        if not self.n_cells:
            return self.edges, self.edges
        if self.discrete:
            return self.edges, np.r_[following - 1, self.high]
        is_single = np.nextafter(self.edges[:-1], np.inf) == following
        return self.edges, np.r_[np.where(is_single, self.edges[:-1], following), self.high]

    def widths(self) -> FloatArray:
        """Return how much of the line each cell holds: whole ticks, or length."""
        first, last = self.intervals()
        return last - first + 1 if self.discrete else np.maximum(last - first, np.spacing(np.abs(first)))

    @classmethod
    def between(
        cls, low: float, high: float, *, discrete: bool, resolution: float = MAX_UNIT_CELLS
    ) -> NumericGrid:
        """Return the public grid of a range: cells that refine a uniform and a logarithmic partition.

        ``resolution`` is how many counts can be told from their noise, the number of units over its standard
        deviation: with less of it the grid has fewer cells, down to an eighth of the finest.

        The logarithmic part starts at zero when the range holds it, else at the end nearest to zero, so
        heavy tails and narrow ranges far from zero are both resolved.
        """
        width = high - low
        coarse = max(1.0, MAX_UNIT_CELLS / max(resolution, MAX_UNIT_CELLS / 8))
        if discrete and width < MAX_UNIT_CELLS / coarse:
            return cls(low, high, True, low + np.arange(width + 1, dtype=np.float64))
        n_octaves = int(np.ceil(np.log2(width))) if discrete else CONTINUOUS_OCTAVES
        unit = 1.0 if discrete else width * 2.0**-CONTINUOUS_OCTAVES
        per_octave = round(CELLS_PER_OCTAVE / coarse)
        ladder = unit * np.exp2(np.arange(n_octaves * per_octave + 1) / per_octave)
        anchor = min(max(0.0, low), high)
        edges = np.r_[
            np.linspace(low, high, round(UNIFORM_CELLS / coarse) + 1),
            anchor,
            anchor + ladder,
            anchor - ladder,
        ]
        if discrete:
            edges = np.ceil(edges)
        inside = (edges >= low) & ((edges <= high) if discrete else (edges < high))
        return cls(low, high, discrete, np.unique(np.r_[low, edges[inside]]))


@dataclass(frozen=True)
class NumericDomain:
    """Bins of a number line, the shape inside each, and a code for missing.

    Attributes:
        column: The column, as declared.
        grid: The fine cells from which the bins were made.
        bin_of_cell: Bin of each fine cell, ``(n_cells,)``.
        cell_weight: Released share of each fine cell within its bin, ``(n_cells,)``; sums to 1 per bin.
        has_missing: Whether the last code stands for a missing value.
        bounds_found: Whether the bounds are public or were found; else they are a guess from noisy counts.
    """

    column: Column
    grid: NumericGrid
    bin_of_cell: IntArray
    cell_weight: FloatArray
    has_missing: bool
    bounds_found: bool = True

    @classmethod
    def of_missing(cls, column: Column) -> NumericDomain:
        """Return the domain of a column whose bounds were not found and that is missing in every row."""
        grid = NumericGrid(0.0, 0.0, column.step is not None, np.empty(0))
        return cls(column, grid, np.empty(0, dtype=np.int64), np.empty(0), True, bounds_found=False)

    @property
    def n_bins(self) -> int:
        """Number of bins, missing left out."""
        return int(self.bin_of_cell.max(initial=-1)) + 1

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.n_bins + self.has_missing

    @cached_property
    def coding(self) -> NumberCoding:
        """How values become codes."""
        return NumberCoding(
            step=self.column.step,
            low=self.grid.low,
            high=self.grid.high,
            edges=self.grid.edges,
            code_of_cell=self.bin_of_cell,
            missing=self.n_bins if self.has_missing else -1,
            size=self.size,
        )

    def encode(self, values: pd.Series) -> IntArray:
        """Return the code of each number of a canonical column, ``(n,)``."""
        return self.coding.encode(values)

    def code_of_ticks(self, ticks: FloatArray) -> IntArray:
        """Return the code of each tick, ``(n,)``; NaN has that of missing."""
        return np.append(self.bin_of_cell, self.coding.missing)[self.grid.index(ticks)]

    def pieces(self, ranges: Sequence[tuple[float, float]] | None = None) -> Pieces:
        """Return the intervals from which values are drawn: all, or those within ``ranges``.

        Args:
            ranges: Disjoint inclusive ranges in ticks, with whole ends where ticks are whole; None is all.
        """
        first, last = self.grid.intervals()
        if ranges is None:
            return Pieces(self.bin_of_cell, self.cell_weight, first, last, self.grid.discrete)
        is_point = first == last
        parts = []
        for low, high in ranges:
            left, right = np.maximum(first, low), np.minimum(last, high)
            length = np.maximum(right - left + self.grid.discrete, 0.0)
            share = np.where(is_point, left <= right, length / self.grid.widths())
            kept = np.flatnonzero(share > 0)
            parts.append(
                (self.bin_of_cell[kept], self.cell_weight[kept] * share[kept], left[kept], right[kept])
            )
        bins, weight, left, right = (np.concatenate(values) for values in zip(*parts, strict=True))
        return Pieces(bins, weight, left, right, self.grid.discrete)


@dataclass(frozen=True)
class Pieces:
    """Intervals of ticks with weights, each inside one bin: what remains of bins under a condition."""

    bin: IntArray
    weight: FloatArray
    first: FloatArray
    last: FloatArray
    discrete: bool

    def share_of_bins(self, n_bins: int) -> FloatArray:
        """Return the share of each bin that the pieces cover, ``(n_bins,)`` in [0, 1]."""
        return np.bincount(self.bin, weights=self.weight, minlength=n_bins).astype(np.float64)

    @cached_property
    def _pieces_of_bin(self) -> tuple[IntArray, Distributions]:
        """Return the pieces of each bin, padded to equally many, and the table that chooses among them."""
        order = np.argsort(self.bin, kind="stable")
        start = np.searchsorted(self.bin[order], np.arange(self.bin.max() + 2))
        position = np.arange(len(order)) - start[self.bin[order]]
        shape = (len(start) - 1, int(position.max()) + 1)
        pieces, weights = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        pieces[self.bin[order], position] = order
        weights[self.bin[order], position] = self.weight[order]
        return pieces, Distributions(weights)

    def draw(self, bins: IntArray, rng: np.random.Generator) -> FloatArray:
        """Draw a tick for each bin code, uniformly inside a piece chosen by weight, ``(n,)``.

        Pieces without weight are never chosen, and the bins must have some.
        """
        pieces, table = self._pieces_of_bin
        piece = pieces[bins, table.draw(bins, rng)]
        first = self.first[piece]
        if (self.first == self.last).all():
            return first
        last = self.last[piece]
        if self.discrete:
            return first + np.floor(rng.random(len(bins)) * (last - first + 1))
        inside = np.nextafter(last, first)  # rounding must not reach the end, which belongs to the next cell
        return np.minimum(first + rng.random(len(bins)) * (last - first), inside)


@dataclass(frozen=True)
class DiscreteDomain:
    """A list of values, and codes for "other" (undiscovered values) and missing.

    Attributes:
        column: The column, as declared.
        values: The values, in code order.
        has_other: Whether a code after the values stands for all that were not discovered.
        has_missing: Whether the last code stands for a missing value.
    """

    column: Column
    values: tuple[Category, ...]
    has_other: bool
    has_missing: bool

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.values) + self.has_other + self.has_missing

    @property
    def labels(self) -> list[Category | None]:
        """What each code is written as; None is missing."""
        other: list[Category | None] = []
        if self.has_other:
            is_text = all(isinstance(value, str) for value in self.values)
            other = [OTHER if is_text and self.column.type == "categorical" else None]
        return [*self.values, *other, *([None] if self.has_missing else [])]

    @cached_property
    def coding(self) -> TextCoding:
        """How values become codes."""
        return TextCoding(
            code_of={category_text(value): code for code, value in enumerate(self.values)},
            other=len(self.values) if self.has_other else -1,
            missing=self.size - 1 if self.has_missing else -1,
            size=self.size,
        )

    def encode(self, values: pd.Series) -> IntArray:
        """Return the code of each value of a canonical (categorical) column, ``(n,)``."""
        return self.coding.encode(values)


Domain = NumericDomain | DiscreteDomain


class Coded(Protocol):
    """What codes stand for: a domain, or a coarser view of one."""

    @property
    def size(self) -> int:
        """Number of codes."""
        ...

    @property
    def coding(self) -> Coding:
        """How values become codes, as data; one and the same object every time."""
        ...


def codings_of(coded: Mapping[str, Coded]) -> dict[str, Coding]:
    """Return the coding of every column."""
    return {name: each.coding for name, each in coded.items()}


def to_ticks(values: FloatArray, column: Column) -> FloatArray:
    """Return numbers as ticks of the column's grid; see `as_ticks`."""
    return as_ticks(values, column.step)


def ticks_to_values(ticks: FloatArray, column: Column) -> pd.Series:
    """Return ticks as a column of the synthetic table; NaN becomes missing."""
    return column.line.values(column, ticks)


def labels_to_values(codes: IntArray, labels: Sequence[Category | None]) -> pd.Series:
    """Return codes as their labels; numbers and booleans keep their type unless a label is missing."""
    table = pd.Series(list(labels), dtype=object)
    if None not in labels:
        table = table.infer_objects()
    return table.take(codes).reset_index(drop=True)


def labels_listed(codes: IntArray, labels: Sequence[Category | None]) -> pd.Series:
    """Return the same values as a categorical: each label is held once, and a code for each row."""
    known = dict.fromkeys(label for label in labels if label is not None)
    code_of = {label: code for code, label in enumerate(known)}
    kind = np.int8 if len(known) <= 127 else np.int32
    table = np.array([-1 if label is None else code_of[label] for label in labels], dtype=kind)
    categories = pd.Index([*known], dtype=object)
    if None not in labels:
        categories = categories.infer_objects()
    dtype = pd.CategoricalDtype(categories)
    return pd.Series(pd.Categorical.from_codes(table[codes], dtype=dtype, validate=False), copy=False)
