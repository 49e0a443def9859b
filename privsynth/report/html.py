"""Render ``report.json`` as one self-contained page: no script, style, font or image comes from elsewhere.

The page's content security policy names the hashes of its own style and script and forbids all else, so a
browser makes no request for it whatever a table's texts say. Every text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from privsynth.report import plots
from privsynth.report.words import claim_of, guarantee_in_words

MAX_DISTRIBUTIONS = 60
MAX_PAIRS_LISTED = 300

_FOLDER = Path(__file__).parent
_VERDICT_WORDS = {
    "problem": ("✕", "Problem"),
    "attention": ("!", "Attention"),
    "ok": ("✓", "OK"),
    "not_assessed": ("–", "Not assessed"),
}
_MODEL_WORDS = {
    "hist_gradient_boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
    "ridge": "ridge regression",
}
_SCORE_WORDS = {"auc": "AUC", "r2": "R²", "rmse": "root mean squared error"}


def render(report: dict[str, Any]) -> str:
    """Return the page for the content of a ``report.json``.

    Args:
        report: As `privsynth.report.audit.AuditReport.to_dict` gives it.

    Privacy:
        Not private: shows figures of real records.
    """
    style, script = _file("report.css"), _file("report.js")
    fidelity = report["fidelity"]
    columns = fidelity.get("columns", [])
    worst_first = sorted(columns, key=lambda column: -column["tv"]["value"])
    page = _environment().get_template("report.html")
    return page.render(
        r=report,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
        words=guarantee_in_words(report["guarantee"]),
        claim=claim_of(report["guarantee"]),
        verdict_words=_VERDICT_WORDS,
        model_words=_MODEL_WORDS,
        score_words=_SCORE_WORDS,
        drawn_columns=worst_first[:MAX_DISTRIBUTIONS],
        listed_pairs=sorted(fidelity.get("pairs", []), key=lambda pair: -pair["tv"]["value"])[
            :MAX_PAIRS_LISTED
        ],
        heat_map_columns=plots.heat_map_columns(fidelity.get("pairs", []), [c["column"] for c in columns]),
        strongest_attack=_strongest_attack(report["membership"]),
        utility_rows=_utility_rows(report["utility"]),
        group_sets=_group_sets(report["fairness"]),
        plots=plots,
    )


def _strongest_attack(membership: dict[str, Any]) -> str | None:
    """Return the attack whose AUC has the largest lower limit: the one that is drawn."""
    attacks = membership.get("attacks", {})
    return max(attacks, key=lambda name: float(attacks[name]["auc_interval"][0]), default=None)


def _utility_rows(utility: dict[str, Any]) -> list[tuple[str, str, float | None, Any]]:
    if utility["status"] != "assessed":
        return []
    score = "r2" if utility["task"] == "regression" else "auc"
    rows: list[tuple[str, str, float | None, Any]] = []
    for model, scores in utility["models"].items():
        figure, name = scores[score], _MODEL_WORDS.get(model, model)
        rows.append((f"{name}, real", "real", figure["ceiling"], figure["ceiling_interval"]))
        rows.append((f"{name}, synthetic", "synthetic", figure["value"], figure["interval"]))
    return rows


def _group_sets(fairness: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, for each set of group columns, its differences and its groups."""
    if fairness["status"] != "assessed":
        return []
    return [
        {**entry, "groups": [g for g in fairness["by_group"] if list(g["group"]) == entry["columns"]]}
        for entry in fairness["by_columns"]
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["num"] = _number
    environment.filters["pct"] = lambda value: "–" if value is None else f"{value:.1%}"
    environment.filters["interval"] = _interval
    environment.filters["group"] = _group
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["count"] = "{:,}".format
    environment.filters["with_interval"] = _with_interval
    return environment


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(limits: list[float] | None, digits: int = 3) -> str:
    return "–" if limits is None else f"{limits[0]:.{digits}f} to {limits[1]:.{digits}f}"


def _with_interval(figure: dict[str, Any], key: str = "value", limits: str = "interval") -> str:
    told = _number(figure[key])
    return told if figure.get(limits) is None else f"{told} ({_interval(figure[limits])})"


def _group(group: dict[str, Any]) -> str:
    return ", ".join("(missing)" if value is None else str(value) for value in group.values())


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
