"""The guarantee in plain words, for readers who did not choose the epsilon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from privsynth.accounting.trade_off import allowed_tpr

_GAME_FPR = 0.01

MODEL_WORDS = {
    "hist_gradient_boosting": "gradient boosting",
    "logistic_regression": "logistic regression",
    "ridge": "ridge regression",
    "random_forest": "random forest",
    "decision_tree": "decision tree",
    "naive_bayes": "naive Bayes",
    "cnn": "convolutional network",
    "mlp": "perceptron",
}
SCORE_WORDS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "brier": "Brier score",
    "r2": "R²",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
}


def guarantee_in_words(guarantee: dict[str, Any] | None, *, things: str = "rows") -> list[str]:
    """Return paragraphs that say what is guaranteed, to whom, and what is not.

    Args:
        guarantee: The statement of the model file; None if there is none.
        things: What was released, as a reader calls it: ``rows`` or ``images``.

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
            f"is not secret. The synthetic {things} may hold records as they are."
        ]
    claim = claim_of(guarantee)
    if claim is None:
        return ["The statement names no epsilon and delta, so it cannot be put into words."]
    epsilon, delta = claim
    one = "person" if guarantee.get("unit") == "person" else "record"
    was_in = f"one person's {things} were" if one == "person" else "one record was"
    allowed = 100 * allowed_tpr(_GAME_FPR, epsilon, delta)
    stated_by = guarantee.get("stated_by")
    stated = (
        [
            f"What follows is the word of {stated_by}, who released the noisy tables that the model is made "
            "of. No record was read for it here, and nothing of that word was checked."
        ]
        if stated_by is not None
        else []
    )
    n_runs = len(guarantee.get("runs") or ())
    together = (
        [
            f"The model rests on {n_runs} runs on the real records, and this is the guarantee of all of them "
            "together."
        ]
        if n_runs
        else []
    )
    change = "replacing" if guarantee.get("neighbours") == "replace_one" else "adding or removing"
    return [
        *stated,
        f"Whoever sees the synthetic {things}, or the model file itself, learns almost the same whether or "
        f"not {was_in} among the real records. That holds for every {one}, against any attacker, whatever "
        "they know already and whatever they compute.",
        f"“Almost the same” is measured by epsilon = {epsilon:g} and delta = {delta:g}"
        f"{given_in_words(guarantee)}: no outcome becomes more than {_factor(epsilon)} times as "
        f"likely or as unlikely through that {one}, but for a "
        f"probability of {_one_in(delta)}.",
        *together,
        f"For membership inference: at a false positive rate of 1 in 100 {one}s, the true positive rate is "
        f"at most {allowed:.3g} in 100.",
        f"It does not hide what is true of people in general: that is what the {things} are for. Two sets of "
        f"records are neighbours when they differ by {change} one {one}; several {one}s together, "
        "such as a household, are protected less.",
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


def given_in_words(guarantee: dict[str, Any] | None) -> str:
    """Return what a guarantee is conditional on, to stand in the same sentence as its epsilon.

    Privacy:
        Public: a function of the guarantee alone.

    Example:
        >>> given_in_words({"given": "the types, which were read from the records"})
        ', given the types, which were read from the records'
    """
    given = (guarantee or {}).get("given")
    return f", given {given}" if isinstance(given, str) else ""


def group_text(group: dict[str, Any]) -> str:
    """Return a group as a reader calls it: its values, or "(missing)".

    Example:
        >>> group_text({"sex": "F", "race": None})
        'F, (missing)'
    """
    return ", ".join("(missing)" if value is None else str(value) for value in group.values())


def bottom_line(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return in one sentence or two how many verdicts there are of each kind, the worst first.

    Example:
        >>> bottom_line([{"verdict": "ok"}, {"verdict": "ok"}, {"verdict": "attention"}])
        'One question needs your attention. Two are in order.'
    """
    counts = {kind: sum(v["verdict"] == kind for v in verdicts) for kind in _KINDS}
    told: list[str] = []
    for kind, (one, several) in _KINDS.items():
        n = counts[kind]
        if n:
            subject = f"{_NUMBERS.get(n, str(n))}{' question' + ('s' if n > 1 else '') if not told else ''}"
            told.append(f"{subject} {one if n == 1 else several}.")
    return " ".join(told)


_KINDS = {
    "problem": (
        "shows a problem: do not release before it is solved",
        "show problems: do not release before they are solved",
    ),
    "attention": ("needs your attention", "need your attention"),
    "ok": ("is in order", "are in order"),
    "not_assessed": ("could not be answered", "could not be answered"),
}
_NUMBERS = dict(enumerate(("None", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")))


def bought(fidelity: Mapping[str, Any], utility: Mapping[str, Any]) -> str:
    """Return in words how far the rows have come from independent columns to real rows."""
    told = []
    for what, figure in (
        ("for 2-way marginals", fidelity.get("tv_2way")),
        ("for 3-way marginals", fidelity.get("tv_3way")),
        ("for predicting the target by gradient boosting", _main_score(utility)),
    ):
        way = way_to_floor(figure) if figure else None
        if way is not None:
            told.append(f"{min(max(1 - way, 0.0), 1.0):.0%} {what}")
    if not told:
        return "that cannot be said without both references."
    return "of the way from independent columns to real rows, " + ", ".join(told) + "."


def slope_in_words(private: float, twin: float | None) -> str:
    """Return what a slope of shares on shares means for small groups."""
    kind = "small groups hold their shares"
    if abs(private) >= SMALLEST_SLOPE:
        kind = "small groups gain shares" if private < 0 else "small groups lose shares"
    beside = "" if twin is None else f" (slope {private:+.2f}; without privacy {twin:+.2f})"
    return kind + beside


SMALLEST_SLOPE = 0.02  # a group of a tenth of another's size then gains or loses 5 % of its share
SMALLEST_SPAN = 0.02  # ceiling and floor closer than this cannot tell good from bad


def way_to_floor(figure: Mapping[str, Any]) -> float | None:
    """Return how far a figure is from its ceiling (0) to its floor (1); None where they cannot tell.

    Without a ceiling (no holdout) a distance is measured from zero.

    Privacy:
        Not private: a function of figures of real records.

    Example:
        >>> round(way_to_floor({"value": 0.06, "ceiling": 0.02, "floor": 0.10}), 3)
        0.5
    """
    value, floor = figure["value"], figure["floor"]
    ceiling = figure["ceiling"] if figure["ceiling"] is not None else 0.0
    if value is None or floor is None or abs(floor - ceiling) < SMALLEST_SPAN:
        return None
    return float((value - ceiling) / (floor - ceiling))


def _main_score(utility: Mapping[str, Any]) -> Mapping[str, Any] | None:
    models = utility.get("models")
    return next(iter(next(iter(models.values())).values())) if models else None


def _factor(epsilon: float) -> str:
    return f"{math.exp(epsilon):,.3g}" if epsilon < 13 else f"e^{epsilon:g}"


def _one_in(delta: float) -> str:
    return "zero" if delta == 0 else f"1 in {round(1 / delta):,}" if delta > 1e-15 else f"{delta:g}"
