"""Fidelity: do the synthetic rows look like rows of the source, one, two and three columns at a time?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from privsynth.metrics.distributions import column_distribution
from privsynth.metrics.figures import figure
from privsynth.metrics.marginals import Coded, Discretiser, column_triples, total_variation
from privsynth.metrics.quality import MAX_ROWS, quality_scores
from privsynth.metrics.tables import Table, Tables, load_tables, weighted_rows
from privsynth.schema import Schema

MAX_TRIPLES = 64
N_WORST_PAIRS = 10


def fidelity(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    max_triples: int = MAX_TRIPLES,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare the marginals of the synthetic table with those of the source.

    Distances are total variation (0 = equal, 1 = disjoint) against the holdout, or against ``real`` without
    one. Numbers fall into 20 quantile bins of ``real``; a value that fills a bin has one of its own, and so
    has "missing". The ceiling puts real rows in place of the synthetic ones, the floor independent columns.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw.
        max_triples: Largest number of triples of columns compared.
        random_state: Seed of the rows drawn for ceiling and floor.

    Returns:
        ``reference``; ``tv_1way``, ``tv_2way``, ``tv_3way`` and ``quality`` as figures; ``columns``,
        ``pairs`` and ``worst_pairs``, each with a figure ``tv``.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout)
    return assess_fidelity(tables, max_triples=max_triples, random_state=random_state)


def assess_fidelity(
    tables: Tables, *, max_triples: int = MAX_TRIPLES, random_state: int = 0
) -> dict[str, Any]:
    """Return the section of the report; see `fidelity`.

    Privacy:
        Not private: figures of real records.
    """
    generator = np.random.default_rng(random_state)
    distance = _Distances(tables, generator)
    names = list(tables.real.frame.columns)
    by_column = {name: distance([name]) for name in names}
    pairs: list[dict[str, Any]] = [
        {"columns": list(pair), "tv": distance(pair)} for pair in itertools.combinations(names, 2)
    ]
    triples = [distance(triple) for triple in column_triples(names, max_triples)]
    return {
        "status": "assessed",
        "reference": "real" if tables.holdout is None else "holdout",
        "tv_1way": _mean(by_column.values()),
        "tv_2way": _mean(pair["tv"] for pair in pairs),
        "tv_3way": _mean(triples),
        "n_triples": len(triples),
        "quality": _quality(tables, generator),
        "columns": [
            {
                "column": column.name,
                "type": column.type,
                "tv": by_column[column.name],
                "distribution": column_distribution(
                    column,
                    tables.real.frame[column.name],
                    tables.real_weights,
                    tables.synthetic.frame[column.name],
                ),
            }
            for column in tables.schema.modelled
        ],
        "pairs": pairs,
        "worst_pairs": sorted(pairs, key=lambda pair: -pair["tv"]["value"])[:N_WORST_PAIRS],
    }


class _Distances:
    """Distance of the synthetic rows, and of ceiling and floor, from the reference on any columns."""

    def __init__(self, tables: Tables, generator: np.random.Generator) -> None:
        discretiser = Discretiser.fit(tables.real.frame, tables.real_weights)
        n_rows = min(
            len(tables.real.frame), len(tables.synthetic.frame)
        )  # sampling error as the synthetic one's
        self._sizes = discretiser.sizes
        self._synthetic = Coded.of(tables.synthetic.frame, discretiser)
        self._floor = Coded.of(tables.independent_sample(n_rows, generator), discretiser)
        self._ceiling: Coded | None = None
        self._reference = Coded.of(tables.real.frame, discretiser, tables.real_weights)
        if tables.holdout is not None:
            self._ceiling = Coded.of(tables.real_sample(n_rows, generator), discretiser)
            self._reference = Coded.of(tables.holdout.frame, discretiser, tables.holdout_weights)

    def __call__(self, columns: Sequence[str]) -> dict[str, Any]:
        def to_reference(table: Coded) -> float:
            return total_variation(table, self._reference, columns, self._sizes)

        return figure(
            to_reference(self._synthetic),
            ceiling=None if self._ceiling is None else to_reference(self._ceiling),
            floor=to_reference(self._floor),
        )


def _mean(figures: Any) -> dict[str, Any]:
    listed = list(figures)

    def mean_of(key: str) -> float | None:
        values = [each[key] for each in listed if each[key] is not None]
        return float(np.mean(values)) if values else None

    return figure(mean_of("value"), ceiling=mean_of("ceiling"), floor=mean_of("floor"))


def _quality(tables: Tables, generator: np.random.Generator) -> dict[str, Any]:
    """Return sdmetrics' score and properties as figures; weighted rows become a sample of equal ones."""
    n_rows = min(len(tables.real.frame), len(tables.synthetic.frame), MAX_ROWS)
    kept = generator.permutation(len(tables.synthetic.frame))[:MAX_ROWS]
    reference = tables.real_sample(min(len(tables.real.frame), MAX_ROWS), generator)
    if tables.holdout is not None:
        n_reference = min(len(tables.holdout.frame), MAX_ROWS)
        chosen = weighted_rows(tables.holdout_weights, n_reference, generator)
        reference = tables.holdout.frame.iloc[chosen]

    def scores(table: pd.DataFrame) -> dict[str, float | None]:
        return quality_scores(reference, table, tables.schema)

    value = scores(tables.synthetic.frame.iloc[kept])
    ceiling = scores(tables.real_sample(n_rows, generator)) if tables.holdout is not None else {}
    floor = scores(tables.independent_sample(n_rows, generator))

    def named(name: str) -> dict[str, Any]:
        return figure(value[name], ceiling=ceiling.get(name), floor=floor.get(name))

    return {"score": named("score"), "properties": {name: named(name) for name in value if name != "score"}}
