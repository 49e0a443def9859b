"""Who pays for epsilon: shares, fidelity and errors of each group beside those of a twin without privacy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from privsynth.metrics.figures import figure, not_assessed, number, percentile_interval
from privsynth.metrics.group_fidelity import compare_within_groups
from privsynth.metrics.group_models import Replicates
from privsynth.metrics.grouping import Grouping
from privsynth.metrics.marginals import Discretiser
from privsynth.metrics.proportions import difference_interval
from privsynth.metrics.rates import rates_by_group
from privsynth.metrics.tables import Tables
from privsynth.metrics.yardsticks import Yardsticks

NO_TWIN = (
    "no twin: give rows of the same generator fitted without privacy to see what privacy costs each group"
)


def privacy_effect(
    tables: Tables,
    groupings: list[Grouping],
    replicates: dict[tuple[str, ...], Replicates],
    *,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare each group under privacy with the same group in the twin.

    Args:
        tables: The tables, the twin among them.
        groupings: The groups.
        replicates: Group columns to the rates of models by group; empty without models.
        random_state: Seed of the rows drawn.

    Returns:
        ``by_group``: share (``real``, ``twin``, ``synthetic`` and a figure ``cost``: synthetic minus twin),
        ``tv_2way`` within the group (``twin``, ``synthetic``, ``ratio``), accuracy and AUC of models
        (``real``, ``twin``, ``synthetic``, ``cost``: twin minus synthetic); ``slopes``: for each set of group
        columns the slope of log(share / real share) on log(real share): below zero small groups gain shares,
        above zero they lose them; ``pays_most``: groups whose accuracy privacy lowers clear of sampling
        error, worst first. Or a section ``not_assessed``.

    Privacy:
        Not private: figures of real records and of a generator without privacy.

    References:
        Ganev, Oprisanu and De Cristofaro, "Robin Hood and Matthew Effects", ICML 2022; Bagdasaryan, Poursaeed
        and Shmatikov, NeurIPS 2019.
    """
    if tables.twin is None:
        return not_assessed(NO_TWIN)
    within = {
        name: _within_groups(replace(tables, synthetic=table), random_state)
        for name, table in (("synthetic", tables.synthetic), ("twin", tables.twin))
    }
    by_group: list[dict[str, Any]] = []
    slopes: list[dict[str, Any]] = []
    for grouping in groupings:
        shares = _shares(tables, grouping)
        rates = replicates.get(grouping.columns)
        for i, group in enumerate(grouping.groups):
            entry: dict[str, Any] = {"group": group, "share": _share_entry(shares, i)}
            fidelity = {name: _tv_of(found, group) for name, found in within.items()}
            ratio = None
            if fidelity["twin"] and fidelity["synthetic"] is not None:
                ratio = fidelity["synthetic"] / fidelity["twin"]
            entry["tv_2way"] = {**fidelity, "ratio": ratio}
            for score in ("accuracy", "auc"):
                entry[score] = None if rates is None else _score_entry(rates, score, i)
            by_group.append(entry)
        slopes.append(
            {
                "columns": list(grouping.columns),
                **{
                    name: representation_slope(shares["real"][0], shares[name][0])
                    for name in ("synthetic", "twin")
                },
            }
        )
    losers = [g for g in by_group if g["accuracy"] and _is_clear_loss(g["accuracy"]["cost"])]
    return {
        "status": "assessed",
        "n_twin_rows": len(tables.twin.frame),
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


def _within_groups(tables: Tables, random_state: int) -> list[dict[str, Any]]:
    yardsticks = Yardsticks.of(tables, np.random.default_rng(random_state))
    yardsticks = replace(yardsticks, judged={"synthetic": tables.synthetic.frame})
    return compare_within_groups(tables, yardsticks, Discretiser.fit(tables.real.frame, tables.real_weights))


def _tv_of(found: list[dict[str, Any]], group: dict[str, Any]) -> float | None:
    """Return a group's distance; None if it is too small, or not among the groups of that table."""
    return next((entry["tv_2way"]["value"] for entry in found if entry["group"] == group), None)


def _shares(tables: Tables, grouping: Grouping) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return each table's shares and the effective numbers of units behind them."""
    out = {}
    for name in ("real", "twin", "synthetic"):
        records = getattr(tables, name)
        units = np.arange(len(records.frame)) if records.persons is None else records.persons
        weights = tables.real_weights if name == "real" else np.ones(len(units))
        rates = rates_by_group(records.frame, weights, units, grouping, None)
        out[name] = (rates.share, rates.share_units)
    return out


def _share_entry(shares: dict[str, tuple[np.ndarray, np.ndarray]], i: int) -> dict[str, Any]:
    values = {name: float(share[i]) for name, (share, _) in shares.items()}
    behind = {name: float(n_units[i]) for name, (_, n_units) in shares.items()}
    interval = difference_interval(
        (values["twin"], behind["twin"]), (values["synthetic"], behind["synthetic"])
    )
    return {**values, "cost": figure(values["synthetic"] - values["twin"], interval=interval)}


def _score_entry(rates: Replicates, score: str, i: int) -> dict[str, Any]:
    values = {name: rates[name, score][i] for name in ("real", "twin", "synthetic")}
    cost = values["twin"] - values["synthetic"]
    return {
        **{name: number(value[0]) for name, value in values.items()},
        "cost": figure(cost[0], interval=percentile_interval(cost[1:]) if np.isfinite(cost[0]) else None),
    }


def _is_clear_loss(cost: dict[str, Any]) -> bool:
    return cost["interval"] is not None and cost["interval"][0] > 0
