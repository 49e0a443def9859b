"""The lint finds what is planted, and nothing in noise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.helpers.leaks import CODE_TYPES, COUNT_TYPES, CodedRows, counts_in

N = 70_001
CODES = np.random.default_rng(1).integers(-1, 16, (2000, 12))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(2).normal(0, 1e4, 3000).tobytes()


@pytest.fixture(scope="module")
def lint():
    return CodedRows(CODES)


def test_noise_and_other_numbers_are_no_leak(noise, lint):
    assert counts_in(noise + b"70001.25 170001 700010 0.70001 70,0010", [N]) == set()
    others = np.random.default_rng(3).integers(-1, 16, (2000, 12))
    assert lint.found_in(noise + others.tobytes() + others.astype("f4").tobytes() + bytes(9999)) == set()


@pytest.mark.parametrize(
    "text", ["n=70001.", "(70,001 rows)", "70_001", "70 001", json.dumps({"n_units": float(N)}), "70001, 1"]
)
def test_a_count_is_found_however_it_is_written(noise, text):
    assert counts_in(noise + text.encode() + noise, [N]) == {"70001 as a text"}


@pytest.mark.parametrize("name", COUNT_TYPES)
def test_a_count_is_found_in_every_type(noise, name):
    assert f"70001 as {name}" in counts_in(b"x" + noise + np.array(N, dtype=name).tobytes(), [N])


@pytest.mark.parametrize("name", CODE_TYPES)
@pytest.mark.parametrize("begin", [0, 3])
def test_a_row_and_a_run_of_a_column_are_found_in_every_type(noise, lint, name, begin):
    row = CODES[7].astype(name).tobytes()
    assert lint.found_in(noise[: 800 + begin] + row + noise) == {f"a row as {name}"}
    some = CODES[500:550].astype(name)
    assert lint.found_in(noise[: 800 + begin] + some.T.tobytes()) >= {f"a run of a column as {name}"}


@pytest.mark.parametrize("write", [json.dumps, repr, lambda rows: "".join(map(str, map(tuple, rows)))])
def test_rows_are_found_as_texts(lint, write):
    assert lint.found_in(write(CODES[:50].tolist()).encode()) == {"a row as a text"}
