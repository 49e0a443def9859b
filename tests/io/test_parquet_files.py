"""Parquet, of files and of folders: every value is read by itself, whatever type stores it."""

from __future__ import annotations

import datetime as dt
import tempfile
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privsynth.errors import TableError
from privsynth.io.tables import as_arrow, open_table, read_table
from privsynth.records.conform import conform
from privsynth.schema import Schema

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
STORED: dict[str, tuple[pa.Array, list[Any]]] = {
    "binary": (pa.array([b"A1", b"\xff\x00", None]), ["A1", "\\xff00", None]),
    "large binary": (pa.array([b"A1", b"\xff", None], pa.large_binary()), ["A1", "\\xff", None]),
    "binary of one length": (pa.array([b"A1", b"B2", None], pa.binary(2)), ["A1", "B2", None]),
    "binary in a dictionary": (pa.array([b"A1", b"B2", None]).dictionary_encode(), ["A1", "B2", None]),
    "uuid": (pa.array([UUID.bytes, None, None], pa.uuid()), [str(UUID), None, None]),
    "time of day": (
        pa.array([dt.time(8, 30), None, dt.time(1, 2, 3, 4)]),
        ["08:30:00", None, "01:02:03.000004"],
    ),
    "seconds of the day": (pa.array([1, None, 60], pa.time32("s")), ["00:00:01", None, "00:01:00"]),
    "texts": (pa.array(["x", "x\0", None]), ["x", "x\0", None]),
    "view of texts": (pa.array(["x", "x\0", None], pa.string_view()), ["x", "x\0", None]),
    "texts in a dictionary": (pa.array(["x", "x\0", None]).dictionary_encode(), ["x", "x\0", None]),
    "integers in a dictionary": (pa.array([1, None, 2]).dictionary_encode(), [1, None, 2]),
    "long integers": (pa.array([2**53 + 1, None, 1]), [2**53 + 1, None, 1]),
    "decimals": (pa.array([Decimal("1.50"), None, Decimal(2)]), [Decimal("1.50"), None, Decimal("2.00")]),
    "dates": (
        pa.array([dt.date(2020, 1, 5), None, dt.date(1, 1, 1)]),
        [dt.date(2020, 1, 5), None, dt.date(1, 1, 1)],
    ),
    "nothing": (pa.nulls(3), [None, None, None]),
}


def listed(column: pd.Series) -> list[Any]:
    return [None if value is None or value is pd.NA or value != value else value for value in column.tolist()]


