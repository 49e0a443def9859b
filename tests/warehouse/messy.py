"""A table in which everything is that engines and pandas may read otherwise, and who counts it in memory."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import math

import numpy as np
import pandas as pd

from privsynth.counting.memory import RecordsInMemory
from privsynth.domains.coding import Coding, as_ticks, coding_of_breaks, coding_of_texts
from privsynth.domains.encoding import DiscreteDomain, NumericDomain, NumericGrid
from privsynth.records.coerce import read_persons
from privsynth.records.conform import Records, conform
from privsynth.schema import Column, Schema, category_text
from tests.helpers.predictable import PredictableSourceForTests

COLUMNS = {
    "sex": {"type": "categorical", "categories": ["F", "M", "é"], "missing": True, "missing_values": ["?"]},
    "ward": {"type": "categorical", "categories": [1, 2, 30, "other"], "missing": True},
    "ill": {"type": "boolean", "missing": True},
    "left": {"type": "boolean", "values": ["no", "yes"], "missing": True},
    "town": {"type": "categorical", "categories": "private", "missing": True, "missing_values": ["n/a"]},
    "born": {"type": "categorical", "categories": "private", "missing": True},
    "age": {"type": "integer", "low": 0, "high": 99, "missing": True, "missing_values": ["-9"]},
    "stay": {"type": "integer", "low": "private", "high": "private", "missing": True},
    "cost": {"type": "real", "low": 0, "high": 10, "decimals": 1, "missing": True},
    "rate": {"type": "real", "low": "private", "high": "private", "decimals": 2, "missing": True},
    "mass": {"type": "real", "low": "private", "high": "private", "missing": True},
    "dose": {"type": "real", "low": 0, "high": 1, "decimals": 3, "missing": True},
    "seen": {"type": "datetime", "low": "1960-01-01", "high": "2030-01-01", "missing": True},
    "hour": {"type": "datetime", "low": "private", "high": "private", "resolution": "hour", "missing": True},
}
TYPES = {
    "sex": "VARCHAR", "ward": "VARCHAR", "ill": "BOOLEAN", "left": "VARCHAR", "town": "VARCHAR",
    "born": "DATE", "age": "DOUBLE", "stay": "BIGINT", "cost": "DOUBLE", "rate": "DOUBLE", "mass": "DOUBLE",
    "dose": "NUMERIC(8,5)", "seen": "TIMESTAMP", "hour": "TIMESTAMP", "who": "VARCHAR",
}  # fmt: skip
PERSONS = {"who": {"type": "id", "role": "person_id"}}


def schema(*, persons: bool) -> Schema:
    """Return what is public about the messy table; up to 3 rows of each person."""
    if persons:
        return Schema({**COLUMNS, **PERSONS}, max_records_per_person=3)
    return Schema(COLUMNS)


def messy(n: int = 600, seed: int = 5) -> pd.DataFrame:
    """Return the table."""
    rng = np.random.default_rng(seed)

    def some(*values: object) -> list[object]:
        return [values[i] for i in rng.integers(0, len(values), n)]

    def mostly(usual: object, *rare: object) -> list[object]:
        drawn = list(np.asarray(usual, dtype=object))
        for i in rng.integers(0, n, n // 5):
            drawn[i] = rare[rng.integers(0, len(rare))]
        return drawn

    texts = [f"rare {i}" for i in range(40)]
    halves = rng.integers(-4, 210, n) / 2.0
    start, second = dt.datetime(1969, 12, 20), dt.timedelta(seconds=1)
    times = [start + float(s) * second for s in rng.integers(0, 4_000_000, n) / 2.0]
    sexes = ("F", "M", " F ", "M\t", "e\u0301", "é", "\u2003F\xa0", "", "  ", None, "?", "f", "X", "F\x1f")
    wards = ("1", "2", "30", "1.0", "30.000", "02", "2e0", " 1 ", "1_0", "3x", "inf", None, "", "+1", "x")
    towns = ("Ulm", "Bonn", " Ulm", "e\u0301", "\u00e9")
    odd_towns = (*texts, None, "n/a", "", "Ulm\u3000", "it's", "a\\b")
    ages = (math.nan, None, math.inf, -math.inf, -9.0, 1e300, 2.0**53 + 2, -0.0, 99.5, 98.5, -0.5)
    costs = (math.nan, None, 0.05, 0.15, 0.25, 10.05, 1e308, math.inf)
    rates = (math.nan, None, 0.125, 0.375, 0.005, 1e307, -1e308)
    masses = (math.nan, None, 0.0, -0.0, 5e-324, 1.7e308, -1e-300, math.inf)
    ends = (None, dt.datetime(1955, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999_999))
    persons = (*(f"p{i}" for i in range(n // 6)), "p1 ", " p2", "\u00e9p", "e\u0301p", None, "", " ")
    columns = {
        "sex": some(*sexes),
        "ward": some(*wards),
        "ill": some(True, False, None),
        "left": some("no", "yes", "No", None, " yes", "true"),
        "town": mostly(some(*towns), *odd_towns),
        "born": mostly(some(dt.date(1950, 1, 2), dt.date(2001, 12, 31), dt.date(1912, 2, 29)), None),
        "age": mostly(halves, *ages),
        "stay": mostly(some(0, 1, 7, -3, 40), None, 2**53, 2**53 - 1, -(2**62), 123_456),
        "cost": mostly(rng.integers(-3, 240, n) / 20.0, *costs),
        "rate": mostly(rng.integers(0, 4000, n) / 800.0 - 1, *rates),
        "mass": mostly(np.exp(rng.normal(0, 9, n)), *masses),
        "dose": mostly(rng.integers(-2000, 102_000, n) / 1e5, None, 0.0005, 0.0015, 0.0025, 1.0005),
        "seen": mostly(times, *ends),
        "hour": mostly(times, *ends, dt.datetime(1970, 1, 1)),
        "who": some(*persons),
    }
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def as_memory(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame as pandas holds what the engine's types hold."""
    numbers = [name for name in frame if TYPES[str(name)] == "DOUBLE"]
    times = {"seen": "datetime64[us]", "hour": "datetime64[us]"}
    frame = frame.assign(**{name: frame[name].astype(np.float64) for name in [*numbers, "dose"]})
    frame = frame.assign(**{name: frame[name].astype(kind) for name, kind in times.items()})
    return frame.assign(stay=frame["stay"].astype("Int64"))


