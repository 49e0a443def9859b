"""What callers give: numbers, whichever library's they are, and arguments under their old names."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.attacks.private_audit import AuditBudget
from privsynth.errors import ParameterError
from privsynth.errors.arguments import real_number, renamed_arguments, whole_number
from privsynth.ledger.ledger import Ledger
from privsynth.records.splitting import split
from privsynth.schema import Schema
from privsynth.synthesizers.plan import plan

SCHEMA = Schema({"ill": {"type": "boolean"}})


@pytest.mark.parametrize("value", [2, 2.0, np.int8(2), np.float32(2), Fraction(2), Decimal(2)])
def test_every_real_number_is_a_plain_float(value):
    assert type(real_number("epsilon", value)) is float
    assert real_number("epsilon", value) == 2.0


@pytest.mark.parametrize("value", ["2", True, np.True_, None, [2.0], np.array([2.0]), 2j])
def test_what_is_no_number_is_named(value):
    with pytest.raises(ParameterError, match="expected epsilon to be a number, got"):
        real_number("epsilon", value)
    with pytest.raises(ParameterError, match="expected cv to be a whole number >= 2, got"):
        whole_number("cv", value, least=2)


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_every_whole_number_is_a_plain_int(value):
    assert type(whole_number("cv", value, least=2)) is int


@pytest.mark.parametrize("value", [1, 2.5, 3.0, np.float64(3)])
def test_a_number_that_is_too_small_or_not_whole_is_named(value):
    with pytest.raises(ParameterError, match="expected cv to be a whole number >= 2, got"):
        whole_number("cv", value, least=2)


CALLS = {
    "plan, epsilon": lambda tmp_path: plan(SCHEMA, 1000, "1", 1e-6),
    "plan, rows": lambda tmp_path: plan(SCHEMA, "1000", 1.0, 1e-6),
    "split": lambda tmp_path: split(pd.DataFrame({"ill": [True]}), SCHEMA, holdout="0.2"),
    "audit budget": lambda tmp_path: AuditBudget(epsilon="1", delta=1e-6, dataset="d"),
    "limit": lambda tmp_path: Ledger(tmp_path / "l.sqlite").set_limit("d", epsilon="1", delta=1e-6),
    "augment_for": lambda tmp_path: privsynth.augment_for(None, None, max_added="1"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_text_reaches_another_library(call, tmp_path):
    with pytest.raises(ParameterError, match=r"number.*got '"):
        call(tmp_path)


def test_a_plan_takes_numbers_of_numpy():
    assert plan(SCHEMA, np.int64(1000), np.float32(1), 1e-6)["rows"] == 1000


def test_an_argument_under_its_old_name_is_taken_with_a_warning():
    @renamed_arguments(twin="non_private")
    def given(*, non_private=None):
        return non_private

    with pytest.warns(DeprecationWarning, match="twin is now non_private"):
        assert given(twin=3) == 3
    assert given(non_private=4) == 4
    with pytest.raises(ParameterError, match="expected non_private only"):
        given(twin=3, non_private=4)


@pytest.mark.parametrize("function", [privsynth.audit, privsynth.metrics.fairness])
def test_audits_take_rows_without_privacy_under_the_old_name(function):
    with (
        pytest.warns(DeprecationWarning, match="twin is now non_private"),
        pytest.raises(privsynth.errors.PrivsynthError),
    ):
        function(real="nowhere.csv", synthetic="nowhere.csv", schema=SCHEMA, twin="nowhere.csv")
