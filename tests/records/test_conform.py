"""Tables: whatever stores them, the same records come out, and no message tells a value."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.io import csv_files
from privsynth.io.atomic import written_aside
from privsynth.io.source import Table
from privsynth.io.tables import open_table, read_table, write_table
from privsynth.records.conform import Records, conform
from privsynth.records.number_lines import NUMBER_HINT
from privsynth.schema import PRIVATE, Schema

DATA = Path(os.environ.get("PRIVSYNTH_DATA", Path(__file__).parents[2] / "shared" / "data"))
BENCH = DATA.parent / "bench" / "meta.json"
NAN = float("nan")


def one(raw: Any, *, clip: bool = False, **fields: Any) -> pd.Series:
    """Conform a single column ``x`` and return it."""
    table = pd.DataFrame({"x": raw if isinstance(raw, pd.Series) else pd.Series(raw, dtype=object)})
    return conform(table, Schema({"x": fields}), on_violation="clip" if clip else "error").frame["x"]


def listed(column: pd.Series) -> list[Any]:
    """Return a column as a list, missing as None."""
    return [None if pd.isna(value) else value for value in column.tolist()]


# -- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.csv.gz"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_csv_fields_are_texts_as_they_stand(name: str, start: bytes, tmp_path: Path) -> None:
    content = start + 'id,name,"x, y"\n007,NA,\n1,"two\nlines ""quoted""",None\r\n,é,1.0'.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table = read_table(str(path))
    assert table.columns.tolist() == ["id", "name", "x, y"]
    assert table.to_numpy().tolist() == [
        ["007", "NA", ""],
        ["1", 'two\nlines "quoted"', "None"],
        ["", "é", "1.0"],
    ]


