"""The section on histories: who has it, what it says, and how it looks."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.attacks.private_audit import AuditBudget
from privsynth.cli import main
from privsynth.errors import SchemaError
from privsynth.report import AuditReport, audit, public_report
from privsynth.report.compare import compare_reports, render_comparison
from privsynth.report.page.page import render
from privsynth.report.sections import sections_in, verdicts_of
from privsynth.schema import ROWS_OF_HISTORIES, ROWS_OF_PERSONS, Schema
from tests.helpers.histories import COLUMNS, SCHEMA, draw_histories
from tests.report.test_page import LOADING_ATTRIBUTES, Page
from tests.report.test_schema import errors
from tests.report.test_sections import LITTLE


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {"real": draw_histories(900, 0), "holdout": draw_histories(700, 1)}


@pytest.fixture(scope="module")
def faithful(tables: dict[str, pd.DataFrame]) -> AuditReport:
    return audit(**tables, synthetic=draw_histories(900, 2), schema=SCHEMA, quick=True)


@pytest.fixture(scope="module")
def forgetful(tables: dict[str, pd.DataFrame]) -> AuditReport:
    return audit(**tables, synthetic=draw_histories(900, 2, stay=0.5, memory=0.0), schema=SCHEMA, quick=True)


def verdict_of(content: dict[str, Any]) -> dict[str, str]:
    (found,) = (v for v in verdicts_of(content) if v["section"] == "sequences")
    return found


def test_histories_of_the_law_are_in_order_and_forgotten_ones_are_not(faithful, forgetful) -> None:
    found = verdict_of(faithful.to_dict())
    assert found["verdict"] == "ok"
    assert found["evidence"].startswith("TVD of a record and the one before it")
    lost = verdict_of(forgetful.to_dict())
    assert lost["verdict"] == "attention"
    assert lost["evidence"].startswith(
        "No better than independent rows: TVD of a record and the one before it"
    )
    assert "AUC of the next 'ill'" in lost["evidence"]


def test_it_stands_in_json_page_links_and_comparison(faithful, forgetful) -> None:
    content = faithful.to_dict()
    assert errors(content) == []
    assert content["sequences"]["lags"][0]["tv"]["value"] == faithful.sequences["lags"][0]["tv"]["value"]
    text = render(json.loads(json.dumps(content)))
    page = Page(text)
    assert ("a", "#sequences") in [(tag, a.get("href")) for tag, a in page.elements]
    assert text.index('<section id="fidelity"') < text.index('<section id="sequences"')
    shown = " ".join("".join(page.shown).split())
    assert ROWS_OF_HISTORIES in shown
    assert ROWS_OF_PERSONS not in shown
    assert "900 persons" in shown
    compared = compare_reports({"a": content, "b": forgetful.to_dict()})
    rows = {row["measure"]: row for row in compared["figures"] if row["section"] == "Sequences"}
    lag = rows["TVD of a record and the one before it"]
    assert (lag["direction"], lag["best"]) == ("low", 0)
    assert rows["AUC of the next 'ill'"]["direction"] == "high"
    assert "Sequences" in render_comparison({"a": content, "b": forgetful.to_dict()})


def test_the_page_is_read_by_everyone_and_loads_nothing(faithful) -> None:
    text = faithful.to_html()
    page = Page(text)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name in LOADING_ATTRIBUTES:
                assert (tag, (value or "")[:1]) == ("a", "#"), (tag, name)
    section = text[text.index('<section id="sequences"') :]
    section = section[: section.index("</section>")]
    drawings = re.findall(r'<svg[^>]*role="img"[^>]*><title>([^<]*)</title>', section)
    persons = [title for title in drawings if title.startswith("Synthetic person")]
    assert len(persons) == len(faithful.sequences["timelines"]["persons"])
    assert section.count("<summary>The records as a table</summary>") == len(persons)
    for table in re.findall(r"<table>.*?</table>", section, re.DOTALL):
        assert '<th scope="col"' in table
        assert '<th scope="row"' in table


def test_timelines_do_not_hang_on_real_records(tables, faithful) -> None:
    other = audit(
        real=draw_histories(300, 7), holdout=tables["holdout"], synthetic=draw_histories(900, 2),
        schema=SCHEMA, quick=True,
    )  # fmt: skip
    assert other.sequences["timelines"] == faithful.sequences["timelines"]


def test_tables_of_rows_have_no_such_section(report: AuditReport) -> None:
    content = report.to_dict()
    assert "sequences" not in content
    assert "sequences" not in content["settings"]
    assert "sequences" not in [section.name for section in sections_in(content)]
    assert 'id="sequences"' not in report.to_html()
    with pytest.raises(AttributeError, match="a report has no 'sequences'"):
        _ = report.sequences


def test_a_report_from_before_the_section_is_shown_without_it(faithful) -> None:
    content = json.loads(json.dumps(faithful.to_dict()))
    del content["sequences"]
    assert all(v["section"] != "sequences" for v in verdicts_of(content))
    assert 'id="sequences"' not in render(content)
    compare_reports({"old": content, "new": faithful.to_dict()})


def test_without_holdout_or_following_records_it_says_so() -> None:
    bare = audit(real=draw_histories(80, 0), synthetic=draw_histories(80, 1), schema=SCHEMA, quick=True)
    assert errors(bare.to_dict()) == []
    text = "".join(Page(bare.to_html()).shown)
    assert "No holdout table" in text
    lonely = audit(
        real=draw_histories(80, 0, n_records=1), synthetic=draw_histories(80, 1, n_records=1),
        holdout=draw_histories(80, 2, n_records=1), schema=SCHEMA, quick=True,
    )  # fmt: skip
    assert verdict_of(lonely.to_dict())["verdict"] == "not_assessed"
    assert errors(lonely.to_dict()) == []
    Page(lonely.to_html())


def test_more_records_than_real_persons_have_are_said(tables) -> None:
    long = audit(**tables, synthetic=draw_histories(900, 2, n_records=6), schema=SCHEMA, quick=True)
    found = verdict_of(long.to_dict())
    assert found["verdict"] == "attention"
    assert "Persons have more or fewer records than real ones" in found["evidence"]


def test_a_public_page_counts_persons_and_shows_none_of_them() -> None:
    report = public_report(synthetic=draw_histories(50, 0), schema=SCHEMA)
    content = report.to_dict()
    assert content["tables"]["synthetic"]["n_units"] == 50
    assert content["sequences"]["status"] == "not_assessed"
    shown = " ".join("".join(Page(report.to_html()).shown).split())
    assert "50 persons" in shown
    assert ROWS_OF_HISTORIES in shown
    assert "Synthetic person" not in shown
    with pytest.raises(SchemaError, match="no column 'pid'"):
        public_report(synthetic=draw_histories(50, 0).drop(columns="pid"), schema=SCHEMA)


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [(0.05, "ok", ""), (0.13, "attention", "Nearer to independent rows"), (0.2, "attention", "No better")],
)
def test_the_verdict_lies_between_the_references(faithful, value: float, kind: str, told: str) -> None:
    content = json.loads(json.dumps(faithful.to_dict()))
    for lag in content["sequences"]["lags"]:
        lag["tv"] = {"value": value, "interval": None, "ceiling": 0.04, "floor": 0.2}
    found = verdict_of(content)
    assert found["verdict"] == kind
    assert found["evidence"].startswith(told)


def test_an_audit_under_a_budget_knows_of_persons_and_keeps_histories_out(tables, tmp_path) -> None:
    budget = AuditBudget(epsilon=2, delta=1e-6, dataset="d", ledger=tmp_path / "ledger.sqlite")
    report = audit(**tables, synthetic=draw_histories(400, 2), schema=SCHEMA, budget=budget)
    content = report.to_dict()
    assert errors(content) == []
    assert content["sequences"]["status"] == "not_assessed"
    assert content["paid"]["unit"] == "person"
    assert content["tables"]["synthetic"]["n_units"] == 400
    assert "Synthetic person" not in report.to_html()


def test_files_are_audited_as_frames_are(tmp_path) -> None:
    synthetic = draw_histories(120, 2).assign(pid=lambda rows: rows["pid"].rank(method="dense").astype(int))
    given = {"real": draw_histories(120, 0), "holdout": draw_histories(90, 1), "synthetic": synthetic}
    for name, table in given.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    SCHEMA.save(tmp_path / "schema.json")
    flags = [part for name in given for part in (f"--{name}", str(tmp_path / f"{name}.csv"))]
    with pytest.raises(SystemExit) as end:
        main(
            [
                "audit",
                *flags,
                "--schema",
                str(tmp_path / "schema.json"),
                "-o",
                str(tmp_path / "page"),
                "--quick",
            ]
        )
    assert end.value.code == 0
    written = json.loads((tmp_path / "page" / "report.json").read_text(encoding="utf-8"))
    frames = audit(**given, schema=SCHEMA, quick=True).to_dict()
    assert written["sequences"]["lags"] == frames["sequences"]["lags"]
    assert written["tables"]["synthetic"]["n_units"] == 120


FREE = {**COLUMNS, "ill": {**COLUMNS["ill"], "missing": True}, "cost": {**COLUMNS["cost"], "missing": True}}
ONLY_ORDER = {name: FREE[name] for name in ("pid", "sex", "day")}
REAL, SYNTHETIC = draw_histories(60, 0), draw_histories(60, 2)
EMPTY = {"ill": None, "cost": np.nan}
ODD: dict[str, tuple[dict[str, Any], pd.DataFrame, pd.DataFrame, str]] = {
    "one synthetic person": (FREE, REAL, SYNTHETIC[SYNTHETIC["pid"] == SYNTHETIC["pid"][0]], "attention"),
    "one synthetic row": (FREE, REAL, SYNTHETIC[:1], "not_assessed"),
    "one real row": (FREE, REAL[:1], SYNTHETIC, "not_assessed"),
    "one row each": (FREE, REAL[:1], SYNTHETIC[:1], "not_assessed"),
    "nothing but the order differs": (ONLY_ORDER, REAL, SYNTHETIC, "not_assessed"),
    "no synthetic value is known": (FREE, REAL, SYNTHETIC.assign(**EMPTY), "attention"),
    "no real value is known": (FREE, REAL.assign(**EMPTY), SYNTHETIC, "attention"),
    "nothing ever changes": (FREE, *(t.assign(ill=True, cost=1.0) for t in (REAL, SYNTHETIC)), "ok"),
    "all rows are of one person": (FREE, REAL, SYNTHETIC.assign(pid=1), "attention"),
    "nobody has an id": (FREE, REAL, SYNTHETIC.assign(pid=None), "not_assessed"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("n_held_out", [0, 1, 50])
def test_odd_tables_end_in_words(case: str, n_held_out: int) -> None:
    columns, real, synthetic, kind = ODD[case]
    holdout = draw_histories(n_held_out, 1) if n_held_out else None
    found = audit(
        real=real, synthetic=synthetic, holdout=holdout, limits=LITTLE,
        schema=Schema(columns, max_records_per_person=6),
    )  # fmt: skip
    content = found.to_dict()
    assert errors(content) == []
    json.dumps(content, allow_nan=False)
    Page(found.to_html())
    if not n_held_out:
        assert verdict_of(content)["verdict"] == kind


def test_persons_that_a_model_draws_are_audited(tables, tmp_path) -> None:
    model = privsynth.MarginalSynthesizer(epsilon=8, random_state=0).fit(
        tables["real"], schema=SCHEMA, dataset="d", ledger=tmp_path / "ledger.sqlite"
    )
    report = audit(
        **tables, synthetic=model.sample(900, random_state=0), schema=SCHEMA, model=model, quick=True
    )
    content = report.to_dict()
    assert errors(content) == []
    assert content["tables"]["synthetic"]["n_units"] == 900
    lag = content["sequences"]["lags"][0]["tv"]
    assert lag["value"] < (lag["ceiling"] + lag["floor"]) / 2
    assert content["sequences"]["next_event"]["predicted"][0]["of_score"]["value"] > 0.75
    assert verdict_of(content)["verdict"] == "ok"
    assert "persons" in "".join(Page(report.to_html()).shown)
