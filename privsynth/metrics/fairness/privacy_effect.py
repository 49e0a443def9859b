"""Who pays for epsilon: shares, fidelity and errors of each group beside those of fits without privacy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from privsynth.attacks.intervals import difference_interval, wilson
from privsynth.metrics.common.baselines import Baselines
from privsynth.metrics.common.estimates import figure, not_assessed, number, percentile_interval
from privsynth.metrics.common.grouping import Grouping
from privsynth.metrics.common.tables import Tables, row_weights
from privsynth.metrics.common.units import unit_of_rows
from privsynth.metrics.fairness.group_models import ByRate, Replicates
from privsynth.metrics.fairness.rates import rates_by_group
from privsynth.metrics.fidelity.by_group import compare_within_groups
from privsynth.records.codes import Discretiser

FAMILY_WISE_ERROR = 0.05
"""Chance that any family-wise interval misses: a third each for shares, accuracies and AUCs."""

NO_NON_PRIVATE = (
    "no fit without privacy: give rows of the same generator fitted so to see what privacy costs each group"
)


def privacy_effect(
    tables: Tables,
    groupings: list[Grouping],
    under_models: dict[tuple[str, ...], tuple[Replicates, list[ByRate]]],
    *,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare each group under privacy with the same group in fits without privacy.

    Args:
        tables: The tables, with rows of one fit without privacy or several.
        groupings: The groups.
        under_models: Group columns to the rates of models by group, and those of the models of each fit
            without privacy; empty without models.
        random_state: Seed of the rows drawn.

    Returns:
        ``n_twins``, the fits without privacy; ``twin`` is the mean over them, with ``twin_interval``, None
        with one; with several, the intervals of costs cover how fits differ. ``by_group``: share
        (``real``, ``twin``, ``synthetic`` and a figure ``cost``: synthetic minus twin), ``tv_2way`` within
        the group (``twin``, ``synthetic``, ``ratio``), accuracy and AUC of models (``real``, ``twin``,
        ``synthetic``, ``cost``: twin minus synthetic); the ``family_interval`` of a cost holds for all costs
        together, by Bonferroni.
        ``slopes``: for each set of group columns the slope of log(share / real share) on
        log(real share): below zero small groups gain shares, above zero they lose them; ``pays_most``: groups
        whose accuracy privacy lowers, clear of error by that interval, worst first. Or a section
        ``not_assessed``.

    Privacy:
        Not private: figures of real records and of a generator without privacy.

    References:
        Ganev, Oprisanu and De Cristofaro, "Robin Hood and Matthew Effects", ICML 2022; Bagdasaryan, Poursaeed
        and Shmatikov, NeurIPS 2019.
    """
    if not tables.non_private:
        return not_assessed(NO_NON_PRIVATE)
    private, *non_private = (
        _within_groups(replace(tables, synthetic=table), random_state)
        for table in (tables.synthetic, *tables.non_private)
    )
    by_group: list[dict[str, Any]] = []
    slopes: list[dict[str, Any]] = []
    family_confidence = 1 - FAMILY_WISE_ERROR / 3 / sum(len(grouping.groups) for grouping in groupings)
    for grouping in groupings:
        real, synthetic, *of_non_private = _shares(tables, grouping)
        for i, group in enumerate(grouping.groups):
            entry: dict[str, Any] = {
                "group": group,
                "share": _share_entry(real, synthetic, of_non_private, i, family_confidence),
            }
            distance = _tv_of(private, group)
            without = _over_fits([_tv_of(found, group) for found in non_private])
            ratio = distance / without.mean if distance is not None and without.mean else None
            entry["tv_2way"] = {"synthetic": distance, **without.told("twin"), "ratio": ratio}
            found = under_models.get(grouping.columns)
            for score in ("accuracy", "auc"):
                entry[score] = None if found is None else _score_entry(*found, score, i, family_confidence)
            by_group.append(entry)
        mean_shares = np.mean([share for share, _ in of_non_private], axis=0)
        slopes.append(
            {
                "columns": list(grouping.columns),
                "synthetic": representation_slope(real[0], synthetic[0]),
                "twin": representation_slope(real[0], mean_shares),
            }
        )
    losers = [g for g in by_group if g["accuracy"] and _is_clear_loss(g["accuracy"]["cost"])]
    return {
        "status": "assessed",
        "n_twins": len(tables.non_private),
        "n_twin_rows": len(tables.non_private[0].frame),
        "by_group": by_group,
        "slopes": slopes,
        "pays_most": [g["group"] for g in sorted(losers, key=lambda g: -g["accuracy"]["cost"]["value"])],
    }


def representation_slope(real: np.ndarray, shares: np.ndarray) -> float | None:
    """Return the least squares slope of log(share / real share) on log(real share).

    Groups that are empty on a side are left out; None if fewer than two are left.

    Example:
        >>> round(representation_slope(np.array([0.8, 0.2]), np.array([0.5, 0.5])), 3)  # levelled: Robin Hood
        -1.0
    """
    used = (real > 0) & (shares > 0)
    if used.sum() < 2 or np.ptp(real[used]) < 1e-12:
        return None
    x, y = np.log(real[used]), np.log(shares[used] / real[used])
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