def test_quoted_lines_may_lie_across_the_blocks_that_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 64)
    fields = [("\n" * (i % 7), str(i)) for i in range(200)]
    write_table(pd.DataFrame(fields, columns=["a", "b"]), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").to_numpy().tolist() == [list(row) for row in fields]


def test_csv_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n")
    assert read_table(tmp_path / "t.csv").shape == (0, 2)


def test_parquet_keeps_types_exact_integers_and_the_index(tmp_path: Path) -> None:
    big = 2**53 + 1
    fields = pa.table(
        {"id": pa.array([big, None, big + 1]), "u": pa.array([2**64 - 1, None, 0], pa.uint64())}
    )
    pq.write_table(fields.append_column("x", pa.array([1.5, None, 2.0])), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert listed(table["id"]) == [big, None, big + 1]
    assert listed(table["u"]) == [2**64 - 1, None, 0]
    assert table["x"].dtype == np.float64
    table.set_index("id").to_parquet(tmp_path / "i.parquet")
    assert listed(read_table(tmp_path / "i.parquet")["id"]) == [big, None, big + 1]


def test_a_table_is_opened_without_reading_its_other_columns(tmp_path: Path) -> None:
    table = pd.DataFrame({"a.b": ["x", None, "y", "x"], "n": [1, 2, 3, 4], "note": ["p", "q", "r", "s"]})
    for name in ("t.csv", "t.parquet"):
        write_table(table, tmp_path / name)
        fields = open_table(tmp_path / name, ["a.b"])
        assert fields.names == ["a.b", "n", "note"]
        assert fields.n_rows == 4
        texts = fields.column("a.b")
        assert isinstance(texts.dtype, pd.CategoricalDtype)  # a text that stands often is held once
        assert listed(texts) == listed(read_table(tmp_path / name)["a.b"])
    with pytest.raises(KeyError):
        open_table(tmp_path / "t.csv", ["a.b"]).column("note")


def test_a_parquet_file_that_is_damaged_within_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(pd.DataFrame({"a": [f"SECRET {i}" for i in range(1000)]}), path)
    path.write_bytes(path.read_bytes()[:4] + bytes(200) + path.read_bytes()[204:])
    with pytest.raises(TableError, match="it is damaged or of another format than its name says") as caught:
        open_table(path).column("a")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_texts_held_once_give_the_same_records_and_messages(name: str, tmp_path: Path) -> None:
    texts = [" 1", "1", "x", "", "true", None, "other", "1e400", "2020-01-05", "x"]
    table = pd.DataFrame({"x": pd.Series(texts, dtype=object)})
    write_table(table, tmp_path / name)
    declared: list[dict[str, Any]] = [
        {"type": "integer", "low": 0, "high": 9, "missing": True},
        {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "missing": True},
        {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE, "missing_values": ["x"]},
        {"type": "categorical", "categories": ["1", "other"]},
        {"type": "boolean", "missing": True},
    ]
    for fields in declared:
        schema = Schema({"x": fields})
        whole, apart = (
            conform(read(tmp_path / name), schema, on_violation="clip").frame
            for read in (read_table, open_table)
        )
        pd.testing.assert_frame_equal(whole, apart)
        assert complaint(read_table(tmp_path / name), schema) == complaint(
            open_table(tmp_path / name), schema
        )


def complaint(table: Table, schema: Schema) -> str:
    try:
        conform(table, schema)
    except SchemaError as error:
        return str(error)
    return ""


def test_a_frame_is_returned_as_it_is() -> None:
    frame = pd.DataFrame({"a": [1]})
    assert read_table(frame) is frame


UNREADABLE: dict[str, tuple[str, bytes | None, str]] = {
    "no file": ("t.csv", None, "there is no file '.*t.csv'"),
    "no parquet file": ("t.parquet", None, "there is no file '.*t.parquet'"),
    "suffix": (
        "t.xlsx",
        b"",
        r"expected a file name ending in \.csv, \.csv\.gz.* \.parquet.*, got '.*t\.xlsx'",
    ),
    "empty": ("t.csv", b"", "is empty; expected a line of column names"),
    "latin-1 header": (
        "t.csv",
        "Größe,b\n1,2\n".encode("latin-1"),
        "the first line of .* is not in UTF-8; declare its encoding",
    ),
    "latin-1 field": ("t.csv", b"a,b\nSECRET\xff,2\n", "line 2 is not in UTF-8; declare its encoding"),
    "late latin-1": (
        "t.csv",
        b"a,b\n" + b"1,2\n" * 9999 + b"SECRET\xff,2\n",
        "line 10001 is not in UTF-8; declare its encoding",
    ),
    "short line": (
        "t.csv",
        b"a,b\nSECRET\n",
        "line 2 has 1 field at comma ',', where there are 2 names; mend it",
    ),
    "long line": ("t.csv", b"a,b\n1,2\nSECRET,2,3\n", "line 3 has 3 fields at comma"),
    "open quote": ("t.csv", b'a,b\n1,2\n"SECRET,2\n3,4\n', "line 3 opens a quote that is never closed"),
    "open quote at the end": ("t.csv", b'a,b\n1,"SECRET\n3,4\n', "line 2 opens a quote that is never closed"),
    "header twice": (
        "t.csv",
        b"a,b,a\n1,2,3\n",
        "columns 1 and 3 of '.*' have the same name; rename or drop one",
    ),
    "not gzip": ("t.csv.gz", b"a,b\n1,2\n", "it is damaged or of another format than its name says"),
    "cut gzip": ("t.csv.gz", gzip.compress(b"a,b\nSECRET,2\n" * 99)[:-9], "damaged or of another format"),
    "not parquet": ("t.parquet", b"SECRET", "it is damaged or of another format than its name says"),
}


@pytest.mark.parametrize("read", [read_table, lambda path: open_table(path).n_rows])
@pytest.mark.parametrize(("name", "content", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_named(
    name: str, content: bytes | None, message: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        read(tmp_path / name)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(TableError, match="cannot be read: Is a directory"):
        read_table(tmp_path / "t.csv")


def test_unusable_frames_are_named() -> None:
    with pytest.raises(TableError, match="column 'a' stands twice in the table; rename or drop one"):
        read_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(TableError, match="expected column names that are texts in the table, got 0; rename"):
        read_table(pd.DataFrame([[1, 2]]))
    with pytest.raises(TableError, match=r"expected a table: a pandas DataFrame; .*; got list"):
        read_table([1])


# -- what values mean, whatever stores them ---------------------------------------------------------------

INTEGER = {"type": "integer", "low": 0, "high": 99, "missing": True}
REAL = {"type": "real", "low": -5, "high": 5, "decimals": 1, "missing": True}
SEX = {"type": "categorical", "categories": ["F", "M"], "missing": True}
FLAG = {"type": "boolean", "missing": True}
DAY = {"type": "datetime", "low": "0001-01-01", "high": "9999-12-31", "missing": True}

READINGS: dict[str, tuple[Any, dict[str, Any], list[Any]]] = {
    "integers": (
        ["3", " 4 ", 5, 6.0, "7.0", np.int8(8), True, Decimal(9)],
        INTEGER,
        [3, 4, 5, 6, 7, 8, 1, 9],
    ),
    "integers with gaps": (pd.Series([1, None], dtype="Int64"), INTEGER, [1, None]),
    "arrow integers": (pd.Series([1, None], dtype="int32[pyarrow]"), INTEGER, [1, None]),
    "boolean storage as number": (pd.Series([True, False]), INTEGER, [1, 0]),
    "numbers as categories": (pd.Series(["3", "4", None], dtype="category"), INTEGER, [3, 4, None]),
    "empty numbers": (["", "  ", None, NAN, pd.NA, pd.NaT], INTEGER, [None] * 6),
    "declared missing numbers": (
        ["-9", -9, -9.0, "n/a", " n/a", 1],
        {**INTEGER, "missing_values": ["-9", "n/a"]},
        [None, None, None, None, None, 1],
    ),
    "declared missing floats": (
        pd.Series([-9.0, 1, NAN]),
        {**INTEGER, "missing_values": ["-9"]},
        [None, 1, None],
    ),
    "reals are rounded": (["1.25", 1.34, "-1e-3", 5.04, -5.049], REAL, [1.2, 1.3, 0.0, 5.0, -5.0]),
    "reals in full": (["1.25", 1 / 3], {"type": "real", "low": 0, "high": 2}, [1.25, 1 / 3]),
    "rounding ends inside": ([0.25], {"type": "real", "low": 0.25, "high": 9, "decimals": 1}, [0.25]),
    "private bounds take all": (["-1e9", 7], {"type": "real", "low": PRIVATE, "high": PRIVATE}, [-1e9, 7]),
    "one private bound": ([7], {"type": "real", "low": PRIVATE, "high": 7}, [7]),
    "texts": (["F", " M ", "", None], SEX, ["F", "M", None, None]),
    "NA is a text": (
        ["NA", "None", "?"],
        {"type": "categorical", "categories": ["?", "NA", "None"]},
        ["NA", "None", "?"],
    ),
    "declared missing texts": (["?", " ? ", "F"], {**SEX, "missing_values": ["?"]}, [None, None, "F"]),
    "string storage": (pd.Series(["F", None], dtype="string"), SEX, ["F", None]),
    "category storage": (pd.Series(["F", None], dtype="category"), SEX, ["F", None]),
    "numbers as texts": (
        ["3", 3, 3.0, np.float32(3)],
        {"type": "categorical", "categories": [1, 3]},
        [3, 3, 3, 3],
    ),
    "texts as numbers": (
        pd.Series([3.0, 1.0]),
        {"type": "categorical", "categories": ["1", "3"]},
        ["3", "1"],
    ),
    "halves": (pd.Series([2.5, 1.0]), {"type": "categorical", "categories": [1, 2.5]}, [2.5, 1]),
    "truth among categories": (
        ["True", "false", True, np.False_, "TRUE"],
        {"type": "categorical", "categories": ["True", "False"]},
        ["True", "False", "True", "False", "True"],
    ),
    "true is not 1 among categories": (
        [True, 1, 1.0, "1", "true"],
        {"type": "categorical", "categories": ["1", "true"]},
        ["true", "1", "1", "1", "true"],
    ),
    "booleans": (
        ["true", "FALSE", "0", 1, 1.0, False, np.True_, "", None],
        FLAG,
        [True, False, False, True, True, False, True, None, None],
    ),
    "boolean storage": (pd.Series([True, None], dtype="boolean"), FLAG, [True, None]),
    "booleans as floats": (pd.Series([1.0, NAN, 0.0]), FLAG, [True, None, False]),
    "booleans as 0 and 1": (["True", 0, "1"], {"type": "boolean", "values": [0, 1]}, [1, 0, 1]),
    "named booleans": (["yes", "no "], {"type": "boolean", "values": ["no", "yes"]}, ["yes", "no"]),
    "days": (
        ["1970-01-03", "1970-01-03T23:59:59", "19700102", "1969-12-31 12:00", " 1970-01-01", ""],
        DAY,
        [2, 2, 1, -1, 0, None],
    ),
    "zones": (
        ["1970-01-02T01:00+02:00", "1970-01-02T23:00Z", dt.datetime(1970, 1, 2, tzinfo=dt.UTC)],
        DAY,
        [1, 1, 1],  # what the clock shows
    ),
    "dates and times": (
        [dt.date(1970, 1, 2), dt.datetime(1970, 1, 2, 5), pd.Timestamp("1970-01-02"), None],
        DAY,
        [1, 1, 1, None],
    ),
    "far years": (["0001-01-01", "9999-12-31", dt.date(9999, 12, 31)], DAY, [-719162, 2932896, 2932896]),
    "nanoseconds before 1970": (pd.Series(np.array([-1, 0], "datetime64[ns]")), DAY, [-1, 0]),
    "zoned storage": (pd.Series(pd.to_datetime(["1970-01-02T01:00+02:00", None], utc=False)), DAY, [1, None]),
    "seconds storage": (pd.Series(np.array(["9999-12-31"], "datetime64[s]")), DAY, [2932896]),
    "arrow days": (pd.Series([dt.date(1970, 1, 2)], dtype="date32[pyarrow]"), DAY, [1]),
    "hours": (["1970-01-02T01:59"], {**DAY, "resolution": "hour"}, [25]),
    "declared missing dates": (
        ["1900-01-01", "x", "1970-01-02"],
        {**DAY, "missing_values": ["1900-01-01", "x"]},
        [None, None, 1],
    ),
    "stored missing dates": (
        pd.Series(pd.to_datetime(["1900-01-01", "1970-01-02"])),
        {**DAY, "missing_values": ["1900-01-01"]},
        [None, 1],
    ),
}


@pytest.mark.parametrize(("raw", "fields", "expected"), READINGS.values(), ids=READINGS.keys())
def test_values_are_read_as_they_are_meant(raw: Any, fields: dict[str, Any], expected: list[Any]) -> None:
    column = one(raw, **fields)
    assert listed(column) == expected
    assert [type(value) for value in listed(column)] == [
        type(value) for value in expected
    ] or column.dtype == float
    if fields["type"] in ("categorical", "boolean"):
        assert column.cat.categories.tolist() == list(
            fields.get("values", fields.get("categories", [False, True]))
        )
    else:
        assert column.dtype == np.float64
        assert not np.signbit(column[column == 0]).any()


def test_private_categories_are_the_sorted_observed_ones() -> None:
    private = {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE}
    texts = one(["b", "a", "?", " b", "", "10", "9"], **private, missing_values=["?"])
    assert texts.cat.categories.tolist() == ["10", "9", "a", "b"]
    assert listed(texts) == ["b", "a", None, "b", None, "10", "9"]
    numbers = one(pd.Series([10.0, 9.0, NAN, -2.5]), **private)
    assert numbers.cat.categories.tolist() == ["-2.5", "10", "9"]
    assert one(pd.Series([True, False]), **private).cat.categories.tolist() == ["false", "true"]
    assert one(["", None], **private).cat.categories.tolist() == []


PECULIAR = ["zz", 10**400, 1 + 2j, [1], {"a": 1}, Decimal("sNaN"), True, 1, Decimal("1.0"), 1e308, NAN, None]
PECULIAR += ["2020-01-01T10:00:00+05:00", dt.datetime(2020, 1, 1), np.datetime64("2020-01-01"), pd.NaT, pd.NA]


@pytest.mark.parametrize("peculiar", PECULIAR, ids=repr)
@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"type": "categorical", "categories": PRIVATE, "missing": True}, ["3", "a", "true"]),
        ({"type": "categorical", "categories": PRIVATE, "missing": True}, [1, 2, 3]),
        ({"type": "integer", "low": PRIVATE, "high": PRIVATE}, ["3", "18446744073709551615", 7]),
        (
            {"type": "real", "low": PRIVATE, "high": PRIVATE},
            ["3", "9223372036854775808", "12345678901234567"],
        ),
        ({"type": "real", "low": 0, "high": 9, "decimals": 2}, ["3.5", 1.25, 7]),
        ({"type": "boolean", "missing": True}, ["true", 0, "False"]),
        (
            {"type": "datetime", "low": PRIVATE, "high": PRIVATE, "resolution": "second"},
            ["2020-01-01 00:00:00", "2020-01-01T00:00", "2021-05-05", "2020-01-01T00:00:00.123"],
        ),
    ],
)
def test_one_peculiar_record_changes_no_other_and_never_stops_a_clip(fields, rows, peculiar) -> None:
    """Sensitivity one starts here: how a row is read depends on that row alone."""
    alone = listed(one(rows, clip=True, **fields))
    first = listed(one([peculiar, *rows], clip=True, **fields))
    last = listed(one([*rows, peculiar], clip=True, **fields))
    assert first[1:] == alone
    assert last[:-1] == alone
    assert first[0] == last[-1]


def test_a_numeric_column_of_private_categories_keeps_its_labels_beside_a_text() -> None:
    private = {"type": "categorical", "categories": PRIVATE, "missing": True}
    stored_as_numbers, stored_as_objects = one(pd.Series([1, 2]), **private), one([1, 2, "zz"], **private)
    assert listed(stored_as_numbers) == listed(stored_as_objects)[:2]


@pytest.mark.parametrize("n", [127, 128, 129, 300])
def test_private_categories_may_be_many(n: int) -> None:
    texts = [f"{i:03d}" for i in range(n)]
    column = one([*texts[::-1], ""], type="categorical", categories=PRIVATE, missing=True)
    assert listed(column) == [*texts[::-1], None]


@pytest.mark.parametrize("fields", [{"type": "categorical", "categories": PRIVATE}, REAL])
def test_a_category_that_is_no_single_value_is_read_as_an_object_is(fields: dict[str, Any]) -> None:
    objects = pd.Series(["3", 2.5, (1, 2), b"1", dt.date(2020, 1, 1)], dtype=object)
    fields = {**fields, "missing": True}
    assert listed(one(objects.astype("category"), clip=True, **fields)) == listed(
        one(objects, clip=True, **fields)
    )


def test_an_empty_line_of_a_single_column_is_a_missing_field(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x\na\n\nb\n")
    assert [value or None for value in read_table(tmp_path / "t.csv")["x"]] == ["a", None, "b"]


def test_private_categories_do_not_depend_on_the_order_of_rows() -> None:
    private = {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE}
    values = ["b", 3, True, "3", 2.5, None, "a"]
    forward, backward = one(values, **private), one(values[::-1], **private)
    assert (
        forward.cat.categories.tolist() == backward.cat.categories.tolist() == ["2.5", "3", "a", "b", "true"]
    )
    assert listed(forward) == listed(backward)[::-1]


MIXED = [
    *(
        True,
        False,
        np.True_,
        0,
        1,
        1.0,
        2,
        2.5,
        -1,
        10**12,
        Decimal(3),
        np.float32(7),
        float("inf"),
        NAN,
        None,
    ),
    *("", " ", "1", "1.0", " 1 ", "true", "True", "x", "inf", "nan", "now", "-9", "1970-01-02", "9999-12-31"),
    *(dt.date(1970, 1, 5), pd.Timestamp("1970-01-06T12:00", tz="Asia/Tokyo"), pd.NaT, pd.NA, "other", b"1"),
]
ALL_TYPES = Schema(
    {
        "i": {**INTEGER, "missing_values": ["-9"]},
        "r": REAL,
        "c": {"type": "categorical", "categories": ["1", "true", "x"]},
        "o": {"type": "categorical", "categories": ["1", "Other"], "missing": True},
        "b": FLAG,
        "d": {**DAY, "high": "1999-12-31"},
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(MIXED), min_size=1, max_size=8))
def test_a_row_means_the_same_in_any_company(values: list[Any]) -> None:
    """Clipping never fails, and no row changes how another one is read: the guarantee rests on it."""

    def clipped(rows: list[Any]) -> pd.DataFrame:
        raw = pd.DataFrame({name: pd.Series(rows, dtype=object) for name in ALL_TYPES.columns})
        return conform(raw, ALL_TYPES, on_violation="clip").frame

    together = clipped(values)
    alone = pd.concat([clipped([value]) for value in values], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)


def typed_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int64"),
            "r": [0.5, -0.25, NAN],
            "c": ["x", "true", "x"],
            "o": pd.Categorical(["1", None, "other"]),
            "b": pd.array([True, None, False], dtype="boolean"),
            "d": pd.to_datetime(["1970-01-02", None, "1985-05-05"]),
            "who": ["p", "q", "p"],
            "note": ["a", "b", "c"],
        }
    )


