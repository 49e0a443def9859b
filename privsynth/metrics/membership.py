"""Membership: do the synthetic rows tell who was among the records that the generator was fitted to?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.density_ratio import largest_by_unit
from privsynth.attacks.intervals import auc_interval, auc_p_value, holm
from privsynth.attacks.operating_points import read_out
from privsynth.attacks.overlap import too_many_identical_rows
from privsynth.attacks.pairs import pair_bound
from privsynth.attacks.released import ATTACKS, attack_rows
from privsynth.attacks.source_check import source_difference
from privsynth.attacks.trade_off import trade_off_view
from privsynth.metrics.figures import not_assessed
from privsynth.metrics.grouping import Grouping, groupings
from privsynth.metrics.shadow import Shadowing, shadow_figures
from privsynth.metrics.tables import Table, Tables, load_tables
from privsynth.metrics.units import at_most_rows, halves, n_units, some_units
from privsynth.metrics.utility import NO_HOLDOUT
from privsynth.schema import Schema
from privsynth.sources import Records
from privsynth.splitting import read_split_part

MIN_UNITS = 20
"""Persons (or rows) needed on each side of an attack, and of a group."""

EXPOSED_SHARE = 0.1
"""Share of the units that count as the most exposed ones."""

MAX_COMPARISONS = 4e9
"""Comparisons of a scored row with a synthetic row, about a minute a billion and core."""

BY_GROUP = "nearest_calibrated"
"""The attack by which groups are compared, fixed beforehand: it allows for thinly populated regions."""

OVERLAP = (
    "more rows stand in both the real and the holdout table than duplicates within the real table predict: "
    "the holdout is not apart from the members; split the source once, before fitting (`privsynth split`)"
)
TOO_SMALL = f"needs {MIN_UNITS} members, scored non-members and reference units each; give larger tables"


def membership(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    reference: Table | None = None,
    guarantee: Mapping[str, Any] | None = None,
    max_members: int | None = None,
    max_comparisons: float = MAX_COMPARISONS,
    shadowing: Shadowing | None = None,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Attack the synthetic table; members are ``real``, non-members the holdout.

    The attacks (`privsynth.attacks.released.ATTACKS`) need rows of the same source that they do not score:
    the reference table, or else a random half of the holdout's persons (rows, without a person column). A
    person scores as their most exposed row.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows; all of them are looked at.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw; needed.
        reference: Frame or path: further such rows, none of them in ``real`` or ``holdout``.
        guarantee: The statement of the model file, for the trade-off view.
        max_members: Largest number of members scored, drawn at random; None scores all.
        max_comparisons: Largest number of scored rows times synthetic rows. If there are more, members and
            non-members are thinned at random by whole units, which costs power and no honesty; synthetic rows
            never are, since a copy among the rows left out would go unseen.
        shadowing: Asks for the shadow-model attack, which refits the generator many times.
        confidence: Coverage of each interval, in (0, 1).
        random_state: Seed of the splits and draws.

    Returns:
        ``attacks``: name to the figures of `privsynth.attacks.operating_points.read_out`; ``targets``: the
        same for the units most at risk; ``by_group``; ``holdout``: what was found about it; ``trade_off``; or
        a section ``not_assessed``: without a holdout, or where the holdout holds rows of ``real``.

    Raises:
        ParameterError: If two tables share persons.
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records. Intervals do not cover the randomness of the fitted generator.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout, reference=reference)
    return assess_membership(
        tables,
        guarantee=guarantee,
        is_randomised=split_by_chance(real, holdout, schema),
        max_members=max_members,
        max_comparisons=max_comparisons,
        shadowing=shadowing,
        confidence=confidence,
        random_state=random_state,
    )


def assess_membership(
    tables: Tables,
    *,
    guarantee: Mapping[str, Any] | None = None,
    is_randomised: bool = False,
    max_members: int | None = None,
    max_comparisons: float = MAX_COMPARISONS,
    shadowing: Shadowing | None = None,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `membership`.

    Args:
        tables: As `load_tables` gives them; the synthetic table in full.
        guarantee: As in `membership`.
        is_randomised: Whether chance alone decided who is a member, as `split_by_chance` says.
        max_members: As in `membership`; so are the following.
        max_comparisons: As above.
        shadowing: As above.
        confidence: As above.
        random_state: As above.

    Privacy:
        Not private: figures of real records.
    """
    if tables.holdout is None:
        return not_assessed(NO_HOLDOUT)
    apart = [tables.holdout, *([tables.reference] if tables.reference is not None else [])]
    if any(too_many_identical_rows(tables.real, other) for other in apart):
        return not_assessed(OVERLAP)
    if tables.reference is not None and too_many_identical_rows(tables.holdout, tables.reference):
        return not_assessed(
            "more rows stand in both the holdout and the reference table than duplicates predict"
        )
    generator = np.random.default_rng(random_state)
    sides = _sides(tables, max_members, max_comparisons, generator)
    if min(map(n_units, (sides.members, sides.non_members, sides.reference))) < MIN_UNITS:
        return not_assessed(TOO_SMALL)
    scored = _scored(tables, sides, random_state)
    section: dict[str, Any] = {
        "status": "assessed",
        "unit": tables.schema.unit,
        "unit_score": "max over the rows of the person"
        if tables.real.persons is not None
        else "the row's own",
        "reference": "half of the holdout" if tables.reference is None else "reference table",
        "n_reference": n_units(sides.reference),
        "n_synthetic_rows": len(tables.synthetic.frame),
        "n_units": {"members": n_units(tables.real), "holdout": n_units(tables.holdout)},
        "is_randomised": is_randomised,
        "holdout": {"source_difference": source_difference(tables.real, tables.holdout, generator)},
        "attacks": _read_all(scored, np.ones(scored.n_units, dtype=bool), generator, confidence),
        "targets": {
            name: {"share": EXPOSED_SHARE, "attacks": _read_all(scored, chosen, generator, confidence)}
            for name, chosen in _exposed(scored).items()
        },
        "by_group": _by_group(tables, sides, scored, confidence),
        "by_group_attack": BY_GROUP,
    }
    if shadowing is not None:
        section["attacks"] |= shadow_figures(
            shadowing,
            schema=tables.schema,
            members=sides.members,
            outsiders=sides.non_members,
            reference=sides.reference.frame,
            synthetic=tables.synthetic.frame,
            isolation=scored.isolation,
            generator=generator,
            confidence=confidence,
        )
    if is_randomised:
        _add_pair_bounds(section, scored, guarantee, generator, confidence)
    _adjust(section)
    section["trade_off"] = trade_off_view(section, guarantee)
    return section


