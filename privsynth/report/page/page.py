"""Render ``report.json`` as one self-contained page: no script, style, font or image comes from elsewhere.

The page's content security policy names the hashes of its own scripts and forbids every other source, so a
browser makes no request for it whatever a table's texts say. Every text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from privsynth.metrics.common.scores import SCORES
from privsynth.metrics.fidelity.images import SUPPORT
from privsynth.report.page import charts as charted
from privsynth.report.page import plots
from privsynth.report.provenance import drawing_in_words
from privsynth.report.text import (
    bottom_line,
    bought,
    claim_of,
    given_in_words,
    group_text,
    guarantee_in_words,
    slope_in_words,
)
from privsynth.schema import ROWS_OF_PERSONS

MAX_DISTRIBUTIONS = 60
MAX_ROWS_LISTED = 300
N_SMALLEST_GROUPS = 3

_FOLDER = Path(__file__).parent.parent / "templates"
_VERDICT_WORDS = {
    "problem": ("✕", "Problem"),
    "attention": ("!", "Attention"),
    "ok": ("✓", "OK"),
    "not_assessed": ("–", "Not assessed"),
}
MODEL_WORDS = {
    "hist_gradient_boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
    "ridge": "ridge regression",
    "random_forest": "random forest",
    "decision_tree": "decision tree",
    "naive_bayes": "naive Bayes",
    "cnn": "convolutional network",
    "mlp": "perceptron",
}
SCORE_WORDS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier score",
    "r2": "R²",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
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
    """Return the page for the content of a ``report.json``.

    Args:
        report: As `privsynth.report.report.AuditReport.to_dict` gives it.
        pictures: Of an audit of images; see `privsynth.report.page.contact_sheet`.

    Privacy:
        Not private: shows figures of real records, unless the report is a public one.
    """
    of_images = report["settings"].get("kind") == "images"
    content = _shared(report, "images" if of_images else "rows")
    if report["settings"].get("public"):
        template = "image_public.html" if of_images else "public.html"
        return render_page(template, **content, pictures=pictures)
    content |= _of_audit(report)
    if of_images:
        return render_page("image_report.html", **content, **_of_images(report), pictures=pictures)
    return render_page("report.html", **content, **_of_table(report))


def _shared(report: dict[str, Any], things: str) -> dict[str, Any]:
    """Return what every page of a report takes; ``things`` is what it calls what was released."""
    guarantee = report["guarantee"]
    return {
        "r": report,
        "things": things,
        "words": guarantee_in_words(guarantee, things=things),
        "rows_of_persons": _rows_of_persons(report),
        "drawing_words": drawing_in_words(report.get("drawing"), things=things),
        "claim": claim_of(guarantee),
        "given": given_in_words(guarantee),
    }


def _rows_of_persons(report: dict[str, Any]) -> str | None:
    """Return what a row means where the unit is a person; None elsewhere."""
    sizes = [size for size in report.get("tables", {}).values() if size]
    has_persons = any(size["n_units"] != size["n_rows"] for size in sizes)
    unit = (report.get("guarantee") or {}).get("unit")
    return ROWS_OF_PERSONS if unit == "person" or has_persons else None


def _of_audit(report: dict[str, Any]) -> dict[str, Any]:
    membership = report["membership"]
    return {
        "bottom_line": bottom_line(report["verdicts"]),
        "trade_off_alt": _trade_off_alt(membership),
        "has_adjusted": any("p_adjusted" in attack for attack in membership.get("attacks", {}).values()),
        "smallest_groups": _smallest_groups(report["fairness"]),
        "disclosure_rows": _disclosure_rows(report["disclosure"]),
        "group_sets": _group_sets(report["fairness"]),
    }


def _of_table(report: dict[str, Any]) -> dict[str, Any]:
    fidelity, utility = report["fidelity"], report["utility"]
    columns, pairs = fidelity.get("columns", []), fidelity.get("pairs", [])
    assessed = utility["status"] == "assessed"
    main_score = SCORES[utility["task"]][0] if assessed else None
    explained = report["interpretability"]
    return {
        "sdmetrics_rows": _sdmetrics_rows(fidelity),
        "drawn_columns": sorted(columns, key=lambda c: -c["tv"]["value"])[:MAX_DISTRIBUTIONS],
        "listed_pairs": sorted(pairs, key=lambda pair: -pair["tv"]["value"])[:MAX_ROWS_LISTED],
        "association_rows": _association_rows(fidelity.get("associations"))[:MAX_ROWS_LISTED],
        "main_score": main_score,
        "has_balanced": assessed and any("balanced" in s[main_score] for s in utility["models"].values()),
        "accuracy_rows": _accuracy_rows,
        "giveaway_rows": _giveaway_rows(explained),
        "spending_rows": _spending_rows(explained),
        "bought": bought(fidelity, utility),
    }


def _of_images(report: dict[str, Any]) -> dict[str, Any]:
    fidelity = report["fidelity"]
    network = fidelity["network"]
    return {
        "network": network,
        "feature_rows": [
            (f"Fréchet {network} distance (0 = equal)", fidelity[f"frechet_{network}_distance"]),
            (f"kernel {network} distance (around 0 = equal)", fidelity[f"kernel_{network}_distance"]),
            (
                f"{network} score (1 = nothing to see; classes, clear and all there, count)",
                fidelity.get(f"{network}_score"),
            ),
            *((score, fidelity["support"][score]) for score in SUPPORT),
        ],
    }


def render_page(template: str, **content: Any) -> str:
    """Fill a template that extends ``layout.html``: style, scripts and their policy are added."""
    style, script, plotly = _file("report.css"), _file("report.js"), plotly_script()
    hashes = " ".join(f"'{_hash(text)}'" for text in (script, plotly))
    # Plotly writes styles onto the elements it makes. They can load nothing: no other source is allowed.
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {hashes}"
    page = _environment().get_template(template)
    return page.render(
        style=Markup(style),
        script=Markup(script),
        plotly=Markup(plotly),
        policy=policy,
        charts=Charts(),
        charted=charted,
        plots=plots,
        verdict_words=_VERDICT_WORDS,
        model_words=MODEL_WORDS,
        score_words=SCORE_WORDS,
        **content,
    )


@cache
def plotly_script() -> str:
    """Return the script library that draws the figures, as the plotly package brings it."""
    from plotly.offline import get_plotlyjs

    script = str(get_plotlyjs())
    assert "</script" not in script.lower()
    return script


# -- what the templates cannot say by themselves -------------------------------------------------------


def _trade_off_alt(membership: dict[str, Any]) -> str:
    told = [
        f"{name.replace('_', ' ')} finds {p['tpr']:.2%} of members at {p['fpr']:.2%} wrongly accused"
        for name, attack in membership.get("attacks", {}).items()
        for rate, p in attack["tpr_at_fpr"].items()
        if p["tpr"] is not None and rate == "0.01"
    ]
    return (
        "Operating points of the attacks over what the guarantee allows. "
        + "; ".join(told)
        + ". All values stand in the table below."
    )


def _smallest_groups(fairness: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [g for g in fairness.get("by_group", []) if g["n_real"] > 0]
    return sorted(groups, key=lambda g: g["n_real"])[:N_SMALLEST_GROUPS]


def _disclosure_rows(disclosure: dict[str, Any]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return the comparisons of each kind of attack, named."""
    if disclosure["status"] != "assessed":
        return {}
    inferred = disclosure["attribute_inference"]
    return {
        "attribute_inference": [(f"{e['secret']}, by {e['attack'].replace('_', ' ')}", e) for e in inferred],
        **{
            kind: [(name.replace("_", " "), e) for name, e in disclosure[kind].items()]
            for kind in ("singling_out", "linkage", "copies")
        },
    }


