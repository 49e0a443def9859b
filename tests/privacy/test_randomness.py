"""Poisson sampling by gaps: the probability of each hit, to the last bit of what it is made of."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest

from privsynth.privacy import randomness
from privsynth.privacy.randomness import OsEntropy, bernoullis

WHOLE = 2**128
RATES = [0.9, 0.5, 1 / 3, 0.042, 2048 / 50_000, 1e-4, 2.0**-20, 4e-5, 2.0**-60]


@pytest.mark.parametrize("rate", RATES)
def test_no_unit_is_likelier_than_the_rate_whatever_was_drawn_before_it(rate: float) -> None:
    """A hit at k, given none before it, has the probability ``1 - P(no hit to k) / P(no hit before k)``."""
    unhit = (WHOLE, *randomness._probabilities_of_no_hit(rate))
    assert len(unhit) > 1
    for before, after in itertools.pairwise(unhit):
        hazard = Fraction(before - after, before)
        assert Fraction(rate) - Fraction(1, 2**126) <= hazard <= Fraction(rate)


@pytest.mark.parametrize("rate", [0.9, 0.3, 0.01])
def test_a_gap_is_what_inversion_of_all_128_bits_gives(rate: float) -> None:
    unhit = randomness._probabilities_of_no_hit(rate)
    drawn: list[int] = []

    class Words:
        """Upper halves that do and do not decide; lower ones just below, at, and above the border."""

        is_secret = False

        def __init__(self) -> None:
            borders = [left for left in unhit for _ in range(3)]
            self.upper = [left >> 64 for left in borders] + [0, 2**64 - 1, unhit[0] >> 65]
            lower = [left % 2**64 + step for left, step in zip(borders, [-1, 0, 1] * len(unhit), strict=True)]
            self.lower = [min(max(word, 0), 2**64 - 1) for word in lower]

        def read(self, n_bytes: int) -> bytes:
            if n_bytes > 8:
                return np.array(self.upper, dtype="<u8").tobytes()
            drawn.append(self.lower[len(drawn)])
            return drawn[-1].to_bytes(8, "little")

        def for_step(self, step: int) -> Words:
            return self

    words = Words()
    gaps = randomness._gaps(len(words.upper), unhit, words)
    lower = [*words.lower, 0, 0, 0]
    assert len(drawn) == 3 * len(unhit)  # no more: the upper half decides in all other cases
    for gap, up, low in zip(gaps, words.upper, lower, strict=True):
        assert gap == len(unhit) - bisect_right(unhit[::-1], up * 2**64 + low)


def test_gaps_go_on_behind_the_end_of_a_part() -> None:
    rate, n, n_runs = 0.2, 13, 4000  # parts of five draws, the last of three
    hits = np.zeros(n)
    pairs = 0
    for _ in range(n_runs):
        drawn = bernoullis(n, rate, OsEntropy())
        assert (np.diff(drawn) > 0).all()
        hits[drawn] += 1
        pairs += int(np.isin([4, 5], drawn).all())  # across a border
    spread = np.sqrt(n_runs * rate * (1 - rate))
    assert np.abs(hits - n_runs * rate).max() < 6 * spread
    assert abs(pairs - n_runs * rate**2) < 6 * np.sqrt(n_runs * rate**2)


def test_rates_at_the_ends() -> None:
    assert bernoullis(5, 1.0, OsEntropy()).tolist() == [0, 1, 2, 3, 4]
    assert len(bernoullis(10**6, 2.0**-70, OsEntropy())) == 0
    assert len(bernoullis(0, 0.3, OsEntropy())) == 0
