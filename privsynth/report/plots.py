"""The drawings of the report, each from the part of ``report.json`` that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from privsynth.attacks.curves import allowed_tpr, replace_one
from privsynth.report.svg import Scale, element, picture, short, ticks
from privsynth.report.verdicts import SMALLEST_SPAN
from privsynth.report.words import claim_of

MAX_HEAT_MAP_COLUMNS = 30
MAX_BARS = 12

_SMALLEST_RATE = 1e-3
_NUMERIC = ("integer", "real", "datetime")


def trade_off(points: dict[str, Any], guarantee: dict[str, Any] | None) -> Markup:
    """Draw an attack's operating points over what (epsilon, delta) allows; both axes are logarithmic."""
    width, height, left, bottom = 600.0, 420.0, 62.0, 370.0
    right = width - 24
    x = Scale(_SMALLEST_RATE, 1.0, left, right, is_log=True)
    y = Scale(_SMALLEST_RATE, 1.0, bottom, 16.0, is_log=True)
    parts = []
    for rate, text in [(1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %")]:
        parts += [
            element("line", x1=x(rate), x2=x(rate), y1=16, y2=bottom, class_="grid"),
            element("line", x1=left, x2=right, y1=y(rate), y2=y(rate), class_="grid"),
            element("text", text, x=x(rate), y=bottom + 18, class_="tick", text_anchor="middle"),
            element("text", text, x=left - 8, y=y(rate) + 4, class_="tick", text_anchor="end"),
        ]
    parts += [
        element(
            "text",
            "wrongly accused: share of outsiders (false positive rate)",
            x=(left + right) / 2,
            y=height - 10,
            class_="axis",
            text_anchor="middle",
        ),
        element(
            "text",
            "found: share of members (true positive rate)",
            transform=f"translate(14 {(16 + bottom) / 2:.0f}) rotate(-90)",
            class_="axis",
            text_anchor="middle",
        ),
    ]
    rates = np.geomspace(_SMALLEST_RATE, 1.0, 121)
    curves = [("chance", [float(rate) for rate in rates])]
    claim = claim_of(guarantee)
    if claim is not None:
        curves.append(("add-or-remove", [allowed_tpr(float(rate), *claim) for rate in rates]))
        curves.append(("replace", [allowed_tpr(float(rate), *replace_one(*claim)) for rate in rates]))
    for name, values in curves:
        line = " ".join(f"{x(rate):.1f},{y(value):.1f}" for rate, value in zip(rates, values, strict=True))
        parts.append(element("polyline", points=line, class_=f"curve {name}"))
    parts += [_operating_point(point, x, y) for point in points.values() if point["tpr"] is not None]
    return picture(width, height, "Attack's operating points against what the guarantee allows", parts)


def _operating_point(point: dict[str, Any], x: Scale, y: Scale) -> Markup:
    (low, high), (fpr_low, fpr_high) = point["interval"], point["fpr_interval"]
    at_x, at_y = x(point["fpr"]), y(point["tpr"])
    told = f"false positive rate {point['fpr']:.4f}, true positive rate {point['tpr']:.4f}"
    return element(
        "g",
        element("line", x1=at_x, x2=at_x, y1=y(low), y2=y(high), class_="whisker"),
        element("line", x1=x(fpr_low), x2=x(fpr_high), y1=at_y, y2=at_y, class_="whisker"),
        element("circle", element("title", told), cx=at_x, cy=at_y, r=5, class_="point"),
    )


def distribution(column: dict[str, Any]) -> Markup:
    """Draw one column's shares in both tables: numbers as overlaid steps, categories as pairs of bars."""
    bars = column["distribution"]
    title = f"{column['column']}: real and synthetic distribution"
    return _steps(bars, title) if column["type"] in _NUMERIC else _pairs_of_bars(bars, title)


def _steps(bars: Sequence[dict[str, Any]], title: str) -> Markup:
    width, height, floor = 300.0, 150.0, 126.0
    top = max([bar[side] for bar in bars for side in ("real", "synthetic")] + [1e-9])
    y = Scale(0.0, top, floor, 8.0)
    each = (width - 8) / max(len(bars), 1)
    parts, outline = [], []
    for i, bar in enumerate(bars):
        left = 4 + i * each
        told = f"{bar['label']}: real {bar['real']:.1%}, synthetic {bar['synthetic']:.1%}"
        parts.append(
            element(
                "rect",
                element("title", told),
                x=left + 0.5,
                y=y(bar["real"]),
                width=max(each - 1, 0.5),
                height=floor - y(bar["real"]),
                class_="real",
            )
        )
        outline += [f"{left:.1f},{y(bar['synthetic']):.1f}", f"{left + each:.1f},{y(bar['synthetic']):.1f}"]
    parts.append(element("line", x1=4, x2=width - 4, y1=floor, y2=floor, class_="base"))
    parts.append(element("polyline", points=" ".join(outline), class_="synthetic-line"))
    shown = {0: "start", len(bars) // 2: "middle", len(bars) - 1: "end"}
    for i, anchor in shown.items():
        at = {"start": 4.0, "end": width - 4}.get(anchor, 4 + (i + 0.5) * each)
        text = short(bars[i]["label"], 16)
        parts.append(element("text", text, x=at, y=height - 8, class_="tick", text_anchor=anchor))
    return picture(width, height, title, parts)


def _pairs_of_bars(bars: Sequence[dict[str, Any]], title: str) -> Markup:
    shown = sorted(bars, key=lambda bar: -bar["real"])[:MAX_BARS] if len(bars) > MAX_BARS else bars
    width, each, left = 300.0, 22.0, 126.0
    top = max([bar[side] for bar in shown for side in ("real", "synthetic")] + [1e-9])
    x = Scale(0.0, top, 0.0, width - left - 44)
    parts = []
    for i, bar in enumerate(shown):
        at = 4 + i * each
        told = f"{bar['label']}: real {bar['real']:.1%}, synthetic {bar['synthetic']:.1%}"
        label = element(
            "text", short(bar["label"], 18), x=left - 6, y=at + 13, class_="tick", text_anchor="end"
        )
        parts += [element("g", element("title", told), label)]
        for side, offset in (("real", 1), ("synthetic", 10)):
            parts.append(element("rect", x=left, y=at + offset, width=x(bar[side]), height=8, class_=side))
        largest = max(bar["real"], bar["synthetic"])
        parts.append(element("text", f"{bar['real']:.0%}", x=left + x(largest) + 4, y=at + 13, class_="tick"))
    return picture(width, 8 + each * len(shown), title, parts)


def heat_map(pairs: Sequence[dict[str, Any]], names: Sequence[str]) -> Markup:
    """Draw the distance of every pair of columns as a shaded square; darker is farther."""
    shown = heat_map_columns(pairs, names)
    place = {name: i for i, name in enumerate(shown)}
    side, left, top = 25.0, 128.0, 8.0
    darkest = max([pair["tv"]["value"] for pair in pairs] + [1e-9])
    parts = []
    for pair in pairs:
        a, b = pair["columns"]
        if a not in place or b not in place:
            continue
        row, column = max(place[a], place[b]), min(place[a], place[b])
        told = f"{a} × {b}: {pair['tv']['value']:.3f}"
        parts.append(
            element(
                "rect",
                element("title", told),
                x=left + column * side,
                y=top + (row - 1) * side,
                width=side - 2,
                height=side - 2,
                class_="heat",
                fill_opacity=f"{0.06 + 0.94 * pair['tv']['value'] / darkest:.3f}",
            )
        )
    for i, name in enumerate(shown):
        if i > 0:
            at = top + (i - 0.5) * side + 3
            parts.append(element("text", short(name, 18), x=left - 6, y=at, class_="tick", text_anchor="end"))
        if i < len(shown) - 1:
            place_at = (
                f"translate({left + (i + 0.5) * side:.0f} {top + (len(shown) - 1) * side + 8:.0f}) rotate(40)"
            )
            parts.append(element("text", short(name, 18), transform=place_at, class_="tick"))
    size = (len(shown) - 1) * side
    return picture(left + size + 90, top + size + 92, "Distance of every pair of columns", parts)


def heat_map_columns(pairs: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Return the columns drawn in the heat map: all, or those with the largest mean distance."""
    if len(names) <= MAX_HEAT_MAP_COLUMNS:
        return list(names)
    total = dict.fromkeys(names, 0.0)
    for pair in pairs:
        for name in pair["columns"]:
            total[name] += pair["tv"]["value"]
    worst = sorted(names, key=lambda name: -total[name])[:MAX_HEAT_MAP_COLUMNS]
    return [name for name in names if name in set(worst)]


def gauge(figure: dict[str, Any]) -> Markup:
    """Draw where a figure lies between its floor (left) and its ceiling (right).

    Empty without both, or where they are too close to tell good from bad.
    """
    floor, ceiling, value = figure["floor"], figure["ceiling"], figure["value"]
    if None in (floor, ceiling, value) or abs(floor - ceiling) < SMALLEST_SPAN:
        return Markup("")
    width = 150.0
    share = (value - floor) / (ceiling - floor)
    at = Scale(-0.1, 1.1, 4.0, width - 4)
    title = f"{share:.0%} of the way from floor to ceiling"
    return picture(
        width,
        18,
        title,
        [
            element("line", x1=at(0), x2=at(1), y1=9, y2=9, class_="track"),
            element("line", x1=at(0), x2=at(0), y1=4, y2=14, class_="track"),
            element("line", x1=at(1), x2=at(1), y1=4, y2=14, class_="track"),
            element("circle", element("title", title), cx=at(share), cy=9, r=5, class_="point"),
        ],
    )


def ranges(rows: Sequence[tuple[str, str, float | None, Sequence[float] | None]], title: str) -> Markup:
    """Draw values with their intervals, one a line: (label, ``real`` or ``synthetic``, value, interval)."""
    drawn = [(label, side, value, limits) for label, side, value, limits in rows if value is not None]
    if not drawn:
        return Markup("")
    ends = [end for _, _, value, limits in drawn for end in (value, *(limits or ()))]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 0.05
    width, each, left = 580.0, 26.0, 206.0
    x = Scale(low - margin, high + margin, left, width - 60)
    bottom = 8 + each * len(drawn)
    parts = []
    for tick in ticks(low, high):
        parts += [
            element("line", x1=x(tick), x2=x(tick), y1=4, y2=bottom, class_="grid"),
            element("text", f"{tick:.3g}", x=x(tick), y=bottom + 16, class_="tick", text_anchor="middle"),
        ]
    for i, (label, side, value, limits) in enumerate(drawn):
        y = 8 + (i + 0.5) * each
        parts.append(
            element("text", short(label, 34), x=left - 10, y=y + 4, class_="tick", text_anchor="end")
        )
        if limits:
            parts.append(
                element("line", x1=x(limits[0]), x2=x(limits[1]), y1=y, y2=y, class_=f"{side}-range")
            )
        parts.append(element("circle", cx=x(value), cy=y, r=5, class_=side))
        parts.append(element("text", f"{value:.3f}", x=width - 50, y=y + 4, class_="tick"))
    return picture(width, bottom + 24, title, parts)


def dumbbells(rows: Sequence[tuple[str, float | None, float | None]], title: str) -> Markup:
    """Draw real and synthetic rates of groups, one group a line: (label, real, synthetic)."""
    drawn = [(label, a, b) for label, a, b in rows if a is not None and b is not None]
    if not drawn:
        return Markup("")
    highest = max([max(real, synthetic) for _, real, synthetic in drawn] + [1e-3])
    width, each, left = 560.0, 24.0, 190.0
    x = Scale(0.0, highest, left, width - 24)
    bottom = 8 + each * len(drawn)
    parts = []
    for tick in ticks(0.0, highest):
        parts += [
            element("line", x1=x(tick), x2=x(tick), y1=4, y2=bottom, class_="grid"),
            element(
                "text", f"{100 * tick:.3g} %", x=x(tick), y=bottom + 16, class_="tick", text_anchor="middle"
            ),
        ]
    for i, (label, real, synthetic) in enumerate(drawn):
        y, told = 8 + (i + 0.5) * each, f"{label}: real {real:.1%}, synthetic {synthetic:.1%}"
        parts += [
            element("text", short(label, 28), x=left - 10, y=y + 4, class_="tick", text_anchor="end"),
            element("line", x1=x(real), x2=x(synthetic), y1=y, y2=y, class_="track"),
            element("circle", element("title", told), cx=x(real), cy=y, r=6, class_="real"),
            element("circle", element("title", told), cx=x(synthetic), cy=y, r=4, class_="synthetic"),
        ]
    return picture(width, bottom + 24, title, parts)
