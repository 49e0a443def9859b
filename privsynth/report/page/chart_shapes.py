"""The shapes that the figures are made of: dots on lines, shaded squares, their axes and colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from privsynth.report.page.svg import short

LONGEST_LABEL = 28

Chart = dict[str, Any]
Section = dict[str, Any]

_COLOURS = {
    "real": "var(--real)",
    "synthetic": "var(--synthetic)",
    "augmented": "var(--augmented)",
    "balanced": "var(--balanced)",
    "non-private": "var(--balanced)",
    "real rows": "var(--real)",
    "independent columns": "var(--soft)",
}
_SYMBOLS = {
    "real": "circle",
    "synthetic": "diamond",
    "augmented": "square",
    "balanced": "triangle-up",
    "non-private": "square",
    "real rows": "circle",
    "independent columns": "x",
}


def dots(labels: Sequence[str], series: dict[str, list[tuple[Any, Any]]], *, lines: bool) -> Chart:
    """Draw one line a label, one mark a series, side by side where they carry intervals."""
    n_series = max(len(series), 1)
    data: list[Section] = []
    if lines:
        xs: list[float | None] = []
        ys: list[float | None] = []
        for i in range(len(labels)):
            known = [values[i][0] for values in series.values() if values[i][0] is not None]
            if len(known) > 1:
                xs += [min(known), max(known), None]
                ys += [i, i, None]
        data.append(
            {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "hoverinfo": "skip", "showlegend": False,
             "line": {"color": "var(--line)", "width": 3}}
        )  # fmt: skip
    for k, (name, values) in enumerate(series.items()):
        offset = 0.0 if lines else (k - (n_series - 1) / 2) * 0.6 / n_series
        kept = [(i, value, limits) for i, (value, limits) in enumerate(values) if value is not None]
        trace: Section = {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [value for _, value, _ in kept],
            "y": [i + offset for i, _, _ in kept],
            "marker": {
                "size": 9,
                "color": _COLOURS.get(name, "var(--ink)"),
                "symbol": _SYMBOLS.get(name, "circle"),
                "line": {"width": 1, "color": "var(--card)"},
            },
            "customdata": [labels[i] for i, _, _ in kept],
            "hovertemplate": "%{customdata}: %{x:.3f}",
        }
        if any(limits is not None for _, _, limits in kept):
            trace["error_x"] = {
                "type": "data",
                "symmetric": False,
                "array": [limits[1] - value if limits else 0 for _, value, limits in kept],
                "arrayminus": [value - limits[0] if limits else 0 for _, value, limits in kept],
                "color": _COLOURS.get(name, "var(--ink)"),
                "thickness": 1.5,
                "width": 3,
            }
        data.append(trace)
    per_label = 26 if lines else max(26, 13 * n_series)
    layout = layout_of(90 + per_label * max(len(labels), 1), legend_above=True)
    layout["yaxis"] |= label_axis(labels)
    return {"data": data, "layout": layout}


def heat_map(z: list[list[float | None]], names: Sequence[str], colours: Section) -> Chart:
    """Draw a matrix of named columns as shaded squares, the lower half."""
    positions = list(range(len(names)))
    data = [
        {
            "type": "heatmap",
            "x": positions,
            "y": positions,
            "z": z,
            "text": [[f"{a} × {b}" for b in names] for a in names],
            "hovertemplate": "%{text}: %{z:.3f}<extra></extra>",
            "hoverongaps": False,
            "xgap": 2,
            "ygap": 2,
            "colorbar": {"thickness": 12, "outlinewidth": 0, "len": 0.8},
            **colours,
        }
    ]
    layout = layout_of(150 + 26 * len(names))
    ticks = {"tickvals": positions, "ticktext": [short(name, 18) for name in names], "showgrid": False}
    layout["xaxis"] |= {**ticks, "tickangle": -45, "range": [-0.5, max(len(names) - 1.5, 0.5)]}
    layout["yaxis"] |= {**ticks, "range": [max(len(names) - 0.5, 1.5), 0.5]}
    return {"data": data, "layout": layout}


def log_ticks(low: float, high: float) -> Section:
    """Return a logarithmic axis in percent: ticks at 1, 2 and 5 of few powers of ten, at 1 of many."""
    ticks = [m * 10.0**k for k in range(-7, 1) for m in ((1,) if high > 100 * low else (1, 2, 5))]
    shown = [tick for tick in ticks if low / 2 <= tick <= high * 2]
    texts = [f"{100 * tick:g}%" for tick in shown]
    return {"type": "log", "tickvals": shown, "ticktext": texts, "tickformat": None}


def label_axis(labels: Sequence[str]) -> Section:
    """Return an axis that names one line a label, the first on top."""
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": [short(label, LONGEST_LABEL) for label in labels],
        "range": [len(labels) - 0.4, -0.6],
        "showgrid": False,
        "zeroline": False,
    }


def layout_of(height: int, *, legend_above: bool = False, legend_below: bool = False) -> Section:
    """Return what all figures share: height in pixels, axes, fonts, where the legend stands."""
    axis = {
        "gridcolor": "var(--line)",
        "linecolor": "var(--line)",
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "tickfont": {"size": 12},
    }
    layout: Section = {
        "height": height,
        "autosize": True,
        "margin": {"l": 8, "r": 8, "t": 34 if legend_above else 10, "b": 66 if legend_below else 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--ink)", "size": 13, "family": "system-ui, sans-serif"},
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)"},
        },
        "xaxis": dict(axis),
        "yaxis": dict(axis),
        "dragmode": False,
    }
    if legend_above:
        layout["legend"] = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
    if legend_below:
        layout["legend"] = {"orientation": "h", "x": 0, "y": -0.27, "yanchor": "top"}
    return layout
