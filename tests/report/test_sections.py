"""A section is a module, a template and one line of registration: everything else follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import privsynth.report
from privsynth.report import AuditReport, audit, public_report
from privsynth.report.compare import key_figures
from privsynth.report.limits import Limits
from privsynth.report.page import page
from privsynth.report.sections import SECTIONS, sections_of
from privsynth.report.sections.base import Section, verdict
from tests.report.conftest import GUARANTEE
from tests.report.test_page import Page
from tests.report.test_schema import errors

TEMPLATES = Path(privsynth.report.__file__).parent / "templates"
LITTLE = Limits(n_families=1, n_bootstrap=5, max_rows=60, max_triples=1, max_secrets=1, max_targets=20)


def length_of_tables(context: Any) -> dict[str, Any]:
    return {
        "status": "assessed",
        "rows": {"value": len(context.tables.real.frame), "interval": None, "ceiling": None, "floor": None},
        "seen": sorted(context.found),
    }


LENGTH = Section(
    name="length",
    title="Length",
    reads_records=True,
    assess=length_of_tables,
    doing="counting",
    verdicts=lambda content: [
        verdict("Is it long?", "ok", f"{content['length']['rows']['value']}.", "None.")
    ],
    template="length.html",
    view=lambda content: {"told": f"{content['length']['rows']['value']} rows"},
    key_figures=lambda content: [("rows", "high", content["length"]["rows"])],
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "length.html").write_text('<section id="length"><h2>Length</h2><p>{{ told }}</p></section>')
    loader = page._environment().loader
    monkeypatch.setattr(loader, "searchpath", [*loader.searchpath, str(tmp_path)])
    monkeypatch.setitem(SECTIONS, "table", (*SECTIONS["table"], LENGTH))


@pytest.mark.usefixtures("registered")
def test_a_section_that_is_registered_is_in_json_verdicts_page_and_comparison(draw, schema) -> None:
    said: list[str] = []
    report = audit(
        real=draw(90, 0), synthetic=draw(60, 1), schema=schema, limits=LITTLE, progress=said.append
    )
    content = report.to_dict()
    assert errors(content) == []
    assert content["length"]["rows"]["value"] == report.length["rows"]["value"] == 60
    assert {"guarantee", "membership", "fidelity"} <= set(content["length"]["seen"])
    assert content["verdicts"][-1] == {
        "question": "Is it long?", "verdict": "ok", "evidence": "60.", "action": "None.", "section": "length",
    }  # fmt: skip
    assert ("Length", "rows", "high") in [row[:3] for row in key_figures(content)]
    assert "counting" in said
    text = report.to_html()
    shown = Page(text)
    assert ("a", "#length") in [(tag, a.get("href")) for tag, a in shown.elements]
    assert "60 rows" in "".join(shown.shown)


@pytest.mark.usefixtures("registered")
def test_a_section_that_reads_records_is_closed_in_a_public_report(draw, schema) -> None:
    report = public_report(synthetic=draw(60, 1), schema=schema, guarantee=GUARANTEE)
    assert report.length["status"] == "not_assessed"
    assert [v["section"] for v in report.verdicts] == ["guarantee"]
    assert 'id="length"' not in report.to_html()


@pytest.mark.parametrize("kind", ["table", "linked", "images"])
@pytest.mark.parametrize("public", [True, False])
def test_each_name_stands_for_one_section_of_a_report(kind: str, public: bool) -> None:
    shown = sections_of(kind, public=public)
    assert len({section.name for section in shown}) == len(shown)
    anchors = [anchor for section in shown for anchor in section.links]
    assert len(set(anchors)) == len(anchors)
    if public:
        assert not any(section.reads_records for section in shown)


def test_every_template_of_a_section_is_there_and_none_is_left_over() -> None:
    used = {section.template for sections in SECTIONS.values() for section in sections} - {None}
    pages = {"compare.html", "drawing.html", "layout.html", "macros.html", "public.html", "report.html"}
    assert {path.name for path in TEMPLATES.glob("*.html")} == used | pages


def test_what_a_report_has_no_section_of_is_no_attribute(report: AuditReport) -> None:
    with pytest.raises(AttributeError, match="a report has no 'nonsense'"):
        _ = report.nonsense
