"""Rows that are drawn one after another under inequalities with the row before: they always hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.histories import SequenceModel, draw_histories
from privsynth.sampling.intervals import IntervalColumn
from privsynth.sampling.plan import make_plan
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.schema.sequences import sequence_view
from tests.helpers.chi_square import fits, tilted

COLUMNS = {
    "who": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person"},
    "born": {"type": "integer", "low": 0, "high": 12, "per": "person"},
    "day": {"type": "integer", "low": 0, "high": 40, "role": "order"},
    "left": {"type": "integer", "low": 0, "high": 45},
    "a": {"type": "integer", "low": 0, "high": 12},
    "b": {"type": "integer", "low": 3, "high": 9, "missing": True},
    "x": {"type": "real", "low": -1, "high": 1},
    "y": {"type": "real", "low": -2, "high": 0.5, "missing": True},
    "cost": {"type": "real", "low": 0, "high": 30, "decimals": 1},
}


def rule(*columns, strict=False):
    return {"kind": "inequality", "columns": list(columns), "strict": strict}


def sequences(*rules, cap=5, seed=0, n_components=6) -> SequenceModel:
    """Return a random model of rows under rules, each value or sixteenth of a line with a bin of its own."""
    rng, schema = np.random.default_rng(seed), Schema(COLUMNS, max_records_per_person=cap, constraints=rules)
    view = sequence_view(schema)
    domains: dict[str, Domain] = {}
    blocks = []
    for column in view.modelled:
        if column.is_numeric:
            low, high = (round(end / (column.step or 1.0), 6) for end in column.bounds)
            grid = NumericGrid.between(low, high, discrete=column.step is not None)
            cells = np.arange(grid.n_cells) % 16
            cells = np.unique(cells, return_inverse=True)[1]
            weight = rng.random(grid.n_cells) + 0.1
            weight /= np.bincount(cells, weights=weight)[cells]
            domains[column.name] = NumericDomain(column, grid, cells, weight, bool(column.missing))
        else:
            domains[column.name] = DiscreteDomain(column, tuple(column.labels), False, bool(column.missing))
        size = domains[column.name].size
        block = rng.dirichlet(np.full(size, 0.5), n_components).astype(np.float32)
        blocks.append(block)
    mixture = ProductMixture(tuple(domains), tuple(blocks))
    return SequenceModel.of(schema, TableModel(view, domains, mixture, 1000.0, 1.0, ()))


def drawn(model: SequenceModel, n: int, seed=0, **asked) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    plan = make_plan(model.persons, SampleRequest(n=n, on_unsupported="warn", **asked), rng)
    return pd.concat(list(draw_histories(model, plan, rng)), ignore_index=True)


def keeps_to(rows: pd.DataFrame, columns, strict=False) -> bool:
    """Say whether every row keeps to an inequality; first rows have none before them."""
    before = rows.groupby("who").shift()
    last = pd.Series(-np.inf, index=rows.index)
    for name in columns:
        of = before[name.removeprefix("prev.")] if name.startswith("prev.") else rows[name]
        of = of.astype(float)
        known = of.notna()
        if not ((of > last) if strict else (of >= last))[known].all():
            return False
        last = of.where(known, last)
    return True


RULES = [
    ("prev.a", "a"),
    ("a", "prev.a"),
    ("prev.b", "b"),
    ("prev.cost", "cost"),
    ("cost", "prev.cost"),
    ("prev.x", "x"),
    ("y", "prev.x"),
    ("prev.left", "day"),
    ("prev.left", "day", "left"),
    ("prev.a", "b", "a"),
    ("born", "prev.a", "a"),
    ("prev.b", "a"),
    ("prev.a", "b"),
    ("born", "day"),
]


@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize("columns", RULES, ids=" ".join)
def test_every_row_keeps_to_the_row_before(columns, strict) -> None:
    if strict and ((columns[1] == "prev.a" and len(columns) == 3) or columns == ("prev.a", "b", "a")):
        columns = (
            columns[::2] if columns[0] != "born" else columns[1:]
        )  # no strict chain over what may be missing
    rows = drawn(sequences(rule(*columns, strict=strict), seed=len(columns)), 400)
    assert len(rows) > 800
    assert keeps_to(rows, columns, strict)
    assert rows.groupby("who")["day"].diff().dropna().ge(1).all()
    for name, fields in COLUMNS.items():
        if "low" in fields:
            assert rows[name].dropna().between(fields["low"], fields["high"]).all()
    free = drawn(sequences(seed=len(columns)), 400)
    assert not keeps_to(free, columns, strict)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [("prev.a", "a"), ("y", "prev.x"), ("prev.left", "day", "left"), ("prev.b", "cost")][:3]
        ),
        unique=True,
    ),
    st.booleans(),
    st.integers(0, 40),
    st.integers(0, 2**32),
    st.integers(1, 12),
)
def test_rules_and_requests_hold_together(chosen, strict, n, seed, cap) -> None:
    model = sequences(*(rule(*columns, strict=strict) for columns in chosen), seed=seed, cap=cap)
    rows = drawn(model, 2 * n, seed, balance=["sex"], conditions={"n_records": list(range(1, cap + 1))})
    for columns in chosen:
        assert keeps_to(rows, columns, strict)
    persons = rows.groupby("who")["sex"].first().value_counts()
    assert persons.to_dict() == ({"F": n, "M": n} if n else {})
    assert rows.groupby("who").size().between(1, cap).all()


def test_a_strict_rise_leaves_room_for_the_rows_that_follow() -> None:
    model = sequences(rule("prev.a", "a", strict=True), cap=13, seed=1)
    rows = drawn(model, 100, conditions={"n_records": 13})
    assert rows["a"].tolist() == list(range(13)) * 100
    falling = drawn(
        sequences(rule("a", "prev.a", strict=True), cap=13, seed=1), 50, conditions={"n_records": 13}
    )
    assert falling["a"].tolist() == list(range(12, -1, -1)) * 50


def test_what_the_model_gives_no_probability_still_keeps_to_the_rule() -> None:
    model = sequences(rule("prev.left", "day", "left"), seed=2)
    blocks = dict(zip(model.rows.mixture.columns, model.rows.mixture.blocks, strict=True))
    for name in ("left", "gap.day"):  # stays end at once, and the next one begins as soon as it can
        blocks[name] = np.zeros_like(blocks[name])
        blocks[name][:, 0] = 1.0
    mixture = ProductMixture(tuple(blocks), tuple(blocks.values()))
    rows = drawn(
        SequenceModel.of(
            model.schema, TableModel(model.rows.schema, model.rows.domains, mixture, 9.0, 1.0, ())
        ),
        300,
    )
    assert keeps_to(rows, ("prev.left", "day", "left"))


# -- by the exact law ----------------------------------------------------------------------------------


@pytest.mark.parametrize("discrete", [True, False])
def test_values_within_an_interval_follow_the_law_given_it(discrete) -> None:
    rng = np.random.default_rng(4)
    column = Schema({"a": {"type": "integer" if discrete else "real", "low": 0, "high": 11}}).columns["a"]
    grid = NumericGrid(0.0, 11.0, discrete, np.array([0.0, 2.0, 5.0, 6.0, 9.0]))
    weight = np.array([0.25, 1.0, 0.75, 0.5, 0.5])  # bins are cells 0 and 2, 1, 3 and 4
    domain = NumericDomain(column, grid, np.array([0, 1, 0, 2, 2]), weight, False)
    block = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], dtype=np.float32)
    values = np.arange(12) if discrete else np.linspace(0, 11, 111)[:-1] + 0.05
    widths = grid.widths()
    density = (block[:, domain.bin_of_cell] * weight / widths)[:, grid.index(values.astype(float))]
    for low, high in ((3.0, 9.0), (0.0, 4.0), (6.0, 7.0), (-np.inf, np.inf)):
        keep = (values >= low) & (values <= high)
        n = 60_000
        rows = IntervalColumn(domain, block, np.full(n, low), np.full(n, high))
        law = density * keep
        mass = law.sum(axis=1) / density.sum(axis=1)
        assert rows.weights(slice(0, 3)) == pytest.approx(np.tile(mass, (3, 1)), rel=1e-5)
        for k in (0, 1):
            seen = rows.draw(np.full(n, k), rng)
            at = seen.astype(int) if discrete else np.minimum((seen * 10).astype(int), 109)
            counts = np.bincount(at, minlength=len(values))
            assert fits(counts, law[k])
            assert not fits(counts, tilted(law[k]))


def test_the_next_value_follows_the_law_given_the_row_before() -> None:
    """By two components: which of them a row comes from hangs on how likely it makes what the rule allows."""
    model = sequences(rule("prev.a", "b"), cap=2, seed=3, n_components=2)
    rows = drawn(model, 60_000, conditions={"n_records": 2})
    first, second = (rows.groupby("who").nth(i).reset_index(drop=True) for i in (0, 1))
    domains = model.rows.domains
    blocks = dict(zip(model.rows.mixture.columns, model.rows.mixture.blocks, strict=True))

    def of(name, values):
        codes = domains[name].code_of_ticks(values.to_numpy(dtype=float))
        return blocks[name][:, codes].astype(float)

    person = of("born", first["born"]) * blocks["sex"][:, first["sex"].eq("M").to_numpy(dtype=int)]
    person = person * blocks["n_records"][:, 1:2] * of("start.day", first["day"]) * blocks["first"][:, :1]
    before = np.ones_like(person)
    for name in ("left", "a", "b", "x", "y", "cost"):
        ticks = first[name] if name != "cost" else (first[name] * 10).round()
        before *= of(f"prev.{name}", ticks)
    moved = of("gap.day", second["day"] - first["day"])
    b = np.r_[np.arange(3, 10), np.nan]
    line = np.column_stack(
        [blocks["b"][:, domains["b"].bin_of_cell] * domains["b"].cell_weight, blocks["b"][:, -1]]
    )
    keep = np.isnan(b)[None, :] | (first["a"].to_numpy()[:, None] <= b[None, :])
    weights = person * before * moved * of("day", second["day"])
    law = (weights.T[:, :, None] * line[None]).sum(axis=1) * keep
    certain = law.sum(axis=1) > 0
    law = (law[certain] / law[certain].sum(axis=1, keepdims=True)).sum(axis=0)
    values = second["b"].to_numpy(dtype=float, na_value=np.nan)[certain]
    seen = np.bincount(np.where(np.isnan(values), 7, values - 3).astype(int), minlength=8)
    assert fits(seen, law)
    assert not fits(seen, tilted(law))
