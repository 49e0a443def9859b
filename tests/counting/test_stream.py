"""Records that are read in parts give the answers that they give in memory."""

from __future__ import annotations

import dataclasses
import itertools
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privsynth.counting import persons as of_persons
from privsynth.counting import stream
from privsynth.counting import values as values_of
from privsynth.counting.coded_rows import RowFile
from privsynth.counting.memory import RecordsInMemory
from privsynth.counting.persons import StreamedWeights, hashes, last_used, seed_of
from privsynth.counting.stream import StreamedRecords
from privsynth.domains.coding import coding_of_breaks
from privsynth.domains.doubling import doubling_bins
from privsynth.errors import SchemaError, TableError
from privsynth.io.tables import open_table
from privsynth.privacy.units import PERSON_GRID, Weighting
from privsynth.records import spool, streams
from privsynth.records.coerce import names_of_persons
from privsynth.records.conform import conform, needed_columns
from privsynth.records.streams import CHANGED, open_stream
from privsynth.schema import Schema
from privsynth.synthesizers.tables.fine_domains import least_held
from tests.helpers.messy import CAP, COLUMNS, PERSONS, RECORDS, codings, messy
from tests.helpers.predictable import PredictableSourceForTests

SETS = [columns for k in range(4) for columns in itertools.combinations(codings(), k)]
STRICT = Schema(
    {name: {key: of[key] for key in of if key != "missing"} for name, of in COLUMNS.items()},
    max_records_per_person=CAP,
)
OF_UNITS = {"record": RECORDS, "person": PERSONS}
of_each_unit = pytest.mark.parametrize("unit", OF_UNITS)


@pytest.fixture(autouse=True)
def _few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ROWS_AT_ONCE", 111)


def parquet(frame: pd.DataFrame, folder: Path) -> Path:
    """Write a folder of a few files of small row groups."""
    folder.mkdir()
    for i, start in enumerate(range(0, len(frame), 400)):
        part = pa.Table.from_pandas(frame[start : start + 400], preserve_index=False)
        pq.write_table(part, folder / f"part-{i}.parquet", row_group_size=150)
    return folder


def csv(frame: pd.DataFrame, folder: Path) -> list[Path]:
    folder.mkdir()
    for i, start in enumerate(range(0, len(frame), 400)):
        frame[start : start + 400].to_csv(folder / f"part-{i}.csv", index=False)
    return sorted(folder.iterdir())


SOURCES: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "Parquet": parquet,
    "CSV": csv,
    "reader": lambda frame, _: pa.Table.from_pandas(frame, preserve_index=False).to_reader(170),
    "frame": lambda frame, _: frame,
}
of_each_source = pytest.mark.parametrize("source", SOURCES)


def in_parts(given: Any, schema: Schema, seed: int = 0) -> StreamedRecords:
    opened = open_stream(
        open_table(given, needed_columns(schema), schema=schema), schema, on_violation="clip"
    )
    return StreamedRecords(
        opened,
        max_records_per_person=schema.max_records_per_person,
        secret=PredictableSourceForTests(seed),
    )


