"""Rows of persons: their order, what they share, and the row before; each a function of one person's rows."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from privsynth.counting.memory import RecordsInMemory
from privsynth.errors import SchemaError
from privsynth.records.checking import check
from privsynth.records.conform import conform
from privsynth.records.person_rows import TIED, VARIES
from privsynth.records.sequence_view import as_sequences
from privsynth.schema import Schema
from privsynth.schema.sequences import sequence_view
from tests.helpers.predictable import PredictableSourceForTests

COLUMNS = {
    "who": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person", "missing": True},
    "born": {"type": "integer", "low": 1900, "high": 2000, "per": "person"},
    "day": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "role": "order"},
    "ill": {"type": "boolean", "missing": True},
    "cost": {"type": "real", "decimals": 1, "low": 0, "high": 100},
}
TABLE = pd.DataFrame(
    {
        "who": ["b", "a", "b", "c", "b"],
        "sex": ["F", "M", "F", None, "F"],
        "born": [1950, 1960, 1950, 1970, 1950],
        "day": pd.to_datetime(["2020-03-01", "2020-01-05", "2020-02-01", "2020-01-01", "2020-03-04"]),
        "ill": [True, None, False, True, None],
        "cost": [3.0, 1.0, 2.0, 9.0, 4.0],
    }
)


def schema(columns=COLUMNS, cap=3) -> Schema:
    return Schema(columns, max_records_per_person=cap)


def view(table: pd.DataFrame, of: Schema, *, on_violation="error", seed=0) -> pd.DataFrame:
    records = conform(table, of, on_violation=on_violation)
    seen = as_sequences(records, of, np.random.default_rng(seed))
    return seen.frame.assign(who=seen.persons)


def values(column: pd.Series) -> list:
    return [None if pd.isna(value) else value for value in column]


def test_each_row_stands_beside_the_one_before() -> None:
    seen = view(TABLE, schema())
    assert list(seen.columns[:-1]) == [c.name for c in sequence_view(schema()).modelled]
    b = seen[seen["cost"].between(2, 4)]
    assert values(b["cost"]) == [2.0, 3.0, 4.0]
    assert values(b["prev.cost"]) == [None, 2.0, 3.0]
    assert values(b["prev.ill"]) == [None, False, True]
    assert values(b["first"]) == [True, False, False]
    assert values(b["gap.day"]) == [None, 29.0, 3.0]
    assert set(b["start.day"]) == {b["day"].iloc[0]}
    assert values(b["n_records"]) == [3, 3, 3]
    assert values(seen["n_records"].drop(b.index)) == [1, 1]


def test_numbers_of_records_are_cut_at_the_cap_and_rows_are_not() -> None:
    seen = view(TABLE, schema(cap=2))
    assert values(seen["n_records"].loc[seen["cost"].between(2, 4)]) == [2, 2, 2]
    assert len(seen) == len(TABLE)  # the curator cuts, each row with the one that truly stood before


def test_rows_without_an_order_stand_by_chance() -> None:
    columns = {name: fields for name, fields in COLUMNS.items() if name != "day"}
    orders = set()
    for seed in range(40):
        seen = view(TABLE, schema(columns), seed=seed)
        b = seen[seen["cost"].between(2, 4)]
        assert values(b["prev.cost"]) == [None, *values(b["cost"])[:-1]]
        orders.add(tuple(b["cost"]))
    assert orders == set(itertools.permutations([2.0, 3.0, 4.0]))


def neighbours(with_id: bool):
    """Tables of three persons, and the same without one of them."""
    rng = np.random.default_rng(3)
    for _ in range(30):
        n = 9
        table = pd.DataFrame(
            {
                "who": rng.choice(["a", "b", "c" if with_id else ""], n),
                "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 9, n), unit="D"),
                "ill": rng.choice([True, False, None], n),
                "cost": rng.integers(0, 9, n).astype(float),
                "sex": rng.choice(["F", "M", None], n),
                "born": rng.choice([1950, 1960], n),
            }
        )
        yield table, table[table["who"] != "a"].reset_index(drop=True)


@pytest.mark.parametrize("with_id", [True, False], ids=["named", "some without an id"])
@pytest.mark.parametrize("has_order", [True, False], ids=["ordered", "unordered"])
def test_a_person_changes_no_row_but_their_own(has_order, with_id) -> None:
    columns = {name: f for name, f in COLUMNS.items() if has_order or name != "day"}
    of = schema(columns)
    compared = [c.name for c in sequence_view(of).modelled]
    if not has_order:  # which row comes first is chance: compare what chance does not move
        compared = ["sex", "born", "n_records", "ill", "cost"]
    for table, without in neighbours(with_id):
        seen, less = (view(t, of, on_violation="clip") for t in (table, without))
        a = view(table[table["who"] == "a"], of, on_violation="clip")
        rows = sorted(map(str, seen[compared].astype(object).to_numpy().tolist()))
        parts = [*less[compared].astype(object).to_numpy(), *a[compared].astype(object).to_numpy()]
        assert rows == sorted(str(list(row)) for row in parts)


@pytest.mark.parametrize("cap", [1, 2, 4])
def test_a_person_moves_every_table_of_the_view_by_at_most_one(cap) -> None:
    of = schema(cap=cap)
    domains = {c.name: c for c in sequence_view(of).modelled}
    for table, without in neighbours(True):
        counted = []
        for t in (table, without):
            records = as_sequences(conform(t, of, on_violation="clip"), of, np.random.default_rng(0))
            held = RecordsInMemory(records, max_records_per_person=cap, secret=PredictableSourceForTests(0))
            weights = held.weighting.weights / held.weighting.units_per_one
            counted.append((held.frame, held.weighting.persons, weights))
        for frame, persons, weights in counted:
            by_person = np.bincount(persons, weights=weights)
            assert (by_person <= 1.0).all()
            assert len(frame.columns) == len(domains)
        (_, persons, weights), (_, _, fewer) = counted
        assert abs(weights.sum() - fewer.sum()) <= 1.0 + len(set(persons)) * 2**-14


def test_what_persons_break_is_one_message_and_stops_before_a_fit() -> None:
    broken = TABLE.assign(born=[1950, 1960, 1951, 1970, 1950], day=pd.Timestamp("2020-05-05"))
    with pytest.raises(SchemaError) as told:
        conform(broken, schema())
    assert f"column 'born': {VARIES}; column 'day': {TIED}" in str(told.value)
    assert not any(str(value) in str(told.value) for value in (1950, 1951, "2020-05-05", "'b'"))
    shown = check(broken, schema()).broken
    assert [rule.rule for rule in shown["born"]] == [VARIES]
    assert shown["born"][0].n_fields == 1
    assert shown["day"][0].n_fields == 2
    outside = TABLE.assign(day=pd.Timestamp("1920-05-05"))  # all at the bound, once they are clipped
    (rule,) = check(outside, schema()).broken["day"]
    assert (rule.n_fields, "outside the public bounds" in rule.rule) == (len(TABLE), True)
    missing = TABLE.assign(day=[None, *TABLE["day"][1:]])
    with pytest.raises(SchemaError, match="column 'day': a field is missing"):
        conform(missing, schema())


def test_under_clip_persons_are_settled_by_themselves() -> None:
    broken = TABLE.assign(
        sex=["M", "M", None, None, "F"],
        born=[1951, 1960, 1950, 1970, 1952],
        day=pd.to_datetime(["2020-03-01", None, "2020-02-01", None, "2020-03-01"]),
    )
    seen = view(broken, schema(), on_violation="clip")
    b = seen[seen["cost"].between(2, 4)]
    assert values(b["cost"]) == [2.0, 3.0, 4.0]  # of two rows on a day, the first in the table comes first
    assert set(b["born"]) == {1950.0}
    assert set(b["sex"]) == {"M"}  # the first that is known
    assert values(b["gap.day"]) == [None, 29.0, 0.0]
    assert len(seen) == len(broken)


def test_without_sequences_records_are_what_they_were() -> None:
    plain = {n: {k: v for k, v in f.items() if k != "per" and v != "order"} for n, f in COLUMNS.items()}
    records = conform(TABLE, schema(plain))
    assert as_sequences(records, schema(plain), np.random.default_rng()) is records
    assert records.frame["born"].tolist() == TABLE["born"].tolist()


def test_an_empty_table_has_an_empty_view() -> None:
    assert len(view(TABLE.iloc[:0], schema(), on_violation="clip")) == 0
