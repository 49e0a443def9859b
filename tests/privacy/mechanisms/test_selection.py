"""The exponential mechanism chooses with the booked probabilities, on scores of the booked sensitivity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from privsynth.privacy.mechanisms.selection import exponential_mechanism, marginal_scores
from privsynth.privacy.randomness import OsEntropy
from privsynth.privacy.units import PERSON_GRID, count_table, weigh_records

FALSE_ALARM = 1e-6


def test_one_draw_has_the_probabilities_of_the_mechanism():
    scores, epsilon0, n = np.array([0.0, 3.0, -2.0, 1.0]), 1.2, 20_000
    chosen = [
        exponential_mechanism(scores, epsilon0=epsilon0, sensitivity=1.0, n_select=1, secret=OsEntropy())[0]
        for _ in range(n)
    ]
    weights = np.exp(epsilon0 * scores / 2)
    expected = n * weights / weights.sum()
    assert chisquare(np.bincount(chosen, minlength=4), expected).pvalue > FALSE_ALARM
    # power: twice the epsilon0 would be seen at once
    doubled = np.exp(epsilon0 * scores)
    assert chisquare(n * doubled / doubled.sum(), expected).pvalue < FALSE_ALARM**2


def test_several_draws_are_draws_without_replacement():
    scores, epsilon0, n = np.array([0.0, 2.0, 1.0]), 1.0, 20_000
    counts = dict.fromkeys(itertools.permutations(range(3), 2), 0)
    for _ in range(n):
        first, second = exponential_mechanism(
            scores, epsilon0=epsilon0, sensitivity=1.0, n_select=2, secret=OsEntropy()
        )
        counts[int(first), int(second)] += 1
    w = np.exp(epsilon0 * scores / 2)
    expected = [n * w[a] / w.sum() * w[b] / (w.sum() - w[a]) for a, b in counts]
    assert chisquare(list(counts.values()), expected).pvalue > FALSE_ALARM


def test_neighbours_choose_within_the_booked_range():
    # Log-ratios of the exact choice probabilities of neighbours lie in an interval of length epsilon0.
    epsilon0 = 0.8
    scores, neighbour = np.array([4.0, 1.0, 2.5]), np.array([3.0, 2.0, 2.5])  # each moved by at most 1

    def log_prob(s):
        logits = epsilon0 * s / 2
        return logits - np.log(np.exp(logits).sum())

    ratio = log_prob(scores) - log_prob(neighbour)
    assert ratio.max() - ratio.min() <= epsilon0 + 1e-12


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=12)


@given(rows, st.lists(st.floats(0, 20), min_size=6, max_size=6))
def test_one_record_moves_a_score_by_at_most_one(records, expected):
    def score(table):
        exact = (
            count_table([table[:, 1], table[:, 2]], [3, 2], None, n_rows=len(table), units_per_one=1)
            .ravel()
            .astype(float)
        )
        return marginal_scores([exact], [np.asarray(expected)], 2.0)[0]

    table = np.asarray(records, dtype=np.int64)
    for i in range(len(table)):
        assert abs(score(table) - score(np.delete(table, i, axis=0))) <= 1 + 1e-9


@given(rows, st.integers(1, 4), st.lists(st.floats(0, 20), min_size=6, max_size=6))
def test_one_person_moves_a_score_by_at_most_one(records, cap, expected):
    table = np.asarray(records, dtype=np.int64)
    weighting = weigh_records(table[:, 0], max_records_per_person=cap, secret=OsEntropy())
    kept, weights = table[weighting.rows], weighting.weights

    def score(mask):
        counts = count_table(
            [kept[mask, 1], kept[mask, 2]],
            [3, 2],
            weights[mask],
            n_rows=int(mask.sum()),
            units_per_one=PERSON_GRID,
        )
        return marginal_scores([counts.ravel() / PERSON_GRID], [np.asarray(expected)], 2.0)[0]

    whole = score(np.ones(len(kept), dtype=bool))
    for person in range(4):
        assert abs(whole - score(kept[:, 0] != person)) <= 1 + 1e-9


def test_an_expectation_made_with_the_exact_count_would_move_scores_by_more():
    # Why the number of units must be noisy: with it exact, expected = n * p moves as well.
    p = np.array([0.9, 0.1])
    with_target, without = np.array([10.0, 1.0]), np.array([10.0, 0.0])
    moved = abs(
        marginal_scores([with_target], [11 * p], 1.0)[0] - marginal_scores([without], [10 * p], 1.0)[0]
    )
    assert moved == pytest.approx(1.8)


def test_the_score_is_the_distance_beyond_the_noise():
    score = marginal_scores([np.array([3.0, 5.0])], [np.array([1.0, 6.0])], 2.0)[0]
    assert score == pytest.approx(3.0 - np.sqrt(2 / np.pi) * 2.0 * 2)


def test_a_model_table_of_another_shape_is_refused():
    # broadcast against the records' own it would move a score by more than one unit may
    with pytest.raises(ValueError, match=r"expected a table of shape \(2,\), got \(100, 1\)"):
        marginal_scores([np.ones(2)], [np.ones((100, 1))], 1.0)
