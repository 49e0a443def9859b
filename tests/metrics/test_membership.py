from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError
from privsynth.metrics import disclosure, membership
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


def test_disclosure_says_that_it_is_not_assessed(draw, schema: Schema) -> None:
    found = disclosure(draw(5, 0), draw(5, 1), schema=schema)
    assert found["status"] == "not_assessed"
    assert "membership only" in found["reason"]
