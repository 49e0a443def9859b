"""Partial rows: what is given stays, the rest follows the model's conditional."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth import MarginalSynthesizer
from privsynth.errors import RequestError, UnsupportedRequestError
from privsynth.sampling import completion
from privsynth.sampling.completion import complete_rows
from tests.helpers.chi_square import fits, tilted
from tests.helpers.models import COLUMNS, model_of, rows_of, with_blocks

NAMES = [name for name in COLUMNS if name != "note"]


def complete(model, frame, seed=0):
    return complete_rows(model, frame, np.random.default_rng(seed))


def test_whole_rows_stay_as_they_are():
    model = model_of(NAMES)
    rows = rows_of(model, n=200)
    for name in rows:
        if rows[name].isna().any():  # an empty field would be filled in
            rows = rows[rows[name].notna()]
    done = complete(model, rows)
    assert done.index.equals(rows.index)
    pd.testing.assert_frame_equal(done.convert_dtypes(), rows.convert_dtypes())


def test_what_is_given_stays_and_the_rest_is_filled_in(monkeypatch):
    monkeypatch.setattr(completion, "BLOCK_ROWS", 16)
    model = model_of(NAMES)
    rng = np.random.default_rng(1)
    rows = rows_of(model, n=100)
    partial = rows.astype(object).mask(rng.random(rows.shape) < 0.5).drop(columns=["town", "person"])
    partial.index = [f"row {i}" for i in range(100)]
    done = complete(model, partial)
    assert list(done.columns) == NAMES
    assert done.index.equals(partial.index)
    assert done["person"].tolist() == list(range(1, 101))
    for name in partial:
        given = partial[name].notna()
        assert (done.loc[given, name] == partial.loc[given, name]).all()
        if not COLUMNS[name].get("missing"):
            assert done[name].notna().all()


def test_the_rest_follows_the_conditional_given_the_row():
    # 60,000 rows of two kinds; the conditional of ward x ill given sex and decade of age, by definition
    model = model_of(["sex", "ward", "ill", "age"], seed=2, concentration=0.3)
    kinds = [("F", 12), ("M", 71)]
    frame = pd.DataFrame(kinds * 30_000, columns=["sex", "age"])
    done = complete(model, frame, seed=3)
    sex, ward, ill, age = (block.astype(float) for block in model.mixture.blocks)
    for code, (label, years) in enumerate(kinds):
        bin_of_age = model.domains["age"].encode(pd.Series([years]))[0]
        expected = np.einsum("k,ka,kb->ab", sex[:, code] * age[:, bin_of_age], ward, ill)
        chosen = done[done["sex"] == label]
        assert chosen["age"].eq(years).all()
        at = chosen["ward"].map({1: 0, 2: 1, 3: 2}).fillna(3).to_numpy(dtype=int)
        seen = np.zeros((4, 2))
        np.add.at(seen, (at, chosen["ill"].to_numpy(dtype=int)), 1)
        assert fits(seen, expected)
        assert not fits(seen, tilted(expected))
        unconditioned = np.einsum("ka,kb->ab", ward, ill)
        assert not fits(seen, unconditioned)


def test_many_small_probabilities_do_not_come_to_zero():
    # 60 columns of probability 1e-8: their product is below the smallest double
    columns = {f"c{i}": COLUMNS["sex"] for i in range(60)} | {"ill": COLUMNS["ill"]}
    model = model_of(list(columns), columns=columns, k=2)
    rare = {name: np.array([[1e-8, 1], [1e-8, 1]]) for name in columns if name != "ill"}
    model = with_blocks(model, **rare, ill=np.eye(2))
    frame = pd.DataFrame([["F"] * 60] * 2000, columns=list(rare))
    ill = complete(model, frame)["ill"].sum()
    assert abs(ill - 1000) < 4.9 * np.sqrt(500)


@pytest.mark.parametrize(
    ("frame", "error", "text"),
    [
        (
            {"Sex ": ["F"]},
            RequestError,
            "complete: there is no column 'Sex ' in the model, but 'sex'; rename",
        ),
        ({"ILL": ["true"]}, RequestError, "no column 'ILL' in the model, but 'ill'"),
        ({"sex": ["X"]}, RequestError, r"complete: 'sex': 'X' is not among its values \(F, M\)"),
        (
            {"sex": [None, "F"], "ill": [True, True]},
            UnsupportedRequestError,
            r"the model gives what row 1 \(counted from 0\) holds no probability",
        ),
    ],
)
def test_rows_that_the_model_cannot_hold_are_refused(frame, error, text):
    model = with_blocks(model_of(["sex", "ill"], k=2), sex=np.eye(2), ill=np.eye(2))  # no woman is ill
    with pytest.raises(error, match=text):
        complete(model, pd.DataFrame(frame))


def test_a_key_of_the_rows_own_is_carried_along():
    model = model_of(["sex", "age", "person"])
    keys = pd.DataFrame(
        {"row": ["r2", "007"], "sex": ["F", None], "weight": [0.5, np.nan], "age": [None, 40]}
    )
    keys.index = pd.Index(["a", "b"], name="of")
    done = complete(model, keys)
    assert done.columns.tolist() == ["row", "weight", "sex", "age", "person"]
    pd.testing.assert_frame_equal(done[["row", "weight"]], keys[["row", "weight"]])
    assert done.index.equals(keys.index)
    assert (done["sex"]["a"], done["age"]["b"]) == ("F", 40)
    own = complete(model, pd.DataFrame({"sex": ["F", "M"], "person": ["x", "y"], "Sex": ["f", "m"]}))
    assert own["person"].tolist() == [
        "x",
        "y",
    ]  # a key of the schema's is kept; 'sex' is there, so 'Sex' may be


def test_a_name_that_stands_twice_is_refused():
    frame = pd.DataFrame([["F", "F"]], columns=["sex", "sex"])
    with pytest.raises(RequestError, match="'sex' stands twice"):
        complete(model_of(["sex"]), frame)


def test_completed_rows_say_what_is_not_covered(tmp_path):
    synthesizer = MarginalSynthesizer(epsilon=None)
    synthesizer.model_ = model_of(["sex", "age"])
    (tmp_path / "partial.csv").write_text("age,sex\n30,\n,F\n")
    rows = synthesizer.complete(tmp_path / "partial.csv", random_state=0)
    assert (rows["age"][0], rows["sex"][1]) == (30, "F")
    assert rows.attrs["not_covered"][0].startswith("the frame that was completed")
    assert synthesizer.complete(pd.DataFrame({"sex": []})).columns.tolist() == ["sex", "age"]
