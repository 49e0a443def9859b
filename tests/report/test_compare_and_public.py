from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.cli import main
from privsynth.errors import ParameterError, TableError
from privsynth.report import AuditReport, public_report
from privsynth.report.compare import compare_reports, key_figures, read_report, render_comparison
from privsynth.schema import Schema
from tests.report.conftest import GUARANTEE, SCRIPT, VALUE
from tests.report.test_page import Page

Draw = Callable[[int, int], pd.DataFrame]


@pytest.fixture(scope="module")
def worse(report: AuditReport) -> dict[str, Any]:
    content: dict[str, Any] = copy.deepcopy(report.to_dict())
    content["guarantee"]["epsilon"] = 0.1
    content["fidelity"]["tv_2way"]["value"] += 0.2
    content["utility"]["models"]["hist_gradient_boosting"]["auc"]["value"] = 0.55
    content["utility"]["models"]["hist_gradient_boosting"]["auc"]["interval"] = [0.5, 0.6]
    return content


# -- side by side --------------------------------------------------------------------------------------


def test_the_better_run_is_marked_where_it_is_clear(report: AuditReport, worse: dict[str, Any]) -> None:
    found = compare_reports({"one": report.to_dict(), "two": worse})
    assert [(run["name"], run["epsilon"]) for run in found["runs"]] == [("one", 1.0), ("two", 0.1)]
    by_measure = {row["measure"]: row for row in found["figures"]}
    assert by_measure["2-way marginals, TVD"]["best"] == 0
    assert by_measure["AUC, gradient boosting"]["best"] == 0
    assert by_measure["1-way marginals, total variation distance (TVD)"]["best"] is None  # the same
    overlapping = copy.deepcopy(worse)
    overlapping["utility"]["models"]["hist_gradient_boosting"]["auc"]["interval"] = [0.5, 1.0]
    again = compare_reports({"one": report.to_dict(), "two": overlapping})
    assert {r["measure"]: r for r in again["figures"]}["AUC, gradient boosting"]["best"] is None
    assert found["warnings"] == []


def test_verdicts_meet_by_their_place_not_by_their_wording(report: AuditReport) -> None:
    content = report.to_dict()
    other = copy.deepcopy(content)
    for verdict in other["verdicts"]:
        verdict["question"] = f"In other words: {verdict['question']}"
    del other["verdicts"][1]  # a report may lack one
    found = compare_reports({"one": content, "two": other})["verdicts"]
    assert [row["question"] for row in found] == [v["question"] for v in content["verdicts"]]
    sections = [[v and v["section"] for v in row["by_run"]] for row in found]
    assert sections == [
        [v["section"]] * 2 if i != 1 else [v["section"], None] for i, v in enumerate(content["verdicts"])
    ]


def test_audits_that_differ_themselves_are_warned_about(report: AuditReport, worse: dict[str, Any]) -> None:
    worse = copy.deepcopy(worse)
    worse["settings"]["quick"] = False
    worse["tables"]["holdout"] = None
    warnings = compare_reports({"a": report.to_dict(), "b": worse})["warnings"]
    assert len(warnings) == 2
    assert any("quick" in line for line in warnings)
    with pytest.raises(ParameterError, match="at least two reports to compare, got 1"):
        compare_reports({"a": report.to_dict()})


def test_the_page_shows_all_runs_escaped(
    report: AuditReport, worse: dict[str, Any], draw: Draw, schema: Schema
) -> None:
    public = public_report(synthetic=draw(60, 1), schema=schema).to_dict()
    text = render_comparison({"one": report.to_dict(), "<b>two</b>": worse, "three": public})
    page = Page(text)
    shown = "".join(page.shown)
    assert "<b>two</b>" in shown
    assert [tag for tag, _ in page.elements].count("script") == 3
    assert 'id="chart-comparison"' in text
    assert "2-way marginals, TVD" in shown
    assert "http" not in next(
        a["content"] or "" for t, a in page.elements if t == "meta" and "http-equiv" in a
    )