@pytest.mark.parametrize(("stored", "values"), STORED.values(), ids=STORED)
def test_stored_types_are_read_as_what_they_mean(stored: pa.Array, values: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": stored}), path)
    assert listed(read_table(path)["x"]) == values
    assert listed(open_table(path).column("x")) == values


def test_persons_named_by_bytes_are_told_apart(tmp_path: Path) -> None:
    ids = [uuid.UUID(int=i % 2 << 120).bytes for i in range(4)]
    pq.write_table(pa.table({"id": pa.array(ids, pa.binary(16)), "x": range(4)}), tmp_path / "t.parquet")
    schema = Schema(
        {"id": {"type": "id", "role": "person_id"}, "x": {"type": "integer", "low": 0, "high": 9}},
        max_records_per_person=2,
    )
    persons = conform(open_table(tmp_path / "t.parquet"), schema).persons
    assert persons is not None
    assert persons.tolist() == [0, 1, 0, 1]


# -- folders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.parquet", "t"])
def test_the_files_of_a_folder_are_one_table(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for part in range(2):
        pq.write_table(pa.table({"g": ["a", "b"], "x": [part, part]}), folder / f"p{part}.parquet")
    assert read_table(folder).to_numpy().tolist() == [["a", 0], ["b", 0], ["a", 1], ["b", 1]]
    fields = open_table(folder)
    assert (fields.names, fields.n_rows) == (["g", "x"], 4)
    assert fields.column("x").tolist() == [0, 0, 1, 1]


def test_folders_that_are_named_by_values_make_a_column_of_texts(tmp_path: Path) -> None:
    pq.write_to_dataset(
        pa.table({"g": ["01", "1", "1"], "x": [1, 2, 3]}), tmp_path / "t", partition_cols=["g"]
    )
    assert sorted(read_table(tmp_path / "t").to_numpy().tolist()) == [[1, "01"], [2, "1"], [3, "1"]]
    assert sorted(open_table(tmp_path / "t").column("g").tolist()) == ["01", "1", "1"]


def test_files_of_one_folder_may_store_a_column_in_types_that_go_together(tmp_path: Path) -> None:
    for name, x in {"a": pa.array([1, 2]), "b": pa.array([1.5, None]), "c": pa.nulls(1)}.items():
        pq.write_table(pa.table({"x": x}), tmp_path / f"{name}.parquet")
    assert listed(read_table(tmp_path)["x"]) == [1.0, 2.0, 1.5, None, None]
    pq.write_table(pa.table({"x": ["SECRET"]}), tmp_path / "d.parquet")
    with pytest.raises(TableError, match=r"store column 'x' in types .* \(double, int64, null, string\)"):
        open_table(tmp_path)


# -- every value by itself -------------------------------------------------------------------------------

TEXT = st.sampled_from(["flu", "flu\0", "\0", "e\u0301", "é", " flu", '"', "a\nb", "", "1.0"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=4
)
NUMBERS = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)] + [
    np.dtype("f4"),
    np.dtype("f8"),
]


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, list[Any]]:
    if draw(st.booleans()):
        kind = draw(st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]))
        return kind, draw(st.lists(st.none() | TEXT, min_size=1, max_size=8))
    dtype = draw(st.sampled_from(NUMBERS))
    if dtype.kind == "f":
        number: st.SearchStrategy[Any] = st.floats(allow_nan=False, width=32 if dtype.itemsize == 4 else 64)
    else:
        bounds = np.iinfo(dtype)
        number = st.integers(int(bounds.min), int(bounds.max))
    return pa.from_numpy_dtype(dtype), draw(st.lists(st.none() | number, min_size=1, max_size=8))


@given(column=columns())
@example(column=(pa.string(), ["flu", "flu\0"]))
@example(column=(pa.int64(), [2**53 + 1, 2**53, None]))
@settings(max_examples=200, deadline=None)
def test_a_value_is_the_one_that_was_stored_whatever_stands_beside_it(
    column: tuple[pa.DataType, list[Any]],
) -> None:
    kind, values = column
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        pq.write_table(pa.table({"x": pa.array(values, kind)}), path)
        assert listed(read_table(path)["x"]) == values
        assert listed(open_table(path).column("x")) == values


def test_long_decimals_beside_floats_are_refused_or_two_ids_would_become_one(tmp_path: Path) -> None:
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for precision, floats in ((20, pa.float64()), (9, pa.float32())):
        ids = pa.array([Decimal(10**8 + 1), Decimal(10**8)], pa.decimal128(precision, 0))
        pq.write_table(pa.table({"who": ids}), paths[0])
        pq.write_table(pa.table({"who": pa.array([0.5, None], floats)}), paths[1])
        with pytest.raises(TableError, match=r"'who' in types that do not go together \(decimal128.*; write"):
            open_table(paths)
    pq.write_table(pa.table({"who": pa.array([0.5, None])}), paths[1])
    assert listed(open_table(paths).column("who")) == [1e8 + 1, 1e8, 0.5, None]


def test_texts_that_are_no_unicode_cannot_be_written_and_that_is_said() -> None:
    with pytest.raises(TableError, match="column 'x' holds texts that are no Unicode") as caught:
        as_arrow(pd.DataFrame({"x": ["SECRET\ud800"]}))
    assert "SECRET" not in str(caught.value)