def in_memory(given: Any, schema: Schema, seed: int = 0) -> RecordsInMemory:
    """Return the records in memory, cut as a stream cuts them, worked out person by person."""
    table = open_table(given, schema=schema).frame()
    records = conform(table, schema, on_violation="clip")
    held = RecordsInMemory(records, max_records_per_person=10**9, secret=PredictableSourceForTests(1))
    if records.persons is None:
        return RecordsInMemory(records, max_records_per_person=None, secret=PredictableSourceForTests(1))
    key = PredictableSourceForTests(seed).read(32)
    codes, names, _ = names_of_persons(table["who"])
    rows, weights = [], []
    for code in range(len(names)):
        own = np.flatnonzero(codes == code)
        seeds = np.full(len(own), seed_of(names[code], key), dtype=np.uint64)
        kept = own[np.argsort(hashes(seeds, np.arange(len(own))))[:CAP]]
        rows += [*kept]
        weights += [PERSON_GRID // len(kept)] * len(kept)
    alone = np.flatnonzero(codes < 0)
    rows, weights = np.r_[rows, alone].astype(int), np.r_[weights, [PERSON_GRID] * len(alone)].astype(int)
    order = np.argsort(rows)
    rows, weights = rows[order], weights[order]
    held.weighting = Weighting(rows, weights, PERSON_GRID, CAP, records.persons[rows])
    held.frame = records.frame.iloc[rows]
    return held


# -- equal answers ---------------------------------------------------------------------------------------


@of_each_unit
@of_each_source
def test_no_cell_of_any_table_differs(source: str, unit: str, tmp_path: Path) -> None:
    schema, frame = OF_UNITS[unit], messy()
    given = SOURCES[source](frame, tmp_path / "rows")
    whole = SOURCES[source](frame, tmp_path / "again")
    held, streamed = in_memory(whole, schema), in_parts(given, schema)
    assert len(SETS) == 93
    tables = zip(SETS, held.tables(SETS, codings()), streamed.tables(SETS, codings()), strict=True)
    for columns, expected, found in tables:
        assert found.dtype == np.int64
        assert np.array_equal(expected, found), columns
    for name in ("age", "cost", "dose", "seen"):
        bins = {name: doubling_bins(schema.columns[name].step)}
        assert np.array_equal(*(next(h.tables([(name,)], bins)) for h in (held, streamed)))


@of_each_unit
@of_each_source
def test_rows_are_those_of_memory_and_each_unit_has_its_own_side_by_side(
    source: str, unit: str, tmp_path: Path
) -> None:
    schema, frame = OF_UNITS[unit], messy()
    given = SOURCES[source](frame, tmp_path / "rows")
    whole = SOURCES[source](frame, tmp_path / "again")
    by, everything = codings(), slice(None)
    records = in_parts(given, schema)
    held, streamed = in_memory(whole, schema).rows(by), records.rows(by)
    expected, found = held.take(everything).numpy(), streamed.take(everything).numpy()
    assert len(held) == len(streamed) == len(found)
    assert records.rows(by) is streamed
    turned = records.rows(dict(reversed(by.items())))
    assert np.array_equal(turned.take(everything).numpy(), found[:, ::-1])
    weights = streamed.weighting.of_rows()
    if unit == "record":
        assert np.array_equal(expected, found)
        assert weights is None
        return
    sizes = streamed.weighting.sizes
    persons = held.weighting.persons
    assert sizes is not None
    assert persons is not None
    units = np.split(found, np.cumsum(sizes)[:-1])
    of_memory = [expected[persons == person] for person in np.unique(persons)]
    assert sorted(rows.tolist() for rows in units) == sorted(rows.tolist() for rows in of_memory)
    assert weights is not None
    assert sorted(weights) == sorted(held.weighting.weights)
    assert streamed.weighting.sizes is sizes
    picked = np.array([len(found) - 1, 0, 3])
    assert np.array_equal(streamed.take(picked).numpy(), found[picked])
    drawn = streamed.weighting.poisson_sample(1.0, n_rows=len(found), secret=PredictableSourceForTests(0))
    assert np.array_equal(np.searchsorted(np.cumsum(sizes), drawn, side="right"), np.arange(len(sizes)))


def test_of_a_column_without_codes_every_row_lies_outside() -> None:
    none = coding_of_breaks(np.empty(0))
    nothing = dataclasses.replace(none, missing=-1, size=0)
    file = RowFile({"x": nothing}, 3)
    file.write(slice(0, 3), [np.full(3, -1)])
    assert file.rows(Weighting(None, None, 1, 1)).take(slice(None)).tolist() == [[-1]] * 3


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone tells what is mapped")
def test_coded_rows_lie_in_a_file_that_has_no_name_in_as_few_bytes_as_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, at = parquet(messy(), tmp_path / "rows"), tmp_path / "temporary"
    at.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(at))
    rows = in_parts(given, RECORDS).rows(codings())
    assert list(at.iterdir()) == []
    mapped = [
        line for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines() if str(at) in line
    ]
    assert len(mapped) == 1
    assert mapped[0].endswith("(deleted)")
    assert all(column.itemsize <= 2 for column in rows._columns)


