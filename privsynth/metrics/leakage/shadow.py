"""The shadow-model attack on given tables: who is targeted, and rows as a generator expects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from privsynth.attacks.shadow import Refit, shadow_attack
from privsynth.metrics.common.tables import schema_of_released
from privsynth.metrics.common.units import n_units, unit_of_rows
from privsynth.records.conform import Records, conform
from privsynth.schema import Schema


@dataclass(frozen=True, kw_only=True)
class Shadowing:
    """A shadow-model attack that is asked for.

    Attributes:
        refit: Fits the generator afresh, to records as a table would hold them, and draws as many rows as
            were released; called in parallel processes, so it must be picklable. It gets the person column
            too, where there is one. What it reads is attacked and not released: give a synthesizer with a
            budget a ledger of its own.
        n_fits: Number of fits.
        n_targets: Members, and outsiders, that are attacked, persons with all of their rows: half the most
            isolated, half at random.
        n_jobs: Processes at once; -1 is one a core.
    """

    refit: Refit
    n_fits: int = 64
    n_targets: int = 100
    n_jobs: int = -1


def shadow_figures(
    shadowing: Shadowing,
    *,
    schema: Schema,
    members: Records,
    outsiders: Records,
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    isolation: np.ndarray,
    generator: np.random.Generator,
    confidence: float,
) -> dict[str, Any]:
    """Return the figures of the attack, by name.

    Args:
        shadowing: What was asked for.
        schema: Description of the table.
        members: Canonical members; those that are not targets are in every fit.
        outsiders: Canonical non-members.
        reference: Canonical rows of the same source, none of them a target.
        synthetic: Canonical released rows.
        isolation: Of members, then outsiders: how exposed a unit is, ``(n_units,)``.
        generator: Draws targets and seeds.
        confidence: Coverage of each interval.

    Privacy:
        Not private: refits to real records and scores them.
    """
    n_members = n_units(members)
    sides = (isolation[:n_members], isolation[n_members:])
    chosen = [_targets(side, shadowing.n_targets, generator) for side in sides]
    as_released = schema_of_released(schema)

    def refit(table: pd.DataFrame, seed: int) -> pd.DataFrame:
        given = _as_given(table, schema)
        if schema.person_id is not None:
            given[schema.person_id] = table.index.to_numpy()
        made = shadowing.refit(given, seed)
        rows = conform(made, as_released, on_violation="clip", name="refitted").frame
        return rows.astype({n: synthetic[n].dtype for n in rows if rows[n].dtype != synthetic[n].dtype})

    within, without = _labelled(members, 0), _labelled(outsiders, n_members)
    return shadow_attack(
        members=within[within.index.isin(chosen[0])],
        outsiders=without[without.index.isin(n_members + chosen[1])],
        others=within[~within.index.isin(chosen[0])],
        reference=reference,
        synthetic=synthetic,
        refit=refit,
        n_fits=shadowing.n_fits,
        n_jobs=shadowing.n_jobs,
        confidence=confidence,
        random_state=int(generator.integers(2**31)),
    )


def _targets(isolation: np.ndarray, n_targets: int, generator: np.random.Generator) -> np.ndarray:
    """Return positions of the most isolated half and of a random half, sorted."""
    n_targets = min(n_targets, len(isolation))
    lonely = np.argsort(-isolation, kind="stable")[: n_targets // 2]
    others = np.setdiff1d(np.arange(len(isolation)), lonely)
    return np.sort(np.r_[lonely, generator.permutation(others)[: n_targets - len(lonely)]])


def _labelled(records: Records, first: int) -> pd.DataFrame:
    """Return the rows, their index the number of their unit, from ``first``."""
    units = unit_of_rows(records)
    return records.frame.set_axis(first + units, axis=0)


def _as_given(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return canonical rows as a table of the caller's would hold them."""
    out = {}
    for column in schema.modelled:
        values = frame[column.name]
        if not column.is_numeric:
            out[column.name] = values.astype(object).where(values.notna(), None)
        elif column.type == "datetime":
            out[column.name] = pd.to_datetime(values * column.resolution_seconds, unit="s")
        else:
            out[column.name] = values.astype("Int64") if column.type == "integer" else values
    return pd.DataFrame(out).reset_index(drop=True)
