"""Files as other programs write them, from the draft to the audit on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.test_cli import Run, own_ledger, run

__all__ = ["own_ledger", "run"]  # fixtures

N = 400


def german(path: Path) -> Path:
    """Write a table as a spreadsheet does in Germany: semicolons, decimal commas, Windows' encoding."""
    lines = ["Größe;Lohn;Art"]
    lines += [
        f"{150 + i % 50},{i % 10};{1 + i % 9}.{i % 10}00,50;{'früh' if i % 2 else 'spät'}" for i in range(N)
    ]
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def test_a_file_of_another_dialect_goes_from_the_draft_to_the_audit(run: Run, tmp_path: Path) -> None:
    table, schema = german(tmp_path / "t.csv"), tmp_path / "schema.json"
    refused = run("schema", table, "-o", schema)
    assert refused.code == 2
    assert "is not in UTF-8" in refused.err
    assert "--encoding cp1252" in refused.err
    drafted = run("schema", table, "-o", schema, "--encoding", "cp1252", "--decimal", ",")
    assert drafted.code == 0
    assert "is read as split at semicolon ';'" in drafted.err
    fields = json.loads(schema.read_text(encoding="utf-8"))
    assert fields["csv"] == {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}
    assert list(fields["columns"]) == ["Größe", "Lohn", "Art"]

    assert "has no type" in run("split", table, "--schema", schema, "-o", tmp_path / "parts").error
    fields["columns"] = {
        "Größe": {"type": "real", "low": 100, "high": 250, "decimals": 1},
        "Lohn": {"type": "real", "low": 0, "high": 99999, "decimals": 2},
        "Art": {"type": "categorical", "categories": ["früh", "spät"], "role": "target"},
    }
    schema.write_text(json.dumps(fields), encoding="utf-8")
    assert run("check", table, "--schema", schema).code == 0
    assert run("split", table, "--schema", schema, "-o", tmp_path / "parts").code == 0
    parts = pd.concat(
        pd.read_parquet(tmp_path / "parts" / f"{part}.parquet") for part in ("train", "holdout")
    )
    assert sorted(parts["Lohn"].astype(float))[:2] == [1000.5, 1000.5]
    for number, source in enumerate([table, tmp_path / "parts" / "train.parquet"]):
        model, rows = tmp_path / f"{number}.privsynth", tmp_path / f"{number}.csv"
        fitted = run(
            "fit", source, "--schema", schema, "--epsilon", "none", "--dataset", f"d{number}", "-o", model
        )
        assert fitted.code == 0, fitted.err
        assert run("sample", model, "-n", 300, "-o", rows).code == 0
        assert 3000 < pd.read_csv(rows)["Lohn"].mean() < 8000
        audited = run(
            "audit", "--public", "--synthetic", rows, "--schema", schema, "-o", tmp_path / f"page{number}"
        )
        assert audited.code == 0, audited.err
    partial = tmp_path / "partial.csv"
    partial.write_bytes("Größe;Lohn\n170,5;\n;1.234,50\n".encode("cp1252"))
    assert run("sample", model, "--complete", partial, "-o", tmp_path / "whole.csv").code == 0
    whole = pd.read_csv(tmp_path / "whole.csv")
    assert (whole["Größe"][0], whole["Lohn"][1]) == (170.5, 1234.5)


