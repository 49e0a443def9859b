"""Render ``report.json`` as one self-contained page: no script, style, font or image comes from elsewhere.

The page's content security policy names the hashes of its own scripts and forbids every other source, so a
browser makes no request for it whatever a table's texts say. Every text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from privsynth.report.page import charts as charted
from privsynth.report.page import plots
from privsynth.report.sections import sections_in
from privsynth.report.sections.base import kind_of, words_of
from privsynth.report.text import MODEL_WORDS, SCORE_WORDS, bottom_line, group_text, slope_in_words
from privsynth.schema import ROWS_OF_HISTORIES, ROWS_OF_PERSONS
from privsynth.schema.linked import ROWS_OF_LINKED

_FOLDER = Path(__file__).parent.parent / "templates"
_VERDICT_WORDS = {
    "problem": ("✕", "Problem"),
    "attention": ("!", "Attention"),
    "ok": ("✓", "OK"),
    "not_assessed": ("–", "Not assessed"),
}


class Charts:
    """Collects the figures of one page: the template places them, the script at its end draws them."""

    def __init__(self) -> None:
        self._charts: dict[str, Any] = {}

    @property
    def used(self) -> bool:
        """Whether there is any."""
        return bool(self._charts)

    def add(self, name: str, chart: Mapping[str, Any], alt: str) -> Markup:
        """Return the place of a figure; ``alt`` is read out to those who cannot see it."""
        key = f"chart-{name}"
        assert key not in self._charts, key
        self._charts[key] = _escaped(chart)
        kind = " heat-map" if chart["data"][0]["type"] == "heatmap" else ""
        return Markup('<div class="chart{}" id="{}" role="img" aria-label="{}"></div>').format(kind, key, alt)

    def json(self) -> Markup:
        """Return all figures as JSON that holds nothing a browser would take for markup."""
        text = json.dumps(self._charts, separators=(",", ":"), allow_nan=False)
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return Markup(text)


def render(report: dict[str, Any], pictures: dict[str, Any] | None = None) -> str:
    """Return the page for the content of a ``report.json``: its sections one below the other.

    Args:
        report: As `privsynth.report.report.AuditReport.to_dict` gives it.
        pictures: Of an audit of images; see `privsynth.report.page.contact_sheet`.

    Privacy:
        Not private: shows figures of real records, unless the report is a public one.
    """
    charts = Charts()
    shared: dict[str, Any] = {
        "r": report,
        "of_images": kind_of(report) == "images",
        "of_linked": kind_of(report) == "linked",
        "things": words_of(report).things,
        "pictures": pictures,
        "charts": charts,
    }
    shown = [section for section in sections_in(report) if section.template is not None]
    parts = [_filled(str(s.template), **shared, **s.view(report)) for s in shown]
    return render_page(
        "public.html" if report["settings"].get("public") else "report.html",
        **shared,
        links={anchor: words for section in shown for anchor, words in section.links.items()},
        sections=[Markup(part) for part in parts],
        rows_of_persons=_rows_of_persons(report),
        bottom_line=bottom_line(report["verdicts"]),
    )


def _rows_of_persons(report: dict[str, Any]) -> str | None:
    """Return what a row means where the unit is a person; None elsewhere."""
    sizes = [size for size in report.get("tables", {}).values() if size]
    has_persons = any(size["n_units"] != size["n_rows"] for size in sizes)
    unit = (report.get("guarantee") or {}).get("unit")
    said: str | None = (report.get("guarantee") or {}).get("rows")
    if said is not None:
        return said
    if kind_of(report) == "linked":
        return ROWS_OF_LINKED
    if report["settings"].get("sequences"):
        return ROWS_OF_HISTORIES
    return ROWS_OF_PERSONS if unit == "person" or has_persons else None


def render_page(template: str, *, charts: Charts | None = None, **content: Any) -> str:
    """Fill a template that extends ``layout.html``: style, scripts and their policy are added."""
    style, script, plotly = _file("report.css"), _file("report.js"), plotly_script()
    hashes = " ".join(f"'{_hash(text)}'" for text in (script, plotly))
    # Plotly writes styles onto the elements it makes. They can load nothing: no other source is allowed.
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {hashes}"
    return _filled(
        template,
        style=Markup(style),
        script=Markup(script),
        plotly=Markup(plotly),
        policy=policy,
        charts=charts or Charts(),
        **content,
    )


def _filled(template: str, **content: Any) -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            charted=charted,
            plots=plots,
            verdict_words=_VERDICT_WORDS,
            model_words=MODEL_WORDS,
            score_words=SCORE_WORDS,
            **content,
        )
    )


@cache
def plotly_script() -> str:
    """Return the script library that draws the figures, as the plotly package brings it."""
    from plotly.offline import get_plotlyjs

    script = str(get_plotlyjs())
    assert "</script" not in script.lower()
    return script


# -- texts ---------------------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": _number,
        "pct": lambda value, digits=1: "–" if value is None else f"{value:.{digits}%}",
        "interval": _interval,
        "group": group_text,
        "term": charted.term_text,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "count": lambda value: "–" if value is None else f"{value:,}",
        "with_interval": _with_interval,
        "p_value": _p_value,
        "points": _points,
        "baseline": lambda b: _with_interval(b) if isinstance(b, Mapping) else _number(b),
        "renamed": _renamed,
        "slope": slope_in_words,
    }
    return environment


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(limits: list[float] | None, digits: int = 3) -> str:
    return "–" if limits is None else f"{limits[0]:.{digits}f} to {limits[1]:.{digits}f}"


def _with_interval(figure: Mapping[str, Any], key: str = "value", limits: str = "interval") -> str:
    told = _number(figure[key])
    return told if figure.get(limits) is None else f"{told} ({_interval(figure[limits])})"


def _points(figure: Mapping[str, Any]) -> str:
    """Return a difference of shares in percentage points."""
    if figure["value"] is None:
        return "–"
    told = f"{100 * figure['value']:+.1f} pp"
    if figure.get("interval") is None:
        return told
    low, high = (100 * limit for limit in figure["interval"])
    return f"{told} ({low:+.1f} to {high:+.1f})"


def _p_value(p: float | None) -> str:
    return "–" if p is None else "below 0.0001" if p < 1e-4 else f"{p:.4f}"


def _renamed(
    rows: list[tuple[str, dict[str, Any]]], names: dict[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    return [(label, {names[key]: value for key, value in sides.items()}) for label, sides in rows]


def _escaped(value: Any) -> Any:
    """Escape every text but our hover templates: Plotly reads some tags, which must stay text."""
    if isinstance(value, str):
        return str(escape(value))
    if isinstance(value, Mapping):
        return {str(key): item if key == "hovertemplate" else _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
