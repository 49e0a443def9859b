"""Rows that are drawn one after another hold each component as often as the model does.

A model of rows says how likely each component is, over all first rows and over all later ones. Persons who
are drawn from it, and rows drawn given what is known of them, need not add up to that: the model is of finite
size, and what it says of persons, of first and of later rows does not quite agree. So persons are drawn for
trial, and components that come too often are made less likely, and the others more. Post-processing: free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privsynth.sampling.bound_rows import Known
from privsynth.sampling.histories import SequenceModel, expected_rows
from privsynth.sampling.linked import (
    Coded,
    LinkedModel,
    children,
    known_of,
    numbers_of_rows,
    own_of,
    rows_below,
    walk_of,
)
from privsynth.sampling.plan import make_plan
from privsynth.sampling.posterior import LogWeights
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import coded_blocks
from privsynth.sampling.table_model import TableModel
from privsynth.sampling.walk import Walk
from privsynth.schema.sequences import FIRST

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Draw = Callable[[LogWeights, FloatArray, np.random.Generator], None]

ROUNDS = 6
TRIAL_ROWS = 10_000  # about as many are drawn in each round
FEWEST_PERSONS = 200
MOST_PARENTS = 4_000  # of one child table, whose rows are drawn in each round
TRIAL_TREES = 4_000  # persons with all that belongs to them, of linked tables
RARE = 0.1  # of a component's even share: what is added to both sides, so that nothing is made up for alone


def calibrated(model: SequenceModel) -> SequenceModel:
    """Return the model with factors by which drawn rows hold each component as often as it says.

    Privacy:
        Post-processing.
    """
    each = max(expected_rows(model, 1000), 1) / 1000
    n_persons = max(FEWEST_PERSONS, round(TRIAL_ROWS / each))
    plan = make_plan(model.persons, SampleRequest(n=n_persons), np.random.default_rng(0))
    persons, _ = next(coded_blocks(plan, np.random.default_rng(0)))

    def draw(factors: LogWeights, tally: FloatArray, rng: np.random.Generator) -> None:
        Walk(model.schema, model.rows, factors, tally=tally).rows(persons, rng)

    return replace(model, calibration=factors_by_trial(model.rows, draw))


def calibrated_tables(model: LinkedModel) -> LinkedModel:
    """Return the model of linked tables with such factors for every child table, from the top down.

    Rows above are drawn for trial too, and of those that have rows below some are taken, each as often as it
    counts: as one of so many parts of its person.

    Privacy:
        Post-processing.
    """
    plan = make_plan(model.persons, SampleRequest(n=TRIAL_TREES), np.random.default_rng(0))
    seen: dict[str, dict[str, Coded]] = {}
    parts: dict[str, FloatArray] = {}
    for name, table in model.schema.tables.items():
        rng = np.random.default_rng(0)
        if table.parent is None:
            blocks = [drawn for drawn, _ in coded_blocks(plan, rng)]
            drawn = {column: np.concatenate([block[column] for block in blocks]) for column in blocks[0]}
            seen[name], parts[name] = own_of(model, name, drawn), np.ones(TRIAL_TREES)
            continue
        above = seen[table.parent]
        n_records = numbers_of_rows(model, name, above)
        weight = np.where(n_records > 0, parts[table.parent], 0.0)
        if weight.any():
            n_trial = round(TRIAL_ROWS / float(np.average(n_records, weights=weight)))
            n_trial = min(max(FEWEST_PERSONS, n_trial), MOST_PARENTS)
            some = rng.choice(len(weight), size=n_trial, p=weight / weight.sum())
            known = known_of(model, name, above, some, n_records[some])
            factors = factors_by_trial(model.views[name], _trial(model, name, known, n_records[some]))
            model = replace(model, calibration={**model.calibration, name: factors})
        if not model.schema.children(name):
            continue
        drawn, parent = children(model, name, above, rng)
        seen[name] = {column: of.of_rows(parent) for column, of in above.items()} | own_of(model, name, drawn)
        parts[name] = parts[table.parent][parent] / np.maximum(n_records[parent], 1)
    return model


def _trial(model: LinkedModel, name: str, known: dict[str, Known], n_records: IntArray) -> Draw:
    """Return what draws the rows of a child table under some parents, for trial."""

    def draw(factors: LogWeights, tally: FloatArray, rng: np.random.Generator) -> None:
        walk = walk_of(replace(model, calibration={name: factors}), name, tally)
        rows_below(walk, known, n_records, rng)

    return draw


def factors_by_trial(rows: TableModel, draw: Draw) -> LogWeights:
    """Return log-factors of the components, of later rows and of first ones, ``(2, K)``.

    Args:
        rows: The model of each row beside the one before it.
        draw: Draws rows with given factors, and adds up how likely each component was for them, first rows
            and later ones apart, ``(2, K)``.

    Privacy:
        Post-processing.
    """
    n_components = rows.mixture.n_components
    at = rows.mixture.columns.index(FIRST)
    wanted = rows.mixture.blocks[at].T.astype(np.float64)
    wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-12)
    factors: LogWeights = np.zeros((2, n_components), dtype=np.float32)
    for trial in range(ROUNDS):
        tally = np.zeros((2, n_components))
        draw(factors, tally, np.random.default_rng(trial))
        drawn = tally / np.maximum(tally.sum(axis=1, keepdims=True), 1e-12)
        rare = RARE / n_components
        is_seen = (wanted > 0) & (tally.sum(axis=1, keepdims=True) > 0)
        factors = (factors + np.log((wanted + rare) / (drawn + rare)) * is_seen).astype(np.float32)
    return factors
