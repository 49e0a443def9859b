"""Linked tables are written block by block: the same rows as at once, all files or none."""

from __future__ import annotations

import pandas as pd
import pytest

import privsynth.sampling.linked as drawing
from privsynth.errors import RequestError, TableError
from privsynth.schema.linked import LinkedSchema
from privsynth.synthesizers.linked.marginal import LinkedSettings, LinkedSynthesizer
from tests.helpers.linked import SCHEMA, TABLES, bank
from tests.helpers.tables import QUICK
from tests.synthesizers.linked.test_linked import check_linked


def fit(schema: LinkedSchema, ledger) -> LinkedSynthesizer:
    made = LinkedSynthesizer(epsilon=3.0, settings=LinkedSettings(table=QUICK), random_state=0, device="cpu")
    return made.fit(bank(200), schema=schema, dataset="bank", ledger=ledger)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> LinkedSynthesizer:
    return fit(SCHEMA, tmp_path_factory.mktemp("streaming") / "l.sqlite")


@pytest.fixture
def synthesizer(whole, monkeypatch) -> LinkedSynthesizer:
    """Return a synthesizer that draws 50 persons at once."""
    monkeypatch.setattr(drawing, "FEWEST_PERSONS", 50)
    monkeypatch.setattr(drawing, "BLOCK_ROWS", 1)
    return whole


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_files_hold_the_rows_of_one_sample(synthesizer, tmp_path, suffix) -> None:
    drawn = synthesizer.sample(320, random_state=4, balance=["sex"])
    check_linked(drawn, 320)
    said = []
    sizes = synthesizer.sample_to(
        tmp_path / "out",
        320,
        suffix=suffix,
        random_state=4,
        balance=["sex"],
        progress=lambda *step: said.append(step),
    )
    assert sizes == {name: len(rows) for name, rows in drawn.items()}
    assert len(said) == 7  # of 50 persons each, and 20 at the end
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)
    assert said[-1][1] == sum(sizes.values())
    read = pd.read_parquet if suffix == ".parquet" else pd.read_csv
    for name, rows in drawn.items():
        found = read(tmp_path / "out" / f"{name}{suffix}")
        pd.testing.assert_frame_equal(
            found.convert_dtypes(), rows.reset_index(drop=True).convert_dtypes(), check_dtype=False
        )
    if suffix == ".parquet":
        assert read(tmp_path / "out" / "client.parquet").attrs["rebalancing_cost"] is not None


def test_files_are_the_same_whatever_the_number_of_processes(synthesizer, tmp_path) -> None:
    for jobs in (1, 2):
        synthesizer.sample_to(tmp_path / str(jobs), 320, random_state=4, balance=["sex"], jobs=jobs)
    for name in synthesizer.schema_.tables:
        one, two = ((tmp_path / str(jobs) / f"{name}.csv").read_bytes() for jobs in (1, 2))
        assert one == two


def test_blocks_hold_whole_persons_and_memory_does_not_grow_with_their_number(synthesizer) -> None:
    plan, rng = synthesizer._planned(synthesizer._request(500, {}), 1)
    blocks = drawing.draw_linked_blocks(synthesizer.model_, plan, rng)
    seen: set[int] = set()
    for block in blocks:
        persons = set(block["client"]["id"])
        assert len(persons) == 50
        assert not persons & seen
        assert set(block["account"]["owner"]) <= persons
        assert set(block["trans"]["account"]) <= set(block["account"]["account"])
        assert len(block["trans"]) <= 50 * 8
        seen |= persons
    assert len(seen) == 500


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_what_is_interrupted_leaves_nothing_behind(synthesizer, tmp_path, failure) -> None:
    def stop(message, done, total):
        if done > 300:
            raise failure

    for folder, before in ((tmp_path / "new", []), (tmp_path, ["client.csv"])):
        if before:
            (folder / "client.csv").write_text("mine")
        with pytest.raises(failure):
            synthesizer.sample_to(folder, 400, force=True, progress=stop)
        left = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        assert left == before
    assert (tmp_path / "client.csv").read_text() == "mine"
    with pytest.raises(TableError, match="exists"):
        synthesizer.sample_to(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["client.csv"]


def test_keys_of_a_pattern_differ_in_all_blocks_and_end_in_one_message(synthesizer, tmp_path) -> None:
    tables = {name: dict(fields) for name, fields in TABLES.items()}
    tables["account"]["constraints"] = [{"kind": "unique", "columns": ["account"], "pattern": "A[0-9]{3}"}]
    model = fit(LinkedSchema(tables, person="client"), tmp_path / "l.sqlite")
    drawn = model.sample(300, random_state=0)
    assert drawn["account"]["account"].is_unique
    assert drawn["account"]["account"].str.fullmatch("A[0-9]{3}").all()
    assert drawn["trans"]["account"].isin(drawn["account"]["account"]).all()
    model.sample_to(tmp_path / "out", 300, suffix=".parquet", random_state=0)
    assert pd.read_parquet(tmp_path / "out" / "trans.parquet")["account"].str.startswith("A").all()
    with pytest.raises(RequestError, match=r"values are asked for of 'account', and its pattern .* has 1000"):
        model.sample_to(tmp_path / "out", 5000, force=True)
