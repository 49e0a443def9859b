"""Persons with several rows on the command line: from the draft to persons drawn with all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from privsynth.schema import Schema
from privsynth.schema.schema import ROWS_OF_HISTORIES
from privsynth.synthesizers import MarginalSynthesizer
from tests.helpers.commands import run
from tests.helpers.histories import COLUMNS, SCHEMA, draw_histories
from tests.helpers.tables import QUICK

N_PERSONS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, its schema, and a model of them."""
    at = tmp_path_factory.mktemp("visits")
    draw_histories(N_PERSONS, 0).to_csv(at / "visits.csv", index=False)
    SCHEMA.save(at / "schema.json")
    model = MarginalSynthesizer(epsilon=1.0, settings=QUICK)
    model.fit(at / "visits.csv", schema=SCHEMA, ledger=at / "ledger.sqlite").save(at / "m.privsynth")
    return at


def test_the_draft_says_how_rows_are_declared_to_belong_together(folder: Path) -> None:
    draw_histories(9, 0).rename(columns={"pid": "patient_id"}).to_csv(folder / "p.csv", index=False)
    drafted = run("schema", folder / "p.csv", "-o", folder / "draft.json")
    assert '"role": "order"' in drafted.out
    assert '"per": "person"' in drafted.out


def test_a_code_book_of_sequences_needs_to_know_how_many_rows_of_a_person_are_used(tmp_path: Path) -> None:
    metadata = {
        "sequence_key": "pid",
        "sequence_index": "day",
        "columns": {"pid": {"sdtype": "id"}, "day": {"sdtype": "numerical"}, "ill": {"sdtype": "boolean"}},
    }
    (tmp_path / "sdv.json").write_text(json.dumps(metadata))
    arguments = ("schema", "--from", tmp_path / "sdv.json", "-o", tmp_path / "schema.json")
    refused = run(*arguments)
    assert (refused.code, "--max-records N" in refused.err) == (2, True)
    made = run(*arguments, "--max-records", 6)
    assert made.code == 0, made.err
    schema = Schema.load(tmp_path / "schema.json")
    assert (schema.person_id, schema.order, schema.max_records_per_person) == ("pid", "day", 6)
    draft = run("schema", tmp_path / "t.csv", "-o", tmp_path / "t.json", "--max-records", 6)
    assert "expected --max-records beside --from only" in draft.err


def test_the_plan_names_the_columns_that_are_derived(folder: Path) -> None:
    planned = run("plan", "--schema", folder / "schema.json", "--persons", N_PERSONS, "--epsilon", 1)
    assert "6 columns are measured that the table does not have: n_records, start.day, first" in planned.out


def test_show_and_sample_speak_of_persons_and_their_rows(folder: Path) -> None:
    assert ROWS_OF_HISTORIES in run("show", folder / "m.privsynth").out
    arguments = ("sample", folder / "m.privsynth", "-n", 40, "--where", "n_records=2..3", "--balance", "sex")
    drawn = run(*arguments, "-o", folder / "rows.csv")
    rows = pd.read_csv(folder / "rows.csv")
    assert (drawn.code, rows["pid"].nunique()) == (0, 40)
    assert rows.groupby("pid").size().isin([2, 3]).all()
    assert rows.drop_duplicates("pid")["sex"].value_counts().tolist() == [20, 20]
    assert drawn.out.startswith(f"40 synthetic persons with {len(rows)} rows written to")
    assert "% of the persons" in drawn.out
    told = json.loads(run(*arguments, "-o", folder / "rows.csv", "--force", "--json").out)
    assert (told["persons"], told["unit"]) == (40, "person")
    run(*arguments, "-o", folder / "rows.parquet")
    assert pd.read_parquet(folder / "rows.parquet").attrs["persons"] == 40


def test_columns_of_rows_cannot_be_asked_for_and_a_way_is_named(folder: Path) -> None:
    asked = run("sample", folder / "m.privsynth", "--where", "ill=true", "-o", folder / "no.csv")
    assert asked.code == 2
    assert (
        "ask for what their rows share (sex, n_records, how many rows they have, and start.day" in asked.err
    )
    assert not (folder / "no.csv").exists()


def test_columns_of_rows_that_were_not_found_are_told_of_again(folder: Path) -> None:
    private = {"type": "categorical", "categories": "private"}
    schema = Schema({**COLUMNS, "ward": private}, max_records_per_person=6)
    table = draw_histories(N_PERSONS, 0).assign(ward=lambda rows: [f"ward {i}" for i in range(len(rows))])
    model = MarginalSynthesizer(epsilon=1.0, settings=QUICK)
    with pytest.warns(UserWarning, match="column 'ward'"):
        model.fit(table, schema=schema, dataset="wards", ledger=folder / "ledger.sqlite")
    model.save(folder / "wards.privsynth")
    assert "column 'ward': no category of its private list" in run("show", folder / "wards.privsynth").out
    drawn = run("sample", folder / "wards.privsynth", "-n", 5, "-o", folder / "wards.csv")
    assert drawn.err.startswith("warning: column 'ward': no category of its private list")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"day": 7}, "column 'day': two rows of one person stand at the same place in the order, which has"),
        ({"day": None}, "column 'day': a field is missing"),
        ({"sex": ["F", "M"]}, "column 'sex': the rows of one person hold different values, and 'per' says"),
    ],
    ids=["ties", "no place", "varies"],
)
def test_rows_that_do_not_make_a_history_are_named(
    changed: dict[str, object], said: str, folder: Path, tmp_path: Path
) -> None:
    table = draw_histories(N_PERSONS, 0)
    at = table.index[table["pid"] == table["pid"][0]][:2]
    for name, values in changed.items():
        table[name] = table[name].astype(object)
        table.loc[at, name] = values
    table.to_csv(tmp_path / "t.csv", index=False)
    of = ("--schema", folder / "schema.json")
    checked = run("check", tmp_path / "t.csv", *of)
    assert (checked.code, said.split("column ")[1].split(":")[0] in checked.out) == (2, True)
    arguments = (
        "fit",
        tmp_path / "t.csv",
        *of,
        "--epsilon",
        1,
        "--ledger",
        tmp_path / "l",
        "-o",
        tmp_path / "m",
    )
    refused = run(*arguments)
    assert refused.code == 2
    assert said in refused.err
    assert "--on-violation clip" in refused.err


def test_a_column_named_like_a_derived_one_is_found_by_check_too(folder: Path) -> None:
    fields = json.loads((folder / "schema.json").read_text())
    fields["columns"]["first"] = fields["columns"].pop("ill")
    (folder / "first.json").write_text(json.dumps(fields))
    checked = run("check", folder / "visits.csv", "--schema", folder / "first.json")
    assert checked.code == 2
    assert "column 'first' is named like one that is derived for sequences" in checked.err
