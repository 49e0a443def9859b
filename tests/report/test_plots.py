from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest

from privsynth.accounting.trade_off import allowed_tpr, replace_one
from privsynth.report.page import chart_shapes, charts, plots
from privsynth.report.page.svg import Scale, element
from privsynth.report.text import bottom_line, bought, guarantee_in_words, slope_in_words

GUARANTEE = {"private": True, "epsilon": 1.0, "delta": 1e-6, "unit": "person"}


def valid(chart: dict[str, Any]) -> go.Figure:
    """Return the figure as Plotly reads it: an unknown property or a wrong value is an error."""
    without_colours = _resolved(chart)
    return go.Figure(without_colours)


def _resolved(value: Any) -> Any:
    if isinstance(value, str):
        return "#123456" if value.startswith("var(--") else value
    if isinstance(value, dict):
        return {key: _resolved(item) for key, item in value.items()}
    return [_resolved(item) for item in value] if isinstance(value, list) else value


def point(fpr: float, tpr: float) -> dict[str, object]:
    return {
        "fpr": fpr,
        "tpr": tpr,
        "interval": [tpr / 2, min(1, 2 * tpr)],
        "fpr_interval": [fpr / 2, 2 * fpr],
    }


def attacked(**more: Any) -> dict[str, Any]:
    points = {"0.1": point(0.1, 0.12), "0.01": point(0.01, 0.02), "0.001": {"tpr": None}}
    attacks = {"density_ratio": {"tpr_at_fpr": points}, "nearest": {"tpr_at_fpr": {"0.1": point(0.1, 0.3)}}}
    return {"attacks": attacks, **more}


def test_every_attack_stands_over_what_the_guarantee_allows() -> None:
    figure = valid(charts.trade_off(attacked(), GUARANTEE))
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name) == [
        "chance", "allowed: one unit added or removed", "allowed: one unit replaced by another",
        "density ratio", "nearest",
    ]  # fmt: skip
    allowed = by_name["allowed: one unit added or removed"]
    replaced = by_name["allowed: one unit replaced by another"]
    for i in (0, 40, 100):
        assert allowed.y[i] == pytest.approx(allowed_tpr(allowed.x[i], 1.0, 1e-6))
        assert replaced.y[i] == pytest.approx(allowed_tpr(allowed.x[i], *replace_one(1.0, 1e-6)))
    density = by_name["density ratio"]
    assert (list(density.x), list(density.y)) == ([0.1, 0.01], [0.12, 0.02])
    assert density.error_y.array[0] == pytest.approx(0.12)
    assert density.error_y.arrayminus[0] == pytest.approx(0.06)
    assert {trace.name for trace in valid(charts.trade_off(attacked(), None)).data} == {
        "chance", "density ratio", "nearest",
    }  # fmt: skip


def test_curves_that_the_section_brings_are_drawn() -> None:
    curves = {"fpr": [1e-3, 1.0], "add_or_remove_one": [0.5, 1.0], "replace_one": [0.7, 1.0]}
    figure = valid(charts.trade_off(attacked(trade_off={"curves": curves}), GUARANTEE))
    assert figure.data[1].y[0] == pytest.approx(0.5)
    assert figure.data[2].y[0] == pytest.approx(0.7)