@pytest.mark.parametrize("read", [read_table, open_table])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_every_file_format_gives_the_same_records(
    name: str, read: Callable[[Path], Table], tmp_path: Path
) -> None:
    schema = Schema(
        {**ALL_TYPES.columns, "who": {"type": "id", "role": "person_id"}}, max_records_per_person=2
    )
    table = typed_table()
    table["o"] = table["o"].cat.rename_categories({"other": "Other"})
    write_table(table, tmp_path / name)
    from_file = conform(read(tmp_path / name), schema)
    expected = conform(table, schema)
    pd.testing.assert_frame_equal(from_file.frame, expected.frame)
    assert from_file.persons is not None
    assert from_file.persons.tolist() == [0, 1, 0]


def test_records_hold_exactly_the_modelled_columns_in_schema_order() -> None:
    table = pd.DataFrame({"z": ["n"], "key": [1], "extra": [0], "a": [5], "b": ["M"]}, index=[17])
    schema = Schema(
        {"b": SEX, "key": {"type": "id", "role": "key"}, "z": {"type": "text", "drop": True}, "a": INTEGER}
    )
    records = conform(table, schema)
    assert isinstance(records, Records)
    assert records.persons is None
    assert records.frame.columns.tolist() == ["b", "a"]
    assert records.frame.index.equals(pd.RangeIndex(1))


