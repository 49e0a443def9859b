"""Membership by whole families: do linked tables tell who was among the persons they were made from?

Each person becomes one row from all their rows in all tables, and the attacks on rows are run on persons. A
copy may also stand among rows that were given to others, so the rows of each table are attacked by
themselves, and a person scores as their most exposed row there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.membership import ATTACKS, attack_rows
from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.families import Families, LinkedTables
from privsynth.metrics.common.tables import Tables
from privsynth.metrics.common.whole_families import whole_families
from privsynth.metrics.leakage.membership import BY_GROUP, MAX_COMPARISONS
from privsynth.metrics.leakage.membership_figures import (
    MIN_UNITS,
    TOO_SMALL,
    Scored,
    Sides,
    membership_section,
    why_not_apart,
)
from privsynth.metrics.utility.tables import NO_HOLDOUT
from privsynth.records.conform import Records

ROWS_OF = "rows_of_"
"""Begins the name of the attack on the rows of one table."""

_OF_ROWS = "density_ratio"  # a copied row is what it finds; fixed beforehand


def assess_family_membership(
    tables: LinkedTables,
    *,
    guarantee: Mapping[str, Any] | None = None,
    is_randomised: bool = False,
    max_members: int | None = None,
    max_comparisons: float = MAX_COMPARISONS,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report, as `privsynth.metrics.membership` does of one table.

    Args:
        tables: The synthetic ones in full.
        guarantee: The statement of the model file, for the trade-off view.
        is_randomised: Whether chance alone decided who is a member.
        max_members: Largest number of persons scored on each side; None scores all.
        max_comparisons: Largest number of scored rows times synthetic rows in one table; if there are more,
            whole persons are left out at random. Synthetic rows never are.
        confidence: Coverage of each interval, in (0, 1).
        random_state: Seed of the splits and draws.

    Privacy:
        Not private: figures of real records.
    """
    if tables.holdout is None:
        return not_assessed(NO_HOLDOUT)
    real, holdout, synthetic = (_persons(f) for f in (tables.real, tables.holdout, tables.synthetic))
    given = None if tables.reference is None else _persons(tables.reference)
    if reason := why_not_apart(real, holdout, given):
        return not_assessed(reason)
    generator = np.random.default_rng(random_state)
    known, non_members = tables.reference, tables.holdout
    if known is None:
        non_members, known = tables.holdout.halves(generator)
    families = [
        _few_enough(side, tables.synthetic, max_members, max_comparisons, generator)
        for side in (tables.real, non_members, known)
    ]
    sides = Sides(*(_persons(side) for side in families))
    if sides.too_small:
        return not_assessed(TOO_SMALL)
    root = tables.schema.tables[tables.schema.person].schema
    laid_out = Tables(
        schema=root,
        real=real,
        synthetic=synthetic,
        holdout=holdout,
        reference=given,
        groups=tuple(root.groups),
    )
    section = membership_section(
        laid_out,
        sides,
        _scored(sides, families, tables.synthetic, synthetic.frame, random_state),
        compared=(real, holdout),
        thing="row",
        reference="reference tables",
        guarantee=guarantee,
        is_randomised=is_randomised,
        generator=generator,
        confidence=confidence,
    )
    return section | {
        "unit": tables.schema.unit,
        "unit_score": "that of all rows of the person in all tables; of attacks on the rows of one table the "
        "largest over the person's rows there",
        "n_synthetic_rows": sum(tables.synthetic.n_rows.values()),
    }


def _persons(families: Families) -> Records:
    return Records(whole_families(families), None)


def _few_enough(
    families: Families,
    synthetic: Families,
    max_members: int | None,
    max_comparisons: float,
    generator: np.random.Generator,
) -> Families:
    """Return some persons, so that no table has more rows to compare than are asked for."""
    n_most = families.n_persons if max_members is None else max_members
    for name, n_rows in families.n_rows.items():
        most_rows = max_comparisons / (2 * max(synthetic.n_rows[name], 1))
        n_most = min(n_most, max(MIN_UNITS, int(families.n_persons * most_rows / max(n_rows, 1))))
    return families.some(n_most, generator)


def _scored(
    sides: Sides, families: list[Families], released: Families, synthetic: pd.DataFrame, seed: int
) -> Scored:
    attacked = attack_rows(
        pd.concat([sides.members.frame, sides.non_members.frame], ignore_index=True),
        synthetic=synthetic,
        reference=sides.reference.frame,
        seed=seed,
    )
    members, non_members, reference = families
    by_rows = {}
    for name in members.parents:
        scores = _by_rows(name, (members, non_members), released, reference, seed)
        if scores is not None:
            by_rows[f"{ROWS_OF}{name}"] = scores
    return Scored(
        scores=dict(attacked.scores) | by_rows,
        exposure={"most_isolated": attacked.isolation, "rarest_values": attacked.rarity},
        flags=dict(ATTACKS)
        | {
            attack: f"persons of whom a row of {attack.removeprefix(ROWS_OF)} is closer to a synthetic one "
            "than the reference explains"
            for attack in by_rows
        },
        by_group=BY_GROUP,
        n_members=members.n_persons,
    )


def _by_rows(
    name: str, sides: tuple[Families, Families], released: Families, reference: Families, seed: int
) -> np.ndarray | None:
    """Return each person's score by their rows in one table; None where a side has none there."""
    if min(len(families.frames[name]) for families in (*sides, released, reference)) < MIN_UNITS:
        return None
    rows = pd.concat([families.frames[name] for families in sides], ignore_index=True)
    found = attack_rows(
        rows,
        synthetic=released.frames[name],
        reference=reference.frames[name],
        names=(_OF_ROWS,),
        seed=seed,
    ).scores[_OF_ROWS]
    persons = np.concatenate([sides[0].persons(name), sides[0].n_persons + sides[1].persons(name)])
    scores = np.full(
        sides[0].n_persons + sides[1].n_persons, found.min() - 1.0
    )  # persons without a row there
    np.maximum.at(scores, persons, found)
    return scores
