"""What a report shows of itself in a notebook: the verdicts and the key figures, without a script."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from privsynth.report.compare import key_figures
from privsynth.report.text import bottom_line

_SIGNS = {"problem": "✕ Problem", "attention": "! Attention", "ok": "✓ OK", "not_assessed": "– Not assessed"}


def summary(report: dict[str, Any]) -> str:
    """Return a fragment of HTML, everything escaped.

    Privacy:
        Not private: shows figures of real records, unless the report is a public one.
    """
    verdicts = Markup("").join(
        Markup("<tr><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            _SIGNS[v["verdict"]], v["question"], v["evidence"], v["action"]
        )
        for v in report["verdicts"]
    )
    figures = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            section, measure, *(_number(figure.get(key)) for key in ("value", "ceiling", "floor"))
        )
        for section, measure, _, figure in key_figures(report)
    )
    text = Markup(
        "<p><b>{}</b></p><table><thead><tr><th></th><th>question</th><th>evidence</th><th>what to do</th>"
        "</tr></thead><tbody>{}</tbody></table>"
    ).format(bottom_line(report["verdicts"]), verdicts)
    if figures:
        text += Markup(
            "<details><summary>Key figures</summary><table><thead><tr><th></th><th>measure</th>"
            "<th>synthetic</th><th>best reference</th><th>worst reference</th></tr></thead>"
            "<tbody>{}</tbody></table></details>"
        ).format(figures)
    return str(text + Markup("<p>The whole page: <code>report.save(folder)</code>.</p>"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
