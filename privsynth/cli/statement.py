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


def describe_plan(plan: dict[str, Any]) -> str:
    """Say what a budget would buy, step by step, and what to expect of it."""
    lines = [
        f"{plan['synthesizer']}: epsilon {plan['epsilon']:g} at delta {plan['delta']:g} for each "
        f"{plan['unit']}, about {plan['rows']} {plan['unit']}s",
        *_listed("would be read from the records", [_describe_step(step, plan) for step in plan["steps"]]),
        *_listed("advice", plan["advice"]),
    ]
    if plan["seconds"] is not None:
        need = f"about {plan['seconds']:.0f} s on two cores, {plan['memory_mb']:.0f} MB"
        lines.insert(-len(plan["advice"]) - 1, f"training: {need}")
    return "\n".join(lines)


def _describe_step(step: dict[str, Any], plan: dict[str, Any]) -> str:
    if "noise_std" in step:
        level = f"noise of {step['noise_std']:.4g} {plan['unit']}s in each count"
    elif "noise_multiplier" in step:
        level = (
            f"batches of about {step['batch_size']:.0f} (sample rate {step['sample_rate']:.3g}), noise "
            f"multiplier {step['noise_multiplier']:.4g}"
        )
    else:
        level = f"epsilon {step['epsilon0']:.4g} for each choice"
    return f"{step['purpose']}: {step['share']:.0%} of the budget, {step['count']} times, {level}"
