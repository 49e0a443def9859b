"""Rows out of a plan: drawn in blocks of fixed size, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.domains.encoding import (
    Domain,
    NumericDomain,
    labels_listed,
    labels_to_values,
    ticks_to_values,
    to_ticks,
)
from privsynth.domains.systematic import Distributions
from privsynth.sampling.blocks import BLOCK_ROWS, Block, Drawing, Made, Part, PartSize
from privsynth.sampling.factors import Drawn
from privsynth.sampling.generated_columns import GeneratedColumns
from privsynth.sampling.plan import Plan
from privsynth.sampling.table_model import CELLS_AT_ONCE, PreparedFactor, TableModel, weigh
from privsynth.schema.constraints import Sum

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Rows(Drawing):
    """Draws rows that stand alone, all cells mixed in uniformly random order.

    Any cut of the stream is in random order, and the cells' totals are exact.
    """

    plan: Plan
    most: int

    @property
    def tables(self) -> dict[str, TableModel]:
        """See `Drawing`."""
        return {"": self.plan.prepared.model}

    def draw(self, block: Block) -> dict[str, Part]:
        """See `Drawing`."""
        return {"": Part(draw_cells(self.plan, block.sizes, block.generator()), block.n)}

    def made(self, rng: np.random.Generator) -> Made:
        """See `Drawing`."""
        columns = GeneratedColumns(self.plan.prepared.model.schema, self.plan.n_rows, rng)
        return lambda n, sizes: {"": columns.next(n)}


def rows_of(plan: Plan, *, most: int | None = None) -> Rows:
    """Return what draws the rows of a plan in blocks of ``most``; of `BLOCK_ROWS` if None."""
    return Rows(plan, most or BLOCK_ROWS)


def frames_of(drawing: Drawing, rng: np.random.Generator) -> Iterator[dict[str, pd.DataFrame]]:
    """Draw the tables of all blocks in this process, block after block."""
    made = drawing.made(rng)
    for block in drawing.blocks(rng):
        parts = drawing.draw(block)
        beside = made(block.n, {name: PartSize(part.n_rows, part.above) for name, part in parts.items()})
        yield {
            name: to_frame(drawing.tables[name], part.columns, beside[name]) for name, part in parts.items()
        }


def draw_blocks(plan: Plan, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Draw the rows of a plan, block after block."""
    return (frames[""] for frames in frames_of(rows_of(plan), rng))


def draw_coded_blocks(
    plan: Plan, rng: np.random.Generator
) -> Iterator[tuple[pd.DataFrame, dict[str, IntArray]]]:
    """Draw the same blocks, each with the code of every modelled column in every row."""
    model = plan.prepared.model
    for drawn, made in coded_blocks(plan, rng):
        codes = {name: _codes(model.domains[name], values) for name, values in drawn.items()}
        yield to_frame(model, drawn, made), codes


