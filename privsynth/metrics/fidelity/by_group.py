"""Fidelity within each group: are the rows of the few as faithful as those of the many?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from privsynth.metrics.common.baselines import Baselines, figure_of
from privsynth.metrics.common.estimates import figure
from privsynth.metrics.common.grouping import groupings
from privsynth.metrics.common.marginals import Coded, total_variation
from privsynth.metrics.common.tables import Tables
from privsynth.records.codes import Discretiser

MIN_ROWS = 50
"""Rows of a group, in the reference and in every judged table, below which its marginals are mostly noise."""


def compare_within_groups(
    tables: Tables, baselines: Baselines, discretiser: Discretiser
) -> list[dict[str, Any]]:
    """Return for each group the mean distance of its 1-way and 2-way marginals from the same group's.

    The group's own columns are left out. Groups with few rows carry null and the reason.

    Privacy:
        Not private: figures of real records.
    """
    out = []
    for grouping in groupings(tables):
        members = {name: grouping.members(table) for name, table in baselines.judged.items()}
        in_reference = grouping.members(baselines.reference)
        for i, group in enumerate(grouping.groups):
            inside = in_reference == i
            fewest = min(inside.sum(), *((chosen == i).sum() for chosen in members.values()))
            entry: dict[str, Any] = {"group": group, "n_reference_rows": int(inside.sum())}
            if fewest < MIN_ROWS:
                empty = {"tv_1way": figure(None), "tv_2way": figure(None)}
                out.append(
                    {**entry, **empty, "reason": f"fewer than {MIN_ROWS} rows of this group in a table"}
                )
                continue
            reference = Coded.of(
                baselines.reference[inside], discretiser, baselines.reference_weights[inside]
            )
            judged = {
                name: Coded.of(table[members[name] == i], discretiser)
                for name, table in baselines.judged.items()
            }
            names = [name for name in baselines.reference.columns if name not in grouping.columns]
            for key, size in (("tv_1way", 1), ("tv_2way", 2)):
                chosen = list(itertools.combinations(names, size))
                means = {
                    name: float(
                        np.mean([total_variation(t, reference, c, discretiser.sizes) for c in chosen])
                    )
                    if chosen
                    else np.nan
                    for name, t in judged.items()
                }
                entry[key] = figure_of(means)
            out.append(entry)
    return out
