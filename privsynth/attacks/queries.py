"""Query attacks: counts of conjunctions that a row satisfies, among the synthetic and the reference rows.

A conjunction names some columns; a row asks how many rows agree with it there (numbers by quantile bin). A
record that shaped the generator raises the counts of the conjunctions that it satisfies.

References:
    Homer et al., "Resolving Individuals Contributing Trace Amounts of DNA", PLoS Genetics 2008, and
    Sankararaman et al., Nature Genetics 2009 (the marginal statistic); Houssiau et al., "TAPAS: a Toolbox for
    Adversarial Privacy Auditing of Synthetic Data", SyntheticData4ML 2022 (query features).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

MAX_MARGINALS = 300
N_CONJUNCTIONS, LARGEST_CONJUNCTION = 40, 6
MAX_TRAINING_ROWS = 40_000  # of each side, for the classifier
SMALL_CELL = 3  # a count up to which one row more is worth learning from
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def agreement_counts(rows: np.ndarray, table: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Return how many rows of a table agree with each row in all of the columns, ``(n_rows,)``.

    Args:
        rows: Codes of the rows that ask, ``(n_rows, n_columns)``.
        table: Codes of the table that answers.
        columns: Positions of the columns of the conjunction.

    Privacy:
        Not private: exact counts.
    """
    if not len(table):
        return np.zeros(len(rows), dtype=np.int64)
    keys, counts = np.unique(joint_codes(table, columns), return_counts=True)
    asked = joint_codes(rows, columns)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, counts[at], 0)


def once_a_person(table: np.ndarray, persons: np.ndarray | None) -> np.ndarray:
    """Return the distinct rows of each person, so that counting them counts persons, ``(n, n_columns)``.

    Args:
        table: Codes, ``(n_rows, n_columns)``.
        persons: Person of each row; without persons every row stands for one, and all are returned.

    Privacy:
        Not private: returns rows of the table given.

    Example:
        >>> once_a_person(np.array([[7], [7], [7]]), np.array([0, 0, 1])).tolist()
        [[7], [7]]
    """
    if persons is None:
        return table
    whose = persons.astype(table.dtype)[:, None]
    return np.unique(np.concatenate([whose, table], axis=1), axis=0)[:, 1:]


def marginal_scores(
    rows: np.ndarray, synthetic: np.ndarray, reference: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return the marginal-query attack's score: higher = more likely a member.

    The sum over 1- and 2-way marginals of ``(p_synthetic - p_reference) / p`` at the row's cell: the
    likelihood-ratio statistic of a record's share in released marginals.

    Args:
        rows: Codes of the rows to score.
        synthetic: Codes of the released table.
        reference: Codes of rows of the same source.
        generator: Draws the marginals if there are more than `MAX_MARGINALS`.

    Privacy:
        Not private: scores of real records.
    """
    n_columns = rows.shape[1]
    sets = [*itertools.combinations(range(n_columns), 1), *itertools.combinations(range(n_columns), 2)]
    if len(sets) > MAX_MARGINALS:
        sets = [sets[i] for i in generator.permutation(len(sets))[:MAX_MARGINALS]]
    total = np.zeros(len(rows))
    for columns in sets:
        n_synthetic, n_reference = (agreement_counts(rows, t, columns) for t in (synthetic, reference))
        pooled = (n_synthetic + n_reference + 1) / (len(synthetic) + len(reference) + 1)
        total += (n_synthetic / len(synthetic) - n_reference / len(reference)) / pooled
    return total


def rarity(rows: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return minus the reference count of the rarest pair of values of each row: minorities are high.

    Ties are broken by the mean log count over all pairs.

    Privacy:
        Not private: a property of real records.
    """
    pairs: list[tuple[int, ...]] = [*itertools.combinations(range(rows.shape[1]), 2)] or [(0,)]
    counts = np.stack([agreement_counts(rows, reference, columns) for columns in pairs[:MAX_MARGINALS]])
    return -(counts.min(axis=0) + 1e-3 * np.log1p(counts).mean(axis=0))


def classifier_scores(
    rows: np.ndarray, synthetic: np.ndarray, reference: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return the log-odds that a row is synthetic, by a classifier on query features.

    A feature is the log-ratio of a conjunction's counts in the synthetic and in the reference table. The
    classifier learns to tell rows of one half of each table by their counts in the other half (counts that
    leave out the row itself would give its label away), and the halves swap places. In small cells every
    second synthetic row is counted once more, as the copy of a scored row would be. Where a table has no
    two halves, all rows score alike.

    Args:
        rows: Codes of the rows to score.
        synthetic: Codes of the released table.
        reference: Codes of rows of the same source, none of them scored.
        generator: Draws conjunctions, halves, training rows and the classifier's seed.

    Privacy:
        Not private: scores of real records.
    """
    if min(len(synthetic), len(reference)) < 2:
        return np.zeros(len(rows))
    sets = _conjunctions(rows.shape[1], generator)
    halves = [np.array_split(table[generator.permutation(len(table))], 2) for table in (synthetic, reference)]
    total = np.zeros(len(rows))
    for counted, learnt in ((0, 1), (1, 0)):
        answers = (halves[0][counted], halves[1][counted])
        learning = [half[learnt][:MAX_TRAINING_ROWS] for half in halves]
        copies = np.arange(len(learning[0])) % 2
        features = np.concatenate(
            [
                _query_features(learning[0], *answers, sets, copies=copies),
                _query_features(learning[1], *answers, sets),
            ]
        )
        labels = np.repeat([1, 0], [len(part) for part in learning])
        weights = np.repeat([1 / max(len(part), 1) for part in learning], [len(part) for part in learning])
        model = HistGradientBoostingClassifier(
            max_iter=60, early_stopping=False, random_state=int(generator.integers(2**31))
        )
        model.fit(features, labels, sample_weight=weights * len(labels) / 2)
        total += model.decision_function(_query_features(rows, *answers, sets))
    return total / 2


def _conjunctions(n_columns: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Return distinct random sets of columns, and the set of all."""
    sets = {tuple(range(n_columns))}
    largest = min(LARGEST_CONJUNCTION, n_columns)
    for _ in range(20 * N_CONJUNCTIONS):
        if len(sets) == N_CONJUNCTIONS:
            break
        size = int(generator.integers(1, largest + 1))
        sets.add(tuple(int(i) for i in np.sort(generator.permutation(n_columns)[:size])))
    return sorted(sets)


def _query_features(
    rows: np.ndarray,
    synthetic: np.ndarray,
    reference: np.ndarray,
    sets: Sequence[tuple[int, ...]],
    *,
    copies: np.ndarray | int = 0,
) -> np.ndarray:
    features = np.empty((len(rows), len(sets)))
    for i, columns in enumerate(sets):
        n_synthetic, n_reference = (agreement_counts(rows, t, columns) for t in (synthetic, reference))
        n_synthetic = n_synthetic + copies * (n_synthetic < SMALL_CELL)
        features[:, i] = np.log((n_synthetic + 0.5) / len(synthetic)) - np.log(
            (n_reference + 0.5) / len(reference)
        )
    return features


def joint_codes(codes: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Return a 64-bit hash of each row's codes in the columns, ``(n_rows,)`` uint64.

    Privacy:
        Not private: an encoding of the rows given.
    """
    joint = np.zeros(len(codes), dtype=np.uint64)
    for i in columns:
        joint = (joint ^ (codes[:, i] + np.uint64(1))) * _MULTIPLIER
        joint ^= joint >> np.uint64(29)
    return joint
