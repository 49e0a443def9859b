"""The interactive figures of the page, as Plotly specifications in plain dicts.

Colours are named by the page's style sheet (``var(--real)``), so that the script can draw them anew when the
theme changes. Every figure has a text for those who cannot see it, and the template puts a table behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from privsynth.accounting.trade_off import allowed_tpr, replace_one
from privsynth.report.page.chart_shapes import (
    Chart,
    Section,
    dots,
    heat_map,
    label_axis,
    layout_of,
    log_ticks,
)
from privsynth.report.text import claim_of, group_text

MAX_HEAT_MAP_COLUMNS = 30
MAX_TERMS = 20

_SMALLEST_RATE = 1e-3
_PERCENT_TICKS = {"tickvals": [1e-3, 1e-2, 1e-1, 1.0], "ticktext": ["0.1 %", "1 %", "10 %", "100 %"]}
_ATTACK_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "triangle-down", "hexagon")


def trade_off(membership: Section, guarantee: Section | None) -> Chart:
    """Draw the operating points of every attack over what (epsilon, delta) allows; both axes logarithmic."""
    rates = np.geomspace(_SMALLEST_RATE, 1.0, 121)
    lines = [("chance", rates.tolist(), {"color": "var(--soft)", "dash": "dot"})]
    allowed, replaced = _allowed(membership, guarantee, rates)
    if allowed is not None:
        lines.append(("allowed: one unit added or removed", allowed, {"color": "var(--ok)"}))
    if replaced is not None:
        lines.append(
            ("allowed: one unit replaced by another", replaced, {"color": "var(--problem)", "dash": "dash"})
        )
    data: list[Section] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": rates.tolist(),
            "y": y,
            "line": {"width": 2, **line},
            "hovertemplate": "false positive rate %{x:.2%}: %{y:.2%}<extra></extra>",
        }
        for name, y, line in lines
    ]
    for i, (name, attack) in enumerate(membership["attacks"].items()):
        points = [p for p in attack["tpr_at_fpr"].values() if p["tpr"] is not None]
        if points:
            data.append(_attack_points(name.replace("_", " "), points, i))
    layout = layout_of(460, legend_below=True)
    layout["xaxis"] |= {
        "type": "log",
        "range": [-3.05, 0.05],
        "title": {"text": "false positive rate"},
        **_PERCENT_TICKS,
    }
    layout["yaxis"] |= {
        "type": "log",
        "range": [-3.05, 0.05],
        "title": {"text": "members found"},
        **_PERCENT_TICKS,
    }
    return {"data": data, "layout": layout}


def pair_errors(pairs: Sequence[Section], names: Sequence[str]) -> Chart:
    """Draw the distance of every pair of columns as a shaded square; darker is farther."""
    shown = heat_map_columns(pairs, names)
    place = {name: i for i, name in enumerate(shown)}
    z: list[list[float | None]] = [[None] * len(shown) for _ in shown]
    for pair in pairs:
        a, b = pair["columns"]
        if a in place and b in place:
            row, column = max(place[a], place[b]), min(place[a], place[b])
            z[row][column] = pair["tv"]["value"]
    scale = [[0, "var(--faint)"], [1, "var(--accent)"]]
    return heat_map(z, shown, {"colorscale": scale, "zmin": 0})


def association_errors(associations: Section) -> Chart:
    """Draw how much stronger or weaker each association is among the synthetic rows."""
    names = associations["columns"][:MAX_HEAT_MAP_COLUMNS]
    z: list[list[float | None]] = [[None] * len(names) for _ in names]
    for i in range(len(names)):
        for j in range(i):
            a, b = associations["synthetic"][i][j], associations["reference"][i][j]
            z[i][j] = None if a is None or b is None else a - b
    scale = [[0, "var(--real)"], [0.5, "var(--faint)"], [1, "var(--synthetic)"]]
    limit = max([abs(value) for row in z for value in row if value is not None] + [0.05])
    return heat_map(z, names, {"colorscale": scale, "zmin": -limit, "zmax": limit})


def model_scores(utility: Section, names: dict[str, str]) -> Chart:
    """Draw the main score of each model by what it was trained on, with intervals."""
    models = list(utility["models"])
    main = next(iter(utility["models"][models[0]]))
    scores = [utility["models"][model][main] for model in models]
    series = {
        "real": [(s["ceiling"], s["ceiling_interval"]) for s in scores],
        "synthetic": [(s["value"], s["interval"]) for s in scores],
    }
    for source in ("augmented", "balanced"):
        if source in scores[0]:
            series[source] = [(s[source]["value"], s[source]["interval"]) for s in scores]
    return dots([names.get(model, model) for model in models], series, lines=False)


def importances(importance: Section) -> Chart:
    """Draw by how much the score falls without each column, for both models."""
    columns = importance["columns"][:MAX_TERMS]
    series = {side: [(c[side], None) for c in columns] for side in ("real", "synthetic")}
    return dots([c["column"] for c in columns], series, lines=True)


def coefficients(found: Section) -> Chart:
    """Draw the coefficients of both tables with their intervals, those clearest in the real table first."""
    terms = found["terms"][:MAX_TERMS]
    labels = [term_text(term) for term in terms]
    series = {
        "real": [(t["real"]["value"], t["real"]["interval"]) for t in terms],
        "synthetic": [(t["synthetic"]["value"], t["adjusted"]) for t in terms],
    }
    chart = dots(labels, series, lines=False)
    chart["layout"]["xaxis"] |= {"zeroline": True, "zerolinecolor": "var(--soft)"}
    return chart


def groups(rows: Sequence[tuple[str, dict[str, Any]]], *, axis: str = "rate") -> Chart:
    """Draw one line a group with a mark for each side: (label, side to value or None).

    Args:
        rows: The groups; those without any value are left out.
        axis: ``rate`` in percent; ``share`` in percent and logarithmic, so that small groups can be read;
            ``TVD`` a plain number.
    """
    kept = [(label, values) for label, values in rows if any(v is not None for v in values.values())]
    sides = list(kept[0][1]) if kept else []
    series = {side: [(values[side], None) for _, values in kept] for side in sides}
    chart = dots([label for label, _ in kept], series, lines=True)
    if axis != "TVD":
        chart["layout"]["xaxis"]["tickformat"] = ".0%"
    values = [v for _, row in kept for v in row.values() if v is not None and v > 0]
    if axis == "share" and values and max(values) > 10 * min(values):
        chart["layout"]["xaxis"] |= log_ticks(min(values), max(values))
    return chart


def runs(rows: Sequence[Section], names: Sequence[str]) -> Chart:
    """Draw where each run stands with each measure on the way from floor (0) to ceiling (1)."""
    series: dict[str, list[tuple[Any, Any]]] = {name: [] for name in names}
    for row in rows:
        for name, share in zip(names, row["shares"], strict=True):
            series[name].append((share, None))
    chart = dots([row["measure"] for row in rows], series, lines=True)
    for i, trace in enumerate(chart["data"][1:]):
        name = trace["name"]
        known_rows = [row for row in rows if row["shares"][names.index(name)] is not None]
        trace["customdata"] = [[r["measure"], r["values"][names.index(name)]] for r in known_rows]
        trace["hovertemplate"] = "%{customdata[0]}: %{customdata[1]:.3f}"
        trace["marker"] |= {
            "color": f"var(--series-{i % 6})",
            "symbol": _ATTACK_SYMBOLS[i % len(_ATTACK_SYMBOLS)],
        }
    chart["layout"]["xaxis"] |= {"tickvals": [0, 1], "ticktext": ["worst reference", "best reference"]}
    return chart


def bars(rows: Sequence[tuple[str, float]], *, percent: bool = False) -> Chart:
    """Draw one bar a line."""
    labels, values = [label for label, _ in rows], [value for _, value in rows]
    number = "%{x:.1%}" if percent else "%{x:.3f}"
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": values,
            "y": list(range(len(rows))),
            "marker": {"color": "var(--synthetic)"},
            "customdata": labels,
            "hovertemplate": f"%{{customdata}}: {number}<extra></extra>",
        }
    ]
    layout = layout_of(70 + 26 * max(len(rows), 1))
    layout["yaxis"] |= label_axis(labels)
    layout["showlegend"] = False
    if percent:
        layout["xaxis"]["tickformat"] = ".0%"
    return {"data": data, "layout": layout}


def heat_map_columns(pairs: Sequence[Section], names: Sequence[str]) -> list[str]:
    """Return the columns drawn in the heat map: all, or those with the largest mean distance."""
    if len(names) <= MAX_HEAT_MAP_COLUMNS:
        return list(names)
    total = dict.fromkeys(names, 0.0)
    for pair in pairs:
        for name in pair["columns"]:
            total[name] += pair["tv"]["value"]
    worst = set(sorted(names, key=lambda name: -total[name])[:MAX_HEAT_MAP_COLUMNS])
    return [name for name in names if name in worst]


def term_text(term: Section) -> str:
    """Return a term of a regression as a reader calls it."""
    return term["column"] if term["category"] is None else f"{term['column']} = {term['category']}"


def group_rows(entries: Sequence[Section], *path: str, sides: Sequence[str]) -> list[tuple[str, Section]]:
    """Return (label, side to value) of each group from the report's lists; None where it is not there."""
    rows = []
    for entry in entries:
        inner: Any = entry
        for key in path:
            inner = (inner or {}).get(key)
        rows.append((group_text(entry["group"]), {side: (inner or {}).get(side) for side in sides}))
    return rows


