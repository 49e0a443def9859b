"""Several reports side by side: which epsilon, which synthesizer?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from privsynth.errors import ParameterError, TableError
from privsynth.metrics.common.scores import LOWER_IS_BETTER, SCORES
from privsynth.report.page.page import MODEL_WORDS, SCORE_WORDS, render_page
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
    questions = list(dict.fromkeys(v["question"] for report in reports.values() for v in report["verdicts"]))
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
                "question": question,
                "by_run": [
                    next((v for v in report["verdicts"] if v["question"] == question), None)
                    for report in reports.values()
                ],
            }
            for question in questions
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


def key_figures(report: Report) -> list[tuple[str, str, str, dict[str, Any] | None]]:
    """Return the figures that runs are compared by: section, measure, better ``low`` or ``high``, figure."""
    out: list[tuple[str, str, str, dict[str, Any] | None]] = []
    attacks = report["membership"].get("attacks", {})
    for name, attack in attacks.items():
        figure = {"value": attack["auc"], "interval": attack["auc_interval"], "ceiling": 0.5, "floor": None}
        out.append(("Membership", f"AUC of the attack {name.replace('_', ' ')}", "low", figure))
    fidelity = report["fidelity"]
    if fidelity.get("kind") == "images":
        out += _image_figures(fidelity)
    elif fidelity["status"] == "assessed":
        for key, measure, direction in (
            ("tv_1way", "distance, single columns", "low"),
            ("tv_2way", "distance, pairs of columns", "low"),
            ("tv_3way", "distance, triples of columns", "low"),
            ("wasserstein", "Wasserstein distance of numbers", "low"),
        ):
            out.append(("Fidelity", measure, direction, fidelity.get(key)))
        test = fidelity.get("two_sample") or {}
        out.append(("Fidelity", "AUC of the two-sample test", "low", test.get("auc")))
        support = fidelity.get("support") or {}
        out += [
            ("Fidelity", score, "high", support.get(score)) for score in ("precision", "recall", "coverage")
        ]
        out.append(("Fidelity", "sdmetrics quality score", "high", fidelity["quality"]["score"]))
    utility = report["utility"]
    if utility["status"] == "assessed":
        main = utility.get("main_score") or SCORES[utility["task"]][0]
        direction = "low" if main in LOWER_IS_BETTER else "high"
        for model, scores in utility["models"].items():
            measure = f"{SCORE_WORDS[main]}, {MODEL_WORDS.get(model, model)}"
            out.append(("Utility", measure, direction, scores[main]))
        ranking = utility.get("ranking") or {}
        out.append(("Utility", "agreement of model rankings", "high", ranking.get("agreement")))
    fairness = report["fairness"]
    for entry in fairness.get("by_columns", []):
        for key, name in (
            ("demographic_parity_difference", "demographic parity difference"),
            ("equalized_odds_difference", "equalised odds difference"),
        ):
            if entry.get(key):
                out.append(("Fairness", f"{name} by {' × '.join(entry['columns'])}", "low", entry[key]))
    return [row for row in out if row[3] is not None]


def _image_figures(fidelity: Report) -> list[tuple[str, str, str, dict[str, Any] | None]]:
    """Return the figures of images; their names carry the network, since only those of one compare."""
    name = fidelity["network"]
    return [
        ("Fidelity", f"Fréchet {name} distance", "low", fidelity[f"frechet_{name}_distance"]),
        ("Fidelity", f"kernel {name} distance", "low", fidelity[f"kernel_{name}_distance"]),
        ("Fidelity", "AUC of the two-sample test", "low", fidelity["two_sample"].get("auc")),
        *(
            ("Fidelity", score, "high", fidelity["support"][score])
            for score in ("precision", "recall", "coverage")
        ),
    ]


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
        if row["section"] in ("Fidelity", "Utility") and any(way is not None for way in ways):
            values = [None if f is None else f["value"] for f in row["by_run"]]
            shares = [None if way is None else 1 - way for way in ways]
            rows.append({"measure": row["measure"], "values": values, "shares": shares})
    return rows
