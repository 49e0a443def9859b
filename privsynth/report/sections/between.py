"""How far figures are from the best reference to the worst, and what a verdict says of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from privsynth.report.sections.base import Figures
from privsynth.report.text import SMALLEST_SPAN, way_to_floor

FAR_BEYOND = 1.5  # times the holdout's distance of numbers of records, or what sampling alone gives
SMALLEST_DISTANCE = 0.02  # beyond that
SMALLEST_LIFT = 0.05  # of a score, by which the best reference must stand above the worst
NO_BETTER = 0.9  # of the way from the holdout to the worst reference


def way(figure: Figures, *, is_score: bool) -> float:
    """Return how far a figure is from its best reference to its worst; 0 where they cannot tell.

    Args:
        figure: A distance, or a score.
        is_score: Whether more of it is better; it then needs a ceiling.

    Privacy:
        Not private: a function of figures of real records.
    """
    floor, ceiling, value = figure["floor"], figure["ceiling"], figure["value"]
    if floor is None or value is None or (is_score and ceiling is None):
        return 0.0
    if is_score:
        return (way_to_floor(figure) or 0.0) if ceiling - floor >= SMALLEST_LIFT else 0.0
    if ceiling is not None and ceiling >= floor:  # so few records that chance alone is as far as the worst
        return 1.0 if value > FAR_BEYOND * ceiling + SMALLEST_DISTANCE else 0.0
    return 1.0 if value - floor > SMALLEST_SPAN else way_to_floor(figure) or 0.0


def faults_of(told: Mapping[str, Figures], scores: Iterable[str], *, worst: str, best: str) -> list[str]:
    """Say which figures are no better than the worst reference, and which are nearer to it than to the best.

    Args:
        told: What figures are called, and the figures.
        scores: Those of which more is better.
        worst: What the worst reference is called.
        best: What the best one is called.

    Privacy:
        Not private: says what figures of real records say.
    """
    of_scores = set(scores)
    ways = {name: way(figure, is_score=name in of_scores) for name, figure in told.items()}
    none = [name for name, of_one in ways.items() if of_one > NO_BETTER]
    far = [name for name, of_one in ways.items() if NO_BETTER >= of_one > 0.5]
    return [
        *([f"no better than {worst}: {', '.join(none)}"] if none else []),
        *([f"nearer to {worst} than to {best}: {', '.join(far)}"] if far else []),
    ]


def is_far(records: Figures) -> bool:
    """Return whether numbers of records differ by more than the holdout's do, or than chance explains.

    Args:
        records: A distance with ``by_chance``.

    Privacy:
        Not private: a function of figures of real records.
    """
    if records["value"] is None:
        return False
    reference = max(records["ceiling"] or 0.0, records["by_chance"] or 0.0)
    return bool(records["value"] > FAR_BEYOND * reference + SMALLEST_DISTANCE)


def in_words(name: str, figure: Figures, *, worst: str) -> str:
    """Return a figure beside both references.

    Privacy:
        Not private: says what figures of real records say.
    """
    beside = f"real {or_dash(figure['ceiling'])}, {worst} {or_dash(figure['floor'])}"
    return f"{name} {figure['value']:.3f} ({beside})"


def beside_holdout(figure: Figures) -> str:
    """Return a figure beside the holdout's.

    Privacy:
        Not private: says what figures of real records say.
    """
    beside = "" if figure["ceiling"] is None else f" (holdout {figure['ceiling']:.3f})"
    return f"{or_dash(figure['value'])}{beside}"


def or_dash(value: float | None) -> str:
    """Return a number with three decimals, or a dash for none."""
    return "–" if value is None else f"{value:.3f}"
