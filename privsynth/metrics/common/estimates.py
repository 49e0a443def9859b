"""The shape of a figure in a report: numbers that JSON can hold, and null where something is undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def number(value: float | None) -> float | None:
    """Return a plain float, or None for None, NaN and infinities.

    Example:
        >>> number(np.float64(0.5)), number(float("nan"))
        (0.5, None)
    """
    return None if value is None or not math.isfinite(value) else float(value)


def figure(
    value: float | None,
    *,
    interval: Sequence[float] | None = None,
    ceiling: float | None = None,
    floor: float | None = None,
) -> dict[str, Any]:
    """Return a figure as it stands in ``report.json``.

    Args:
        value: What the synthetic table reaches.
        interval: Confidence limits of the value, low first.
        ceiling: What real data reach: the best that can be asked for.
        floor: What independent columns reach.

    Privacy:
        Not private: figures of real records.
    """
    limits = None if interval is None else [number(limit) for limit in interval]
    if limits is not None and None in limits:
        limits = None
    return {"value": number(value), "interval": limits, "ceiling": number(ceiling), "floor": number(floor)}


def percentile_interval(replicates: np.ndarray, confidence: float = 0.95) -> list[float] | None:
    """Return the percentile bootstrap interval; None if fewer than half of the replicates are defined.

    Privacy:
        Not private: of figures of real records.
    """
    defined = replicates[np.isfinite(replicates)]
    if len(defined) == 0 or 2 * len(defined) < len(replicates):
        return None
    tail = (1 - confidence) / 2
    return [float(limit) for limit in np.quantile(defined, [tail, 1 - tail])]


def not_assessed(reason: str) -> dict[str, Any]:
    """Return a section of the report that could not be assessed, and why."""
    return {"status": "not_assessed", "reason": reason}
