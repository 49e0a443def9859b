"""From the scores of attacks to the section of a report: the same for tables and for images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from privsynth.attacks.density_ratio import largest_by_unit
from privsynth.attacks.intervals import auc_interval, auc_p_value, holm
from privsynth.attacks.operating_points import read_out
from privsynth.attacks.pairs import pair_bound
from privsynth.metrics.grouping import Grouping, groupings
from privsynth.metrics.tables import Tables
from privsynth.metrics.units import n_units
from privsynth.sources import Records

MIN_UNITS = 20
"""Persons (or rows) needed on each side of an attack, and of a group."""

EXPOSED_SHARE = 0.1
"""Share of the units that count as the most exposed ones."""


@dataclass(frozen=True)
class Sides:
    """Who is attacked, and what the attacker knows of their source.

    Attributes:
        members: Records that the generator was fitted to.
        non_members: Records of the same source that it never saw.
        reference: More of those, which are not scored.
    """

    members: Records
    non_members: Records
    reference: Records

    @property
    def too_small(self) -> bool:
        """Whether a side has fewer than `MIN_UNITS` units."""
        return min(map(n_units, (self.members, self.non_members, self.reference))) < MIN_UNITS

    def by_unit(self, of_rows: np.ndarray) -> np.ndarray:
        """Return one score a unit from one a row, members first in both: that of the most exposed row."""
        n_first = len(self.members.frame)
        parts = ((of_rows[:n_first], self.members), (of_rows[n_first:], self.non_members))
        return np.concatenate([largest_by_unit(scores, side.persons) for scores, side in parts])


@dataclass(frozen=True)
class Scored:
    """What the attacks say of the units, members first.

    Attributes:
        scores: Name of an attack to the score of each unit, higher = more likely a member.
        exposure: How exposed each unit is by itself, by measures that do not know who is a member.
        accuses: Name of an attack to whom it accuses, in words.
        by_group: The attack by which groups are compared, fixed beforehand.
        n_members: Number of members.
    """

    scores: dict[str, np.ndarray]
    exposure: dict[str, np.ndarray]
    accuses: Mapping[str, str]
    by_group: str
    n_members: int

    @property
    def n_units(self) -> int:
        """Number of units scored."""
        return len(next(iter(self.scores.values())))


def membership_figures(
    tables: Tables,
    sides: Sides,
    scored: Scored,
    *,
    generator: np.random.Generator,
    confidence: float,
) -> dict[str, Any]:
    """Return the part of the section that the scores give: attacks, targets and groups.

    Call `add_pair_bounds` and `adjust` when all attacks are there.

    Privacy:
        Not private: figures of real records.
    """
    everyone = np.ones(scored.n_units, dtype=bool)
    return {
        "attacks": _read_all(scored, everyone, generator, confidence),
        "targets": {
            name: {"share": EXPOSED_SHARE, "attacks": _read_all(scored, chosen, generator, confidence)}
            for name, chosen in _exposed(scored).items()
        },
        "by_group": _by_group(tables, sides, scored, confidence),
        "by_group_attack": scored.by_group,
    }


def add_pair_bounds(
    section: dict[str, Any],
    scored: Scored,
    guarantee: Mapping[str, Any] | None,
    generator: np.random.Generator,
    confidence: float,
) -> None:
    """Add to each attack what it proves about epsilon; the bounds of all attacks hold together.

    Privacy:
        Not private: figures of real records.
    """
    delta = float((guarantee or {}).get("delta") or 1e-6)
    delta = min(1.0, delta * (1 + np.exp(min(float((guarantee or {}).get("epsilon") or 0.0), 700.0))))
    for name, scores in scored.scores.items():
        bound = pair_bound(
            scores[: scored.n_members],
            scores[scored.n_members :],
            delta=delta,
            confidence=1 - (1 - confidence) / len(scored.scores),
            generator=generator,
        )
        figures = section["attacks"][name]
        if bound is not None:
            figures["epsilon_lower_bound"] = bound["epsilon"]
            figures["epsilon_lower_bound_details"] = bound


def adjust(section: dict[str, Any]) -> None:
    """Adjust the p-values of all attacks, on all and on chosen targets, for their number.

    Privacy:
        Post-processing: of figures of real records.
    """
    figures = list(section["attacks"].values())
    for target in section["targets"].values():
        figures += target["attacks"].values()
    _adjust_p_values(figures)


def _exposed(scored: Scored) -> dict[str, np.ndarray]:
    """Return who is most at risk, by measures that do not know who is a member; too few are left out."""
    chosen = {
        name: measure >= np.quantile(measure, 1 - EXPOSED_SHARE) for name, measure in scored.exposure.items()
    }
    return {
        name: units
        for name, units in chosen.items()
        if min(units[: scored.n_members].sum(), units[scored.n_members :].sum()) >= MIN_UNITS
    }


def _read_all(
    scored: Scored, chosen: np.ndarray, generator: np.random.Generator, confidence: float
) -> dict[str, Any]:
    is_member = np.arange(scored.n_units) < scored.n_members
    return {
        name: {
            "accuses": scored.accuses[name],
            **read_out(
                scores[chosen & is_member],
                scores[chosen & ~is_member],
                generator=generator,
                confidence=confidence,
            ),
        }
        for name, scores in scored.scores.items()
    }


def _by_group(tables: Tables, sides: Sides, scored: Scored, confidence: float) -> list[dict[str, Any]]:
    """Compare members and non-members within each group; intervals and p-values hold for all together."""
    entries = [
        (grouping, code, members, others)
        for grouping in groupings(tables)
        for members, others in [(_unit_groups(grouping, s) for s in (sides.members, sides.non_members))]
        for code in range(len(grouping.groups))
    ]
    scores = scored.scores[scored.by_group]
    found: list[dict[str, Any]] = []
    for grouping, code, members, others in entries:
        of_members = scores[: scored.n_members][members == code]
        of_others = scores[scored.n_members :][others == code]
        entry: dict[str, Any] = {
            "group": grouping.groups[code],
            "n_members": len(of_members),
            "n_non_members": len(of_others),
            "auc": None,
            "auc_interval": None,
            "p_value": None,
        }
        if min(len(of_members), len(of_others)) < MIN_UNITS:
            entry["reason"] = f"needs {MIN_UNITS} members and outsiders"
        else:
            simultaneous = 1 - (1 - confidence) / len(entries)
            estimate = auc_interval(of_members, of_others, confidence=simultaneous)
            entry |= {
                "auc": estimate.auc,
                "auc_interval": [estimate.low, estimate.high],
                "p_value": auc_p_value(estimate.auc, len(of_members), len(of_others)),
            }
        found.append(entry)
    _adjust_p_values([entry for entry in found if entry["p_value"] is not None])
    return found


def _unit_groups(grouping: Grouping, records: Records) -> np.ndarray:
    """Return the group of each unit: that of a person's first row."""
    groups = grouping.members(records.frame)
    if records.persons is None:
        return groups
    return groups[np.unique(records.persons, return_index=True)[1]]


def _adjust_p_values(figures: list[dict[str, Any]]) -> None:
    for figure, adjusted in zip(figures, holm([figure["p_value"] for figure in figures]), strict=True):
        figure["p_adjusted"] = adjusted
