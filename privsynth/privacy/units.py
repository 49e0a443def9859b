"""Who counts, and how much: one unit moves any table of counts by at most 1 in L1, hence in L2.

Without a person column a row is a unit and weighs 1. With one, each person's rows are cut to
``max_records_per_person`` at random, independently of everybody else's, and the ``m`` rows left weigh
``floor(2^16 / m) / 2^16`` each. Rows of linked tables come cut, and as parts of their person: one of ``m``
parts weighs ``floor(2^16 / m) / 2^16``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privsynth.privacy.randomness import SecureRandom, bernoullis, uniforms

PERSON_GRID = 2**16
CUT_GRID = 2**24  # steps in one unit of a table whose units are cut in length
ROWS_AT_ONCE = 2**18  # bounds the memory, whatever the number of rows

IntArray = NDArray[np.int64]
Codes = NDArray[np.signedinteger]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Weighting:
    """Rows that are used and what each weighs.

    Attributes:
        rows: Indices of the rows kept, sorted, ``(n_kept,)``; None keeps all.
        weights: Weight of each kept row in grid steps, ``(n_kept,)`` int64; None is one unit each.
        units_per_one: Grid steps in one unit; public.
        max_records: Largest number of rows of one unit; public.
        persons: Person of each kept row, ``(n_kept,)`` codes; None when a row is a unit.
        sizes: Where the rows of each unit lie next to each other: how many they are, ``(n_units,)``.
    """

    rows: NDArray[np.int64] | None
    weights: NDArray[np.int64] | None
    units_per_one: int
    max_records: int
    persons: NDArray[np.int64] | None = None
    sizes: NDArray[np.int64] | None = None

    def of_rows(self) -> NDArray[np.int64] | None:
        """Return the weight of each kept row in grid steps, ``(n_kept,)``; None is one unit each.

        Privacy:
            Not private: stays inside the curator.
        """
        return self.weights if self.sizes is None else np.repeat(self.units_per_one // self.sizes, self.sizes)

    def poisson_sample(self, sample_rate: float, *, n_rows: int, secret: SecureRandom) -> NDArray[np.int64]:
        """Draw the batch of one gradient step: each unit with ``sample_rate``, independently of all others.

        Of a person that is drawn, one row is taken, each kept row with the same probability.

        Args:
            sample_rate: Probability that a unit is drawn, in (0, 1]; public.
            n_rows: Number of kept rows.
            secret: Source of the draw.

        Returns:
            Positions among the kept rows, ``(n_drawn,)``, at most one a unit; may be empty.

        Privacy:
            Not private: stays inside the curator.
        """
        if self.persons is None and self.sizes is None:
            return bernoullis(n_rows, sample_rate, secret)
        order, starts, sizes = self._by_unit
        drawn = bernoullis(len(starts), sample_rate, secret)
        which = np.floor(uniforms(len(drawn), secret) * sizes[drawn]).astype(np.int64)
        at = starts[drawn] + which
        return at if order is None else order[at]

    @cached_property
    def _by_unit(self) -> tuple[NDArray[np.int64] | None, NDArray[np.int64], NDArray[np.int64]]:
        """Return kept rows in the order of units (None: they are), where each one's begin, and how many."""
        if self.sizes is not None:
            return None, np.cumsum(self.sizes) - self.sizes, self.sizes
        assert self.persons is not None
        order = np.argsort(self.persons, kind="stable")
        _, starts, sizes = np.unique(self.persons[order], return_index=True, return_counts=True)
        return order, starts, sizes


def weigh_records(
    persons: IntArray | None,
    parts: IntArray | None = None,
    *,
    max_records_per_person: int | None,
    secret: SecureRandom,
) -> Weighting:
    """Cut each person's rows at random and weigh the rest so that a person counts at most once.

    Args:
        persons: Person of each row, ``(n_records,)`` codes; None when a row is a unit.
        parts: Of linked tables: of how many parts of its person each row is one, ``(n_records,)``; None cuts
            and weighs here.
        max_records_per_person: Largest number of rows of a person that are used; public.
        secret: Source of the cut.

    Raises:
        ValueError: If the parts of a person add up to more than one unit: whoever linked the tables is wrong.

    Privacy:
        Not private: the result speaks of real rows and stays inside the curator. The cut of one person
        does not depend on any other person's rows.
    """
    if persons is None:
        return Weighting(rows=None, weights=None, units_per_one=1, max_records=1)
    assert max_records_per_person is not None
    if parts is not None:
        weights = PERSON_GRID // np.clip(parts.astype(np.int64), 1, None)
        are_few = (parts >= 1).all() and (parts <= max_records_per_person).all()
        if not are_few or np.bincount(persons, weights).max(initial=0) > PERSON_GRID:
            raise ValueError("expected parts of each person that add up to one unit at most, and few enough")
        return Weighting(None, weights, PERSON_GRID, max_records_per_person, persons)
    order = np.lexsort((uniforms(len(persons), secret), persons))
    sizes = np.bincount(persons)
    rank = np.arange(len(persons)) - (np.cumsum(sizes) - sizes)[persons[order]]
    rows = np.sort(order[rank < max_records_per_person])
    weights = PERSON_GRID // np.minimum(sizes, max_records_per_person)[persons[rows]]
    return Weighting(rows, weights, PERSON_GRID, max_records_per_person, persons[rows])


