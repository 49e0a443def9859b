"""Verdicts on quality: do the rows look like the source, and do models learn from them?"""

from __future__ import annotations

from privsynth.report.text import SMALLEST_SPAN, way_to_floor
from privsynth.report.verdicts.pieces import (
    Section,
    Verdict,
    by_request,
    named,
    or_dash,
    or_not_assessed,
    sentence,
    verdict,
)

MIN_GROUP_ROWS = 100  # rows of a group in the reference from which on its distances decide a verdict


def fidelity_verdict(fidelity: Section, drawing: Section | None = None) -> Verdict:
    """Return the verdict on distances, overall and within groups."""
    question = "Do the synthetic rows look like the source?"
    if fidelity["status"] != "assessed":
        return or_not_assessed(fidelity, question, "Mend the tables and audit again.")
    scores = {
        "single columns": fidelity["tv_1way"],
        "pairs of columns": fidelity["tv_2way"],
        "triples of columns": fidelity["tv_3way"],
    }
    told = [
        f"mean distance over {name} {figure['value']:.3f} (real rows {or_dash(figure['ceiling'])}, "
        f"independent columns {or_dash(figure['floor'])})"
        for name, figure in scores.items()
        if figure["value"] is not None
    ]
    evidence = sentence("; ".join(told)) + _told_apart(fidelity) + by_request(drawing)
    judged = {name: scores[name] for name in ("pairs of columns", "triples of columns")}
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
            "Look at the worst columns and pairs; more records, a larger epsilon or fewer columns help.",
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
            f"On the whole yes, but within {named(spoilt)} pairs of columns are nearer to independent "
            f"columns than to real rows. {evidence}",
            "Do not use the rows to speak about these groups; more records of them or a larger epsilon help.",
        )
    return verdict(question, "ok", evidence, "Look at the worst pairs below before you rely on one.")


def _is_beyond_floor(figure: Section) -> bool:
    """Return whether a distance is clearly larger than the floor, also where the ceiling is as large."""
    value, floor = figure["value"], figure["floor"]
    return None not in (value, floor) and value - floor > SMALLEST_SPAN


def _told_apart(fidelity: Section) -> str:
    test = fidelity.get("two_sample", {})
    if test.get("status") != "assessed":
        return ""
    return f" A model tells them from real rows with AUC {test['auc']['value']:.3f} (0.5 = not at all)."


def utility_verdict(utility: Section) -> Verdict:
    """Return the verdict on the first model, between a constant guess and real rows."""
    question = "Do models trained on the synthetic rows work on real records?"
    if utility["status"] != "assessed":
        return or_not_assessed(utility, question, "Give a holdout and a target column.")
    score = "r2" if utility["task"] == "regression" else "auc"
    model = next(iter(utility["models"]))
    figure = utility["models"][model][score]
    way = way_to_floor(figure)
    name = {"auc": "AUC", "r2": "R²"}[score]
    if way is None or figure["ceiling"] is None or figure["ceiling"] < figure["floor"]:
        return verdict(
            question,
            "not_assessed",
            f"Not even real rows predict {utility['target']!r} clearly better than a constant guess does.",
            "Name another target.",
        )
    evidence = (
        f"Gradient boosting of {utility['target']!r}: {name} {figure['value']:.3f} trained on synthetic "
        f"rows, {figure['ceiling']:.3f} on real rows, {figure['floor']:.3f} by a constant guess."
    )
    if way > 0.5:
        return verdict(
            question,
            "attention",
            evidence,
            "Do not draw conclusions about this target from the synthetic rows.",
        )
    return verdict(question, "ok", evidence, "Validate conclusions that matter on real records.")