def test_columns_that_are_made_afresh_need_not_be_there() -> None:
    schema = Schema({"a": INTEGER, "key": {"type": "id", "role": "key"}, "t": {"type": "text", "drop": True}})
    assert conform(pd.DataFrame({"a": [1]}), schema).frame["a"].tolist() == [1]


def test_the_table_is_left_as_it_was() -> None:
    table = pd.DataFrame({"x": [1.26, NAN, 700.0], "o": pd.Series([True, 1, "x"], dtype=object)})
    before = table.copy(deep=True)
    schema = Schema({"x": REAL, "o": {"type": "categorical", "categories": ["1"]}})
    records = conform(table, schema, on_violation="clip")
    records.frame["x"].to_numpy()[:] = 0.0
    pd.testing.assert_frame_equal(table, before)


# -- persons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["b", "a", "b "], [0, 1, 0]),
        ([3, "3", 3.0, 4], [0, 0, 0, 1]),
        (["a", "", None, NAN, "a", " "], [0, 1, 2, 3, 0, 4]),
        (pd.Series([7.0, NAN, 7.0, NAN]), [0, 1, 0, 2]),
        (pd.Series([2**60, None, 2**60 + 1], dtype="Int64"), [0, 2, 1]),
        (["", ""], [0, 1]),
        (["NA", "NA"], [0, 0]),
    ],
)
def test_rows_with_one_id_are_one_person_and_rows_without_are_apart(ids: Any, expected: list[int]) -> None:
    ids = ids if isinstance(ids, pd.Series) else pd.Series(ids, dtype=object)
    schema = Schema({"who": {"type": "id", "role": "person_id"}, "x": INTEGER}, max_records_per_person=1)
    persons = conform(pd.DataFrame({"who": ids, "x": 1}), schema).persons
    assert persons is not None
    assert persons.dtype == np.int64
    assert persons.tolist() == expected


