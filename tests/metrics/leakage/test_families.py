"""Attacks on whole families: they find copied persons, and copied rows that were given to others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.metrics.common.families import load_linked_tables
from privsynth.metrics.common.whole_families import whole_families
from privsynth.metrics.leakage.family_membership import ROWS_OF, assess_family_membership
from privsynth.metrics.leakage.membership import split_by_chance
from privsynth.records.splitting import write_split
from privsynth.report.sections.membership import membership_verdict
from privsynth.schema.linked import LinkedSchema
from tests.helpers.linked import SCHEMA, bank

N = 500
GUARANTEE = {"private": True, "epsilon": 0.5, "delta": 1e-6, "unit": "person"}
CONFIDENCE = 1 - 1e-6  # a false alarm of one in a million per assertion
Bank = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def real() -> Bank:
    return bank(N, 0)


@pytest.fixture(scope="module")
def holdout() -> Bank:
    return bank(3 * N, 1, first_id=10**6)


def of_persons(tables: Bank, ids: np.ndarray, prefix: str) -> Bank:
    """Return some persons with all their rows, their accounts named afresh."""
    client = tables["client"][tables["client"]["id"].isin(ids)]
    account = tables["account"][tables["account"]["owner"].isin(ids)]
    trans = tables["trans"][tables["trans"]["account"].isin(account["account"])]
    return {
        "client": client,
        "account": account.assign(account=prefix + account["account"]),
        "trans": trans.assign(account=prefix + trans["account"]),
        "card": tables["card"][tables["card"]["client"].isin(ids)],
    }


def leaking(real: Bank, share: float) -> Bank:
    """Return fresh persons of whom a share gave way to persons of the real tables."""
    fresh, n_copied = bank(N, 2, first_id=10**7), int(share * N)
    copied = of_persons(real, real["client"]["id"].to_numpy()[:n_copied], "x")
    others = of_persons(fresh, fresh["client"]["id"].to_numpy()[n_copied:], "y")
    return {name: pd.concat([copied[name], others[name]], ignore_index=True) for name in copied}


def test_copied_families_are_found_and_others_are_not_accused(real, holdout) -> None:
    tables = load_linked_tables(real, leaking(real, 0.3), schema=SCHEMA, holdout=holdout)
    found = assess_family_membership(tables, guarantee=GUARANTEE)
    for name in ("density_ratio", "nearest_calibrated"):
        assert found["attacks"][name]["auc"] == pytest.approx(0.3 + 0.7 / 2, abs=0.06)
        assert found["attacks"][name]["tpr_at_fpr"]["0.01"]["tpr"] > 0.15
        assert found["attacks"][name]["p_adjusted"] < 1e-6
    assert membership_verdict(found, GUARANTEE)["verdict"] == "problem"
    assert {group["group"]["sex"] for group in found["by_group"]} == {"F", "M"}
    assert found["unit"] == "person"
    honest = load_linked_tables(real, bank(N, 2), schema=SCHEMA, holdout=holdout)
    found = assess_family_membership(honest, guarantee=GUARANTEE, confidence=CONFIDENCE)
    assert set(found["attacks"]) >= {"density_ratio", *(ROWS_OF + name for name in honest.real.parents)}
    for attack in found["attacks"].values():
        low, high = attack["auc_interval"]
        assert low < 0.5 < high
    assert membership_verdict(found, GUARANTEE)["verdict"] == "ok"


WIDE = LinkedSchema(
    {
        "client": {"key": "id", "columns": {"rich": {"type": "boolean"}}},
        "visit": {
            "parent": "client",
            "parent_key": "client",
            "max_records_per_parent": 3,
            "columns": {f"x{i}": {"type": "real", "low": 0, "high": 1} for i in range(4)},
        },
    },
    person="client",
)


def wide(n: int, seed: int, first_id: int = 0) -> Bank:
    """Return persons with up to three visits like no other."""
    rng = np.random.default_rng([9, seed])
    ids = np.arange(n) + first_id
    visit = pd.DataFrame({"client": np.repeat(ids, rng.integers(0, 4, n))})
    visit = visit.assign(**{f"x{i}": rng.random(len(visit)) for i in range(4)})
    return {"client": pd.DataFrame({"id": ids, "rich": rng.random(n) < 0.5}), "visit": visit}


def test_copied_rows_that_were_given_to_others_are_found() -> None:
    real, released = wide(N, 0), wide(N, 2)
    n = min(len(real["visit"]), len(released["visit"]))
    copied = real["visit"].sample(n, random_state=0)[[f"x{i}" for i in range(4)]].to_numpy()
    released["visit"] = released["visit"][:n].assign(**{f"x{i}": copied[:, i] for i in range(4)})
    tables = load_linked_tables(real, released, schema=WIDE, holdout=wide(2 * N, 1, 10**6))
    attacks = assess_family_membership(tables)["attacks"]
    assert attacks["rows_of_visit"]["auc"] > 0.7
    assert attacks["rows_of_visit"]["accuses"].startswith("persons of whom a row of visit is closer")
    assert attacks["density_ratio"]["auc"] < attacks["rows_of_visit"]["auc"]


def test_a_family_is_one_row_in_whatever_order_its_rows_stand() -> None:
    tables = bank(120)
    shuffled = {name: t.sample(frac=1, random_state=5) for name, t in tables.items()}
    one, other = (
        whole_families(load_linked_tables(t, t, schema=SCHEMA).real).sort_values(["age", "rich", "sex"])
        for t in (tables, shuffled)
    )
    columns = list(one.columns)
    assert "account: n_records" in columns
    assert "trans: mean big" in columns
    one, other = (frame.sort_values(columns).reset_index(drop=True) for frame in (one, other))
    pd.testing.assert_frame_equal(one, other)
    without = {**tables, "card": tables["card"][:0]}
    empty = whole_families(load_linked_tables(without, tables, schema=SCHEMA).real)
    assert list(empty.columns) == columns
    assert empty["card: mean limit"].isna().all()
    assert (empty["card: n_records"] == 0).all()


def test_little_or_overlapping_data_are_not_attacked(real) -> None:
    for tables, told in (
        (load_linked_tables(real, bank(9), schema=SCHEMA), "No holdout"),
        (load_linked_tables(real, bank(9), schema=SCHEMA, holdout=bank(30, 1, 10**6)), "needs 20 members"),
    ):
        found = assess_family_membership(tables)
        assert found["status"] == "not_assessed"
        assert told.lower() in found["reason"].lower()
    mixed = wide(N, 0)
    same = {"client": mixed["client"].assign(id=mixed["client"]["id"] + 10**6)}
    same["visit"] = mixed["visit"].assign(client=mixed["visit"]["client"] + 10**6)
    found = assess_family_membership(load_linked_tables(mixed, wide(50, 2), schema=WIDE, holdout=same))
    assert "the holdout is not apart" in found["reason"]


def test_parts_of_one_split_are_known_as_such(tmp_path) -> None:
    train, holdout = write_split(bank(60), SCHEMA, tmp_path / "a")
    other, _ = write_split(bank(60), SCHEMA, tmp_path / "b")
    assert split_by_chance(train, holdout, SCHEMA)
    assert not split_by_chance(holdout, train, SCHEMA)
    assert not split_by_chance(other, holdout, SCHEMA)
    assert not split_by_chance(bank(60), holdout, SCHEMA)
    assert not split_by_chance(train, None, SCHEMA)
    (train / "card.parquet").write_bytes((other / "card.parquet").read_bytes())
    assert not split_by_chance(train, holdout, SCHEMA)
