"""The audit that may be published: charged, noised, and made by rules that no record shapes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.accounting.budget import Spend, Unit
from privsynth.attacks.private_audit import SHARES, AuditAccount, AuditBudget, counts, figures, paid_audit
from privsynth.errors import BudgetExceededError, LedgerError, ParameterError, TableError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy import curator
from privsynth.privacy.mechanisms.noise import add_gaussian_noise
from privsynth.records.conform import Records, conform
from privsynth.schema import Schema

COLUMNS = {
    "age": {"type": "integer", "low": 0, "high": 99},
    "pay": {"type": "real", "low": 0, "high": 1, "missing": True},
    "town": {"type": "categorical", "categories": "private"},
    "ill": {"type": "boolean", "role": "target"},
}
SCHEMA = Schema(COLUMNS)
PERSONS = Schema({"who": {"type": "id", "role": "person_id"}, **COLUMNS}, max_records_per_person=3)


def draw(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng([8, seed])
    age = rng.integers(0, 100, n)
    pay = np.where(rng.random(n) < 0.1, np.nan, np.clip(age / 100 + rng.normal(0, 0.1, n), 0, 1))
    town = np.array(["Ulm", "Bonn", "Rome"])[rng.integers(0, 3, n)]
    return pd.DataFrame({"age": age, "pay": pay, "town": town, "ill": rng.random(n) < age / 100})


def records(frame: pd.DataFrame, schema: Schema = SCHEMA) -> Records:
    return conform(frame, schema)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def run(ledger: Ledger, *, real=None, holdout=None, synthetic=None, schema=SCHEMA, epsilon=1.0) -> dict:
    rows = Schema({c.name: c for c in schema.modelled})
    budget = AuditBudget(epsilon=epsilon, delta=1e-6, dataset="clinic", ledger=ledger)
    with AuditAccount(schema, budget) as account:
        return paid_audit(
            real=records(draw(800, 0) if real is None else real, schema),
            holdout=records(draw(800, 1) if holdout is None else holdout, schema),
            synthetic=conform(draw(600, 2) if synthetic is None else synthetic, rows),
            schema=schema,
            target="ill",
            account=account,
        )


def test_what_is_spent_is_what_was_asked_and_is_charged_to_the_data_set(ledger: Ledger) -> None:
    found = run(ledger)
    (summary,) = ledger.datasets()
    assert (summary.dataset, summary.runs[0].description) == ("clinic", "audit")
    assert 0.95 < summary.runs[0].epsilon_spent <= 1.0
    charged = [event.to_dict() for _, _, event in ledger.events(summary.runs[0].run)]
    assert charged == found["events"]
    plan = Spend.of_budget(epsilon=1.0, delta=1e-6).mu_squared
    spent = sum(event["count"] / event["noise_multiplier"] ** 2 for event in found["events"])
    assert 0.999 * plan < spent <= plan
    assert math.isclose(sum(SHARES.values()), 1.0)


def test_an_audit_above_the_limit_or_of_another_unit_is_refused_before_anything_is_counted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments, **rest):
        raise AssertionError("counted without a charge")

    monkeypatch.setattr(curator, "add_gaussian_noise", never)
    monkeypatch.setattr(counts, "hold", never)
    monkeypatch.setattr(figures, "nearest", never)
    ledger.set_limit("clinic", epsilon=0.5, delta=1e-6)
    with pytest.raises(BudgetExceededError, match=r"above the limit epsilon=0\.5"):
        run(ledger, epsilon=0.6)
    ledger.reserve(
        dataset="clinic",
        unit=Unit(unit="person", person_column="who", max_records_per_person=3),
        epsilon=0.1,
        delta=1e-6,
        description="fit",
    )
    with pytest.raises(LedgerError, match="its first spend fixed the unit"):
        run(ledger, epsilon=0.1)


def test_a_copy_is_told_from_a_fresh_sample_and_figures_are_near_the_truth(ledger: Ledger) -> None:
    real = draw(3000, 0)
    copied = run(ledger, real=real, holdout=draw(3000, 1), synthetic=real, epsilon=3.0)["hits"]
    fresh = run(ledger, real=real, holdout=draw(3000, 1), synthetic=draw(3000, 2), epsilon=3.0)
    assert copied["members"]["rate"] > 0.9
    assert copied["members"]["interval"][0] > copied["outsiders"]["interval"][1] + 0.3
    low, high = fresh["hits"]["members"]["interval"]
    assert low - 0.1 < fresh["hits"]["outsiders"]["rate"] < high + 0.1
    assert abs(fresh["hits"]["members"]["n_units"] - 3000) < 6 * math.sqrt(2) * fresh["hits"]["noise_std"]
    assert 0.6 < fresh["predictions"]["members"]["rate"] < 0.9
    by_columns = {tuple(entry["columns"]): entry for entry in fresh["one_way"]}
    assert set(by_columns) == {("age",), ("pay",), ("ill",)}  # towns are private: no public cells
    for entry in by_columns.values():
        assert entry["tv"] < 4 * entry["tv_of_noise"] + 0.05


def exact_tables(monkeypatch: pytest.MonkeyPatch, ledger: Ledger, **tables) -> list[np.ndarray]:
    """Return every table that is counted, before its noise."""
    seen: list[np.ndarray] = []

    def note(counts: np.ndarray, **rest) -> np.ndarray:
        seen.append(counts / rest["units_per_one"])
        return add_gaussian_noise(counts, **rest)

    monkeypatch.setattr(curator, "add_gaussian_noise", note)
    run(ledger, **tables)
    return seen


@pytest.mark.parametrize("side", ["real", "holdout"])
def test_one_record_moves_every_table_by_at_most_one(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, side: str
) -> None:
    # an odd one: a town of its own, at the ends of the lines
    odd = pd.DataFrame({"age": [99], "pay": [0.0], "town": ["Aachen"], "ill": [False]})
    tables = {"real": draw(120, 0), "holdout": draw(90, 1), "synthetic": draw(200, 2)}
    more = {**tables, side: pd.concat([tables[side], odd], ignore_index=True)}
    without = exact_tables(monkeypatch, ledger, **tables)
    with_it = exact_tables(monkeypatch, ledger, **more)[: len(without)]
    assert len(without) == 1 + 1 + 3 + 3
    for a, b in zip(without, with_it, strict=True):
        assert np.abs(a - b).sum() <= 1 + 1e-9


def test_one_person_moves_every_table_by_at_most_one(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    real = draw(90, 0).assign(who=np.repeat(np.arange(30), 3))
    odd = draw(7, 5).assign(who=999)
    tables = {"real": real, "holdout": draw(60, 1).assign(who=range(100, 160)), "synthetic": draw(200, 2)}
    more = {**tables, "real": pd.concat([real, odd], ignore_index=True)}
    without = exact_tables(monkeypatch, ledger, schema=PERSONS, **tables)
    with_it = exact_tables(monkeypatch, ledger, schema=PERSONS, **more)[: len(without)]
    for a, b in zip(without, with_it, strict=True):
        assert 0.9 < np.abs(a - b).sum() <= 1 + 1e-9


def test_the_rules_by_which_records_are_counted_come_from_synthetic_rows_alone(ledger: Ledger) -> None:
    odd = pd.DataFrame({"age": [99], "pay": [0.0], "town": ["Aachen"], "ill": [False]})
    others = pd.concat([draw(300, 7), *[odd] * 40], ignore_index=True)
    thresholds = {
        run(ledger, **sides)["hits"]["threshold"] for sides in ({}, {"real": others}, {"holdout": odd})
    }
    assert len(thresholds) == 1  # it is told without noise


def test_every_table_gets_the_noise_that_is_booked_for_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[float] = []

    def note(counts: np.ndarray, **rest) -> np.ndarray:
        added.append(rest["noise_multiplier"])
        return add_gaussian_noise(counts, **rest)

    monkeypatch.setattr(curator, "add_gaussian_noise", note)
    events = run(ledger)["events"]
    assert added == [level for e in events for level in [e["noise_multiplier"]] * e["count"]]


def test_noise_has_the_scale_that_is_booked(ledger: Ledger) -> None:
    found = run(ledger)
    hits = next(event for event in found["events"] if event["purpose"] == "units near synthetic rows")
    plan = Spend.of_budget(epsilon=1.0, delta=1e-6).mu_squared
    assert found["hits"]["noise_std"] == hits["noise_multiplier"]
    assert hits["noise_multiplier"] == pytest.approx((SHARES["hits"] * plan) ** -0.5, rel=1e-5)
    totals = [run(ledger)["hits"]["members"]["n_units"] for _ in range(12)]
    assert len(set(totals)) > 6  # fresh noise each time, rounded to whole units
    assert np.std(totals) > 0.3 * math.sqrt(2) * hits["noise_multiplier"]


def test_a_budget_needs_a_data_set_and_a_positive_epsilon() -> None:
    with pytest.raises(ParameterError, match="the data set's name"):
        AuditBudget(epsilon=1.0, delta=1e-6, dataset="")
    with pytest.raises(ParameterError, match="epsilon > 0"):
        AuditBudget(epsilon=0.0, delta=1e-6, dataset="clinic")


def test_the_audit_of_a_used_up_data_set_tells_nothing_and_a_stop_is_counted(ledger: Ledger) -> None:
    real = draw(800, 0)
    nobody = real.iloc[:0]
    public = Schema({name: fields for name, fields in COLUMNS.items() if name != "town"})

    def audited(frame: pd.DataFrame, dataset: str) -> None:
        privsynth.audit(
            real=frame.drop(columns="town"),
            synthetic=draw(600, 2).drop(columns="town"),
            schema=public,
            budget=AuditBudget(epsilon=1.0, delta=1e-6, dataset=dataset, ledger=ledger),
        )

    ledger.set_limit("used up", epsilon=0.1, delta=1e-6)
    with pytest.raises(BudgetExceededError):
        audited(nobody, "used up")  # had it been read, the message would say that it is empty
    with pytest.raises(TableError, match=r"to have rows.*ledger close"):
        audited(nobody, "clinic")
    found = next(one for one in ledger.datasets() if one.dataset == "clinic")
    assert (found.noiseless_stops, found.runs[0].is_stopped) == (1, True)
    assert found.epsilon > 0.99  # what was reserved stays so
    audited(real, "clinic")  # and the same call goes on with it
    found = next(one for one in ledger.datasets() if one.dataset == "clinic")
    assert (len(found.runs), found.runs[0].status, found.noiseless_stops) == (1, "closed", 1)


def test_a_column_that_is_called_as_the_sides_are_is_counted_like_any_other(ledger: Ledger) -> None:
    def eyes(seed: int, left: float) -> pd.DataFrame:
        is_left = np.random.default_rng(seed).random(3000) < left
        return pd.DataFrame({"side": np.where(is_left, "left", "right"), "ill": is_left})

    schema = Schema(
        {
            "side": {"type": "categorical", "categories": ["left", "right"]},
            "ill": {"type": "boolean", "role": "target"},
        }
    )
    found = run(ledger, real=eyes(0, 0.5), holdout=eyes(1, 1.0), synthetic=eyes(2, 0.5), schema=schema)
    for figure in (*found["one_way"], *found["two_way"]):
        assert figure["tv"] < 0.05 + 4 * figure["tv_of_noise"]  # members as they are; half left, half right


def test_what_fails_while_real_rows_are_looked_at_stays_charged_and_is_counted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = figures.nearest, []

    def failing(*arguments, **rest):
        calls.append(1)
        if len(calls) > 1:  # the first looks at synthetic rows alone
            raise MemoryError("of 17 rows")
        return honest(*arguments, **rest)

    monkeypatch.setattr(figures, "nearest", failing)
    with pytest.raises(TableError, match=r"cannot be read \(MemoryError\)\. What this run reserved"):
        run(ledger)
    (summary,) = ledger.datasets()
    assert (summary.noiseless_stops, summary.runs[0].is_stopped) == (1, True)
    assert summary.epsilon > 0.99
