"""Filling in partial rows: what is known decides on the component, and the component on the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from privsynth.drawing import draw_by_inversion
from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.sampling.conditions import codes_of
from privsynth.sampling.factors import Drawn, Factor
from privsynth.sampling.rows import BLOCK_ROWS, to_frame
from privsynth.sampling.table_model import CELLS_AT_ONCE, TableModel, weigh

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

COMPLETED_NOT_COVERED = (
    "the frame that was completed, which was taken as public: its fields are in the rows as they were given, "
    "and the guarantee does not cover them"
)


def complete_rows(model: TableModel, frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Fill in what a frame leaves empty or out, by the model's distribution given what each row holds.

    Args:
        model: The fitted model.
        frame: Partial rows; empty fields (NaN, None, empty text) and absent columns are filled in, so that a
            field cannot be said to be known as missing. Its index is kept.
        rng: Source of the draws.

    Raises:
        RequestError: If a column is unknown, or a value is none of the column's.
        UnsupportedRequestError: If the model gives what a row holds no probability.
    """
    made = {c.name for c in model.schema.output_columns if c.name not in model.domains}
    unknown = [str(name) for name in frame.columns if name not in model.domains and name not in made]
    if unknown:
        raise RequestError(
            f"complete: there is no column {unknown[0]!r} in the model; there are {', '.join(model.domains)}"
        )
    blocks = [
        _complete_block(model, frame.iloc[start : start + BLOCK_ROWS], rng, start)
        for start in range(0, max(len(frame), 1), BLOCK_ROWS)
    ]
    rows = pd.concat(blocks) if len(blocks) > 1 else blocks[0]
    rows.index = frame.index
    for name in made & set(frame.columns):
        rows[name] = frame[name]
    return rows


def _complete_block(
    model: TableModel, frame: pd.DataFrame, rng: np.random.Generator, start: int
) -> pd.DataFrame:
    n = len(frame)
    known: dict[str, tuple[IntArray, FloatArray | None]] = {}
    for name in model.domains:
        if name in frame.columns:
            known[name] = _known(model, name, frame[name])
    codes = np.full((n, len(known)), -1, dtype=np.int64)
    for j, (of, _) in enumerate(known.values()):
        codes[:, j] = of
    component = _draw_components(model, list(known), codes, known, rng, start)
    drawn: dict[str, Drawn] = {}
    for factor in model.factors:
        drawn |= _draw_unknown(factor, known, component, rng)
    return to_frame(model, drawn, n, start)


def _known(model: TableModel, name: str, values: pd.Series) -> tuple[IntArray, FloatArray | None]:
    """Return codes, -1 where a field is empty, and ticks of a number line."""
    empty = (values.isna() | values.eq("")).to_numpy(dtype=bool)
    codes, ticks = np.full(len(values), -1, dtype=np.int64), None
    found, of_line = codes_of(model.domains[name], values[~empty], where="complete")
    codes[~empty] = found
    if of_line is not None:
        ticks = np.full(len(values), np.nan)
        ticks[~empty] = of_line
    return codes, ticks


def _draw_components(
    model: TableModel,
    names: list[str],
    codes: IntArray,
    known: Mapping[str, tuple[IntArray, FloatArray | None]],
    rng: np.random.Generator,
    start: int,
) -> IntArray:
    """Draw each row's component given what is known of it; equal rows are weighed once."""
    if not len(codes):
        return np.zeros(0, dtype=np.int64)
    patterns, first, of_row = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    of_row = of_row.reshape(-1)
    component = np.empty(len(codes), dtype=np.int64)
    for begin in range(0, len(patterns), CELLS_AT_ONCE):
        part = slice(begin, begin + CELLS_AT_ONCE)
        values = {name: patterns[part, j] for j, name in enumerate(names)}
        k = model.mixture.n_components
        weights = weigh(model, np.full((len(patterns[part]), k), 1.0 / k), values)
        impossible = np.flatnonzero(weights.sum(axis=1) <= 0)
        if len(impossible):
            row = start + int(first[part][impossible].min())
            raise UnsupportedRequestError(
                f"complete: the model gives what row {row} (counted from 0) holds no probability; leave "
                "fields of it empty"
            )
        rows = np.flatnonzero((of_row >= begin) & (of_row < begin + CELLS_AT_ONCE))
        component[rows] = draw_by_inversion(weights, of_row[rows] - begin, rng)
    return component


def _draw_unknown(
    factor: Factor,
    known: Mapping[str, tuple[IntArray, FloatArray | None]],
    component: IntArray,
    rng: np.random.Generator,
) -> dict[str, Drawn]:
    """Draw a factor's columns where they are unknown, and keep what is known."""
    (name,) = factor.columns
    drawn = factor.prepare({}).draw(component, rng)
    if name in known:
        codes, ticks = known[name]
        drawn[name] = np.where(codes >= 0, codes if ticks is None else ticks, drawn[name])
    return drawn
