"""From the scores of attacks to the section of a report: the same for tables and for images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from privsynth.attacks.density_ratio import largest_by_unit
from privsynth.attacks.intervals import auc_interval, auc_p_value, holm
from privsynth.attacks.operating_points import read_out
from privsynth.attacks.overlap import too_many_identical_rows
from privsynth.attacks.pairs import pair_bound
from privsynth.attacks.source_check import source_difference
from privsynth.attacks.trade_off import trade_off_view
from privsynth.metrics.common.grouping import Grouping, groupings
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.common.units import n_units
from privsynth.records.conform import Records

MIN_UNITS = 20
"""Persons (or rows) needed on each side of an attack, and of a group."""

EXPOSED_SHARE = 0.1
"""Share of the units that count as the most exposed ones."""

TOO_SMALL = f"needs {MIN_UNITS} members, scored non-members and reference units each; give larger tables"
OVERLAP = (
    "more rows stand in both the real and the holdout table than duplicates within the real table predict: "
    "the holdout is not apart from the members; split the source once, before fitting (`privsynth split`)"
)
OVERLAP_OF_REFERENCE = "more rows stand in both the holdout and the reference table than duplicates predict"


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
        flags: Name of an attack to whom it flags as a member, in words.
        by_group: The attack by which groups are compared, fixed beforehand.
        n_members: Number of members.
    """

    scores: dict[str, np.ndarray]
    exposure: dict[str, np.ndarray]
    flags: Mapping[str, str]
    by_group: str
    n_members: int

    @property
    def n_units(self) -> int:
        """Number of units scored."""
        return len(next(iter(self.scores.values())))


def why_not_apart(real: Records, holdout: Records, reference: Records | None) -> str | None:
    """Return that records stand in two of the sets, so that no attack can be judged by them; None if not.

    Privacy:
        Not private: compares real records.
    """
    apart = [holdout] if reference is None else [holdout, reference]
    if any(too_many_identical_rows(real, other) for other in apart):
        return OVERLAP
    if reference is not None and too_many_identical_rows(holdout, reference):
        return OVERLAP_OF_REFERENCE
    return None


def membership_section(
    tables: Tables,
    sides: Sides,
    scored: Scored,
    *,
    compared: tuple[Records, Records],
    thing: str,
    reference: str,
    guarantee: Mapping[str, Any] | None,
    is_randomised: bool,
    generator: np.random.Generator,
    confidence: float,
    further_attacks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the section of a report: attacks, targets, groups, and how they stand to the guarantee.

    Args:
        tables: The tables, with the groups that are attacked apart.
        sides: Who was attacked.
        scored: What the attacks say of them.
        compared: Columns of real and of holdout records by which the two sources are told apart.
        thing: What a record is called: ``row`` or ``image``.
        reference: What a reference that was given is called.
        guarantee: The statement of the model file.
        is_randomised: Whether chance alone decided who is a member: the attacks then bound epsilon.
        generator: Source of splits.
        confidence: Coverage of each interval, in (0, 1).
        further_attacks: Figures of attacks that do not score every unit.

    Privacy:
        Not private: figures of real records.
    """
    assert tables.holdout is not None
    everyone = np.ones(scored.n_units, dtype=bool)
    section: dict[str, Any] = {
        "status": "assessed",
        "unit": tables.schema.unit,
        "unit_score": f"the {thing}'s own"
        if tables.real.persons is None
        else f"max over the {thing}s of the person",
        "reference": "half of the holdout" if tables.reference is None else reference,
        "n_reference": n_units(sides.reference),
        "n_synthetic_rows": len(tables.synthetic.frame),
        "n_units": {"members": n_units(tables.real), "holdout": n_units(tables.holdout)},
        "is_randomised": is_randomised,
        "holdout": {"source_difference": source_difference(*compared, generator)},
        "attacks": _read_all(scored, everyone, generator, confidence) | dict(further_attacks or {}),
        "targets": {
            name: {"share": EXPOSED_SHARE, "attacks": _read_all(scored, chosen, generator, confidence)}
            for name, chosen in _exposed(scored).items()
        },
        "by_group": _by_group(tables, sides, scored, confidence),
        "by_group_attack": scored.by_group,
    }
    if is_randomised:
        _add_pair_bounds(section["attacks"], scored, guarantee, generator, confidence)
    every_attack = [section["attacks"], *(target["attacks"] for target in section["targets"].values())]
    _adjust_p_values([figures for attacks in every_attack for figures in attacks.values()])
    section["trade_off"] = trade_off_view(section, guarantee)
    return section


def _add_pair_bounds(
    attacks: dict[str, Any],
    scored: Scored,
    guarantee: Mapping[str, Any] | None,
    generator: np.random.Generator,
    confidence: float,
) -> None:
    """Add to each attack what it proves about epsilon; the bounds of all attacks hold together."""
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
        if bound is not None:
            attacks[name]["epsilon_lower_bound"] = bound["epsilon"]
            attacks[name]["epsilon_lower_bound_details"] = bound


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
            "accuses": scored.flags[name],
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
            entry["reason"] = f"needs {MIN_UNITS} members and non-members"
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