# -- rules that are broken -------------------------------------------------------------------------------

OUT = (
    'Mend the table or the schema, or clip what breaks it with --on-violation clip (on_violation="clip"); '
    "`privsynth check TABLE --schema S` shows you which fields they are"
)
VIOLATIONS: dict[str, tuple[Any, dict[str, Any], str, Any]] = {
    "text for a number": ("SECRET", INTEGER, "a field is not a finite number", None),
    "nan as text": ("nan", INTEGER, "a field is not a finite number", None),
    "infinity": (float("inf"), REAL, "a field is not a finite number", None),
    "infinity as text": ("-inf", REAL, "a field is not a finite number", None),
    "hexadecimal": ("0x1F", INTEGER, "a field is not a finite number", None),
    "comma": ("1,5", REAL, "a field is not a finite number", None),
    "date for a number": (pd.Timestamp("2020-01-01"), INTEGER, "a field is not a finite number", None),
    "broken integer": ("41234.6", {**INTEGER, "high": 99999}, "a value is not a whole number", 41235),
    "too high": (41234, INTEGER, "a value is outside the public bounds (low=0, high=99)", 99),
    "too low": ("-41234", INTEGER, "a value is outside the public bounds (low=0, high=99)", 0),
    "too high for one bound": (41234, {**INTEGER, "low": PRIVATE}, "outside the public bounds (high=99)", 99),
    "real too high": (5.06, REAL, "a value is outside the public bounds (low=-5, high=5)", 5),
    "no date": ("SECRET", DAY, "a field is not an ISO-8601 date or time", None),
    "German date": ("31.12.2020", DAY, "a field is not an ISO-8601 date or time", None),
    "six digits": ("930101", DAY, "a field is not an ISO-8601 date or time", None),
    "clock": ("now", DAY, "a field is not an ISO-8601 date or time", None),
    "number for a date": (7, DAY, "a field is not an ISO-8601 date or time", None),
    "early date": (
        "1234-05-06",
        {**DAY, "low": "1970-01-02"},
        "outside the public bounds (low=1970-01-02, high=9999-12-31)",
        1,
    ),
    "unknown category": ("SECRET", SEX, "a value is not among its categories", None),
    "case": ("f", SEX, "a value is not among its categories", None),
    "unknown with other": (
        "SECRET",
        {**SEX, "categories": ["F", "Other"]},
        "not among its categories",
        "Other",
    ),
    "third truth": ("41234", FLAG, "a value is neither of its two values", None),
    "a value called other": (
        "SECRET",
        {**FLAG, "values": ["other", "yes"]},
        "neither of its two values",
        None,
    ),
    "truth by another name": (
        "true",
        {"type": "boolean", "values": ["no", "yes"]},
        "neither of its two",
        None,
    ),
    "missing number": (
        "",
        {**INTEGER, "missing": False},
        "a field is missing, but 'missing' is not true",
        None,
    ),
    "missing float": (
        NAN,
        {**INTEGER, "missing": False},
        "a field is missing, but 'missing' is not true",
        None,
    ),
    "missing text": (None, {**SEX, "missing": False}, "a field is missing, but 'missing' is not true", None),
    "missing by declaration": (
        "?",
        {**SEX, "missing": False, "missing_values": ["?"]},
        "a field is missing, but 'missing' is not true",
        None,
    ),
    "missing date": (
        pd.NaT,
        {**DAY, "missing": False},
        "a field is missing, but 'missing' is not true",
        None,
    ),
    "missing truth": ("", {"type": "boolean"}, "a field is missing, but 'missing' is not true", None),
}


