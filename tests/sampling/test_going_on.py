"""Persons whose rows are known go on: what follows is drawn from the model given them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth import MarginalSynthesizer
from privsynth.errors import ParameterError, RequestError
from privsynth.sampling.going_on import rows_that_follow
from tests.helpers.models import model_of as table_of
from tests.sampling.test_histories import ALTERNATES, model_of
from tests.sampling.test_row_rules import drawn, keeps_to, rule, sequences

KNOWN = pd.DataFrame(
    {"who": ["z", "a", "z"], "sex": ["F", "M", None], "day": [2, 1, 1], "x": [True, False, False]}
)


def following(model, frame, n_next=None, seed=0) -> pd.DataFrame:
    return rows_that_follow(model, frame, n_next, np.random.default_rng(seed))


def test_rows_follow_from_the_last_one_of_each_person() -> None:
    rows = following(model_of(ALTERNATES), KNOWN, 2)
    assert rows.to_dict("list") == {
        "who": ["z", "z", "a", "a"],
        "sex": ["F", "F", "M", "M"],
        "day": [3, 4, 2, 3],
        "x": [False, True, True, False],  # the model alternates
    }


def test_they_go_on_to_the_last_row_that_the_model_draws() -> None:
    model = model_of([{**component, "n_records": {0: 0.5, 2: 0.5}} for component in ALTERNATES])
    known = pd.DataFrame({"who": range(400), "day": 1, "x": True})
    sizes = following(model, known).groupby("who").size()
    assert set(sizes) == {2}  # of those with one row there is no other
    assert 150 < len(sizes) < 250
    two = pd.concat([known, known.assign(day=2)])
    assert (following(model, two).groupby("who").size() == 1).all()
    assert following(model, two)["who"].nunique() == 400  # 3 is the only number that is left
    four = pd.concat([known.assign(day=day) for day in (1, 2, 3, 4)])
    assert len(following(model, four)) == 0
    assert list(following(model, four).columns) == ["who", "sex", "day", "x"]


def test_what_persons_share_is_drawn_once_where_it_is_not_given() -> None:
    known = pd.DataFrame({"who": [5, 6, 7], "day": [1, 2, 3]})
    rows = following(model_of(ALTERNATES), known, 2)
    assert (rows.groupby("who")["sex"].nunique() == 1).all()
    assert rows["day"].tolist() == [2, 3, 3, 4, 4, 5]


def test_no_persons_have_no_rows() -> None:
    rows = following(model_of(ALTERNATES), KNOWN.iloc[:0], 3)
    assert (len(rows), list(rows.columns)) == (0, ["who", "sex", "day", "x"])


@pytest.mark.parametrize(
    "columns",
    [("prev.a", "a"), ("cost", "prev.cost"), ("prev.left", "day", "left"), ("born", "prev.a", "a")],
    ids=" ".join,
)
def test_constraints_hold_between_the_last_known_row_and_the_next(columns) -> None:
    model = sequences(rule(*columns), cap=6, seed=2)
    known = drawn(model, 200, conditions={"n_records": [1, 2, 3]})
    known = known[known.groupby("who")["day"].transform("max") <= 30]
    known = known[known.groupby("who")["left"].transform("max") <= 30]
    rows = following(model, known, 3)
    assert (rows.groupby("who").size() == 3).all()
    both = pd.concat([known, rows]).sort_values(["who", "day"], ignore_index=True)
    assert keeps_to(both, columns)
    unknown = following(model, known.drop(columns=["a", "cost"]), 2)
    assert keeps_to(unknown, columns)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (KNOWN.drop(columns="who"), "the frame has no 'who', which says whose they are"),
        (KNOWN.drop(columns="day"), "the frame has no 'day', which says in which order they stand"),
        (KNOWN.assign(who=["z", None, "z"]), r"row 1 \(counted from 0\) has no 'who'"),
        (KNOWN.assign(day=[2, None, 1]), "row 1 .counted from 0. has no 'day'|'day' is never missing"),
        (KNOWN.assign(day=1), r"row \d \(counted from 0\) stands at the same 'day' as another"),
        (KNOWN.assign(sex=["F", "M", "M"]), r"row 2 \(counted from 0\) holds another 'sex'"),
        (KNOWN.assign(sex=["F", "M", "X"]), "'X' is not among its values"),
        (KNOWN.assign(day=[2, 1, 9]), "expected 'day' between 1 and 6"),
        (KNOWN.rename(columns={"x": "X"}), "there is no column 'X' in the model, but 'x'"),
        (
            KNOWN.assign(day=[5, 1, 1]),
            r"3 more rows do not fit after those of the person of row 0 .* leaves room for 1",
        ),
    ],
    ids=range(10),
)
def test_what_they_cannot_go_on_from_is_one_message(frame, message) -> None:
    with pytest.raises(RequestError, match=message):
        following(model_of(ALTERNATES), frame, 3)


def test_a_synthesizer_says_that_what_was_given_is_not_covered(tmp_path) -> None:
    synthesizer = MarginalSynthesizer(epsilon=None)
    synthesizer.model_ = model_of(ALTERNATES)
    rows = synthesizer.complete(KNOWN, n_next=1, random_state=0)
    assert "the guarantee does not cover them" in rows.attrs["not_covered"][0]
    KNOWN.to_csv(tmp_path / "known.csv", index=False)
    assert (
        synthesizer.complete_to(tmp_path / "next.csv", tmp_path / "known.csv", n_next=1, random_state=0) == 2
    )
    assert pd.read_csv(tmp_path / "next.csv")["day"].tolist() == [3, 2]
    for bad in (0, 1.5, "2"):
        with pytest.raises(ParameterError, match="n_next"):
            synthesizer.complete(KNOWN, n_next=bad)
    synthesizer.model_ = table_of(["sex", "age"])
    with pytest.raises(RequestError, match="the rows of this model stand alone"):
        synthesizer.complete(pd.DataFrame({"sex": ["F"]}), n_next=1)
