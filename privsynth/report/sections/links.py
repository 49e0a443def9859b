"""Links: do synthetic rows belong together across tables as real ones do?"""

from __future__ import annotations

from typing import Any

from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.fidelity.links import assess_links
from privsynth.report.context import AuditContext, LinkedContext
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

MAX_PAIRS_LISTED = 100

_QUESTION = "Do the rows of the synthetic tables belong together as real ones do?"
_SAID_ELSEWHERE = "of linked tables this is not said in one figure for all of them"


def _assess(context: LinkedContext) -> Figures:
    return assess_links(context.tables, random_state=context.random_state)


def _verdicts(content: Content) -> list[Verdict]:
    return [_verdict(content["links"])]


def _verdict(found: Figures) -> Verdict:
    """Return the verdict on orphans, on what goes with what stands above, and on numbers of rows."""
    if not is_assessed(found):
        return or_not_assessed(found, _QUESTION, "Mend the tables and audit again.")
    if not found["links"]:
        return verdict(
            _QUESTION, "not_assessed", "There is one table alone.", "Audit tables that refer to one another."
        )
    told = {
        f"TVD of {link['table']} with what stands above it": link["pairs_tv"]
        for link in found["links"]
        if link["pairs_tv"]["value"] is not None
    }
    counts = "; ".join(
        f"TVD of how many {link['table']} a row of {link['parent']} has {beside_holdout(link['children'])}"
        for link in found["links"]
    )
    evidence = sentence(
        "; ".join([*(in_words(name, figure, worst="independent links") for name, figure in told.items())])
        + ("; " if told else "")
        + counts
    )
    faults = [f"{n:,} rows of {table} belong to nobody" for table, n in orphans_of(found).items()]
    faults += [
        f"there is no synthetic row of {link['table']}"
        for link in found["links"]
        if not link["mean_children"]["synthetic"] and link["mean_children"]["real"]
    ]
    faults += faults_of(told, (), worst="independent links", best="real ones")
    faults += [
        f"rows of {link['parent']} have more or fewer rows of {link['table']} than real ones"
        for link in found["links"]
        if is_far(link["children"])
    ]
    if faults:
        return verdict(
            _QUESTION,
            "attention",
            f"{sentence('; '.join(faults))} {evidence}",
            "Do not use the tables to speak across these links; more persons, a larger share of the budget "
            "for the table, or a larger epsilon help.",
        )
    return verdict(_QUESTION, "ok", evidence, "Look at the pairs of columns below before you rely on one.")


def orphans_of(found: Figures) -> dict[str, int]:
    """Return how many synthetic rows lead to nobody, of the tables that have any."""
    return {table: n for table, n in found["orphans"]["synthetic"].items() if n}


def _rows(link: Figures) -> list[tuple[str, Figures]]:
    """Return the figures of one link: what each is called, and the figure."""
    table, parent = link["table"], link["parent"]
    return [
        (f"TVD of how many {table} a row of {parent} has", link["children"]),
        (f"TVD of that number with a column of {parent}", link["children_given"]),
        (f"TVD of a column of {table} with one above it", link["pairs_tv"]),
        (f"TVD of a person's totals in {table}", link["totals"]),
    ]


def _view(content: Content) -> dict[str, Any]:
    found = content["links"]
    if not is_assessed(found):
        return {}
    pairs = [
        {"above": pair["above"], "column": f"{link['table']}.{pair['column']}", "tv": pair["tv"]}
        for link in found["links"]
        for pair in link["pairs"]
    ]
    return {
        "link_rows": [row for link in found["links"] for row in _rows(link) if row[1]["value"] is not None],
        "sdmetrics_rows": [
            (f"sdmetrics, {name.lower()}", figure)
            for name, figure in found["sdmetrics"].items()
            if figure["value"] is not None
        ],
        "link_pairs": sorted(pairs, key=lambda pair: -(pair["tv"]["value"] or 0.0))[:MAX_PAIRS_LISTED],
        "n_link_pairs": len(pairs),
        "orphans": orphans_of(found),
    }


def _key_figures(content: Content) -> list[KeyFigure]:
    found = content["links"]
    if not is_assessed(found):
        return []
    return [(name, "low", figure) for link in found["links"] for name, figure in _rows(link)]


SECTION = Section(
    name="links",
    title="Links",
    reads_records=True,
    assess=_assess,
    doing="comparing how rows belong together",
    verdicts=_verdicts,
    template="links.html",
    view=_view,
    key_figures=_key_figures,
)


def _said_elsewhere(context: AuditContext) -> Figures:
    return not_assessed(_SAID_ELSEWHERE)


SAID_ELSEWHERE = tuple(
    Section(name=name, title="", reads_records=True, assess=_said_elsewhere)
    for name in ("fidelity", "utility", "fairness", "interpretability", "disclosure")
)
"""What every report has a key for."""
