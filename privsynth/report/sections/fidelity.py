"""Fidelity of rows: do they look like the source?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privsynth.metrics.fidelity.tables import assess_fidelity
from privsynth.report.context import TableContext
from privsynth.report.sections.base import (
    Content,
    Figures,
    KeyFigure,
    Section,
    Verdict,
    by_request,
    is_assessed,
    named,
    or_not_assessed,
    sentence,
    verdict,
)
from privsynth.report.text import SMALLEST_SPAN, way_to_floor

MIN_GROUP_ROWS = 100  # rows of a group in the reference from which on its distances decide a verdict
MAX_DISTRIBUTIONS = 60
MAX_ROWS_LISTED = 300


def _assess(context: TableContext) -> Figures:
    limits = context.limits
    return assess_fidelity(
        context.tables,
        context.two_sample,
        max_triples=limits.max_triples,
        max_support_rows=limits.max_support_rows,
        random_state=context.random_state,
    )


def _verdicts(content: Content) -> list[Verdict]:
    return [fidelity_verdict(content["fidelity"], by_request(content))]


def fidelity_verdict(fidelity: Figures, moved: str) -> Verdict:
    """Return the verdict on distances, overall and within groups.

    Args:
        fidelity: Figures of a table.
        moved: A sentence on what a request moved; may be empty.

    Privacy:
        Not private: says what figures of real records say.
    """
    question = "Do the synthetic rows look like the source?"
    if not is_assessed(fidelity):
        return or_not_assessed(fidelity, question, "Mend the tables and audit again.")
    scores = {
        "1-way marginals": fidelity["tv_1way"],
        "2-way marginals": fidelity["tv_2way"],
        "3-way marginals": fidelity["tv_3way"],
    }
    told = [
        f"{name} {figure['value']:.3f} (real rows {_or_dash(figure['ceiling'])}, "
        f"independent columns {_or_dash(figure['floor'])})"
        for name, figure in scores.items()
        if figure["value"] is not None
    ]
    evidence = (
        f"Mean total variation distance (TVD): {sentence('; '.join(told))}"
        + _two_sample_test(fidelity)
        + moved
    )
    judged = {name: scores[name] for name in ("2-way marginals", "3-way marginals")}
    ways = {name: way_to_floor(figure) or 0.0 for name, figure in judged.items()}
    beyond = [name for name, figure in judged.items() if _is_beyond_floor(figure) or ways[name] > 1]
    far = [name for name in judged if ways[name] > 0.5]
    if beyond or far:
        how = (
            f"{' and '.join(beyond)} are farther from the source than independent columns are"
            if beyond
            else f"{' and '.join(far)} are nearer to independent columns than to real rows"
        )
        return verdict(
            question,
            "attention",
            f"{sentence(how)} {evidence}",
            "Look at the worst marginals; more records, a larger epsilon or fewer columns help.",
        )
    spoilt = [
        group
        for group in fidelity.get("by_group", [])
        if group["n_reference_rows"] >= MIN_GROUP_ROWS and (way_to_floor(group["tv_2way"]) or 0.0) > 0.5
    ]
    if spoilt:
        return verdict(
            question,
            "attention",
            f"On the whole yes, but within {named(spoilt)} 2-way marginals are nearer to independent "
            f"columns than to real rows. {evidence}",
            "Do not use the rows to speak about these groups; more records of them or a larger epsilon help.",
        )
    return verdict(question, "ok", evidence, "Look at the worst marginals below before you rely on one.")


def _is_beyond_floor(figure: Figures) -> bool:
    """Return whether a distance is clearly larger than the floor, also where the ceiling is as large."""
    value, floor = figure["value"], figure["floor"]
    return None not in (value, floor) and value - floor > SMALLEST_SPAN


def _two_sample_test(fidelity: Figures) -> str:
    test = fidelity.get("two_sample", {})
    if test.get("status") != "assessed":
        return ""
    return f" Classifier two-sample test (C2ST): AUC {test['auc']['value']:.3f} (0.5 is chance)."


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _view(content: Content) -> dict[str, Any]:
    fidelity = content["fidelity"]
    columns, pairs = fidelity.get("columns", []), fidelity.get("pairs", [])
    return {
        "sdmetrics_rows": _sdmetrics_rows(fidelity),
        "drawn_columns": sorted(columns, key=lambda c: -c["tv"]["value"])[:MAX_DISTRIBUTIONS],
        "listed_pairs": sorted(pairs, key=lambda pair: -pair["tv"]["value"])[:MAX_ROWS_LISTED],
        "association_rows": _association_rows(fidelity.get("associations"))[:MAX_ROWS_LISTED],
    }


def _sdmetrics_rows(fidelity: Figures) -> list[tuple[str, Any]]:
    rows = []
    for which in ("quality", "diagnostic"):
        section = fidelity.get(which)
        if section:
            rows.append((f"{which} score (1 = best)", section["score"]))
            rows += [(f"{which}: {name}", figure) for name, figure in section["properties"].items()]
    return rows


def _association_rows(associations: Mapping[str, Any] | None) -> list[Figures]:
    if associations is None:
        return []
    names, rows = associations["columns"], []
    for i in range(len(names)):
        for j in range(i):
            reference, synthetic = associations["reference"][i][j], associations["synthetic"][i][j]
            if reference is not None:
                difference = None if synthetic is None else synthetic - reference
                rows.append(
                    {
                        "columns": [names[j], names[i]],
                        "reference": reference,
                        "synthetic": synthetic,
                        "difference": difference,
                    }
                )
    return sorted(rows, key=lambda row: -abs(row["difference"] or 0.0))


def _key_figures(content: Content) -> list[KeyFigure]:
    fidelity = content["fidelity"]
    if not is_assessed(fidelity):
        return []
    support, test = fidelity.get("support") or {}, fidelity.get("two_sample") or {}
    return [
        ("1-way marginals, total variation distance (TVD)", "low", fidelity.get("tv_1way")),
        ("2-way marginals, TVD", "low", fidelity.get("tv_2way")),
        ("3-way marginals, TVD", "low", fidelity.get("tv_3way")),
        ("Wasserstein distance of numbers", "low", fidelity.get("wasserstein")),
        ("AUC of the classifier two-sample test (C2ST)", "low", test.get("auc")),
        ("precision", "high", support.get("precision")),
        ("recall", "high", support.get("recall")),
        ("coverage", "high", support.get("coverage")),
        ("sdmetrics quality score", "high", fidelity["quality"]["score"]),
    ]


SECTION = Section(
    name="fidelity",
    title="Fidelity",
    reads_records=True,
    assess=_assess,
    doing="comparing distributions",
    verdicts=_verdicts,
    template="fidelity.html",
    view=_view,
    key_figures=_key_figures,
)
