from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pandas as pd
import pytest

from privsynth.attacks.private_audit import AuditBudget
from privsynth.errors import ParameterError
from privsynth.ledger.ledger import Ledger
from privsynth.report import AuditReport, audit
from privsynth.report.limits import ImageLimits, Limits
from privsynth.schema import Schema

SECTIONS = ("fidelity", "utility", "fairness", "membership", "disclosure")


def test_the_report_holds_what_others_script_against(report: AuditReport) -> None:
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["report_version"] == 1
    assert set(found) >= {"guarantee", *SECTIONS, "verdicts", "versions"}
    for section in SECTIONS:
        assert found[section]["status"] == "assessed", section
    attack = found["membership"]["attacks"]["density_ratio"]
    assert set(attack) >= {
        "auc", "auc_interval", "tpr_at_fpr",
        "n_members", "n_non_members", "confidence", "epsilon_lower_bound",
    }  # fmt: skip
    assert set(attack["tpr_at_fpr"]["0.01"]) >= {"tpr", "interval"}
    assert set(found["verdicts"][0]) == {"question", "verdict", "evidence", "action", "section"}
    assert all(v["verdict"] in ("problem", "attention", "ok", "not_assessed") for v in found["verdicts"])
    assert set(found["fidelity"]["tv_2way"]) == {"value", "interval", "ceiling", "floor"}
    assert all(isinstance(g["group"], dict) for g in found["fairness"]["by_group"])
    assert found["versions"]["sdmetrics"]
    assert found["guarantee"]["not_covered"] == ["timing channels", None]  # infinity is no JSON


def test_an_honest_sample_raises_no_problem(report: AuditReport) -> None:
    assert "problem" not in {verdict["verdict"] for verdict in report.verdicts}


def test_a_quick_audit_says_what_it_left_out(report: AuditReport, draw, schema: Schema) -> None:
    assert report.settings["quick"]
    assert any("bootstrap" in line for line in report.left_out)
    assert not any("rows were used" in line for line in report.left_out)  # these tables are small
    told: list[str] = []
    slow = audit(real=draw(80, 0), synthetic=draw(80, 1), schema=schema, groups=[], progress=told.append)
    assert slow.left_out == []
    assert told[0] == "reading the tables"
    assert slow.fairness["status"] == "not_assessed"
    assert slow.membership["status"] == "not_assessed"
    assert slow.guarantee is None


def test_a_full_copy_under_a_claim_is_a_problem(draw, schema: Schema) -> None:
    real = draw(1500, 0)
    claim = {"private": True, "epsilon": 0.5, "delta": 1e-6, "unit": "record"}
    found = audit(
        real=real, synthetic=real, holdout=draw(1500, 2), schema=schema, guarantee=claim, quick=True
    )
    verdict = next(v for v in found.verdicts if "who was among" in v["question"])
    assert verdict["verdict"] == "problem"
    assert "more members than the guarantee allows" in verdict["evidence"]


def test_a_twin_is_fitted_as_often_as_asked_and_stands_for_several_fits(draw, schema: Schema) -> None:
    seeds = iter(range(3, 9))
    found = audit(
        real=draw(300, 0), synthetic=draw(300, 1), schema=schema, quick=True,
        non_private=lambda: draw(300, next(seeds)), n_non_private=3,
    )  # fmt: skip
    assert next(seeds) == 6
    effect = found.fairness["privacy_effect"]
    assert effect["n_twins"] == 3
    low, high = effect["by_group"][0]["share"]["twin_interval"]
    assert low < effect["by_group"][0]["share"]["twin"] < high


def test_target_and_groups_override_the_schema(draw, schema: Schema) -> None:
    found = audit(
        real=draw(200, 0), synthetic=draw(200, 1), holdout=draw(150, 2), schema=schema,
        target="pay", groups=["owner"], quick=True,
    )  # fmt: skip
    assert found.utility["task"] == "regression"
    assert found.fairness["groups"] == ["owner"]
    assert found.fairness["target_reason"].endswith("not binary")
    assert "R²" in found.to_html()


