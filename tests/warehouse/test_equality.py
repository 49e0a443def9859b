"""Memory, DuckDB and PostgreSQL count the same, of a table with all that they could read otherwise."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.domains.coding import coding_of_texts
from privsynth.domains.doubling import doubling_bins
from privsynth.io.engines import EngineSource
from privsynth.io.tables import open_table
from privsynth.privacy.units import PERSON_GRID
from privsynth.records.coerce import read_persons
from privsynth.schema import Schema
from privsynth.warehouse.records import RecordsInEngine
from tests.warehouse.messy import TYPES, all_sets, codings, in_memory, messy, schema

SALT = "a salt of this test"


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


def test_ids_longer_than_a_double_is_exact_are_persons_of_their_own(load: Any) -> None:
    """Two persons taken for one would share a unit: one less would bring out the other's rows."""
    long = [Decimal(12345678901234567890 + i) for i in (0, 1, 2, 2)]
    whole, parts = [*long, Decimal(7), None], [*long, Decimal("0.5"), Decimal(7)]
    of = Schema(
        {"who": {"type": "id", "role": "person_id"}, "ill": {"type": "boolean"}}, max_records_per_person=1
    )
    for who, stored, n_persons in ((whole, "NUMERIC(38,0)", 5), (parts, "NUMERIC(30,2)", 5)):
        frame = pd.DataFrame({"who": who, "ill": True}, dtype=object)
        assert len(np.unique(read_persons(frame["who"])[0])) == n_persons
        engine = RecordsInEngine(opened(load(frame, {"who": stored, "ill": "BOOLEAN"})), of, "clip")
        (n,) = engine.tables([()], {"ill": coding_of_texts(["false", "true"])})
        assert n == n_persons * PERSON_GRID
        engine.close()


def test_under_clip_no_value_of_its_type_stops_the_engine(load: Any, request: Any) -> None:
    of = Schema(
        {
            "seen": {"type": "datetime", "low": "2000-01-01", "high": "2030-01-01", "missing": True},
            "cost": {"type": "real", "low": 0, "high": 9, "missing": True},
            "town": {"type": "categorical", "categories": "private", "missing": True},
        }
    )
    days, numbers = ["290000-01-01", "5000000-01-01", "infinity", "-infinity", "2020-01-01"], ["1", "2.5"]
    engine_name = request.node.callspec.params["load"]
    if engine_name == "spark":
        pytest.skip("its ends of time are others: test_spark.py")
    stored, is_postgres = "NUMERIC(38,5)", engine_name == "postgres"
    if is_postgres:
        stored, numbers = "NUMERIC", [*numbers, "1e400", "-1e400", "1e-400", "NaN", f"{10**400}.5"]
    frame = pd.DataFrame(itertools.product(days, numbers), columns=["seen", "cost"], dtype=object)
    frame["town"] = frame["cost"]
    table = load(frame, {"seen": "DATE", "cost": stored, "town": stored})
    engine = RecordsInEngine(opened(table), of, "clip")
    (n,) = engine.tables([()], {"town": coding_of_texts(["1"])})
    assert n == len(frame)
    engine.close()
    for kind in ("TIMESTAMP", "TIMESTAMPTZ"):
        ends = ["294240-06-01", "infinity", "-infinity", "4713-01-02 BC" if is_postgres else "2020-01-01"]
        times = pd.DataFrame({"seen": ends, "cost": None, "town": None}, dtype=object)
        table = load(times, {"seen": kind, "cost": stored, "town": stored})
        RecordsInEngine(opened(table), of, "clip").close()
