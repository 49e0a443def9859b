"""Intervals of shares and of their differences that hold for small groups and at zero.

References:
    Wilson, "Probable inference", JASA 1927; Newcombe, "Interval estimation for the difference between
    independent proportions", Statistics in Medicine 1998, method 10.
"""

from __future__ import annotations

import math

Z = 1.959963984540054


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return the score interval of a share at 95 %.

    Args:
        share: Observed share, in [0, 1].
        n: Number of independent units behind it, > 0; may be an effective number.

    Example:
        >>> tuple(round(limit, 4) for limit in wilson(0.0, 20))
        (0.0, 0.1611)
    """
    centre = share + Z * Z / (2 * n)
    margin = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def difference_interval(a: tuple[float, float], b: tuple[float, float]) -> list[float]:
    """Return the interval at 95 % of the second share minus the first, each as (share, units behind it).

    Example:
        >>> [round(limit, 4) for limit in difference_interval((0.0, 20), (0.5, 20))]
        [0.2426, 0.7007]
    """
    (p, n), (q, m) = a, b
    (p_low, p_high), (q_low, q_high) = wilson(p, n), wilson(q, m)
    gap = q - p
    return [gap - math.hypot(p_high - p, q - q_low), gap + math.hypot(p - p_low, q_high - q)]
