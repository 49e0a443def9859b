"""The guarantee of a model, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from privsynth.accounting.budget import shown_epsilon
from privsynth.schema import ROWS_OF_PERSONS


def describe_guarantee(
    guarantee: dict[str, Any],
    lost_columns: Sequence[str] = (),
    rows_of_persons: str | None = ROWS_OF_PERSONS,
) -> str:
    """Say what holds, what it was spent on, what was taken as public, what was lost, what is not covered.

    Args:
        guarantee: The statement of the model.
        lost_columns: What was not found under the budget, a sentence each.
        rows_of_persons: What a row means where the unit is a person.

    Privacy:
        Post-processing.
    """
    lines = [f"guarantee: {guarantee['statement']}"]
    if guarantee["private"]:
        at = f"at delta {guarantee['delta']:g}"
        if guarantee.get("given"):
            at += f", given {guarantee['given']}"
        asked = f"asked for: epsilon {guarantee['epsilon']:g} {at}"
        spent = f"spent: epsilon {shown_epsilon(guarantee['epsilon_spent'])} {at}"
        if guarantee.get("stated_by") is not None:  # nobody asked for it here, and nothing was spent here
            told = shown_epsilon(guarantee["epsilon"])
            asked, spent = (
                f"stated: epsilon {told} {at}",
                "spent here: nothing; it is in no ledger of privsynth",
            )
        if guarantee.get("runs"):
            runs = (f"epsilon {run['epsilon']:g} at delta {run['delta']:g}" for run in guarantee["runs"])
            asked = f"asked for, run by run: {', then '.join(runs)}"
            spent = f"together: epsilon {shown_epsilon(guarantee['epsilon_spent'])} {at}"
        lines += [
            asked,
            spent,
            f"unit: {guarantee['unit']}, neighbours: {guarantee['neighbours']}",
            f"accountant: {guarantee['accountant']}",
        ]
    if guarantee.get("interrupted"):
        lines.append(f"interrupted: {guarantee['interrupted']}; what was charged for all of them stays spent")
    if guarantee["unit"] == "person":
        lines.append(f"rows: {rows_of_persons}")
    is_stated = guarantee.get("stated_by") is not None
    read = "released elsewhere" if is_stated else "read from the records"
    lines += _listed(read, _describe_events(guarantee["events"]))
    lines += _listed("declared public", guarantee["public"])
    if lost_columns:
        lines += _listed("not found under the budget", list(lost_columns))
    lines += _listed("not covered", guarantee["not_covered"])
    return "\n".join(lines)


def _listed(title: str, entries: list[str]) -> list[str]:
    return [f"{title}:", *(f"  - {entry}" for entry in entries or ["nothing"])]


def _describe_events(events: list[dict[str, Any]]) -> list[str]:
    """Return a line for each purpose and mechanism: how many releases, and between which parameters."""
    alike: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in events:
        alike.setdefault((event["purpose"], event["mechanism"]), []).append(event)
    lines = []
    for (purpose, mechanism), group in alike.items():
        ranges = []
        for name in group[0]["parameters"]:
            values = [event["parameters"][name] for event in group]
            low, high = f"{min(values):.4g}", f"{max(values):.4g}"
            ranges.append(f"{name} {low}" if low == high else f"{name} {low} to {high}")
        count = sum(event["count"] for event in group)
        lines.append(f"{purpose}: {count} x {mechanism.replace('_', ' ')} ({', '.join(ranges)})")
    return lines
