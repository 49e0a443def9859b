"""Histories: does a synthetic table keep what happens to a person from one record to the next?

Every figure compares persons with those that the generator was fitted to, and stands beside two references:
the holdout's persons, and independent rows (the real rows dealt to the persons at random). Each person
counts once.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from privsynth.io.source import Table
from privsynth.metrics.common.distances import distance_by_chance, distances, mean_figure, some_pairs
from privsynth.metrics.common.estimates import figure, not_assessed
from privsynth.metrics.common.histories import Histories, events_of, weights_of
from privsynth.metrics.common.learners import BOOSTING
from privsynth.metrics.common.marginals import Coded
from privsynth.metrics.common.sides import Sides
from privsynth.metrics.common.tables import Tables, load_tables
from privsynth.metrics.fidelity.autocorrelation import compare_autocorrelations
from privsynth.metrics.fidelity.history_two_sample import tell_histories_apart
from privsynth.metrics.fidelity.sdmetrics_sequences import compare_by_sdmetrics
from privsynth.metrics.fidelity.timelines import draw_timelines
from privsynth.metrics.utility.next_event import assess_next_event
from privsynth.records.codes import Discretiser
from privsynth.records.conform import Records
from privsynth.schema import Schema

LAGS = (1, 2)
N_LAG_BINS = 8
N_BINS = 20
N_BOOTSTRAP = 200
NOT_SEQUENTIAL = "the schema does not say that the rows of a person belong together"
INTERVALS = (
    "Intervals of correlations are percentile bootstraps over the synthetic persons: they cover the drawing "
    "of persons from this generator, not another fit. Distances carry no interval; the holdout shows what "
    "sampling error alone does to them, and has fewer persons than the real table as a rule."
)


def sequences(
    real: Table,
    synthetic: Table,
    *,
    schema: Schema,
    holdout: Table | None = None,
    target: str | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare what happens to synthetic persons, record by record, with what happens to real ones.

    Args:
        real: Frame or path: the records that the generator was fitted to.
        synthetic: Frame or path: the released rows, with a person column.
        schema: The description of the table, with ``per`` or an order.
        holdout: Frame or path: rows of the same source that the generator never saw.
        target: Column whose next value is predicted; the schema's if None.
        n_bootstrap: Replicates behind each interval.
        random_state: Seed of every draw.

    Returns:
        The figures of `compare_histories`; ``next_event``, see `privsynth.metrics.utility.next_event`;
        ``timelines``, see `privsynth.metrics.fidelity.timelines`. Or a section ``not_assessed``, where the
        schema does not say that the rows of a person belong together.

    Raises:
        PrivsynthError: If a table cannot be read as the schema says (see `load_tables`).

    Privacy:
        Not private: figures of real records.
    """
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout, target=target)
    return assess_sequences(tables, n_bootstrap=n_bootstrap, random_state=random_state)


def assess_sequences(
    tables: Tables, *, n_bootstrap: int = N_BOOTSTRAP, random_state: int = 0
) -> dict[str, Any]:
    """Return the section of the report; see `sequences`.

    Privacy:
        Not private: figures of real records.
    """
    if not tables.schema.is_sequential:
        return not_assessed(NOT_SEQUENTIAL)
    compared = sides_of(tables, np.random.default_rng(random_state))
    return {
        **compare_histories(compared, n_bootstrap=n_bootstrap, random_state=random_state),
        "next_event": assess_next_event(
            tables,
            synthetic=compared.judged["synthetic"],
            real=compared.source,
            independent=compared.judged["floor"],
            holdout=compared.judged.get("ceiling"),
            model=BOOSTING,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        ),
        "timelines": draw_timelines(
            compared.judged["synthetic"], target=tables.target, random_state=random_state
        ),
    }


def compare_histories(
    compared: Sides[Histories], *, n_bootstrap: int = N_BOOTSTRAP, random_state: int = 0
) -> dict[str, Any]:
    """Return the figures of histories.

    Distances are total variation (0 = equal, 1 = disjoint). Numbers fall into quantile bins of the source,
    and "missing" has a bin of its own.

    Args:
        compared: The histories.
        n_bootstrap: Replicates behind the intervals of correlations.
        random_state: Seed of the bootstrap and of the persons drawn.

    Returns:
        As figures ``records_per_person`` (top-coded at the schema's cap; independent rows keep it, so it has
        no floor; ``by_chance`` is about what sampling alone gives), ``gaps`` (None without an order),
        ``totals`` (mean over the columns of ``by_total``); ``lags``: for each lag ``tv`` (mean over
        ``pairs``: a column so many rows before with a column); ``autocorrelation`` (see
        `privsynth.metrics.fidelity.autocorrelation`); ``two_sample`` of whole histories (see
        `privsynth.metrics.fidelity.history_two_sample`); ``sdmetrics``, scores of which 1 is best;
        ``has_order``; ``n_persons``.

    Privacy:
        Not private: figures of real records.
    """
    generator = np.random.default_rng([random_state, 3])
    schema, totals = compared.source.schema, _totals(compared)
    return {
        "status": "assessed",
        "has_order": schema.order is not None,
        "n_persons": {
            "real": compared.source.n_persons,
            **{name: histories.n_persons for name, histories in compared.judged.items()},
        },
        "records_per_person": records_per_person(compared),
        "lags": _lags(compared),
        "gaps": None if schema.order is None else _gaps(compared),
        "totals": mean_figure([total["tv"] for total in totals]),
        "by_total": totals,
        "autocorrelation": compare_autocorrelations(
            compared.source, compared.judged, lags=LAGS, n_bootstrap=n_bootstrap, generator=generator
        ),
        "two_sample": tell_histories_apart(
            compared.source, compared.judged, generator, random_state=random_state
        ),
        "sdmetrics": compare_by_sdmetrics(compared.source, compared.judged, generator),
        "intervals": INTERVALS,
    }


