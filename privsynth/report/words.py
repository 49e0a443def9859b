"""The guarantee in plain words, for readers who did not choose the epsilon."""

from __future__ import annotations

import math
from typing import Any

from privsynth.attacks.curves import allowed_tpr

_GAME_FPR = 0.01


def guarantee_in_words(guarantee: dict[str, Any] | None) -> list[str]:
    """Return paragraphs that say what is guaranteed, to whom, and what is not.

    Privacy:
        Public: a function of the guarantee alone.

    Example:
        >>> guarantee_in_words(None)[0]
        'No model file was given: this report knows of no guarantee, and says nothing about one.'
    """
    if guarantee is None:
        return ["No model file was given: this report knows of no guarantee, and says nothing about one."]
    if not guarantee.get("private"):
        return [
            "There is none. The generator saw the records without differential privacy, or with noise that "
            "is not secret. The synthetic rows may hold records as they are."
        ]
    claim = claim_of(guarantee)
    if claim is None:
        return ["The statement names no epsilon and delta, so it cannot be put into words."]
    epsilon, delta = claim
    one = "person" if guarantee.get("unit") == "person" else "record"
    was_in = "one person's rows were" if one == "person" else "one record was"
    allowed = 100 * allowed_tpr(_GAME_FPR, epsilon, delta)
    return [
        "Whoever sees the synthetic rows, or the model file itself, learns almost the same whether or not "
        f"{was_in} in the real table. That holds for every {one}, against any attacker, whatever they know "
        "already and whatever they compute.",
        f"“Almost the same” is measured by epsilon = {epsilon:g} and delta = {delta:g}: no outcome becomes "
        f"more than {_factor(epsilon)} times as likely or as unlikely through that {one}, but for a "
        f"probability of {_one_in(delta)}.",
        f"As a game: an attacker who wrongly accuses 1 in 100 {one}s that were not in the table can rightly "
        f"accuse at most {allowed:.3g} in 100 that were.",
        "It does not hide what is true of people in general: that is what the rows are for. Two tables are "
        f"neighbours when they differ by adding or removing one {one}; several {one}s together, such as a "
        "household, are protected less.",
    ]


def claim_of(guarantee: dict[str, Any] | None) -> tuple[float, float] | None:
    """Return the (epsilon, delta) that a private guarantee claims, None if there is none.

    Privacy:
        Public: a function of the guarantee alone.
    """
    if guarantee is None or not guarantee.get("private"):
        return None
    epsilon, delta = guarantee.get("epsilon"), guarantee.get("delta")
    if epsilon is None or delta is None or not math.isfinite(epsilon):
        return None
    return float(epsilon), float(delta)


def _factor(epsilon: float) -> str:
    return f"{math.exp(epsilon):,.3g}" if epsilon < 13 else f"e^{epsilon:g}"


def _one_in(delta: float) -> str:
    return "zero" if delta == 0 else f"1 in {round(1 / delta):,}" if delta > 1e-15 else f"{delta:g}"
