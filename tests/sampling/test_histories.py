"""Rows of persons, drawn one after another from models made by hand, and their calibration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.histories import SequenceModel, draw_histories, expected_rows
from privsynth.sampling.plan import make_plan
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.sequences import sequence_view

CAP = 4
SCHEMA = Schema(
    {
        "who": {"type": "id", "role": "person_id"},
        "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person"},
        "day": {"type": "integer", "low": 1, "high": 6, "role": "order"},
        "x": {"type": "boolean"},
    },
    max_records_per_person=CAP,
)


def domain_of(column) -> Domain:
    """Return every value of a column by itself."""
    if column.is_numeric:
        low, high = column.bounds
        grid = NumericGrid.between(low, high, discrete=True)
        cells = np.arange(grid.n_cells)
        return NumericDomain(column, grid, cells, np.ones(grid.n_cells), bool(column.missing))
    return DiscreteDomain(column, tuple(column.labels), False, bool(column.missing))


def model_of(components: list[dict[str, dict[int, float]]]) -> SequenceModel:
    """Return a model of components of equal weight; each names shares of the codes of some columns.

    What a component does not name is even; codes below zero count from the end.
    """
    view = sequence_view(SCHEMA)
    domains = {c.name: domain_of(c) for c in view.modelled}
    blocks = []
    for name, domain in domains.items():
        block = np.full((len(components), domain.size), 1.0 / domain.size, dtype=np.float32)
        for k, component in enumerate(components):
            if name in component:
                block[k] = 0.0
                for code, share in component[name].items():
                    block[k, code] = share
        blocks.append(block)
    mixture = ProductMixture(tuple(domains), tuple(blocks))
    return SequenceModel.of(SCHEMA, TableModel(view, domains, mixture, 1000.0, 1.0, ()))


FIRST_ROWS = {"first": {1: 1.0}, "prev.x": {-1: 1.0}, "gap.day": {-1: 1.0}}
ALTERNATES = [
    {**FIRST_ROWS, "x": {0: 1.0}, "start.day": {0: 1.0}},
    {**FIRST_ROWS, "x": {1: 1.0}, "start.day": {0: 1.0}},
    {"first": {0: 1.0}, "prev.x": {0: 1.0}, "x": {1: 1.0}, "gap.day": {0: 1.0}, "start.day": {0: 1.0}},
    {"first": {0: 1.0}, "prev.x": {1: 1.0}, "x": {0: 1.0}, "gap.day": {0: 1.0}, "start.day": {0: 1.0}},
]


def drawn(model: SequenceModel, n: int, **asked) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    plan = make_plan(model.persons, SampleRequest(n=n, **asked), rng)
    return pd.concat(list(draw_histories(model, plan, rng)), ignore_index=True)


def test_each_row_follows_from_the_one_before() -> None:
    rows = drawn(model_of(ALTERNATES), 400)
    before = rows.groupby("who")["x"].shift()
    known = before.notna()
    assert known.sum() > 300
    assert (before[known].astype(bool) != rows["x"][known]).all()
    assert rows["x"][~known].mean() == pytest.approx(0.5, abs=0.1)
    assert (rows.groupby("who")["day"].diff().dropna() == 1).all()
    assert (rows.groupby("who")["day"].first() == 1).all()


def test_the_rows_of_a_person_fit_onto_the_line_wherever_they_begin() -> None:
    late = [{**component, "start.day": {-1: 1.0}} for component in ALTERNATES]
    rows = drawn(model_of(late), 200, conditions={"n_records": CAP})
    assert (rows.groupby("who").size() == CAP).all()
    assert rows["day"].between(1, 6).all()
    assert (rows.groupby("who")["day"].diff().dropna() >= 1).all()
    wide = [{**c, "gap.day": {-2: 1.0}} if "x" in c and c["first"] == {0: 1.0} else c for c in ALTERNATES]
    rows = drawn(model_of(wide), 200, conditions={"n_records": CAP})
    assert rows["day"].between(1, 6).all()
    assert (rows.groupby("who")["day"].diff().dropna() >= 1).all()


def test_what_the_model_gives_no_probability_is_drawn_as_if_nothing_were_known() -> None:
    never = [*ALTERNATES[:2], {**ALTERNATES[2], "sex": {0: 1.0}}, {**ALTERNATES[3], "sex": {0: 1.0}}]
    rows = drawn(model_of(never), 100, conditions={"sex": "M", "n_records": 3})
    assert len(rows) == 300
    assert set(rows["sex"]) == {"M"}


def test_about_how_many_rows_persons_have() -> None:
    model = model_of([{**component, "n_records": {1: 0.5, 3: 0.5}} for component in ALTERNATES])
    assert expected_rows(model, 1000) == 3000
    assert len(drawn(model, 1000)) == 3000


def test_where_the_line_ends_rows_do_not_pile_up() -> None:
    """Rows move on by one to five days, from the third of six: each of the days that are left as often."""
    third, gaps = {"start.day": {2: 1.0}}, dict.fromkeys(range(5), 0.2)
    model = model_of([{**FIRST_ROWS, **third}, {"first": {0: 1.0}, "gap.day": gaps, **third}])
    last = drawn(model, 3000, conditions={"n_records": 2}).groupby("who")["day"].last()
    counts = last.value_counts()
    assert sorted(counts.index) == [4, 5, 6]
    assert (abs(counts - 1000) < 6 * np.sqrt(1000)).all()


def test_rows_leave_room_for_those_after_them_as_often_as_there_are_ways_to() -> None:
    """Three gaps of one to five days, from the first of six: the ten ways that fit come equally often."""
    gaps = {"gap.day": dict.fromkeys(range(5), 0.2), "start.day": {0: 1.0}}
    model = model_of([{**FIRST_ROWS, **gaps, "gap.day": {-1: 1.0}}, {"first": {0: 1.0}, **gaps}])
    rows = drawn(model, 5000, conditions={"n_records": 4})
    ways = rows.groupby("who")["day"].agg(tuple).value_counts()
    assert sorted(ways.index) == [(1, *rest) for rest in combinations(range(2, 7), 3)]
    assert (abs(ways - 500) < 5 * np.sqrt(450)).all()
