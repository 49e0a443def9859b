"""The picture of one synthetic person's records: a lane a column, a mark a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from privsynth.report.page.svg import Scale, element, picture, short

_WIDTH, _LEFT, _RIGHT, _LANE = 300.0, 104.0, 286.0, 40.0
_TOP, _BAR, _DOT = 6.0, 7.0, 4.5
_NEAREST_WORDS = 56.0  # names of categories closer than this would run into each other
MISSING = "(missing)"


def timeline(person: Mapping[str, Any], columns: list[Mapping[str, Any]], title: str) -> Markup:
    """Draw one person of `privsynth.metrics.fidelity.timelines`: bars, dots of truth values, words.

    Args:
        person: ``records`` with ``at``, ``place`` and ``values``.
        columns: What the values are, a lane each.
        title: Read out to those who cannot see it; all values stand in a table beside it.
    """
    x = Scale(0.0, 1.0, _LEFT, _RIGHT)
    parts: list[Markup] = []
    for i, column in enumerate(columns):
        base = _TOP + (i + 1) * _LANE - 6
        name = str(column["column"])
        label = element("text", short(name, 13), x=_LEFT - 14, y=base - 8, class_="tick", text_anchor="end")
        parts += [
            element("g", element("title", name), label),
            element("line", x1=_LEFT - 8, x2=_RIGHT + 8, y1=base, y2=base, class_="lane"),
        ]
        before, free = None, float("-inf")
        for record in person["records"]:
            value, at = record["values"][i], x(record["place"])
            told = f"{record['at']}: {MISSING if value['text'] is None else value['text']}"
            marks = [_mark(column["kind"], value, at, base)]
            if column["kind"] == "category" and value["text"] not in (None, before) and at >= free:
                marks.append(_word(value["text"], at, base))
                free = at + _NEAREST_WORDS * (1.4 if free == float("-inf") else 1.0)
            before = value["text"]
            parts.append(element("g", element("title", told), *marks))
    foot = _TOP + len(columns) * _LANE + 12
    records = person["records"]
    ends = {"start": records[0], "end": records[-1]} if len(records) > 1 else {"middle": records[0]}
    for anchor, record in ends.items():
        at = x(record["place"]) + {"start": -8.0, "end": 8.0}.get(anchor, 0.0)
        parts.append(
            element(
                "text", short(record["at"] or MISSING, 12), x=at, y=foot, class_="tick", text_anchor=anchor
            )
        )
    return picture(_WIDTH, foot + 6, title, parts)


def _mark(kind: str, value: Mapping[str, Any], at: float, base: float) -> Markup:
    if value["text"] is None:
        return element("text", "?", x=at, y=base - 6, class_="tick", text_anchor="middle")
    if kind == "number":
        height = 2.0 + value["level"] * (_LANE - 14)
        return element(
            "rect", x=at - _BAR / 2, y=base - height, width=_BAR, height=height, class_="synthetic"
        )
    if kind == "truth":
        return element(
            "circle", cx=at, cy=base - 11, r=_DOT, class_="event" if value["level"] else "event-not"
        )
    return element("circle", cx=at, cy=base - 6, r=3.0, class_="event")


def _word(text: str, at: float, base: float) -> Markup:
    """Return the name of a category above its mark, where it begins; within the lane at both ends."""
    anchor = "start" if at < _LEFT + 24 else "end" if at > _RIGHT - 24 else "middle"
    return element("text", short(text, 8), x=at, y=base - 14, text_anchor=anchor)
