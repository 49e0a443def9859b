"""Shares and counts as pandas gives them: series, grouped sizes, cross tables, frames."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import RequestError
from tests.helpers.models import model_of, rows_of

MODEL = model_of(["sex", "ward", "ill", "smokes", "age"])
N = 400


def census() -> pd.DataFrame:
    """Return public rows: 100 of every combination, but for men in the third ward."""
    rows = [(sex, ward, ill) for sex in "FM" for ward in (1, 2, 3) for ill in (True, False)]
    frame = pd.DataFrame(rows, columns=["sex", "ward", "ill"])
    return frame[(frame["sex"] == "F") | (frame["ward"] < 3)].loc[lambda f: f.index.repeat(10)]


PUBLIC = census()


def shares(columns: list[str], **request: object) -> dict:
    rows = rows_of(MODEL, n=N, on_unsupported="warn", **request)
    return (rows.groupby(columns, dropna=False).size() / N).to_dict()


def assert_shares(found: dict, expected: dict) -> None:
    assert {k: v for k, v in expected.items() if v} == pytest.approx(found, abs=2 / N)


@pytest.mark.parametrize(
    "stated",
    [
        PUBLIC["sex"].value_counts(normalize=True),
        PUBLIC.groupby("sex").size() / len(PUBLIC),
        PUBLIC["sex"].value_counts(normalize=True).reset_index(),
        PUBLIC["sex"].value_counts(normalize=True).to_frame(),
        PUBLIC["sex"].astype("category").value_counts(normalize=True),
        {"sex": PUBLIC["sex"].value_counts(normalize=True)},
        [PUBLIC["sex"].value_counts(normalize=True)],
        {"sex": {np.str_("F"): np.float32(0.6), np.str_("M"): np.float32(0.4)}},
    ],
    ids=range(8),
)
def test_a_margin_is_met_in_every_form(stated):
    assert_shares(shares(["sex"], proportions=stated), {"F": 0.6, "M": 0.4})


@pytest.mark.parametrize(
    "stated",
    [
        PUBLIC.groupby(["sex", "ward"]).size() / len(PUBLIC),
        PUBLIC[["sex", "ward"]].value_counts(normalize=True),
        PUBLIC.groupby(["sex", "ward"]).size().rename("share").div(len(PUBLIC)).reset_index(),
        PUBLIC.groupby(["sex", "ward"]).size().div(len(PUBLIC)).to_frame("share"),
        pd.crosstab(PUBLIC["sex"], PUBLIC["ward"], normalize="all"),
        PUBLIC.astype({"ward": float}).groupby(["sex", "ward"]).size() / len(PUBLIC),
        PUBLIC.astype({"ward": "category"}).groupby(["sex", "ward"], observed=False).size() / len(PUBLIC),
    ],
    ids=range(7),
)
def test_a_joint_distribution_is_met_in_every_form(stated):
    expected = {(sex, ward): 0.2 for sex in "FM" for ward in (1, 2, 3) if (sex, ward) != ("M", 3)}
    assert_shares(shares(["sex", "ward"], proportions=stated), expected)


@pytest.mark.parametrize(
    "stated",
    [
        PUBLIC.groupby(["sex", "ward", "ill"]).size() * 4,
        PUBLIC.groupby(["sex", "ward", "ill"]).size().mul(4).rename("size").reset_index(),
        PUBLIC.groupby(["sex", "ward", "ill"]).size().mul(4).to_frame("count"),
        pd.crosstab(PUBLIC["sex"], [PUBLIC["ward"], PUBLIC["ill"]]) * 4,
    ],
    ids=range(4),
)
def test_counts_are_met_exactly_in_every_form(stated):
    rows = rows_of(MODEL, proportions=stated, on_unsupported="warn")
    counts = rows.groupby(["sex", "ward", "ill"]).size()
    assert (len(rows), set(counts)) == (N, {40})


def test_keys_of_numpy_and_truth_values_of_a_frame_are_the_columns_values():
    found = shares(["ward"], proportions={"ward": {np.int64(1): 0.5, np.float32(2): 0.25, np.int8(3): 0.25}})
    assert_shares(found, {1: 0.5, 2: 0.25, 3: 0.25})
    frame = pd.DataFrame({"ill": [True, False], "smokes": [False, True], "share": [0.5, 0.5]})
    assert_shares(shares(["ill", "smokes"], proportions=frame), {(True, "no"): 0.5, (False, "yes"): 0.5})


def test_a_share_of_the_missing_is_met():
    wards = pd.Series([1, 1, 2, None], name="ward").value_counts(normalize=True, dropna=False)
    found = shares(["ward"], proportions=wards)
    assert found[1.0] == pytest.approx(0.5)
    assert sum(v for k, v in found.items() if pd.isna(k)) == pytest.approx(0.25)


@pytest.mark.parametrize("right", [True, False])
def test_intervals_cut_a_number_line(right):
    ages = pd.Series([5, 15, 15, 25], name="age")
    cut = pd.cut(ages, [0, 10, 20, 30], right=right).value_counts(normalize=True)
    rows = rows_of(MODEL, n=N, proportions=cut)
    found = pd.cut(rows["age"], [0, 10, 20, 30], right=right).value_counts(normalize=True)
    assert_shares(found.to_dict(), cut.to_dict())


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (pd.Series({"F": 0.5, "M": 0.5}), "expected a series whose index has the names of columns"),
        (pd.Series({"F": 0.5, "M": 0.5}).rename_axis("gender"), "there is no modelled column 'gender'"),
        (pd.Series([0.5, 0.5], pd.Index(["F", "X"], name="sex")), "'X' is not among its values"),
        (pd.Series([], pd.Index([], name="sex"), dtype=float), "expected a mapping from value"),
        ({"sex": PUBLIC.groupby(["sex", "ward"]).size()}, "expected a mapping from value"),
        (pd.DataFrame([["F", "M", 1.0]], columns=["sex", "sex", "share"]), "a column stands twice"),
        ({"sex": pd.DataFrame({"sex": ["F"]})}, "expected a mapping from value"),
    ],
    ids=range(7),
)
def test_what_names_no_columns_is_refused(stated, text):
    with pytest.raises(RequestError, match=text):
        rows_of(MODEL, n=10, proportions=stated)
