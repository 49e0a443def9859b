"""Fidelity: do the synthetic rows look like rows of the source, one by one, together, and in each group?"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from privsynth.io.source import Table
from privsynth.metrics.common.baselines import Baselines, figure_of
from privsynth.metrics.common.estimates import figure
from privsynth.metrics.common.marginals import Coded, column_triples, total_variation
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.fidelity.associations import compare_associations
from privsynth.metrics.fidelity.by_group import compare_within_groups
from privsynth.metrics.fidelity.distributions import column_distribution
from privsynth.metrics.fidelity.missingness import compare_missingness
from privsynth.metrics.fidelity.rare_cells import compare_rare_cells
from privsynth.metrics.fidelity.sdmetrics_reports import compare_quality
from privsynth.metrics.fidelity.support import MAX_ROWS, compare_supports
from privsynth.metrics.fidelity.two_sample import TwoSampleResult, tell_synthetic_from_real, two_sample_figure
from privsynth.records.codes import Discretiser
from privsynth.schema import Schema

MAX_TRIPLES = 64
N_WORST_PAIRS = 10
INTERVALS = (
    "The interval of the two-sample test covers the sampling of the rows that were tested, for the model "
    "that was trained and this synthetic table: not another draw or another fit. Distances carry no "
    "interval; real rows show what sampling error alone does to them."
)


def fidelity(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    groups: Sequence[str] | None = None,
    max_triples: int = MAX_TRIPLES,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare the synthetic table with the source, each score beside what real and independent rows reach.

    Distances are total variation (0 = equal, 1 = disjoint) against the holdout, or against ``real`` without
    one. Numbers fall into 20 quantile bins of ``real``; a value that fills a bin has one of its own, and so
    has "missing". The ceiling puts real rows in place of the synthetic ones, the floor independent columns.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows.
        schema: The description of the table.
        holdout: Frame or path: rows of the same source that the generator never saw.
        groups: Columns within whose groups marginals are compared; the schema's if None.
        max_triples: Largest number of triples of columns compared.
        random_state: Seed of the rows drawn for ceiling, floor and test.

    Returns:
        ``reference``; as figures ``tv_1way``, ``tv_2way``, ``tv_3way``, ``wasserstein`` (mean over numeric
        columns, in standard deviations of the reference), ``quality`` and ``diagnostic`` of sdmetrics,
        ``two_sample`` (see `privsynth.metrics.fidelity.two_sample`), ``support`` (see
        `privsynth.metrics.fidelity.support`), ``associations``; ``columns``, ``pairs``, ``worst_pairs``, each
        with a figure ``tv``; ``missingness``, ``rare_cells``, ``by_group``; ``intervals``, which says what
        they cover.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout, groups=groups)
    return assess_fidelity(tables, max_triples=max_triples, random_state=random_state)


def assess_fidelity(
    tables: Tables,
    told: dict[str, TwoSampleResult] | None = None,
    *,
    max_triples: int = MAX_TRIPLES,
    max_support_rows: int = MAX_ROWS,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `fidelity`. The two-sample test is run unless given.

    Privacy:
        Not private: figures of real records.
    """
    generator = np.random.default_rng(random_state)
    baselines = Baselines.of(tables, generator)
    discretiser = Discretiser.fit(tables.real.frame, tables.real_weights)
    reference = Coded.of(baselines.reference, discretiser, baselines.reference_weights)
    judged = baselines.each(lambda table: Coded.of(table, discretiser))

    def distance(columns: Sequence[str]) -> dict[str, Any]:
        sizes = discretiser.sizes
        return figure_of({n: total_variation(t, reference, columns, sizes) for n, t in judged.items()})

    names = list(tables.real.frame.columns)
    columns = [_column(tables, baselines, name, distance([name])) for name in names]
    pairs: list[dict[str, Any]] = [
        {"columns": list(pair), "tv": distance(pair)} for pair in itertools.combinations(names, 2)
    ]
    triples = [distance(triple) for triple in column_triples(names, max_triples)]
    if told is None:
        told = tell_synthetic_from_real(tables, random_state=random_state)
    return {
        "status": "assessed",
        "reference": "real" if tables.holdout is None else "holdout",
        "tv_1way": _mean(column["tv"] for column in columns),
        "tv_2way": _mean(pair["tv"] for pair in pairs),
        "tv_3way": _mean(triples),
        "n_triples": len(triples),
        "wasserstein": _mean(column["wasserstein"] for column in columns if "wasserstein" in column),
        **compare_quality(tables, baselines, generator),
        "two_sample": two_sample_figure(told),
        "support": compare_supports(baselines, max_rows=max_support_rows, generator=generator),
        "associations": compare_associations(baselines),
        "missingness": compare_missingness(baselines),
        "rare_cells": compare_rare_cells(reference, judged, names, discretiser.sizes),
        "by_group": compare_within_groups(tables, baselines, discretiser),
        "columns": columns,
        "pairs": pairs,
        "worst_pairs": sorted(pairs, key=lambda pair: -pair["tv"]["value"])[:N_WORST_PAIRS],
        "intervals": INTERVALS,
    }


def _column(tables: Tables, baselines: Baselines, name: str, tv: dict[str, Any]) -> dict[str, Any]:
    column, real, synthetic = (
        tables.schema.columns[name],
        tables.real.frame[name],
        baselines.judged["synthetic"][name],
    )
    out: dict[str, Any] = {"column": name, "type": column.type, "tv": tv}
    if column.is_numeric:
        reference, weights = baselines.reference[name].to_numpy(), baselines.reference_weights
        out["wasserstein"] = figure_of(
            baselines.each(lambda table: scaled_wasserstein(reference, weights, table[name].to_numpy()))
        )
    out["distribution"] = column_distribution(column, real, tables.real_weights, synthetic)
    return out


def scaled_wasserstein(reference: np.ndarray, weights: np.ndarray, values: np.ndarray) -> float:
    """Return the 1-Wasserstein distance of known values, in standard deviations of the reference.

    NaN where one side has no known value or the reference is constant.

    Args:
        reference: Numbers, NaN where missing.
        weights: Weight of each of them.
        values: Numbers to judge, equally weighted, NaN where missing.

    Privacy:
        Not private: of real values, if the reference holds them.

    Example:
        >>> scaled_wasserstein(np.array([0.0, 2.0]), np.ones(2), np.array([1.0, 3.0]))  # all moved by one
        1.0
    """
    known, found = ~np.isnan(reference), values[~np.isnan(values)]
    reference, weights = reference[known], weights[known]
    if len(reference) == 0 or len(found) == 0 or np.ptp(reference) == 0:
        return float("nan")
    spread = np.sqrt(np.cov(reference, aweights=weights, ddof=0))
    return float(wasserstein_distance(reference, found, weights) / spread)


def _mean(figures: Iterable[dict[str, Any]]) -> dict[str, Any]:
    listed = list(figures)

    def mean_of(key: str) -> float | None:
        values = [each[key] for each in listed if each[key] is not None]
        return float(np.mean(values)) if values else None

    return figure(mean_of("value"), ceiling=mean_of("ceiling"), floor=mean_of("floor"))
