"""What reports read of a guarantee statement: numbers and identifiers; older ones lack some of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privsynth.accounting.events import Event
from privsynth.errors import ParameterError

GDP = "gdp"
"""``accountant_id`` of the filter on the sum of ``mu**2``, under Gaussian differential privacy."""

UNANSWERED = {
    "void": " (charged, void since the schema was amended)",
    "lost": " (charged, answer lost in an interruption)",
}
"""``state`` of an event whose answer serves no model, to what its purpose then ends with."""

_SHARED_BY_COLUMNS = {
    "bounds": "bounds of …",
    "combinations": "combinations of … held by many",
    "octaves": "orders of magnitude of …",
    "spikes": "values of … held by many",
    "values": "values of … held by many",
}


def accountant_of(statement: Mapping[str, Any]) -> str | None:
    """Return the identifier of the accountant; None if it is unknown, or there is none."""
    if "accountant_id" in statement:
        found: str | None = statement["accountant_id"]
        return found
    return _accountant_of_older_statement(statement)


def mu_squared_of(event: Mapping[str, Any]) -> float | None:
    """Return what a listed event cost in ``mu**2``, over its count; None if its mechanism is unknown."""
    known = event.get("mu_squared")
    if known is not None:
        return float(known)
    return _mu_squared_of_older_event(event)


def purpose_of(event: Mapping[str, Any]) -> str:
    """Return what a listed event was for, the same for all columns.

    Example:
        >>> purpose_of({"purpose": "bounds of 'age'", "purpose_id": "bounds"})
        'bounds of …'
    """
    purpose = str(event.get("purpose", "unnamed"))
    if "purpose_id" not in event:
        return _purpose_of_older_event(purpose)
    shared = _SHARED_BY_COLUMNS.get(event["purpose_id"])
    return purpose if shared is None else shared + UNANSWERED.get(event.get("state", ""), "")


# -- statements of versions that wrote no identifiers: the only place that reads their wording ----------


def _accountant_of_older_statement(statement: Mapping[str, Any]) -> str | None:
    return GDP if str(statement.get("accountant") or "").startswith("GDP filter") else None


def _mu_squared_of_older_event(event: Mapping[str, Any]) -> float | None:
    parameters = event.get("parameters") or {}
    known = {name: event[name] for name in ("mechanism", "count") if name in event}
    try:
        return Event.from_dict({"purpose": "", **known, **parameters}).mu_squared
    except (ParameterError, TypeError, ValueError, LookupError):
        return None


def _purpose_of_older_event(purpose: str) -> str:
    """Take purposes that differ by the column's name together: "values of 'age' held by many"."""
    before, quote, rest = purpose.partition("'")
    _, closing, after = rest.rpartition("'")
    return f"{before}…{after}" if quote and closing else purpose