def split_by_chance(real: Table, holdout: Table | None, schema: Schema) -> bool:
    """Return whether both are the parts of one split by `privsynth split`, by the unit of the schema.

    Privacy:
        Public: reads the files' metadata, no record.
    """
    if not (isinstance(real, str | Path) and isinstance(holdout, str | Path)):
        return False
    parts = [read_split_part(path) for path in (real, holdout)]
    if parts[0] is None or parts[1] is None:
        return False
    return (
        (parts[0].part, parts[1].part) == ("train", "holdout")
        and parts[0].split_id == parts[1].split_id
        and parts[0].unit == parts[1].unit == schema.unit
    )


# -- who is attacked -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sides:
    members: Records
    non_members: Records
    reference: Records


@dataclass(frozen=True)
class _Scored:
    """Scores of the units, members first."""

    scores: dict[str, np.ndarray]
    isolation: np.ndarray
    rarity: np.ndarray
    n_members: int

    @property
    def n_units(self) -> int:
        return len(self.isolation)


def _sides(
    tables: Tables, max_members: int | None, max_comparisons: float, generator: np.random.Generator
) -> _Sides:
    assert tables.holdout is not None
    non_members, reference = tables.holdout, tables.reference
    if reference is None:
        non_members, reference = halves(tables.holdout, generator)
    members = some_units(tables.real, max_members, generator)
    most_rows = max(MIN_UNITS, int(max_comparisons / (2 * len(tables.synthetic.frame))))
    members, non_members, reference = (
        at_most_rows(records, most_rows, generator) for records in (members, non_members, reference)
    )
    return _Sides(members, non_members, reference)


def _scored(tables: Tables, sides: _Sides, seed: int) -> _Scored:
    both = (sides.members, sides.non_members)
    attacked = attack_rows(
        pd.concat([side.frame for side in both], ignore_index=True),
        synthetic=tables.synthetic.frame,
        reference=sides.reference.frame,
        seed=seed,
    )
    n_first = len(sides.members.frame)

    def by_unit(of_rows: np.ndarray) -> np.ndarray:
        parts = (of_rows[:n_first], of_rows[n_first:])
        return np.concatenate(
            [largest_by_unit(part, side.persons) for part, side in zip(parts, both, strict=True)]
        )

    return _Scored(
        scores={name: by_unit(scores) for name, scores in attacked.scores.items()},
        isolation=by_unit(attacked.isolation),
        rarity=by_unit(attacked.rarity),
        n_members=n_units(sides.members),
    )


def _exposed(scored: _Scored) -> dict[str, np.ndarray]:
    """Return who is most at risk, by measures that do not know who is a member; too few are left out."""
    measures = {"most_isolated": scored.isolation, "rarest_values": scored.rarity}
    chosen = {name: measure >= np.quantile(measure, 1 - EXPOSED_SHARE) for name, measure in measures.items()}
    return {
        name: units
        for name, units in chosen.items()
        if min(units[: scored.n_members].sum(), units[scored.n_members :].sum()) >= MIN_UNITS
    }


# -- figures ---------------------------------------------------------------------------------------------


def _read_all(
    scored: _Scored, chosen: np.ndarray, generator: np.random.Generator, confidence: float
) -> dict[str, Any]:
    is_member = np.arange(scored.n_units) < scored.n_members
    return {
        name: {
            "accuses": ATTACKS[name],
            **read_out(
                scores[chosen & is_member],
                scores[chosen & ~is_member],
                generator=generator,
                confidence=confidence,
            ),
        }
        for name, scores in scored.scores.items()
    }


def _by_group(tables: Tables, sides: _Sides, scored: _Scored, confidence: float) -> list[dict[str, Any]]:
    """Compare members and non-members within each group; intervals and p-values hold for all together."""
    entries = [
        (grouping, code, members, others)
        for grouping in groupings(tables)
        for members, others in [(_unit_groups(grouping, s) for s in (sides.members, sides.non_members))]
        for code in range(len(grouping.groups))
    ]
    scores = scored.scores[BY_GROUP]
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


def _add_pair_bounds(
    section: dict[str, Any],
    scored: _Scored,
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
        figures = section["attacks"][name]
        if bound is not None:
            figures["epsilon_lower_bound"] = bound["epsilon"]
            figures["epsilon_lower_bound_details"] = bound


def _adjust(section: dict[str, Any]) -> None:
    """Adjust the p-values of all attacks, on all and on chosen targets, for their number."""
    figures = list(section["attacks"].values())
    for target in section["targets"].values():
        figures += target["attacks"].values()
    _adjust_p_values(figures)


def _adjust_p_values(figures: list[dict[str, Any]]) -> None:
    for figure, adjusted in zip(figures, holm([figure["p_value"] for figure in figures]), strict=True):
        figure["p_adjusted"] = adjusted
