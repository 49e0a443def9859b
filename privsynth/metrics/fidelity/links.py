"""Links: do synthetic rows belong together across tables as real ones do?

Every figure compares families with those that the generator was fitted to, and stands beside two references:
the holdout's families, and independent links (the real rows, each dealt to a row of its parent's table at
random). Each person counts once: a row weighs its parent's weight over the number of rows there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.common.distances import distance_by_chance, distances, mean_figure, some_pairs
from privsynth.metrics.common.families import Families, LinkedTables, load_linked_tables
from privsynth.metrics.common.marginals import Coded
from privsynth.metrics.common.sides import Sides
from privsynth.metrics.fidelity.sdmetrics_links import MAX_ROWS, compare_links_by_sdmetrics
from privsynth.records.codes import Discretiser, joint_cells
from privsynth.records.linked import Tables
from privsynth.schema.linked import LinkedSchema
from privsynth.schema.linked_tables import given_name

N_PAIR_BINS = 8
N_BINS = 20
COUNT = "n"
"""The number of rows below, among the columns of a row."""

INTERVALS = (
    "Distances carry no interval; the holdout shows what sampling error alone does to them, and has fewer "
    "persons than the real tables as a rule."
)


def links(
    real: Tables,
    synthetic: Tables,
    *,
    schema: LinkedSchema,
    holdout: Tables | None = None,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare how synthetic rows belong together across tables with how real ones do.

    Args:
        real: A mapping of names to tables, or a folder: what the generator was fitted to.
        synthetic: As ``real``: what was released.
        schema: The description of the tables.
        holdout: As ``real``; persons of the same source that the generator never saw.
        random_state: Seed of every draw.

    Returns:
        The figures of `assess_links`.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see
            `privsynth.metrics.common.families.load_linked_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_linked_tables(real, synthetic, schema=schema, holdout=holdout)
    return assess_links(tables, random_state=random_state)


def assess_links(tables: LinkedTables, *, max_rows: int = MAX_ROWS, random_state: int = 0) -> dict[str, Any]:
    """Return the section of the report.

    Distances are total variation (0 = equal, 1 = disjoint). Numbers fall into quantile bins of the source,
    and "missing" has a bin of its own.

    Args:
        tables: The tables.
        max_rows: Rows of the largest table that sdmetrics is given, as whole families drawn at random.
        random_state: Seed of the rows that are dealt and drawn.

    Returns:
        ``n_persons`` and ``orphans`` (rows that lead to nobody, by table) of each side; ``links``, of each
        table below another: ``table``, ``parent``, ``cap``, ``mean_children`` of each side (top-coded at the
        cap), ``cut`` (share of the real rows above the cap) and, as figures,
        ``children`` (how many rows a row of the parent has, top-coded at the cap; ``by_chance`` is about what
        sampling alone gives), ``children_given`` (that number with a column of the parent, mean),
        ``pairs_tv`` (a column above with a column of the table, mean over ``pairs``) and ``totals`` (rows of
        a person, and sums of a person's numbers, mean over ``by_total``); ``sdmetrics``, scores of its
        quality report on all tables, of which 1 is best; ``intervals``.

    Privacy:
        Not private: figures of real records.
    """
    generator = np.random.default_rng([random_state, 5])
    compared = Sides.of(
        tables.real,
        synthetic=tables.synthetic,
        floor=tables.real.dealt(generator),
        ceiling=tables.holdout,
    )
    return {
        "status": "assessed",
        "n_persons": {side: families.n_persons for side, families in tables.sides.items()},
        "orphans": {side: dict(families.orphans) for side, families in tables.sides.items()},
        "links": [_link(compared, name, tables) for name in tables.real.parents],
        "sdmetrics": compare_links_by_sdmetrics(compared, generator, max_rows=max_rows),
        "intervals": INTERVALS,
    }


def _link(compared: Sides[Families], name: str, tables: LinkedTables) -> dict[str, Any]:
    table = tables.schema.tables[name]
    totals, pairs = _totals(compared, name), _pairs(compared, name)
    return {
        "table": name,
        "parent": table.parent,
        "cap": table.max_records_per_parent,
        "mean_children": {side: _mean_children(families, name) for side, families in tables.sides.items()},
        "cut": _cut(compared.source, name),
        "children": _children(compared, name),
        "children_given": _children_given(compared, name),
        "pairs_tv": mean_figure([pair["tv"] for pair in pairs]),
        "pairs": pairs,
        "totals": mean_figure([total["tv"] for total in totals]),
        "by_total": totals,
    }


def _mean_children(families: Families, name: str) -> float | None:
    parent = str(families.schema.tables[name].parent)
    n_children, weights = _counted(families, name), families.weights(parent)
    return float(np.average(n_children, weights=weights)) if len(weights) else None


def _cut(families: Families, name: str) -> float | None:
    """Return which share of the rows is above what is used of each row of the parent."""
    n_rows = len(families.frames[name])
    return 1 - float(_counted(families, name).sum()) / n_rows if n_rows else None


def _counted(families: Families, name: str) -> np.ndarray:
    return np.minimum(families.n_children(name), families.schema.tables[name].max_records_per_parent)


def _children(compared: Sides[Families], name: str) -> dict[str, Any]:
    size = {COUNT: compared.source.schema.tables[name].max_records_per_parent + 1}
    parent = str(compared.source.schema.tables[name].parent)

    def counts(families: Families) -> Coded | None:
        return _coded({COUNT: _counted(families, name)}, families.weights(parent))

    source, judged = counts(compared.source), compared.each(counts)
    found = distances(source, judged, [COUNT], size)
    synthetic = judged["synthetic"]
    if source is None or synthetic is None:
        return found | {"by_chance": None}
    shares, others = (
        np.bincount(joint_cells(of.codes, [COUNT], size), of.weights, size[COUNT])
        for of in (source, synthetic)
    )
    return found | {
        "by_chance": distance_by_chance(shares, others, len(source.weights), len(synthetic.weights))
    }


def _children_given(compared: Sides[Families], name: str) -> dict[str, Any]:
    """Return how the number of rows goes with the columns of the row that they belong to, as a mean."""
    parent = str(compared.source.schema.tables[name].parent)
    frame = compared.source.frames[parent]
    discretiser = Discretiser.fit(frame, compared.source.weights(parent), n_bins=N_PAIR_BINS)
    sizes = discretiser.sizes | {COUNT: compared.source.schema.tables[name].max_records_per_parent + 1}

    def coded(families: Families) -> Coded | None:
        codes = discretiser.codes(families.frames[parent]) | {COUNT: _counted(families, name)}
        return _coded(codes, families.weights(parent))

    source, judged = coded(compared.source), compared.each(coded)
    columns = [column for column in frame.columns if column != COUNT]
    return mean_figure([distances(source, judged, [column, COUNT], sizes) for column in columns])


def _pairs(compared: Sides[Families], name: str) -> list[dict[str, Any]]:
    """Return how the columns of a table go with those of the tables above, worst last as they come."""
    source = compared.source
    above = [(table, column) for table in source.rows_above(name) for column in source.frames[table].columns]
    chosen = some_pairs(list(itertools.product(above, source.frames[name].columns)))
    frame = source.beside_above(name)
    discretiser = Discretiser.fit(frame, source.weights(name), n_bins=N_PAIR_BINS)

    def coded(families: Families) -> Coded | None:
        beside = families.beside_above(name)
        return _coded(discretiser.codes(beside), families.weights(name))

    of_source, judged = coded(source), compared.each(coded)
    return [
        {
            "above": given_name(table, column),
            "column": below,
            "tv": distances(of_source, judged, [given_name(table, column), below], discretiser.sizes),
        }
        for (table, column), below in chosen
    ]


def _totals(compared: Sides[Families], name: str) -> list[dict[str, Any]]:
    """Return how the rows of a person, and the sums of their numbers, are distributed over persons."""
    source = compared.source
    columns = [
        column.name
        for column in source.schema.tables[name].schema.modelled
        if column.type in ("integer", "real") and column.role != "order"
    ]
    of_source = _sums(source, name, columns)
    discretiser = Discretiser.fit(of_source, np.ones(len(of_source)), n_bins=N_BINS)

    def coded(families: Families) -> Coded | None:
        sums = _sums(families, name, columns)
        return _coded(discretiser.codes(sums), np.ones(len(sums)))

    by_source, judged = coded(source), compared.each(coded)
    return [
        {
            "column": None if total == _ROWS else total,
            "tv": distances(by_source, judged, [total], discretiser.sizes),
        }
        for total in of_source.columns
    ]


_ROWS = "\x00rows"  # no column is named so


def _sums(families: Families, name: str, columns: list[str]) -> pd.DataFrame:
    persons, n = families.persons(name), families.n_persons
    sums = {_ROWS: np.bincount(persons, minlength=n).astype(np.float64)}
    for column in columns:
        values = families.frames[name][column].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        total = np.bincount(persons[known], values[known], n)
        sums[column] = np.where(np.bincount(persons[known], minlength=n) > 0, total, np.nan)
    return pd.DataFrame(sums)


def _coded(codes: Mapping[str, np.ndarray], weights: np.ndarray) -> Coded | None:
    return Coded(dict(codes), weights / weights.sum()) if len(weights) else None
