"""Seeds: what is one, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.errors import ParameterError
from privsynth.errors.seeds import checked_seed, random_generator


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), np.uint8(3), 2**40, 10**40])
def test_a_whole_number_repeats_what_is_drawn(seed):
    assert random_generator(seed).random() == random_generator(seed).random()


def test_nothing_is_drawn_anew_each_time():
    assert random_generator(None).random() != random_generator(None).random()


def test_a_generator_goes_on_where_it_is():
    generator = np.random.default_rng(5)
    assert random_generator(generator) is generator
    legacy = np.random.RandomState(5)
    assert random_generator(legacy).random() != random_generator(legacy).random()
    assert (
        random_generator(np.random.RandomState(5)).random()
        == random_generator(np.random.RandomState(5)).random()
    )


@pytest.mark.parametrize("seed", [-1, 1.5, 1.0, "1", True, float("nan"), np.float64(3), [1], np.int8(-3)])
def test_anything_else_is_refused(seed):
    with pytest.raises(ParameterError, match=r"whole number of at least 0, got"):
        random_generator(seed)


def test_a_seed_too_large_for_a_library_is_refused():
    assert checked_seed(2**32 - 1, below=2**32) == 2**32 - 1
    with pytest.raises(ParameterError, match="below 4294967296, got 4294967296"):
        checked_seed(2**32, below=2**32)
