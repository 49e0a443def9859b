"""Linked tables on the command line: a folder in, a folder out, and messages that say what is wrong."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from privsynth.records.split_parts import read_split_part
from privsynth.report import audit
from privsynth.report.report import plain
from tests.helpers.commands import run
from tests.helpers.linked import SCHEMA, bank


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bank").mkdir()
    for name, table in bank(250).items():
        table.to_csv(tmp_path / "bank" / f"{name}.csv", index=False)
    SCHEMA.save(tmp_path / "linked.json")
    return tmp_path


def test_a_folder_is_fitted_shown_and_drawn(folder) -> None:
    model, ledger = folder / "bank.privsynth", folder / "l.sqlite"
    fit = ["fit", folder / "bank", "--schema", folder / "linked.json", "--epsilon", 8, "-o", model]
    code, out, err = run(*fit, "--ledger", ledger)
    assert (code, "one client with all rows below it" in out) == (0, True), err
    code, out, err = run(*fit, "--ledger", ledger)
    assert (code, "nothing was paid" in err) == (0, True)
    code, out, _ = run("ledger", "show", "--ledger", ledger)
    assert (code, "bank" in out) == (0, True)
    code, out, _ = run("show", model)
    assert (code, "those of other tables belong to the rows that their keys name" in out) == (0, True)
    sample = ["sample", model, "-n", 50, "-o", folder / "out", "--seed", 1]
    code, out, err = run(*sample, "--where", "sex=F", "--json", "--on-unsupported", "warn")
    told = json.loads(out)
    assert (code, told["rows"]["client"], told["unit"]) == (0, 50, "person"), err
    tables = {name: pd.read_csv(folder / "out" / f"{name}.csv") for name in SCHEMA.tables}
    assert {name: len(rows) for name, rows in tables.items()} == told["rows"]
    assert set(tables["client"]["sex"]) == {"F"}
    assert tables["account"]["owner"].isin(tables["client"]["id"]).all()
    code, _, err = run(*sample)
    assert (code != 0, "--force" in err) == (True, True)
    code, out, _ = run(*sample, "--force")
    assert (code, "50 synthetic persons written to" in out) == (0, True)


def test_what_is_wrong_is_said_in_one_line(folder) -> None:
    bad = json.loads((folder / "linked.json").read_text())
    bad["tables"]["card"]["parent"] = ["client", "account"]
    (folder / "two.json").write_text(json.dumps(bad))
    fit = ["fit", folder / "bank", "--epsilon", 1, "-o", folder / "m", "--ledger", folder / "l.sqlite"]
    for arguments, message in (
        (["--schema", folder / "two.json"], "it could belong to two"),
        (["--schema", folder / "linked.json", "--synthesizer", "dpgan"], "leave --synthesizer out"),
        (["--schema", folder / "linked.json", "--sheet", folder / "s.png"], "leave it out"),
    ):
        code, out, err = run(*fit, *arguments)
        (line,) = err.splitlines()
        assert (code, out, line.startswith("error: "), message in line) == (2, "", True, True)
    (folder / "bank" / "card.csv").unlink()
    code, _, err = run(*fit, "--schema", folder / "linked.json")
    assert (code, "expected one file card with a suffix" in err) == (2, True)


def test_a_plan_tells_of_each_table(folder) -> None:
    plan = ["plan", "--schema", folder / "linked.json", "--epsilon", 1]
    code, out, _ = run(*plan, "--persons", 5000)
    assert (code, "table trans: 1-way marginals" in out, "linked: epsilon 1" in out) == (0, True, True)
    code, out, _ = run(*plan, "--persons", 5000, "--json")
    steps = json.loads(out)["steps"]
    assert sum(step["share"] for step in steps) == pytest.approx(1.0)
    code, _, err = run(*plan, "--rows", 5000)
    assert (code, "expected --persons" in err) == (2, True)


def test_folders_are_audited_as_frames_are(folder) -> None:
    sides = {"real": bank(250), "synthetic": bank(240, 2), "holdout": bank(200, 1, first_id=10**6)}
    for side, tables in sides.items():
        (folder / side).mkdir()
        for name, table in tables.items():
            table.to_parquet(folder / side / f"{name}.parquet")
    flags = [part for side in sides for part in (f"--{side}", folder / side)]
    command = ["audit", *flags, "--schema", folder / "linked.json", "-o", folder / "page", "--quick"]
    code, out, err = run(*command, "--json")
    assert code == 0, err
    assert "Do the rows of the synthetic tables belong together" in out
    written = json.loads((folder / "page" / "report.json").read_text(encoding="utf-8"))
    assert written["links"] == plain(audit(**sides, schema=SCHEMA, quick=True).links)
    assert (folder / "page" / "report.html").exists()
    code, _, err = run(*command, "--target", "rich", "--force")
    assert (code, "--target is of single tables and images" in err) == (2, True)
    code, _, err = run(*command[:1], *flags[2:], *command[-5:], "--force")
    assert (code, "expected --real" in err) == (2, True)
    (folder / "synthetic" / "card.parquet").unlink()
    code, _, err = run(*command, "--force")
    assert (code, "expected one file card with a suffix" in err) == (2, True)


def test_a_folder_is_split_by_whole_persons_and_fitted_and_audited(folder) -> None:
    split = ["split", folder / "bank", "--schema", folder / "linked.json", "-o", folder / "parts"]
    code, out, err = run(*split, "--holdout", 0.4)
    assert (code, "split by persons (client.id)" in out, err) == (0, True, "")
    assert str(folder / "parts" / "holdout") in out
    parts = {part: folder / "parts" / part for part in ("train", "holdout")}
    assert {path.name for path in parts["train"].iterdir()} == {f"{name}.parquet" for name in SCHEMA.tables}
    assert read_split_part(parts["train"] / "trans.parquet").unit == "person"
    code, _, err = run(*split)
    assert (code, "--force" in err) == (2, True)
    flags = ["--schema", folder / "linked.json", "--real", parts["train"], "--holdout", parts["holdout"]]
    code, _, err = run("audit", *flags, "--synthetic", folder / "bank", "-o", folder / "page", "--quick")
    assert code == 0, err
