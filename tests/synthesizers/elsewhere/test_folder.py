"""Folders of noisy tables that are not as described: one clear message each, and nothing is fitted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import PrivsynthError, SchemaError, TableError
from privsynth.schema import Schema
from privsynth.synthesizers import ReleasesSynthesizer
from privsynth.synthesizers.elsewhere import cells as cells_module
from privsynth.synthesizers.elsewhere import statement as statement_module
from tests.helpers.commands import run
from tests.helpers.elsewhere import QUICK, VISITS, counted, pairs_released, state, table, visits

SEX_AGE = "sex-age.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pairs_released(tmp_path / "released")


def refusal(folder: Path, schema: Schema = VISITS) -> PrivsynthError:
    with pytest.raises((TableError, SchemaError)) as raised:
        ReleasesSynthesizer(settings=QUICK).fit(folder, schema=schema)
    return raised.value


def restate(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "releases.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


def of_table(**changed: Any) -> Callable[[dict[str, Any]], object]:
    return lambda fields: fields["tables"][0].update(changed)


def whole(delta: float, **changed: Any) -> Callable[[dict[str, Any]], None]:
    """State epsilon and delta of all tables, and no cost of the first."""

    def change(fields: dict[str, Any]) -> None:
        fields.update(epsilon=1.0, delta=delta)
        fields["tables"][0].update(changed)
        for each in fields["tables"]:
            each.pop("cost")

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("stated_by"), r"'stated_by' to be a text of one line, .* got nothing"),
        (
            lambda f: f.update(stated_by="us\n(0, 0)-differential privacy"),
            r"'stated_by' to be a text of one line",
        ),
        (lambda f: f.update(made_with="\x1b[2J"), r"'made_with' to be a text of one line"),
        (lambda f: f.pop("neighbours"), r"'neighbours' to be one of add_or_remove_one, replace_one"),
        (lambda f: f.update(version=2), r"'version' to be 1, got 2"),
        (lambda f: f.update(unit="household"), r"'unit' to be one of record, person"),
        (lambda f: f.update(unit="person"), r"'max_records_per_person' to be a whole number"),
        (lambda f: f.update(max_records_per_person=3), r"'max_records_per_person' to be left out"),
        (lambda f: f.update(notes="x"), r"unknown key 'notes'"),
        (lambda f: f.update(tables=[]), r"'tables' to be a list of 1 to 4096"),
        (lambda f: f.update(delta=1.5), r"'delta' to be a number from 0 to below 1"),
        (lambda f: f.update(epsilon=float(0)), r"'epsilon' to be a number above 0"),
        (lambda f: f.pop("delta"), r"expected 'delta', at which the costs"),
        (lambda f: (f.pop("delta"), f.update(epsilon=1.0)), r"'epsilon' of all tables needs its 'delta'"),
        (lambda f: f["tables"][0].pop("cost"), r"a 'cost' of each; table 1 has none"),
        (of_table(columns="sex"), r"table 1: expected 'columns' to be a list"),
        (of_table(columns=["sex", "sex"]), r"a column stands twice in 'columns'"),
        (of_table(columns=["sex", "height"], edges={}), r"there is no column 'height'"),
        (of_table(mechanism="uniform"), r"'mechanism' to be one of gaussian"),
        (of_table(keys="seen"), r"'keys' to be one of public, thresholded"),
        (of_table(keys="thresholded"), r"'threshold_delta' to be the delta of the threshold"),
        (of_table(threshold=4), r"belong to \"keys\": \"thresholded\""),
        (of_table(variance=100.0), r"either 'std' or 'variance'"),
        (of_table(std=-1.0), r"'std' to be a number above 0, got -1.0"),
        (of_table(std=None, variance=0), r"'variance' to be a number above 0, got 0"),
        (
            of_table(mechanism="laplace", std=1e-7, cost={"epsilon": 1e3}),
            r"noise of a variance of at least 1e-12",
        ),
        (of_table(cost={"mu": 1e200}), r"'mu' to be a number above 0"),
        (of_table(std="noise"), r"there is no column 'noise'"),
        (of_table(cost={"mu": 0.1, "rho": 0.1}), r"'cost' to hold one of mu, rho and epsilon"),
        (of_table(cost={"mu": 0.1, "delta": 0.1}), r"a delta belongs to an epsilon"),
        (of_table(cost={"mu": 0.01}), r"cost is too small for its noise: .* deviation below 100, and 10 is"),
        (
            of_table(mechanism="laplace", cost={"epsilon": 0.01}),
            r"cost is too small for its noise",
        ),
        (of_table(cost={"epsilon": 0.5}), r"gaussian noise has no epsilon without a delta"),
        (
            of_table(mechanism="discrete_gaussian", cost={"epsilon": 0.5, "delta": 0}),
            r"discrete_gaussian noise has no epsilon without a delta",
        ),
        (whole(0.0), r"'delta' of all tables to cover that of 'sex-age.csv', above 0, since gaussian noise"),
        (
            whole(1e-9, keys="thresholded", threshold_delta=1e-6),
            r"'delta' of all tables to cover that of 'sex-age.csv', at least that of its threshold, 1e-06",
        ),
        (of_table(edges={"ward": [0, 1]}), r"'edges' of 'ward', which is none of the table's"),
        (of_table(edges={"age": [0]}), r"'edges' of 'age' to be 2 to"),
        (of_table(edges={"age": [0, 20, 20, 99]}), r"cells overlap: 'edges' of 'age' do not increase"),
        (of_table(edges={"age": [0, 20, 10, 99]}), r"cells overlap: 'edges' of 'age' do not increase"),
        (of_table(edges={"age": [10, 20, 99]}), r"leave a part of the line out: they go from 10 to 99"),
        (of_table(edges={"age": [-9, -5, 99]}), r"a bin of 'age' holds no value between 0 and 99"),
        (of_table(edges={"age": [0, "x", 99]}), r"'edges' of 'age': a field is not"),
        (of_table(edges={"age": [0, 30, 60, 80, 99]}), r"row 2: expected 'age' to be the lower end of a bin"),
        (of_table(edges={}), r"190 of 200 cells are missing"),
        (of_table(edges={"age": [0, 20, 40, 60, 80, 99], "sex": [0, 1]}), r"'edges' of 'sex', whose values"),
        (of_table(cells="../sex-age.csv"), r"name of a .csv or .parquet file in the folder itself"),
        (of_table(cells="/etc/passwd.csv"), r"name of a .csv or .parquet file in the folder itself"),
        (of_table(cells="..\\sex-age.csv"), r"name of a .csv or .parquet file in the folder itself"),
        (of_table(cells="cells.pickle"), r"name of a .csv or .parquet file in the folder itself"),
        (of_table(cells="duckdb://x.csv"), r"name of a .csv or .parquet file in the folder itself"),
        (of_table(cells="none.csv"), r"there is no file"),
    ],
)
def test_a_statement_that_is_not_as_described_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    restate(folder, change)
    error = refusal(folder)
    assert error.args[0]
    with pytest.raises(type(error), match=message):
        raise error


def edit(change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        frame = pd.read_csv(folder / SEX_AGE)
        changed = change(frame)
        (frame if changed is None else changed).to_csv(folder / SEX_AGE, index=False)

    return edited


def put(column: str, value: Any) -> Callable[[Path], None]:
    def change(frame: pd.DataFrame) -> None:
        frame[column] = frame[column].astype(object)
        frame.loc[3, column] = value

    return edit(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            edit(lambda f: f.drop(index=3)),
            r"1 of 10 cells are missing, such as sex = 'F', age = bin 4; public",
        ),
        (edit(lambda f: pd.concat([f, f.iloc[[2]]])), r"cells overlap: row 11 is a cell that stands there"),
        (edit(lambda f: f.drop(columns="count")), r"there is no column 'count'"),
        (edit(lambda f: f.drop(columns="age")), r"there is no column 'age'"),
        (put("count", ""), r"column 'count': expected a number within 1e\+15 in every row"),
        (put("count", "nan"), r"column 'count': expected a number within 1e\+15 in every row"),
        (put("count", "inf"), r"column 'count': expected a number within 1e\+15 in every row"),
        (put("count", "many"), r"column 'count': expected a number within 1e\+15 in every row"),
        (put("sex", "X"), r"column 'sex': a value is not among its categories"),
        (put("sex", ""), r"column 'sex': a field is missing"),
        (put("age", 61), r"row 4: expected 'age' to be the lower end of a bin"),
        (put("age", "old"), r"column 'age': a field is not"),
        (lambda f: (f / SEX_AGE).write_text(""), r"sex-age.csv"),
        (lambda f: (f / SEX_AGE).write_bytes(b"\x00\xff" * 50), r"sex-age.csv"),
        (lambda f: (f / SEX_AGE).write_text("sex,age,count\n"), r"cells are missing|holds no cell"),
        (lambda f: (f / SEX_AGE).unlink(), r"there is no file"),
        (lambda f: (f / "releases.json").unlink(), r"there is no file"),
        (lambda f: (f / "releases.json").write_text("{"), r"it is not JSON in UTF-8"),
        (lambda f: (f / "releases.json").write_text("[" * 999 + "]" * 999), r"nested too deeply"),
        (
            lambda f: (f / "releases.json").write_text('{"version": 1, "version": 1}'),
            r"'version' stands twice",
        ),
        (lambda f: (f / "releases.json").write_text("[]"), r"expected an object"),
    ],
)
def test_cells_that_are_not_as_stated_are_refused(
    folder: Path, change: Callable[[Path], None], message: str
) -> None:
    change(folder)
    error = refusal(folder)
    with pytest.raises(type(error), match=message):
        raise error


def test_noise_by_cell_has_to_be_above_zero(folder: Path) -> None:
    edit(lambda f: f.assign(noise=[1.0] * 9 + [0.0]))(folder)
    restate(folder, of_table(std="noise", mechanism="laplace", cost={"epsilon": 9.0}))
    assert "column 'noise': expected a number above 0 in every row" in str(refusal(folder))


def test_no_link_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    os.rename(folder / SEX_AGE, outside)
    (folder / SEX_AGE).symlink_to(outside)
    assert "is a link" in str(refusal(folder))
    (folder / SEX_AGE).unlink()
    os.rename(outside, folder / SEX_AGE)
    os.rename(folder / "releases.json", tmp_path / "stated.json")
    (folder / "releases.json").symlink_to(tmp_path / "stated.json")
    assert "is a link" in str(refusal(folder))


def test_what_is_too_large_is_refused_before_it_is_laid_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as limited:
        limited.setattr(cells_module, "MAX_FILE_BYTES", 50)
        assert "bytes, above 50" in str(refusal(folder))
    with monkeypatch.context() as limited:
        limited.setattr(statement_module, "MAX_BYTES", 50)
        assert "bytes, above 50" in str(refusal(folder))
    with monkeypatch.context() as limited:
        limited.setattr(cells_module, "MAX_CELLS", 9)
        assert "10 cells, above 9" in str(refusal(folder))
    monkeypatch.setattr("privsynth.synthesizers.elsewhere.synthesizer.MAX_CELLS_IN_ALL", 12)
    assert "more than 12 cells" in str(refusal(folder))


def test_a_parquet_file_is_refused_by_its_footer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = pd.read_csv(folder / SEX_AGE)
    pd.concat([cells] * 3).to_parquet(folder / "many.parquet")
    restate(folder, of_table(cells="many.parquet"))
    monkeypatch.setattr(cells_module, "MAX_CELLS", 20)
    monkeypatch.setattr("privsynth.io.parquet_files.ParquetSource.column", lambda *_: pytest.fail("was read"))
    assert "30 cells, above 20" in str(refusal(folder))


def test_tables_of_a_column_have_to_go_together(tmp_path: Path) -> None:
    frame = visits()
    thirds = {"sex": ["F", "M"], "age": [0, 40]}
    counted(frame.assign(age=np.where(frame["age"] < 40, 0, 40)), ["age"], thirds).to_csv(
        tmp_path / "age.csv", index=False
    )
    counted(frame, ["sex", "age"]).to_csv(tmp_path / SEX_AGE, index=False)
    schema = Schema({name: VISITS.columns[name] for name in ("sex", "age")})
    age = table(["age"], 10.0, edges={"age": [0, 40, 99]})
    ReleasesSynthesizer(settings=QUICK).fit(
        state(tmp_path, [age, table(["sex", "age"], 10.0)]), schema=schema
    )
    age["edges"] = {"age": [0, 40, 98]}
    state(tmp_path, [age, table(["sex", "age"], 10.0)])
    assert "they go from 0 to 98" in str(refusal(tmp_path, schema))
    counted(frame.assign(age=np.where(frame["age"] < 30, 0, 30)), ["age"], {"age": [0, 30]}).to_csv(
        tmp_path / "age.csv", index=False
    )
    age["edges"] = {"age": [0, 30, 99]}
    state(tmp_path, [age, table(["sex", "age"], 10.0)])
    assert "divides it otherwise than another" in str(refusal(tmp_path, schema))


def test_a_column_that_no_table_holds_is_named(folder: Path) -> None:
    restate(folder, lambda f: f.update(tables=f["tables"][:1]))
    assert "no table of the folder holds the column 'ill'" in str(refusal(folder))


def test_a_schema_of_another_unit_or_kind_is_refused(folder: Path) -> None:
    fields = VISITS.to_dict()
    persons = {**fields["columns"], "patient": {"type": "id", "role": "person_id"}}
    schema = Schema(persons, max_records_per_person=3)
    assert "protect one record, as releases.json states, and the schema speaks of one person" in str(
        refusal(folder, schema)
    )
    persons["age"] = {**persons["age"], "role": "order"}
    assert "tables made elsewhere tell of rows by themselves" in str(
        refusal(folder, Schema(persons, max_records_per_person=3))
    )


def test_on_the_command_line_a_bad_folder_is_one_line(folder: Path, tmp_path: Path) -> None:
    VISITS.save(tmp_path / "schema.json")
    put("count", "nan")(folder)
    arguments = (
        "fit",
        "--releases",
        folder,
        "--schema",
        tmp_path / "schema.json",
        "-o",
        tmp_path / "m.privsynth",
    )
    refused = run(*arguments)
    assert refused.code == 2
    assert "expected a number within 1e+15 in every row" in refused.error
    assert not (tmp_path / "m.privsynth").exists()
