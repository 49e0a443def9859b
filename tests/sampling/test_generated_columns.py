"""Ids, keys and texts: made afresh, of their form, different where they must be, the same by seed."""

from __future__ import annotations

import math
import re
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import MarginalSynthesizer
from privsynth.errors import RequestError, SchemaError
from privsynth.sampling import generated_columns as made
from privsynth.sampling import rows
from privsynth.sampling.generated_columns import GeneratedColumns, alphabets
from privsynth.schema import Schema
from tests.helpers.models import COLUMNS, model_of, rows_of

TEXTS = {
    "sex": COLUMNS["sex"],
    "key": {"type": "id", "role": "key"},
    "doctor": {"type": "text", "generator": "name"},
    "mail": {"type": "id", "generator": "email:de_DE"},
    "left": {"type": "text", "drop": True},
}


def unique(name, pattern=None):
    return {"kind": "unique", "columns": [name]} | ({"pattern": pattern} if pattern else {})


def texts_of(n=200, *, seed=0, constraints=(), columns=TEXTS, **request):
    return rows_of(
        model_of(list(columns), columns=columns, constraints=constraints), n=n, seed=seed, **request
    )


def test_texts_come_from_their_generator_and_are_the_same_by_seed():
    table = texts_of()
    assert list(table.columns) == ["sex", "key", "doctor", "mail"]
    assert table["key"].tolist() == list(range(1, 201))
    assert table["doctor"].str.match(r"\S+ \S+").all()
    assert table["doctor"].nunique() > 150
    assert table["mail"].str.fullmatch(r"[^@\s]+@[^@\s]+\.\w+").all()
    pd.testing.assert_frame_equal(texts_of(), table)
    assert not texts_of(seed=1)["doctor"].equals(table["doctor"])


def test_texts_do_not_change_what_the_model_draws():
    alone = rows_of(model_of(["sex"]), n=200)
    assert texts_of()["sex"].equals(alone["sex"])


def test_long_tables_draw_from_a_pool_of_texts(monkeypatch):
    monkeypatch.setattr(made, "POOL_SIZE", 50)
    monkeypatch.setattr(rows, "BLOCK_ROWS", 100)
    table = texts_of(1000)
    assert 40 < table["doctor"].nunique() <= 50
    assert texts_of(50)["doctor"].nunique() > 45


def test_unique_texts_never_repeat():
    constraints = [unique("doctor"), unique("mail")]
    table = texts_of(3000, constraints=constraints)
    assert table["doctor"].is_unique
    assert table["mail"].is_unique
    letters = {"sex": COLUMNS["sex"], "letter": {"type": "text", "generator": "random_lowercase_letter"}}
    with pytest.raises(RequestError, match="of the unique column 'letter' makes no new values after"):
        texts_of(100, columns=letters, constraints=[unique("letter")])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([r"\d", "[A-C]", "[x-z01]", "K", "-", r"\.", r"[a-c]{2}", r"\d{3}"]),
        min_size=1,
        max_size=5,
    ),
    st.data(),
    st.integers(0, 2**32),
)
def test_keys_of_a_pattern_match_it_and_never_repeat(parts, data, seed):
    pattern = "".join(parts)
    n_keys = math.prod(len(letters) for letters in alphabets(pattern, "key"))
    n = data.draw(st.integers(0, min(n_keys, 300)))
    schema = Schema(TEXTS, constraints=[unique("key", pattern)])
    columns = GeneratedColumns(schema, n, np.random.default_rng(seed))
    keys = pd.concat([columns.next(n // 2)["key"], columns.next(n - n // 2)["key"]])
    assert len(keys) == n
    assert keys.is_unique
    assert all(re.fullmatch(pattern, key) for key in keys)


def test_a_pattern_with_fewer_keys_than_rows_is_refused_before_anything_is_drawn():
    assert texts_of(100, constraints=[unique("key", r"A-\d{2}")])["key"].is_unique
    with pytest.raises(
        RequestError, match=r"101 different values are asked for of 'key', .* has 100; ask for fewer"
    ):
        texts_of(101, constraints=[unique("key", r"A-\d{2}")])


@pytest.mark.parametrize("pattern", ["A+", "(a|b)", "^A", "[^a]", "a.c", "A{2", r"\d*"])
def test_a_pattern_of_another_kind_is_refused(pattern):
    with pytest.raises(SchemaError, match=r"may hold plain characters, .* is none of these"):
        texts_of(1, constraints=[unique("key", pattern)])


@pytest.mark.parametrize(
    "generator", ["nonsense", "_lookup", "seed_instance", "pydict", "name:xx_YY", "add_provider"]
)
def test_what_faker_cannot_make_is_refused_before_a_fit(generator):
    schema = Schema({"ill": {"type": "boolean"}, "x": {"type": "text", "generator": generator}})
    with pytest.raises(SchemaError, match="column 'x': expected a text provider of Faker such as 'name'"):
        MarginalSynthesizer(epsilon=1.0).fit(pd.DataFrame({"ill": [True]}), schema=schema)


def test_without_faker_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(SchemaError, match="needs Faker; install privsynth with the extra 'pii'"):
        texts_of(1)
    with pytest.raises(SchemaError, match="'generator' is a text, got 3"):
        Schema({"x": {"type": "text", "generator": 3}})


def test_a_given_key_is_kept_when_rows_are_completed():
    synthesizer = MarginalSynthesizer(epsilon=None)
    synthesizer.model_ = model_of(list(TEXTS), columns=TEXTS)
    done = synthesizer.complete(pd.DataFrame({"key": [70, 71], "sex": ["F", None]}), random_state=0)
    assert done["key"].tolist() == [70, 71]
    assert done["doctor"].notna().all()
