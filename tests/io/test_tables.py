"""Every kind of source is opened by its type, gives the same table, and no record before it is asked."""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import privsynth
from privsynth.cli import main
from privsynth.errors import BudgetExceededError, SchemaError, TableError
from privsynth.io.source import Source
from privsynth.io.tables import open_table, read_table, table_name
from privsynth.ledger.ledger import Ledger
from privsynth.metrics.common.tables import load_tables
from privsynth.records.conform import conform
from privsynth.records.splitting import split, write_split
from privsynth.schema import Schema
from tests.helpers.tables import PATIENTS, QUICK, patients

TABLE = pd.DataFrame(
    {"sex": ["F", "M", None, "M\0"], "age": [34, 51, 29, 62], "ill": [True, False, True, True]}
)


class Rows:
    """A table of another library, of which nothing is known but the interface."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def polars(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("polars", reason="no dependency, only a source").from_arrow(arrow(frame))


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def written(frame: pd.DataFrame, path: Path, *, is_text: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".parquet"):
        pq.write_table(arrow(frame), path)
    else:
        frame.to_csv(path, index=False)
    return path


def parts(frame: pd.DataFrame, folder: Path, suffix: str) -> list[Path]:
    return [written(frame[i : i + 3], folder / f"visits-{i}{suffix}") for i in range(0, len(frame), 3)]


KINDS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "frame": lambda frame, _: frame,
    "source": lambda frame, _: open_table(frame),
    "Arrow table": lambda frame, _: arrow(frame),
    "dataset": lambda frame, folder: (
        parts(frame, folder, ".parquet") and ds.dataset(sorted(map(str, folder.glob("visits-*"))))
    ),
    "Arrow batch": lambda frame, _: arrow(frame).to_batches()[0],
    "Arrow reader": lambda frame, _: arrow(frame).to_reader(max_chunksize=3),
    "Polars frame": lambda frame, _: polars(frame),
    "another library": lambda frame, _: Rows(arrow(frame)),
    "CSV": lambda frame, folder: written(frame, folder / "visits.csv"),
    "gzipped CSV": lambda frame, folder: written(frame, folder / "visits.csv.gz"),
    "Parquet": lambda frame, folder: str(written(frame, folder / "visits.parquet")),
    "folder": lambda frame, folder: parts(frame, folder, ".parquet") and folder,
    "pattern of CSV": lambda frame, folder: parts(frame, folder, ".csv") and str(folder / "visits-*.csv"),
    "pattern of Parquet": lambda frame, folder: (
        parts(frame, folder, ".parquet") and folder / "*-[0-9]*.parquet"
    ),
    "list of CSV": lambda frame, folder: parts(frame, folder, ".csv.gz"),
    "list of Parquet": lambda frame, folder: [str(path) for path in parts(frame, folder, ".parquet")],
}
of_every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def meant(column: pd.Series) -> list[str | None]:
    return [None if value in ("", None) or value != value else str(value) for value in column.tolist()]


@of_every_kind
def test_every_kind_gives_the_same_table(kind: Callable[..., Any], tmp_path: Path) -> None:
    source = open_table(kind(TABLE, tmp_path))
    assert isinstance(source, Source)
    assert (source.names, source.n_rows) == (["sex", "age", "ill"], 4)
    for _ in range(2):  # a stream, too, may be asked again
        for name in reversed(source.names):
            assert meant(source.column(name)) == meant(TABLE[name])
    pd.testing.assert_index_equal(source.frame().columns, TABLE.columns)


@of_every_kind
def test_the_same_records_come_of_every_kind(kind: Callable[..., Any], tmp_path: Path) -> None:
    table = patients(7).assign(ward=[1, 2, None, 3, 1, 1, None])
    expected = conform(table, PATIENTS).frame
    pd.testing.assert_frame_equal(conform(kind(table, tmp_path), PATIENTS).frame, expected)


@of_every_kind
def test_of_every_kind_no_record_is_asked_for_before_the_budget_is_reserved(
    kind: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.set_limit("patients", epsilon=0.5, delta=1e-6)
    source = open_table(kind(patients(20).assign(age=1000), tmp_path))
    asked: list[str] = []

    def ask(what: str) -> None:
        asked.append(what)
        raise AssertionError

    monkeypatch.setattr(type(source), "column", lambda self, name: ask(name))
    monkeypatch.setattr(type(source), "n_rows", property(lambda self: ask("n_rows")))
    synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, settings=QUICK)
    with pytest.raises(BudgetExceededError, match="Nothing was read"):
        synthesizer.fit(source, schema=PATIENTS, dataset="patients", ledger=ledger)
    assert asked == []
    assert ledger.datasets()[0].noiseless_stops == 0


def test_of_a_stream_no_batch_is_drawn_before_the_budget_is_reserved(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.set_limit("patients", epsilon=0.5, delta=1e-6)
    table, drawn = arrow(patients(20)), []

    def batches() -> Iterator[pa.RecordBatch]:
        drawn.append(1)
        yield from table.to_batches()

    reader = pa.RecordBatchReader.from_batches(table.schema, batches())
    synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, settings=QUICK)
    with pytest.raises(BudgetExceededError):
        synthesizer.fit(reader, schema=PATIENTS, dataset="patients", ledger=ledger)
    assert drawn == []
    with pytest.raises(SchemaError, match="no column 'seen'"):
        synthesizer.fit(table.drop_columns("seen").to_reader(), schema=PATIENTS, ledger=ledger)


def test_what_breaks_off_is_said_without_what_its_maker_says() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from arrow(TABLE).to_batches()
        raise ValueError("SECRET")

    source = open_table(pa.RecordBatchReader.from_batches(arrow(TABLE).schema, batches()))
    with pytest.raises(TableError, match="the RecordBatchReader cannot be read: its stream") as caught:
        source.column("age")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(TableError, match="the ChunkedArray cannot be read as an Arrow table"):
        open_table(pa.chunked_array([["SECRET"]]))  # type: ignore[arg-type]  # the point


def test_categories_of_arrow_may_repeat_or_be_missing() -> None:
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["F", None, "F"]))
    assert meant(open_table(pa.table({"x": codes})).column("x")) == ["F", None, "F", None]


# -- files -----------------------------------------------------------------------------------------------


def test_folders_named_by_values_are_columns_below_what_a_pattern_leaves_open(tmp_path: Path) -> None:
    for sex in ("01", "1"):
        written(TABLE[["age"]][:1], tmp_path / "run=7" / f"sex={sex}" / "p.parquet")
    for given in (
        tmp_path / "run=7",
        tmp_path / "run=7" / "*" / "p.parquet",
        f"{tmp_path}/run=7/**/*.parquet",
    ):
        assert read_table(given).to_numpy().tolist() == [[34, "01"], [34, "1"]]


def test_files_of_one_table_have_the_same_columns_in_any_order(tmp_path: Path) -> None:
    for suffix in (".csv", ".parquet"):
        first = written(TABLE, tmp_path / f"a{suffix}")
        other = written(TABLE[["ill", "sex", "age"]], tmp_path / f"b{suffix}")
        both = read_table([first, other])
        assert (both["age"].astype(int).tolist(), len(both)) == ([34, 51, 29, 62] * 2, 8)
        lacking = written(TABLE[["sex", "age"]], tmp_path / f"c{suffix}")
        with pytest.raises(TableError, match="do not have the same columns; write them alike"):
            open_table([first, lacking])


def test_the_fields_of_a_file_without_names_are_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,town\nx,y\n")
    (tmp_path / "b.csv").write_text("SECRET,z\n")
    with pytest.raises(TableError, match="do not have the same columns") as caught:
        open_table(tmp_path / "*.csv")
    assert "SECRET" not in str(caught.value)


def test_how_several_files_are_written_is_said_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("a;b\n1;2\n")
    with pytest.warns(UserWarning, match="is read as split at semicolon") as said:
        assert open_table(tmp_path / "*.csv").n_rows == 2
    assert len(said) == 1


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    assert open_table(written(TABLE, tmp_path / "visits[1].csv")).n_rows == 4
    assert table_name(tmp_path / "visits[1].csv") == "visits[1]"


NAMES = {
    "visits.csv": "visits",
    "visits.csv.gz": "visits",
    "data/visits.parquet": "visits",
    "digits.npz": "digits",
    "data/visits/": "visits",
    "data/visits-*.parquet": "visits",
    "visits_20??.csv": "visits_20",
    "data/visits/*.parquet": "visits",
    "data/visits/**/*.parquet": "visits",
    "data/visits/*/*.csv": "visits",
    "data/visits/sex=*/part-*.parquet": "visits",
    "data/visits/year=2020/*.csv": "visits",
}


@pytest.mark.parametrize("slip", ["duckdb:/clinic.duckdb#visits", "postgresql:me:SECRET@db/clinic#visits"])
def test_an_address_without_its_slashes_is_told_and_not_quoted(slip: str) -> None:
    with pytest.raises(TableError, match="expected two slashes in the address") as refused:
        open_table(slip)
    assert "clinic" not in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(("path", "name"), NAMES.items())
def test_a_data_set_is_named_by_its_files(path: str, name: str) -> None:
    assert table_name(path) == name
    assert table_name([path]) is None


UNOPENED: dict[str, tuple[Any, str]] = {
    "an engine": (
        "mysql://me:SECRET@host/db#visits",
        r"expected a table: a pandas DataFrame; .*; got a mysql:// address$",
    ),
    "nothing": ([], "expected a table: .*; got list"),
    "a series": (pd.Series([1]), "expected a table: .*; got Series"),
    "two kinds": (
        ["a.csv", "b.parquet"],
        r"expected files of one kind, that all end in \.csv, .*\.parquet",
    ),
    "no match": ("nowhere-*.csv", r"there is no file that matches 'nowhere-\*\.csv'"),
}


@pytest.mark.parametrize(("given", "message"), UNOPENED.values(), ids=UNOPENED)
def test_what_is_no_source_is_told_which_there_are(given: Any, message: str) -> None:
    with pytest.raises(TableError, match=message) as caught:
        open_table(given)
    assert "SECRET" not in str(caught.value)


# -- wherever a table is taken -----------------------------------------------------------------------------

SCHEMA = Schema(
    {
        "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        "age": {"type": "integer", "low": 0, "high": 99},
    }
)


@of_every_kind
def test_every_kind_is_fitted_split_checked_drafted_and_compared(
    kind: Callable[..., Any], tmp_path: Path
) -> None:
    table = patients(60)[["sex", "age"]]

    def given() -> Any:
        return kind(table, tmp_path)

    model = privsynth.MarginalSynthesizer(epsilon=None, settings=QUICK, random_state=0)
    model.fit(given(), schema=SCHEMA)
    assert len(model.sample(5)) == 5
    assert sum(map(len, split(given(), SCHEMA, random_state=0))) == 60
    assert privsynth.check(given(), SCHEMA).is_clean
    assert list(privsynth.draft_schema(given(), infer=True).columns) == ["sex", "age"]
    compared = load_tables(given(), given(), schema=SCHEMA, holdout=given(), non_private=[given()])
    assert [len(compared.real.frame), len(compared.synthetic.frame), len(compared.non_private)] == [60, 60, 1]
    whole = model.complete(kind(pd.DataFrame({"sex": ["F"] * 4}), tmp_path / "partial"))
    assert whole["age"].notna().tolist() == [True] * 4
    women = kind(pd.DataFrame({"sex": ["F"] * 4}), tmp_path / "women")
    assert set(model.sample(6, like=women)["sex"]) == {"F"}


def test_a_draft_says_that_types_of_arrow_may_come_from_the_records() -> None:
    table = pa.table({"day": pa.array([1], pa.date32()), "cost": pa.array([1], pa.decimal128(9, 2))})
    schema = privsynth.draft_schema(table)
    assert schema.types_from_records
    assert [column.type for column in schema.columns.values()] == ["datetime", "real"]
    of_frame = privsynth.draft_schema(table.to_pandas(types_mapper=pd.ArrowDtype))
    assert of_frame.to_dict() == schema.to_dict()


def test_what_attrs_say_of_rows_comes_with_an_arrow_table() -> None:
    table = TABLE.copy()
    table.attrs = {"not_covered": ["like"]}
    assert open_table(arrow(table)).attrs == {"not_covered": ["like"]}
    assert read_table(arrow(table)).attrs == {"not_covered": ["like"]}


def test_a_pattern_of_the_parts_of_a_split_is_no_part(tmp_path: Path) -> None:
    from privsynth.metrics.leakage.membership import split_by_chance

    train, holdout = write_split(patients(50), PATIENTS, tmp_path)
    assert split_by_chance(train, holdout, PATIENTS)
    assert not split_by_chance(str(tmp_path / "tr*.parquet"), holdout, PATIENTS)
    assert not split_by_chance(tmp_path, holdout, PATIENTS)


def test_the_command_line_takes_patterns_and_leaves_addresses_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts(patients(6)[["sex", "age"]], tmp_path, ".csv.gz")
    SCHEMA.save(tmp_path / "schema.json")
    for table, code in ((f"{tmp_path}/visits-*.csv.gz", 0), ("duckdb://visits.db#visits", 2)):
        with pytest.raises(SystemExit) as stopped:
            main(["check", table, "--schema", str(tmp_path / "schema.json")])
        assert int(stopped.value.code or 0) == code
    assert re.search(
        "DuckDB cannot be reached|tables in DuckDB are read through Ibis", capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        main(["schema", f"{tmp_path}/visits-*.csv.gz", "-o", str(tmp_path / "draft.json")])
    assert f"`privsynth check '{tmp_path}/visits-*.csv.gz' --schema" in capsys.readouterr().err


def test_gzip_is_known_by_the_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert open_table(tmp_path / "t.csv.gz").column("a").tolist() == ["1"]


def unreadable(kind: str, tmp_path: Path) -> Any:
    """Return a table of which one text is not UTF-8 and one date lies beyond the year 9999."""
    town = pa.array([b"Ulm", b"Ren\xe9", b"Bonn", b"Ulm"]).view(pa.string())
    day = pa.array([0, 1, 2_932_897, 3], pa.int32()).view(pa.date32())
    rows = pa.table({"town": town, "day": day, "ill": [True, False, True, False]})
    if kind == "Arrow":
        return rows
    pq.write_table(rows, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


UNREADABLE = Schema(
    {
        "town": {"type": "categorical", "categories": ["Ulm", "Bonn"]},
        "day": {"type": "datetime", "low": "1970-01-01", "high": "1979-12-31"},
        "ill": {"type": "boolean"},
    }
)


@pytest.mark.parametrize("kind", ["Arrow", "Parquet"])
def test_a_value_that_is_none_of_its_type_stops_nothing_under_clip_and_is_never_quoted(
    kind: str, tmp_path: Path
) -> None:
    source = open_table(unreadable(kind, tmp_path), schema=UNREADABLE)
    held = conform(source, UNREADABLE, on_violation="clip").frame
    assert held["town"].cat.codes.tolist() == [0, -1, 1, 0]
    assert held["day"].isna().tolist() == [False, False, True, False]
    with pytest.raises(SchemaError) as refused:
        conform(open_table(unreadable(kind, tmp_path), schema=UNREADABLE), UNREADABLE)
    assert "Ren" not in str(refused.value)
    assert all(word in str(refused.value) for word in ("column 'town'", "column 'day'"))


def test_the_name_of_a_file_that_matches_stays_out_of_messages(tmp_path: Path) -> None:
    for value, text in (("SECRET1", "a;b\n1;2\n"), ("SECRET2", "a;b\n1;2;3\n"), ("SECRET3", "")):
        folder = tmp_path / f"patient={value}"
        folder.mkdir()
        (folder / "x.csv").write_text(text)
    with pytest.warns(UserWarning, match="file 1 of .* is read as split at semicolon") as warned:
        source = open_table(str(tmp_path / "patient=*[12]" / "x.csv"))
    told = [str(warning.message) for warning in warned]
    with pytest.raises(TableError, match=r"file 2 of .* line 2 has 3 fields") as ragged:
        _ = source.n_rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TableError, match=r"file 3 of .* is empty") as empty:
            open_table(str(tmp_path / "*" / "x.csv"))
    for text in (*told, str(ragged.value), str(empty.value)):
        assert "SECRET" not in text


def test_a_folder_without_tables_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "visits").mkdir()
    (tmp_path / "visits" / "note.txt").write_text("SECRET")
    with pytest.raises(
        TableError, match=r"expected a folder of Parquet files or .*visits' has none"
    ) as refused:
        open_table(tmp_path / "visits")
    assert "SECRET" not in str(refused.value)
