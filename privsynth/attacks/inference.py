"""Attribute inference: the attacker knows all of a person's fields but one, and guesses that one.

Each attack learns from the synthetic rows alone. What it gets right about outsiders is knowledge about people
in general, which synthetic rows are meant to give.

References:
    Stadler, Oprisanu and Troncoso, "Synthetic Data - Anonymisation Groundhog Day", USENIX Security 2022 (the
    comparison with persons outside); Raab, Nowok and Dibben, "Practical Privacy Metrics for Synthetic Data",
    2024 (disclosive keys).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier

from privsynth.attacks.features import FeatureSpace
from privsynth.attacks.neighbours import nearest
from privsynth.attacks.queries import joint_codes
from privsynth.records.codes import Discretiser

N_GUESS_BINS = 10  # a number counts as guessed if its decile among the synthetic rows is
N_VOTES = 5
MAX_TRAINING_ROWS = 20_000


def guesses_by_neighbours(targets: pd.DataFrame, synthetic: pd.DataFrame, secret: str) -> np.ndarray:
    """Return whether the vote of the nearest synthetic rows on the other columns gives the secret.

    An exact match outvotes the rest: rows vote with the inverse of their distance.

    Args:
        targets: Canonical rows, ``(n, n_columns)``.
        synthetic: The released table, all of it.
        secret: The column that is guessed.

    Returns:
        ``(n,)`` bool.

    Privacy:
        Not private: compares guesses with real records.
    """
    known = [name for name in targets.columns if name != secret]
    space = FeatureSpace.fit([synthetic[known]])
    near = nearest(space.place(targets[known]), space.place(synthetic[known]), N_VOTES)
    truth, classes = _classes(targets, synthetic, secret)
    votes = classes[near.position]
    weights = 1 / (near.distance + 1e-3)
    right = np.where(votes == truth[:, None], weights, 0).sum(axis=1)
    best_other = np.zeros(len(targets))
    for vote in range(votes.shape[1]):
        alike = votes == votes[:, [vote]]
        weight = np.where(alike, weights, 0).sum(axis=1)
        best_other = np.maximum(best_other, np.where(votes[:, vote] == truth, 0, weight))
    return right > best_other


def guesses_by_model(
    targets: pd.DataFrame, synthetic: pd.DataFrame, secret: str, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether a model trained on synthetic rows gives the secret, and whether a constant guess does.

    Args:
        targets: As in `guesses_by_neighbours`.
        synthetic: At most `MAX_TRAINING_ROWS` of these are trained on.
        secret: The column that is guessed.
        generator: Draws training rows and the model's seed.

    Privacy:
        Not private: compares guesses with real records.
    """
    truth, classes = _classes(targets, synthetic, secret)
    known = [name for name in targets.columns if name != secret]
    discretiser = Discretiser.of_quantiles([synthetic[known]], n_bins=64)
    rows = generator.permutation(len(synthetic))[:MAX_TRAINING_ROWS]
    model = ExtraTreesClassifier(
        n_estimators=40, min_samples_leaf=2, random_state=int(generator.integers(2**31))
    )
    model.fit(discretiser.matrix(synthetic.iloc[rows][known]), classes[rows])
    values, counts = np.unique(classes, return_counts=True)
    return model.predict(discretiser.matrix(targets[known])) == truth, truth == values[counts.argmax()]


def disclosed_by_key(
    targets: pd.DataFrame, synthetic: pd.DataFrame, keys: Sequence[str], secret: str
) -> np.ndarray:
    """Return whose key points to a single value of the secret among the synthetic rows, and a true one.

    Privacy:
        Not private: compares with real records.
    """
    truth, classes = _classes(targets, synthetic, secret)
    discretiser = Discretiser.of_quantiles([synthetic[list(keys)]])
    columns = range(len(keys))
    of_synthetic = joint_codes(discretiser.matrix(synthetic[list(keys)]), columns)
    of_targets = joint_codes(discretiser.matrix(targets[list(keys)]), columns)
    groups = pd.DataFrame({"key": of_synthetic, "value": classes}).groupby("key")["value"]
    single = groups.first()[groups.nunique() == 1]
    pointed = pd.Series(of_targets).map(single).to_numpy(dtype=np.float64)
    return pointed == truth


def _classes(targets: pd.DataFrame, synthetic: pd.DataFrame, secret: str) -> tuple[np.ndarray, np.ndarray]:
    discretiser = Discretiser.of_quantiles([synthetic[[secret]]], n_bins=N_GUESS_BINS)
    truth, classes = (
        discretiser.matrix(table[[secret]])[:, 0].astype(np.int64) for table in (targets, synthetic)
    )
    return truth, classes
