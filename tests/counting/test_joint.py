"""Tables that are counted together: each is what it is when it is counted alone."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from privsynth.counting import memory
from privsynth.counting.joint import whole_of_each
from privsynth.counting.memory import RecordsInMemory
from privsynth.domains.coding import coding_of_breaks, coding_of_texts
from privsynth.records.conform import Records
from tests.helpers.predictable import PredictableSourceForTests

CODINGS = {
    "a": coding_of_breaks(np.array([1.0, 2.0])),
    "b": coding_of_breaks(np.arange(1.0, 6.0)),
    "c": coding_of_texts(["x", "y"]),
}
SETS = [columns for k in range(4) for columns in itertools.combinations("abc", k)]


def held(*, of_persons: bool) -> RecordsInMemory:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.integers(0, 3, 500).astype(float),
            "b": np.where(rng.random(500) < 0.1, np.nan, rng.integers(0, 7, 500)),
            "c": pd.Categorical(rng.choice(["x", "y", "z"], 500)),
        }
    )
    persons = rng.integers(0, 100, 500) if of_persons else None
    cap = 4 if of_persons else None
    return RecordsInMemory(
        Records(frame, persons), max_records_per_person=cap, secret=PredictableSourceForTests(0)
    )


@pytest.mark.parametrize("of_persons", [False, True])
@pytest.mark.parametrize("outside", [False, True])
def test_a_table_is_the_same_alone_and_as_a_sum_of_another(of_persons: bool, outside: bool) -> None:
    codings = dict(CODINGS)
    if outside:  # what lies outside of the third column counts in tables of the other two
        codings["c"] = type(CODINGS["c"])({"x": 0}, other=-1, missing=-1, size=1)
    together = held(of_persons=of_persons).tables(SETS, codings)
    for columns, table in zip(SETS, together, strict=True):
        (alone,) = held(of_persons=of_persons).tables([columns], codings)
        assert table.dtype == np.int64
        assert np.array_equal(table, alone), columns


def test_pairs_are_not_counted_where_triples_of_theirs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    honest = memory.count_with_outside

    def noted(codes, sizes, weights, *, n_rows):
        counted.append(len(codes))
        return honest(codes, sizes, weights, n_rows=n_rows)

    monkeypatch.setattr(memory, "count_with_outside", noted)
    records, pairs = held(of_persons=False), list(itertools.combinations("abc", 2))
    for _ in range(2):
        assert len([*records.tables([*pairs, ("a", "b", "c")], CODINGS)]) == 4
    assert counted == [3]


def test_a_table_is_the_sum_of_the_smallest_that_holds_it() -> None:
    sets = [("a", "b"), ("a", "b", "c"), ("a", "b", "d"), ("b", "d")]
    wholes = whole_of_each(sets, CODINGS | {"d": CODINGS["b"]})
    assert wholes["a", "b"] == ("a", "b", "c")
    assert wholes["b", "d"] == ("a", "b", "d")
    assert wholes["a", "b", "c"] == ("a", "b", "c")
