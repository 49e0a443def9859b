"""How the synthetic rows were drawn: what a request moved, and what it took as public."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privsynth.metrics.common.estimates import number

_NUMBERS = ("divergence", "total_variation", "effective_share", "largest_weight")
_NAMES = ("columns", "decorrelated")


def drawing_of(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a report says of the drawing of the rows; None if nothing is known of it.

    What rows carry in their ``attrs`` comes from a file that anyone may have written, so only what has the
    right form is taken over.

    Args:
        told: ``rebalancing_cost`` (see `privsynth.sampling.cost`), ``not_covered`` and ``left_out``, each if
            known.

    Privacy:
        Post-processing: of the released rows and the model.

    Example:
        >>> drawing_of({"not_covered": ["a public table"], "author": "me"})
        {'rebalancing_cost': None, 'not_covered': ['a public table']}
        >>> drawing_of({"author": "me"}) is None
        True
    """
    not_covered = _texts(told.get("not_covered"))
    cost = told.get("rebalancing_cost")
    kept = _cost(cost) if isinstance(cost, Mapping) else None
    left_out = _left_out(told.get("left_out"))
    if not (kept or not_covered or left_out):
        return None
    known: dict[str, Any] = {"rebalancing_cost": kept, "not_covered": not_covered}
    return known | ({"left_out": left_out} if left_out else {})


def _cost(cost: Mapping[str, Any]) -> dict[str, Any]:
    cell = cost.get("largest_weight_cell")
    return {
        **{key: _texts(cost.get(key)) for key in _NAMES},
        **{key: _number(cost.get(key)) for key in _NUMBERS},
        "largest_weight_cell": cell if isinstance(cell, str) else None,
    }


def _left_out(value: Any) -> dict[str, dict[str, float]]:
    """Return shares by column and kind."""
    if not isinstance(value, Mapping):
        return {}
    shares = {
        str(name): {str(k): float(s) for k, s in kinds.items() if isinstance(s, int | float) and 0 <= s <= 1}
        for name, kinds in value.items()
        if isinstance(kinds, Mapping)
    }
    return {name: kinds for name, kinds in shares.items() if kinds}


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    return number(value) if isinstance(value, int | float) else None


def drawing_in_words(drawing: Mapping[str, Any] | None, *, things: str = "rows") -> list[str]:
    """Return what a request moved, in sentences; nothing if nothing is known.

    Args:
        drawing: As `drawing_of` gives it.
        things: What was drawn, as a reader calls it: ``rows`` or ``images``.

    Privacy:
        Post-processing.
    """
    if drawing is None:
        return []
    told = []
    cost = drawing["rebalancing_cost"]
    if cost is not None and cost["total_variation"] is not None:
        told.append(
            f"The {things} were drawn by a request on {' × '.join(cost['columns']) or 'some columns'}, which "
            f"moves {cost['total_variation']:.1%} of them to other combinations of these columns than the "
            "model would give (total variation). Distances and shares below contain that."
        )
        if cost["effective_share"] is not None:
            told.append(
                f"That costs precision: weighing the model's own {things} in this way would leave "
                f"{cost['effective_share']:.0%} of their effective number."
            )
        if cost["largest_weight"] is not None and cost["largest_weight"] > 1:
            told.append(
                f"The most stretched combination is {cost['largest_weight_cell']}: "
                f"{cost['largest_weight']:.3g} times as many {things} as the model would give."
            )
        if cost["decorrelated"]:
            told.append(
                f"Drawn without regard to the groups: {', '.join(cost['decorrelated'])}; what that moves is "
                "not counted here."
            )
    told += [
        f"Left out by the balance: rows whose {name} is {kind}, {share:.1%} of the model's own."
        for name, kinds in drawing.get("left_out", {}).items()
        for kind, share in kinds.items()
    ]
    return told
