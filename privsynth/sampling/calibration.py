"""Rows that are drawn one after another hold each component as often as the model does.

A model of rows says how likely each component is, over all first rows and over all later ones. Persons who
are drawn from it, and rows drawn given what is known of them, need not add up to that: the model is of finite
size, and what it says of persons, of first and of later rows does not quite agree. So persons are drawn for
trial, and components that come too often are made less likely, and the others more. Post-processing: free.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privsynth.sampling.histories import SequenceModel, expected_rows
from privsynth.sampling.plan import make_plan
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import coded_blocks
from privsynth.sampling.walk import Walk
from privsynth.schema.sequences import FIRST

ROUNDS = 6
TRIAL_ROWS = 10_000  # about as many are drawn in each round
FEWEST_PERSONS = 200
RARE = 0.1  # of a component's even share: what is added to both sides, so that nothing is made up for alone


def calibrated(model: SequenceModel) -> SequenceModel:
    """Return the model with factors by which drawn rows hold each component as often as it says.

    Privacy:
        Post-processing.
    """
    n_components = model.rows.mixture.n_components
    at = model.rows.mixture.columns.index(FIRST)
    wanted = model.rows.mixture.blocks[at].T.astype(np.float64)
    wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-12)
    each = max(expected_rows(model, 1000), 1) / 1000
    n_persons = max(FEWEST_PERSONS, round(TRIAL_ROWS / each))
    plan = make_plan(model.persons, SampleRequest(n=n_persons), np.random.default_rng(0))
    persons, _ = next(coded_blocks(plan, np.random.default_rng(0)))
    factors: NDArray[np.float32] = np.zeros((2, n_components), dtype=np.float32)
    for trial in range(ROUNDS):
        walk = Walk(model.schema, model.rows, factors, tally=np.zeros((2, n_components)))
        walk.rows(persons, np.random.default_rng(trial))
        assert walk.tally is not None
        drawn = walk.tally / np.maximum(walk.tally.sum(axis=1, keepdims=True), 1e-12)
        rare = RARE / n_components
        factors = (factors + np.log((wanted + rare) / (drawn + rare)) * (wanted > 0)).astype(np.float32)
    return replace(model, calibration=factors)
