from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.trade_off import points_above
from privsynth.errors import ParameterError
from privsynth.metrics import membership
from privsynth.metrics.leakage.shadow import Shadowing
from privsynth.records.splitting import write_split
from privsynth.schema import Schema

CONFIDENCE = 1 - 1e-6  # a false alarm of one in a million per assertion


def auc_of(found: dict) -> tuple[float, float, float]:
    attack = found["attacks"]["density_ratio"]
    return attack["auc"], *attack["auc_interval"]


def test_a_full_copy_is_found(draw, schema: Schema) -> None:
    real = draw(1500, 0)
    found = membership(real, real, schema=schema, holdout=draw(1000, 1))
    auc, low, _ = auc_of(found)
    assert auc > 0.97
    assert low > 0.9
    assert found["attacks"]["density_ratio"]["tpr_at_fpr"]["0.1"]["tpr"] > 0.95
    json.dumps(found, allow_nan=False)


def test_a_fresh_sample_is_at_chance(draw, schema: Schema) -> None:
    found = membership(
        draw(1500, 0), draw(1500, 9), schema=schema, holdout=draw(1000, 1), confidence=CONFIDENCE
    )
    _, low, high = auc_of(found)
    assert low < 0.5 < high
    point = found["attacks"]["density_ratio"]["tpr_at_fpr"]["0.1"]
    assert point["interval"][0] < point["fpr_interval"][1]


def test_risk_rises_with_the_share_of_copies(draw, schema: Schema) -> None:
    real, fresh, holdout = draw(1500, 0), draw(1500, 9), draw(1500, 1)
    aucs = []
    for n_copies in (0, 300, 750, 1500):
        synthetic = pd.concat([real[:n_copies], fresh[n_copies:]], ignore_index=True)
        aucs.append(auc_of(membership(real, synthetic, schema=schema, holdout=holdout))[0])
    assert aucs == sorted(aucs)
    for copied, auc in zip((0, 0.2, 0.5, 1.0), aucs, strict=True):
        assert auc == pytest.approx(0.5 + copied / 2, abs=0.05)


def test_copies_of_the_holdout_score_below_chance(draw, schema: Schema) -> None:
    real, holdout = draw(800, 0), draw(800, 1)
    _, _, high = auc_of(membership(real, holdout, schema=schema, holdout=holdout, reference=draw(800, 2)))
    assert high < 0.1


def test_persons_are_attacked_as_a_whole(draw, person_schema: Schema) -> None:
    ids = np.repeat(np.arange(400), 3)
    real = draw(1200, 0).assign(pid=ids)
    holdout = draw(900, 1).assign(pid=1000 + np.repeat(np.arange(300), 3))
    one_row_each = real.groupby("pid").head(1)
    found = membership(real, one_row_each, schema=person_schema, holdout=holdout)
    attack = found["attacks"]["density_ratio"]
    assert found["unit"] == "person"
    assert (attack["n_members"], attack["n_non_members"], found["n_reference"]) == (400, 150, 150)
    assert attack["auc"] > 0.9  # one copied row gives the person away
    assert found["unit_score"].startswith("max")


def test_a_reference_table_spares_the_holdout(draw, schema: Schema) -> None:
    found = membership(
        draw(300, 0),
        draw(300, 3),
        schema=schema,
        holdout=draw(200, 1),
        reference=draw(250, 2),
        max_members=100,
    )
    attack = found["attacks"]["density_ratio"]
    assert (attack["n_members"], attack["n_non_members"], found["n_reference"]) == (100, 200, 250)
    assert found["reference"] == "reference table"
    assert attack["tpr_at_fpr"]["0.001"]["tpr"] is None


def test_the_same_seed_gives_the_same_figures(draw, schema: Schema) -> None:
    tables = {"real": draw(300, 0), "synthetic": draw(300, 2), "schema": schema, "holdout": draw(200, 1)}
    assert membership(**tables, random_state=3) == membership(**tables, random_state=3)
    assert membership(**tables, random_state=3) != membership(**tables, random_state=4)


