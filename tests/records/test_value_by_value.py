"""Reading a column of many rows equals reading each of its rows by itself: the guarantee begins with it.

If one record could change how another one is read, it would change released counts by more than one.
"""

from __future__ import annotations

import datetime as dt
import uuid
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

from privsynth.io.tables import open_table, read_table
from privsynth.records.coerce import person_codes, read_column
from privsynth.records.conform import conform
from privsynth.records.distinct import distinct
from privsynth.records.single_values import as_text, of_single_precision
from privsynth.schema import PRIVATE, Column, Schema

ODD_TEXTS = [
    "flu",
    "flu\0",
    "flu\0\0",
    "\0",
    "",
    " ",
    "\u00e9",
    "e\u0301",
    "\ud800",
    "x\udfff",
    "ß",
    "\u00a0",
]
ODD_TEXTS += [
    "1",
    "1.0",
    "01",
    " 1",
    "1e0",
    "1_0",
    "١",
    "inf",
    "nan",
    "NaN",
    "-0.0",
    "true",
    "True",
    "NA",
    "?",
]
ODD_TEXTS += ["9007199254740993", "9007199254740992.0", "18446744073709551616", "1" * 400, "0x1F", "1,5"]
ODD_TEXTS += [
    "2020-01-01",
    "2020-01-01T05:00+05:00",
    "2020-01-01T05:00Z",
    "2020-01",
    "20200101",
    "1900-02-29",
]
ODD_TEXTS += ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00+12:00", "01/02/2020", "10:30", "now"]
ODD_OBJECTS = [
    True,
    False,
    0,
    1,
    2**53,
    2**53 + 1,
    -(2**63),
    2**64,
    10**400,
    1.0,
    -0.0,
    0.1,
    1e308,
    float("inf"),
]
ODD_OBJECTS += [
    float("nan"),
    np.float64("nan"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("0.1"),
    Decimal("1.0"),
]
ODD_OBJECTS += [Decimal(2**60 + 1), Decimal("1e999"), Decimal("Infinity"), Decimal(10) ** 400]
ODD_OBJECTS += [np.float32(0.1), np.float16(0.1), np.longdouble("0.1"), np.int8(1), np.uint64(2**64 - 1)]
ODD_OBJECTS += [np.True_, np.str_("flu\0"), b"flu", b"\xff", 1j, (1, 2), [1], {}, object, uuid.UUID(int=1)]
ODD_OBJECTS += [None, pd.NA, pd.NaT, np.datetime64("NaT"), np.datetime64("2020-01-01"), dt.date(2020, 1, 1)]
ODD_OBJECTS += [np.datetime64(10**12, "D"), dt.time(10, 30), dt.timedelta(days=1), pd.Timedelta("1D")]
ODD_OBJECTS += [
    dt.datetime(2020, 1, 1),
    pd.Timestamp("2020-01-01", tz="Asia/Tokyo"),
    pd.Period("2020-01", "M"),
]
ODD_OBJECTS += [dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(-dt.timedelta(hours=12))), pd.Interval(0, 1)]

COLUMNS = [
    Column(name="x", **fields)
    for fields in (
        {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE, "missing_values": ("?",)},
        {"type": "categorical", "categories": ("flu", "flu\0", "é", "true", "other"), "missing": False},
        {"type": "categorical", "categories": (0, 1, 0.1, 2**53 + 1), "missing": True},
        {"type": "boolean", "missing": PRIVATE},
        {"type": "integer", "low": PRIVATE, "high": PRIVATE, "missing_values": ("1", "NA")},
        {"type": "real", "low": -5, "high": 5, "decimals": 1, "missing": True},
        {"type": "real", "low": PRIVATE, "high": PRIVATE, "missing": False},
        {"type": "datetime", "low": PRIVATE, "high": PRIVATE, "resolution": "second", "missing": True},
    )
]

