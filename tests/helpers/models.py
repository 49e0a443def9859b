"""Table models out of nothing: random mixtures over made-up columns, and strategies for requests on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from privsynth.domains.encoding import DiscreteDomain, Domain, NumericDomain, NumericGrid
from privsynth.models.tables.mixture import ProductMixture
from privsynth.sampling.plan import Plan, make_plan, support_table
from privsynth.sampling.request import SampleRequest
from privsynth.sampling.rows import draw_rows
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Column, Schema

COLUMNS: dict[str, dict[str, Any]] = {
    "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
    "ward": {"type": "categorical", "categories": [1, 2, 3], "missing": True},
    "town": {"type": "categorical", "categories": "private"},
    "ill": {"type": "boolean", "role": "target"},
    "smokes": {"type": "boolean", "values": ["no", "yes"], "missing": True},
    "age": {"type": "integer", "low": 0, "high": 99},
    "debt": {"type": "integer", "low": -1_000_000, "high": 1_000_000, "missing": True},
    "cost": {"type": "real", "low": 0, "high": 5000, "decimals": 2},
    "dose": {"type": "real", "low": -1, "high": 1},
    "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31"},
    "note": {"type": "text", "drop": True},
    "person": {"type": "id", "role": "key"},
}
N_UNITS = 1000.0


def domain_of(column: Column, rng: np.random.Generator) -> Domain:
    """Return a domain with everything that may occur in one: point_masses, uneven bins, other, missing."""
    if not column.is_numeric:
        values = column.boolean_values if column.type == "boolean" else column.categories
        is_private = values == "private"
        return DiscreteDomain(
            column, ("Bonn", "Ulm") if is_private else values, is_private, bool(column.missing)
        )
    low, high = column.bounds
    if column.step is not None:
        low, high = round(low / column.step), round(high / column.step)
    grid = NumericGrid.between(float(low), float(high), discrete=column.step is not None)
    grid = grid.with_point_masses(np.array([0.0])) if low <= 0 <= high else grid
    bins = np.minimum(np.arange(grid.n_cells) // 40, 7)
    weight = rng.random(grid.n_cells) + 0.01
    return NumericDomain(
        column, grid, bins, weight / np.bincount(bins, weights=weight)[bins], bool(column.missing)
    )


def model_of(
    names: list[str],
    *,
    seed: int = 0,
    k: int = 4,
    concentration: float = 1.0,
    n_units: float = N_UNITS,
    measured: tuple[Any, ...] = (),
    columns: dict[str, Any] | None = None,
    **of_schema: Any,
) -> TableModel:
    """Return a model with random components over some of the columns."""
    rng = np.random.default_rng(seed)
    schema = Schema({name: (columns or COLUMNS)[name] for name in names}, **of_schema)
    domains = {column.name: domain_of(column, rng) for column in schema.modelled}
    blocks = [rng.dirichlet(np.full(d.size, concentration), k).astype(np.float32) for d in domains.values()]
    mixture = ProductMixture(tuple(domains), tuple(blocks))
    return TableModel(schema, domains, mixture, n_units, 5.0, tuple(measured))


def with_blocks(model: TableModel, **blocks: Any) -> TableModel:
    """Return the model with the components of some columns replaced."""
    mixture = model.mixture
    kept = zip(mixture.columns, mixture.blocks, strict=True)
    new = tuple(np.asarray(blocks.get(name, block), dtype=np.float32) for name, block in kept)
    return replace(model, mixture=ProductMixture(mixture.columns, new))


def plan_of(model: TableModel, *, seed: int = 0, **request: Any) -> Plan:
    """Return the plan of a request."""
    return make_plan(model, SampleRequest(**request), np.random.default_rng(seed))


def rows_of(model: TableModel, *, seed: int = 0, **request: Any) -> pd.DataFrame:
    """Draw the rows of a request, as a synthesizer does."""
    rng = np.random.default_rng(seed)
    return draw_rows(make_plan(model, SampleRequest(**request), rng), rng)


def support_of(model: TableModel, **request: Any) -> pd.DataFrame:
    """Return the support of a request."""
    return support_table(model, SampleRequest(**request), np.random.default_rng(0))


# -- strategies ----------------------------------------------------------------------------------------

RANGES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Any]]] = {
    "age": (st.integers(0, 99), lambda v: v),
    "debt": (st.integers(-1_000_000, 1_000_000), lambda v: v),
    "cost": (st.integers(0, 500_000), lambda v: v / 100),
    "dose": (st.floats(-1, 1, width=32), lambda v: v),
    "day": (st.integers(0, 365), lambda v: pd.Timestamp("2020-01-01") + pd.Timedelta(days=v)),
}
VALUES: dict[str, list[Any]] = {
    "sex": ["F", "M"],
    "ward": [1, 2, 3, None],
    "town": ["Bonn", "Ulm", "other"],
    "ill": [False, True],
    "smokes": ["no", "yes", None],
}


@st.composite
def conditions_on(draw: Any, name: str) -> tuple[Any, Callable[[pd.Series], pd.Series]]:
    """Draw a condition on a column, and a function that says of a synthetic column where it holds."""
    if name in VALUES:
        allowed = draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, unique=True))
        condition = allowed[0] if len(allowed) == 1 and draw(st.booleans()) else allowed
        return condition, lambda column: column.isin(allowed) | (column.isna() & (None in allowed))
    ends, value_of = RANGES[name]
    if name != "dose" and draw(st.booleans()):  # a single value of a real without decimals has no mass
        listed = [value_of(v) for v in draw(st.lists(ends, min_size=1, max_size=4, unique=True))]
        return listed, lambda column: column.isin(listed)
    low, high = sorted((draw(ends), draw(ends)))
    if name == "dose" and high - low < 1e-3:
        low, high = -1.0, 1.0
    low, high = value_of(low), value_of(high)
    form = draw(st.sampled_from(["tuple", "both", "low", "high"]))
    condition = {
        "tuple": (low, high),
        "both": {"low": low, "high": high},
        "low": {"low": low},
        "high": {"high": high},
    }[form]
    first = low if form != "high" else None
    last = high if form != "low" else None
    return condition, lambda column: (
        (column.ge(first) if first is not None else column.notna())
        & (column.le(last) if last is not None else column.notna())
    ).fillna(False)


@st.composite
def conditioned_columns(draw: Any) -> tuple[list[str], dict[str, Any]]:
    """Draw column names of a table, and conditions (with their checks) on some of them."""
    names = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=6, unique=True))
    names = names if set(names) - {"note", "person"} else [*names, "age"]
    modelled = [name for name in names if name not in ("note", "person")]
    conditioned = draw(st.lists(st.sampled_from(modelled), unique=True))
    return names, {name: draw(conditions_on(name)) for name in conditioned}
