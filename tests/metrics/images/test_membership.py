"""Attacks on images: planted copies are found, a fresh draw of the source is not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.attacks.trade_off import points_above
from privsynth.metrics.images import membership
from privsynth.metrics.leakage.image_membership import ATTACKS
from privsynth.schema import Schema
from tests.metrics.images.conftest import SHAPE

CONFIDENCE = 1 - 1e-6  # a false alarm of one in a million per assertion


def with_copies(real, fresh, n: int):
    pixels = np.concatenate([real[0][:n], fresh[0][n:]])
    return pixels, pd.concat([real[1][:n], fresh[1][n:]], ignore_index=True)


@pytest.fixture(scope="module")
def of_copies(real, holdout, schema: Schema) -> dict:
    return membership(real, real, schema=schema, holdout=holdout)


def test_a_full_copy_is_found_by_every_attack(of_copies: dict) -> None:
    assert list(of_copies["attacks"]) == list(ATTACKS)
    for name, attack in of_copies["attacks"].items():
        assert attack["auc"] > 0.95, name
        assert attack["auc_interval"][0] > 0.9, name
    assert of_copies["attacks"]["nearest"]["tpr_at_fpr"]["0.1"]["tpr"] == 1.0
    assert set(of_copies["targets"]) == {"most_isolated"}
    json.dumps(of_copies, allow_nan=False)


def test_classes_and_groups_are_attacked_apart(of_copies: dict) -> None:
    groups = [entry for entry in of_copies["by_group"] if list(entry["group"]) == ["digit"]]
    assert [entry["group"]["digit"] for entry in groups] == list(range(10))
    assert all(entry["auc"] > 0.9 for entry in groups if entry["auc"] is not None)
    assert any(list(entry["group"]) == ["ink"] for entry in of_copies["by_group"])


def test_a_fresh_draw_is_at_chance(real, fresh, holdout, schema: Schema) -> None:
    found = membership(real, fresh, schema=schema, holdout=holdout, confidence=CONFIDENCE)
    for name, attack in found["attacks"].items():
        low, high = attack["auc_interval"]
        assert low < 0.5 < high, name
        assert attack["smallest_detectable_auc"] < 0.65, name  # power: it would have been seen
    assert not found["holdout"]["source_difference"]["differs"]


@pytest.mark.parametrize("copied", [0.01, 0.05, 0.2])
def test_a_share_of_copies_is_found_at_low_false_positive_rates(
    real, fresh, holdout, schema: Schema, copied: float
) -> None:
    n = round(copied * 600)
    found = membership(real, with_copies(real, fresh, n), schema=schema, holdout=holdout)
    for name in ("nearest", "nearest_calibrated_pixels"):
        attack = found["attacks"][name]
        assert attack["tpr_at_fpr"]["0.01"]["n_true_positives"] >= n, name  # no copy is overlooked
        assert attack["auc"] > 0.5 + copied / 2 - 0.12, name
    clear = points_above(found["attacks"], lambda fpr: fpr, family_wise_error=1e-6)
    assert clear or copied < 0.2  # 149 outsiders: what is fewer cannot be told from false alarms


def test_copies_of_outsiders_accuse_outsiders(real, fresh, holdout, schema: Schema) -> None:
    half = [(holdout[0][rows], holdout[1][rows]) for rows in (slice(0, 300), slice(300, None))]
    found = membership(real, half[0], schema=schema, holdout=half[0], reference=half[1])
    assert found["attacks"]["nearest"]["auc_interval"][1] < 0.1
    assert found["reference"] == "reference set"


def test_persons_are_attacked_as_a_whole(real, holdout, schema: Schema) -> None:
    columns = {"patient": {"type": "id", "role": "person_id"}, **schema.columns}
    of_persons = Schema(columns, image=SHAPE, max_records_per_person=3)
    sides = [
        (pixels, frame.assign(patient=[f"{name}{i // 3}" for i in range(len(frame))]))
        for name, (pixels, frame) in (("r", real), ("h", holdout))
    ]
    one_each = (real[0][::3], real[1][::3].reset_index(drop=True))
    found = membership(sides[0], one_each, schema=of_persons, holdout=sides[1])
    attack = found["attacks"]["nearest"]
    assert found["unit"] == "person"
    assert (attack["n_members"], attack["n_non_members"], found["n_reference"]) == (200, 100, 99)
    assert attack["auc"] > 0.9  # one copied image gives the person away


def test_members_are_thinned_and_synthetic_images_never(real, holdout, schema: Schema) -> None:
    found = membership(real, real, schema=schema, holdout=holdout, max_scored=100)
    attack = found["attacks"]["nearest"]
    assert (attack["n_members"], attack["n_non_members"], found["n_reference"]) == (100, 100, 100)
    assert found["n_synthetic_rows"] == 600
    assert attack["auc"] > 0.95


def test_without_outsiders_nothing_is_said(real, fresh, holdout, schema: Schema) -> None:
    found = membership(real, fresh, schema=schema)
    assert found["status"] == "not_assessed"
    assert "no holdout images" in found["reason"]
    mixed = (
        np.concatenate([holdout[0], real[0][:60]]),
        pd.concat([holdout[1], real[1][:60]], ignore_index=True),
    )
    found = membership(real, fresh, schema=schema, holdout=mixed)
    assert found["status"] == "not_assessed"
    assert "not apart from the members" in found["reason"]
    few = (holdout[0][:30], holdout[1][:30])
    assert "needs 20 members" in membership(real, fresh, schema=schema, holdout=few)["reason"]
    extra = (np.concatenate([holdout[0][:300], fresh[0][:60]]), pd.concat([holdout[1][:300], fresh[1][:60]]))
    found = membership(real, fresh, schema=schema, holdout=holdout, reference=extra)
    assert "both the holdout and the reference" in found["reason"]
