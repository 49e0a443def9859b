"""Batches and files: the same rows as at once, block by block, whole or not at all."""

from __future__ import annotations

import gzip

import pandas as pd
import pyarrow.parquet
import pytest

from privsynth import MarginalSynthesizer
from privsynth.errors import ParameterError, RequestError, TableError
from privsynth.sampling import rows as rows_module
from tests.helpers.models import COLUMNS, model_of

NAMES = [name for name in COLUMNS if name != "note"]
REQUEST = {"balance": ["sex"], "conditions": {"age": (20, 60)}, "random_state": 3}


@pytest.fixture
def synthesizer(monkeypatch):
    """Return a synthesizer over every type of column that draws in blocks of 64 rows."""
    monkeypatch.setattr(rows_module, "BLOCK_ROWS", 64)
    synthesizer = MarginalSynthesizer(epsilon=None)
    synthesizer.model_ = model_of(NAMES, n_units=1e9)
    return synthesizer


@pytest.mark.parametrize("batch_size", [1, 50, 64, 100, 1000])
def test_batches_are_the_rows_of_one_sample(synthesizer, batch_size):
    whole = synthesizer.sample(300, **REQUEST)
    batches = list(synthesizer.sample_batches(300, batch_size=batch_size, **REQUEST))
    sizes = [len(batch) for batch in batches]
    assert sizes == [batch_size] * (300 // batch_size) + [300 % batch_size] * (300 % batch_size > 0)
    assert all(batch.index.equals(pd.RangeIndex(len(batch))) for batch in batches)
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), whole)


def test_no_rows_are_one_empty_batch(synthesizer):
    assert [len(batch) for batch in synthesizer.sample_batches(0)] == [0]


def test_a_request_is_checked_before_the_first_batch_is_asked_for(synthesizer):
    with pytest.raises(RequestError, match="no modelled column 'race'"):
        synthesizer.sample_batches(5, conditions={"race": 1})
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ParameterError, match="expected batch_size >= 1"):
            synthesizer.sample_batches(5, batch_size=bad)


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
def test_a_file_holds_the_rows_of_one_sample(synthesizer, tmp_path, name):
    whole = synthesizer.sample(300, **REQUEST)
    said = []
    n = synthesizer.sample_to(tmp_path / name, 300, **REQUEST, progress=lambda *step: said.append(step))
    assert n == 300
    assert said == [("rows written", done, 300) for done in (64, 128, 192, 256, 300)]
    if name.endswith("parquet"):
        found = pyarrow.parquet.read_table(tmp_path / name).to_pandas()
        found["day"] = found["day"].astype(whole["day"].dtype)  # Parquet counts no seconds, but milliseconds
        pd.testing.assert_frame_equal(found.convert_dtypes(), whole.convert_dtypes())
        assert pyarrow.parquet.ParquetFile(tmp_path / name).num_row_groups == 5
    else:
        opener = gzip.open if name.endswith("gz") else open
        with opener(tmp_path / name, "rt", newline="") as lines:
            assert lines.read() == whole.to_csv(index=False, lineterminator="\n")


def test_a_column_that_begins_with_missing_fields_keeps_its_type(synthesizer, tmp_path):
    # in the first block every field of ward and smokes may be missing: the file must not take that for a type
    synthesizer.model_ = model_of(["ward", "smokes", "debt"], n_units=1e9)
    shares = {"ward": {None: 0.995, 1: 0.005}, "smokes": {None: 0.995, "yes": 0.005}}
    synthesizer.sample_to(tmp_path / "rows.parquet", 600, proportions=shares, random_state=1)
    found = pd.read_parquet(tmp_path / "rows.parquet")
    assert found["ward"].eq(1).sum() == 3
    assert found["smokes"].eq("yes").sum() == 3


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.parquet"])
def test_what_is_interrupted_leaves_nothing_behind(synthesizer, tmp_path, name, failure):
    (tmp_path / name).write_bytes(b"mine")

    def stop(message, done, total):
        if done > 100:
            raise failure

    with pytest.raises(failure):
        synthesizer.sample_to(tmp_path / name, 300, force=True, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"mine"


def test_an_existing_file_is_replaced_only_by_force(synthesizer, tmp_path):
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(TableError, match="exists"):
        synthesizer.sample_to(tmp_path / "rows.csv", 5)
    synthesizer.sample_to(tmp_path / "rows.csv", 5, force=True)
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 5
    with pytest.raises(TableError, match=r"ending in \.csv"):
        synthesizer.sample_to(tmp_path / "rows.xlsx", 5)


def test_files_stand_for_frames(synthesizer, tmp_path):
    reference = pd.DataFrame({"sex": ["F", "F", "M"], "ward": pd.array([1, None, 2], dtype="Int64")})
    reference.to_csv(tmp_path / "public.csv", index=False)
    by_file, by_frame = (
        synthesizer.sample(30, like=like, random_state=0) for like in (tmp_path / "public.csv", reference)
    )
    pd.testing.assert_frame_equal(by_file, by_frame)
    assert "was taken as public" in by_file.attrs["not_covered"][0]
    assert synthesizer.sample(3).attrs == {}
    joint = pd.DataFrame({"sex": ["F", "M"], "share": [0.2, 0.8]})
    joint.to_parquet(tmp_path / "joint.parquet")
    table = synthesizer.support(10, proportions=str(tmp_path / "joint.parquet"))
    assert table["requested"].tolist() == [2, 8]
