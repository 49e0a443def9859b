"""Share and target rate of each group of a table, with standard errors over units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.estimates import figure
from privsynth.metrics.common.grouping import Grouping, count_units
from privsynth.metrics.utility.downstream import Target

N_DRAWS = 1000


@dataclass(frozen=True)
class Rates:
    """Shares and rates of the groups of one table, each ``(n_groups,)``; NaN where undefined.

    Attributes:
        share: Share of the table's weight in the group.
        share_units: Number of independent units of equal weight that would know it as well.
        target_rate: Share of the target's positive class among the group's rows with a known target.
        target_rate_units: As `share_units`.
        n_known: Number of units with a row in the group whose target is known.
    """

    share: np.ndarray
    share_units: np.ndarray
    target_rate: np.ndarray
    target_rate_units: np.ndarray
    n_known: np.ndarray


def rates_by_group(
    table: pd.DataFrame, weights: np.ndarray, units: np.ndarray, grouping: Grouping, target: Target | None
) -> Rates:
    """Return the rates of one table.

    Args:
        table: Canonical rows.
        weights: Weight of each row.
        units: Unit of each row, codes; units are independent, rows of one unit are not.
        grouping: The groups.
        target: Binary target, or None to leave rates undefined.

    Privacy:
        Not private: rates of the rows given.
    """
    members, n_groups = grouping.members(table), len(grouping.groups)
    truth = target.labels(table) if target is not None else np.full(len(table), np.nan)
    known = ~np.isnan(truth)
    out: dict[str, np.ndarray] = {
        name: np.full(n_groups, np.nan)
        for name in ("share", "share_units", "target_rate", "target_rate_units")
    }
    for group in range(n_groups):
        inside = members == group
        out["share"][group], out["share_units"][group] = _ratio(inside * 1.0, weights, units)
        chosen = inside & known
        if chosen.any():
            rate = _ratio(truth[chosen], weights[chosen], units[chosen])
            out["target_rate"][group], out["target_rate_units"][group] = rate
    n_known = count_units(members[known], units[known], n_groups)
    return Rates(n_known=n_known, **out)


def parity_difference(
    real: Rates, synthetic: Rates, large: np.ndarray, generator: np.random.Generator
) -> dict[str, Any]:
    """Return the largest difference in target rates between two groups: the synthetic table's as the value.

    The interval draws each group's rate from Jeffreys' posterior given its synthetic rows, so that a group
    without a positive row is not taken to be sure of none. The ceiling is what the real table shows, the
    floor none.

    Args:
        real: Rates of the real table.
        synthetic: Rates of the synthetic table.
        large: Which groups have members enough to be compared, ``(n_groups,)`` bool.
        generator: Source of the drawn rates.

    Privacy:
        Not private: rates of real records.
    """
    used = large & ~np.isnan(real.target_rate) & ~np.isnan(synthetic.target_rate)
    if used.sum() < 2:
        return {**figure(None), "reason": "fewer than two groups are large enough to be compared"}
    n_known, rate = synthetic.n_known[used], synthetic.target_rate[used]
    n_positive = n_known * np.clip(rate, 0, 1)
    drawn = generator.beta(n_positive + 0.5, n_known - n_positive + 0.5, size=(N_DRAWS, int(used.sum())))
    value, (low, high) = float(np.ptp(rate)), np.quantile(np.ptp(drawn, axis=1), [0.025, 0.975])
    return figure(
        value,
        interval=[min(low, value), max(high, value)],
        ceiling=float(np.ptp(real.target_rate[used])),
        floor=0.0,
    )


def _ratio(values: np.ndarray, weights: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Return the weighted mean of zeros and ones, and the effective number of independent units behind it.

    At most as many as Kish's number for the units' weights, and fewer where rows of one unit are alike:
    the variance by linearisation, rows of one unit taken together, is that of a share of so many units.
    """
    total = weights.sum()
    mean = float((weights * values).sum() / total)
    kish = float(total**2 / (np.bincount(units, weights) ** 2).sum())
    variance = float((np.bincount(units, weights * (values - mean)) ** 2).sum() / total**2)
    return mean, min(kish, mean * (1 - mean) / variance) if variance > 0 else kish
