"""Filling in partial rows: what is known decides on the component, and the component on the rest."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.systematic import Distributions, draw_each
from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.sampling.blocks import BLOCK_ROWS
from privsynth.sampling.bound_rows import (
    Bound,
    BoundRows,
    ChainRows,
    Interval,
    Known,
    SameForAll,
    known_of,
)
from privsynth.sampling.constrained import OrderedFactor
from privsynth.sampling.factors import Drawn, Factor
from privsynth.sampling.generated_columns import GeneratedColumns
from privsynth.sampling.intervals import IntervalColumn
from privsynth.sampling.posterior import LogWeights, Posterior, as_weights
from privsynth.sampling.reach import RowsToCome
from privsynth.sampling.rows import to_frame
from privsynth.sampling.table_model import CELLS_AT_ONCE, TableModel

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NEAR = 0.8  # likeness of names from which on one is taken for a slip of the other
COMPLETED_NOT_COVERED = (
    "the frame that was completed, which was taken as public: its fields are in the rows as they were given, "
    "and the guarantee does not cover them"
)


def complete_rows(model: TableModel, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Fill in what a frame leaves empty or out, by the model's distribution given what each row holds.

    Args:
        model: The fitted model.
        frame: Partial rows; empty fields (NaN, None, empty text) and absent columns are filled in, so that a
            field cannot be said to be known as missing. Its index is kept, and so are columns that the
            model does not have, as a key of the rows: they stand first.
        rng: Source of the draws.

    Raises:
        RequestError: If a column is named nearly like one of the model, or twice, or a value is none of the
            column's.
        UnsupportedRequestError: If the model gives what a row holds no probability.
    """
    made = {c.name for c in model.schema.output_columns if c.name not in model.domains}
    foreign = foreign_columns(model, frame)
    fresh = GeneratedColumns(model.schema, len(frame), rng)
    completion = Completion(model)
    blocks = [
        _complete_block(completion, frame.iloc[start : start + BLOCK_ROWS], fresh, rng, start)
        for start in range(0, max(len(frame), 1), BLOCK_ROWS)
    ]
    rows = pd.concat(blocks) if len(blocks) > 1 else blocks[0]
    rows.index = frame.index
    for name in made & set(frame.columns):
        rows[name] = frame[name]  # a key that is given is kept
    return pd.concat([frame[foreign], rows], axis=1) if foreign else rows


def foreign_columns(model: TableModel, frame: pd.DataFrame) -> list[Any]:
    """Return the columns of a frame that the model does not have.

    Raises:
        RequestError: If one is named nearly like a column of the model that the frame lacks, or stands twice.
    """
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise RequestError(f"complete: the column {str(twice)!r} stands twice in the rows")
    known = {column.name for column in model.schema.output_columns}
    absent = {_folded(name): name for name in known - {*map(str, frame.columns)}}
    foreign = [name for name in frame.columns if name not in known]
    for name in foreign:
        near = difflib.get_close_matches(_folded(str(name)), absent, n=1, cutoff=NEAR)
        if near:
            raise RequestError(
                f"complete: there is no column {str(name)!r} in the model, but {absent[near[0]]!r}; "
                "rename it, or call it otherwise if it shall be carried along as it is"
            )
    return foreign


def _folded(name: str) -> str:
    return "".join(name.casefold().split())


def _complete_block(
    completion: Completion, frame: pd.DataFrame, made: GeneratedColumns, rng: np.random.Generator, start: int
) -> pd.DataFrame:
    model = completion.model
    known = {name: known_of(model, name, frame[name]) for name in model.domains if name in frame.columns}
    drawn = completion.complete(known, len(frame), rng, start=start)
    return to_frame(model, drawn, made.next(len(frame)))


