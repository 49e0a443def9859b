"""Several noisy tables of the same cells as one. Reads releases only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privsynth.models.tables.fitting import Measurement


def merged(tables: Sequence[Measurement]) -> Measurement:
    """Return several noisy tables of the same cells as one, each cell weighed by its precision.

    Example:
        >>> one = Measurement(columns=("sex",), counts=np.array([8.0]), variance=1.0)
        >>> other = Measurement(columns=("sex",), counts=np.array([3.0]), variance=4.0)
        >>> float(merged([one, other]).counts[0])
        7.0
    """
    precision = [
        1.0 / np.broadcast_to(np.asarray(t.variance, dtype=np.float64), t.counts.shape) for t in tables
    ]
    total = np.sum(precision, axis=0)
    counts = np.sum([p * t.counts for p, t in zip(precision, tables, strict=True)], axis=0) / total
    return Measurement(columns=tables[0].columns, counts=counts, variance=1.0 / total)
