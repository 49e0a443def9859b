"""The classifier two-sample test on persons: can a model tell whole synthetic histories from real ones?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.baselines import Compared
from privsynth.metrics.common.histories import Histories
from privsynth.metrics.common.whole_histories import whole_histories
from privsynth.metrics.fidelity.two_sample import tell_sides_apart, two_sample_figure

MAX_PERSONS = 20_000
"""Persons of each side that are looked at, drawn at random."""


def tell_histories_apart(
    source: Histories,
    judged: Mapping[Compared, Histories],
    generator: np.random.Generator,
    *,
    random_state: int = 0,
) -> dict[str, Any]:
    """Run the test of `privsynth.metrics.fidelity.two_sample` on persons, each with all their rows.

    Args:
        source: Of the persons that the generator was fitted to.
        judged: ``synthetic``; ``floor``, independent rows; and ``ceiling``, the holdout's, if there is one.
        generator: Draws persons and halves.
        random_state: Seed of the learner.

    Returns:
        ``auc`` as a figure (0.5 = they cannot be told apart; the ceiling puts real persons in place of the
        synthetic ones) and ``p_value``; or a section ``not_assessed``.

    Privacy:
        Not private: models of real records, tested on real records.
    """
    sides: dict[str, pd.DataFrame] = {
        name: _persons(judged[name], generator, 2 * MAX_PERSONS) for name in ("synthetic", "floor")
    }
    holdout = _persons(judged["ceiling"], generator, MAX_PERSONS) if "ceiling" in judged else None
    real = _persons(source, generator, MAX_PERSONS)
    return two_sample_figure(tell_sides_apart(real, holdout, sides, random_state=random_state))


def _persons(histories: Histories, generator: np.random.Generator, n_most: int) -> pd.DataFrame:
    """Return a row a person, in random order."""
    table = whole_histories(histories)
    return table.iloc[generator.permutation(len(table))[:n_most]].reset_index(drop=True)
