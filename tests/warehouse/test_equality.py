"""Memory, DuckDB and PostgreSQL count the same, of a table with all that they could read otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from privsynth.domains.doubling import doubling_bins
from privsynth.io.engines import EngineSource
from privsynth.io.tables import open_table
from privsynth.warehouse.records import RecordsInEngine
from tests.helpers.engines import Postgres, in_duckdb, postgres
from tests.warehouse.messy import TYPES, all_sets, codings, in_memory, messy, schema

SALT = "a salt of this test"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture(params=["duckdb", "postgres"])
def load(request: pytest.FixtureRequest) -> Any:
    if request.param == "duckdb":
        return in_duckdb
    return request.getfixturevalue("server").table


def opened(table: Any) -> EngineSource:
    source = open_table(table)
    assert isinstance(source, EngineSource)
    return source


@pytest.mark.parametrize("persons", [False, True], ids=["records", "persons"])
def test_all_tables_values_and_bounds_are_those_of_memory(load: Any, persons: bool) -> None:
    of, frame = schema(persons=persons), messy()
    memory = in_memory(frame, of, salt=SALT)
    engine = RecordsInEngine(opened(load(frame, TYPES)), of, "clip", salt=SALT)
    assert engine.weighting.units_per_one == memory.weighting.units_per_one
    fine = codings(of, memory, joint=False)
    coarse = codings(of, memory, joint=True)
    for coded, most in ((fine, 1), (coarse, 3)):
        sets = all_sets(list(coded), most)
        differing = [
            columns
            for columns, ours, theirs in zip(
                sets, engine.tables(sets, coded), memory.tables(sets, coded), strict=True
            )
            if not np.array_equal(ours, theirs)
        ]
        assert differing == []
    for column in of.modelled:
        if column.is_numeric:
            bins = {column.name: doubling_bins(column.step)}
            (ours,), (theirs,) = engine.tables([(column.name,)], bins), memory.tables([(column.name,)], bins)
            np.testing.assert_array_equal(ours, theirs)
        for several in ([column], [column, of.columns["town"], of.columns["age"]]):
            for at_least in (1, 5 * engine.weighting.units_per_one):
                ours_of, our_counts = engine.observed(several, at_least)
                values, counts = memory.observed(several)
                held = counts >= at_least
                np.testing.assert_array_equal(our_counts, counts[held])
                assert [of_.tolist() for of_ in ours_of] == [of_[held].tolist() for of_ in values]
    engine.close()


def test_cut_tables_are_those_of_memory(load: Any) -> None:
    of, frame = schema(persons=True), messy()
    memory = in_memory(frame, of, salt=SALT)
    engine = RecordsInEngine(opened(load(frame, TYPES)), of, "clip", salt=SALT)
    coded = codings(of, memory, joint=True)
    for columns in (("sex", "town"), ("age", "cost", "ill"), ("mass",)):
        for norm in (0.3, 0.7):
            ours, theirs = (holder.cut_table(columns, coded, norm) for holder in (engine, memory))
            np.testing.assert_array_equal(ours, theirs)
    engine.close()