def test_a_heat_map_of_many_columns_keeps_the_worst() -> None:
    names = [f"c{i}" for i in range(40)]
    pairs = [
        {"columns": [a, b], "tv": {"value": 0.9 if {a, b} == {"c3", "c39"} else 0.01}}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    shown = charts.heat_map_columns(pairs, names)
    assert len(shown) == charts.MAX_HEAT_MAP_COLUMNS
    assert {"c3", "c39"} <= set(shown)
    (trace,) = valid(charts.pair_errors(pairs, names)).data
    cells = {trace.text[i][j]: z for i, row in enumerate(trace.z) for j, z in enumerate(row) if z is not None}
    assert len(cells) == len(shown) * (len(shown) - 1) / 2
    assert max(cells, key=lambda name: cells[name]) == "c39 × c3"


def test_associations_are_drawn_as_differences() -> None:
    found = {
        "columns": ["a", "b", "c"],
        "reference": [[1.0, 0.5, None], [0.5, 1.0, 0.1], [None, 0.1, 1.0]],
        "synthetic": [[1.0, 0.2, 0.3], [0.2, 1.0, 0.4], [0.3, 0.4, 1.0]],
    }
    (trace,) = valid(charts.association_errors(found)).data
    assert trace.z[1][0] == pytest.approx(-0.3)
    assert trace.z[2][0] is None
    assert trace.z[2][1] == pytest.approx(0.3)
    assert trace.zmax == pytest.approx(0.3)


def test_groups_of_very_different_size_stand_on_a_logarithmic_axis() -> None:
    rows = [("large", {"real": 0.9, "synthetic": 0.8}), ("small", {"real": 0.001, "synthetic": None})]
    figure = valid(charts.groups(rows, axis="share"))
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["0.1%", "1%", "10%", "100%"]
    assert [trace.name for trace in figure.data[1:]] == ["real", "synthetic"]
    assert list(figure.data[2].x) == [0.8]
    assert valid(charts.groups([("a", {"real": None})])).layout.yaxis.ticktext == ()
    even = [("a", {"real": 0.5, "synthetic": 0.4}), ("b", {"real": 0.5, "synthetic": 0.6})]
    assert valid(charts.groups(even, axis="share")).layout.xaxis.type is None


def test_coefficients_are_drawn_with_the_adjusted_interval() -> None:
    term = {
        "column": "x", "category": None, "real": {"value": 1.0, "interval": [0.8, 1.2]},
        "synthetic": {"value": 0.5, "interval": [0.4, 0.6]}, "adjusted": [0.2, 0.8],
    }  # fmt: skip
    real, synthetic = valid(charts.coefficients({"terms": [term]})).data
    assert real.error_x.array[0] == pytest.approx(0.2)
    assert synthetic.error_x.arrayminus[0] == pytest.approx(0.3)


def test_bars_carry_their_whole_label() -> None:
    (trace,) = valid(charts.bars([("a" * 60, 0.25)], percent=True)).data
    assert trace.customdata[0] == "a" * 60
    assert len(valid(charts.bars([("a" * 60, 0.25)])).layout.yaxis.ticktext[0]) == chart_shapes.LONGEST_LABEL


def test_words_say_what_counts() -> None:
    verdicts = [{"verdict": v} for v in ("ok", "problem", "problem", "not_assessed")]
    told = bottom_line(verdicts)
    assert told.startswith("Two questions show problems: do not release")
    assert told.endswith("One is in order. One could not be answered.")
    assert slope_in_words(-0.4, 0.0).startswith(
        "small groups gain shares (slope -0.40; without privacy +0.00"
    )
    assert slope_in_words(0.4, None) == "small groups lose shares"
    figure = {"value": 0.04, "ceiling": 0.03, "floor": 0.13}
    assert "90% for 2-way marginals" in bought({"tv_2way": figure}, {})
    assert bought({}, {}).startswith("that cannot be said")


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


def test_scales_clip() -> None:
    scale = Scale(1.0, 3.0, 0.0, 300.0)
    assert (scale(2.0), scale(0.0), scale(5)) == pytest.approx((150.0, 0.0, 300.0))
    assert Scale(1.0, 1.0, 0.0, 10.0)(1.0) == 5.0


def test_words_follow_unit_and_epsilon() -> None:
    person = " ".join(guarantee_in_words(GUARANTEE))
    assert "one person's rows were" in person
    assert "2.72 times" in person
    assert "e^20" in " ".join(guarantee_in_words({**GUARANTEE, "epsilon": 20.0}))
    assert guarantee_in_words({"private": False})[0].startswith("There is none")
    assert "cannot be put into words" in guarantee_in_words({"private": True})[0]