def test_large_tables_are_thinned_by_whole_persons(draw, schema: Schema) -> None:
    limits = Limits(max_triples=2, n_bootstrap=5, max_rows=300, max_members=90)
    columns = {"pid": {"type": "id", "role": "person_id"}, **{c.name: c for c in schema.modelled}}
    persons = Schema(columns, max_records_per_person=3)
    real = draw(600, 0).assign(pid=[i // 3 for i in range(600)])
    holdout = draw(240, 2).assign(pid=[1000 + i // 3 for i in range(240)])
    found = audit(real=real, synthetic=draw(500, 1), holdout=holdout, schema=persons, limits=limits)
    assert found.tables["real"] == {"n_rows": 600, "n_units": 200}
    assert found.membership["attacks"]["density_ratio"]["n_members"] == 90
    assert found.membership["n_synthetic_rows"] == 500  # never thinned: copies would go unseen
    assert any(line.startswith("synthetic: 300 of the rows") for line in found.left_out)


def test_reports_are_replaced_only_when_asked(report: AuditReport, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    report.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    assert stat.S_IMODE((folder / "report.json").stat().st_mode) == 0o600
    text = (folder / "report.json").read_text(encoding="utf-8")
    assert json.loads(text) == report.to_dict()
    with pytest.raises(ParameterError, match=r"report\.json' exists; replace it with --force"):
        report.save(folder)
    (folder / "report.json").write_text("old")
    report.save(folder, force=True)
    assert (folder / "report.json").read_text(encoding="utf-8") == text
    with pytest.raises(ParameterError, match="expected a folder"):
        report.save(folder / "report.json")


def test_a_notebook_shows_the_verdicts_escaped(report: AuditReport) -> None:
    shown = report._repr_html_()
    assert shown.count("<tr>") > len(report.verdicts) + 10
    assert "question" in shown
    assert "2-way marginals, TVD" in shown
    assert "<script" not in shown


def test_a_table_that_breaks_the_schema_is_noted(draw, schema: Schema) -> None:
    synthetic = draw(60, 1).assign(pay=7.5)
    found = audit(real=draw(60, 0), synthetic=synthetic, schema=schema)
    assert len(found.notes) == 1
    assert "'pay'" in found.notes[0]
    assert "7.5" not in found.notes[0]
    assert isinstance(synthetic, pd.DataFrame)
    assert synthetic["pay"].eq(7.5).all()  # the caller's table is left as it was


def test_a_paid_report_holds_what_was_paid_for(draw, schema: Schema, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    budget = AuditBudget(epsilon=2.0, delta=1e-6, dataset="tiny", ledger=ledger)
    report = audit(
        real=draw(700, 0), synthetic=draw(500, 1), holdout=draw(300, 2), schema=schema, budget=budget
    )
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["paid"]["epsilon"] == 2.0
    sides = [
        found["paid"][kind][side] for kind in ("hits", "predictions") for side in ("members", "outsiders")
    ]
    assert [side["n_units"] for side in sides] != [
        700,
        300,
    ] * 2  # noisy: each is right by chance one time in 14
    assert {found[section]["status"] for section in SECTIONS} == {"not_assessed"}
    assert ledger.datasets()[0].runs[0].description == "audit"
    text = report.to_html()
    assert "Figures that may be published" in text
    assert "charged to the data set “tiny”" in text


def test_what_an_audit_under_a_budget_makes_nothing_of_is_refused_before_anything_is_reserved(
    draw, schema, tmp_path
):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    budget = AuditBudget(epsilon=1.0, delta=1e-6, dataset="tiny", ledger=ledger)
    fits: list[int] = []
    asked: list[tuple[dict, str]] = [
        ({"non_private": lambda: fits.append(1)}, "takes no non_private"),
        ({"limits": Limits()}, "takes no limits"),
        ({"target": "nobody"}, "expected target to name modelled columns, got 'nobody'"),
    ]
    for arguments, words in asked:
        with pytest.raises(ParameterError, match=words):
            audit(real=draw(200, 0), synthetic=draw(200, 1), schema=schema, budget=budget, **arguments)
    assert (fits, ledger.datasets()) == ([], [])
    with pytest.raises(ParameterError, match="expected limits to be Limits, got ImageLimits"):
        audit(real=draw(200, 0), synthetic=draw(200, 1), schema=schema, limits=ImageLimits())


def test_a_paid_report_says_which_target_it_judged_and_the_day_alone(draw, schema, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    budget = AuditBudget(epsilon=1.0, delta=1e-6, dataset="tiny", ledger=ledger)
    asked = {"target": "town", "groups": ["owner"], "budget": budget}
    report = audit(real=draw(300, 0), synthetic=draw(300, 1), schema=schema, **asked)
    assert (report.settings["target"], report.settings["groups"]) == ("town", ["owner"])
    assert report.paid["predictions"]["target"] == "town"
    # seconds would tell how long the counting took
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", report.created)