def in_memory(frame: pd.DataFrame, of: Schema, *, salt: str = "") -> RecordsInMemory:
    """Return who counts the frame in memory, the rows of each person chosen as an engine chooses them."""
    records = conform(as_memory(frame), of, on_violation="clip")
    if records.persons is not None:
        kept = chosen(records, frame["who"], of, salt)
        records = Records(records.frame.iloc[kept], records.persons[kept])
    return RecordsInMemory(
        records, max_records_per_person=of.max_records_per_person, secret=PredictableSourceForTests(0)
    )


def chosen(records: Records, ids: pd.Series, of: Schema, salt: str) -> list[int]:
    """Return the rows that are used, by the rule as it is described, one row after the other."""
    assert of.max_records_per_person is not None
    persons = read_persons(ids)[0]
    texts = [
        hashed("|".join(row))
        for row in zip(*(texts_of(records.frame[c.name], c) for c in of.modelled), strict=True)
    ]
    kept: list[int] = []
    for person in range(int(persons.max()) + 1):
        rows = np.flatnonzero(persons == person)
        seen: dict[str, int] = {}
        keys = []
        who = category_hex(ids.iloc[rows[0]])
        for row in sorted(rows, key=lambda row: order_of(records.frame, row, of)):
            seen[texts[row]] = nth = seen.get(texts[row], 0) + 1
            keys.append((hashed("|".join([salt, who, str(nth), texts[row]])), texts[row], nth, row))
        kept += [row for *_, row in sorted(keys)[: of.max_records_per_person]]
    return sorted(kept)


def hashed(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def category_hex(value: object) -> str:
    return category_text(value).encode().hex()


def texts_of(values: pd.Series, column: Column) -> list[str]:
    if column.is_numeric:
        ticks = as_ticks(values.to_numpy(), column.step)
        near = np.floor(np.clip(ticks, -(2.0**46), 2.0**46) * (65536.0 if column.step is None else 1.0))
        return ["" if math.isnan(tick) else str(int(tick)) for tick in near]
    if column.labels is not None:
        return ["" if code < 0 else str(code) for code in values.cat.codes]
    return [
        "" if text != text or text is None else str(text).encode().hex() for text in values.astype(object)
    ]


def order_of(frame: pd.DataFrame, row: int, of: Schema) -> list[tuple[bool, object]]:
    cells = []
    for column in of.modelled:
        values = frame[column.name]
        value = values.iloc[row] if column.is_numeric else values.cat.codes.iloc[row]
        is_known = not math.isnan(value) if column.is_numeric else value >= 0
        cells.append((bool(is_known), value if is_known else 0))
    return cells


def codings(of: Schema, memory: RecordsInMemory, *, joint: bool) -> dict[str, Coding]:
    """Return a coding of each column: of few codes where joint tables are wide."""
    found: dict[str, Coding] = {}
    for i, column in enumerate(of.modelled):
        if column.is_numeric and column.step is None and not joint:
            found[column.name] = coding_of_breaks(np.array([-1.0, 0.0, 0.5, 1e5]))
        elif column.is_numeric:
            low, high = (-50.0, 400.0) if column.type != "datetime" else (-400.0, 500_000.0)
            grid = NumericGrid.between(low, high, discrete=column.step is not None)
            n_cells = grid.n_cells
            wide = max(1, n_cells // 6) if joint else 1
            bins = np.arange(n_cells) // wide
            found[column.name] = NumericDomain(column, grid, bins, np.ones(n_cells), i % 3 != 0).coding
        elif column.labels is not None:
            found[column.name] = DiscreteDomain(column, tuple(column.labels), False, i % 2 == 0).coding
        else:
            values = memory.observed([column])[0][0]
            found[column.name] = coding_of_texts(values[:: 7 if joint else 2])
    return found


def all_sets(names: list[str], most: int) -> list[tuple[str, ...]]:
    """Return all sets of up to so many columns."""
    return [columns for k in range(most + 1) for columns in itertools.combinations(names, k)]
