"""Drafts: storage types without a value read, or types that the values fit."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privsynth.errors import SchemaError, TableError
from privsynth.io.tables import read_table
from privsynth.records.conform import conform
from privsynth.records.drafting import draft_schema
from privsynth.schema import PRIVATE, Schema

BETWEEN = {"low": PRIVATE, "high": PRIVATE, "missing": PRIVATE}


def survives_json(schema: Schema) -> bool:
    return Schema.from_dict(json.loads(json.dumps(schema.to_dict()))).columns == schema.columns


# -- without reading values ------------------------------------------------------------------------------


def test_csv_gives_names_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(
        b"age,sex\n" + b"17,F\n" * 9999 + b"\xff\xff,too,many\n"
    )  # never gets there
    schema = draft_schema(tmp_path / "t.csv")
    assert schema.to_dict() == {"version": 1, "columns": {"age": {"type": None}, "sex": {"type": None}}}
    assert survives_json(schema)
    with pytest.raises(SchemaError, match=r"column 'age' has no type; set 'type' to one of .*--infer"):
        schema.require_complete()


ARROW: list[tuple[pa.DataType, dict[str, Any]]] = [
    (pa.int8(), {"type": "integer", "low": None, "high": None}),
    (pa.uint64(), {"type": "integer", "low": None, "high": None}),
    (pa.float32(), {"type": "real", "low": None, "high": None}),
    (pa.decimal128(10, 2), {"type": "real", "low": None, "high": None, "decimals": 2}),
    (pa.bool_(), {"type": "boolean"}),
    (pa.timestamp("us", "UTC"), {"type": "datetime", "low": None, "high": None, "resolution": "day"}),
    (pa.date32(), {"type": "datetime", "low": None, "high": None, "resolution": "day"}),
    (pa.string(), {"type": "categorical", "categories": None}),
    (pa.dictionary(pa.int8(), pa.string()), {"type": "categorical", "categories": None}),
    (pa.list_(pa.int8()), {"type": "text", "drop": True}),
]


def test_parquet_gives_its_storage_types(tmp_path: Path) -> None:
    fields = pa.schema([(str(i), stored) for i, (stored, _) in enumerate(ARROW)])
    pq.write_table(fields.empty_table(), tmp_path / "t.parquet")
    schema = draft_schema(tmp_path / "t.parquet")
    assert list(schema.to_dict()["columns"].values()) == [expected for _, expected in ARROW]
    assert schema.types_from_records  # who wrote the file, and whether by looking at values, is not known
    assert survives_json(schema)


def test_one_field_decides_how_pandas_stores_a_column(tmp_path: Path) -> None:
    """So that what is drafted from a frame, or from its file, is no public fact."""
    whole = pd.DataFrame({"age": [30, 41, 52]})
    gap = whole.assign(age=[30, None, 52])
    for frame, drafted in ((whole, "integer"), (gap, "real")):
        frame.to_parquet(tmp_path / "t.parquet")
        for table in (frame, tmp_path / "t.parquet"):
            schema = draft_schema(table)
            assert schema.columns["age"].type == drafted
            assert schema.types_from_records
    whole.to_csv(tmp_path / "t.csv", index=False)
    assert not draft_schema(tmp_path / "t.csv").types_from_records  # of a CSV file only names are read


def test_a_frame_gives_its_storage_types() -> None:
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "Int": pd.array([1, None], dtype="Int8"),
            "float": [1.0, 2.0],
            "bool": [True, False],
            "Bool": pd.array([True, None], dtype="boolean"),
            "time": pd.to_datetime(["2020-01-01T10:00Z", None]),
            "object": ["1", "2"],
            "string": pd.array(["1", "2"], dtype="string"),
            "category": pd.Categorical([True, False]),
        }
    )
    types = {name: column.type for name, column in draft_schema(frame).columns.items()}
    assert types == {
        "int": "integer",
        "Int": "integer",
        "float": "real",
        "bool": "boolean",
        "Bool": "boolean",
        "time": "datetime",
        "object": "categorical",
        "string": "categorical",
        "category": "categorical",
    }


def test_no_value_of_a_frame_is_read() -> None:
    ours, theirs = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}), pd.DataFrame({"x": [7, 9], "y": ["c", None]})
    assert draft_schema(ours) == draft_schema(theirs) == draft_schema(ours.iloc[:0])


# -- from values -----------------------------------------------------------------------------------------

INFERRED: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "integers": (["3", " -4", ""], {"type": "integer", **BETWEEN}),
    "integers with gaps": ([3.0, None], {"type": "integer", **BETWEEN}),
    "reals": (["3", "4.5"], {"type": "real", "decimals": 1, **BETWEEN}),
    "decimals": ([Decimal("4.50"), None], {"type": "real", "decimals": 1, **BETWEEN}),
    "flags": (["0", "1", "0"], {"type": "boolean", "values": [0, 1], "missing": PRIVATE}),
    "stored flags": ([0, 1], {"type": "boolean", "values": [0, 1], "missing": PRIVATE}),
    "truth": (["True", "false", ""], {"type": "boolean", "missing": PRIVATE}),
    "stored truth": ([True, False], {"type": "boolean", "missing": PRIVATE}),
    "days": (["2020-01-01", "2020-12-31T00:00"], {"type": "datetime", "resolution": "day", **BETWEEN}),
    "stored days": ([dt.date(2020, 1, 1), None], {"type": "datetime", "resolution": "day", **BETWEEN}),
    "hours": (["2020-01-01T10:00", "2020-01-02"], {"type": "datetime", "resolution": "hour", **BETWEEN}),
    "seconds": (["2020-01-01 10:00:01"], {"type": "datetime", "resolution": "second", **BETWEEN}),
    "texts": (["a", "2020-01-01"], {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE}),
    "codes": (["02138", "10001"], {"type": "categorical", "categories": PRIVATE, "missing": PRIVATE}),
    "a zero is no code": (["0", "0.5"], {"type": "real", "decimals": 1, **BETWEEN}),
    "money": (["12", "0.25", ""], {"type": "real", "decimals": 2, **BETWEEN}),
    "measured": (["0.123456", "3.5"], {"type": "real", **BETWEEN}),
    "question marks": (["7", "?"], {"type": "integer", "missing_values": ["?"], **BETWEEN}),
    "nothing": (["", None], {"type": "text", "drop": True}),
    "lists": ([[1], [2]], {"type": "text", "drop": True}),
}


@pytest.mark.parametrize(("values", "expected"), INFERRED.values(), ids=INFERRED.keys())
def test_the_first_type_that_all_values_fit(values: list[Any], expected: dict[str, Any]) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "sure": 1.5})
    schema = draft_schema(frame, infer=True)
    assert schema.to_dict()["columns"]["x"] == expected
    assert schema.types_from_records
    assert survives_json(schema)
    conform(frame, schema)  # usable at once, and nothing breaks it


def test_categories_are_kept_as_stored() -> None:
    frame = pd.DataFrame({"x": pd.Categorical(["1", "2"])})
    assert draft_schema(frame, infer=True).columns["x"].type == "categorical"


def test_a_csv_draft_from_values_fits_its_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(0, 99, 50),
            "cost": rng.random(50),
            "seen": pd.date_range("2020-01-01", periods=50),
            "sex": rng.choice(["F", "M"], 50),
            "ill": rng.random(50) < 0.5,
        }
    )
    table.to_csv(path, index=False)
    schema = draft_schema(path, infer=True)
    assert [column.type for column in schema.columns.values()] == [
        "integer",
        "real",
        "datetime",
        "categorical",
        "boolean",
    ]
    pd.testing.assert_frame_equal(conform(read_table(path), schema).frame, conform(table, schema).frame)


def test_unusable_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"there is no file '.*nowhere\.csv'"):
        draft_schema(tmp_path / "nowhere.csv")
    with pytest.raises(TableError, match=r"there is no file '.*nowhere\.parquet'"):
        draft_schema(tmp_path / "nowhere.parquet")
    (tmp_path / "t.csv").write_text("a,a\n")
    with pytest.raises(TableError, match=r"columns 1 and 2 of .* have the same name"):
        draft_schema(tmp_path / "t.csv")
    with pytest.raises(TableError, match="expected column names that are texts in the table, got 0"):
        draft_schema(pd.DataFrame([[1]]))
    with pytest.raises(TableError, match=r"expected a file name ending in \.csv"):
        draft_schema(tmp_path / "t.txt")
