"""The command line on tiny tables: results, files, exit codes, and errors that betray and cost nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.cli import main
from privsynth.ledger.ledger import Ledger
from privsynth.schema import ROWS_OF_PERSONS
from privsynth.synthesizers import load
from tests.helpers import commands
from tests.helpers.commands import Outcome
from tests.helpers.tables import PATIENTS, patients

COLUMNS = {
    "age": {"type": "integer", "low": 18, "high": 90},
    "sex": {"type": "categorical", "categories": ["F", "M", "X"], "role": "group"},
    "ill": {"type": "boolean", "role": "target", "missing": True},
}
MARKER = "Zebra-77"  # stands in a record and must not be seen anywhere
TOO_OLD = 7654321


Run = Callable[..., Outcome]


@pytest.fixture
def run() -> Run:
    """Call the command line in this process."""
    return commands.run


@pytest.fixture(autouse=True)
def own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "elsewhere" / "ledger.sqlite"
    monkeypatch.setenv("PRIVSYNTH_LEDGER", str(path))
    return path


def table(n_rows: int = 800) -> pd.DataFrame:
    """Ages, women and men, and about as many healthy as ill."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 91, n_rows),
            "sex": rng.choice(["F", "M"], n_rows),
            "ill": rng.choice(["true", "false"], n_rows),
        }
    )


def write_schema(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps({"columns": {**COLUMNS, **changes}}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a table and its schema."""
    made = tmp_path / "work"
    made.mkdir()
    table().to_csv(made / "visits.csv", index=False)
    write_schema(made / "schema.json")
    return made


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its ledger, and what fit said; one record broke the schema and was clipped."""
    made = tmp_path_factory.mktemp("fitted")
    dirty = table()
    dirty.loc[0, ["age", "sex"]] = [TOO_OLD, MARKER]
    dirty.loc[1:20, "sex"] = "X"
    dirty.to_csv(made / "visits.2020.csv.gz", index=False)
    write_schema(made / "schema.json", sex=COLUMNS["sex"] | {"missing": True})
    command = [sys.executable, "-m", "privsynth.cli", "fit", "visits.2020.csv.gz", "--schema", "schema.json"]
    command += ["--epsilon", "5", "--on-violation", "clip", "--ledger", "ledger.sqlite", "--json"]
    done = subprocess.run([*command, "-o", "m.privsynth"], cwd=made, capture_output=True, text=True)
    (made / "stdout").write_text(done.stdout)
    (made / "stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stderr
    return made


def charges(path: Path) -> int:
    return sum(r.n_events for s in Ledger(path).datasets() for r in s.runs) if path.exists() else 0


# -- fit and show ---------------------------------------------------------------------------------


def test_fit_prints_the_guarantee_alone_and_charges_the_named_data_set(fitted: Path) -> None:
    result = json.loads((fitted / "stdout").read_text())
    assert result["model"] == "m.privsynth"
    assert (result["guarantee"]["private"], result["guarantee"]["epsilon"]) == (True, 5.0)
    (summary,) = Ledger(fitted / "ledger.sqlite").datasets()
    assert (summary.dataset, summary.runs[0].status) == ("visits.2020", "finished")
    assert summary.epsilon <= 5.0
    assert not list(fitted.glob("*.partial*"))
    assert "fitted (" in (fitted / "stderr").read_text()


def test_nothing_of_a_record_that_broke_the_schema_is_seen_anywhere(fitted: Path) -> None:
    for file in fitted.iterdir():
        if file.name != "visits.2020.csv.gz":
            content = file.read_bytes()
            assert MARKER.encode() not in content, file
            assert str(TOO_OLD).encode() not in content, file


def test_show_says_what_holds_and_what_does_not(fitted: Path, run: Run) -> None:
    shown = run("show", fitted / "m.privsynth")
    assert shown.code == 0
    assert shown.out.startswith(
        "guarantee: (5, 1e-06)-differential privacy for adding or removing one record"
    )
    assert "not covered:" in shown.out
    assert "1-way marginals: 3 x gaussian (noise_multiplier" in shown.out
    as_json = json.loads(run("show", fitted / "m.privsynth", "--json").out)
    assert as_json == json.loads((fitted / "stdout").read_text())["guarantee"]


def test_an_interrupted_fit_is_resumed_by_the_same_command_and_pays_for_nothing_twice(
    folder: Path, own_ledger: Path
) -> None:
    command = [sys.executable, "-m", "privsynth.cli", "fit", "visits.csv", "--schema", "schema.json"]
    command += ["--epsilon", "2", "-o", "m.privsynth"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "(3/" in line:
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith(
        "interrupted; what was paid for stays charged and is kept in 'm.privsynth.partial', what was not "
    )
    assert "Traceback" not in err
    (run,) = Ledger(own_ledger).datasets()[0].runs
    assert run.status == "suspended"
    assert 0 < run.epsilon_spent < 2
    assert not (folder / "m.privsynth").exists()

    other = subprocess.run([*command, "--delta", "1e-7"], cwd=folder, capture_output=True, text=True)
    assert other.returncode == 2
    assert "an interrupted run with other settings (delta)" in other.stderr

    again = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    keys = [key for _, key, _ in Ledger(own_ledger).events(run.run)]
    assert len(keys) - len(set(keys)) <= 1  # at most the one release whose answer the interruption lost
    assert Ledger(own_ledger).datasets()[0].epsilon <= 2.0
    assert sorted(p.name for p in folder.iterdir()) == ["m.privsynth", "schema.json", "visits.csv"]


def test_one_row_and_a_column_that_is_always_missing_can_be_fitted(folder: Path, run: Run) -> None:
    pd.DataFrame({"age": [44], "sex": ["F"], "ill": [None]}).to_csv(folder / "one.csv", index=False)
    done = run(
        "fit", folder / "one.csv", "--schema", folder / "schema.json", "--epsilon", 1, "-o", folder / "m"
    )
    assert (done.code, done.out.splitlines()[0]) == (0, f"model written to {folder / 'm'}")
    sampled = run("sample", folder / "m", "-n", 20, "-o", folder / "rows.csv")
    assert sampled.code == 0
    assert len(pd.read_csv(folder / "rows.csv")) == 20


# -- sample ---------------------------------------------------------------------------------------


def sample(run: Run, fitted: Path, output: Path, *flags: object) -> pd.DataFrame:
    done = run("sample", fitted / "m.privsynth", "-o", output, *flags)
    assert done.code == 0, done.err
    return pd.read_parquet(output) if output.suffix == ".parquet" else pd.read_csv(output)


def test_sample_draws_what_the_flags_ask_for(fitted: Path, tmp_path: Path, run: Run) -> None:
    flags = (
        "-n",
        200,
        "--where",
        "age=18..30",
        "--where",
        "sex=F",
        "--where",
        "sex=M",
        "--balance",
        "sex,ill",
    )
    rows = sample(run, fitted, tmp_path / "rows.csv", *flags)
    assert rows["age"].between(18, 30).all()
    assert rows.groupby(["sex", "ill"]).size().tolist() == [50, 50, 50, 50]


def test_an_empty_condition_asks_for_missing(fitted: Path, tmp_path: Path, run: Run) -> None:
    rows = sample(
        run, fitted, tmp_path / "rows.parquet", "-n", 5, "--where", "ill=", "--on-unsupported", "warn"
    )
    assert rows["ill"].isna().all()


def test_a_request_file_means_the_same_as_flags(fitted: Path, tmp_path: Path, run: Run) -> None:
    request = {"n": 60, "conditions": {"age": {"low": 18, "high": 30}, "sex": ["F", "M"]}, "balance": ["sex"]}
    (tmp_path / "request.json").write_text(json.dumps(request))
    by_file = sample(run, fitted, tmp_path / "a.csv", "--request", tmp_path / "request.json", "--seed", 3)
    flags = ("-n", 60, "--where", "age=18..30", "--where", "sex=F", "--where", "sex=M", "--balance", "sex")
    by_flags = sample(run, fitted, tmp_path / "b.csv", *flags, "--seed", 3)
    pd.testing.assert_frame_equal(by_file, by_flags)
    clash = run(
        "sample",
        fitted / "m.privsynth",
        "-n",
        3,
        "--request",
        tmp_path / "request.json",
        "-o",
        tmp_path / "c.csv",
    )
    assert (clash.code, "'n' is set by a flag and in" in clash.error) == (2, True)


def test_a_seed_repeats_the_rows(fitted: Path, tmp_path: Path, run: Run) -> None:
    first = sample(run, fitted, tmp_path / "a.csv.gz", "-n", 50, "--seed", 1)
    second = sample(run, fitted, tmp_path / "b.csv.gz", "-n", 50, "--seed", 1)
    third = sample(run, fitted, tmp_path / "c.csv.gz", "-n", 50, "--seed", 2)
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(third)


def test_a_cell_with_less_than_one_record_behind_it_is_refused_unless_asked_for(
    fitted: Path, tmp_path: Path, run: Run
) -> None:
    # Twenty of 800 are X, of 73 ages: a fourth of a record each, so most ages have less than one behind them.
    model = load(fitted / "m.privsynth")
    units = {age: model.support(conditions={"sex": "X", "age": age})["units"][0] for age in range(20, 80)}
    age = next(age for age, behind in units.items() if 0 < behind < 1)
    flags = ("sample", fitted / "m.privsynth", "-n", 10, "--where", "sex=X", "--where", f"age={age}")
    refused = run(*flags, "-o", tmp_path / "rows.csv")
    assert refused.code == 4
    assert refused.error
    assert not (tmp_path / "rows.csv").exists()
    warned = run(*flags, "-o", tmp_path / "rows.csv", "--on-unsupported", "warn")
    assert (warned.code, warned.err.splitlines()[0][:9]) == (0, "warning: ")
    assert pd.read_csv(tmp_path / "rows.csv")["sex"].tolist() == ["X"] * 10


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--where", "sex"), "expected --where column=value, got 'sex'"),
        (("--where", "sex=Q"), "'Q' is not among its values"),
        (("--where", "height=1"), "there is no modelled column 'height'"),
        (("--where", "age=30..18"), "low <= high"),
        (("--where", "age=200..300"), "it allows nothing between the bounds"),
        (("--where", "age=18.5"), "its values are whole numbers, and 18.5 is none of them"),
        (("--balance", "age"), "must be a categorical or boolean column"),
        (("--balance", "sex,sex"), "different columns"),
        (("--balance", ""), "no such modelled column"),
        (("-n", "-1"), "whole number n >= 0"),
        (("--request", "/nowhere/request.json"), "cannot be read: No such file"),
    ],
)
def test_a_malformed_request_says_what_was_expected(
    fitted: Path, tmp_path: Path, run: Run, flags: tuple[str, ...], message: str
) -> None:
    refused = run("sample", fitted / "m.privsynth", "-o", tmp_path / "rows.csv", *flags)
    assert refused.code == 2
    assert message in refused.error
    assert not (tmp_path / "rows.csv").exists()


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"rows": 3}', '{"n": "3"}', '{"n": true}', '{"conditions": []}', '{"balance": "sex"}'],
)
def test_a_malformed_request_file_is_named(fitted: Path, tmp_path: Path, run: Run, content: str) -> None:
    (tmp_path / "request.json").write_text(content)
    flags = ("--request", tmp_path / "request.json", "-o", tmp_path / "rows.csv")
    refused = run("sample", fitted / "m.privsynth", *flags)
    assert refused.code == 2
    assert "request.json" in refused.error


