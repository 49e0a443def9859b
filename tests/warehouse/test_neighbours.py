"""Which of a person's rows an engine uses: one person more or less moves any table by at most one unit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.domains.coding import Coding, coding_of_breaks, coding_of_texts
from privsynth.io.tables import open_table
from privsynth.privacy.units import CUT_GRID, PERSON_GRID
from privsynth.schema import Schema
from privsynth.warehouse.records import RecordsInEngine
from tests.helpers.engines import ibis

CAP = 2
TYPES = {"who": "VARCHAR", "town": "VARCHAR", "age": "DOUBLE"}
OF = Schema(
    {
        "who": {"type": "id", "role": "person_id"},
        "town": {"type": "categorical", "categories": "private", "missing": True},
        "age": {"type": "integer", "low": 0, "high": 9, "missing": True},
    },
    max_records_per_person=CAP,
)
CODINGS: dict[str, Coding] = {
    "town": coding_of_texts(["Bonn", "Ulm"]),
    "age": coding_of_breaks(np.array([2.0, 5.0])),
}
SETS = [(), ("town",), ("age",), ("town", "age")]


@pytest.fixture(scope="module")
def connection() -> Any:
    return ibis.duckdb.connect()


def counted(connection: Any, frame: pd.DataFrame, salt: str, norm: float | None = None) -> list[np.ndarray]:
    """Return all tables of a frame, or those that are cut to a norm."""
    connection.con.execute("DROP TABLE IF EXISTS visits")
    connection.con.register("given", frame)
    columns = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in TYPES.items())
    connection.con.execute(f"CREATE TABLE visits AS SELECT {columns} FROM given")
    source = open_table(connection.table("visits"))
    records = RecordsInEngine(source, OF, "clip", salt=salt)  # type: ignore[arg-type]  # a source of an engine
    if norm is None:
        tables = [*records.tables(SETS, CODINGS)]
    else:
        tables = [records.cut_table(columns, CODINGS, norm) for columns in SETS[1:]]
    source.close()
    return tables


def tables_of_persons(seed: int) -> pd.DataFrame:
    """Return rows of few persons: equal ones, more than the cap, and rows of nobody."""
    rng = np.random.default_rng(seed)
    n = 14
    who = rng.choice(["a", "b", " b", "c", "", None], n, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    town = rng.choice(["Ulm", "Bonn", "Rome", None], n)
    return pd.DataFrame({"who": who, "town": town, "age": rng.choice([0.5, 1.5, 4.0, 7.0, np.nan], n)})


def persons_of(frame: pd.DataFrame) -> list[np.ndarray]:
    """Return the rows of each person; a row without an id is one."""
    ids = frame["who"].fillna("").str.strip()
    named = [np.flatnonzero(ids == who) for who in sorted(set(ids) - {""})]
    return [*named, *([row] for row in np.flatnonzero(ids == ""))]


@pytest.mark.parametrize("seed", range(4))
def test_one_person_moves_any_table_by_at_most_one_unit(connection: Any, seed: int) -> None:
    frame, salt = tables_of_persons(seed), f"salt {seed}"
    whole = counted(connection, frame, salt)
    n_moved = 0
    for rows in persons_of(frame):
        without = counted(connection, frame.drop(index=rows), salt)
        for table, other in zip(whole, without, strict=True):
            change = table - other
            assert (change >= 0).all()  # of one sign: nobody else's rows are chosen otherwise
            assert change.sum() <= PERSON_GRID
            n_moved += bool(change.any())
        assert (whole[0] - without[0]) == PERSON_GRID // min(len(rows), CAP) * min(len(rows), CAP)
    assert n_moved > 8


def test_one_person_moves_a_cut_table_by_at_most_its_norm(connection: Any) -> None:
    frame, norm = tables_of_persons(9), 0.5
    whole = counted(connection, frame, "salt", norm)
    for rows in persons_of(frame):
        without = counted(connection, frame.drop(index=rows), "salt", norm)
        alone = counted(connection, frame.iloc[rows], "salt", norm)
        for table, other, own in zip(whole, without, alone, strict=True):
            assert np.linalg.norm(own) <= norm * CUT_GRID
            np.testing.assert_array_equal(table - other, own)  # whoever else is there


def test_where_rows_stand_decides_nothing(connection: Any) -> None:
    frame = tables_of_persons(2)
    shuffled = frame.sample(frac=1.0, random_state=3)
    for table, other in zip(counted(connection, frame, "s"), counted(connection, shuffled, "s"), strict=True):
        np.testing.assert_array_equal(table, other)


def test_persons_whose_ids_differ_behind_a_nul_are_not_one(connection: Any) -> None:
    ids = ["\u00e9\0a", "\u00e9\0b", "e\0a", "e\0b", "\u00e9", "e\u0301 ", "\u00e9"]
    whole = counted(connection, pd.DataFrame({"who": ids, "town": "Ulm", "age": 1.0}), "salt")
    assert whole[0] == 5 * PERSON_GRID


def test_each_row_of_a_person_is_used_about_as_often(connection: Any) -> None:
    """Of 6 rows, 2 are used: in 60 draws each is expected 20 times, with a standard deviation of 3.7."""
    towns = [f"town {i}" for i in range(6)]
    frame = pd.DataFrame({"who": "a", "town": towns, "age": 1.0})
    source = open_table(connection.create_table("one", frame.astype({"age": float}), overwrite=True))
    coding = {"town": coding_of_texts(towns), "age": CODINGS["age"]}
    used = np.zeros(6)
    for salt in range(60):
        records = RecordsInEngine(source, OF, "clip", salt=str(salt))  # type: ignore[arg-type]  # a source of an engine
        used += next(records.tables([("town",)], coding))[:6] * CAP / PERSON_GRID
        records.close()
    assert used.sum() == 60 * CAP
    assert all(abs(count - 20) < 5 * 3.7 for count in used)  # fails once in a million


def test_salts_are_fresh(connection: Any) -> None:
    frame = pd.DataFrame({"who": "a", "town": [f"town {i}" for i in range(200)], "age": 1.0})
    source = open_table(connection.create_table("fresh", frame, overwrite=True))
    coding = {"town": coding_of_texts(frame["town"]), "age": CODINGS["age"]}
    tables = []
    for _ in range(4):
        records = RecordsInEngine(source, OF, "clip")  # type: ignore[arg-type]  # a source of an engine
        tables.append(next(records.tables([("town",)], coding)))
        records.close()
    assert any((one != other).any() for one, other in itertools.combinations(tables, 2))
