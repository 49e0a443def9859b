"""The sections of the report, in the order of the page: the one place where a section is registered.

A section is a module of this folder, a template and a line here. Its verdicts say what a privacy officer
should look at, why, and what to do about it. ``problem``: a figure that contradicts the guarantee, or shows
copied records. ``attention``: an interval clear of chance, or a score nearer to the floor than to the
ceiling. ``ok``: neither was found with this much data, which is never proof. ``not_assessed``: the figure is
not there.
"""

from __future__ import annotations

from privsynth.report.sections import (
    by_table,
    disclosure,
    fairness,
    fidelity,
    guarantee,
    image_fidelity,
    image_utility,
    interpretability,
    links,
    membership,
    paid,
    pictures,
    released,
    sequences,
    utility,
)
from privsynth.report.sections.base import Content, Section, Verdict, kind_of

SECTIONS: dict[str, tuple[Section, ...]] = {
    "table": (
        guarantee.SECTION,
        paid.SECTION,
        released.OF_TABLES,
        membership.OF_TABLES,
        disclosure.OF_TABLES,
        fidelity.SECTION,
        sequences.SECTION,
        utility.SECTION,
        fairness.OF_TABLES,
        interpretability.OF_TABLES,
    ),
    "linked": (
        guarantee.SECTION,
        membership.OF_LINKED,
        links.SECTION,
        by_table.SECTION,
        *links.SAID_ELSEWHERE,
    ),
    "images": (
        pictures.BESIDE_REAL_ONES,
        guarantee.SECTION,
        paid.SECTION,
        pictures.RELEASED,
        released.OF_IMAGES,
        membership.OF_IMAGES,
        disclosure.OF_IMAGES,
        image_fidelity.SECTION,
        image_utility.SECTION,
        fairness.OF_IMAGES,
        interpretability.OF_IMAGES,
    ),
}


def sections_of(kind: str, *, public: bool) -> list[Section]:
    """Return the sections of a report on a ``table``, ``linked`` tables or ``images``, in their order."""
    return [section for section in SECTIONS[kind] if section.stands_on(public=public)]


def sections_in(content: Content) -> list[Section]:
    """Return the sections of the report that a ``report.json`` holds."""
    listed = sections_of(kind_of(content), public=bool(content["settings"].get("public")))
    return [section for section in listed if section.is_in(content)]


def verdicts_of(content: Content) -> list[Verdict]:
    """Return the verdicts in the order in which they are read, each with its place on the page.

    Privacy:
        Not private: says what figures of real records say, unless the report is a public one.
    """
    return [
        verdict | {"section": verdict.get("section", section.name)}
        for section in sections_in(content)
        for verdict in section.verdicts(content)
    ]
