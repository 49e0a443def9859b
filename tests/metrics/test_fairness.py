from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from privsynth.metrics import fairness
from privsynth.metrics.downstream import predict_holdout, target_of, unit_bootstrap
from privsynth.metrics.group_models import RATES, _bootstrap, model_differences
from privsynth.metrics.grouping import Grouping
from privsynth.metrics.tables import load_tables
from privsynth.schema import Schema


def group(found: dict[str, Any], **values: object) -> dict[str, Any]:
    return next(entry for entry in found["by_group"] if entry["group"] == values)


def test_shares_and_rates_of_eight_rows_worked_out_by_hand() -> None:
    schema = Schema(
        {
            "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
            "y": {"type": "boolean", "role": "target"},
        }
    )
    real = pd.DataFrame({"sex": list("FFFM") * 40, "y": [1, 0, 0, 1] * 40})
    synthetic = pd.DataFrame({"sex": list("FM") * 80, "y": [0, 1] * 80})
    found = fairness(real, synthetic, schema=schema)
    women = group(found, sex="F")
    assert (women["share"]["real"], women["share"]["synthetic"]) == (0.75, 0.5)
    assert women["share"]["gap"]["value"] == -0.25
    assert women["target_rate"]["real"] == pytest.approx(1 / 3)
    assert women["target_rate"]["gap"]["value"] == pytest.approx(-1 / 3)
    error = np.sqrt(0.75 * 0.25 / 160 + 0.5 * 0.5 / 160)
    assert women["share"]["gap"]["interval"] == pytest.approx([-0.25 - 1.96 * error, -0.25 + 1.96 * error])
    (by_sex,) = found["by_columns"]
    assert by_sex["label_parity_difference"]["value"] == 1.0
    assert by_sex["label_parity_difference"]["ceiling"] == pytest.approx(2 / 3)
    assert found["models_reason"].startswith("no holdout")
    json.dumps(found, allow_nan=False)


def test_a_planted_bias_has_its_sign(draw, schema: Schema) -> None:
    real, holdout = draw(4000, 0), draw(3000, 1)
    fewer_women = pd.concat([real[real["sex"] == "M"], real[real["sex"] == "F"][::2]], ignore_index=True)
    women_lose = real.assign(owner=real["owner"] & ((real["sex"] == "M") | (real.index % 2 == 0)))
    found = fairness(real, fewer_women, schema=schema, holdout=holdout, n_bootstrap=50)
    assert group(found, sex="F")["share"]["gap"]["interval"][1] < 0
    assert group(found, sex="M")["share"]["gap"]["interval"][0] > 0
    low, high = group(found, sex="F")["target_rate"]["gap"]["interval"]
    assert low < 0 < high

    found = fairness(real, women_lose, schema=schema, holdout=holdout, n_bootstrap=50)
    assert group(found, sex="F")["target_rate"]["gap"]["interval"][1] < 0
    (by_sex,) = found["by_columns"]
    assert by_sex["demographic_parity_difference"]["excess"]["interval"][0] > 0
    women = group(found, sex="F")["models"]
    assert women["synthetic"]["selection_rate"] < women["real"]["selection_rate"] - 0.1


def test_a_fresh_sample_shows_no_gap(draw, schema: Schema) -> None:
    found = fairness(draw(3000, 0), draw(3000, 5), schema=schema, groups=["sex", "region", "age"])
    gaps = [entry["share"]["gap"] for entry in found["by_group"]]
    assert len(gaps) > 20
    assert all(
        abs(gap["value"]) < 5.2 * (gap["interval"][1] - gap["value"]) / 1.96 + 1e-9 for gap in gaps
    )  # 5.2 standard errors: 2e-7 each


