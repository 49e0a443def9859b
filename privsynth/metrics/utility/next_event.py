"""Next event: does a model that has learnt from synthetic histories foresee what happens to real persons?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.estimates import figure, not_assessed, percentile_interval
from privsynth.metrics.common.histories import Histories, events_of, weights_of
from privsynth.metrics.common.scores import SCORES, score
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.utility.downstream import Target, target_of, train, unit_bootstrap
from privsynth.metrics.utility.tables import NO_HOLDOUT
from privsynth.schema import Schema

MAX_TARGETS = 3
"""Columns predicted where the target is none of those that differ between a person's rows."""

MIN_PERSONS = 20
TOO_FEW = f"needs {MIN_PERSONS} persons with two records in the real, synthetic and holdout table each"
NO_EVENTS = "no column is left that differs between a person's rows, besides the order"
NO_SCORE = "the holdout has too few known values of the next event to score a model"


def assess_next_event(
    tables: Tables,
    *,
    synthetic: Histories,
    real: Histories,
    independent: Histories,
    holdout: Histories | None,
    model: str,
    n_bootstrap: int,
    random_state: int = 0,
) -> dict[str, Any]:
    """Predict a column of a person's next row from the row before and the person's own columns.

    A model is trained on pairs of following synthetic rows, one on real pairs (the ceiling) and one on pairs
    of independent rows (the floor); all are tested on the holdout's pairs.

    Args:
        tables: The tables; their target is predicted if it differs between a person's rows, else each of up
            to `MAX_TARGETS` columns that do.
        synthetic: Histories of the synthetic persons.
        real: Of those that the generator was fitted to.
        independent: Their rows dealt at random.
        holdout: Of persons that it never saw, or None.
        model: Family of the models, see `privsynth.metrics.common.learners`.
        n_bootstrap: Replicates behind each interval, over the holdout's persons.
        random_state: Seed of learners and bootstrap.

    Returns:
        ``predicted``: ``column``, ``task``, ``score`` (the main one of the task, see
        `privsynth.metrics.common.scores`) and the figure ``of_score``; ``n_holdout_rows``. Or a section
        ``not_assessed``.

    Privacy:
        Not private: figures of real records.
    """
    if holdout is None:
        return not_assessed(NO_HOLDOUT)
    targets = targets_of(tables)
    if not targets:
        return not_assessed(NO_EVENTS)
    sides = {"synthetic": synthetic, "real": real, "independent": independent, "holdout": holdout}
    rows = {name: histories.with_row_before() for name, histories in sides.items()}
    if min(len(np.unique(persons)) for _, persons in rows.values()) < MIN_PERSONS:
        return not_assessed(TOO_FEW)
    predicted = [
        _predicted(tables.schema, rows, target, model, n_bootstrap, random_state) for target in targets
    ]
    if all(each["of_score"]["ceiling"] is None for each in predicted):
        return not_assessed(NO_SCORE)
    return {
        "status": "assessed",
        "model": model,
        "n_holdout_rows": len(rows["holdout"][0]),
        "predicted": predicted,
    }


def targets_of(tables: Tables) -> list[Target]:
    """Return what is predicted: the target if it differs between a person's rows, else the first that do.

    Privacy:
        Public, if the categories are.
    """
    names = [column.name for column in events_of(tables.schema)]
    chosen = [tables.target] if tables.target in names else names[:MAX_TARGETS]
    found = (target_of(tables, name) for name in chosen)
    return [target for target in found if target is not None]


def _predicted(
    schema: Schema,
    rows: dict[str, tuple[pd.DataFrame, np.ndarray]],
    target: Target,
    model: str,
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    others = [column.name for column in events_of(schema) if column.name != target.name]
    known, labels = target.known_labels(rows["holdout"][0])
    tested = rows["holdout"][0][known].drop(columns=others).reset_index(drop=True)
    persons = np.unique(rows["holdout"][1][known], return_inverse=True)[1]
    by_row = weights_of(persons)
    draws = unit_bootstrap(persons, n_bootstrap, np.random.default_rng(seed))
    weights = np.vstack([by_row, by_row * draws])
    main = SCORES[target.task][0]

    def scored(source: str) -> np.ndarray:
        frame, of_persons = rows[source]
        learner = train(model, frame.drop(columns=others), weights_of(of_persons), target, seed=seed)
        return score(main, labels, learner(tested), weights)

    synthetic, real, independent = (scored(source) for source in ("synthetic", "real", "independent"))
    of_score = figure(
        synthetic[0], interval=percentile_interval(synthetic[1:]), ceiling=real[0], floor=independent[0]
    )
    return {"column": target.name, "task": target.task, "score": main, "of_score": of_score}
