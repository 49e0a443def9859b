"""Encoded blocks: the same files as whole frames make, however the columns come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from privsynth.io.arrow import as_arrow
from privsynth.io.blocks import TableFile, write_encoded
from privsynth.schema.times import TimeFormat

N = 6
FRAME = pd.DataFrame(
    {
        "n": np.arange(N) - 2,
        "gaps": pd.array([1, None, 3, None, -5, 2**53], dtype="Int64"),
        "real": [0.1, np.nan, 1e16, 1e-7, -0.25, 100000.0],
        "text": ['a,"b"', "line\nbreak", "", None, "ä€", " x\r"],
        "flag": [True, False, True, True, False, False],
        "maybe": pd.Series([True, None, False, None, True, None], dtype=object),
        "day": pd.to_datetime(["2020-01-01", "2021-12-31", None, "1999-02-28", "2020-01-01", None]),
        "hour": pd.to_datetime(["2020-01-01 05:00", "2021-12-31 00:00"] * 3).astype("datetime64[s]"),
        "listed": pd.Series(["b", None, "a", "b", "b", 'say "a"'], dtype=object),
        "number": [2.5, 1.0, 2.5, 1.0, 1.0, 2.5],
    }
)
FRAME["day"] = FRAME["day"].astype("datetime64[s]")
LISTED = ("flag", "maybe", "listed", "number")  # which are drawn as codes


def columns_of(frame: pd.DataFrame) -> dict[str, pd.Series]:
    return {name: of.astype("category") if name in LISTED else of for name, of in frame.items()}


def written(path: Path, frame: pd.DataFrame, *, apart: set[str], formats: dict | None = None) -> Path:
    """Write a frame in two blocks, some columns encoded by themselves, as those are that are made beside."""
    file = TableFile.like(path, frame, formats or {})
    blocks = []
    for part in (frame.iloc[:4], frame.iloc[4:].reset_index(drop=True)):
        columns = columns_of(part)
        drawn = file.encoder.encode({name: of for name, of in columns.items() if name not in apart})
        made = file.encoder.encode({name: of for name, of in columns.items() if name in apart})
        blocks.append({"": ({**drawn, **made}, len(part))})
    assert write_encoded(iter(blocks), {"": file}, force=False, progress=lambda n: None) == {"": len(frame)}
    return path


@pytest.mark.parametrize("apart", [set(), {"n"}, {"number"}, {"gaps", "text", "hour"}, set(FRAME.columns)])
def test_lines_are_those_that_pandas_writes(tmp_path: Path, apart: set[str]) -> None:
    path = written(tmp_path / "t.csv", FRAME, apart=apart)
    parts = [FRAME.iloc[:4], FRAME.iloc[4:]]
    expected = parts[0].to_csv(index=False, lineterminator="\n")
    expected += parts[1].to_csv(index=False, lineterminator="\n", header=False)
    assert path.read_bytes().decode() == expected


@pytest.mark.parametrize("name", FRAME.columns)
def test_a_column_alone_has_no_empty_line(tmp_path: Path, name: str) -> None:
    frame = FRAME[[name]]
    path = written(tmp_path / "t.csv", frame, apart=set())
    whole = frame.iloc[:4].to_csv(index=False, lineterminator="\n")
    assert path.read_bytes().decode() == whole + frame.iloc[4:].to_csv(
        index=False, lineterminator="\n", header=False
    )
    assert b"\n\n" not in path.read_bytes()


def test_datetimes_are_written_as_declared(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", FRAME[["day"]], apart=set(), formats={"day": TimeFormat("%d.%m.%Y")})
    assert path.read_text().splitlines() == [
        "day", "01.01.2020", "31.12.2021", '""', "28.02.1999", "01.01.2020", '""',
    ]  # fmt: skip


def test_a_parquet_file_is_that_of_the_frame(tmp_path: Path) -> None:
    frame = FRAME.drop(columns="real")
    frame.attrs["told"] = {"a": 1}
    path = written(tmp_path / "t.parquet", frame, apart={"n", "text"})
    found, expected = pyarrow.parquet.read_table(path), as_arrow(frame)
    milliseconds = pyarrow.timestamp("ms")  # Parquet counts no seconds
    for name in ("day", "hour"):
        at = expected.column_names.index(name)
        expected = expected.set_column(at, name, expected.column(name).cast(milliseconds))
    assert found.schema.equals(expected.schema)
    assert found.equals(expected)
    assert pd.read_parquet(path)["listed"].dtype == object
    assert pd.read_parquet(path).attrs == {"told": {"a": 1}}


def test_only_columns_of_few_values_are_listed_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"few": np.arange(1000) // 10 % 7, "many": np.arange(1000)})
    group = pyarrow.parquet.ParquetFile(
        written(tmp_path / "t.parquet", frame, apart=set())
    ).metadata.row_group(1)
    assert ["RLE_DICTIONARY" in group.column(i).encodings for i in (0, 1)] == [True, False]