def _tv_of(found: list[dict[str, Any]], group: dict[str, Any]) -> float | None:
    """Return a group's distance; None if it is too small, or not among the groups of that table."""
    return next((entry["tv_2way"]["value"] for entry in found if entry["group"] == group), None)


@dataclass(frozen=True)
class OverFits:
    """What several fits of one generator say of a number.

    Attributes:
        mean: Their mean; NaN where one of them says nothing.
        error: Standard error of that mean; 0 with one fit, which does not show how fits differ.
        n_fits: Their number.
    """

    mean: float
    error: float
    n_fits: int

    def margin(self, confidence: float = 0.95) -> float:
        """Return the half-width of the interval of the mean, by Student's t; 0 with one fit."""
        return float(student.ppf((1 + confidence) / 2, self.n_fits - 1)) * self.error if self.error else 0.0

    def told(self, name: str) -> dict[str, Any]:
        """Return the mean and its interval as they stand in the report."""
        interval = [number(self.mean - self.margin()), number(self.mean + self.margin())]
        is_known = self.n_fits > 1 and None not in interval
        return {name: number(self.mean), f"{name}_interval": interval if is_known else None}


def _over_fits(values: Sequence[float | None]) -> OverFits:
    """Return their mean and its standard error.

    Example:
        >>> found = _over_fits([0.1, 0.3])
        >>> round(found.mean, 3), round(found.margin(), 3)  # 12.706 standard errors of 0.1
        (0.2, 1.271)
    """
    known = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    n = len(known)
    error = float(known.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return OverFits(float(known.mean()), error, n)


def _widened(value: float, interval: Sequence[float], margin: float) -> list[float]:
    """Add an independent error to an interval, as Newcombe does for a difference."""
    low, high = interval
    return [value - float(np.hypot(value - low, margin)), value + float(np.hypot(high - value, margin))]


Shares = tuple[np.ndarray, np.ndarray]


def _shares(tables: Tables, grouping: Grouping) -> list[Shares]:
    """Return shares and the units behind them, of real, synthetic and non-private rows."""
    out = []
    for records in (tables.real, tables.synthetic, *tables.non_private):
        rates = rates_by_group(records.frame, row_weights(records), unit_of_rows(records), grouping, None)
        out.append((rates.share, rates.share_units))
    return out


def _share_entry(
    real: Shares, synthetic: Shares, non_private: Sequence[Shares], i: int, family_confidence: float
) -> dict[str, Any]:
    value, behind = float(synthetic[0][i]), float(synthetic[1][i])
    without = _over_fits([share[i] for share, _ in non_private])
    cost = value - without.mean

    def interval(confidence: float) -> list[float]:
        if len(non_private) == 1:
            return difference_interval(
                (value, behind), (without.mean, non_private[0][1][i]), confidence=confidence
            )
        limits = [limit - without.mean for limit in wilson(value, behind, confidence=confidence)]
        low, high = _widened(cost, limits, without.margin(confidence))  # holds the drawing of their rows too
        return [max(low, -1.0), min(high, 1.0)]

    return {
        "real": float(real[0][i]),
        **without.told("twin"),
        "synthetic": value,
        "cost": {**figure(cost, interval=interval(0.95)), "family_interval": interval(family_confidence)},
    }


def _score_entry(
    rates: Replicates, non_private: Sequence[ByRate], score: str, i: int, family_confidence: float
) -> dict[str, Any]:
    """Return a score; the intervals of its cost cover the holdout's units and, if there are several, fits."""
    synthetic = rates["synthetic", score][i]
    without = _over_fits([found[score][i, 0] for found in non_private])
    costs = np.mean([found[score][i] for found in non_private], axis=0) - synthetic
    cost = float(costs[0])
    percentiles = percentile_interval(costs[1:]) if math.isfinite(cost) else None
    interval, of_family = None, None
    if percentiles is not None:
        interval = _widened(cost, percentiles, without.margin())
        # by the bootstrap's standard error: so far out there are no replicates
        margin = norm.ppf((1 + family_confidence) / 2) * np.nanstd(costs[1:], ddof=1)
        of_family = _widened(cost, [cost - margin, cost + margin], without.margin(family_confidence))
    return {
        "real": number(rates["real", score][i, 0]),
        **without.told("twin"),
        "synthetic": number(synthetic[0]),
        "cost": {**figure(cost, interval=interval), "family_interval": of_family},
    }


def _is_clear_loss(cost: dict[str, Any]) -> bool:
    return cost["family_interval"] is not None and cost["family_interval"][0] > 0


def _within_groups(tables: Tables, random_state: int) -> list[dict[str, Any]]:
    baselines = Baselines.of(tables, np.random.default_rng(random_state))
    baselines = replace(baselines, judged={"synthetic": baselines.judged["synthetic"]})
    return compare_within_groups(tables, baselines, Discretiser.fit(tables.real.frame, tables.real_weights))