def _sdmetrics_rows(fidelity: dict[str, Any]) -> list[tuple[str, Any]]:
    rows = []
    for which in ("quality", "diagnostic"):
        section = fidelity.get(which)
        if section:
            rows.append((f"{which} score (1 = best)", section["score"]))
            rows += [(f"{which}: {name}", figure) for name, figure in section["properties"].items()]
    return rows


def _association_rows(associations: dict[str, Any] | None) -> list[dict[str, Any]]:
    if associations is None:
        return []
    names, rows = associations["columns"], []
    for i in range(len(names)):
        for j in range(i):
            reference, synthetic = associations["reference"][i][j], associations["synthetic"][i][j]
            if reference is not None:
                difference = None if synthetic is None else synthetic - reference
                rows.append(
                    {
                        "columns": [names[j], names[i]],
                        "reference": reference,
                        "synthetic": synthetic,
                        "difference": difference,
                    }
                )
    return sorted(rows, key=lambda row: -abs(row["difference"] or 0.0))


def _group_sets(fairness: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, for each set of group columns, its differences and its groups."""
    if fairness["status"] != "assessed":
        return []
    return [
        {**entry, "groups": [g for g in fairness["by_group"] if list(g["group"]) == entry["columns"]]}
        for entry in fairness["by_columns"]
    ]


def _accuracy_rows(groups: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    sides = [side for side in ("real", "synthetic", "augmented", "balanced") if side in groups[0]["models"]]
    return [(group_text(g["group"]), {side: g["models"][side]["accuracy"] for side in sides}) for g in groups]


def _giveaway_rows(explained: dict[str, Any]) -> list[tuple[str, float]]:
    columns = explained.get("giveaways", {}).get("columns", [])
    return [(c["column"], c["fall"]) for c in columns[: charted.MAX_TERMS] if c["fall"] is not None]


def _spending_rows(explained: dict[str, Any]) -> list[tuple[str, float]]:
    purposes = explained.get("spending", {}).get("purposes", [])
    return [(p["purpose"], p["share"]) for p in purposes if p["share"] is not None]


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
