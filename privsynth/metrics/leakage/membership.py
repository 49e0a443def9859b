"""Membership: do the synthetic rows tell who was among the records that the generator was fitted to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.membership import ATTACKS, attack_rows
from privsynth.io.source import Table
from privsynth.metrics.common.estimates import not_assessed
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.common.units import at_most_rows, halves, n_units, some_units
from privsynth.metrics.leakage.membership_figures import (
    MIN_UNITS,
    TOO_SMALL,
    Scored,
    Sides,
    membership_section,
    why_not_apart,
)
from privsynth.metrics.leakage.shadow import Shadowing, shadow_figures
from privsynth.metrics.leakage.whole_histories import HISTORY_ATTACKS, attack_histories
from privsynth.metrics.utility.tables import NO_HOLDOUT
from privsynth.records.linked import Tables as LinkedFrames
from privsynth.records.split_parts import SplitPart, read_split_part
from privsynth.schema import Schema
from privsynth.schema.linked import LinkedSchema

MAX_COMPARISONS = 4e9
"""Comparisons of a scored row with a synthetic row, about a minute a billion and core."""

BY_GROUP = "nearest_calibrated"
"""The attack by which groups are compared, fixed beforehand: it allows for thinly populated regions."""


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

    The attacks (`privsynth.attacks.membership.ATTACKS`) need rows of the same source that they do not score:
    the reference table, or else a random half of the holdout's persons (rows, without a person column). A
    person scores as their most exposed row; where the schema says that a person's rows belong together,
    attacks on whole histories (`privsynth.metrics.leakage.whole_histories`) score all of them at once.

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
    if reason := why_not_apart(tables.real, tables.holdout, tables.reference):
        return not_assessed(reason)
    generator = np.random.default_rng(random_state)
    sides = _sides(tables, max_members, max_comparisons, generator)
    if sides.too_small:
        return not_assessed(TOO_SMALL)
    scored = _scored(tables, sides, random_state)
    refitted = (
        None
        if shadowing is None
        else shadow_figures(
            shadowing,
            schema=tables.schema,
            members=sides.members,
            outsiders=sides.non_members,
            reference=sides.reference.frame,
            synthetic=tables.synthetic.frame,
            isolation=scored.exposure["most_isolated"],
            generator=generator,
            confidence=confidence,
        )
    )
    section = membership_section(
        tables,
        sides,
        scored,
        compared=(tables.real, tables.holdout),
        thing="row",
        reference="reference table",
        guarantee=guarantee,
        is_randomised=is_randomised,
        generator=generator,
        confidence=confidence,
        further_attacks=refitted,
    )
    if tables.schema.is_sequential:
        section["unit_score"] += "; attacks on histories score all rows of the person at once"
    return section


def split_by_chance(
    real: Table | LinkedFrames, holdout: Table | LinkedFrames | None, schema: Schema | LinkedSchema
) -> bool:
    """Return whether both are the parts of one split by `privsynth split`, by the unit of the schema.

    Of linked tables every table has to be.

    Privacy:
        Public: reads the files' metadata, no record.
    """
    if holdout is None:
        return False
    if not isinstance(schema, LinkedSchema):
        return _is_one_split([(read_split_part(real), read_split_part(holdout))], schema.unit)
    if not isinstance(real, str | Path) or not isinstance(holdout, str | Path):
        return False
    files = [f"{name}.parquet" for name in schema.tables]
    parts = [(read_split_part(Path(real) / file), read_split_part(Path(holdout) / file)) for file in files]
    return _is_one_split(parts, schema.unit)


def _is_one_split(parts: Sequence[tuple[SplitPart | None, SplitPart | None]], unit: str) -> bool:
    """Return whether all are training part and holdout of one split by that unit."""
    of_split = set()
    for train, held_out in parts:
        if train is None or held_out is None:
            return False
        if (train.part, held_out.part) != ("train", "holdout"):
            return False
        of_split |= {(train.split_id, train.unit), (held_out.split_id, held_out.unit)}
    return len(of_split) == 1 and of_split.pop()[1] == unit


# -- who is attacked -------------------------------------------------------------------------------------


def _sides(
    tables: Tables, max_members: int | None, max_comparisons: float, generator: np.random.Generator
) -> Sides:
    assert tables.holdout is not None
    non_members, reference = tables.holdout, tables.reference
    if reference is None:
        non_members, reference = halves(tables.holdout, generator)
    members = some_units(tables.real, max_members, generator)
    most_rows = max(MIN_UNITS, int(max_comparisons / (2 * len(tables.synthetic.frame))))
    members, non_members, reference = (
        at_most_rows(records, most_rows, generator) for records in (members, non_members, reference)
    )
    return Sides(members, non_members, reference)


def _scored(tables: Tables, sides: Sides, seed: int) -> Scored:
    both = (sides.members, sides.non_members)
    attacked = attack_rows(
        pd.concat([side.frame for side in both], ignore_index=True),
        synthetic=tables.synthetic.frame,
        reference=sides.reference.frame,
        seed=seed,
    )
    by_history = (
        attack_histories(
            both,
            synthetic=tables.synthetic,
            reference=sides.reference,
            schema=tables.schema,
            generator=np.random.default_rng([seed, 3]),
        )
        if tables.schema.is_sequential
        else {}
    )
    return Scored(
        scores={name: sides.by_unit(scores) for name, scores in attacked.scores.items()} | by_history,
        exposure={
            "most_isolated": sides.by_unit(attacked.isolation),
            "rarest_values": sides.by_unit(attacked.rarity),
        },
        flags=ATTACKS | HISTORY_ATTACKS,
        by_group=BY_GROUP,
        n_members=n_units(sides.members),
    )