def count_table(
    codes: Sequence[Codes],
    sizes: Sequence[int],
    weights: IntArray | None,
    *,
    n_rows: int,
    units_per_one: int,
) -> IntArray:
    """Count the joint codes of some columns.

    A row with a code of -1 in any of the columns is counted nowhere, so a unit adds at most 1 in all.

    Args:
        codes: Codes of each column, each ``(n_rows,)`` in ``[-1, size)`` and of any signed type; no column
            counts all rows.
        sizes: Number of codes of each column; public.
        weights: Weight of each row in grid steps, ``(n_rows,)``; None is one unit each.
        n_rows: Number of rows.
        units_per_one: Grid steps in one unit.

    Returns:
        Counts in grid steps, shape ``sizes``, int64.

    Privacy:
        Not private: exact counts; L1 and L2 sensitivity is one unit.
    """
    counts = count_with_outside(codes, sizes, weights, n_rows=n_rows)
    return counts_inside(counts, units_per_one if weights is None else 1)


def count_with_outside(
    codes: Sequence[Codes], sizes: Sequence[int], weights: IntArray | None, *, n_rows: int
) -> FloatArray:
    """Count as `count_table` does, with cells for -1 too, the first of each column: shape ``sizes + 1``.

    Privacy:
        Not private: exact counts.
    """
    counts = np.zeros([size + 1 for size in sizes])
    for start in range(0, n_rows, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, n_rows))
        by = None if weights is None else weights[rows]
        add_rows(counts, [column[rows] for column in codes], by, n_rows=rows.stop - start)
    return counts


def add_rows(counts: FloatArray, codes: Sequence[Codes], weights: IntArray | None, *, n_rows: int) -> None:
    """Add rows to a table of their joint codes, in place; -1 has the first cell of each column.

    Args:
        counts: ``sizes + 1``; sums of whole numbers below 2^53, which doubles hold exactly.
        codes: As for `count_table`.
        weights: As for `count_table`.
        n_rows: Number of rows.

    Privacy:
        Not private: exact counts.
    """
    joint: NDArray[Any] = np.zeros(n_rows, dtype=np.int32 if counts.size < 2**31 else np.int64)
    for column, size in zip(codes, counts.shape, strict=True):
        joint = joint * joint.dtype.type(size) + joint.dtype.type(1) + column
    counts += np.bincount(joint, weights=weights, minlength=counts.size).reshape(counts.shape)


def counts_inside(counts: FloatArray, steps: int) -> IntArray:
    """Return a table without the cells of what lies outside, -1, in grid steps, given those in a count of 1.

    Privacy:
        Not private: exact counts.
    """
    return counts[(slice(1, None),) * counts.ndim].astype(np.int64) * steps


def count_cut_table(codes: Sequence[Codes], sizes: Sequence[int], units: Weighting, norm: float) -> IntArray:
    """Count the joint codes of some columns, each unit's own counts cut to a length in L2.

    The counts that a unit adds to this very table, in units, are scaled by ``min(1, norm / length)``, and
    rounded towards zero to steps of ``1 / CUT_GRID``. A share of ``2^-40`` is kept against rounding in
    doubles.

    Args:
        codes: Codes of each column, at least one, each ``(n_rows,)`` in ``[-1, size)``.
        sizes: Number of codes of each column; public.
        units: Weight and person of each row.
        norm: The length, above 0; public.

    Returns:
        Counts in steps of ``1 / CUT_GRID``, shape ``sizes``, int64.

    Privacy:
        Not private: exact; L2 sensitivity is ``norm * CUT_GRID`` steps.
    """
    inside = np.flatnonzero(np.all([column >= 0 for column in codes], axis=0))
    joint = np.ravel_multi_index([column[inside].astype(np.int64) for column in codes], tuple(sizes))
    of_row, n_cells = inside if units.persons is None else units.persons[inside], math.prod(sizes)
    own, place = np.unique(of_row * n_cells + joint, return_inverse=True)  # the cells of each unit
    steps = np.bincount(place, weights=None if units.weights is None else units.weights[inside])
    unit, cell = np.divmod(own, n_cells)
    length = np.sqrt(np.bincount(unit, weights=steps**2))[unit]  # of whole numbers: exact below the root
    scale = np.minimum(1.0 / units.units_per_one, norm / length) * CUT_GRID * (1.0 - 2.0**-40)
    return np.bincount(cell, np.floor(steps * scale), n_cells).astype(np.int64).reshape(tuple(sizes))