def test_a_file_without_a_header_is_asked_about_and_named(run: Run, tmp_path: Path) -> None:
    table, schema = tmp_path / "people.csv", tmp_path / "schema.json"
    table.write_text("".join(f"{20 + i % 60}, State-gov, {i % 2}\n" for i in range(N)), encoding="utf-8")
    refused = run("schema", table, "-o", schema)
    assert refused.code == 2
    assert "looks like a record" in refused.err
    assert "State-gov" not in refused.err
    assert not schema.exists()
    assert run("schema", table, "-o", schema, "--names", "age, job, ill").code == 0
    fields = json.loads(schema.read_text(encoding="utf-8"))
    assert fields["csv"] == {"header": False}
    fields["columns"] = {
        "age": {"type": "integer", "low": 0, "high": 99},
        "job": {"type": "categorical", "categories": ["State-gov", "Private"]},
        "ill": {"type": "boolean"},
    }
    schema.write_text(json.dumps(fields), encoding="utf-8")
    assert run("split", table, "--schema", schema, "-o", tmp_path / "parts").code == 0
    n_rows = [len(pd.read_parquet(tmp_path / "parts" / f"{part}.parquet")) for part in ("train", "holdout")]
    assert sum(n_rows) == N
    assert run("fit", table, "--schema", schema, "--epsilon", 5, "-o", tmp_path / "m.privsynth").code == 0

    del fields["csv"]
    schema.write_text(json.dumps(fields), encoding="utf-8")
    for command in (("fit", table, "--epsilon", 5), ("split", table)):
        refused = run(*command, "--schema", schema, "-o", tmp_path / "other", "--force")
        assert refused.code == 2
        assert '"csv": {"header": false}' in refused.err
        assert "State-gov" not in refused.err
    assert "got both" in run("schema", table, "-o", schema, "--names", "a", "--header", "--force").error


def test_names_that_look_like_a_record_are_taken_where_it_is_said(run: Run, tmp_path: Path) -> None:
    table, schema = tmp_path / "t.csv", tmp_path / "schema.json"
    table.write_text("country,2019,2020\nX,1,2\n", encoding="utf-8")
    assert run("schema", table, "-o", schema).code == 2
    assert run("schema", table, "-o", schema, "--header").code == 0
    assert json.loads(schema.read_text(encoding="utf-8"))["csv"] == {"header": True}


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("infer", [[], ["--infer"]])
def test_a_column_without_a_name_is_left_out_of_a_draft_and_that_is_said(
    name: str, infer: list[str], run: Run, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"sex": ["F", "M"] * 50, "age": range(100)})
    frame.to_csv(tmp_path / "t.csv", index_label=name)
    drafted = run("schema", tmp_path / "t.csv", "-o", tmp_path / "schema.json", *infer)
    assert drafted.code == 0
    assert "left out" in drafted.err
    columns = json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))["columns"]
    assert columns[name] == {"type": "text", "drop": True}


def test_a_folder_of_parquet_files_is_read_by_every_command(run: Run, tmp_path: Path) -> None:
    folder, schema = tmp_path / "visits", tmp_path / "schema.json"
    folder.mkdir()
    for part in range(2):
        rows = pa.table({"g": ["a", "b"] * 100, "x": range(200)})
        pq.write_table(rows, folder / f"{part}.parquet")
    assert run("schema", folder, "-o", schema).code == 0
    columns = {
        "g": {"type": "categorical", "categories": ["a", "b"]},
        "x": {"type": "integer", "low": 0, "high": 200},
    }
    schema.write_text(json.dumps({"columns": columns}), encoding="utf-8")
    assert run("check", folder, "--schema", schema).code == 0
    assert run("split", folder, "--schema", schema, "-o", tmp_path / "parts").code == 0
    assert run("fit", folder, "--schema", schema, "--epsilon", 5, "-o", tmp_path / "m.privsynth").code == 0
    audited = run(
        "audit", "--public", "--synthetic", folder, "--schema", schema, "-o", tmp_path / "page"
    )  # its rows pass for synthetic ones
    assert audited.code == 0, audited.err


def test_a_ragged_line_is_named_by_fit_and_schema(run: Run, tmp_path: Path) -> None:
    table, schema = tmp_path / "t.csv", tmp_path / "schema.json"
    table.write_text('g,x\na,1\n"a\nb",2\na,SECRET,3\n', encoding="utf-8")
    schema.write_text(json.dumps({"columns": {"g": {"type": "categorical", "categories": ["a"]}}}), "utf-8")
    for command in (
        ("schema", table, "--infer"),
        ("fit", table, "--schema", schema, "--epsilon", 1, "--on-violation", "clip"),
    ):
        refused = run(*command, "-o", tmp_path / "out")
        assert refused.code == 2
        assert "line 5 has 3 fields" in refused.error
        assert "SECRET" not in refused.err
