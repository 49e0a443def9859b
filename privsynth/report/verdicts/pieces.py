"""What every verdict is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Section = dict[str, Any]
Verdict = dict[str, str]


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


def or_not_assessed(section: Section, question: str, action: str) -> Verdict:
    """Return that a section is not there, with its reason."""
    return verdict(question, "not_assessed", sentence(section["reason"]), action)


def sentence(text: str) -> str:
    """Return a text as a sentence: a capital first, a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def off(compared: Section, tolerance: float) -> bool:
    """Return whether a gap is larger than tolerated, and clear of the sampling error of all gaps together."""
    gap = compared["gap"]
    if gap["value"] is None or gap["family_interval"] is None:
        return False
    low, high = gap["family_interval"]
    return bool((low > 0 or high < 0) and abs(gap["value"]) > tolerance)


def named(groups: Sequence[Section]) -> str:
    """Return the first groups by their columns and values, and how many more there are."""
    texts = [
        " × ".join(
            f"{column}={'missing' if value is None else value}" for column, value in g["group"].items()
        )
        for g in groups[:3]
    ]
    more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
    return ", ".join(texts) + more


def by_request(drawing: Section | None) -> str:
    """Return a sentence that says whether shares were moved on purpose; empty if nothing is known of it."""
    cost = (drawing or {}).get("rebalancing_cost")
    if not cost or not cost["columns"]:
        return ""
    columns = " × ".join(cost["columns"])
    return f" The rows were drawn by a request on {columns}, which moves shares on purpose."


def or_dash(value: float | None) -> str:
    """Return a number, or a dash for none."""
    return "–" if value is None else f"{value:.3f}"