@pytest.mark.parametrize("name", ["rows.xlsx", "rows", "no/folder/rows.csv", "schema.json/rows.csv"])
def test_an_output_that_cannot_be_written_is_refused_before_drawing(
    fitted: Path, folder: Path, run: Run, name: str
) -> None:
    refused = run("sample", fitted / "m.privsynth", "-o", folder / name)
    assert (refused.code, bool(refused.error)) == (2, True)


def test_existing_rows_are_replaced_only_by_force(fitted: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    refused = run("sample", fitted / "m.privsynth", "-n", 5, "-o", tmp_path / "rows.csv")
    assert (refused.code, "--force" in refused.error) == (2, True)
    assert (tmp_path / "rows.csv").read_text() == "mine"
    done = run("sample", fitted / "m.privsynth", "-n", 5, "-o", tmp_path / "rows.csv", "--force", "--json")
    assert json.loads(done.out) == {
        "output": str(tmp_path / "rows.csv"),
        "rows": 5,
        "unit": "record",
        "columns": list(COLUMNS),
        "rebalancing_cost": None,
        "not_covered": [],
    }


def test_proportions_come_from_a_table_or_json(fitted: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "joint.csv").write_text("sex,ill,count\nF,true,30\nF,false,10\nM,true,5\nM,false,15\n")
    rows = sample(run, fitted, tmp_path / "a.csv", "--proportions", tmp_path / "joint.csv")
    sizes = rows.groupby(["sex", "ill"]).size().to_dict()
    assert {(sex, str(ill).lower()): size for (sex, ill), size in sizes.items()} == {
        ("F", "true"): 30,
        ("F", "false"): 10,
        ("M", "true"): 5,
        ("M", "false"): 15,
    }
    (tmp_path / "margins.json").write_text(
        '{"sex": {"F": 0.25, "M": 0.75}, "age": {"..40": 0.5, "41..": 0.5}}'
    )
    flags = ("-n", 200, "--proportions", tmp_path / "margins.json")
    rows = sample(run, fitted, tmp_path / "b.parquet", *flags)
    assert rows["sex"].value_counts().to_dict() == {"M": 150, "F": 50}
    assert rows["age"].astype(int).le(40).sum() == 100
    refused = run(
        "sample",
        fitted / "m.privsynth",
        "-n",
        7,
        *flags[2:],
        "--request",
        tmp_path / "margins.json",
        "-o",
        tmp_path / "c.csv",
    )
    assert (refused.code, "expected an object with the keys" in refused.error) == (2, True)


def test_partial_rows_are_completed_and_said_not_to_be_covered(
    fitted: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "partial.csv").write_text("sex,age\nF,\n,33\nM,44\n")
    flags = ("sample", fitted / "m.privsynth", "--complete", tmp_path / "partial.csv", "--seed", 1)
    done = run(*flags, "-o", tmp_path / "a.csv", "--json")
    assert (done.code, json.loads(done.out)["rows"]) == (0, 3)
    assert json.loads(done.out)["not_covered"][0].startswith("the frame that was completed")
    rows = pd.read_csv(tmp_path / "a.csv")
    assert rows.columns.tolist() == list(COLUMNS)
    assert (rows["sex"][0], rows["age"][1], rows["sex"][2], rows["age"][2]) == ("F", 33, "M", 44)
    assert rows["age"].notna().all()
    again = run(*flags, "-o", tmp_path / "b.parquet")
    assert "3 rows completed and written" in again.out
    assert "not covered: the frame that was completed" in again.out
    kept = pd.read_parquet(tmp_path / "b.parquet")
    assert kept["age"].tolist() == rows["age"].tolist()
    assert kept.attrs["not_covered"][0].startswith("the frame that was completed")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("-n", 5), "--complete fills in the rows that it is given, so 'n' cannot"),
        (("--balance", "sex", "--where", "age=30"), "so 'balance', 'conditions' cannot"),
    ],
)
def test_rows_are_not_completed_and_drawn_at_once(
    fitted: Path, tmp_path: Path, run: Run, flags: tuple[object, ...], text: str
) -> None:
    (tmp_path / "partial.csv").write_text("sex\nF\n")
    model, output = fitted / "m.privsynth", tmp_path / "a.csv"
    refused = run("sample", model, "--complete", tmp_path / "partial.csv", *flags, "-o", output)
    assert (refused.code, text in refused.error, output.exists()) == (2, True, False)


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        ("Sex,age\nF,20\n", 2, "there is no column 'Sex' in the model, but 'sex'"),
        ("sex\nZ\n", 2, "complete"),
    ],
)
def test_partial_rows_that_the_model_does_not_know_are_refused(
    fitted: Path, tmp_path: Path, run: Run, content: str, code: int, text: str
) -> None:
    (tmp_path / "partial.csv").write_text(content)
    model, output = fitted / "m.privsynth", tmp_path / "a.csv"
    refused = run("sample", model, "--complete", tmp_path / "partial.csv", "-o", output)
    assert (refused.code, text in refused.error, output.exists()) == (code, True, False)


