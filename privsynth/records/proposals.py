"""What a draft proposes of a column, and the values that it is proposed from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from privsynth.records.coerce import conform_column
from privsynth.records.spellings import names_a_text
from privsynth.schema import PRIVATE, Column

MANY = 20  # values, below which it means nothing that all differ
NEARLY_ALL = 0.9
LEADING_ZERO = re.compile(r"[+-]?0\d")  # 01234 is a code: as a number it would lose its zero
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
AS_PERSON = (
    'if it names persons, give it "role": "person_id" and set "max_records_per_person": the guarantee then '
    "protects persons with all of their rows"
)
LIST_NOTE = (
    "a private list of categories, found under the budget: those that few hold become 'other' or missing"
)
LEFT_OUT = {"type": "text", "drop": True}


@dataclass(frozen=True)
class Proposal:
    """What a draft says of one column.

    Attributes:
        fields: As in schema JSON.
        notes: What was assumed or is in doubt, a sentence each; they quote no record.
    """

    fields: dict[str, Any]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Values:
    """The distinct values of a column as texts, without empty fields and words that mean missing."""

    name: str
    texts: pd.Series
    words: list[str]
    distinct_share: float
    is_many: bool

    def fits(self, **declared: Any) -> bool:
        """Whether no value breaks a declaration."""
        return not self.breaking(**declared)

    def breaking(self, **declared: Any) -> list[str]:
        """Return the rules that values break."""
        return conform_column(self.texts, Column(name=self.name, missing=True, **declared))[1]

    @property
    def all_differ(self) -> bool:
        """Whether nearly every record has a value of its own."""
        return self.is_many and self.distinct_share > NEARLY_ALL

    @property
    def has_leading_zeros(self) -> bool:
        """Whether a value begins like a code."""
        return bool(self.texts.map(LEADING_ZERO.match).notna().any())

    @property
    def provider(self) -> str | None:
        """What would make such texts anew, if they are e-mail addresses or the name speaks of texts."""
        is_email = self.texts.map(EMAIL.fullmatch).notna().mean() > NEARLY_ALL
        return "email" if is_email else names_a_text(self.name)

    @property
    def missing(self) -> dict[str, Any]:
        return {"missing": PRIVATE} | ({"missing_values": self.words} if self.words else {})


def categories(missing: dict[str, Any], *notes: str) -> Proposal:
    return Proposal({"type": "categorical", "categories": PRIVATE, **missing}, list(notes))


def listed(words: list[str]) -> str:
    return ", ".join(map(repr, words))