@pytest.mark.parametrize(("value", "fields", "rule", "clipped"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_broken_rule_is_named_or_clipped(
    value: Any, fields: dict[str, Any], rule: str, clipped: Any
) -> None:
    with pytest.raises(SchemaError) as caught:
        one([value], **fields)
    message = str(caught.value)
    assert message.startswith("the table breaks its schema: column 'x': ")
    assert rule in message
    assert message.endswith(OUT)
    assert message.count("column ") == 1
    for secret in ("SECRET", "41234", "41235", "1234-05"):
        assert secret not in message
    assert listed(one([value], clip=True, **fields)) == [clipped]


def test_the_same_rules_hold_for_stored_types() -> None:
    with pytest.raises(SchemaError, match="not a whole number"):
        one(pd.Series([1.5]), **INTEGER)
    with pytest.raises(SchemaError, match="outside the public bounds"):
        one(pd.Series([1, 100]), **INTEGER)
    with pytest.raises(SchemaError, match="not a finite number"):
        one(pd.Series([np.inf]), **REAL)
    with pytest.raises(SchemaError, match="'missing' is not true"):
        one(pd.Series([pd.NaT], dtype="datetime64[ns]"), **{**DAY, "missing": False})
    with pytest.raises(SchemaError, match="not a finite number"):
        one(pd.Series([pd.Timestamp(1)]), **INTEGER)


def test_all_broken_rules_are_named_at_once() -> None:
    table = pd.DataFrame({"age": ["x", "700", "1.5"], "sex": ["F", "M", "U"], "fine": [1, 2, 3]})
    schema = Schema({"age": INTEGER, "sex": SEX, "fine": INTEGER})
    with pytest.raises(SchemaError) as caught:
        conform(table, schema, name="holdout")
    assert str(caught.value) == (
        f"the holdout table breaks its schema: column 'age': a field is not a finite number ({NUMBER_HINT}); "
        "column 'age': a value is not a whole number; column 'age': a value is outside the public bounds "
        "(low=0, high=99); column 'sex': a value is not among its categories. " + OUT
    )


def test_columns_that_are_lacking_are_named() -> None:
    schema = Schema(
        {"who": {"type": "id", "role": "person_id"}, "a": INTEGER, "b": INTEGER}, max_records_per_person=1
    )
    message = "the table has no column 'a', 'who', which the schema describes; add them to the table"
    with pytest.raises(SchemaError, match=message):
        conform(pd.DataFrame({"b": [1]}), schema)
    with pytest.raises(SchemaError, match=r"the real table has no column 'a', which .* add it to the table"):
        conform(pd.DataFrame({"b": [1], "who": [1]}), schema, on_violation="clip", name="real")


def test_an_empty_table() -> None:
    table = pd.DataFrame({name: [] for name in ALL_TYPES.columns})
    with pytest.raises(TableError, match="the table has no rows"):
        conform(table, ALL_TYPES)
    records = conform(table, ALL_TYPES, on_violation="clip")
    assert records.frame.shape == (0, 6)
    assert records.frame["c"].cat.categories.tolist() == ["1", "true", "x"]


def test_unusable_calls_are_named() -> None:
    table, schema = pd.DataFrame({"x": [1]}), Schema({"x": INTEGER})
    with pytest.raises(ParameterError, match="expected on_violation to be 'error' or 'clip', got 'drop'"):
        conform(table, schema, on_violation="drop")
    with pytest.raises(SchemaError, match="column 'x' has no bounds"):
        conform(table, Schema({"x": {"type": "integer"}}))
    with pytest.raises(TableError, match=r"expected a table: a pandas DataFrame; .*; got dict"):
        conform({"x": [1]}, schema)
    with pytest.raises(TableError, match="column 'x' stands twice in the table"):
        conform(pd.DataFrame([[1, 2]], columns=["x", "x"]), schema)
    with pytest.raises(SchemaError, match="column 'x': a field is not one number, text or date") as caught:
        one([[1, 2], "SECRET"], **INTEGER)
    assert "SECRET" not in str(caught.value)


# -- writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_a_table_survives_a_file_and_gives_the_same_bytes_again(name: str, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"a": ["NA", "", 'q"', "two\nlines", "é"], "b": ["1", "2", "3", "4", "5"]}, index=range(5, 10)
    )
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), table.reset_index(drop=True))
    first = (tmp_path / name).read_bytes()
    if name == "t.csv.gz":
        assert first[4:8] == bytes(4)  # the time of writing
    write_table(table, tmp_path / name, force=True)
    assert (tmp_path / name).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(TableError, match=r"t\.csv' exists; replace it with --force \(force=True\), or name"):
        write_table(pd.DataFrame({"a": [1]}), path)
    assert path.read_text() == "old"
    write_table(pd.DataFrame({"a": [1]}), path, force=True)
    assert path.read_text() == "a\n1\n"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("old")
    mixed = pd.DataFrame({"a": [1, 2], "b": [1, "SECRET"]})
    with pytest.raises(
        TableError, match="column 'b' mixes types, which Parquet cannot hold; convert it"
    ) as caught:
        write_table(mixed, path, force=True)
    assert "SECRET" not in str(caught.value)
    with contextlib.suppress(KeyboardInterrupt), written_aside(path, force=True) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1]})
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match=r"cannot be written: there is no folder '.*nowhere'"):
        write_table(frame, tmp_path / "nowhere" / "t.csv")
    with pytest.raises(TableError, match=r"cannot be written: there is no folder '.*file'"):
        write_table(frame, tmp_path / "file" / "t.csv")
    with pytest.raises(TableError, match="is a folder; name a file in it"):
        write_table(frame, tmp_path / "d.csv", force=True)
    with pytest.raises(TableError, match=r"expected a file name ending in \.csv, \.csv\.gz or \.parquet"):
        write_table(frame, tmp_path / "t.txt")
    with pytest.raises(TableError, match="cannot be written: File name too long"):
        write_table(frame, tmp_path / f"{'x' * 300}.csv")