def test_a_key_of_partial_rows_is_carried_along(fitted: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "partial.csv").write_text("row,sex,age\n007,,33\nr2,M,\n")
    flags = ("sample", fitted / "m.privsynth", "--complete", tmp_path / "partial.csv")
    done = run(*flags, "-o", tmp_path / "a.csv")
    assert "carried along as given: 'row'" in done.out
    rows = pd.read_csv(tmp_path / "a.csv", dtype={"row": str})
    assert rows.columns.tolist() == ["row", *COLUMNS]
    assert (rows["row"].tolist(), rows["age"][0], rows["sex"][1]) == (["007", "r2"], 33, "M")
    again = run(*flags, "-o", tmp_path / "b.csv", "--json")
    assert json.loads(again.out)["columns"] == ["row", *COLUMNS]


@pytest.mark.parametrize(
    ("seed", "code", "text"),
    [
        ("-1", 2, "whole number of at least 0, got -1"),
        ("1.5", 2, "Invalid value for '--seed'"),
        ("x", 2, "Invalid value for '--seed'"),
        ("1" + "0" * 30, 0, ""),
    ],
)
def test_a_seed_is_a_whole_number_from_nought(
    fitted: Path, folder: Path, tmp_path: Path, run: Run, seed: str, code: int, text: str
) -> None:
    for command in (
        ("sample", fitted / "m.privsynth", "-n", 5, "-o", tmp_path / "rows.csv"),
        ("split", folder / "visits.csv", "--schema", folder / "schema.json", "-o", tmp_path / "parts"),
    ):
        done = run(*command, "--seed", seed)
        assert (done.code, text in done.err) == (code, True)


def test_what_a_balance_leaves_out_is_said_and_can_be_balanced(
    fitted: Path, tmp_path: Path, run: Run
) -> None:
    wards = pd.DataFrame({"ward": np.repeat(["a", "b", None], [300, 200, 500]), "ill": [True, False] * 500})
    wards.to_csv(tmp_path / "wards.csv", index=False)
    columns = {
        "ward": {"type": "categorical", "categories": ["a", "b"], "missing": True},
        "ill": COLUMNS["ill"],
    }
    (tmp_path / "s.json").write_text(json.dumps({"columns": columns}))
    model = tmp_path / "m.privsynth"
    run("fit", tmp_path / "wards.csv", "--schema", tmp_path / "s.json", "--epsilon", "none", "-o", model)
    done = run("sample", model, "-n", 90, "--balance", "ward", "-o", tmp_path / "a.csv", "--json")
    assert json.loads(done.out)["left_out"]["ward"]["missing"] == pytest.approx(0.5, abs=0.01)
    said = r"warning: balance leaves out those whose 'ward' is missing \((49|50)\.\d%"
    assert re.search(said, done.err)
    assert "--balance-missing" in done.err
    assert pd.read_csv(tmp_path / "a.csv")["ward"].notna().all()
    (tmp_path / "r.json").write_text('{"balance": ["ward"], "balance_missing": true}')
    for flags in (("--balance", "ward", "--balance-missing"), ("--request", tmp_path / "r.json")):
        done = run("sample", model, "-n", 90, *flags, "-o", tmp_path / "b.csv", "--force")
        assert "leaves out" not in done.err
        assert pd.read_csv(tmp_path / "b.csv")["ward"].value_counts(dropna=False).tolist() == [30, 30, 30]
    refused = run("sample", model, "--balance-missing", "-o", tmp_path / "c.csv")
    assert (refused.code, "only beside balance" in refused.error) == (2, True)


