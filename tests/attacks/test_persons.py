"""Attacks that count synthetic units count persons where a person has several rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.linkage import replicated_uniques
from privsynth.attacks.queries import once_a_person
from privsynth.attacks.singling_out import multivariate, univariate
from privsynth.records.codes import Discretiser


@pytest.fixture
def persons() -> pd.DataFrame:
    """Return forty persons by four attributes, of which hardly two agree."""
    generator = np.random.default_rng(0)
    return pd.DataFrame({name: generator.integers(0, 12, 40).astype(float) for name in "abcd"})


def test_rows_of_one_person_count_once() -> None:
    table = np.array([[1, 2], [1, 2], [1, 3], [1, 2]], dtype=np.uint64)
    assert sorted(once_a_person(table, np.array([0, 0, 0, 1])).tolist()) == [[1, 2], [1, 2], [1, 3]]
    assert once_a_person(table, None) is table


def test_a_person_with_several_rows_is_as_unique_as_with_one(persons: pd.DataFrame) -> None:
    once = replicated_uniques(persons, persons, list("abc"))
    assert once.sum() > 20
    whose = np.repeat(np.arange(40), 3)
    thrice = persons.iloc[whose].reset_index(drop=True)
    assert replicated_uniques(persons, thrice, list("abc"), whose).tolist() == once.tolist()
    assert not replicated_uniques(persons, thrice, list("abc")).any()  # as rows nobody is


def test_predicates_single_out_persons_and_not_rows(persons: pd.DataFrame) -> None:
    whose = np.repeat(np.arange(40), 3)
    thrice = persons.iloc[whose].reset_index(drop=True)
    outsiders = persons.sample(frac=1, random_state=1).reset_index(drop=True)
    by_rows = multivariate(persons, outsiders, thrice, np.random.default_rng(0))
    assert len(by_rows.members) == 0
    by_persons = multivariate(persons, outsiders, thrice, np.random.default_rng(0), whose)
    assert len(by_persons.members) > 100
    assert by_persons.members.mean() == 1.0  # the released persons are the members
    single = pd.DataFrame({"a": np.r_[np.arange(10.0), 3.0]})
    of_rows = univariate(single, single, single.iloc[np.repeat(np.arange(11), 2)].reset_index(drop=True))
    of_persons = univariate(
        single,
        single,
        single.iloc[np.repeat(np.arange(11), 2)].reset_index(drop=True),
        np.repeat(np.arange(11), 2),
    )
    assert of_rows.members.sum() == 0
    assert of_persons.members.sum() == 9  # all but the value of two persons; nobody lies beyond the ends


def test_tables_of_rows_are_counted_as_before(persons: pd.DataFrame) -> None:
    codes = Discretiser.of_quantiles([persons]).matrix(persons)
    assert once_a_person(codes, None) is codes
    a, b = (
        multivariate(persons, persons, persons, np.random.default_rng(3), w) for w in (None, np.arange(40))
    )
    assert a.members.mean() == b.members.mean() == 1.0
