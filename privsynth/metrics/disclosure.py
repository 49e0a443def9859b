"""Disclosure: can attributes be inferred, persons singled out or linked? Not yet attacked by this version."""

from __future__ import annotations

from typing import Any

from privsynth.metrics.figures import not_assessed
from privsynth.metrics.tables import Table
from privsynth.schema import Schema

REASON = "this version attacks membership only; attribute inference, singling out and linkage are not tried"


def disclosure(
    real: Table, synthetic: Table, *, schema: Schema, holdout: Table | None = None
) -> dict[str, Any]:
    """Return the section ``not_assessed``: this version has no disclosure attack.

    The arguments are those of the other metrics and are not read.

    Privacy:
        Public: reads no record.

    Example:
        >>> disclosure("real.csv", "synthetic.csv", schema=Schema({"age": {"type": "integer"}}))["status"]
        'not_assessed'
    """
    return not_assessed(REASON)