def test_the_command_compares_files_and_refuses_others(
    report: AuditReport, worse: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "eps1" / "report.json", tmp_path / "eps01" / "report.json"]
    for path, content in zip(paths, (report.to_dict(), worse), strict=True):
        path.parent.mkdir()
        path.write_text(json.dumps(content))
    out = tmp_path / "both.html"

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        return int(ended.value.code or 0)

    assert run("report", *paths, "-o", out, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [r["name"] for r in printed["runs"]] == ["eps1", "eps01"]
    assert "Audits side by side" in out.read_text(encoding="utf-8")
    assert run("report", *paths, "-o", out) == 2
    assert "--force" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("{}")
    assert run("report", paths[0], tmp_path / "other.json", "-o", tmp_path / "x.html") == 2
    assert "it is not one" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_a_newer_report_gives_a_named_error(report: AuditReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**report.to_dict(), "report_version": 7}))
    with pytest.raises(TableError, match="report_version 7, this privsynth reads up to 1"):
        read_report(path, newest_version=1)
    path.write_text("not json")
    with pytest.raises(TableError, match="cannot be read"):
        read_report(path, newest_version=1)


def test_key_figures_are_those_of_the_report(report: AuditReport) -> None:
    listed = {measure: figure for _, measure, _, figure in key_figures(report.to_dict())}
    assert listed["2-way marginals, TVD"] == report.fidelity["tv_2way"]
    assert listed["AUC of the classifier two-sample test (C2ST)"] == report.fidelity["two_sample"]["auc"]
    assert len(listed) > 12


# -- a page to publish ---------------------------------------------------------------------------------


def test_a_public_report_depends_on_the_released_rows_alone(draw: Draw, schema: Schema) -> None:
    found = public_report(synthetic=draw(500, 1), schema=schema, guarantee=GUARANTEE)
    content = found.to_dict()
    for name in ("fidelity", "utility", "fairness", "interpretability", "membership", "disclosure"):
        assert content[name]["status"] == "not_assessed"
    assert set(content["tables"]) == {"synthetic"}
    synthetic = draw(500, 1)
    owner = next(c for c in content["synthetic"]["columns"] if c["column"] == "owner")
    assert owner["distribution"][1]["synthetic"] == pytest.approx(synthetic["owner"].mean())
    pay = next(c for c in content["synthetic"]["columns"] if c["column"] == "pay")
    assert pay["missing"] == pytest.approx(synthetic["pay"].isna().mean())
    group = next(g for g in content["synthetic"]["by_group"] if g["group"] == {"town": "C"})
    rows = synthetic[synthetic["town"] == "C"]
    assert group["share"]["value"] == pytest.approx(len(rows) / 500)
    assert group["target_rate"]["value"] == pytest.approx(rows["owner"].mean())
    text = found.to_html()
    page = Page(text)
    shown = "".join(page.shown)
    assert "This page reads no real record." in shown
    assert "2.72 times as likely" in shown
    assert SCRIPT in shown
    assert VALUE[:30] in shown
    assert "reads real records and is not covered" not in shown
    json.dumps(content, allow_nan=False)


def test_the_command_reads_no_record_for_a_public_report(
    draw: Draw, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema.save(tmp_path / "schema.json")
    draw(200, 1).to_csv(tmp_path / "synthetic.csv", index=False)

    def run(*more: object) -> int:
        arguments = ["audit", "--synthetic", tmp_path / "synthetic.csv", "--schema", tmp_path / "schema.json"]
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in (*arguments, "-o", tmp_path / "out", *more)])
        return int(ended.value.code or 0)

    assert run("--public", "--real", "nowhere.csv") == 2
    assert "no table of real records with --public, got --real" in capsys.readouterr().err
    assert run() == 2
    assert "expected --real" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run("--public") == 0
    content = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert content["settings"]["public"] is True
    assert len(content["verdicts"]) == 1


def test_numbers_of_persons_are_not_asked_for(draw: Draw, schema: Schema) -> None:
    columns = {"pid": {"type": "id", "role": "person_id"}, **{c.name: c for c in schema.modelled}}
    persons = Schema(columns, max_records_per_person=3)
    found = public_report(synthetic=draw(80, 1), schema=persons, guarantee={**GUARANTEE, "delta": 0.5})
    assert found.verdicts[0]["verdict"] == "ok"  # how many units there are is not public
    assert found.synthetic is not None
    assert found.synthetic["n_rows"] == 80
    bad = draw(40, 1).assign(pay=np.full(40, 7.0))
    assert len(public_report(synthetic=bad, schema=schema).notes) == 1
