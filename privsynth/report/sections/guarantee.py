"""The guarantee: what it says, and whether there is one."""

from __future__ import annotations

from typing import Any

from privsynth.report.context import AuditContext
from privsynth.report.provenance import drawing_in_words
from privsynth.report.sections.base import ROWS, Content, Figures, Section, Verdict, Words, verdict, words_of
from privsynth.report.text import claim_of, given_in_words, guarantee_in_words


def _assess(context: AuditContext) -> Figures | None:
    return context.guarantee


def guarantee_verdict(guarantee: Figures | None, n_units: int | None, words: Words = ROWS) -> Verdict:
    """Return the verdict on the guarantee; delta is held against the number of units, where that is known."""
    question = "Is there a differential-privacy guarantee?"
    things = words.things
    if guarantee is None:
        return verdict(
            question,
            "not_assessed",
            "No model file was given, so this report knows of no guarantee.",
            f"Give the model file, or ask the maker of the {things} for unit, neighbours, epsilon and delta.",
        )
    if not guarantee.get("private"):
        return verdict(
            question,
            "attention",
            "None: the generator was fitted without differential privacy, or its noise was not secret.",
            f"Treat the {things} as the records themselves, or fit again with an epsilon.",
        )
    claim = claim_of(guarantee)
    if claim is None:
        return verdict(
            question,
            "not_assessed",
            "The statement names no epsilon and delta.",
            f"Ask the maker of the {things} for both.",
        )
    epsilon, delta = claim
    evidence = f"epsilon = {epsilon:g}, delta = {delta:g} for one {guarantee.get('unit', 'record')}"
    evidence += given_in_words(guarantee)
    if guarantee.get("stated_by") is not None:
        return verdict(
            question,
            "not_assessed",
            f"{evidence}. The model is made of noisy tables that were released elsewhere.",
            f"Ask {guarantee['stated_by']} how the tables were made, and who has checked that.",
        )
    if n_units is not None and delta * 10 * n_units > 1:
        return verdict(
            question,
            "attention",
            f"{evidence}; delta is above one tenth of one over the number of units.",
            "Fit again with a smaller delta: at this one, whole records may be given away within the claim.",
        )
    return verdict(
        question, "ok", f"{evidence}.", "Read what the guarantee does not cover, further down this page."
    )


def _verdicts(content: Content) -> list[Verdict]:
    real = content["tables"].get("real")
    n_units = None if real is None else real["n_units"]  # of a public report it is not known
    return [guarantee_verdict(content["guarantee"], n_units, words_of(content))]


def _view(content: Content) -> dict[str, Any]:
    guarantee, things = content["guarantee"], words_of(content).things
    return {
        "words": guarantee_in_words(guarantee, things=things),
        "drawing_words": drawing_in_words(content.get("drawing"), things=things),
        "given": given_in_words(guarantee),
    }


SECTION = Section(
    name="guarantee",
    title="Guarantee",
    reads_records=False,
    assess=_assess,
    verdicts=_verdicts,
    template="guarantee.html",
    view=_view,
)