@pytest.mark.parametrize("copied", [0.01, 0.05, 0.2])
def test_planted_copies_are_found_at_low_false_positive_rates(draw, schema: Schema, copied: float) -> None:
    # Power: with 4,000 members and 2,000 scored outsiders, at 1 % false alarms, 3.5 % of copies are seen.
    real, fresh = draw(4000, 0), draw(4000, 9)
    n_copies = int(copied * 4000)
    synthetic = pd.concat([real[:n_copies], fresh[n_copies:]], ignore_index=True)
    found = membership(real, synthetic, schema=schema, holdout=draw(4000, 1))
    point = found["attacks"]["nearest_calibrated"]["tpr_at_fpr"]["0.01"]
    assert point["smallest_detectable_tpr"] < 0.035
    assert point["tpr"] > 0.9 * copied
    clear = points_above(found["attacks"], lambda fpr: fpr, family_wise_error=1e-6)
    assert bool(clear) == (copied > 0.035)


def test_the_most_exposed_are_attacked_apart(draw, schema: Schema) -> None:
    found = membership(draw(1500, 0), draw(1500, 9), schema=schema, holdout=draw(1500, 1))
    assert set(found["targets"]) == {"most_isolated", "rarest_values"}
    target = found["targets"]["most_isolated"]["attacks"]["density_ratio"]
    assert target["n_members"] + target["n_non_members"] == pytest.approx(225, abs=5)
    adjusted = [a["p_adjusted"] for t in found["targets"].values() for a in t["attacks"].values()]
    assert min(adjusted) > 1e-6  # at chance here too


def test_a_group_that_is_copied_is_named(draw, schema: Schema) -> None:
    real, fresh = draw(3000, 0), draw(3000, 9)
    is_female = real["sex"] == "F"
    synthetic = pd.concat([real[is_female], fresh[fresh["sex"] == "M"]], ignore_index=True)
    found = membership(real, synthetic, schema=schema, holdout=draw(3000, 1))
    groups = {entry["group"]["sex"]: entry for entry in found["by_group"]}
    assert groups["F"]["auc"] > 0.9
    assert groups["F"]["p_adjusted"] < 1e-6
    assert groups["M"]["auc_interval"][0] < 0.5 < groups["M"]["auc_interval"][1]
    assert groups["M"]["p_adjusted"] > 1e-6


def test_scored_rows_are_thinned_where_there_are_too_many_and_synthetic_rows_never(draw, schema) -> None:
    real = draw(1500, 0)
    found = membership(real, real, schema=schema, holdout=draw(1000, 1), max_comparisons=2 * 300 * 1500)
    attack = found["attacks"]["density_ratio"]
    assert (attack["n_members"], attack["n_non_members"], found["n_reference"]) == (300, 300, 300)
    assert found["n_synthetic_rows"] == 1500
    assert attack["auc"] > 0.97


def test_a_holdout_of_another_source_is_found(draw, schema: Schema) -> None:
    holdout = draw(3000, 1)
    younger = holdout[holdout["age"] < 60].reset_index(drop=True)
    found = membership(draw(1500, 0), draw(1500, 9), schema=schema, holdout=younger)
    assert found["holdout"]["source_difference"]["differs"]
    assert found["holdout"]["source_difference"]["auc"] > 0.55
    same = membership(draw(1500, 0), draw(1500, 9), schema=schema, holdout=holdout)
    assert not same["holdout"]["source_difference"]["differs"]


def test_a_split_made_by_chance_gives_a_bound_on_epsilon(draw, schema: Schema, tmp_path) -> None:
    train, holdout = write_split(draw(3000, 0), schema, tmp_path, holdout=0.5)
    found = membership(train, train, schema=schema, holdout=holdout)
    assert found["is_randomised"]
    details = found["attacks"]["density_ratio"]["epsilon_lower_bound_details"]
    assert details["relation"] == "replace_one"
    assert details["n_guesses"] == details["n_pairs"] // 10
    assert found["attacks"]["density_ratio"]["epsilon_lower_bound"] > 1.5  # every row is copied
    other = membership(train, train, schema=schema, holdout=pd.read_parquet(holdout))
    assert not other["is_randomised"]
    assert other["attacks"]["density_ratio"]["epsilon_lower_bound"] is None