def test_a_column_that_the_model_lost_is_named_by_show_and_sample(tmp_path: Path, run: Run) -> None:
    names = [f"n{i}" for i in range(300)]
    pd.DataFrame({"name": names, "note": names, "ill": [True, False] * 150}).to_csv(
        tmp_path / "t.csv", index=False
    )
    columns = {
        "name": {"type": "categorical", "categories": "private"},
        "note": {"type": "text", "drop": True},
        "ill": COLUMNS["ill"],
    }
    (tmp_path / "s.json").write_text(json.dumps({"columns": columns}))
    model = tmp_path / "m.privsynth"
    run("fit", tmp_path / "t.csv", "--schema", tmp_path / "s.json", "--epsilon", "1", "-o", model)
    drawn = run("sample", model, "-n", 20, "-o", tmp_path / "rows.csv", "--quiet")
    assert "warning: column 'name': no category of its private list" in drawn.err
    assert "left out, as the schema says: 'note'" in drawn.out
    assert "column 'name': no category of its private list" in run("show", model).out
    (sentence,) = json.loads(run("show", model, "--json").out)["lost_columns"]
    assert sentence.startswith("column 'name'")


def test_a_reference_table_is_said_not_to_be_covered(fitted: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "public.csv").write_text("sex\nF\nF\nF\nM\n")
    flags = ("-n", 40, "--like", tmp_path / "public.csv", "-o", tmp_path / "rows.csv")
    done = run("sample", fitted / "m.privsynth", *flags, "--json")
    assert json.loads(done.out)["not_covered"][0].startswith("the frame given as like=")
    assert pd.read_csv(tmp_path / "rows.csv")["sex"].value_counts().to_dict() == {"F": 30, "M": 10}
    said = run("sample", fitted / "m.privsynth", *flags, "--force")
    assert "not covered: the frame given as like=" in said.out


def test_parity_by_flag_and_by_request(fitted: Path, tmp_path: Path, run: Run) -> None:
    known = ("--where", "sex=F", "--where", "sex=M", "--where", "ill=true", "--where", "ill=false")
    rows = sample(run, fitted, tmp_path / "a.csv", "-n", 2000, "--parity", "ill:sex", *known, "--seed", 1)
    rates = rows.groupby("sex")["ill"].mean()
    assert rates.max() - rates.min() <= 0.01
    (tmp_path / "request.json").write_text(
        '{"n": 2000, "conditions": {"sex": ["F", "M"], "ill": [true, false]}, '
        '"parity": {"target": "ill", "groups": ["sex"]}}'
    )
    sample(run, fitted, tmp_path / "b.csv", "--request", tmp_path / "request.json", "--seed", 1)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    refused = run("sample", fitted / "m.privsynth", "--parity", "ill", "-o", tmp_path / "c.csv")
    assert (refused.code, "expected --parity TARGET:GROUP,GROUP, got 'ill'" in refused.error) == (2, True)


# -- what is refused costs nothing and betrays nothing --------------------------------------------


def change(path: Path, **columns: object) -> None:
    table().assign(**columns).to_csv(path, index=False)


def spoil(folder: Path, how: str) -> None:
    visits = folder / "visits.csv"
    if how == "missing column":
        table().drop(columns="sex").to_csv(visits, index=False)
    elif how == "unknown category":
        change(visits, sex=["F"] * 799 + [MARKER])
    elif how == "value above the bound":
        change(visits, age=[44] * 799 + [TOO_OLD])
    elif how == "not a number":
        change(visits, age=["44"] * 799 + [MARKER])
    elif how == "all missing":
        change(visits, sex=[None] * 800)
    elif how == "no rows":
        visits.write_text("age,sex,ill\n")
    elif how == "empty file":
        visits.write_text("")
    elif how == "duplicate names":
        visits.write_text(f"age,sex,ill,sex\n44,F,true,{MARKER}\n")
    elif how == "wrong encoding":
        visits.write_bytes(f"age,sex,ill\n44,F,{MARKER}é\n".encode("latin-1"))
    elif how == "ragged line":
        visits.write_text(f"age,sex,ill\n44,F,true\n44,F,true,{MARKER},{TOO_OLD}\n")
    elif how == "no file":
        visits.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing column", "no column 'sex'"),
        ("unknown category", "'sex'"),
        ("value above the bound", "'age'"),
        ("not a number", "'age'"),
        ("all missing", "'sex'"),
        ("no rows", "has no rows"),
        ("empty file", "is empty"),
        ("duplicate names", "have the same name; rename or drop one"),
        ("wrong encoding", "is not in UTF-8"),
        ("ragged line", "cannot be read"),
        ("no file", "there is no file"),
    ],
)
def test_an_unusable_table_is_refused_in_one_line_without_a_value_or_a_charge(
    folder: Path, own_ledger: Path, run: Run, how: str, message: str
) -> None:
    spoil(folder, how)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json")
    refused = run(*arguments, "--epsilon", 1, "-o", folder / "m.privsynth")
    assert (refused.code, refused.out) == (2, "")
    assert message in refused.error
    for value in (MARKER, str(TOO_OLD), "799", "800"):
        assert value not in refused.err
    left = {p.name: p.read_bytes() for p in folder.iterdir()}
    was_read = left.pop("m.privsynth.partial", None) is not None  # the reservation is resumed from there
    assert left == before
    assert charges(own_ledger) == 0
    stops = [s.noiseless_stops for s in Ledger(own_ledger).datasets()] if own_ledger.exists() else []
    assert stops == [1] * was_read
    assert was_read == (how not in ("missing column", "empty file", "duplicate names", "no file"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--epsilon", "0"), "epsilon=0"),
        (("--epsilon", "-1"), "epsilon=-1"),
        (("--epsilon", "nan"), "epsilon=nan"),
        (("--epsilon", "inf"), "epsilon=inf"),
        (("--epsilon", "much"), "a number > 0 or 'none', got 'much'"),
        (("--epsilon", "1", "--delta", "1"), "delta=1"),
        (("--epsilon", "1", "--delta", "0"), "delta=0"),
        (("--epsilon", "1", "--dataset", "a\nb"), "data set name"),
        (("--epsilon", "1", "--schema", "nowhere.json"), "there is no schema file 'nowhere.json'"),
    ],
)
def test_an_unusable_parameter_is_refused_before_anything_is_written(
    folder: Path, own_ledger: Path, run: Run, flags: tuple[str, ...], message: str
) -> None:
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json")
    refused = run(*arguments, "-o", folder / "m.privsynth", *flags)
    assert refused.code == 2
    assert message in refused.error
    assert sorted(p.name for p in folder.iterdir()) == ["schema.json", "visits.csv"]
    assert charges(own_ledger) == 0