def test_who_may_read_what_is_written(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with written_aside(tmp_path / "secret", owner_only=True), written_aside(tmp_path / "open"):
            pass
    finally:
        os.umask(umask)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o644


# -- real tables -----------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not (BENCH.exists() and (DATA / "adult.csv.gz").exists()), reason="needs the shared tables"
)
def test_adult_conforms_to_its_public_description() -> None:
    facts = json.loads(BENCH.read_text())
    between = {
        name: {"type": "integer", "low": low, "high": high} for name, (low, high) in facts["bounds"].items()
    }
    among = {
        name: {"type": "categorical", "categories": values} for name, values in facts["categories"].items()
    }
    schema = Schema({name: {**between, **among}[name] for name in facts["columns"]})
    texts = conform(read_table(DATA / "adult.csv.gz"), schema).frame
    assert texts.shape == (48_842, 15)
    assert texts["income"].value_counts().to_dict() == {
        "<=50K": 37_155,
        ">50K": 11_687,
    }  # the publisher's counts
    assert int((texts["workclass"] == "?").sum()) == 2_799
    typed = conform(pd.read_csv(DATA / "adult.csv.gz", keep_default_na=False), schema).frame
    pd.testing.assert_frame_equal(texts, typed)


@pytest.mark.skipif(not (DATA / "diabetes130.csv.gz").exists(), reason="needs the shared tables")
def test_diabetes_patients_are_told_apart() -> None:
    schema = Schema(
        {
            "patient_nbr": {"type": "id", "role": "person_id"},
            "time_in_hospital": {"type": "integer", "low": 1, "high": 14},
            "max_glu_serum": {"type": "categorical", "categories": ["None", "Norm", ">200", ">300"]},
            "race": {"type": "categorical", "categories": PRIVATE, "missing": True, "missing_values": ["?"]},
        },
        max_records_per_person=5,
    )
    records = conform(read_table(DATA / "diabetes130.csv.gz"), schema)
    assert records.persons is not None
    assert len(np.unique(records.persons)) == 71_518  # the publisher's count
    assert np.bincount(records.persons).max() == 40
    assert records.frame["time_in_hospital"].mean() == pytest.approx(4.396, abs=5e-4)
    assert records.frame["max_glu_serum"].notna().all()
    assert "?" not in records.frame["race"].cat.categories


@pytest.mark.skipif(
    not (DATA / "berka_transactions_sample.csv.gz").exists(), reason="needs the shared tables"
)
def test_berka_dates_are_days() -> None:
    day = {"type": "datetime", "low": "1993-01-01", "high": "1994-03-31"}
    amount = {"type": "real", "low": 0, "high": 100_000, "decimals": 2}
    table = read_table(DATA / "berka_transactions_sample.csv.gz")
    records = conform(table, Schema({"date": day, "amount": amount}))
    first = dt.date(1970, 1, 1) + dt.timedelta(days=records.frame["date"].min())
    assert first == dt.date(1993, 1, 1)
    assert (records.frame["amount"] == table["amount"].astype(float)).all()
    undashed = pd.DataFrame({"date": table["date"].str.replace("-", "")})
    assert conform(undashed, Schema({"date": day})).frame["date"].equals(records.frame["date"])
    with pytest.raises(SchemaError, match="column 'date': a field is not an ISO-8601 date or time"):
        conform(pd.DataFrame({"date": undashed["date"].str[2:]}), Schema({"date": day}))
