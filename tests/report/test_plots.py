from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from privsynth.report import plots
from privsynth.report.svg import Scale, element, ticks
from privsynth.report.words import guarantee_in_words

GUARANTEE = {"private": True, "epsilon": 1.0, "delta": 1e-6, "unit": "person"}


def point(fpr: float, tpr: float) -> dict[str, object]:
    return {
        "fpr": fpr,
        "tpr": tpr,
        "interval": [tpr / 2, min(1, 2 * tpr)],
        "fpr_interval": [fpr / 2, 2 * fpr],
    }


def curves(svg: str) -> dict[str, list[tuple[float, float]]]:
    found = {}
    for points, name in re.findall(r'<polyline points="([^"]+)" class="curve ([^"]+)"', svg):
        found[name] = [tuple(map(float, pair.split(","))) for pair in points.split()]
    return found


def test_curves_lie_in_order_and_points_sit_where_they_belong() -> None:
    svg = str(plots.trade_off({"0.01": point(0.01, 0.01), "0.001": {"tpr": None}}, GUARANTEE))
    ElementTree.fromstring(svg)
    drawn = curves(svg)
    assert set(drawn) == {"chance", "add-or-remove", "replace"}
    for chance, one, two in zip(
        *(drawn[name] for name in ("chance", "add-or-remove", "replace")), strict=True
    ):
        assert two[1] <= one[1] <= chance[1]  # upwards is smaller
    ((x, y),) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="5" class="point"', svg)
    nearest = min(drawn["chance"], key=lambda p: abs(p[0] - float(x)))
    assert abs(nearest[1] - float(y)) < 4  # equal rates lie on the diagonal


def test_without_a_guarantee_only_chance_is_drawn() -> None:
    assert set(curves(str(plots.trade_off({"0.1": point(0.1, 0.2)}, None)))) == {"chance"}


def test_a_heat_map_is_darkest_at_the_farthest_pair_and_limited_in_size() -> None:
    names = [f"c{i}" for i in range(40)]
    pairs = [
        {"columns": [a, b], "tv": {"value": 0.9 if (a, b) == ("c3", "c39") else 0.01}}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    shown = plots.heat_map_columns(pairs, names)
    assert len(shown) == plots.MAX_HEAT_MAP_COLUMNS
    assert {"c3", "c39"} <= set(shown)
    svg = str(plots.heat_map(pairs, names))
    ElementTree.fromstring(svg)
    opacity = {t: float(o) for o, t in re.findall(r'fill-opacity="([\d.]+)"><title>([^<]+)', svg)}
    assert len(opacity) == len(shown) * (len(shown) - 1) / 2
    assert max(opacity, key=lambda title: opacity[title]) == "c3 × c39: 0.900"


@pytest.mark.parametrize("kind", ["real", "categorical"])
def test_distributions_are_drawn_to_scale(kind: str) -> None:
    bars = [{"label": "<a>", "real": 0.25, "synthetic": 0.5}, {"label": "b", "real": 0.75, "synthetic": 0.5}]
    svg = str(plots.distribution({"column": "x", "type": kind, "distribution": bars}))
    root = ElementTree.fromstring(svg)
    size = "height" if kind == "real" else "width"
    a, b = [
        float(r.attrib[size]) for r in root.iter() if r.tag.endswith("rect") and r.attrib["class"] == "real"
    ]
    assert b == pytest.approx(3 * a, abs=0.2)


def test_a_gauge_needs_both_ends() -> None:
    assert plots.gauge({"value": 0.5, "ceiling": None, "floor": 0.1}) == ""
    assert "50% of the way" in plots.gauge({"value": 0.5, "ceiling": 0.0, "floor": 1.0})


def test_text_and_attributes_are_escaped() -> None:
    assert str(element("a", "<&>", title='"')) == '<a title="&#34;">&lt;&amp;&gt;</a>'


def test_scales_clip_and_ticks_are_round() -> None:
    scale = Scale(0.001, 1.0, 0.0, 300.0, is_log=True)
    assert (scale(0.1), scale(0.0), scale(5)) == pytest.approx((200.0, 0.0, 300.0))
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.3, 0.3) == [0.3]
    assert len(ticks(-123.0, 456.0)) <= 6


def test_words_follow_unit_and_epsilon() -> None:
    person = " ".join(guarantee_in_words(GUARANTEE))
    assert "one person's rows were" in person
    assert "2.72 times" in person
    assert "e^20" in " ".join(guarantee_in_words({**GUARANTEE, "epsilon": 20.0}))
    assert guarantee_in_words({"private": False})[0].startswith("There is none")
    assert "cannot be put into words" in guarantee_in_words({"private": True})[0]