def test_a_fit_without_a_schema_says_how_to_draft_one(folder: Path, run: Run) -> None:
    refused = run("fit", folder / "visits.csv", "--epsilon", 1, "-o", folder / "m.privsynth")
    assert (refused.code, "privsynth schema" in refused.error) == (2, True)


@pytest.mark.parametrize(
    "schema", ["{", '{"columns": {"age": {"type": "integer"}}}', '{"columns": {"age": {"kind": 1}}}']
)
def test_a_malformed_schema_is_refused(folder: Path, run: Run, schema: str) -> None:
    (folder / "schema.json").write_text(schema)
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json")
    refused = run(*arguments, "--epsilon", 1, "-o", folder / "m.privsynth")
    assert (refused.code, bool(refused.error)) == (2, True)


def test_a_run_above_the_limit_is_refused_and_leaves_nothing_behind(
    folder: Path, own_ledger: Path, run: Run
) -> None:
    assert run("ledger", "limit", "--dataset", "visits", "--epsilon", 0.5).code == 0
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json", "--epsilon", 1)
    refused = run(*arguments, "-o", folder / "m.privsynth")
    assert refused.code == 3
    assert "above the limit epsilon=0.5 at delta=1e-06" in refused.error
    assert sorted(p.name for p in folder.iterdir()) == ["schema.json", "visits.csv"]
    assert Ledger(own_ledger).datasets()[0].runs == ()


@pytest.mark.parametrize("name", ["", "folder", "file/m.privsynth", "nowhere/m.privsynth"])
def test_a_model_that_could_not_be_written_is_refused_before_the_charge(
    folder: Path, own_ledger: Path, run: Run, name: str
) -> None:
    (folder / "folder").mkdir()
    (folder / "file").touch()
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json", "--epsilon", 1)
    refused = run(*arguments, "-o", folder / name)
    assert (refused.code, bool(refused.error)) == (2, True)
    assert charges(own_ledger) == 0


def test_an_existing_model_is_not_replaced_and_nothing_is_charged(
    folder: Path, own_ledger: Path, run: Run
) -> None:
    (folder / "m.privsynth").write_text("mine")
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json", "--epsilon", 1)
    refused = run(*arguments, "-o", folder / "m.privsynth")
    assert (refused.code, "--force" in refused.error) == (2, True)
    assert (folder / "m.privsynth").read_text() == "mine"
    assert charges(own_ledger) == 0


@pytest.mark.parametrize("damage", ["cut", "text", "absent"])
@pytest.mark.parametrize("command", ["show", "sample"])
def test_a_damaged_model_file_is_named(
    fitted: Path, tmp_path: Path, run: Run, damage: str, command: str
) -> None:
    path = tmp_path / "bad.privsynth"
    if damage != "absent":
        whole = (fitted / "m.privsynth").read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"age,sex\n44,F\n")
    flags = ("-o", tmp_path / "rows.csv") if command == "sample" else ()
    refused = run(command, path, *flags)
    assert refused.code == 2
    assert str(path) in refused.error
    assert not (tmp_path / "rows.csv").exists()


# -- schema, split, plan, audit -------------------------------------------------------------------


def test_a_draft_reads_no_value_unless_asked_to(folder: Path, run: Run) -> None:
    draft = folder / "draft.json"
    done = run("schema", folder / "visits.csv", "-o", draft)
    assert done.code == 0
    assert {c["type"] for c in json.loads(draft.read_text())["columns"].values()} == {None}
    assert "age: declare type" in done.out
    assert run("schema", folder / "visits.csv", "-o", draft).code == 2
    assert run("schema", folder / "visits.csv", "-o", draft, "--infer", "--force").code == 0
    inferred = json.loads(draft.read_text())
    assert inferred["types_from_records"] is True
    assert inferred["columns"]["age"]["type"] == "integer"


def test_a_code_book_becomes_a_schema(folder: Path, run: Run) -> None:
    (folder / "book.csv").write_text(
        "column,type,low,high,categories,label\nage,integer,0,120,,years\nsex,categorical,,,F|M,\n"
    )
    made = run("schema", "--from", folder / "book.csv", "-o", folder / "made.json", "--json")
    said = json.loads(made.out)
    assert (made.code, said["undeclared"]) == (0, {})
    assert said["notes"] == {"": ["the columns 'label' of the code book are not taken over"]}
    assert "the code book: the columns 'label'" in made.err
    columns = json.loads((folder / "made.json").read_text())["columns"]
    assert columns["age"] == {"type": "integer", "low": 0, "high": 120, "missing": "private"}
    for arguments in ((), (folder / "visits.csv", "--from", folder / "book.csv"), ("--infer",)):
        refused = run("schema", *arguments, "-o", folder / "no.json")
        assert (refused.code, "one of the two" in refused.err) == (2, True)


