from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from privsynth.attacks.trade_off import trade_off_view
from privsynth.report import AuditReport, audit
from privsynth.report.page.page import render
from privsynth.schema import Schema
from tests.helpers.browser import BROWSER, Tab, browser_tab

LOADING_ATTRIBUTES = {
    "src",
    "href",
    "srcset",
    "action",
    "data",
    "poster",
    "formaction",
    "xlink:href",
    "style",
}


class Page(HTMLParser):
    """Collects elements, their attributes, their balance and the text that is shown."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.shown.append(data)


@pytest.fixture(scope="module")
def text(report: AuditReport) -> str:
    return report.to_html()


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "form", "image", "use"), tag
        for name, value in attributes.items():
            if name in LOADING_ATTRIBUTES:
                assert (tag, value[:1]) == ("a", "#"), (tag, name, value)
            assert not name.startswith("on")
    policies = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; img-src data: blob:; ")
    assert "http" not in policies[0]
    assert policies[0].count("sha256-") == 2  # our script and the one that draws; no other runs


def test_texts_of_the_table_stay_text(page: Page, text: str, schema: Schema) -> None:
    scripts = [attributes.get("type") for tag, attributes in page.elements if tag == "script"]
    assert scripts == ["application/json", None, None]
    assert "<script>alert" not in text
    shown = "".join(page.shown)
    assert next(iter(schema.columns)) in shown
    assert '"><img src=https://example.org' in shown


def test_the_page_never_promises_too_much_and_says_what_it_is(page: Page) -> None:
    shown = " ".join("".join(page.shown).split())
    labels = " ".join(a.get("aria-label") or "" for _, a in page.elements)
    assert not re.search(r"safe|anonym", shown + labels, re.IGNORECASE)
    assert "This report itself reads real records and is not covered by epsilon." in shown
    assert "2.72 times as likely" in shown  # e^1
    assert "1 in 1,000,000" in shown
    assert "at most 2.72 in 100" in shown


SECTIONS = (
    "verdicts", "guarantee", "membership", "disclosure", "fidelity", "utility", "fairness",
    "interpretability", "method",
)  # fmt: skip
CHARTS = (
    "trade-off", "pair-errors", "associations", "scores", "importances", "coefficients", "shares-1",
    "rates-1", "accuracy-1", "detection", "spending", "within-groups",
)  # fmt: skip


def test_verdicts_come_first_and_every_figure_has_its_table_and_its_words(
    text: str, page: Page, report: AuditReport
) -> None:
    at = [text.index(f'<section id="{name}"') for name in SECTIONS]
    assert at == sorted(at)
    assert text.count('<span class="badge ') >= len(report.verdicts)
    drawn = {a["id"]: a["aria-label"] for _, a in page.elements if "chart" in (a.get("class") or "").split()}
    assert set(drawn) == {f"chart-{name}" for name in CHARTS}
    for label in drawn.values():
        assert label is not None
        assert "table below" in label
    n_columns = len(report.fidelity["columns"])
    assert text.count("<summary>as a table") == n_columns
    assert len(re.findall(r"<summary>[^<]* as a table", text)) + n_columns >= len(CHARTS) + n_columns
    for key in drawn:  # the first thing that unfolds after a figure is its table
        after = text[text.index(f'id="{key}"') :]
        assert "table" in re.search(r"<summary>([^<]*)</summary>", after).group(1)
    assert len(text.encode()) < 8_000_000


def test_headings_do_not_skip_a_level_and_every_table_has_headers(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    tables = [i for i, tag in enumerate(tags) if tag == "table"]
    for i in tables:
        assert "th" in tags[i : i + 6]
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for tag, a in page.elements if tag == "a"]
    assert {link[1:] for link in links if link} <= set(ids)


def test_a_report_without_guarantee_holdout_groups_or_target_is_shown(draw, schema: Schema) -> None:
    columns = {column.name: {**column.to_dict(), "role": None} for column in schema.modelled}
    found = audit(real=draw(60, 0), synthetic=draw(60, 1), schema=Schema(columns))
    text = found.to_html()
    Page(text)
    assert text.count("– Not assessed") >= 4
    assert "allowed: one unit" not in text
    assert "this report knows of no guarantee" in text


def test_a_generator_without_privacy_is_called_that(report: AuditReport) -> None:
    none = {"private": False, "epsilon": None, "delta": None}
    content = {**report.to_dict(), "guarantee": none}
    content["membership"] = {
        **content["membership"], "trade_off": trade_off_view(content["membership"], none)
    }  # fmt: skip
    text = render(content)
    assert "There is none." in text
    assert "allowed: one unit" not in text


def test_a_stored_report_renders_again(report: AuditReport, text: str) -> None:
    assert render(json.loads(json.dumps(report.to_dict()))) == text


@pytest.fixture(scope="module")
def tab(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if BROWSER is None:
        pytest.skip("no browser on PATH")
    path = tmp_path_factory.mktemp("page") / "report.html"
    probe = "<script>document.title='injected'</script>"
    path.write_text(text.replace("</main>", probe + "</main>"), encoding="utf-8")
    with browser_tab() as opened:
        opened.prefer("light")
        opened.open(path)
        opened.resize(1280, 30_000)  # all figures come into view
        opened.wait_for("document.querySelectorAll('.chart:not([data-drawn])').length === 0")
        yield opened


def test_a_browser_opens_the_page_without_errors_or_requests(tab: Tab) -> None:
    assert (
        tab.evaluate("document.title") == "Audit of a synthetic table"
    )  # not the page's own script: refused
    refused = [line for line in tab.console if "Content Security Policy" in line]
    assert len(refused) == 1
    assert tab.console == refused
    assert {url.partition(":")[0] for url in tab.requested} <= {"file", "data"}
    assert len([url for url in tab.requested if url.startswith("file")]) == 1


def test_every_section_and_figure_is_there_with_the_table_s_texts_as_text(tab: Tab, schema: Schema) -> None:
    for name in SECTIONS:
        assert tab.evaluate(f"document.getElementById('{name}').getBoundingClientRect().height") > 40, name
    for name in CHARTS:
        marks = f"document.querySelectorAll('#chart-{name} svg path, #chart-{name} svg image').length"
        assert tab.evaluate(marks) > 3, name
    shown = tab.evaluate("document.getElementById('chart-detection').textContent")
    assert next(iter(schema.columns))[:20] in shown  # <script>, as it is written
    assert tab.evaluate("document.querySelectorAll('svg a, .chart a').length") == 0


def test_the_theme_switch_changes_page_and_figures(tab: Tab) -> None:
    def colours() -> list[str]:
        return [
            tab.evaluate("getComputedStyle(document.body).backgroundColor"),
            tab.evaluate("getComputedStyle(document.querySelector('#chart-trade-off .xtitle')).fill"),
        ]

    light = colours()
    tab.evaluate("document.getElementById('theme').click()")
    dark = colours()
    assert all(a != b for a, b in zip(light, dark, strict=True))
    tab.evaluate("document.getElementById('theme').click()")
    assert colours() == light
    tab.prefer("dark")  # as the reader's system asks for it; the switch has been used, so it holds
    assert colours() == light
    tab.prefer("light")
    assert len(tab.console) == 1


def test_the_page_fits_a_phone_and_prints_in_light_colours(tab: Tab) -> None:
    tab.resize(390, 30_000)
    tab.wait_for("document.querySelector('#chart-trade-off svg').getBoundingClientRect().width < 380")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    title, legend = (
        tab.evaluate(
            f"(({{top, bottom}}) => [top, bottom])"
            f"(document.querySelector('#chart-trade-off {name}').getBoundingClientRect())"
        )
        for name in (".xtitle", ".legend")
    )
    assert title[1] < legend[0]
    rooms = tab.evaluate(
        "[...document.querySelectorAll('.chart')]"
        ".map((c) => c.offsetHeight - c.querySelector('svg').clientHeight)"
    )
    assert max(map(abs, rooms)) < 10  # nothing is left empty below a figure
    tab.resize(1280, 30_000)
    tab.evaluate("document.getElementById('theme').click()")  # dark
    pdf = tab.call("Page.printToPDF")["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert len(tab.console) == 1
