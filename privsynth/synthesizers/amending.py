"""Which paid releases an amended schema leaves as they are.

A release names the columns that it was made from. One that names a column whose declaration has changed is
void, and so is everything that rests on a model of all columns: choices of tables, tables of several
columns, votes, gradient steps. What says something about untouched columns by themselves is kept: the number
of units, values, bounds, 1-way tables, and combinations that were found. What is void stays spent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.releases.store import Release
from privsynth.schema.row_rules import PREVIOUS
from privsynth.schema.sequences import GAP

_OF_NO_RELEASE = ("types_from_records", "version", "csv")  # say nothing about what was counted


def amended(
    releases: Iterable[Release], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Release]:
    """Return the releases of a run, each marked as kept or as void under an amended schema.

    Args:
        releases: What was released, in order.
        before: Schema JSON under which they were released.
        after: Schema JSON under which the run goes on.

    Privacy:
        Post-processing: which releases are looked at again is a function of public declarations.
    """
    if before == after:
        return list(releases)
    changed = changed_columns(before, after)
    if changed is not None and not changed:
        return list(releases)
    return [
        replace(r, kept=False, void=True)
        if r.void or r.lost or _is_touched(r, changed)
        else replace(r, kept=True)
        for r in releases
    ]


def allowance(whole: Spend, releases: Iterable[Release]) -> Spend:
    """Return what an amended run plans with, so that all it spends stays within ``whole``.

    Of ``whole``, a part V is spent on void releases and a part K on kept ones, which do for a share K / whole
    of the plan. With ``whole (whole - V - K) / (whole - K)`` in the place of ``whole``, the rest of the plan
    costs ``whole - V - K``.
    """
    old = [release for release in releases if release.void or release.kept]
    sides = [[Event.from_dict(r.event) for r in old if r.void == is_void] for is_void in (True, False)]

    def left(total: float, void: float, kept: float) -> float:
        if not void:
            return total  # to the last bit: levels that were paid are found again
        return max(0.0, total - void - kept) * total / (total - kept) if total > kept else 0.0

    return Spend(
        left(whole.mu_squared, *(math.fsum(e.mu_squared for e in side) for side in sides)),
        left(whole.added_delta, *(math.fsum(e.delta for e in side) for side in sides)),
    )


def changed_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the columns that two schemas do not declare alike, None for all of them.

    A constraint or a declared table that came or went changes its columns; another person column, number of
    records, image or order of columns changes all, and so does another order of a person's rows, or of what
    they share.
    """
    old, new = before["columns"], after["columns"]
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    stated = [before.get("constraints", []), after.get("constraints", [])]
    for constraint in [*stated[0], *stated[1]]:
        if constraint not in stated[0] or constraint not in stated[1]:
            changed.update(constraint["columns"])
            changed.update(name.removeprefix(PREVIOUS) for name in constraint["columns"])  # it may be moved
    tables = [before.get("workload", []), after.get("workload", [])]
    is_reordered = sorted(tables[0]) == sorted(tables[1]) and tables[0] != tables[1]
    for table in [*tables[0], *tables[1]]:
        if is_reordered or table not in tables[0] or table not in tables[1]:
            changed.update(table)  # tables are released together, and known by their places
    rest = {*before, *after} - {"columns", "constraints", "workload", *_OF_NO_RELEASE}
    common = [[name for name in side if name in old and name in new] for side in (old, new)]
    is_alike = _of_persons(old) == _of_persons(new) and common[0] == common[1]
    if not is_alike or any(before.get(key) != after.get(key) for key in rest):
        return None
    return frozenset(changed)


def _of_persons(columns: Mapping[str, Any]) -> tuple[set[str], dict[str, Any], set[str]]:
    """Return the column that names persons, the one that orders their rows, and those that they share."""
    persons = {name for name, column in columns.items() if column.get("role") == "person_id"}
    order = {name: column for name, column in columns.items() if column.get("role") == "order"}
    return persons, order, {name for name, column in columns.items() if column.get("per")}


def _is_touched(release: Release, changed: frozenset[str] | None) -> bool:
    if changed is None or release.columns is None:
        return True
    is_of_model = len(release.columns) > 1 and release.event["mechanism"] != "thresholded_gaussian"
    named = {
        n for name in release.columns for n in (name, name.removeprefix(PREVIOUS), name.removeprefix(GAP))
    }
    return is_of_model or not changed.isdisjoint(named)  # a table may have a "prev.x" of its own
