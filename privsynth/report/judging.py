"""What a verdict is made of, and how the groups it speaks of are named."""

from __future__ import annotations

from typing import Any

Section = dict[str, Any]


def verdict_of(question: str, verdict: str, evidence: str, action: str) -> dict[str, str]:
    """Return a verdict as it stands in ``report.json``, but for its section."""
    return {"question": question, "verdict": verdict, "evidence": evidence, "action": action}


def not_assessed_verdict(section: Section, question: str, action: str) -> dict[str, str]:
    """Return the verdict on a section that was not assessed: its reason is the evidence."""
    return verdict_of(question, "not_assessed", sentence(section["reason"]), action)


def sentence(text: str) -> str:
    """Return a reason as a sentence of its own.

    Example:
        >>> sentence("no holdout")
        'No holdout.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def named(groups: list[Section]) -> str:
    """Return the first three groups by name, and how many more there are.

    Example:
        >>> named([{"group": {"sex": "F", "race": None}}])
        'sex=F × race=missing'
    """
    texts = [
        " × ".join(
            f"{column}={'missing' if value is None else value}" for column, value in g["group"].items()
        )
        for g in groups[:3]
    ]
    more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
    return ", ".join(texts) + more
