"""What no list names: rows that a balance leaves out, and columns that are hardly more than "other"."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.errors import RequestError
from privsynth.sampling.unnamed import left_out_in_words
from tests.helpers.models import model_of, plan_of, rows_of, with_blocks

# town: Bonn, Ulm, other; smokes: no, yes, missing
MODEL = with_blocks(
    model_of(["sex", "town", "smokes"], k=2),
    sex=np.array([[1.0, 0.0], [0.0, 1.0]]),
    town=np.array([[0.5, 0.1, 0.4], [0.1, 0.1, 0.8]]),
    smokes=np.array([[0.2, 0.6, 0.2], [0.5, 0.5, 0.0]]),
)


@pytest.mark.parametrize(
    ("request_", "left_out"),
    [
        ({"balance": ["sex"]}, {}),
        ({"balance": ["smokes"]}, {"smokes": {"missing": 0.1}}),
        ({"balance": ["smokes"], "balance_missing": True}, {}),
        ({"balance": ["smokes"], "conditions": {"sex": "F"}}, {"smokes": {"missing": 0.2}}),
        ({"balance": ["smokes"], "conditions": {"sex": "M"}}, {}),
        ({"balance": ["smokes"], "conditions": {"smokes": ["no", "yes"]}}, {}),
        (
            {"balance": ["town", "smokes"]},
            {"town": {"other": 0.6}, "smokes": {"missing": 0.1}},
        ),
    ],
)
def test_a_plan_knows_what_its_balance_leaves_out(request_, left_out):
    plan = plan_of(MODEL, n=60, **request_)
    found = {(name, kind): share for name, shares in plan.left_out.items() for kind, share in shares.items()}
    assert found == pytest.approx(
        {(n, k): share for n, shares in left_out.items() for k, share in shares.items()}
    )
    assert bool(left_out) == any("leaves out" in message for message in plan.warnings)


def test_missing_is_balanced_where_it_is_asked_for():
    rows = rows_of(MODEL, n=90, balance=["smokes"], balance_missing=True)
    assert rows["smokes"].value_counts(dropna=False).tolist() == [30, 30, 30]
    rows = rows_of(MODEL, n=60, balance=["smokes", "sex"], balance_missing=True, on_unsupported="drop")
    assert rows.groupby(["smokes", "sex"], dropna=False).size().tolist() == [12] * 5  # no man's is missing


def test_the_words_name_the_column_the_share_and_the_ways_out():
    (said,) = left_out_in_words({"town": {"other": 0.6}, "smokes": {"missing": 0.1}})
    assert "'town' is 'other' (60.0% of the model's own), whose 'smokes' is missing (10.0%" in said
    assert "--balance-missing" in said
    assert "proportions can name 'other'" in said


@pytest.mark.parametrize("asked", [{"balance_missing": True}, {"balance": ["sex"], "balance_missing": "yes"}])
def test_balancing_missing_needs_a_balance_and_a_truth_value(asked):
    with pytest.raises(RequestError, match="balance_missing"):
        rows_of(MODEL, n=5, **asked)


def test_a_column_that_is_hardly_more_than_other_is_named():
    (said,) = MODEL.mostly_other
    assert said.startswith("column 'town': 60% of the rows hold none of the 2 values found")
    assert with_blocks(MODEL, town=np.array([[0.5, 0.3, 0.2], [0.5, 0.4, 0.1]])).mostly_other == ()


@pytest.mark.parametrize("given", [np.array(["sex"]), ("sex",), ["sex"]])
def test_columns_to_balance_may_come_in_any_list(given):
    assert rows_of(MODEL, n=10, balance=given)["sex"].value_counts().tolist() == [5, 5]
