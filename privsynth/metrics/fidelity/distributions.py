"""One column's distribution in the real and the synthetic table, as bars to draw side by side."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from privsynth.domains.coding import coding_of_breaks, coding_of_texts
from privsynth.records.codes import weighted_quantiles
from privsynth.schema import Column, category_text

MAX_BARS = 24
MISSING = "(missing)"


def column_distribution(
    column: Column, real: pd.Series, real_weights: np.ndarray, synthetic: pd.Series
) -> list[dict[str, Any]]:
    """Return one ``{"label", "real", "synthetic"}`` a bar, shares in [0, 1] that sum to one on each side.

    Numbers fall into bars of equal width over the middle 99 % of the real values, the rest into the
    outermost bars; of many categories the most frequent keep their names.

    Args:
        column: The declaration; public.
        real: Canonical real column, ``(n_real,)``.
        real_weights: Weight of each real row.
        synthetic: Canonical synthetic column.

    Privacy:
        Not private: shares of real records.
    """
    if column.is_numeric:
        real_bars, synthetic_bars, labels = _number_bars(column, real, real_weights, synthetic)
    else:
        real_bars, synthetic_bars, labels = _category_bars(real, real_weights, synthetic)
    real_shares = np.bincount(real_bars, real_weights / real_weights.sum(), len(labels))
    synthetic_shares = np.bincount(synthetic_bars, minlength=len(labels)) / len(synthetic_bars)
    return [
        {"label": label, "real": float(share), "synthetic": float(synthetic_shares[bar])}
        for bar, (label, share) in enumerate(zip(labels, real_shares, strict=True))
        if label != MISSING or share or synthetic_shares[bar]
    ]


def interval_text(low: float | None, high: float | None, column: Column) -> str:
    """Return a half-open interval ``[low, high)`` as text; whole numbers read "18–24"."""
    if low is None and high is None:
        return "all"
    if low is None:
        return f"< {column.line.text(column, high or 0.0)}"
    if high is None:
        return f"≥ {column.line.text(column, low)}"
    first = column.line.text(column, low)
    last = column.line.text(column, max(low, np.ceil(high) - 1) if column.line.is_whole else high)
    between = " to " if "-" in first + last else "–"  # of negative numbers, and of dates
    return first if first == last else f"{first}{between}{last}"


def _number_bars(
    column: Column, real: pd.Series, weights: np.ndarray, synthetic: pd.Series
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    middle = weighted_quantiles(real.to_numpy(dtype=np.float64), weights, np.array([0.005, 0.995]))
    low, high = (float(middle[0]), float(middle[1])) if len(middle) else (0.0, 0.0)
    width = max((high - low) / MAX_BARS, 0.0)
    if column.line.is_whole:
        width = max(1.0, float(np.ceil((high - low + 1) / MAX_BARS)))
    inner = np.arange(1, MAX_BARS) * width + low if width > 0 else np.empty(0)
    edges = inner[inner <= high].astype(np.float64)
    bounds = [None, *(float(edge) for edge in edges), None]
    labels = [interval_text(a, b, column) for a, b in itertools.pairwise(bounds)]
    coding = coding_of_breaks(edges)
    return coding.encode(real), coding.encode(synthetic), [*labels, MISSING]


def _category_bars(
    real: pd.Series, weights: np.ndarray, synthetic: pd.Series
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    names = [category_text(value) for value in real.cat.categories]
    coding = coding_of_texts(names)
    codes = [coding.encode(series) for series in (real, synthetic)]
    bar_of = np.arange(len(names) + 1)
    labels = names
    if len(names) > MAX_BARS:
        shares = np.bincount(codes[0], weights, coding.size)[:-1]
        kept = np.sort(np.argsort(-shares, kind="stable")[: MAX_BARS - 1])
        bar_of = np.full(len(names) + 1, MAX_BARS - 1)
        bar_of[kept] = np.arange(len(kept))
        labels = [*(names[i] for i in kept), f"({len(names) - len(kept)} others)"]
    bar_of[-1] = len(labels)
    return bar_of[codes[0]], bar_of[codes[1]], [*labels, MISSING]
