"""How far a figure is from the best reference to the worst, and where nothing can be said."""

from __future__ import annotations

import pytest

from privsynth.metrics.common.estimates import figure
from privsynth.report.sections.between import faults_of, is_far, way


@pytest.mark.parametrize(
    ("value", "ceiling", "floor", "expected"),
    [
        (0.02, 0.02, 0.22, 0.0),
        (0.12, 0.02, 0.22, 0.5),
        (0.25, 0.02, 0.22, 1.0),  # beyond independent rows
        (0.10, None, 0.20, 0.5),  # without a holdout, from zero
        (0.47, 0.43, 0.36, 0.0),  # few records: the holdout itself is farther than independent rows
        (0.70, 0.43, 0.36, 1.0),  # farther than that explains
        (0.04, 0.02, 0.03, 0.0),  # the references are too near one another to tell
        (0.06, 0.02, 0.03, 1.0),  # and this is beyond both
        (None, 0.02, 0.22, 0.0),
        (0.12, 0.02, None, 0.0),
    ],
)
def test_distances_lie_between_their_references(value, ceiling, floor, expected) -> None:
    assert way(figure(value, ceiling=ceiling, floor=floor), is_score=False) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "ceiling", "floor", "expected"),
    [(0.8, 0.9, 0.5, 0.25), (0.8, 0.52, 0.5, 0.0), (0.8, None, 0.5, 0.0)],
)
def test_scores_lie_between_their_references(value, ceiling, floor, expected) -> None:
    assert way(figure(value, ceiling=ceiling, floor=floor), is_score=True) == pytest.approx(expected)


def test_faults_name_the_figures_and_numbers_of_rows_are_far_beyond_chance() -> None:
    told = {
        "near": figure(0.03, ceiling=0.02, floor=0.2),
        "far": figure(0.15, ceiling=0.02, floor=0.2),
        "lost": figure(0.2, ceiling=0.02, floor=0.2),
    }
    assert faults_of(told, (), worst="independent links", best="real ones") == [
        "no better than independent links: lost",
        "nearer to independent links than to real ones: far",
    ]
    for value, by_chance, expected in ((0.04, 0.02, False), (0.06, 0.02, True), (0.06, 0.04, False)):
        assert is_far(figure(value, ceiling=0.01) | {"by_chance": by_chance}) is expected
    assert not is_far(figure(None) | {"by_chance": None})