@of_each_unit
def test_the_same_values_and_combinations_occur_in_the_same_order(unit: str, tmp_path: Path) -> None:
    schema = OF_UNITS[unit]
    given = parquet(messy(), tmp_path / "rows")
    held, streamed = in_memory(given, schema), in_parts(given, schema)
    names = [column.name for column in schema.modelled]
    for columns in [(name,) for name in names] + [("town", "sex"), ("ward", "ill", "age"), ("dose", "town")]:
        asked = [schema.columns[name] for name in columns]
        values, counts = held.observed(asked)
        occurs = counts > 0
        found, found_counts = streamed.observed(asked)
        assert counts[occurs].tolist() == found_counts.tolist(), columns
        for expected, of in zip(values, found, strict=True):
            assert expected[occurs].tolist() == of.tolist(), columns


@of_each_unit
@pytest.mark.parametrize("columns", [("town",), ("dose",), ("town", "sex", "cost")])
def test_where_there_are_many_values_rare_ones_are_sorted_out_and_the_others_counted_exactly(
    columns: tuple[str, ...], unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = OF_UNITS[unit]
    asked, least = [schema.columns[name] for name in columns], 3 * (1 if unit == "record" else PERSON_GRID)
    frame = messy()
    frame.loc[::5, ["dose", "town", "cost"]] = 7.5, "Ulm", 7.5
    values, counts = in_memory(frame, schema).observed(asked, least)
    often = counts >= least
    assert 0 < often.sum() < len(counts)
    by_buckets = []
    honest = StreamedRecords._counted_by_buckets

    def noted(*arguments: Any) -> Any:
        by_buckets.append(1)
        return honest(*arguments)

    monkeypatch.setattr(StreamedRecords, "_counted_by_buckets", noted)
    for n_buckets in (3, 50, 2**22):
        monkeypatch.setattr(stream, "N_BUCKETS", n_buckets)
        monkeypatch.setattr(values_of, "N_BUCKETS", n_buckets)
        for many, waiting in ((0, 50), (10**9, 10**9)):
            monkeypatch.setattr(stream, "MANY_VALUES", many)
            monkeypatch.setattr(values_of, "WAITING", waiting)
            by_buckets.clear()
            found, found_counts = in_parts(frame, schema).observed(asked, least)
            assert bool(by_buckets) == (many == 0)
            assert found_counts.tolist() == counts[often].tolist()
            for expected, of in zip(values, found, strict=True):
                assert expected[often].tolist() == of.tolist()


def test_the_least_count_is_a_function_of_a_released_number() -> None:
    assert [least_held(n) for n in (0.0, 2.0**21, 2.0**21 + 1, 5e7)] == [1, 1, 2, 24]


@of_each_unit
def test_cut_tables_are_the_same(unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = OF_UNITS[unit]
    given = parquet(messy(), tmp_path / "rows")
    held, streamed = in_memory(given, schema), in_parts(given, schema)
    for n_at_once in (10**6, 100):
        monkeypatch.setattr("privsynth.counting.stream.CUT_ROWS_AT_ONCE", n_at_once)
        for columns in (("sex",), ("town", "age")):
            expected = held.cut_table(columns, codings(), 0.3)
            assert np.array_equal(expected, streamed.cut_table(columns, codings(), 0.3))
            assert expected.sum() > 0


@of_each_unit
def test_a_table_without_rows_has_tables_of_zeros(unit: str) -> None:
    streamed = in_parts(messy()[:0], OF_UNITS[unit])
    assert all(table.sum() == 0 for table in streamed.tables(SETS[:12], codings()))
    assert [len(of) for of in streamed.observed([PERSONS.columns["town"]])[0]] == [0]


def test_only_codings_that_look_up_each_value_by_itself_are_taken() -> None:
    class Other:
        size = 2

    with pytest.raises(TypeError, match="codings are data"):
        next(in_parts(messy(20), RECORDS).tables([("sex",)], {"sex": Other()}))  # type: ignore[dict-item]  # the point


# -- the schema ------------------------------------------------------------------------------------------


@of_each_source
def test_a_table_that_breaks_its_schema_is_refused_in_the_same_words(source: str, tmp_path: Path) -> None:
    for start in (0, 700):  # rules come up in another order
        frame = pd.concat([messy()[start:], messy()[:start]])
        given = SOURCES[source](frame, tmp_path / f"rows{start}")
        again = SOURCES[source](frame, tmp_path / f"again{start}")
        with pytest.raises(SchemaError) as whole:
            conform(again, STRICT)
        with pytest.raises(SchemaError) as parts:
            open_stream(open_table(given, schema=STRICT), STRICT, on_violation="error")
        assert str(parts.value) == str(whole.value)
        assert str(parts.value).count("column") > 10
    with pytest.raises(TableError, match="the table has no rows"):
        open_stream(open_table(messy()[:0]), PERSONS, on_violation="error")


# -- persons ---------------------------------------------------------------------------------------------


def of_rows(ids: list[str | None]) -> StreamedRecords:
    return in_parts(pd.DataFrame(messy(len(ids)).assign(who=ids)), PERSONS)


def test_one_person_more_moves_every_table_by_at_most_one_whatever_the_order_of_rows() -> None:
    frame = messy(600)
    counts = frame["who"][frame["who"].str.strip() != ""].value_counts()
    assert counts.max() > 3 * CAP
    table, pairs = in_parts(frame, PERSONS), SETS[:37]
    before = [*table.tables(pairs, codings())]
    for who in counts.index[:6]:
        without = [*in_parts(frame[frame["who"] != who], PERSONS).tables(pairs, codings())]
        for with_all, fewer in zip(before, without, strict=True):
            moved = with_all - fewer
            assert (moved >= 0).all()  # nobody else's rows are chosen anew
            assert moved.sum() <= PERSON_GRID
        assert before[0] - without[0] > 0.99 * PERSON_GRID


def last_of(seed: int, n_rows: int, cap: int) -> np.uint64:
    return last_used(np.array([seed], dtype=np.uint64), np.array([n_rows]), cap)[0]


def test_every_row_of_a_person_is_used_equally_often() -> None:
    n_rows, n_runs, used = 9, 4000, np.zeros(9)
    for run in range(n_runs):
        seed = seed_of("a", run.to_bytes(32, "little"))
        hashed = hashes(np.full(n_rows, seed, dtype=np.uint64), np.arange(n_rows))
        used += hashed <= last_of(seed, n_rows, CAP)
    assert used.sum() == n_runs * CAP
    # 5.5 standard deviations of a binomial count
    share = CAP / n_rows
    assert np.abs(used - n_runs * share).max() < 5.5 * np.sqrt(n_runs * share * (1 - share))


def test_the_choice_is_the_same_however_many_rows_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = np.uint64(seed_of("a", bytes(32)))
    n_rows = np.array([8, 1000, 9, 64, 65, 60, 20])
    seeds = seed + np.arange(7, dtype=np.uint64)
    whole = last_used(seeds, n_rows, 7)
    for n_at_once in (64, 1):
        monkeypatch.setattr(of_persons, "ROWS_AT_ONCE", n_at_once)
        assert last_used(seeds, n_rows, 7).tolist() == whole.tolist()
    for seed_, n, last in zip(seeds, n_rows, whole, strict=True):
        assert np.sort(hashes(np.full(n, seed_), np.arange(n)))[6] == last


def test_the_key_is_fresh_in_every_run() -> None:
    frame = messy(600)
    first, other = (next(in_parts(frame, PERSONS, seed).tables([("age",)], codings())) for seed in (0, 1))
    assert first.sum() == other.sum()
    assert not np.array_equal(first, other)


def test_a_person_who_would_count_more_than_once_is_refused() -> None:
    records = of_rows(["a"] * 3 + ["b"])
    assert next(records.tables([()], {})) == 2 * PERSON_GRID - PERSON_GRID % 3
    records._weights._n_used[:] = 1  # stale: what was counted before a has three rows
    records._tables.clear()
    with pytest.raises(TableError, match="the records were changed while they were read"):
        next(records.tables([()], {}))


def test_a_person_with_other_rows_than_were_counted_is_refused() -> None:
    records = of_rows(["a", "a", "b"])
    records._weights._n_rows = np.array([2, 2])
    with pytest.raises(TableError, match="the records were changed"):
        next(records.tables([()], {}))


def test_rows_that_were_added_between_two_passes_are_refused(tmp_path: Path) -> None:
    records = in_parts(messy(), RECORDS)
    honest, n_passes = records._rows, []

    def growing(names: Any) -> Any:
        n_passes.append(1)
        parts = list(honest(names))
        yield from parts if len(n_passes) == 1 else [*parts, parts[0]]

    records._rows = growing
    with pytest.raises(TableError, match="the records were changed"):
        records.rows(codings())


# -- files -----------------------------------------------------------------------------------------------


def change(folder: Path, how: str) -> None:
    path = folder / "part-1.parquet"
    if how == "another file":
        path.with_name("part-9.parquet").write_bytes(path.read_bytes())
    elif how == "a file less":
        (folder / "part-2.parquet").unlink()
    elif how == "rows added":
        pq.write_table(pa.concat_tables([pq.read_table(path)] * 2), path)
    else:  # other rows, in a file as long and as old
        before = path.stat()
        content = path.read_bytes()
        path.write_bytes(content[:-30] + bytes(b ^ 1 for b in content[-30:-12]) + content[-12:])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("how", ["another file", "a file less", "rows added", "another footer"])
def test_what_is_counted_of_files_that_were_changed_is_dropped(how: str, tmp_path: Path) -> None:
    for i, pattern in enumerate(("", "/*.parquet")):
        folder = parquet(messy(), tmp_path / f"rows{i}")
        source = open_table(f"{folder}{pattern}", schema=RECORDS)
        version = source.version()
        assert version == source.version()
        opened = open_stream(source, RECORDS, on_violation="clip")
        records = StreamedRecords(opened, max_records_per_person=None, secret=PredictableSourceForTests(0))
        next(records.tables([("sex",)], codings()))
        change(folder, how)
        assert source.version() != version
        with pytest.raises(TableError) as refused:
            next(records.tables([("age",)], codings()))
        assert str(refused.value) == CHANGED


def test_rows_that_are_kept_lie_in_a_file_without_a_name_that_its_owner_alone_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    records = in_parts(messy(), PERSONS)
    file = os.fstat(records._stream._spool._file.fileno())
    assert file.st_size > 1000
    assert (file.st_nlink, stat.S_IMODE(file.st_mode)) == (0, 0o600)
    assert [*tmp_path.iterdir()] == []
    assert isinstance(records._weights, StreamedWeights)
    assert records._stream.names == {}


def test_what_a_stream_gave_already_is_not_taken_for_all_of_it() -> None:
    source = open_table(pa.Table.from_pandas(messy(300)).to_reader())
    open_stream(source, RECORDS, on_violation="clip")
    with pytest.raises(TableError, match="cannot be read again"):
        source.column("sex")