texts = st.sampled_from(ODD_TEXTS) | st.text(st.characters(codec=None), max_size=4)
numbers = st.floats() | st.integers() | st.decimals() | st.floats(width=32).map(np.float32)
times = st.dates() | st.datetimes(timezones=st.none() | st.timezones()) | st.times() | st.timedeltas()
objects = texts | numbers | times | st.sampled_from(ODD_OBJECTS)
STORED: dict[str, st.SearchStrategy[Any]] = {
    "object": objects,
    "string": texts | st.none(),
    "category": texts | st.none(),
    "bool": st.booleans(),
    "boolean": st.booleans() | st.none(),
    "int8": st.integers(-128, 127),
    "int64": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 - 1, 2**53, 2**53 + 1]),
    "uint64": st.integers(0, 2**64 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "UInt8": st.integers(0, 255) | st.none(),
    "float16": st.floats(width=16),
    "float32": st.floats(width=32) | st.sampled_from([0.1, 0.3, 2.0**24 + 2, 50331648.0]),
    "float64": st.floats(),
    "Float32": st.floats(width=32, allow_nan=False) | st.none(),
    "Float64": st.floats(allow_nan=False) | st.none(),
    "datetime64[ns]": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)) | st.none(),
    "datetime64[s]": st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)) | st.none(),
    "datetime64[ns, Europe/Berlin]": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
    "timedelta64[ns]": st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)) | st.none(),
    "period[D]": st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    "string[pyarrow]": st.text(max_size=3) | st.sampled_from(["flu", "flu\0"]) | st.none(),
    "double[pyarrow]": st.floats(allow_nan=False) | st.none(),
    "int64[pyarrow]": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "date32[pyarrow]": st.dates() | st.none(),
    "decimal128(20, 2)[pyarrow]": st.integers(-(10**17), 10**17).map(lambda n: Decimal(n) / 100),
}


def as_series(values: list[Any], stored: str) -> pd.Series:
    if stored == "category":  # pandas itself takes texts that are equal up to a NUL for one category
        known = list(dict.fromkeys(value for value in values if value is not None))
        codes = [-1 if value is None else known.index(value) for value in values]
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(known, dtype=object)))
    if stored.startswith("decimal"):
        return pd.Series(values, dtype=pd.ArrowDtype(pa.decimal128(20, 2)))
    if stored.startswith("datetime64[ns, "):
        return pd.Series(values, dtype="datetime64[ns]").dt.tz_localize(
            "Europe/Berlin", ambiguous=True, nonexistent="shift_forward"
        )
    return pd.Series(values, dtype=stored)


def read(raw: pd.Series, column: Column) -> tuple[list[Any], list[frozenset[str]]]:
    """Return what each row means and the rules that it breaks."""
    values, broken = read_column(raw, column)
    rules = [frozenset(rule for rule in broken if broken[rule][i]) for i in range(len(raw))]
    if isinstance(values, pd.Categorical):
        labels = values.categories.tolist()
        return [None if code < 0 else labels[code] for code in values.codes], rules
    return [None if np.isnan(value) else value for value in values.tolist()], rules


@pytest.mark.parametrize("stored", STORED)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_column_is_read_as_each_of_its_rows_by_itself(stored: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(STORED[stored], min_size=1, max_size=6))
    raw = as_series([*values, values[0]], stored)
    for column in COLUMNS:
        together, rules = read(raw, column)
        alone = [read(raw.iloc[[i]], column) for i in range(len(raw))]
        assert together == [meaning[0] for meaning, _ in alone], column
        assert rules == [broken[0] for _, broken in alone], column


@pytest.mark.parametrize("stored", STORED)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whether_two_rows_are_one_person_is_decided_by_these_two(stored: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(STORED[stored], min_size=2, max_size=6))
    raw = as_series(values, stored)
    persons = person_codes(raw)
    assert sorted(set(persons)) == list(range(len(set(persons))))
    for i in range(len(raw)):
        for j in range(i):
            pair = person_codes(raw.iloc[[j, i]])
            assert (persons[i] == persons[j]) == (pair[0] == pair[1])


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
@pytest.mark.parametrize("stored", [stored for stored in STORED if stored not in ("object", "period[D]")])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_another_library_holds_the_same_records_value_by_value(
    stored: str, library: str, data: st.DataObject
) -> None:
    module = pytest.importorskip(library, reason=f"{library} is no dependency, only a source")
    raw = as_series(data.draw(st.lists(STORED[stored], min_size=1, max_size=6)), stored)
    try:
        table = pa.Table.from_pandas(pd.DataFrame({"x": raw}), preserve_index=False)
        if library == "polars":
            table = module.from_arrow(table)
    except (pa.ArrowException, UnicodeEncodeError):  # lone surrogates, which it cannot hold
        return
    held = open_table(table).column("x")
    for column in COLUMNS:
        assert read(held, column) == read(raw, column), column
    assert person_codes(held).tolist() == person_codes(raw).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ODD_TEXTS[:4]) | st.text("a\0é\n", max_size=3), min_size=1, max_size=9))
