"""Codings are data: the code of a value hangs on that value alone, and nothing else may touch records."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.domains.coding import NumberCoding, TextCoding, narrow
from privsynth.schema import category_text

TEXTS = st.one_of(st.sampled_from(["flu", "flu\0", "", "é", "e\u0301", "1", " 1 "]), st.text(max_size=4))
NUMBERS = st.one_of(st.sampled_from([0.0, -0.0, math.nan, math.inf, 0.5, 1e300]), st.floats(-20, 20))


@st.composite
def text_codings(draw):
    listed = draw(st.lists(TEXTS, max_size=5, unique_by=category_text))
    n = len(listed)
    code_of = {category_text(text): code for code, text in enumerate(listed)}
    return TextCoding(
        code_of, other=draw(st.sampled_from([-1, n])), missing=draw(st.sampled_from([-1, n + 1])), size=n + 2
    )


@st.composite
def number_codings(draw):
    low, n = draw(st.integers(-9, 0)), draw(st.integers(1, 9))
    edges = np.array([low, *sorted(draw(st.sets(st.integers(low + 1, 9), max_size=n)))], dtype=np.float64)
    code_of_cell = np.array([draw(st.integers(-1, 3)) for _ in edges])
    step = draw(st.sampled_from([None, 1.0, 0.1]))
    return NumberCoding(
        step, float(low), 9.0, edges, code_of_cell, missing=draw(st.sampled_from([-1, 4])), size=5
    )


def canonical(values):
    """Return texts as a categorical; pandas itself would take texts for one that are equal up to a NUL."""
    categories = list(dict.fromkeys(value for value in values if value is not None))
    codes = [-1 if value is None else categories.index(value) for value in values]
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(categories, dtype=object)))


@given(text_codings(), st.lists(st.one_of(st.none(), TEXTS), max_size=20))
def test_texts_are_coded_one_by_one(coding, values):
    codes = coding.encode(canonical(values))
    for value, code in zip(values, codes, strict=True):
        assert code == (
            coding.missing if value is None else coding.code_of.get(category_text(value), coding.other)
        )


@given(number_codings(), st.lists(NUMBERS, max_size=20))
def test_numbers_are_coded_one_by_one(coding, values):
    codes = coding.encode(pd.Series(values, dtype=float))
    assert codes.shape == (len(values),)
    for value, code in zip(values, codes, strict=True):
        tick = value if coding.step is None else np.rint(value / coding.step)
        if math.isnan(tick) or (coding.step is not None and math.isinf(tick)):
            assert code == coding.missing
            continue
        within = min(max(tick, coding.low), coding.high)
        assert code == coding.code_of_cell[max(i for i, edge in enumerate(coding.edges) if edge <= within)]


@given(st.one_of(text_codings(), number_codings()), st.data())
def test_a_row_more_leaves_the_codes_of_the_others_alone(coding, data):
    values = data.draw(st.lists(TEXTS if isinstance(coding, TextCoding) else NUMBERS, min_size=1, max_size=9))
    column = canonical if isinstance(coding, TextCoding) else pd.Series
    assert coding.encode(column(values[1:])).tolist() == coding.encode(column(values))[1:].tolist()


@pytest.mark.parametrize("step", [1.0, 0.5, None])
def test_a_line_without_cells_has_the_code_of_missing_alone(step):
    empty = np.empty(0)
    coding = NumberCoding(
        step=step, low=0.0, high=0.0, edges=empty, code_of_cell=empty.astype(np.int64), missing=0, size=1
    )
    assert coding.encode(pd.Series([np.nan, 0.0, 7.0])).tolist() == [0, 0, 0]


def test_a_mapping_that_runs_code_is_replaced_by_its_contents():
    class Counting(dict):
        asked = 0

        def get(self, key, default=None):
            Counting.asked += 1
            return Counting.asked

    coding = TextCoding(Counting(a=0), other=-1, missing=-1, size=1)
    assert coding.encode(pd.Series(["a", "a"], dtype="category")).tolist() == [0, 0]
    assert Counting.asked == 0


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, np.int8), (128, np.int8), (129, np.int16), (2**15, np.int16)]
)
def test_narrow_codes_hold_every_code_and_minus_one(size, dtype):
    codes = narrow(np.array([-1, 0, size - 1]), size)
    assert codes.dtype == dtype
    assert codes.tolist() == [-1, 0, size - 1]
