"""Attacks on whole histories: they find copied persons, also where each of their rows is common."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.metrics import disclosure, membership
from privsynth.metrics.common.histories import Histories
from privsynth.metrics.common.whole_histories import history_keys, whole_histories
from privsynth.metrics.leakage.whole_histories import HISTORY_ATTACKS
from privsynth.records.conform import conform
from privsynth.report.sections.disclosure import disclosure_verdict
from privsynth.report.sections.membership import membership_verdict
from privsynth.schema import Schema
from tests.helpers.histories import SCHEMA, WITHOUT_ORDER, draw_histories

N = 500
GUARANTEE = {"private": True, "epsilon": 0.5, "delta": 1e-6, "unit": "person"}
CONFIDENCE = 1 - 1e-6  # a false alarm of one in a million per assertion
COINS = Schema(
    {
        "pid": {"type": "id", "role": "person_id"},
        "turn": {"type": "integer", "low": 1, "high": 8, "role": "order"},
        **{name: {"type": "boolean"} for name in ("a", "b", "c")},
    },
    max_records_per_person=8,
)


def coins(n_persons: int, seed: int) -> pd.DataFrame:
    """Return eight tosses of three coins a person: every row is common, and hardly a history occurs twice."""
    generator = np.random.default_rng([5, seed])
    rows = {"pid": [f"{seed}-{p}" for p in np.repeat(np.arange(n_persons), 8)]}
    rows |= {"turn": np.tile(np.arange(1, 9), n_persons)}
    return pd.DataFrame(rows | {name: generator.random(8 * n_persons) < 0.5 for name in ("a", "b", "c")})


def leaking(real: pd.DataFrame, fresh: pd.DataFrame, share: float) -> pd.DataFrame:
    """Return fresh persons of whom a share gave way to persons of the real table."""
    members, others = real["pid"].unique(), fresh["pid"].unique()
    n_copied = int(share * len(others))
    kept = [fresh[fresh["pid"].isin(others[n_copied:])], real[real["pid"].isin(members[:n_copied])]]
    return pd.concat(kept, ignore_index=True)


@pytest.mark.parametrize(
    ("draw", "schema"), [(draw_histories, SCHEMA), (coins, COINS)], ids=["chains", "common rows"]
)
def test_copied_persons_are_found_and_others_are_not_accused(draw, schema: Schema) -> None:
    real, holdout, fresh = draw(N, 0), draw(4 * N, 1), draw(N, 2)
    found = membership(real, leaking(real, fresh, 0.3), schema=schema, holdout=holdout, guarantee=GUARANTEE)
    for name in HISTORY_ATTACKS:
        attack = found["attacks"][name]
        point = attack["tpr_at_fpr"]["0.01"]
        # three in ten members stand among the synthetic persons as they are, the rest are at chance
        assert point["tpr"] == pytest.approx(0.3, abs=0.05), name
        assert attack["auc"] == pytest.approx(0.3 + 0.7 / 2, abs=0.06)
        assert attack["p_adjusted"] < 1e-6
    assert membership_verdict(found, None)["verdict"] == "problem"
    assert membership_verdict(found, GUARANTEE)["verdict"] == "problem"
    assert found["unit_score"].endswith("score all rows of the person at once")

    honest = membership(
        real, fresh, schema=schema, holdout=holdout, guarantee=GUARANTEE, confidence=CONFIDENCE
    )
    for name in HISTORY_ATTACKS:
        low, high = honest["attacks"][name]["auc_interval"]
        assert low < 0.5 < high
    assert membership_verdict(honest, GUARANTEE)["verdict"] == "ok"


def test_copied_persons_are_counted_where_each_row_has_copies_anyway() -> None:
    real, holdout, fresh = coins(N, 0), coins(2 * N, 1), coins(N, 2)
    copied = disclosure(real, leaking(real, fresh, 0.3), schema=COINS, holdout=holdout)
    assert copied["copies"]["exact"]["outsiders"] == 1.0  # every row is common
    whole = copied["copies"]["whole_histories"]
    assert whole["members"] == pytest.approx(0.3)
    assert whole["outsiders"] == 0.0
    assert (whole["n_members"], whole["n_outsiders"]) == (N, 2 * N)
    assert disclosure_verdict(copied)["verdict"] == "problem"
    assert "copies, whole histories" in disclosure_verdict(copied)["evidence"]
    honest = disclosure(real, fresh, schema=COINS, holdout=holdout)
    assert honest["copies"]["whole_histories"]["members"] == 0.0


def test_a_history_is_known_by_all_its_rows_and_their_order() -> None:
    def keys(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
        return history_keys(Histories.of(conform(frame, schema), schema, np.random.default_rng(0)))

    rows = pd.DataFrame(
        {"pid": [1, 1, 1], "sex": "F", "day": [1, 2, 3], "ill": [True, False, True], "cost": 1.0}
    )
    (key,) = keys(rows, SCHEMA)
    assert keys(rows.iloc[::-1].assign(pid=9), SCHEMA).tolist() == [key]
    for other in (
        rows[:2], rows.assign(cost=2.0), rows.assign(day=[1, 2, 4]), rows.assign(ill=[False, True, True]),
        pd.concat([rows, rows[2:].assign(day=4)]),
    ):  # fmt: skip
        assert keys(other, SCHEMA).tolist() != [key]
    (loose,) = keys(rows, WITHOUT_ORDER)
    assert keys(rows.assign(ill=[False, True, True]), WITHOUT_ORDER).tolist() == [loose]
    assert keys(rows.assign(ill=[False, False, True]), WITHOUT_ORDER).tolist() != [loose]


def test_rows_that_are_common_give_nobody_away_by_themselves() -> None:
    real, holdout, fresh = coins(N, 0), coins(2 * N, 1), coins(N, 2)
    found = membership(real, leaking(real, fresh, 0.3), schema=COINS, holdout=holdout, confidence=CONFIDENCE)
    by_row = [name for name in found["attacks"] if name not in HISTORY_ATTACKS]
    assert len(by_row) == 6
    for name in by_row:
        low, high = found["attacks"][name]["auc_interval"]
        assert low < 0.5 < high, name


def test_a_person_becomes_one_row_of_all_their_rows() -> None:
    rows = pd.DataFrame(
        {
            "pid": ["x", "y", "x", "x"],
            "sex": ["F", "M", "F", "F"],
            "day": [3, 9, 1, 8],
            "ill": [True, False, False, True],
            "cost": [1.0, np.nan, 4.0, np.nan],
        }
    )
    schema = Schema(
        {
            name: column.to_dict() | ({"missing": True} if name == "cost" else {})
            for name, column in SCHEMA.columns.items()
        },
        max_records_per_person=6,
    )
    histories = Histories.of(conform(rows, schema), schema, np.random.default_rng(0))
    told = whole_histories(histories).sort_values("n_records").reset_index(drop=True)
    assert told["n_records"].tolist() == [1, 3]
    assert told["person sex"].tolist() == ["M", "F"]
    assert told["mean ill"].tolist() == pytest.approx([0, 2 / 3])
    assert told["mean cost"].tolist() == pytest.approx([np.nan, 2.5], nan_ok=True)
    assert told["last day"].tolist() == [9, 8]
    assert [told[f"{i} day"].tolist() for i in range(3)] == [
        [9, 1], pytest.approx([np.nan, 3], nan_ok=True), pytest.approx([np.nan, 8], nan_ok=True),
    ]  # fmt: skip
    assert told["1 ill"].isna().tolist() == [True, False]


def test_tables_of_rows_are_attacked_by_rows_alone() -> None:
    flat = Schema({n: {k: v for k, v in c.to_dict().items() if k not in ("per", "role")}
                   for n, c in SCHEMA.columns.items() if n != "pid"})  # fmt: skip
    found = membership(
        draw_histories(60, 0), draw_histories(60, 1), schema=flat, holdout=draw_histories(90, 2)
    )
    assert not set(found["attacks"]) & set(HISTORY_ATTACKS)
    assert found["unit_score"] == "the row's own"