def test_a_parquet_file_is_read_value_by_value(tmp_path_factory: pytest.TempPathFactory, values) -> None:
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    pq.write_table(pa.table({"x": values, "who": values}), path)
    schema = Schema(
        {
            "x": {"type": "categorical", "categories": PRIVATE, "missing": True},
            "who": {"type": "id", "role": "person_id"},
        },
        max_records_per_person=9,
    )
    expected = [value.strip() or None for value in values]
    for table in (read_table(path), open_table(path)):
        records = conform(table, schema)
        column = records.frame["x"].cat
        labels = [*column.categories, None]
        assert [labels[code] for code in column.codes] == expected
        assert records.persons is not None
        for i, mine in enumerate(expected):
            same = [mine is not None and mine == other for other in expected]
            same[i] = True
            assert (records.persons == records.persons[i]).tolist() == same


def test_texts_equal_up_to_a_nul_are_apart_in_a_csv_file_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"x,who\nflu\0,p\0\nflu,p\nflu,p\n")
    schema = Schema(
        {
            "x": {"type": "categorical", "categories": PRIVATE},
            "who": {"type": "id", "role": "person_id"},
        },
        max_records_per_person=2,
    )
    for read_file in (read_table, open_table):
        records = conform(read_file(tmp_path / "t.csv"), schema)
        assert records.frame["x"].cat.codes.tolist() == [1, 0, 0]
        assert records.frame["x"].cat.categories.tolist() == ["flu", "flu\0"]
        assert records.persons is not None
        assert records.persons.tolist() == [0, 1, 1]


def test_one_record_moves_no_count_but_its_own() -> None:
    private = Column(name="x", type="categorical", categories=PRIVATE)
    without = pd.Series(["flu"] * 1000, dtype=object)
    with_one = pd.Series(["flu\0", *without], dtype=object)
    counts = pd.Series(read_column(with_one, private)[0]).value_counts()
    assert counts.to_dict() == {"flu": 1000, "flu\0": 1}


def test_rows_whose_ids_cannot_be_read_are_one_person_and_said_to_break_the_schema() -> None:
    ids = pd.Series([(1, 2), "a", b"\xff", None, uuid.UUID(int=1), str(uuid.UUID(int=1)), [1]], dtype=object)
    assert person_codes(ids).tolist() == [0, 1, 0, 3, 2, 2, 0]
    schema = Schema(
        {"who": {"type": "id", "role": "person_id"}, "x": {"type": "integer", "low": 0, "high": 1}},
        max_records_per_person=2,
    )
    table = pd.DataFrame({"who": ids, "x": 1})
    with pytest.raises(
        Exception, match="column 'who': a field is not one number, text or date; column 'who'"
    ):
        conform(table, schema)
    records = conform(table, schema, on_violation="clip")
    assert records.persons is not None
    assert records.persons.tolist() == [0, 1, 0, 3, 2, 2, 0]


def test_categories_that_do_not_occur_are_not_read() -> None:
    raw = pd.Series(pd.Categorical(["a", None], categories=["a", "ghost", (1, 2)]))
    private = Column(name="x", type="categorical", categories=PRIVATE, missing=True)
    values, broken = read_column(raw, private)
    assert values.categories.tolist() == ["a"]
    assert broken == {}


def test_single_precision_is_read_as_it_was_written() -> None:
    written = [0.1, 0.3, -2.75, 1e-30, 16777217.0, 50331648.0, 3.4e38, np.inf, np.nan]
    stored = np.array(written, dtype=np.float32)
    read_back = of_single_precision(stored)
    np.testing.assert_array_equal(read_back[:4], written[:4])
    np.testing.assert_array_equal(
        read_back[4:6], [16777216.0, 50331648.0]
    )  # whole numbers stay what they are
    np.testing.assert_array_equal(read_back.astype(np.float32), stored)
    assert of_single_precision(np.array([0.1, 0.3], dtype=np.float16)).tolist() == [0.1, 0.3]


def test_distinct_values_are_few_where_a_column_repeats_itself() -> None:
    raw = pd.Series(["a", "b", None, "a", np.nan, 1, 1.0, True] * 1000, dtype=object)
    codes, values = distinct(raw, as_text)
    assert values == ["a", "b", 1.0, "true"]
    assert codes[:8].tolist() == [0, 1, -1, 0, -1, 2, 2, 3]
