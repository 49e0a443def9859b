"""What a section of the report is, and what its verdicts are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema

Content = Mapping[str, Any]
"""What ``report.json`` holds: the figures of every section by its name, and the facts of the audit."""
Figures = dict[str, Any]
Verdict = dict[str, str]
KeyFigure = tuple[str, Literal["low", "high"], Figures | None]


def _none(content: Content) -> Sequence[Any]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the report on a table, on linked tables or on images: figures, verdicts, its place.

    `privsynth.report.sections.SECTIONS` lists all of them; nothing else has to know of one.

    Attributes:
        name: Its key in ``report.json``.
        title: Words of the link to it; empty where the page has none.
        reads_records: Whether it reads real records without noise. Public pages leave it out then.
        assess: Returns its figures, or why there are none (see `not_assessed` of
            `privsynth.metrics.common.estimates`); None where it has nothing to say. Takes the context of its
            kind of audit, see `privsynth.report.context`.
        doing: Told as progress before it is assessed, in words that hold nothing of the records.
        verdicts: Returns its verdicts.
        template: File in ``templates``; None where the page shows nothing of it.
        view: Returns what the template takes beside ``r``, the content of ``report.json``.
        key_figures: Returns what reports are compared by: measure, which way is better, and the figure.
        only_public: Whether it stands on public pages alone, because an audit shows the same and more.
        anchor: Where the link leads to; ``name`` if it is empty.
        more_links: Anchor to words of further links.
        asked_by: Whether a schema asks for it; None if every one does. The report on another schema has no
            such key, and no word of it.
    """

    name: str
    title: str
    reads_records: bool
    assess: Callable[[Any], Figures | None]
    doing: str = ""
    verdicts: Callable[[Content], Sequence[Verdict]] = _none
    template: str | None = None
    view: Callable[[Content], dict[str, Any]] = lambda content: {}
    key_figures: Callable[[Content], Sequence[KeyFigure]] = _none
    only_public: bool = False
    anchor: str = ""
    more_links: Mapping[str, str] = field(default_factory=dict)
    asked_by: Callable[[Schema | LinkedSchema], bool] | None = None

    def is_for(self, schema: Schema | LinkedSchema) -> bool:
        """Whether it is part of reports on tables of this schema."""
        return self.asked_by is None or self.asked_by(schema)

    def is_in(self, content: Content) -> bool:
        """Whether a report that was written holds it; what every report has is taken to be there."""
        return self.asked_by is None or content.get(self.name) is not None

    def stands_on(self, *, public: bool) -> bool:
        """Whether it is part of a public report, or of an audit."""
        return not self.reads_records if public else not self.only_public

    @property
    def links(self) -> dict[str, str]:
        """Anchor to words of every link to it."""
        own = {self.anchor or self.name: self.title} if self.title else {}
        return own | dict(self.more_links)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a report calls things, of a table, of linked tables and of images.

    Attributes:
        things: What was released.
        table: What holds the real records.
        copies: What a copy is a copy of.
        member: Ends the question about membership.
    """

    things: str
    table: str
    copies: str
    member: str


ROWS = Words(things="rows", table="table", copies="real records", member="who was among the real records")
LINKED = replace(ROWS, table="tables")
IMAGES = Words(
    things="images", table="set", copies="real images", member="whose images were among the real ones"
)


def kind_of(content: Content) -> str:
    """Return what a report is about: ``table``, ``linked`` or ``images``."""
    return str(content["settings"].get("kind", "table"))


def words_of(content: Content) -> Words:
    """Return what a report calls things."""
    return {"images": IMAGES, "linked": LINKED}.get(kind_of(content), ROWS)


def is_assessed(figures: Content | None) -> bool:
    """Return whether a section, or a part of one, has figures."""
    return figures is not None and figures.get("status") == "assessed"


def verdict(question: str, kind: str, evidence: str, action: str) -> Verdict:
    """Return one verdict as it stands in the report."""
    return {"question": question, "verdict": kind, "evidence": evidence, "action": action}


def attention_or_ok(
    question: str, found: Sequence[str], action: str, *, otherwise: str, then: str
) -> Verdict:
    """Return ``attention`` with what was found as its evidence, or ``ok`` with what is said otherwise."""
    if found:
        return verdict(question, "attention", sentence("; ".join(found)), action)
    return verdict(question, "ok", otherwise, then)


def or_not_assessed(section: Content, question: str, action: str) -> Verdict:
    """Return that a section is not there, with its reason."""
    return verdict(question, "not_assessed", sentence(section["reason"]), action)


def sentence(text: str) -> str:
    """Return a text as a sentence: a capital first, a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def named(groups: Sequence[Content]) -> str:
    """Return the first groups by their columns and values, and how many more there are."""
    texts = [
        " × ".join(
            f"{column}={'missing' if value is None else value}" for column, value in g["group"].items()
        )
        for g in groups[:3]
    ]
    more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
    return ", ".join(texts) + more


def by_request(content: Content) -> str:
    """Return a sentence that says whether shares were moved on purpose; empty if nothing is known of it."""
    cost = (content.get("drawing") or {}).get("rebalancing_cost")
    if not cost or not cost["columns"]:
        return ""
    columns = " × ".join(cost["columns"])
    things = words_of(content).things
    return f" The {things} were drawn by a request on {columns}, which moves shares on purpose."
