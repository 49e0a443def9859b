"""Rounds of trials: rows of some cells are added, and stay if the worst group gains by more than chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from privsynth.rebalancing.task import FloatArray, IntArray, Task, Validation
from privsynth.sampling.rounding import largest_remainder

FALSE_ALARM = 0.05  # of a round: chance that a trial is kept that gains nothing, shared by all of its trials
FIRST_STEP = 0.1  # of the base
LARGER_STEP = 4  # after a round without a clear gain, that many times as many rows are tried
MAX_ROUNDS = 50


class Round(NamedTuple):
    """What a round did; see `privsynth.rebalancing.augment.Augmentation.history`."""

    trial: str
    rows: int
    gain: float
    kept: bool
    added: int


@dataclass(frozen=True)
class _Trial:
    """An addition on top of what is kept, in every fold.

    Attributes:
        counts: Rows of each cell, those kept before included.
        rows: These rows, of each fold.
        models: The estimator fitted to base and rows, of each fold.
    """

    counts: IntArray
    rows: list[pd.DataFrame]
    models: list[Any]


def add_by_rounds(
    task: Task,
    table: pd.DataFrame,
    *,
    most: int,
    max_loss: float,
    progress: Callable[[str], None] | None = None,
) -> tuple[IntArray, list[Round]]:
    """Return how many rows to add to each cell, ``(n_cells,)``, and what was tried.

    The trials of a round add to the group that is worst at the time: rows of each label, or of all; and rows
    of each label in all groups. Validation rows are drawn anew in each round: none is chosen by twice.

    Args:
        task: What is judged.
        table: The training set.
        most: Rows to add at most.
        max_loss: By how much the overall score may fall below that of the training set alone.
        progress: Is told of each round.
    """
    alone = [task.fit(table) for _ in range(task.cv)]
    kept = _Trial(np.zeros(len(task.cells), dtype=np.int64), [table.iloc[:0]] * task.cv, alone)
    step = max(1, round(FIRST_STEP * len(table)))
    history: list[Round] = []
    while len(history) < MAX_ROUNDS and (step := min(step, most - int(kept.counts.sum()))) > 0:
        validation = task.validation()
        before = task.scores(kept.models, validation)
        floor = (task.scores(alone, validation) @ task.shares).mean() - max_loss
        extras = list(_extras(task, int(before.mean(axis=0).argmin()), step))
        trials = [_tried(task, table, kept, extra) for extra in extras]
        gains, is_clear = _gains(task, trials, before, validation, floor)
        best = max(range(len(trials)), key=lambda i: (is_clear[i], gains[i]))
        if is_clear[best]:
            kept = trials[best]
        added = int(kept.counts.sum())
        history.append(Round(task.named(extras[best]), step, gains[best], is_clear[best], added))
        if progress is not None:
            verdict = "kept" if is_clear[best] else "not clear of chance"
            progress(f"{step} rows of {history[-1].trial}: worst group {gains[best]:+.4f}, {verdict}")
        if not is_clear[best]:
            if step == most - added:
                break
            step *= LARGER_STEP
    return kept.counts, history


def _extras(task: Task, worst: int, step: int) -> Iterator[IntArray]:
    """Yield rows to add to each cell, in the model's proportions."""
    chosen = [task.is_usable & (task.group_of == worst)]
    if task.target in task.cut:
        for label in task.cells[task.target].unique():
            of_label = task.is_usable & task.cells[task.target].eq(label).to_numpy()
            chosen += [of_label & chosen[0], of_label]
    masses = task.cells["mass"].to_numpy()
    for cells in {cells.tobytes(): cells for cells in chosen if cells.any()}.values():
        yield largest_remainder(np.where(cells, masses, 0.0), step, task.rng())


def _tried(task: Task, table: pd.DataFrame, kept: _Trial, extra: IntArray) -> _Trial:
    rows = [pd.concat([held, task.draw(extra)], ignore_index=True) for held in kept.rows]
    return _Trial(kept.counts + extra, rows, [task.fit(table, added) for added in rows])


def _gains(
    task: Task, trials: list[_Trial], before: FloatArray, validation: Validation, floor: float
) -> tuple[list[float], list[bool]]:
    """Return each trial's mean gain of the worst group, and whether it is clear and costs not too much."""
    gains, is_clear = [], []
    for trial in trials:
        after = task.scores(trial.models, validation)
        gain = after.min(axis=1) - before.min(axis=1)
        level = student.ppf(1 - FALSE_ALARM / len(trials), len(gain) - 1)
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        gains.append(float(gain.mean()))
        is_kept = gain.mean() > max(0.0, level * error) and (after @ task.shares).mean() >= floor
        is_clear.append(bool(is_kept))
    return gains, is_clear