def test_the_road_of_a_newcomer_with_a_messy_file(folder: Path, own_ledger: Path, run: Run) -> None:
    """From a file as people have it to synthetic rows, by the commands that each step names."""
    rng = np.random.default_rng(2)
    lines = ["index,patient_id,cost,smoker,weight,ward,score,name,note"]
    lines += [
        f'{i},P{i // 2:04d},"${rng.uniform(100, 9000):,.2f}",{rng.choice(["Y", "N"])},{rng.integers(50, 99)}'
        f" kg,{rng.choice(['A', 'B', '?'])},{rng.choice(['NA', 'refused', *'1234567'])},Name {i},"
        f"came in with pain number {i}"
        for i in range(900)
    ]
    (folder / "messy.csv").write_text("\n".join(lines).replace("index", "", 1) + "\n")
    table, schema = folder / "messy.csv", folder / "s.json"
    drafted = run("schema", table, "-o", schema, "--infer", "--json")
    assert drafted.code == 0, drafted.err
    fields = json.loads(schema.read_text())
    columns = fields["columns"]
    assert {name: column["type"] for name, column in columns.items()} == {
        "": "text", "patient_id": "id", "cost": "real", "smoker": "boolean", "weight": "integer",
        "ward": "categorical", "score": "categorical", "name": "text", "note": "text",
    }  # fmt: skip
    assert "person_id" in " ".join(json.loads(drafted.out)["notes"]["patient_id"])

    columns["score"] = {"type": "integer", "low": 1, "high": 7, "missing": True, "missing_values": ["NA"]}
    columns["ward"] |= {"categories": ["A", "B"], "missing_values": ["?"], "missing": True}
    columns["patient_id"]["role"] = "person_id"
    schema.write_text(json.dumps(fields | {"max_records_per_person": 2}))
    shown = run("check", table, "--schema", schema, "--json")
    broken = json.loads(shown.out)["broken"]
    assert (shown.code, list(broken), broken["score"][0]["examples"]) == (2, ["score"], ["refused"])

    columns["score"]["missing_values"].append("refused")
    schema.write_text(json.dumps(fields | {"max_records_per_person": 2}))
    assert run("check", table, "--schema", schema).code == 0
    parts = run("split", table, "--schema", schema, "-o", folder / "parts", "--json")
    assert json.loads(parts.out)["unit"] == "person"
    assert run("plan", "--schema", schema, "--persons", 450, "--epsilon", 4).code == 0
    train = folder / "parts" / "train.parquet"
    arguments = (
        "fit",
        train,
        "--schema",
        schema,
        "--epsilon",
        4,
        "--dataset",
        "messy",
        "-o",
        folder / "m.privsynth",
    )
    made = run(*arguments)
    assert made.code == 0, made.err
    drawn = run("sample", folder / "m.privsynth", "-n", 500, "-o", folder / "synthetic.csv")
    assert "left out, as the schema says: '', 'name', 'note'" in drawn.out
    synthetic = pd.read_csv(folder / "synthetic.csv")
    assert list(synthetic.columns) == ["patient_id", "cost", "smoker", "weight", "ward", "score"]
    assert synthetic["weight"].between(40, 110).mean() > 0.9
    assert 3000 < synthetic["cost"].mean() < 6500  # 4,550 in the table


def test_check_shows_the_owner_what_breaks_the_schema(folder: Path, run: Run) -> None:
    arguments = ("check", folder / "visits.csv", "--schema")
    clean = run(*arguments, folder / "schema.json", "--json")
    assert (clean.code, json.loads(clean.out)["clean"]) == (0, True)
    narrow = write_schema(folder / "narrow.json", age={"type": "integer", "low": 0, "high": 20})
    shown = run(*arguments, narrow)
    assert shown.code == 2
    assert shown.out.startswith("not covered by any guarantee: what follows quotes records")
    assert re.search(r"'age': a value is outside the public bounds \(low=0, high=20\): \d+ of 800", shown.out)


def test_split_writes_both_parts_of_the_table(folder: Path, run: Run) -> None:
    arguments = ("split", folder / "visits.csv", "--schema", folder / "schema.json", "-o", folder / "parts")
    done = run(*arguments, "--json")
    said = json.loads(done.out)
    assert said.pop("unit") == "record"
    parts = {name: pd.read_parquet(path) for name, path in said.items()}
    assert sorted(parts) == ["holdout", "train"]
    assert sum(len(part) for part in parts.values()) == 800
    assert 80 < len(parts["holdout"]) < 240  # 160 +- 7 standard deviations
    assert run(*arguments).code == 2
    assert run(*arguments, "--holdout", 1.5, "--force").code == 2


