"""Sequences: do synthetic persons have histories like those of real ones?"""

from __future__ import annotations

from typing import Any

from privsynth.metrics.fidelity.sequences import assess_sequences
from privsynth.report.context import TableContext
from privsynth.report.page.timelines import timeline
from privsynth.report.sections.base import (
    Content,
    Figures,
    KeyFigure,
    Section,
    Verdict,
    is_assessed,
    or_not_assessed,
    sentence,
    verdict,
)
from privsynth.report.sections.between import beside_holdout, faults_of, in_words, is_far
from privsynth.report.text import MODEL_WORDS, SCORE_WORDS

MAX_PAIRS_LISTED = 100

_NUMBERS = {1: "", 2: "two "}
_QUESTION = "Do synthetic persons have histories like those of real ones?"


def _assess(context: TableContext) -> Figures:
    return assess_sequences(
        context.tables, n_bootstrap=context.limits.n_bootstrap, random_state=context.random_state
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [sequences_verdict(content["sequences"])]


def sequences_verdict(found: Figures) -> Verdict:
    """Return the verdict on following records, on the next event, and on records per person.

    Privacy:
        Not private: says what figures of real records say.
    """
    if not is_assessed(found):
        return or_not_assessed(found, _QUESTION, "Mend the tables and audit again.")
    lags = {_lag_words(lag["lag"], has_order=found["has_order"]): lag["tv"] for lag in found["lags"]}
    scores = dict(next_event_rows(found))
    told = {name: figure for name, figure in (lags | scores).items() if figure["value"] is not None}
    records = found["records_per_person"]
    if not told:
        nothing_differs = not found["lags"][0]["pairs"]
        return verdict(
            _QUESTION,
            "not_assessed",
            "Nothing but the order differs between the records of a person."
            if nothing_differs
            else "No person has two records on both sides, so there is nothing that follows.",
            "Leave 'per' out of columns that may differ."
            if nothing_differs
            else "Audit a table in which persons have several records.",
        )
    evidence = sentence(
        "; ".join(in_words(name, figure, worst="independent rows") for name, figure in told.items())
        + f"; TVD of records per person {beside_holdout(records)}"
    )
    faults = faults_of(told, scores, worst="independent rows", best="real persons")
    if is_far(records):
        faults.append("persons have more or fewer records than real ones")
    if faults:
        return verdict(
            _QUESTION,
            "attention",
            f"{sentence('; '.join(faults))} {evidence}",
            "Do not use the rows to speak about what follows what; more persons or a larger epsilon help.",
        )
    return verdict(_QUESTION, "ok", evidence, "Look at the pairs of columns below before you rely on one.")


def _lag_words(lag: int, *, has_order: bool) -> str:
    """Return what a lag is called: how many records apart; without an order, that is by chance."""
    if not has_order:
        return f"TVD of two records of a person ({'first' if lag == 1 else 'second'} draw)"
    return f"TVD of a record and the one {_NUMBERS[lag]}before it"


def distance_rows(found: Figures) -> list[tuple[str, Figures | None]]:
    """Return the figures of the section's table: what each is called, and the figure.

    Privacy:
        Not private: figures of real records.
    """
    return [
        ("TVD of records per person", found["records_per_person"]),
        *((_lag_words(lag["lag"], has_order=found["has_order"]), lag["tv"]) for lag in found["lags"]),
        ("TVD of the time or distance between records", found["gaps"]),
        ("TVD of a person's total of a number", found["totals"]),
        ("autocorrelation, mean difference from real", found["autocorrelation"]["difference"]),
        ("AUC of telling synthetic from real persons, 0.5 is best", found["two_sample"].get("auc")),
    ]


def next_event_rows(found: Figures) -> list[tuple[str, Figures]]:
    """Return the scores of what comes next.

    Privacy:
        Not private: figures of real records.
    """
    section = found["next_event"]
    if not is_assessed(section):
        return []
    return [
        (f"{SCORE_WORDS[p['score']]} of the next {p['column']!r}", p["of_score"])
        for p in section["predicted"]
    ]


def _view(content: Content) -> dict[str, Any]:
    found = content["sequences"]
    if not is_assessed(found):
        return {}
    shown = found["timelines"]
    columns = shown["columns"]
    return {
        "distances": [
            row for row in distance_rows(found) if row[1] is not None and row[1]["value"] is not None
        ],
        "next_events": next_event_rows(found),
        "next_model": MODEL_WORDS.get(found["next_event"].get("model", ""), ""),
        "lag_pairs": _listed_pairs(found),
        "timeline_pictures": [
            timeline(person, columns, f"Synthetic person {i}: {person['n_records']} records")
            for i, person in enumerate(shown["persons"], 1)
        ],
    }


def _listed_pairs(found: Figures) -> list[Figures]:
    """Return pairs of columns with their distance at each lag, worst first at the first lag."""
    first, *others = [lag["pairs"] for lag in found["lags"]]
    rows = [
        {
            "before": pair["before"],
            "after": pair["after"],
            "of_lag": [pair["tv"], *(o[i]["tv"] for o in others)],
        }
        for i, pair in enumerate(first)
    ]
    return sorted(rows, key=lambda row: -(row["of_lag"][0]["value"] or 0.0))[:MAX_PAIRS_LISTED]


def _key_figures(content: Content) -> list[KeyFigure]:
    found = content["sequences"]
    if not is_assessed(found):
        return []
    return [
        *((name, "low", figure) for name, figure in distance_rows(found)),
        *((name, "high", figure) for name, figure in next_event_rows(found)),
    ]


SECTION = Section(
    name="sequences",
    title="Sequences",
    reads_records=True,
    assess=_assess,
    doing="comparing histories",
    verdicts=_verdicts,
    template="sequences.html",
    view=_view,
    key_figures=_key_figures,
    asked_by=lambda schema: schema.is_sequential,
)
