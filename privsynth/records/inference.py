"""Propose the declaration of a column from its values, and say what the proposal is unsure of.

What is proposed is tried by the rules that a fit reads records with. A proposal names nothing but what stands
in the public lists of `privsynth.records.spellings`: no text and no number of a record.
"""

from __future__ import annotations

import re

import pandas as pd

from privsynth.records.coerce import conform_column
from privsynth.records.inferred_numbers import (
    date_format,
    dates,
    dates_of_digits,
    nearly_numbers,
    number_format,
    numbers,
)
from privsynth.records.proposals import (
    AS_PERSON,
    LEFT_OUT,
    LIST_NOTE,
    MANY,
    Proposal,
    Values,
    categories,
    listed,
)
from privsynth.records.spellings import MISSING_WORDS, SOME_REPEAT, TRUTH_PAIRS, names_a_person, names_an_id
from privsynth.schema import PRIVATE, Column

MANY_CATEGORIES = 50
LONG_TEXT = 4  # words
MAX_EXACT = 2**53
WHOLE = re.compile(r"[+-]?\d+")


def propose(raw: pd.Series, *, is_category: bool = False) -> Proposal:
    """Propose the declaration of a column: the first that its values fit.

    Args:
        raw: The column as a `privsynth.io.source.Source` gives it.
        is_category: Whether it is stored as one of categories.

    Privacy:
        *Not private*: types, formats and words for missing are a function of the records.
    """
    name = str(raw.name)
    anything = Column(name=name, type="categorical", categories=PRIVATE, missing=True)
    read, broken = conform_column(raw, anything)
    if broken:
        return Proposal(
            dict(LEFT_OUT), ["left out: its fields are no single number, text or date, and are never learnt"]
        )
    assert isinstance(read, pd.Categorical)
    n_known = int((read.codes >= 0).sum())
    if n_known == 0:
        if len(raw) == 0:
            return categories({"missing": PRIVATE})
        return Proposal(dict(LEFT_OUT), ["left out: no field has a value"])
    every = [str(text) for text in read.categories]
    words = [text for text in every if text.lower() in MISSING_WORDS]
    known = pd.Series([text for text in every if text.lower() not in MISSING_WORDS], dtype=object, name=name)
    if len(known) == 0:
        return Proposal(dict(LEFT_OUT), [f"left out: it holds only words for missing ({listed(words)})"])
    values = Values(name, known, words, len(every) / n_known, n_known >= MANY)
    if is_category:
        return _of_texts(values)
    for rule in (_row_numbers, _truth, dates_of_digits, _ids, numbers, dates, nearly_numbers):
        proposal = rule(values)
        if proposal is not None:
            return _with_doubts(proposal, values)
    return _of_texts(values)


def _with_doubts(proposal: Proposal, values: Values) -> Proposal:
    notes = list(proposal.notes)
    if "missing_values" in proposal.fields:
        notes.insert(
            0, f"{listed(values.words)} taken as missing (missing_values); take out what is an answer"
        )
    if values.is_many and proposal.fields["type"] in ("integer", "categorical") and names_an_id(values.name):
        notes.append(f"it is named like an identifier: {AS_PERSON}")
    return Proposal(proposal.fields, notes)


# -- rules, in this order ------------------------------------------------------------------------------


def _row_numbers(values: Values) -> Proposal | None:
    """Leave out the index that pandas writes: consecutive numbers in a column without a name."""
    if values.name.strip() and not values.name.startswith(("Unnamed:", "__index_level_")):
        return None
    if not _is_consecutive(values):
        return None
    return Proposal(
        dict(LEFT_OUT),
        ["left out: a column without a name that holds row numbers, as pandas writes its index"],
    )


def _truth(values: Values) -> Proposal | None:
    if values.fits(type="categorical", categories=(0, 1)):
        return Proposal({"type": "boolean", "values": [0, 1], **values.missing})
    if values.fits(type="boolean"):
        return Proposal({"type": "boolean", **values.missing})
    spelt = {text.lower() for text in values.texts}
    pair = next((pair for pair in TRUTH_PAIRS if spelt == set(pair)), None)
    if pair is None:
        return None
    if len(values.texts) > 2:
        note = "yes and no in several spellings: write each in one way to declare a boolean with 'values'"
        return categories(values.missing, note)
    false, true = sorted(values.texts, key=lambda text: pair.index(text.lower()))
    note = f"boolean: {false!r} is taken for false and {true!r} for true"
    return Proposal({"type": "boolean", "values": [false, true], **values.missing}, [note])


def _ids(values: Values) -> Proposal | None:
    """Identifiers are made afresh: whole numbers beyond 2^53, row numbers, and what its name calls so."""
    if values.words or not values.texts.str.fullmatch(r"\S+").all() or values.provider:
        return None
    is_whole = bool(values.texts.map(WHOLE.fullmatch).notna().all())
    is_too_long = is_whole and values.texts.map(int).abs().max() > MAX_EXACT
    is_named = names_a_person(values.name) or (
        names_an_id(values.name) and values.distinct_share >= SOME_REPEAT
    )
    is_row_number = values.all_differ and _is_consecutive(values)
    if not (is_too_long or is_row_number or (values.is_many and is_named) or _are_codes(values)):
        return None
    notes = ['taken for an identifier, so numbered afresh and never learnt; "drop": true leaves it out']
    if values.distinct_share < 1:
        notes.append(f"its values repeat: {AS_PERSON}")
    if is_too_long and not values.all_differ:
        notes.append(
            "whole numbers beyond 2^53 are not learnt as numbers; if they are codes, declare categorical"
        )
    return Proposal({"type": "id"}, notes)


def _are_codes(values: Values) -> bool:
    """Whether nearly all values differ, hold digits, and are neither numbers nor dates."""
    if not values.all_differ or not values.texts.str.contains(r"\d").all():
        return False
    if values.fits(type="real"):
        return values.has_leading_zeros
    return not (values.fits(type="datetime") or number_format(values) or date_format(values))


def _of_texts(values: Values) -> Proposal:
    """Leave out names, addresses and free text; everything else is a private list of categories."""
    provider = values.provider
    has_blanks = values.texts.str.split().str.len().mean() >= LONG_TEXT
    is_personal = provider is not None and len(values.texts) > MANY_CATEGORIES
    if values.is_many and (values.all_differ or is_personal or (has_blanks and values.distinct_share > 0.5)):
        why = (
            "nearly all of its texts differ"
            if values.all_differ
            else "it looks like free text, names or addresses"
        )
        make = f'; "generator": "{provider}" instead of "drop" makes new ones' if provider else ""
        return Proposal(dict(LEFT_OUT), [f"left out: {why}, and texts are never learnt{make}"])
    notes = []
    if values.words:
        notes.append(f"{listed(values.words)} kept as categories; list in missing_values what means missing")
    if len(values.texts) > MANY_CATEGORIES:
        notes.append('it has many values: a public list of categories, or "drop", would serve it better')
    every = sorted([*values.texts, *values.words])
    if len({text.lower() for text in every}) < len(every):
        notes.append("some categories differ only in capitals")
    return categories({"missing": PRIVATE}, LIST_NOTE, *notes)


def _is_consecutive(values: Values) -> bool:
    """Whether the values are row numbers: each whole number of a range once."""
    if values.words or values.distinct_share < 1 or not values.texts.map(WHOLE.fullmatch).notna().all():
        return False
    numbers = values.texts.map(int)
    return bool(numbers.max() - numbers.min() == len(numbers) - 1)
