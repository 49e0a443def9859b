"""The classifier two-sample test: can a model tell synthetic rows from real ones?

Gradient boosting learns from real rows against one half of the synthetic rows, and is tested on the holdout
against the other half. If the synthetic rows were drawn from the source, the tested rows of both sides would
be exchangeable given the model, so the Mann–Whitney test of its scores is calibrated, whatever was learnt.

References:
    Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017; here with the AUC in place of
    the accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from privsynth.attacks.intervals import auc_interval
from privsynth.metrics.common import learners
from privsynth.metrics.common.estimates import figure, not_assessed
from privsynth.metrics.common.tables import Tables
from privsynth.records.conform import Records

MAX_ROWS = 20_000
MIN_ROWS = 20
"""Rows of a side needed for the test."""

TOO_FEW = f"needs {MIN_ROWS} rows to learn from and {MIN_ROWS} to test on, of each side"


@dataclass(frozen=True)
class TwoSampleResult:
    """How well a model tells the rows of two tables apart.

    Attributes:
        learner: Gives the probability of being on the second side, second column.
        real: Tested rows of the first side, canonical.
        synthetic: Tested rows of the second side.
        real_scores: The learner's log-odds of being on the second side.
        synthetic_scores: The same of the other tested rows.
    """

    learner: learners.Learner
    real: pd.DataFrame
    synthetic: pd.DataFrame
    real_scores: np.ndarray
    synthetic_scores: np.ndarray

    @property
    def auc(self) -> float:
        """Chance that a synthetic row scores above a real one: 0.5 = indistinguishable, 1 = always."""
        return auc_interval(self.synthetic_scores, self.real_scores).auc

    @property
    def interval(self) -> list[float]:
        """Interval of `auc` at 95 %, by DeLong: of the tested rows, given the model."""
        estimate = auc_interval(self.synthetic_scores, self.real_scores)
        return [estimate.low, estimate.high]

    @property
    def p_value(self) -> float:
        """Chance of an AUC at least as large, were the synthetic rows drawn from the source."""
        if np.ptp(np.concatenate([self.real_scores, self.synthetic_scores])) == 0:
            return 1.0
        test = mannwhitneyu(
            self.synthetic_scores, self.real_scores, alternative="greater", method="asymptotic"
        )
        return float(test.pvalue)


def tell_apart(
    learnt: tuple[pd.DataFrame, pd.DataFrame], tested: tuple[pd.DataFrame, pd.DataFrame], *, seed: int = 0
) -> TwoSampleResult:
    """Train on two tables of independent rows, score two others; the second of each is to be found.

    Privacy:
        Not private: a model of real records.
    """
    features = pd.concat(learnt, ignore_index=True)
    labels = np.repeat([0, 1], [len(table) for table in learnt])
    weights = np.repeat([1 / len(table) for table in learnt], [len(table) for table in learnt])
    learner = learners.train_classifier(
        learners.BOOSTING, features, labels, weights * len(features) / 2, n_classes=2, seed=seed
    )
    real_scores, synthetic_scores = (log_odds(learner, table) for table in tested)
    return TwoSampleResult(learner, tested[0], tested[1], real_scores, synthetic_scores)


def log_odds(learner: learners.Learner, rows: pd.DataFrame) -> np.ndarray:
    """Return the learner's log-odds of the second class, ``(n_rows,)``, finite."""
    share = np.clip(learner(rows)[:, 1], 1e-9, 1 - 1e-9)
    return np.log(share) - np.log1p(-share)


def tell_synthetic_from_real(
    tables: Tables, *, max_rows: int = MAX_ROWS, random_state: int = 0
) -> dict[str, TwoSampleResult] | None:
    """Run the test on synthetic rows (``synthetic``), real ones (``ceiling``), shuffled ones (``floor``).

    Of each person one row is drawn, so that all rows are independent. Without a holdout the real rows are
    halved for learning and testing, and there is no ceiling.

    Returns:
        None if a side has fewer than `MIN_ROWS` rows to learn from or to test on.

    Privacy:
        Not private: models of real records, tested on real records.
    """
    generator = np.random.default_rng(random_state)
    real = _one_row_each(tables.real, max_rows, generator)
    synthetic = _one_row_each(tables.synthetic, 2 * max_rows, generator)
    sides = {"synthetic": synthetic, "floor": tables.independent_sample(len(synthetic), generator)}
    tested = None if tables.holdout is None else _one_row_each(tables.holdout, max_rows, generator)
    return tell_sides_apart(real, tested, sides, random_state=random_state)


def tell_sides_apart(
    real: pd.DataFrame,
    holdout: pd.DataFrame | None,
    sides: Mapping[str, pd.DataFrame],
    *,
    random_state: int = 0,
) -> dict[str, TwoSampleResult] | None:
    """Run the test on each side: one half learnt from against ``real``, the other tested with the holdout.

    Args:
        real: Independent rows in random order, as all other tables; halved for learning and testing where
            there is no holdout.
        holdout: Rows to test on; with them real rows make a side of their own, ``ceiling``.
        sides: Name to rows that are to be told from real ones.
        random_state: Seed of the learner.

    Returns:
        The result of each side; None if a side has fewer than `MIN_ROWS` rows to learn from or to test on.

    Privacy:
        Not private: models of real records, tested on real records.
    """
    sides = dict(sides)
    if holdout is not None:
        apart, tested = _halves(real), holdout
        learnt = dict.fromkeys(sides, real) | {"ceiling": apart[0]}
        sides["ceiling"] = apart[1]
    else:
        half, tested = _halves(real)
        learnt = dict.fromkeys(sides, half)
    cut = {name: _halves(side) for name, side in sides.items()}
    sizes = [
        len(tested),
        *(len(t) for t in learnt.values()),
        *(len(t) for pair in cut.values() for t in pair),
    ]
    if min(sizes) < MIN_ROWS:
        return None
    return {
        name: tell_apart((learnt[name], first), (tested, second), seed=random_state)
        for name, (first, second) in cut.items()
    }


def two_sample_figure(told: dict[str, TwoSampleResult] | None) -> dict[str, Any]:
    """Return the test as it stands in the report: the AUC as a figure with ``p_value``.

    Privacy:
        Not private: figures of real records.
    """
    if told is None:
        return not_assessed(TOO_FEW)
    test = told["synthetic"]
    return {
        "status": "assessed",
        "auc": figure(
            test.auc,
            interval=test.interval,
            ceiling=told["ceiling"].auc if "ceiling" in told else None,
            floor=told["floor"].auc,
        ),
        "p_value": test.p_value,
        "ceiling_p_value": told["ceiling"].p_value if "ceiling" in told else None,
        "n_real": len(test.real),
        "n_synthetic": len(test.synthetic),
    }


def _one_row_each(records: Records, n_most: int, generator: np.random.Generator) -> pd.DataFrame:
    """Return one row of each unit, at most ``n_most`` units, in random order."""
    order = generator.permutation(len(records.frame))
    if records.persons is not None:
        order = order[np.unique(records.persons[order], return_index=True)[1]]
        order = generator.permutation(order)
    return records.frame.iloc[order[:n_most]].reset_index(drop=True)


def _halves(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both halves of rows that stand in random order."""
    half = (len(table) + 1) // 2
    return table.iloc[:half].reset_index(drop=True), table.iloc[half:].reset_index(drop=True)