def test_differences_are_those_of_fairlearn(draw, schema: Schema) -> None:
    tables = load_tables(draw(800, 0), draw(800, 1), schema=schema, holdout=draw(900, 2), groups=["region"])
    predictions = predict_holdout(tables, target_of(tables))
    grouping = Grouping.of(tables, ["region"])
    draws = unit_bootstrap(predictions.units, 20, np.random.default_rng(0))
    found = model_differences(predictions, grouping, draws)
    selected = predictions.of["hist_gradient_boosting", "synthetic"][:, 1] >= 0.5
    theirs = {
        "y_true": predictions.labels,
        "y_pred": selected,
        "sensitive_features": predictions.rows["region"],
    }
    assert found["demographic_parity_difference"]["value"] == pytest.approx(
        demographic_parity_difference(**theirs)
    )
    assert found["equalized_odds_difference"]["value"] == pytest.approx(equalized_odds_difference(**theirs))
    once = np.ones((1, len(predictions.units)), dtype=int)
    everyone = np.ones(len(grouping.groups), dtype=bool)
    replicate = _bootstrap(
        predictions, "synthetic", grouping.members(predictions.rows), everyone, RATES[1:], once
    )
    assert replicate[0] == pytest.approx(found["equalized_odds_difference"]["value"])


def test_groups_too_small_to_say_carry_null_and_the_reason(draw, schema: Schema) -> None:
    real = draw(500, 0)
    real = pd.concat([real[real["sex"] == "M"], real[real["sex"] == "F"][:7]], ignore_index=True)
    found = fairness(real, real, schema=schema, holdout=draw(300, 1)[:25], n_bootstrap=10)
    women = group(found, sex="F")
    assert women["target_rate"]["real"] is None
    assert women["target_rate"]["reason"] == "fewer than 20 real units in this group"
    assert "10 of each class" in women["models"]["reason"]
    (by_sex,) = found["by_columns"]
    assert by_sex["label_parity_difference"]["value"] is None
    assert "fewer than two groups" in by_sex["equalized_odds_difference"]["reason"]
    json.dumps(found, allow_nan=False)


def test_intersections_and_missing_groups_are_listed(draw, schema: Schema) -> None:
    schema = Schema(
        {
            "a": {"type": "categorical", "categories": ["x", "y"], "role": "group", "missing": True},
            "b": {"type": "boolean", "role": "group"},
            "c": {"type": "integer", "low": 0, "high": 9},
        }
    )
    table = pd.DataFrame({"a": ["x", None] * 30, "b": [True, True, False] * 20, "c": range(60)}).assign(c=1)
    found = fairness(table, table[table["b"]], schema=schema)
    assert [entry["columns"] for entry in found["by_columns"]] == [["a"], ["b"], ["a", "b"]]
    assert group(found, a=None)["share"]["real"] == 0.5
    assert group(found, b=False)["share"]["synthetic"] == 0.0
    assert len([entry for entry in found["by_group"] if len(entry["group"]) == 2]) == 4
    assert "target_rate" not in group(found, a="x")
    assert found["target_reason"].startswith("no target")


def test_a_number_that_names_groups_is_cut_at_quartiles(draw, schema: Schema) -> None:
    found = fairness(draw(2000, 0), draw(2000, 1), schema=schema, groups=["age"])
    assert len(found["by_group"]) == 4
    assert found["by_group"][0]["group"]["age"].startswith("< ")
    assert all(0.2 < entry["share"]["real"] < 0.3 for entry in found["by_group"])


def test_persons_are_counted_and_weighed_once(draw, person_schema: Schema) -> None:
    rows = draw(100, 0).assign(pid=range(100), sex=["F"] * 50 + ["M"] * 50)
    repeated = pd.concat([rows, *[rows[:50]] * 3], ignore_index=True)
    found = fairness(repeated, rows, schema=person_schema)
    assert group(found, sex="F")["share"]["real"] == pytest.approx(0.5)
    assert group(found, sex="F")["n_real"] == 50
    once = fairness(rows, rows, schema=person_schema)
    for what in ("share", "target_rate"):  # repeating a person's rows makes nothing more certain
        expected = group(once, sex="F")[what]["gap"]["interval"]
        assert group(found, sex="F")[what]["gap"]["interval"] == pytest.approx(expected)


def test_without_groups_it_is_not_assessed(draw, schema: Schema) -> None:
    found = fairness(draw(30, 0), draw(30, 1), schema=schema, groups=[])
    assert found["status"] == "not_assessed"
    assert "no group columns" in found["reason"]