def draw_rows(plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Draw all rows of a plan at once; the same rows as `draw_blocks` gives."""
    drawn, made = zip(*coded_blocks(plan, rng), strict=True)
    whole = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    texts = {name: pd.concat([part[name] for part in made], ignore_index=True) for name in made[0]}
    return to_frame(plan.prepared.model, whole, texts)


def coded_blocks(
    plan: Plan, rng: np.random.Generator, *, most: int | None = None
) -> Iterator[tuple[dict[str, Drawn], dict[str, pd.Series]]]:
    """Draw codes and ticks, and make the columns beside them, block after block; one at least."""
    drawing = rows_of(plan, most=most)
    made = drawing.made(rng)
    for block in drawing.blocks(rng):
        yield dict(drawing.draw(block)[""].columns), made(block.n, {})[""]


def every_label(model: TableModel) -> pd.DataFrame:
    """Return a frame of the same columns and types in which every label occurs, and missing where it may.

    A file format that fixes its types before the last row is seen can take them from here.
    """
    n = max(domain.size for domain in model.domains.values())
    codes = np.arange(n)
    drawn: dict[str, Drawn] = {}
    for name, domain in model.domains.items():
        if isinstance(domain, NumericDomain):
            drawn[name] = np.where(domain.has_missing & (codes == 0), np.nan, domain.grid.low)
        else:
            drawn[name] = codes % domain.size
    return to_frame(model, drawn, GeneratedColumns(model.schema, n, np.random.default_rng(0)).next(n))


def draw_cells(plan: Plan, sizes: IntArray, rng: np.random.Generator) -> dict[str, Drawn]:
    """Draw so many rows of each cell of a plan, shuffled."""
    cell = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(cell)) if np.count_nonzero(sizes) > 1 else None
    first = [f for f in plan.prepared.factors if set(f.columns) & set(plan.decorrelated)]
    rest = [f for f in plan.prepared.factors if not set(f.columns) & set(plan.decorrelated)]
    component = _draw_components(plan, sizes, rng)
    drawn: dict[str, Drawn] = {}
    if first:
        blind = _draw_components(plan, sizes, rng, without=plan.groups)
        for factor in first:
            drawn |= _draw_factor(factor, blind, cell, rng)
        component = _draw_components_given(plan, cell, drawn, rng)
    for factor in rest:
        drawn |= _draw_factor(factor, component, cell, rng)
    return drawn if order is None else {name: values[order] for name, values in drawn.items()}


def _draw_components(
    plan: Plan, sizes: IntArray, rng: np.random.Generator, *, without: Collection[str] = ()
) -> IntArray:
    """Draw the component of each row, given its cell up to some columns; rows come grouped by cell."""
    asked = np.flatnonzero(sizes)
    parts = np.array_split(asked, max(1, -(-len(asked) // CELLS_AT_ONCE)))
    drawn = [
        Distributions(plan.prepared.weights(cells, without=without)).draw(
            np.repeat(np.arange(len(cells)), sizes[cells]), rng
        )
        for cells in parts
    ]
    return np.concatenate(drawn)


def _draw_components_given(
    plan: Plan, cell: IntArray, drawn: dict[str, Drawn], rng: np.random.Generator
) -> IntArray:
    """Draw the component of each row, given its cell and some columns that are drawn already."""
    model = plan.prepared.model
    known = {name: _codes(model.domains[name], values) for name, values in drawn.items()}
    component = np.empty(len(cell), dtype=np.int64)
    for begin in range(0, len(cell), CELLS_AT_ONCE):
        part = slice(begin, begin + CELLS_AT_ONCE)
        codes = {name: values[part] for name, values in known.items()}
        weights = weigh(model, plan.prepared.weights(cell[part], without=known), codes)
        component[part] = Distributions(weights).draw(np.arange(len(weights)), rng)
    return component


def _codes(domain: Domain, values: Drawn) -> IntArray:
    if not isinstance(domain, NumericDomain):
        return values.astype(np.int64, copy=False)
    return domain.code_of_ticks(values.astype(np.float64, copy=False))


def _draw_factor(
    factor: PreparedFactor, component: IntArray, cell: IntArray, rng: np.random.Generator
) -> dict[str, Drawn]:
    if len(factor.variants) == 1 or not len(cell):
        return factor.variants[0].draw(component, rng)
    variant = factor.variant_of_cell[cell]
    out: dict[str, Drawn] = {}
    for v in np.unique(variant):
        rows = np.flatnonzero(variant == v)
        for name, values in factor.variants[v].draw(component[rows], rng).items():
            if name not in out:
                out[name] = np.empty(len(cell), dtype=values.dtype)
            out[name][rows] = values
    return out


def to_frame(model: TableModel, drawn: Mapping[str, Drawn], made: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return drawn codes and ticks, and the columns made beside them, as a synthetic table."""
    columns = {**made, **to_columns(model, drawn)}
    return pd.DataFrame({c.name: columns[c.name] for c in model.schema.output_columns}, copy=False)


def to_columns(
    model: TableModel, drawn: Mapping[str, Drawn], *, listed: bool = False
) -> dict[str, pd.Series]:
    """Return drawn codes and ticks as columns of the synthetic table, with those computed from them.

    Args:
        model: The fitted model.
        drawn: What was drawn of each modelled column.
        listed: Return listed values as categoricals.
    """
    values_of = labels_listed if listed else labels_to_values
    columns = {}
    for column in model.schema.modelled:
        domain, values = model.domains[column.name], drawn[column.name]
        if isinstance(domain, NumericDomain):
            columns[column.name] = ticks_to_values(values.astype(np.float64, copy=False), column)
        else:
            columns[column.name] = values_of(values.astype(np.int64, copy=False), domain.labels)
    for constraint in model.schema.constraints:
        if isinstance(constraint, Sum):
            columns[constraint.columns[0]] = _sum(model, constraint, columns)
    return columns


def _sum(model: TableModel, constraint: Sum, columns: dict[str, pd.Series]) -> pd.Series:
    """Return a computed column; missing where a part is."""
    column = model.schema.columns[constraint.columns[0]]
    total = np.zeros(len(columns[constraint.columns[1]]))
    for name, weight in zip(constraint.columns[1:], constraint.weights, strict=True):
        total = total + weight * columns[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return ticks_to_values(to_ticks(total, column), column)
