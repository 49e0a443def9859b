"""Membership: do the synthetic rows tell who was among the records that the generator was fitted to?"""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.attacks.density_ratio import density_ratio_scores, largest_by_unit
from privsynth.attacks.operating_points import read_out
from privsynth.attacks.overlap import too_many_identical_rows
from privsynth.metrics.figures import not_assessed
from privsynth.metrics.tables import Table, Tables, load_tables
from privsynth.metrics.units import halves, n_units, some_units
from privsynth.metrics.utility import NO_HOLDOUT
from privsynth.schema import Schema

MIN_UNITS = 20
"""Persons (or rows) needed on each side of the attack."""

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
    max_members: int | None = None,
    max_synthetic_rows: int | None = None,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Attack the synthetic table with a density ratio; members are ``real``, non-members the holdout.

    The attack needs rows of the same source that it does not score: the reference table, or else a random
    half of the holdout's persons (rows, without a person column). A person scores as their most exposed row.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw; needed.
        reference: Frame or path: further such rows, none of them in ``real`` or ``holdout``.
        max_members: Largest number of members scored, drawn at random; None scores all.
        max_synthetic_rows: Largest number of synthetic rows that the attacker looks at, drawn at random.
        confidence: Coverage of each interval, in (0, 1).
        random_state: Seed of the splits and draws.

    Returns:
        ``attacks``: name to the figures of `privsynth.attacks.operating_points.read_out`; or a section
        ``not_assessed``: without a holdout, or where the holdout holds rows of ``real``.

    Raises:
        ParameterError: If two tables share persons.
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records. Intervals do not cover the randomness of the fitted generator.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout, reference=reference)
    return assess_membership(
        tables,
        max_members=max_members,
        max_synthetic_rows=max_synthetic_rows,
        confidence=confidence,
        random_state=random_state,
    )


def assess_membership(
    tables: Tables,
    *,
    max_members: int | None = None,
    max_synthetic_rows: int | None = None,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `membership`.

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
    members = some_units(tables.real, max_members, generator)
    non_members, reference = tables.holdout, tables.reference
    if reference is None:
        non_members, reference = halves(tables.holdout, generator)
    if min(n_units(members), n_units(non_members), n_units(reference)) < MIN_UNITS:
        return not_assessed(TOO_SMALL)
    seen = tables.synthetic.frame
    if max_synthetic_rows is not None and len(seen) > max_synthetic_rows:
        seen = seen.iloc[generator.permutation(len(seen))[:max_synthetic_rows]]
    scores = [
        largest_by_unit(
            density_ratio_scores(side.frame, synthetic=seen, reference=reference.frame), side.persons
        )
        for side in (members, non_members)
    ]
    result = read_out(scores[0], scores[1], generator=generator, confidence=confidence)
    return {
        "status": "assessed",
        "unit": tables.schema.unit,
        "unit_score": "max over the rows of the person"
        if tables.real.persons is not None
        else "the row's own",
        "reference": "half of the holdout" if tables.reference is None else "reference table",
        "n_reference": n_units(reference),
        "n_synthetic_rows": len(seen),
        "attacks": {"density_ratio": result},
    }
