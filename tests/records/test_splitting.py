"""The holdout: whole persons, each by its own coin, and files that say so."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.io.tables import read_table
from privsynth.records.split_parts import SplitPart, read_split_part
from privsynth.records.splitting import split, write_split
from privsynth.schema import Schema

FALSE_ALARM = 1e-6  # per assertion
RECORDS = Schema({"x": {"type": "integer"}})  # incomplete: a split needs no bounds
PERSONS = Schema(
    {"who": {"type": "id", "role": "person_id"}, "x": {"type": "integer"}}, max_records_per_person=2
)


def numbered(n: int) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(n)})


@pytest.mark.parametrize("random_state", [None, 7], ids=["system entropy", "seeded"])
@pytest.mark.parametrize("holdout", [0.2, 0.5])
def test_each_record_is_held_out_with_the_stated_probability(
    holdout: float, random_state: int | None
) -> None:
    n = 40_000
    train, held = split(numbered(n), RECORDS, holdout=holdout, random_state=random_state)
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n, holdout)
    assert low <= len(held) <= high
    assert binom.cdf(high, n, 1.1 * holdout) < 0.01  # a coin off by a tenth would be caught
    assert sorted([*train["x"], *held["x"]]) == list(range(n))
    is_held = np.isin(np.arange(n), held["x"])
    both = int((is_held[1:] & is_held[:-1])[::2].sum())  # disjoint pairs of neighbours: independent coins
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], n // 2, holdout**2)
    assert low <= both <= high


def test_the_size_of_the_holdout_is_left_to_chance() -> None:
    sizes = {len(split(numbered(1000), RECORDS)[1]) for _ in range(20)}
    assert len(sizes) > 1  # all equal by chance: below 0.04^19


def test_persons_stay_whole_and_rows_as_they_were() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "note": np.array(["a", None, "", 5] * 500, dtype=object),
            "who": rng.integers(0, 300, 2000).astype(str),
            "x": pd.array([1, None] * 1000, dtype="Int64"),
            "day": np.arange(2000).astype("datetime64[s]"),
        },
        index=np.arange(2000)[::-1],
    )
    table.loc[table.index[:3], "who"] = ["7 ", " 7", ""]
    train, held = split(table, PERSONS, holdout=0.4, random_state=1)
    assert set(train["who"].str.strip()) & set(held["who"].str.strip()) <= {""}
    assert len(train) + len(held) == 2000
    assert len(held) > 0 < len(train)
    for part in (train, held):
        assert part.dtypes.to_dict() == table.dtypes.to_dict()
        assert part.index.equals(pd.RangeIndex(len(part)))
        assert part["day"].is_monotonic_increasing  # rows keep their order
    rejoined = pd.concat([train, held]).sort_values("day").reset_index(drop=True)
    pd.testing.assert_frame_equal(rejoined, table.reset_index(drop=True))


def test_rows_without_an_id_are_persons_of_their_own() -> None:
    table = pd.DataFrame({"who": [""] * 1000, "x": 1})
    train, held = split(table, PERSONS, holdout=0.5)
    assert len(train) > 0 < len(held)  # all on one side by chance: 2^-999


def test_a_seed_repeats_a_split_and_system_entropy_does_not() -> None:
    table = numbered(200)
    pd.testing.assert_frame_equal(
        split(table, RECORDS, random_state=3)[1], split(table, RECORDS, random_state=3)[1]
    )
    assert not split(table, RECORDS, random_state=3)[1].equals(split(table, RECORDS, random_state=4)[1])
    assert not split(table, RECORDS)[1].equals(split(table, RECORDS)[1])


def test_the_global_seed_decides_nothing() -> None:
    state = np.random.get_state()  # noqa: NPY002  # the point: global seeds have no say
    try:
        np.random.seed(0)  # noqa: NPY002  # the point: global seeds have no say
        first = split(numbered(200), RECORDS)[1]
        np.random.seed(0)  # noqa: NPY002  # the point: global seeds have no say
        assert not first.equals(split(numbered(200), RECORDS)[1])
    finally:
        np.random.set_state(state)  # noqa: NPY002  # the point: global seeds have no say


def test_coins_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: b"\xff" * n)
    assert len(split(numbered(50), RECORDS, holdout=0.99)[1]) == 0


def test_an_empty_table_splits_into_empty_tables() -> None:
    train, held = split(numbered(0), RECORDS)
    assert train.shape == held.shape == (0, 1)


@pytest.mark.parametrize("holdout", [0, 1, -0.1, 1.5, float("nan")])
def test_a_probability_out_of_range_is_named(holdout: float) -> None:
    with pytest.raises(
        ParameterError, match=r"expected 0 < holdout < 1, got holdout=.*; it is a probability per"
    ):
        split(numbered(3), RECORDS, holdout=holdout)


def test_unusable_tables_are_named() -> None:
    with pytest.raises(
        SchemaError, match="the table has no column 'who', which the schema names as person_id"
    ):
        split(numbered(3), PERSONS)
    with pytest.raises(TableError, match="column 'x' stands twice in the table"):
        split(pd.DataFrame([[1, 2]], columns=["x", "x"]), RECORDS)


# -- files -----------------------------------------------------------------------------------------------


def test_the_files_hold_the_parts_and_say_how_they_came_about(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"who": ["a", "b", "c", "a"] * 25, "x": np.arange(100), "extra": ["", "NA", "é", "x"] * 25}
    )
    paths = write_split(table, PERSONS, tmp_path / "new" / "parts", holdout=0.5, random_state=5)
    assert [path.name for path in paths] == ["train.parquet", "holdout.parquet"]
    for path, expected in zip(paths, split(table, PERSONS, holdout=0.5, random_state=5), strict=True):
        pd.testing.assert_frame_equal(read_table(path), expected)
        assert path.stat().st_mode & 0o777 == 0o600
    train, held = (read_split_part(path) for path in paths)
    assert train is not None
    assert train == SplitPart(part="train", holdout=0.5, unit="person", split_id=train.split_id, seeded=True)
    assert held == dataclasses.replace(train, part="holdout")
    metadata = pq.read_schema(paths[0]).metadata
    assert metadata[b"privsynth.split"] == b"randomised"
    assert sorted(os.listdir(tmp_path / "new" / "parts")) == ["holdout.parquet", "train.parquet"]


def test_two_splits_can_be_told_apart(tmp_path: Path) -> None:
    parts = [read_split_part(write_split(numbered(50), RECORDS, tmp_path / name)[0]) for name in "ab"]
    assert parts[0] is not None
    assert parts[1] is not None
    assert parts[0].split_id != parts[1].split_id
    assert (parts[0].unit, parts[0].holdout, parts[0].seeded) == ("record", 0.2, False)


def test_files_made_otherwise_say_nothing(tmp_path: Path) -> None:
    path, _ = write_split(numbered(50), RECORDS, tmp_path)
    rewritten = tmp_path / "rewritten.parquet"
    read_table(path).to_parquet(rewritten)  # whoever touched the rows is not vouched for
    assert read_split_part(rewritten) is None
    forged = pq.read_table(rewritten).replace_schema_metadata({"privsynth.split": "randomised"})
    pq.write_table(forged, tmp_path / "forged.parquet")
    assert read_split_part(tmp_path / "forged.parquet") is None
    (tmp_path / "damaged.parquet").write_bytes(b"nothing")
    assert read_split_part(tmp_path / "damaged.parquet") is None
    assert read_split_part(tmp_path / "nowhere.parquet") is None
    assert read_split_part(tmp_path / "t.csv") is None


def test_existing_parts_are_kept_without_force(tmp_path: Path) -> None:
    write_split(numbered(50), RECORDS, tmp_path)
    (tmp_path / "train.parquet").unlink()
    before = (tmp_path / "holdout.parquet").read_bytes()
    with pytest.raises(TableError, match=r"holdout\.parquet' exists; replace it with --force"):
        write_split(numbered(50), RECORDS, tmp_path)
    assert (tmp_path / "holdout.parquet").read_bytes() == before
    assert os.listdir(tmp_path) == ["holdout.parquet"]  # and no training part without its holdout
    write_split(numbered(50), RECORDS, tmp_path, force=True)
    assert len(os.listdir(tmp_path)) == 2


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match=r"the folder '.*file' cannot be made: File exists"):
        write_split(numbered(3), RECORDS, tmp_path / "file")


# -- persons that the schema does not name -----------------------------------------------------------------

REPEATING: dict[str, tuple[str, list[object]]] = {
    "by name": ("patient_id", [f"P{i // 3}" for i in range(60)]),
    "by a person's name and few values": ("PatientID", [i % 3 for i in range(60)]),
    "by type": ("x", [f"P{i // 3}" for i in range(60)]),
}
SILENT: dict[str, tuple[str, list[object]]] = {
    "every value once": ("patient_id", list(range(60))),
    "one value": ("patient_id", ["P1"] * 60),
    "a few kinds": ("admission_type_id", [i % 4 for i in range(60)]),
    "no identifier": ("age", [i % 40 for i in range(60)]),
}


@pytest.mark.parametrize(("name", "values"), REPEATING.values(), ids=REPEATING.keys())
def test_a_split_by_rows_asks_for_the_role_of_what_looks_like_a_person(
    name: str, values: list[object]
) -> None:
    schema = Schema({name: {"type": "id" if name == "x" else "categorical"}, "other": {"type": "integer"}})
    with pytest.warns(UserWarning, match=f"split by rows.*'{name}' looks like an identifier.*person_id"):
        split(pd.DataFrame({name: values, "other": 1}), schema)


@pytest.mark.parametrize(("name", "values"), SILENT.values(), ids=SILENT.keys())
def test_a_split_without_doubts_says_nothing(name: str, values: list[object]) -> None:
    split(pd.DataFrame({name: values}), Schema({name: {"type": "categorical"}}))  # a warning would raise


def test_a_column_with_a_role_is_not_asked_about() -> None:
    key = Schema({"row_id": {"type": "id", "role": "key"}, "x": {"type": "integer"}})
    split(pd.DataFrame({"row_id": [1, 1, 2] * 20, "x": 1}), key)
    split(pd.DataFrame({"who": ["a", "a", "b"] * 20, "visit_id": [i // 2 for i in range(60)]}), PERSONS)
