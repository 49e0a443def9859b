"""Fits that read their table in parts release what fits in memory release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import privsynth
from privsynth.accounting.budget import Spend
from privsynth.cli import main
from privsynth.counting.holding import hold
from privsynth.errors import ParameterError, SchemaError, TableError
from privsynth.io.parquet_files import ParquetSource
from privsynth.io.tables import open_table
from privsynth.ledger.ledger import Ledger
from privsynth.models.tables.gan import GanOptions
from privsynth.privacy.curator import Curator
from privsynth.records import streams
from privsynth.records.conform import conform
from privsynth.records.streams import CHANGED, open_stream
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers.tables import base
from privsynth.synthesizers.tables.dpgan import DPGANSettings
from privsynth.synthesizers.tables.pategan import PATEGANSettings
from privsynth.synthesizers.tables.select_measure_fit import fit_marginals
from tests.helpers.messy import COLUMNS, messy
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import PATIENTS, QUICK, patients

TABLE = patients(1500).assign(
    town=messy(1500)["town"], dose=np.random.default_rng(0).lognormal(3.0, 1.0, 1500)
)
SCHEMA = Schema(
    {
        **PATIENTS.to_dict()["columns"],
        "town": COLUMNS["town"],
        "dose": COLUMNS["dose"],
    }
)

FEW_STEPS = DPGANSettings(n_steps=3, batch_size=300, gan=GanOptions(n_states=64, hidden=(8,)))
FEW_VOTES = PATEGANSettings(n_rounds=2, n_states=64, queries_per_round=20)


@pytest.fixture(autouse=True)
def _few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ROWS_AT_ONCE", 211)


def folder(frame: pd.DataFrame, at: Path) -> Path:
    pq.write_to_dataset(pa.Table.from_pandas(frame, preserve_index=False), at / "t", partition_cols=["sex"])
    return at / "t"


def csv(frame: pd.DataFrame, at: Path) -> Path:
    frame.to_csv(at / "t.csv", index=False)
    return at / "t.csv"


SOURCES: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "folders named by values": folder,
    "CSV": csv,
    "reader": lambda frame, _: pa.Table.from_pandas(frame, preserve_index=False).to_reader(100),
    "dataset": lambda frame, _: ds.dataset(pa.Table.from_pandas(frame, preserve_index=False)),
}


def fitted(given: Any, schema: Schema, at: Path, synthesizer: Any = None, **options: Any) -> list[Any]:
    synthesizer = synthesizer or privsynth.MarginalSynthesizer(epsilon=1.0, settings=QUICK, random_state=0)
    synthesizer.fit(
        given,
        schema=schema,
        dataset="visits",
        ledger=at / "ledger.sqlite",
        secret=PredictableSourceForTests(3),
        **options,
    )
    return released(synthesizer.releases_)


def released(releases: Any) -> list[Any]:
    return [(r.key, r.event, r.facts, {k: v.tobytes() for k, v in r.arrays.items()}) for r in releases]


@pytest.mark.parametrize("source", SOURCES)
def test_a_whole_fit_releases_the_same_bit_for_bit(source: str, tmp_path: Path) -> None:
    for at in ("whole", "parts"):
        (tmp_path / at).mkdir()
    whole = fitted(SOURCES[source](TABLE, tmp_path / "whole"), SCHEMA, tmp_path / "whole")
    parts = fitted(SOURCES[source](TABLE, tmp_path / "parts"), SCHEMA, tmp_path / "parts", stream=True)
    assert len(whole) > 20
    assert whole == parts


@pytest.mark.parametrize(
    "make",
    [
        lambda: privsynth.DPGANSynthesizer(epsilon=1.0, settings=FEW_STEPS, random_state=0, device="cpu"),
        lambda: privsynth.PATEGANSynthesizer(epsilon=1.0, settings=FEW_VOTES, random_state=0, device="cpu"),
    ],
    ids=["dpgan", "pategan"],
)
def test_who_learns_from_rows_releases_and_learns_the_same_bit_for_bit(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    whole, parts = make(), make()
    releases = fitted(folder(TABLE, tmp_path), SCHEMA, tmp_path, whole)
    assert releases == fitted(tmp_path / "t", SCHEMA, tmp_path, parts, stream=True)
    assert len(releases) > 5
    assert whole.sample(50, random_state=1).equals(parts.sample(50, random_state=1))


def test_a_whole_fit_of_persons_releases_the_same_bit_for_bit() -> None:
    schema = Schema(COLUMNS, max_records_per_person=200)  # nobody is cut: the draws of the choice differ
    frame, made = messy(), []
    for read in (conform, open_stream):
        records = read(open_table(frame, schema=schema), schema, on_violation="clip")
        store = ReleaseStore()
        curator = Curator(
            schema=schema,
            allowance=Spend(1.0, 1e-7),
            store=store,
            records=hold(records, schema, PredictableSourceForTests(1)),
            charge=lambda event, key: None,
            secret=PredictableSourceForTests(2),
        )
        fit_marginals(curator, QUICK, seed=0, device="cpu", progress=lambda *said: None)
        made.append(released(store))
    assert len(made[0]) > 15
    assert made[0] == made[1]


def test_large_parquet_files_are_read_in_parts_unless_it_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, opened = folder(TABLE, tmp_path), []
    honest = base.open_stream

    def noted(*arguments: Any, **named: Any) -> Any:
        opened.append(1)
        return honest(*arguments, **named)

    monkeypatch.setattr(base, "open_stream", noted)
    size = open_table(given).n_bytes
    assert size == sum(path.stat().st_size for path in given.rglob("*.parquet"))
    for limit, stream, n in ((size, None, 1), (size + 1, None, 0), (size, False, 0), (size + 1, True, 1)):
        opened.clear()
        monkeypatch.setattr(base, "STREAM_FROM_BYTES", limit)
        fitted(given, SCHEMA, tmp_path, stream=stream)
        assert len(opened) == n
    fitted(csv(TABLE, tmp_path), SCHEMA, tmp_path)
    assert len(opened) == 1


def test_sequences_are_read_whole_and_say_so_before_anything_is_reserved(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    of_visits = {"who": {"type": "id", "role": "person_id"}, **PATIENTS.to_dict()["columns"]}
    of_visits["seen"] = of_visits["seen"] | {"role": "order"}
    sequences = Schema(of_visits, max_records_per_person=3)
    visits = patients(30).assign(who=np.arange(30) // 2)
    for kind in (privsynth.DPGANSynthesizer, privsynth.MarginalSynthesizer):
        with pytest.raises(ParameterError, match=r"--stream.* needs its records in memory"):
            kind(epsilon=1.0).fit(visits, schema=sequences, dataset="visits", ledger=ledger, stream=True)
    assert ledger.datasets() == []


def test_files_that_change_during_a_fit_stop_it_and_what_was_charged_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, ledger = folder(TABLE, tmp_path), Ledger(tmp_path / "ledger.sqlite")
    honest, n_passes = ParquetSource.batches, []

    def changing(self: ParquetSource, names: Any, n_rows: int) -> Any:
        n_passes.append(1)
        for batch in honest(self, names, n_rows):
            yield batch
            if len(n_passes) == 5:
                (given / "new.parquet").write_bytes(b"being written")

    monkeypatch.setattr(ParquetSource, "batches", changing)
    synthesizer = privsynth.MarginalSynthesizer(epsilon=1.0, settings=QUICK)
    with pytest.raises(TableError) as stopped:
        synthesizer.fit(given, schema=SCHEMA, dataset="visits", ledger=ledger, stream=True)
    assert str(stopped.value).startswith(CHANGED)
    (run,) = ledger.datasets()[0].runs
    assert (run.status, run.is_stopped) == ("open", True)
    assert run.n_events > 1


def test_a_table_that_breaks_its_schema_stops_the_fit_as_it_does_in_memory(tmp_path: Path) -> None:
    told = []
    for stream in (False, True):
        with pytest.raises(SchemaError, match="column 'ill': a field is missing") as stopped:
            fitted(TABLE.assign(ill=None), SCHEMA, tmp_path / str(stream), stream=stream)
        told.append(str(stopped.value))
    assert told[0] == told[1]


def test_the_command_line_reads_in_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SCHEMA.save(tmp_path / "schema.json")
    given = folder(TABLE, tmp_path)
    files = ["--schema", str(tmp_path / "schema.json"), "-o", str(tmp_path / "m.privsynth")]
    common = ["fit", str(given), "--epsilon", "1", "--ledger", str(tmp_path / "ledger.sqlite"), "--stream"]
    for kind, more, code in (
        ("image-feature", [], 2),
        ("marginal", ["--rows-may-leave"], 2),
        ("marginal", [], 0),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*common, *files, "--synthesizer", kind, *more])
        assert int(stopped.value.code or 0) == code
        if more:
            assert "it is for a table in an engine" in capsys.readouterr().err
    assert len(privsynth.load(tmp_path / "m.privsynth").sample(5)) == 5