def test_split_says_by_what_it_split(folder: Path, run: Run) -> None:
    table().assign(patient_id=[i // 4 for i in range(800)]).to_csv(folder / "v.csv", index=False)
    by_rows = run("split", folder / "v.csv", "--schema", folder / "schema.json", "-o", folder / "a")
    assert by_rows.out.endswith("split by rows: the schema names no person\n")
    assert "'patient_id' looks like an identifier" in by_rows.err
    assert '"role": "person_id"' in by_rows.err
    fields = json.loads((folder / "schema.json").read_text())
    fields["columns"]["patient_id"] = {"type": "id", "role": "person_id"}
    (folder / "p.json").write_text(json.dumps(fields | {"max_records_per_person": 4}))
    by_persons = run("split", folder / "v.csv", "--schema", folder / "p.json", "-o", folder / "b", "--json")
    assert json.loads(by_persons.out)["unit"] == "person"
    assert by_persons.err == ""


def test_plan_weighs_noise_against_the_unit(folder: Path, run: Run) -> None:
    fields = json.loads((folder / "schema.json").read_text())
    fields["columns"]["who"] = {"type": "id", "role": "person_id"}
    (folder / "p.json").write_text(json.dumps(fields | {"max_records_per_person": 4}))
    arguments = ("plan", "--epsilon", 1, "--schema")
    answered = run(*arguments, folder / "p.json", "--persons", 200, "--json")
    assert (json.loads(answered.out)["persons"], json.loads(answered.out)["unit"]) == (200, "person")
    for count in ((), ("--rows", 800)):
        refused = run(*arguments, folder / "p.json", *count)
        assert (refused.code, refused.out) == (2, "")
        assert "expected --persons, about how many persons the table has" in refused.err
    for count in ((), ("--persons", 200)):
        assert "expected --rows" in run(*arguments, folder / "schema.json", *count).err


def test_what_a_row_of_a_person_level_model_means_is_said(folder: Path, run: Run) -> None:
    table().assign(who=[i // 4 for i in range(800)]).to_csv(folder / "v.csv", index=False)
    fields = json.loads((folder / "schema.json").read_text())
    fields["columns"]["who"] = {"type": "id", "role": "person_id"}
    fields["columns"]["left"] = {"type": "text", "drop": True}
    (folder / "p.json").write_text(json.dumps(fields | {"max_records_per_person": 4}))
    model = folder / "persons.privsynth"
    made = run("fit", folder / "v.csv", "--schema", folder / "p.json", "--epsilon", "none", "-o", model)
    assert made.code == 0, made.err
    assert ROWS_OF_PERSONS in run("show", model).out
    drawn = run("sample", model, "-o", folder / "s.csv")
    assert ROWS_OF_PERSONS in drawn.out
    assert "left out, as the schema says: 'left'" in drawn.out
    assert len(pd.read_csv(folder / "s.csv")) < 400  # about 200 persons, not 800 rows
    report = ("--synthetic", folder / "s.csv", "--schema", folder / "p.json", "--model", model)
    assert run("audit", "--public", *report, "-o", folder / "page").code == 0
    assert ROWS_OF_PERSONS in (folder / "page" / "report.html").read_text()


def test_plan_says_what_a_budget_buys_without_a_table(folder: Path, own_ledger: Path, run: Run) -> None:
    arguments = ("plan", "--schema", folder / "schema.json", "--rows", 800, "--epsilon", 1)
    assert re.search(r"1-way marginals: \d+% of the budget", run(*arguments).out)
    fields = json.loads(run(*arguments, "--json").out)
    assert sum(step["share"] for step in fields["steps"]) == pytest.approx(1.0)
    assert not own_ledger.exists()


def test_audit_writes_the_report_and_its_exit_code_follows_the_verdicts(folder: Path, run: Run) -> None:
    rng = np.random.default_rng(11)
    for name in ("real.csv", "holdout.csv"):
        table().assign(cost=rng.normal(500, 100, 800).round(2)).to_csv(folder / name, index=False)
    cost = {"type": "real", "low": 0, "high": 1000, "decimals": 2}
    schema = write_schema(folder / "wide.json", cost=cost)
    arguments = (
        "audit",
        "--real",
        folder / "real.csv",
        "--synthetic",
        folder / "real.csv",
        "--schema",
        schema,
    )
    arguments += ("--holdout", folder / "holdout.csv", "--quick", "-o", folder / "report")
    done = run(*arguments, "--json")
    assert done.code == 0
    report = json.loads((folder / "report" / "report.json").read_text())
    assert json.loads(done.out)["verdicts"] == report["verdicts"]
    assert "problem" in {v["verdict"] for v in report["verdicts"]}  # the synthetic rows are the records
    before = (folder / "report" / "report.json").read_bytes()
    refused = run(*arguments)
    assert (refused.code, "--force" in refused.error) == (2, True)
    assert (folder / "report" / "report.json").read_bytes() == before
    failed = run(*arguments, "--force", "--fail-on", "problem")
    assert (failed.code, "problem: " in failed.out) == (5, True)


def test_audit_knows_the_rows_without_privacy_by_their_old_flag_too(folder: Path, run: Run) -> None:
    arguments = ("audit", "--public", "--synthetic", folder / "visits.csv")
    arguments += ("--schema", folder / "schema.json", "-o", folder / "page")
    for flag in ("--non-private", "--twin"):
        refused = run(*arguments, flag, folder / "visits.csv")
        assert refused.code == 2
        assert "no table of real records with --public, got --non-private" in refused.error
    shown = run("audit", "--help").out
    assert ("--non-private" in shown, "--twin" in shown) == (True, False)


def test_an_audit_with_a_budget_of_its_own_is_charged_and_public(folder: Path, run: Run) -> None:
    schema = write_schema(folder / "schema.json")
    table().to_csv(folder / "visits.csv", index=False)
    arguments = ("audit", "--real", folder / "visits.csv", "--synthetic", folder / "visits.csv")
    arguments += ("--schema", schema, "--ledger", folder / "own.sqlite", "--audit-epsilon", 0.5)
    assert run(*arguments, "-o", folder / "paid").code == 0
    report = json.loads((folder / "paid" / "report.json").read_text())
    assert report["paid"]["dataset"] == "visits"
    assert set(report["tables"]) == {"synthetic"}
    assert report["membership"]["status"] == "not_assessed"
    limited = run(
        "ledger",
        "limit",
        "--dataset",
        "visits",
        "--epsilon",
        0.6,
        "--delta",
        1e-6,
        "--ledger",
        folder / "own.sqlite",
    )
    assert limited.code == 0
    refused = run(*arguments, "-o", folder / "again")
    assert (refused.code, "above the limit" in refused.err) == (3, True)
    assert not (folder / "again").exists()
    assert run(*arguments, "--audit-epsilon", -1, "-o", folder / "again").code == 2


def test_an_audit_with_a_model_is_charged_where_the_fit_was(fitted: Path, run: Run, tmp_path: Path) -> None:
    table().to_csv(tmp_path / "train.csv", index=False)
    arguments = ("audit", "--real", tmp_path / "train.csv", "--synthetic", tmp_path / "train.csv")
    arguments += ("--schema", fitted / "schema.json", "--model", fitted / "m.privsynth")
    arguments += ("--ledger", tmp_path / "own.sqlite", "--audit-epsilon", 0.5, "-o", tmp_path / "paid")
    done = run(*arguments)
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "paid" / "report.json").read_text())
    assert report["paid"]["dataset"] == report["guarantee"]["dataset"] == "visits.2020"


def test_an_audit_of_a_table_without_a_column_is_refused(folder: Path, run: Run) -> None:
    table().drop(columns="sex").to_csv(folder / "synthetic.csv", index=False)
    arguments = ("audit", "--real", folder / "visits.csv", "--synthetic", folder / "synthetic.csv")
    refused = run(*arguments, "--schema", folder / "schema.json", "-o", folder / "report")
    assert refused.code == 2
    assert "'sex'" in refused.err.splitlines()[-1]
    assert not (folder / "report").exists()


# -- ledger ---------------------------------------------------------------------------------------


def test_the_ledger_is_shown_limited_and_closed(fitted: Path, run: Run, tmp_path: Path) -> None:
    flags = ("--ledger", tmp_path / "ledger.sqlite")
    (tmp_path / "ledger.sqlite").write_bytes((fitted / "ledger.sqlite").read_bytes())
    shown = run("ledger", "show", *flags).out
    assert "data set 'visits.2020': one record, add_or_remove_one\n  no limit\n" in shown
    assert "reserved by all runs so far: epsilon 5 at delta 1e-06 (not a claim" in shown
    assert "spent so far 5 (not a claim)" in shown
    refused = run("ledger", "limit", "--dataset", "visits.2020", "--epsilon", 4, *flags)
    assert (refused.code, "is reserved already" in refused.error) == (3, True)
    assert run("ledger", "limit", "--dataset", "visits.2020", "--epsilon", 6, *flags).code == 0
    fields = json.loads(run("ledger", "show", "--dataset", "visits.2020", "--json", *flags).out)
    assert fields["datasets"][0]["limit"] == {"epsilon": 6.0, "delta": 1e-06}
    assert fields["datasets"][0]["runs"][0]["status"] == "finished"
    closed = run("ledger", "close", "--dataset", "visits.2020", *flags)
    assert (closed.code, "there are: none" in closed.error) == (3, True)


def test_a_crashed_run_is_closed(run: Run, own_ledger: Path) -> None:
    from privsynth.accounting.budget import Unit

    def crashed() -> str:
        return Ledger().reserve(
            dataset="visits", unit=Unit(unit="record"), epsilon=1, delta=1e-6, description="fit"
        )

    first, second = crashed(), crashed()
    ambiguous = run("ledger", "close", "--dataset", "visits")
    assert (ambiguous.code, f"there are: {first}, {second}" in ambiguous.error) == (3, True)
    closed = run("ledger", "close", "--dataset", "visits", "--run", first, "--json")
    assert (closed.code, json.loads(closed.out)["status"]) == (0, "closed")
    assert run("ledger", "close", "--dataset", "visits").code == 0
    assert Ledger().datasets()[0].epsilon == 0.0


def test_showing_a_ledger_that_is_not_there_makes_none(run: Run, own_ledger: Path) -> None:
    shown = run("ledger", "show", "--json")
    assert (shown.code, json.loads(shown.out)["datasets"]) == (0, [])
    assert f"there is no ledger {str(own_ledger)!r} yet" in shown.err
    assert not own_ledger.exists()


def test_a_damaged_ledger_is_refused(run: Run, folder: Path) -> None:
    refused = run("ledger", "show", "--ledger", folder / "visits.csv")
    assert (refused.code, "is not a usable ledger" in refused.error) == (3, True)


# -- the frame ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("fit",), ("nonsense",), ("sample", "m", "-o", "x.csv", "-n", "many"), ("fit", "--what")]
)
def test_wrong_usage_is_code_two(run: Run, arguments: tuple[str, ...]) -> None:
    refused = run(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert "Error: " in refused.err


def test_an_unexpected_error_shows_its_class_and_no_message(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError(f"cannot convert {MARKER}")

    monkeypatch.setattr("privsynth.records.drafting.draft", fail)
    failed = run("schema", folder / "visits.csv", "-o", folder / "draft.json")
    assert failed.code == 1
    assert failed.error == "error: unexpected ValueError; PRIVSYNTH_DEBUG=1 shows where, message included"
    monkeypatch.setenv("PRIVSYNTH_DEBUG", "1")
    with pytest.raises(ValueError, match="cannot convert"):
        main(["schema", str(folder / "visits.csv"), "-o", str(folder / "draft.json")])


def test_an_interruption_says_that_nothing_was_written(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("privsynth.records.drafting.draft", interrupt)
    stopped = run("schema", folder / "visits.csv", "-o", folder / "draft.json")
    assert (stopped.code, stopped.err) == (130, "interrupted; nothing was written\n")
    assert not (folder / "draft.json").exists()


def test_help_comes_at_once_and_imports_nothing_heavy() -> None:
    heavy = "sorted({'torch', 'pandas', 'numpy', 'scipy', 'sklearn', 'plotly'} & set(sys.modules))"
    script = f"import sys\nfrom privsynth.cli import main\ntry: main(['--help'])\nfinally: print({heavy})"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]")
    assert time.monotonic() - start < 5  # under load; a second when idle


def test_the_version_is_that_of_the_package(run: Run) -> None:
    import privsynth

    assert run("--version").out == f"{privsynth.__version__}\n"


def test_a_fit_that_is_done_is_not_paid_for_again(folder: Path, own_ledger: Path, run: Run) -> None:
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json", "-o", folder / "m")
    first = run(*arguments, "--epsilon", 1, "--json")
    model, n_charges = (folder / "m").read_bytes(), charges(own_ledger)
    again = run(*arguments, "--epsilon", 1, "--json")
    assert (again.code, json.loads(again.out)) == (0, json.loads(first.out))
    assert "it is kept, nothing was read and nothing was paid" in again.err
    assert ((folder / "m").read_bytes(), charges(own_ledger)) == (model, n_charges)
    other = run(*arguments, "--epsilon", 2)
    assert (other.code, "exists" in other.error) == (2, True)
    anew = run(*arguments, "--epsilon", 1, "--force")
    assert anew.code == 0
    assert charges(own_ledger) > n_charges


def test_a_data_set_with_private_lists_is_fitted_more_than_once_under_the_delta_of_its_limit(
    folder: Path, own_ledger: Path, run: Run
) -> None:
    write_schema(
        folder / "schema.json", sex={"type": "categorical", "categories": "private", "missing": True}
    )
    assert run("ledger", "limit", "--dataset", "visits", "--epsilon", 3, "--delta", 1e-6).code == 0
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json", "--epsilon", 1)
    for name in ("a", "b", "c"):
        assert run(*arguments, "-o", folder / name).code == 0
    shown = run("ledger", "show").out
    assert "fixed before the first run: what all runs together guarantee" in shown
    assert Ledger(own_ledger).datasets()[0].delta == 1e-6


def test_the_part_of_a_limit_that_is_exceeded_is_named(folder: Path, own_ledger: Path, run: Run) -> None:
    from privsynth.accounting.budget import Unit

    book = Ledger(own_ledger)
    book.set_limit("visits", epsilon=3.0, delta=1e-6)
    book.reserve(dataset="visits", unit=Unit(unit="record"), epsilon=0.5, delta=1e-6, description="whole")
    arguments = ("fit", folder / "visits.csv", "--schema", folder / "schema.json", "-o", folder / "m")
    refused = run(*arguments, "--epsilon", 0.5)
    assert (refused.code, "It is delta that is exceeded, not epsilon" in refused.error) == (3, True)
    assert "--delta" in refused.error
    book.close(book.datasets()[0].runs[0].run)
    refused = run(*arguments, "--epsilon", 5)
    assert (refused.code, "Ask for less (--epsilon 3 fits)" in refused.error) == (3, True)


def test_declared_tables_are_written_with_their_errors(run: Run, tmp_path: Path) -> None:
    schema = PATIENTS.to_dict() | {"workload": [["sex", "ill"], ["ward", "ill", "sex"]]}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    patients(900).to_csv(tmp_path / "t.csv", index=False)
    model, tables = tmp_path / "m.privsynth", tmp_path / "tables"
    asked = ("--epsilon", 3, "--ledger", tmp_path / "l.sqlite", "-o", model)
    assert run("fit", tmp_path / "t.csv", "--schema", tmp_path / "s.json", *asked).code == 0
    assert "wrote 2 tables" in run("show", model, "--tables", tables).err
    first = pd.read_csv(tables / "table-01.csv")
    assert first.columns.tolist() == ["sex", "ill", "count", "std", "low", "high"]
    assert len(first) == 4
    again = run("show", model, "--tables", tables)
    assert again.code != 0
    assert "table-01.csv" in again.err