def sides_of(tables: Tables, generator: np.random.Generator) -> Sides[Histories]:
    """Put the rows of all tables in order.

    Privacy:
        Not private: holds real records.
    """

    def of(table: Records) -> Histories:
        return Histories.of(table, tables.schema, generator)

    source, synthetic = of(tables.real), of(tables.synthetic)
    floor = source.dealt(generator)
    ceiling = None if tables.holdout is None else of(tables.holdout)
    return Sides.of(source, synthetic=synthetic, floor=floor, ceiling=ceiling)


def records_per_person(compared: Sides[Histories]) -> dict[str, Any]:
    """Return the distance of the numbers of records, top-coded at the schema's cap, as a figure.

    Privacy:
        Not private: figures of real records.
    """
    most = compared.source.schema.max_records_per_person
    assert most is not None, "a schema that names persons has a cap"

    def shares(histories: Histories) -> np.ndarray:
        sizes = np.minimum(histories.sizes, most)
        return np.bincount(sizes, minlength=most + 1) / max(len(sizes), 1)

    source, synthetic = shares(compared.source), compared.judged["synthetic"]
    found = {
        name: float(np.abs(shares(histories) - source).sum() / 2)
        for name, histories in compared.judged.items()
    }
    by_chance = distance_by_chance(source, shares(synthetic), compared.source.n_persons, synthetic.n_persons)
    return figure(found["synthetic"], ceiling=found.get("ceiling")) | {"by_chance": by_chance}


def _lags(compared: Sides[Histories]) -> list[dict[str, Any]]:
    names = [column.name for column in events_of(compared.source.schema)]
    source = compared.source
    discretiser = Discretiser.fit(source.frame[names], weights_of(source.persons), n_bins=N_LAG_BINS)
    chosen = some_pairs(list(itertools.product(names, names)))
    sizes = {f"{when} {name}": size for name, size in discretiser.sizes.items() for when in ("before", "at")}
    out = []
    for lag in LAGS:
        of_source = _lagged(source, discretiser, lag)
        judged = {name: _lagged(h, discretiser, lag) for name, h in compared.judged.items()}
        pairs: list[dict[str, Any]] = [
            {
                "before": before,
                "after": after,
                "tv": distances(of_source, judged, [f"before {before}", f"at {after}"], sizes),
            }
            for before, after in chosen
        ]
        out.append({"lag": lag, "tv": mean_figure([pair["tv"] for pair in pairs]), "pairs": pairs})
    return out


def _lagged(histories: Histories, discretiser: Discretiser, lag: int) -> Coded | None:
    """Return each row's codes beside those of the row so many before; None without such a row."""
    pairs, codes = histories.pairs(lag), discretiser.codes(histories.frame)
    if not len(pairs.later):
        return None
    before = {f"before {name}": of_one[pairs.earlier] for name, of_one in codes.items()}
    at = {f"at {name}": of_one[pairs.later] for name, of_one in codes.items()}
    return Coded(before | at, pairs.weights / pairs.weights.sum())


def _gaps(compared: Sides[Histories]) -> dict[str, Any]:
    moved, persons = compared.source.gaps()
    discretiser = Discretiser.fit(pd.DataFrame({"gap": moved}), weights_of(persons), n_bins=N_BINS)

    def coded(histories: Histories) -> Coded | None:
        steps, whose = histories.gaps()
        return Coded.of(pd.DataFrame({"gap": steps}), discretiser, weights_of(whose)) if len(steps) else None

    judged = {name: coded(histories) for name, histories in compared.judged.items()}
    return distances(coded(compared.source), judged, ["gap"], discretiser.sizes)


def _totals(compared: Sides[Histories]) -> list[dict[str, Any]]:
    names = [c.name for c in events_of(compared.source.schema) if c.type in ("integer", "real")]
    of_source = compared.source.totals(names)
    discretiser = Discretiser.fit(of_source, np.ones(len(of_source)), n_bins=N_BINS)
    source = Coded.of(of_source, discretiser)
    judged = {name: Coded.of(h.totals(names), discretiser) for name, h in compared.judged.items()}
    return [{"column": name, "tv": distances(source, judged, [name], discretiser.sizes)} for name in names]
