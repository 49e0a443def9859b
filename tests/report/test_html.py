from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from privsynth.report import AuditReport, audit
from privsynth.report.html import render
from privsynth.schema import Schema

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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
    assert policies[0].startswith("default-src 'none'; style-src 'sha256-")


def test_texts_of_the_table_stay_text(page: Page, text: str, schema: Schema) -> None:
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "<script>alert" not in text
    shown = "".join(page.shown)
    assert next(iter(schema.columns)) in shown
    assert '"><img src=https://example.org' in shown


def test_the_page_never_promises_too_much_and_says_what_it_is(text: str, page: Page) -> None:
    shown = " ".join("".join(page.shown).split())
    assert not re.search(r"safe|anonym", text, re.IGNORECASE)
    assert "This report itself reads real records and is not covered by epsilon." in shown
    assert "2.72 times as likely" in shown  # e^1
    assert "1 in 1,000,000" in shown
    assert "at most 2.72 in 100" in shown


def test_verdicts_come_first_and_every_plot_has_its_table(text: str, report: AuditReport) -> None:
    at = [
        text.index(f'<section id="{name}">') for name in ("verdicts", "guarantee", "membership", "fidelity")
    ]
    assert at == sorted(at)
    assert text.count('<span class="badge ') >= len(report.verdicts)
    n_columns = len(report.fidelity["columns"])
    assert len(re.findall(r"<summary>[\w ]*as a table", text)) == n_columns + 4
    assert 'class="curve add-or-remove"' in text
    assert 'class="curve replace"' in text
    assert len(text.encode()) < 8_000_000


def test_a_report_without_guarantee_holdout_groups_or_target_is_shown(draw, schema: Schema) -> None:
    columns = {column.name: {**column.to_dict(), "role": None} for column in schema.modelled}
    found = audit(real=draw(60, 0), synthetic=draw(60, 1), schema=Schema(columns))
    text = found.to_html()
    Page(text)
    assert text.count("– Not assessed") >= 4
    assert 'class="curve' not in text
    assert "this report knows of no guarantee" in text


def test_a_generator_without_privacy_is_called_that(report: AuditReport) -> None:
    content = {**report.to_dict(), "guarantee": {"private": False, "epsilon": None, "delta": None}}
    text = render(content)
    assert "There is none." in text
    assert 'class="curve replace"' not in text


def test_a_stored_report_renders_again(report: AuditReport, text: str) -> None:
    assert render(json.loads(json.dumps(report.to_dict()))) == text


@pytest.mark.skipif(BROWSER is None, reason="no browser on PATH")
def test_a_browser_opens_the_page_without_errors_or_requests(text: str, tmp_path: Path) -> None:
    path, log = tmp_path / "report.html", tmp_path / "net.json"
    probe = "</body><script>document.title='injected'</script>"
    path.write_text(text.replace("</body>", probe), encoding="utf-8")
    finished = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
            "--enable-logging=stderr", "--v=0", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Audit of a synthetic table" in finished.stdout
    assert "<title>injected" not in finished.stdout  # a script that is not the page's own does not run
    console = [line for line in finished.stderr.splitlines() if "CONSOLE" in line]
    assert len(console) == 1, console  # the browser says that it refused the injected script
    assert "Content Security Policy" in console[0]
    requested = re.findall(r'"(https?://[^"]+)"', log.read_text(encoding="utf-8"))
    assert not [url for url in requested if "example.org" in url]
