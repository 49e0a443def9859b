"""Adaptive generation: which synthetic rows to add so that an estimator gets better where it is worst.

A generator is an endless source of rows, so nothing has to be spared for validation: every fold of the
cross-validation is drawn anew from the model. In rounds, rows of some cells (a label in a group) are added on
trial to the training rows of each fold, and the best trial is kept if its gain is clear of chance over the
folds. In the end the whole addition is judged once more on folds that no choice has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from privsynth.errors import ParameterError
from privsynth.errors.arguments import real_number
from privsynth.io.source import Table
from privsynth.rebalancing.search import Round, add_by_rounds
from privsynth.rebalancing.task import FloatArray, IntArray, Scorer, Task
from privsynth.synthesizers.tables.sampler import TableSampler

__all__ = ["Augmentation", "Gain", "augment_for"]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A score before and after the addition, on fresh synthetic rows.

    Attributes:
        before: Mean over the folds.
        after: The same with the added rows.
        interval: Of the gain at 95 %, by Student's t over the folds: it covers the drawing of added and of
            validation rows from this model, and not how the model differs from real records.
    """

    before: float
    after: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, before: FloatArray, after: FloatArray) -> Gain:
        """Compare scores of the same folds."""
        gain = after - before
        margin = student.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
        limits = (float(gain.mean() - margin), float(gain.mean() + margin))
        return cls(before=float(before.mean()), after=float(after.mean()), interval=limits)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What was added, and what it gained on synthetic rows.

    Attributes:
        counts: One line a cell: its columns, and ``count``, the rows added.
        rows: The added rows.
        table: The base and the added rows.
        worst_group: Score of whichever group is worst in a fold.
        overall: Score of all groups, weighed by their shares in the model.
        by_group: One line a group: its columns, ``before``, ``after``.
        left_out: Groups that were not judged, for want of units behind them.
        history: One line a round: the best ``trial``, its number of ``rows``, its ``gain`` and whether it was
            ``kept``; how many rows were ``added`` since.
    """

    counts: pd.DataFrame
    rows: pd.DataFrame
    table: pd.DataFrame
    worst_group: Gain
    overall: Gain
    by_group: pd.DataFrame
    left_out: pd.DataFrame
    history: pd.DataFrame


def augment_for(
    estimator: Any,
    synthesizer: TableSampler,
    *,
    base: Table | int | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    scoring: str | Scorer = "balanced_accuracy",
    max_added: float = 1.0,
    max_loss: float = 0.01,
    cv: int = 5,
    n_validation: int = 2000,
    min_units: float = 50.0,
    random_state: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Augmentation:
    """Choose synthetic rows to add to a training set, so that the worst group's score rises.

    Without groups the score of all rows is to rise; with balanced accuracy, or a scorer of the rare label
    such as ``make_scorer(recall_score, pos_label=...)``, that is the minority's. Real records are not read,
    so what is gained on them depends on how well the model knows the group: measure it before relying on it.

    Args:
        estimator: Anything of scikit-learn's kind that takes frames, such as a pipeline that encodes
            categories; it is cloned. It is given the modelled columns but the target.
        synthesizer: A fitted table synthesizer, the source of all rows but ``base``.
        base: The training set, a frame or a file: synthetic, or not sensitive; or a number of rows to draw
            from the synthesizer, by default the noisy number of units.
        target: Column to predict; the schema's if None.
        groups: Categorical or boolean columns whose combinations are the groups; the schema's if None, and
            none if empty.
        scoring: As scikit-learn takes it: a name, or ``scorer(estimator, X, y)``, greater being better.
        max_added: Most rows to add, as a multiple of the base.
        max_loss: By how much the overall score may fall below the base's.
        cv: Folds, each of fresh added and fresh validation rows.
        n_validation: Validation rows of each group in each fold.
        min_units: Real units that the model must have behind a cell for rows to be added to it, and behind
            two labels of a group for it to be judged.
        random_state: Seed of everything drawn.
        progress: Is told of each round.

    Raises:
        ParameterError: If an argument is out of range, or the target is no modelled column.
        RequestError: If a group is not categorical or boolean.
        UnsupportedRequestError: If no group has units enough behind it.

    Privacy:
        Post-processing of the model. A base that is given is taken as public, and what is added follows it.

    Example:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> from privsynth import MarginalSynthesizer, Schema
        >>> rng = np.random.default_rng(0)
        >>> rare, x = rng.random(3000) < 0.06, rng.random(3000) < 0.5
        >>> records = pd.DataFrame({"rare": rare, "x": x, "ill": x ^ rare})  # x: ill, or, if rare, well
        >>> roles = {"rare": {"role": "group"}, "x": {}, "ill": {"role": "target"}}
        >>> schema = Schema({name: {"type": "boolean", **role} for name, role in roles.items()})
        >>> synthesizer = MarginalSynthesizer(epsilon=None).fit(records, schema=schema)  # not private: a demo
        >>> tree = DecisionTreeClassifier(min_samples_leaf=200)  # too coarse to see the rare group
        >>> found = augment_for(tree, synthesizer, cv=3, n_validation=200, max_added=0.2)
        >>> found.worst_group.before < 0.2, found.worst_group.after > 0.8
        (True, True)
        >>> tree = tree.fit(found.table[["rare", "x"]], found.table["ill"])
    """
    max_added, max_loss = real_number("max_added", max_added), real_number("max_loss", max_loss)
    if not (max_added > 0 and max_loss >= 0):
        raise ParameterError(
            f"expected max_added > 0 and max_loss >= 0, got max_added={max_added!r}, max_loss={max_loss!r}"
        )
    task = Task.of(
        estimator,
        synthesizer,
        target=target,
        groups=groups,
        scoring=scoring,
        cv=cv,
        n_validation=n_validation,
        min_units=min_units,
        random_state=random_state,
    )
    table = task.base(base)
    most = round(max_added * len(table))
    counts, history = add_by_rounds(task, table, most=most, max_loss=max_loss, progress=progress)
    return _judged(task, table, counts, history)


def _judged(task: Task, table: pd.DataFrame, counts: IntArray, history: Sequence[Round]) -> Augmentation:
    """Judge an addition on folds that no choice has seen, and draw the rows that are returned."""
    validation = task.validation()
    before = task.scores([task.fit(table) for _ in validation], validation)
    after = before
    if counts.any():
        after = task.scores([task.fit(table, task.draw(counts)) for _ in validation], validation)
    rows = task.draw(counts)
    cells = task.cells[list(task.cut)].assign(count=counts)
    return Augmentation(
        counts=cells[counts > 0].reset_index(drop=True),
        rows=rows,
        table=pd.concat([table, rows], ignore_index=True) if len(rows) else table,
        worst_group=Gain.of(before.min(axis=1), after.min(axis=1)),
        overall=Gain.of(before @ task.shares, after @ task.shares),
        by_group=task.groups.assign(before=before.mean(axis=0), after=after.mean(axis=0)),
        left_out=task.left_out,
        history=pd.DataFrame(history, columns=Round._fields),
    )
