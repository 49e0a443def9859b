"""Records held against inequalities with the row before: told under error, settled by persons under clip."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import SchemaError
from privsynth.records.checking import check
from privsynth.records.conform import conform
from privsynth.records.row_rules import broken_rows
from privsynth.records.sequence_view import as_sequences
from privsynth.schema import Schema

COLUMNS = {
    "who": {"type": "id", "role": "person_id"},
    "born": {"type": "integer", "low": 0, "high": 9, "per": "person"},
    "day": {"type": "integer", "low": 0, "high": 50, "role": "order"},
    "left": {"type": "integer", "low": 0, "high": 60},
    "age": {"type": "integer", "low": 0, "high": 9, "missing": True},
    "x": {"type": "real", "low": 0, "high": 1, "decimals": 1},
}
TABLE = pd.DataFrame(
    {
        "who": ["b", "a", "b", "b", "a", "c"],
        "born": [1, 2, 1, 1, 2, 3],
        "day": [30, 5, 10, 20, 7, 1],
        "left": [31, 5, 15, 20, 7, 60],
        "age": [4, 3, 3, None, 3, 0],
        "x": [0.3, 0.1, 0.2, 0.2, 0.1, 0.9],
    }
)


def rule(*columns, strict=False):
    return {"kind": "inequality", "columns": list(columns), "strict": strict}


def schema(*rules, cap=4) -> Schema:
    return Schema(COLUMNS, max_records_per_person=cap, constraints=rules)


def settled(table: pd.DataFrame, of: Schema) -> pd.DataFrame:
    return conform(table, of, on_violation="clip").frame


def values(column: pd.Series) -> list:
    return [None if pd.isna(value) else value for value in column]


def test_what_keeps_to_its_rules_is_left_as_it_is() -> None:
    of = schema(rule("prev.age", "age"), rule("prev.left", "day", "left"), rule("prev.x", "x"))
    kept = conform(TABLE, of).frame
    pd.testing.assert_frame_equal(kept, conform(TABLE, schema()).frame)
    pd.testing.assert_frame_equal(settled(TABLE, of), kept)
    assert check(TABLE, of).is_clean


def test_what_breaks_a_rule_is_one_message_that_quotes_nothing() -> None:
    of = schema(rule("prev.age", "age"), rule("prev.left", "day", "left"))
    broken = TABLE.assign(age=[2, 3, 3, 3, 8, 0], left=[31, 9, 15, 20, 7, 60])
    with pytest.raises(SchemaError) as told:
        conform(broken, of)
    assert "column 'age': a row does not keep to prev.age <= age" in str(told.value)
    assert "column 'left': a row does not keep to prev.left <= day <= left" in str(told.value)
    assert not any(str(value) in str(told.value) for value in (8, 31, 15, "'b'"))
    shown = check(broken, of).broken
    assert [(r.rule, r.n_fields, r.first_row) for r in shown["age"]] == [
        ("a row does not keep to prev.age <= age", 1, 1)
    ]
    assert shown["left"][0].n_fields == 1
    with pytest.raises(SchemaError, match=r"does not keep to prev\.age < age"):
        conform(TABLE, schema(rule("prev.age", "age", strict=True)))


def test_under_clip_the_later_row_gives_way() -> None:
    broken = TABLE.assign(age=[2, 3, 4, None, 1, 0], x=[0.1, 0.3, 0.2, 0.3, 0.1, 0.9])
    seen = settled(broken, schema(rule("prev.x", "x")))
    assert values(seen["x"]) == [0.3, 0.3, 0.2, 0.3, 0.3, 0.9]
    assert values(settled(broken, schema(rule("x", "prev.x")))["x"]) == [0.1, 0.3, 0.2, 0.2, 0.1, 0.9]
    assert values(settled(broken, schema(rule("prev.age", "age")))["age"]) == [2, 3, 4, None, 3, 0]
    strict = settled(broken.assign(x=[0.1] * 6), schema(rule("prev.x", "x", strict=True)))
    assert values(strict["x"]) == [0.3, 0.1, 0.1, 0.2, 0.2, 0.1]
    at_end = settled(TABLE.assign(x=1.0), schema(rule("prev.x", "x", strict=True)))
    assert values(at_end["x"]) == [1.0] * 6  # there is nothing above it


def test_under_clip_an_order_stays_and_the_row_before_gives_way() -> None:
    broken = TABLE.assign(left=[9, 9, 25, 50, 3, 60])
    seen = settled(broken, schema(rule("prev.left", "day", "left")))
    assert values(seen["left"]) == [30, 7, 20, 30, 7, 60]
    assert values(seen["day"]) == [30, 5, 10, 20, 7, 1]
    assert values(settled(broken, schema(rule("prev.left", "day")))["left"]) == [9, 7, 20, 30, 3, 60]


@pytest.mark.parametrize(
    "rules",
    [
        [rule("prev.age", "age")],
        [rule("age", "prev.age", strict=True)],
        [rule("prev.left", "day", "left"), rule("prev.x", "x")],
        [rule("born", "prev.age", "age")],
    ],
    ids=str,
)
def test_a_person_changes_no_row_but_their_own_and_is_settled_wholly(rules) -> None:
    rng, of = np.random.default_rng(5), schema(*rules)
    for _ in range(25):
        n = 10
        table = pd.DataFrame(
            {
                "who": rng.choice(["a", "b", "c", ""], n),
                "born": rng.integers(0, 3, n),
                "day": rng.permutation(50)[:n],
                "left": rng.integers(0, 60, n),
                "age": pd.Series(rng.integers(0, 9, n)).where(rng.random(n) < 0.8),
                "x": rng.integers(0, 10, n) / 10,
            }
        )
        without = table[table["who"] != "a"].reset_index(drop=True)
        frames = []
        for t in (table, without, table[table["who"] == "a"].reset_index(drop=True)):
            records = conform(t, of, on_violation="clip")
            strict_at_end = rules[0].get("strict")
            if not strict_at_end:
                assert not broken_rows(
                    {c: records.frame[c].to_numpy() for c in records.frame}, records.persons, of
                )
            frames.append(as_sequences(records, of, np.random.default_rng(0)).frame)
        seen, less, own = (sorted(map(str, f.astype(object).to_numpy().tolist())) for f in frames)
        assert seen == sorted(less + own)


@pytest.mark.parametrize(
    "of_rule",
    [
        rule("prev.left", "mid", "end", strict=True),
        rule("prev.left", "mid", "day", strict=True),
        rule("end", "mid", "prev.left", strict=True),
    ],
    ids=str,
)
def test_a_missing_field_is_no_link_of_a_strict_chain(of_rule) -> None:
    """Else rows that keep to a rule move, once another person's do not."""
    line = {"type": "integer", "low": 0, "high": 20}
    columns = {name: COLUMNS[name] for name in ("who", "day", "left")} | {"mid": line, "end": line}
    of, n_kept = Schema(columns, max_records_per_person=4, constraints=[of_rule]), 0
    rng = np.random.default_rng(3)
    breaks = pd.DataFrame(
        {"who": ["b"] * 3, "day": [1, 2, 3], "left": [5, 9, 0], "mid": [5, 5, 5], "end": [5, 1, 20]}
    )
    for _ in range(60):
        drawn = {name: rng.integers(0, 6, 2).astype(float) for name in ("left", "mid", "end")}
        table = pd.DataFrame({"who": ["a"] * 2, "day": [2, 4], **drawn})
        table["mid"] = table["mid"].where(rng.random(2) < 0.5)  # against the schema: clipped, it stays so
        alone = conform(table, of, on_violation="clip").frame
        beside = conform(pd.concat([table, breaks]), of, on_violation="clip").frame
        pd.testing.assert_frame_equal(beside.iloc[:2], alone)
        stored = {name: table[name].to_numpy(dtype=np.float64) for name in alone}
        if not broken_rows(stored, np.zeros(2, dtype=np.int64), of):
            n_kept += 1
            pd.testing.assert_frame_equal(alone, table[list(alone)], check_dtype=False)
    assert n_kept > 5


def test_an_empty_table_is_settled() -> None:
    assert len(settled(TABLE.iloc[:0], schema(rule("prev.age", "age")))) == 0
