"""Several reports side by side: which epsilon, which synthesizer?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from privsynth.errors import ParameterError, TableError
from privsynth.report.page.page import render_page
from privsynth.report.sections import sections_in
from privsynth.report.sections.base import Verdict
from privsynth.report.text import claim_of, given_in_words, way_to_floor

Report = dict[str, Any]


def read_report(path: str | Path, *, newest_version: int) -> Report:
    """Read a ``report.json``.

    Raises:
        TableError: If the file cannot be read, is no report, or was written by a newer version.

    Privacy:
        Not private: a report holds figures of real records.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(
            f"expected {str(path)!r} to be a report.json written by `privsynth audit`; it cannot be read "
            f"({type(error).__name__})"
        ) from None
    version = content.get("report_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or "verdicts" not in content or "fidelity" not in content:
        raise TableError(
            f"expected {str(path)!r} to be a report.json written by `privsynth audit`; it is not one"
        )
    if version > newest_version:
        raise TableError(
            f"{str(path)!r} has report_version {version}, this privsynth reads up to {newest_version}; "
            "update privsynth"
        )
    return content


def compare_reports(reports: Mapping[str, Report]) -> dict[str, Any]:
    """Return what the comparison page shows: key figures, verdicts and what stands against comparing.

    Args:
        reports: Name to the content of a ``report.json``, in the order of the columns; at least two.

    Returns:
        ``runs`` (name, epsilon, delta), ``figures`` (section, measure, direction, a figure or None for each
        run), ``verdicts`` (question to verdict by run), ``warnings``.

    Raises:
        ParameterError: With fewer than two reports.

    Privacy:
        Not private: figures of real records.
    """
    if len(reports) < 2:
        raise ParameterError(f"expected at least two reports to compare, got {len(reports)}")
    figures: dict[tuple[str, str], dict[str, Any]] = {}
    for name, report in reports.items():
        for section, measure, direction, figure in key_figures(report):
            row = figures.setdefault((section, measure), {"direction": direction, "by_run": {}})
            row["by_run"][name] = figure
    verdicts: dict[tuple[str, int], dict[str, Verdict]] = {}
    for name, report in reports.items():
        for key, verdict in _placed(report["verdicts"]):
            verdicts.setdefault(key, {})[name] = verdict
    return {
        "runs": [_run(name, report) for name, report in reports.items()],
        "figures": [
            {
                "section": section,
                "measure": measure,
                "direction": row["direction"],
                "by_run": [row["by_run"].get(name) for name in reports],
                "best": _best([row["by_run"].get(name) for name in reports], row["direction"]),
            }
            for (section, measure), row in figures.items()
        ],
        "verdicts": [
            {
                "question": next(iter(by_run.values()))["question"],
                "by_run": [by_run.get(name) for name in reports],
            }
            for by_run in verdicts.values()
        ],
        "warnings": _warnings(reports),
    }


def render_comparison(reports: Mapping[str, Report]) -> str:
    """Return the page that shows several reports side by side, self-contained.

    Raises:
        ParameterError: With fewer than two reports.

    Privacy:
        Not private: shows figures of real records.
    """
    found = compare_reports(reports)
    return render_page("compare.html", c=found, chart_rows=_chart_rows(found), n_runs=len(found["runs"]))


def key_figures(report: Report) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return the figures that runs are compared by: section, measure, better ``low`` or ``high``, figure."""
    return [
        (section.title, measure, direction, figure)
        for section in sections_in(report)
        for measure, direction, figure in section.key_figures(report)
        if figure is not None
    ]


def _placed(verdicts: Sequence[Verdict]) -> Iterator[tuple[tuple[str, int], Verdict]]:
    """Yield verdicts with their section and their place in it: versions may word a question differently."""
    seen: Counter[str] = Counter()
    for verdict in verdicts:
        yield (verdict["section"], seen[verdict["section"]]), verdict
        seen[verdict["section"]] += 1


def _run(name: str, report: Report) -> dict[str, Any]:
    claim = claim_of(report["guarantee"])
    guarantee = report["guarantee"]
    return {
        "name": name,
        "epsilon": claim[0] if claim else None,
        "delta": claim[1] if claim else None,
        "given": given_in_words(guarantee) if claim else "",
        "guarantee": "unknown" if guarantee is None else "private" if claim else "none",
        "created": report.get("created", ""),
        "n_synthetic": (report["tables"].get("synthetic") or {}).get("n_rows"),
    }


def _best(figures: Sequence[dict[str, Any] | None], direction: str) -> int | None:
    """Return the position of the best value; None where two share it or their intervals overlap."""
    known = [(f["value"], i) for i, f in enumerate(figures) if f is not None and f["value"] is not None]
    if len(known) < 2:
        return None
    known.sort(reverse=direction == "high")
    (first, i), (second, j) = known[:2]
    a, b = figures[i], figures[j]
    assert a is not None
    assert b is not None
    if first == second:
        return None
    if a.get("interval") and b.get("interval"):
        apart = a["interval"][1] < b["interval"][0] or b["interval"][1] < a["interval"][0]
        return i if apart else None
    return i


def _warnings(reports: Mapping[str, Report]) -> list[str]:
    """Say what differs between the audits themselves, so that figures may differ for that reason alone."""
    checks = {
        "the columns that were compared": lambda r: r["settings"].get("columns"),
        "the target": lambda r: r["settings"].get("target"),
        "the groups": lambda r: r["settings"].get("groups"),
        "the unit": lambda r: r["settings"].get("unit"),
        "the size of the real table": lambda r: r["tables"].get("real"),
        "the size of the holdout": lambda r: r["tables"].get("holdout"),
        "whether the audit was quick": lambda r: r["settings"].get("quick"),
        "the version of privsynth": lambda r: r["versions"].get("privsynth"),
    }
    out = []
    for what, of in checks.items():
        if len({json.dumps(of(report), sort_keys=True) for report in reports.values()}) > 1:
            out.append(f"The reports differ in {what}: compare with care.")
    return out


def _chart_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the measures that can be drawn: those with a floor and a ceiling apart from each other."""
    rows = []
    for row in found["figures"]:
        ways = [None if f is None or f["ceiling"] is None else way_to_floor(f) for f in row["by_run"]]
        if row["section"] in ("Fidelity", "Links", "Sequences", "Utility") and any(
            way is not None for way in ways
        ):
            values = [None if f is None else f["value"] for f in row["by_run"]]
            shares = [None if way is None else 1 - way for way in ways]
            rows.append({"measure": row["measure"], "values": values, "shares": shares})
    return rows
