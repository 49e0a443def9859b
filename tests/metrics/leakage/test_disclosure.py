"""Disclosure attacks: certain on a full copy, at chance on a fresh sample, silent without a holdout."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError
from privsynth.metrics import disclosure
from privsynth.schema import Schema

CONFIDENCE = 1 - 1e-6  # a false alarm of one in a million for all comparisons together


def comparisons(found: dict) -> dict[str, dict]:
    out = {f"{e['secret']} {e['attack']}": e for e in found["attribute_inference"]}
    for section in ("singling_out", "linkage", "copies"):
        out |= {f"{section} {name}": entry for name, entry in found[section].items()}
    return out


def test_a_full_copy_gives_everything_away(draw, schema: Schema) -> None:
    real = draw(1500, 0)
    found = disclosure(real, real, schema=schema, holdout=draw(1500, 1), confidence=CONFIDENCE)
    told = comparisons(found)
    for name in ("income neighbours", "age neighbours", "linkage halves", "copies exact", "copies near"):
        assert told[name]["family_interval"][0] > 0.2, name
    assert told["singling_out multivariate"]["family_interval"][0] > 0
    assert told["copies exact"]["members"] == 1.0
    assert told["income neighbours"]["members"] > 0.9
    json.dumps(found, allow_nan=False)


def test_a_fresh_sample_gives_nothing_of_members_away(draw, schema: Schema) -> None:
    found = disclosure(
        draw(2000, 0), draw(2000, 9), schema=schema, holdout=draw(2000, 1), confidence=CONFIDENCE
    )
    assert found["n_comparisons"] == len(comparisons(found)) == 17
    for name, entry in comparisons(found).items():
        low, high = entry["family_interval"]
        assert low <= 0 <= high, name
    # what is true of people in general is guessed of both
    income = comparisons(found)["income neighbours"]
    assert income["outsiders"] > income["constant_guess"] + 0.1


def test_advantage_rises_with_the_share_of_copies(draw, schema: Schema) -> None:
    real, fresh, holdout = draw(1500, 0), draw(1500, 9), draw(1500, 1)
    differences = []
    for n_copies in (0, 300, 1500):
        synthetic = pd.concat([real[:n_copies], fresh[n_copies:]], ignore_index=True)
        found = disclosure(real, synthetic, schema=schema, holdout=holdout, max_secrets=2)
        assert comparisons(found)["copies exact"]["members"] >= n_copies / 1500
        differences.append(comparisons(found)["linkage halves"]["difference"])
    assert differences == sorted(differences)
    assert differences[2] > 0.1  # three columns on each side: ties among 1,500 rows hide some links


@pytest.mark.audit
def test_intervals_cover_no_leak_as_often_as_they_say(draw, schema: Schema) -> None:
    # 30 clean triples of tables, all comparisons together at 95 %: more than 9 misses have chance 1e-6.
    n_missed = 0
    for seed in range(30):
        found = disclosure(
            draw(250, 3 * seed), draw(250, 3 * seed + 1), schema=schema, holdout=draw(250, 3 * seed + 2),
            max_secrets=1,
        )  # fmt: skip
        n_missed += any(
            not e["family_interval"][0] <= 0 <= e["family_interval"][1] for e in comparisons(found).values()
        )
    assert n_missed <= 9


def test_each_person_is_tried_once(draw, person_schema: Schema) -> None:
    real = draw(600, 0).assign(pid=np.repeat(np.arange(200), 3))
    holdout = draw(300, 1).assign(pid=1000 + np.repeat(np.arange(100), 3))
    found = disclosure(real, draw(400, 2), schema=person_schema, holdout=holdout)
    assert found["unit"] == "person"
    entry = comparisons(found)["copies near"]
    assert (entry["n_members"], entry["n_outsiders"]) == (200, 100)


def test_targets_are_fewer_where_the_synthetic_table_is_large(draw, schema: Schema) -> None:
    found = disclosure(draw(300, 0), draw(200, 1), schema=schema, holdout=draw(300, 2), max_targets=40)
    entry = comparisons(found)["owner neighbours"]
    assert (entry["n_members"], entry["n_outsiders"]) == (40, 40)


def test_the_target_is_guessed_first_and_groups_are_known(draw, schema: Schema) -> None:
    found = disclosure(draw(100, 0), draw(100, 1), schema=schema, holdout=draw(100, 2), max_secrets=2)
    secrets = [entry["secret"] for entry in found["attribute_inference"]]
    assert secrets == ["owner", "owner", "age", "age", "owner"]  # each by neighbours and model, one by key
    by_key = next(e for e in found["attribute_inference"] if e["attack"] == "disclosive_key")
    assert by_key["keys"][0] == "sex"


def test_one_column_is_singled_out_and_nothing_else(draw) -> None:
    schema = Schema({"age": {"type": "integer", "low": 18, "high": 90}})
    found = disclosure(
        draw(80, 0)[["age"]], draw(80, 1)[["age"]], schema=schema, holdout=draw(80, 2)[["age"]]
    )
    assert set(comparisons(found)) == {"singling_out univariate", "copies exact", "copies near"}


def test_without_a_fair_holdout_it_is_not_assessed(draw, schema: Schema, person_schema: Schema) -> None:
    real = draw(200, 0)
    assert "no holdout" in disclosure(real, draw(50, 1), schema=schema)["reason"]
    assert "needs 20" in disclosure(real, draw(50, 1), schema=schema, holdout=draw(19, 2))["reason"]
    mixed = pd.concat([draw(100, 2), real[:60]], ignore_index=True)
    assert "not apart" in disclosure(real, draw(50, 1), schema=schema, holdout=mixed)["reason"]
    with pytest.raises(ParameterError, match="share persons"):
        disclosure(
            real.assign(pid=range(200)),
            draw(50, 1),
            schema=person_schema,
            holdout=real.assign(pid=range(200)),
        )
