"""The bound over random pairs of a split made by chance."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

from privsynth.attacks.pairs import pair_bound

FALSE_ALARM = 1e-6


def bound(members: np.ndarray, others: np.ndarray, seed: int, confidence: float = 0.95) -> dict:
    found = pair_bound(
        members, others, delta=0.0, confidence=confidence, generator=np.random.default_rng(seed)
    )
    assert found is not None
    return found


def test_scores_of_chance_prove_something_as_seldom_as_they_say() -> None:
    generator, repetitions = np.random.default_rng(0), 150
    n_proven = sum(
        bound(generator.normal(size=200), generator.normal(size=150), seed)["epsilon"] > 0
        for seed in range(repetitions)
    )
    assert n_proven <= binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)


def test_a_full_leak_proves_what_so_many_guesses_can() -> None:
    found = bound(np.ones(1000), np.zeros(1000), 0)
    assert (found["n_pairs"], found["n_guesses"], found["n_correct"]) == (1000, 100, 100)
    q = 0.05 ** (1 / 100)
    assert abs(found["epsilon"] - math.log(q / (1 - q))) < 1e-6
    assert found["relation"] == "replace_one"


def test_randomised_response_is_not_overstated() -> None:
    # Replacing moves each score's bit by exactly epsilon = ln 9: the difference of two answers shows ln 81.
    generator, repetitions, above = np.random.default_rng(1), 80, 0
    for seed in range(repetitions):
        members, others = generator.random(400) < 0.9, generator.random(400) < 0.1
        above += bound(members * 1.0, others * 1.0, seed)["epsilon"] > 2 * math.log(9)
    assert above <= binom.ppf(1 - FALSE_ALARM, repetitions, 0.05)


def test_ties_are_wrong_and_few_pairs_prove_nothing() -> None:
    assert bound(np.zeros(50), np.zeros(50), 0)["n_correct"] == 0
    none = pair_bound(np.ones(9), np.zeros(9), delta=0.0, confidence=0.95, generator=np.random.default_rng(0))
    assert none is None