class Completion:
    """Fills in coded rows, by a model's distribution given what is known of each.

    Args:
        model: The fitted model.
    """

    def __init__(self, model: TableModel) -> None:
        self.model = model
        self._posterior = Posterior(model)
        self._free_masses: dict[tuple[str, ...], FloatArray | None] = {}

    def log_weights(self, known: Mapping[str, Known], n: int) -> LogWeights:
        """Return log-weights of the components by what is known outside of constraints, ``(n, K)``."""
        free = {name: of.codes for name, of in known.items() if name in self._posterior.columns}
        return self._posterior.log_weights(free, n)

    def draw(
        self,
        known: Mapping[str, Known],
        logs: LogWeights,
        rng: np.random.Generator,
        *,
        columns: Collection[str],
        note: Callable[[slice, NDArray[np.float32]], None] | None = None,
        within: Mapping[str, Interval] = MappingProxyType({}),
        moving: Collection[str] = (),
        to_come: Mapping[str, RowsToCome] = MappingProxyType({}),
    ) -> dict[str, Drawn]:
        """Draw columns of rows, each of its own; of a row that has no probability, as if nothing were known.

        Args:
            known: What is given, by column; it is kept.
            logs: Log-weights of the components by all that is known, columns of constraints left out.
            rng: Source of the draws.
            columns: Those that are wanted. Columns of one constraint come together.
            note: Told which rows, and their weights of the components, before these are drawn.
            within: Of number lines that are not known, the smallest and largest tick of each row.
            moving: Columns that will follow from distances, which alone weigh the components now.
            to_come: Of distances that are drawn, what they have to leave room for.
        """
        bound = self._bound_rows(known, within, set(columns), moving, len(logs))
        free = {
            name: IntervalColumn(self.model.domains[name], self.block(name), *ends, to_come.get(name))  # type: ignore[arg-type]  # lines alone
            for name, ends in within.items()
            if name in self._posterior.columns and name not in known
        }
        weighed: list[Bound | IntervalColumn] = [*bound, *free.values()]
        component = np.empty(len(logs), dtype=np.int64)
        for begin in range(0, len(logs), CELLS_AT_ONCE):
            part = slice(begin, begin + CELLS_AT_ONCE)
            weights = as_weights(logs[part])
            for rows in weighed:
                weights *= rows.weights(part)
            weights[weights.sum(axis=1) <= 0] = 1.0
            if note is not None:
                note(part, weights)
            component[part] = draw_each(weights, rng)
        drawn = self._columns(known, bound, component, set(columns) - free.keys(), rng)
        return drawn | {name: rows.draw(component, rng) for name, rows in free.items() if name in columns}

    def block(self, name: str) -> NDArray[np.float32]:
        """Return the components' probabilities of a column's codes, ``(K, n_codes)``."""
        return self.model.mixture.blocks[self.model.mixture.columns.index(name)]

    def complete(
        self, known: Mapping[str, Known], n: int, rng: np.random.Generator, *, start: int
    ) -> dict[str, Drawn]:
        """Draw all columns of rows; rows of which the same is known are drawn evenly.

        Args:
            known: What is given, by column; it is kept.
            n: Number of rows.
            rng: Source of the draws.
            start: Number of the first row in messages.

        Raises:
            UnsupportedRequestError: If the model gives what a row holds no probability.
        """
        bound = self._bound(known, n)
        component = self._components(known, bound, n, rng, start)
        return self._columns(known, bound, component, set(self.model.domains), rng)

    def _bound(self, known: Mapping[str, Known], n: int) -> list[BoundRows]:
        factors = [factor for factor in self.model.factors if len(factor.columns) > 1]
        return [BoundRows.of(self.model, factor, known, n) for factor in factors]

    def _bound_rows(
        self,
        known: Mapping[str, Known],
        within: Mapping[str, Interval],
        wanted: Set[str],
        moving: Collection[str],
        n: int,
    ) -> list[Bound]:
        """Return the columns of each constraint, prepared for rows of which the same columns are known."""
        out: list[Bound] = []
        for factor in self.model.factors:
            if len(factor.columns) == 1:
                continue
            unknown = [name for name in factor.columns if name not in known]
            is_open = len(unknown) > 1 or bool(unknown and unknown[0] in moving)
            if isinstance(factor, OrderedFactor) and (
                not is_open or (not wanted & set(unknown) and len(unknown) < len(factor.columns))
            ):
                out.append(ChainRows.of(factor, known, within, None if is_open else unknown, n))
            elif not wanted & set(factor.columns) and len(unknown) == len(factor.columns):
                out.append(SameForAll(factor, self._free_mass(factor)))
            else:
                out.append(BoundRows.of(self.model, factor, known, n, within))
        return out

    def _free_mass(self, factor: Factor) -> FloatArray | None:
        if factor.columns not in self._free_masses:
            self._free_masses[factor.columns] = factor.prepare({}).mass
        return self._free_masses[factor.columns]

    def _columns(
        self,
        known: Mapping[str, Known],
        bound: Sequence[Bound],
        component: IntArray,
        wanted: Set[str],
        rng: np.random.Generator,
    ) -> dict[str, Drawn]:
        drawn: dict[str, Drawn] = {}
        for rows in bound:
            if wanted & set(rows.factor.columns):
                drawn |= rows.draw(component, rng)
        for factor in self.model.factors:
            if len(factor.columns) == 1 and wanted & set(factor.columns):
                drawn |= _draw_unknown(factor, known, component, rng)
        return drawn

    def _components(
        self,
        known: Mapping[str, Known],
        bound: Sequence[BoundRows],
        n: int,
        rng: np.random.Generator,
        start: int,
    ) -> IntArray:
        """Draw each row's component given what is known of it; equal rows are weighed once."""
        free = [name for name in known if name in self._posterior.columns]
        given = [known[name].codes for name in free] + [rows.variant_of_row for rows in bound]
        table = np.column_stack([*given, np.zeros(n, dtype=np.int64)])
        patterns, first, of_row = np.unique(table, axis=0, return_index=True, return_inverse=True)
        of_row = of_row.reshape(-1)
        component = np.empty(n, dtype=np.int64)
        for begin in range(0, len(patterns), CELLS_AT_ONCE):
            part = patterns[begin : begin + CELLS_AT_ONCE]
            logs = self._posterior.log_weights({name: part[:, j] for j, name in enumerate(free)}, len(part))
            weights = as_weights(logs).astype(np.float64)
            for j, rows_of in enumerate(bound, start=len(free)):
                weights *= rows_of.masses[part[:, j]]
            impossible = np.flatnonzero(weights.sum(axis=1) <= 0)
            if len(impossible):
                row = start + int(first[begin + impossible].min())
                raise UnsupportedRequestError(
                    f"complete: the model gives what row {row} (counted from 0) holds no probability; leave "
                    "fields of it empty"
                )
            rows = np.flatnonzero((of_row >= begin) & (of_row < begin + CELLS_AT_ONCE))
            component[rows] = Distributions(weights).draw(of_row[rows] - begin, rng)
        return component


def _draw_unknown(
    factor: Factor, known: Mapping[str, Known], component: IntArray, rng: np.random.Generator
) -> dict[str, Drawn]:
    """Draw a single column where it is unknown, and keep what is known."""
    (name,) = factor.columns
    drawn = factor.prepare({}).draw(component, rng)
    if name in known:
        given = known[name]
        values = given.codes if given.ticks is None else given.ticks
        drawn[name] = np.where(given.codes >= 0, values, drawn[name])
    return drawn
