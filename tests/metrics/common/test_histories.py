"""Rows of persons in their order, and what is made of each person's own rows alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.metrics.common.histories import Histories, events_of, weights_of
from privsynth.records.conform import Records, conform
from tests.helpers.histories import SCHEMA, WITHOUT_ORDER, draw_histories

TWO = pd.DataFrame(
    {
        "pid": ["b", "a", "b", "a", "b"],
        "sex": ["M", "F", "M", "F", "M"],
        "day": [9, 4, 2, 7, 5],
        "ill": [True, False, False, True, False],
        "cost": [3.0, 1.0, -1.0, np.nan, 2.0],
    }
)


def histories(frame: pd.DataFrame, schema=SCHEMA, seed: int = 0) -> Histories:
    records = conform(frame, schema, on_violation="clip")
    return Histories.of(records, schema, np.random.default_rng(seed))


def test_rows_stand_in_the_order_of_each_person() -> None:
    found = histories(TWO)
    by_person = [found.frame["day"][found.persons == i].tolist() for i in range(2)]
    assert sorted(by_person) == [[2, 5, 9], [4, 7]]
    assert sorted(found.sizes.tolist()) == [2, 3]
    assert found.positions.tolist() in ([0, 1, 2, 0, 1], [0, 1, 0, 1, 2])
    steps, whose = found.gaps()
    assert sorted(zip(steps.tolist(), found.sizes[whose].tolist(), strict=True)) == [(3, 2), (3, 3), (4, 3)]
    totals = found.totals(["cost"])["cost"].to_numpy()[np.argsort(found.sizes)]
    assert totals.tolist() == [1.0, 4.0]
    assert np.isnan(histories(TWO.assign(cost=np.nan)).totals(["cost"])["cost"]).all()


def test_pairs_never_join_two_persons() -> None:
    found = histories(draw_histories(200, 0))
    for lag in (1, 2, 5):
        pairs = found.pairs(lag)
        assert (found.persons[pairs.earlier] == found.persons[pairs.later]).all()
        assert (found.positions[pairs.later] - found.positions[pairs.earlier] == lag).all()
        assert len(pairs.later) == np.maximum(found.sizes - lag, 0).sum()
        assert pairs.weights.sum() == pytest.approx((found.sizes > lag).sum())
    assert len(found.pairs(6).later) == 0
    assert weights_of(np.empty(0, dtype=np.int64)).tolist() == []


def test_how_the_table_lists_rows_does_not_count() -> None:
    once, again = histories(TWO), histories(TWO.iloc[[4, 2, 0, 3, 1]])
    size = [np.argsort(h.sizes, kind="stable") for h in (once, again)]
    for i in range(2):
        a, b = (
            h.frame[h.persons == s[i]].reset_index(drop=True)
            for h, s in zip((once, again), size, strict=True)
        )
        pd.testing.assert_frame_equal(a, b)


def test_without_an_order_chance_decides_and_not_the_table() -> None:
    n = 4000
    frame = pd.DataFrame(
        {"pid": np.repeat(np.arange(n), 2), "sex": "F", "ill": [False, True] * n, "cost": 0.0}
    )
    found = histories(frame, WITHOUT_ORDER)
    first = found.frame["ill"].astype(bool).to_numpy()[found.starts]
    assert abs(first.mean() - 0.5) < 5 * 0.5 / np.sqrt(n)
    assert found.gaps()[0].tolist() == []


def test_dealt_rows_are_the_same_rows_at_other_persons() -> None:
    found = histories(draw_histories(300, 1))
    dealt = found.dealt(np.random.default_rng(0))
    assert dealt.sizes.tolist() == found.sizes.tolist()
    assert dealt.frame["sex"].tolist() == found.frame["sex"].tolist()
    rows = [
        sorted(map(tuple, h.frame[["day", "ill", "cost"]].astype(float).to_numpy())) for h in (found, dealt)
    ]
    assert rows[0] == rows[1]
    assert (dealt.frame["cost"] != found.frame["cost"]).mean() > 0.9
    assert (np.diff(dealt.frame["day"])[dealt.pairs(1).earlier] >= 0).all()


def test_the_row_before_stands_beside_a_row() -> None:
    rows, persons = histories(TWO).with_row_before()
    assert list(rows.columns) == ["sex", "ill", "cost", "before.ill", "before.cost"]
    assert len(rows) == len(persons) == 3
    assert sorted(map(str, zip(rows["before.cost"], rows["cost"], strict=True))) == [
        "(-1.0, 2.0)", "(1.0, nan)", "(2.0, 3.0)",
    ]  # fmt: skip
    assert [column.name for column in events_of(SCHEMA)] == ["ill", "cost"]


def test_some_persons_come_with_all_their_rows() -> None:
    found = histories(draw_histories(50, 2))
    some = found.some(7, np.random.default_rng(0))
    assert some.n_persons == 7
    assert set(some.frame["cost"]) < set(found.frame["cost"])
    assert some.sizes.min() >= 2
    assert found.some(50, np.random.default_rng(0)) is found


def test_persons_without_a_number_of_their_own_leave_no_gap() -> None:
    frame = conform(TWO, SCHEMA, on_violation="clip").frame
    found = Histories.of(Records(frame, np.array([7, 3, 7, 3, 7])), SCHEMA, np.random.default_rng(0))
    assert found.sizes.tolist() == [2, 3]
