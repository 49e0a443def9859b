"""Each of several linked tables by itself: does it look like the real one?"""

from __future__ import annotations

from typing import Any

from privsynth.metrics.fidelity.by_table import assess_by_table
from privsynth.report.context import LinkedContext
from privsynth.report.sections.base import (
    Content,
    Figures,
    KeyFigure,
    Section,
    Verdict,
    by_request,
    is_assessed,
    sentence,
    verdict,
)
from privsynth.report.sections.fidelity import fidelity_verdict
from privsynth.report.sections.sequences import distance_rows, next_event_rows, sequences_verdict

N_WORST = 10

_LOOKS = "Does each synthetic table look like the real one?"
_FOLLOWS = "Do the rows of one parent follow one another as real ones do?"
_ACTIONS = {
    _LOOKS: "Look at the worst marginals of these tables; more persons, a larger share of the budget for "
    "them, or a larger epsilon help.",
    _FOLLOWS: "Do not use these tables to speak about what follows what; more persons, a larger share of "
    "the budget for them, or a larger epsilon help.",
}


def _assess(context: LinkedContext) -> Figures:
    return assess_by_table(
        context.tables, n_bootstrap=context.limits.n_bootstrap, random_state=context.random_state
    )


def _verdicts(content: Content) -> list[Verdict]:
    tables, moved = content["by_table"]["tables"], by_request(content)
    looks = {of["table"]: fidelity_verdict(of["fidelity"], moved) for of in tables}
    follows = {of["table"]: sequences_verdict(of["sequences"]) for of in tables if of["sequences"]}
    return [_together(_LOOKS, looks), *([_together(_FOLLOWS, follows)] if follows else [])]


def _together(question: str, by_table: dict[str, Verdict]) -> Verdict:
    """Return one verdict for all tables: that of those which need most attention, and their evidence."""
    for kind in ("problem", "attention", "not_assessed"):
        found = {name: of for name, of in by_table.items() if of["verdict"] == kind}
        if found and (kind != "not_assessed" or len(found) == len(by_table)):
            evidence = " ".join(f"{name}: {sentence(of['evidence'])}" for name, of in found.items())
            action = _ACTIONS[question] if kind != "not_assessed" else next(iter(found.values()))["action"]
            return verdict(question, kind, evidence, action)
    told = " ".join(f"{name}: {sentence(of['evidence'])}" for name, of in by_table.items())
    return verdict(question, "ok", told, "Look at the worst marginals below before you rely on one.")


def _rows(of_table: Figures) -> list[tuple[str, Figures]]:
    """Return the figures of one table: what each is called, and the figure."""
    fidelity = of_table["fidelity"]
    if not is_assessed(fidelity):
        return []
    rows = [
        ("TVD of a column", fidelity["tv_1way"]),
        ("TVD of two columns", fidelity["tv_2way"]),
        ("AUC of telling synthetic from real rows, 0.5 is best", fidelity["two_sample"].get("auc")),
        ("sdmetrics quality score, 1 is best", fidelity["quality"]["score"]),
    ]
    return [(name, figure) for name, figure in rows if figure and figure["value"] is not None]


def _history_rows(of_table: Figures) -> list[tuple[str, Figures]]:
    """Return the figures of what follows what in one table; numbers of rows stand in links."""
    found = of_table["sequences"]
    if not is_assessed(found):
        return []
    rows = [*distance_rows(found)[1:], *next_event_rows(found)]
    return [(name, figure) for name, figure in rows if figure is not None and figure["value"] is not None]


def _view(content: Content) -> dict[str, Any]:
    shown = [
        {
            "table": of["table"],
            "fidelity": of["fidelity"],
            "rows": _rows(of),
            "histories": _history_rows(of),
            "why_no_histories": (of["sequences"] or {}).get("reason"),
            "worst_columns": sorted(
                of["fidelity"].get("columns", []), key=lambda column: -(column["tv"]["value"] or 0.0)
            )[:N_WORST],
            "worst_pairs": of["fidelity"].get("worst_pairs", [])[:N_WORST],
        }
        for of in content["by_table"]["tables"]
    ]
    return {"shown_tables": shown}


def _key_figures(content: Content) -> list[KeyFigure]:
    found: list[KeyFigure] = []
    for of in content["by_table"]["tables"]:
        for name, figure in [*_rows(of), *_history_rows(of)]:
            is_score = "quality" in name or "of the next" in name
            found.append((f"{of['table']}: {name}", "high" if is_score else "low", figure))
    return found


SECTION = Section(
    name="by_table",
    title="Tables",
    reads_records=True,
    assess=_assess,
    doing="comparing table by table",
    verdicts=_verdicts,
    template="by_table.html",
    view=_view,
    key_figures=_key_figures,
)