# -- pieces --------------------------------------------------------------------------------------------


def _allowed(
    membership: Section, guarantee: Section | None, rates: np.ndarray
) -> tuple[list[float] | None, list[float] | None]:
    """Return both curves: those that the section brings, else those of (epsilon, delta)."""
    curves = (membership.get("trade_off") or {}).get("curves")
    if curves:
        at = [np.interp(rates, curves["fpr"], curves[key]) for key in ("add_or_remove_one", "replace_one")]
        return at[0].tolist(), at[1].tolist()
    claim = claim_of(guarantee)
    if claim is None:
        return None, None
    return (
        [allowed_tpr(float(rate), *claim) for rate in rates],
        [allowed_tpr(float(rate), *replace_one(*claim)) for rate in rates],
    )


def _attack_points(name: str, points: Sequence[Section], i: int) -> Section:
    def arms(value: str, interval: str) -> Section:
        return {
            "type": "data",
            "symmetric": False,
            "array": [p[interval][1] - p[value] for p in points],
            "arrayminus": [p[value] - p[interval][0] for p in points],
            "thickness": 1,
            "width": 3,
            "color": "var(--soft)",
        }

    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [max(p["fpr"], _SMALLEST_RATE) for p in points],
        "y": [max(p["tpr"], _SMALLEST_RATE) for p in points],
        "error_x": arms("fpr", "fpr_interval"),
        "error_y": arms("tpr", "interval"),
        "marker": {
            "size": 9,
            "symbol": _ATTACK_SYMBOLS[i % len(_ATTACK_SYMBOLS)],
            "color": f"var(--series-{i % 6})",
        },
        "customdata": [[p["fpr"], p["tpr"]] for p in points],
        "hovertemplate": "false positive rate %{customdata[0]:.2%}, true positive rate %{customdata[1]:.2%}",
    }
