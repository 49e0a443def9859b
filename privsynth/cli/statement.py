"""The guarantee of a model, in lines for people."""

from __future__ import annotations

from typing import Any

from privsynth.privacy.budget import shown_epsilon


def describe_guarantee(guarantee: dict[str, Any]) -> str:
    """Say what holds, what it was spent on, what was taken as public, and what is not covered.

    Privacy:
        Post-processing.
    """
    lines = [f"guarantee: {guarantee['statement']}"]
    if guarantee["private"]:
        lines += [
            f"asked for: epsilon {guarantee['epsilon']:g} at delta {guarantee['delta']:g}",
            f"spent: epsilon {shown_epsilon(guarantee['epsilon_spent'])} at delta {guarantee['delta']:g}",
            f"unit: {guarantee['unit']}, neighbours: {guarantee['neighbours']}",
            f"accountant: {guarantee['accountant']}",
        ]
    lines += _listed("read from the records", [_describe_event(event) for event in guarantee["events"]])
    lines += _listed("declared public", guarantee["public"])
    lines += _listed("not covered", guarantee["not_covered"])
    return "\n".join(lines)


def _listed(title: str, entries: list[str]) -> list[str]:
    return [f"{title}:", *(f"  - {entry}" for entry in entries or ["nothing"])]


def _describe_event(event: dict[str, Any]) -> str:
    parameters = ", ".join(f"{name} {value:.4g}" for name, value in event["parameters"].items())
    return f"{event['purpose']}: {event['count']} x {event['mechanism'].replace('_', ' ')} ({parameters})"