def copies_half(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A generator whose rows take some columns from one record and the rest from another."""
    generator = np.random.default_rng(seed)
    first, second = (
        table.iloc[generator.integers(0, len(table), 1000)].reset_index(drop=True) for _ in range(2)
    )
    return first.assign(**second[["income", "joined"]])


def test_shadow_fits_are_an_attack_of_their_own(draw, schema: Schema) -> None:
    real = draw(120, 0)
    asked = Shadowing(refit=copies_half, n_fits=12, n_targets=40, n_jobs=1)
    found = membership(real, copies_half(real, 3), schema=schema, holdout=draw(120, 1), shadowing=asked)
    names = [name for name in found["attacks"] if name.startswith("shadow_")]
    assert names == ["shadow_density_ratio", "shadow_nearest_calibrated", "shadow_marginal_queries"]
    figures = found["attacks"]["shadow_marginal_queries"]
    assert (figures["n_members"], figures["n_non_members"]) == (40, 40)
    assert figures["auc"] > 0.6
    assert figures["p_adjusted"] >= figures["p_value"]
    assert "12 refits" in figures["accuses"]


def test_shadow_fits_attack_persons_with_all_of_their_rows(draw, person_schema: Schema) -> None:
    real = draw(160, 0).assign(pid=np.repeat(range(80), 2))  # two rows each
    holdout = draw(160, 1).assign(pid=np.repeat(range(100, 180), 2))
    seen = []

    def refit(table: pd.DataFrame, seed: int) -> pd.DataFrame:
        seen.append(table.groupby("pid").size())
        return copies_half(table, seed).drop(columns="pid")

    found = membership(
        real, copies_half(real, 3), schema=person_schema, holdout=holdout,
        shadowing=Shadowing(refit=refit, n_fits=12, n_targets=30, n_jobs=1),
    )  # fmt: skip
    figures = found["attacks"]["shadow_marginal_queries"]
    assert (figures["n_members"], figures["n_non_members"]) == (30, 30)
    assert figures["auc"] > 0.5
    assert len(seen) == 12
    for sizes in seen:
        assert (sizes == 2).all()  # a person is in with both rows, or out
        assert 50 <= len(sizes) <= 110  # fifty that are no targets, and about half of the sixty that are


def test_a_holdout_that_holds_members_is_not_believed(draw, schema: Schema) -> None:
    real, holdout = draw(400, 0), draw(300, 1)
    mixed = pd.concat([holdout, real[:60]], ignore_index=True)
    found = membership(real, draw(300, 2), schema=schema, holdout=mixed)
    assert found["status"] == "not_assessed"
    assert "duplicates within the real table" in found["reason"]
    found = membership(real, draw(300, 2), schema=schema, holdout=holdout, reference=holdout)
    assert found["status"] == "not_assessed"
    assert "both the holdout and the reference" in found["reason"]


def test_shared_persons_are_an_error(draw, person_schema: Schema) -> None:
    real, holdout = draw(50, 0).assign(pid=range(50)), draw(50, 1).assign(pid=range(40, 90))
    with pytest.raises(ParameterError, match="share persons"):
        membership(real, draw(50, 2), schema=person_schema, holdout=holdout)


def test_without_a_holdout_or_with_a_tiny_one_it_is_not_assessed(draw, schema: Schema) -> None:
    assert "no holdout" in membership(draw(50, 0), draw(50, 1), schema=schema)["reason"]
    found = membership(draw(50, 0), draw(50, 1), schema=schema, holdout=draw(39, 2))
    assert "needs 20 members" in found["reason"]
