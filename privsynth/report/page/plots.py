"""The small drawings of the report: one column's distributions, and where a score lies on its scale.

They stand on the page by the dozen, so they are plain SVG: each is a kilobyte, is there at once, prints, and
takes its colours from the style sheet. What is worth pointing at is drawn by `privsynth.report.page.charts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from privsynth.report.page.svg import Scale, element, picture, short
from privsynth.report.text import SMALLEST_SPAN
from privsynth.schema.column_types import COLUMN_TYPES, NumberLine

MAX_BARS = 12

_NUMERIC = {name for name, kind in COLUMN_TYPES.items() if isinstance(kind, NumberLine)}


def distribution(column: dict[str, Any]) -> Markup:
    """Draw one column's shares in both tables: numbers as overlaid steps, categories as pairs of bars."""
    bars = column["distribution"]
    title = f"{column['column']}: {' and '.join(_sides(bars))} distribution"
    return _steps(bars, title) if column["type"] in _NUMERIC else _pairs_of_bars(bars, title)


def _sides(bars: Sequence[dict[str, Any]]) -> list[str]:
    """Return which sides are drawn: a page that is public knows the synthetic one only."""
    return [side for side in ("real", "synthetic") if side in bars[0]] if bars else []


def _told(bar: dict[str, Any], sides: Sequence[str]) -> str:
    return f"{bar['label']}: " + ", ".join(f"{side} {bar[side]:.1%}" for side in sides)


def _steps(bars: Sequence[dict[str, Any]], title: str) -> Markup:
    width, height, floor = 300.0, 150.0, 126.0
    sides = _sides(bars)
    top = max([bar[side] for bar in bars for side in sides] + [1e-9])
    y = Scale(0.0, top, floor, 8.0)
    each = (width - 8) / max(len(bars), 1)
    parts, outline = [], []
    for i, bar in enumerate(bars):
        left = 4 + i * each
        parts.append(
            element(
                "rect",
                element("title", _told(bar, sides)),
                x=left + 0.5,
                y=y(bar[sides[0]]),
                width=max(each - 1, 0.5),
                height=floor - y(bar[sides[0]]),
                class_=sides[0],
            )
        )
        outline += [f"{left:.1f},{y(bar['synthetic']):.1f}", f"{left + each:.1f},{y(bar['synthetic']):.1f}"]
    parts.append(element("line", x1=4, x2=width - 4, y1=floor, y2=floor, class_="base"))
    if len(sides) > 1:
        parts.append(element("polyline", points=" ".join(outline), class_="synthetic-line"))
    shown = {0: "start", len(bars) // 2: "middle", len(bars) - 1: "end"}
    for i, anchor in shown.items():
        at = {"start": 4.0, "end": width - 4}.get(anchor, 4 + (i + 0.5) * each)
        text = short(bars[i]["label"], 16)
        parts.append(element("text", text, x=at, y=height - 8, class_="tick", text_anchor=anchor))
    return picture(width, height, title, parts)


def _pairs_of_bars(bars: Sequence[dict[str, Any]], title: str) -> Markup:
    sides = _sides(bars)
    shown = sorted(bars, key=lambda bar: -bar[sides[0]])[:MAX_BARS] if len(bars) > MAX_BARS else bars
    width, each, left = 300.0, 22.0, 126.0
    top = max([bar[side] for bar in shown for side in sides] + [1e-9])
    x = Scale(0.0, top, 0.0, width - left - 44)
    parts = []
    for i, bar in enumerate(shown):
        at = 4 + i * each
        told = _told(bar, sides)
        label = element(
            "text", short(bar["label"], 18), x=left - 6, y=at + 13, class_="tick", text_anchor="end"
        )
        parts += [element("g", element("title", told), label)]
        for side, offset in zip(sides, (1, 10), strict=False):
            parts.append(element("rect", x=left, y=at + offset, width=x(bar[side]), height=8, class_=side))
        largest = max(bar[side] for side in sides)
        parts.append(
            element("text", f"{bar[sides[0]]:.0%}", x=left + x(largest) + 4, y=at + 13, class_="tick")
        )
    return picture(width, 8 + each * len(shown), title, parts)


def gauge(figure: dict[str, Any]) -> Markup:
    """Draw where a figure lies between its worst reference (left) and its best (right).

    Empty without both, or where they are too close to tell good from bad.
    """
    floor, ceiling, value = figure["floor"], figure["ceiling"], figure["value"]
    if None in (floor, ceiling, value) or abs(floor - ceiling) < SMALLEST_SPAN:
        return Markup("")
    width = 150.0
    share = (value - floor) / (ceiling - floor)
    at = Scale(-0.1, 1.1, 4.0, width - 4)
    title = f"{share:.0%} of the way from the worst to the best reference"
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
