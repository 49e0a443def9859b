from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sdmetrics.single_column import KSComplement, TVComplement

from privsynth.metrics import fidelity
from privsynth.metrics.fidelity.distributions import interval_text
from privsynth.schema import Schema


def test_the_real_table_itself_scores_at_the_ceiling(draw, schema: Schema) -> None:
    real, holdout = draw(1500, 0), draw(500, 1)
    found = fidelity(real, real, schema=schema, holdout=holdout)
    for name in ("tv_1way", "tv_2way", "tv_3way"):
        assert found[name]["value"] == pytest.approx(found[name]["ceiling"])
        assert found[name]["ceiling"] <= found[name]["floor"] + 1e-12
    assert found["quality"]["score"]["value"] == pytest.approx(found["quality"]["score"]["ceiling"], abs=1e-9)
    assert found["reference"] == "holdout"
    json.dumps(found, allow_nan=False)


def test_independent_columns_score_at_the_floor(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(2000, 0), draw(800, 1)
    found = fidelity(real, shuffled(real), schema=schema, holdout=holdout)
    assert found["tv_1way"]["value"] == pytest.approx(found["tv_1way"]["floor"])  # the same columns
    for name in ("tv_2way", "tv_3way"):
        figure = found[name]
        assert figure["value"] == pytest.approx(figure["floor"], abs=0.02)
        assert figure["value"] - figure["ceiling"] > 0.05
    pairs = found["quality"]["properties"]["Column Pair Trends"]
    assert pairs["value"] == pytest.approx(pairs["floor"], abs=0.05)
    assert pairs["value"] < pairs["ceiling"] - 0.1


def test_without_a_holdout_the_reference_is_real_and_there_is_no_ceiling(draw, schema: Schema) -> None:
    real = draw(400, 0)
    found = fidelity(real, real, schema=schema)
    assert found["reference"] == "real"
    assert found["tv_2way"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert found["tv_2way"]["ceiling"] is None
    assert found["tv_2way"]["floor"] > 0.05


def test_the_worst_pair_is_the_one_that_was_broken(draw, schema: Schema) -> None:
    real, holdout = draw(3000, 0), draw(3000, 1)
    synthetic = draw(3000, 2)
    synthetic["region"] = np.random.default_rng(0).permutation(synthetic["region"])
    found = fidelity(real, synthetic, schema=schema, holdout=holdout)
    assert found["worst_pairs"][0]["columns"] == ["age", "region"]
    assert len(found["pairs"]) == 15
    assert {column["column"] for column in found["columns"]} == set(schema.columns)


def test_a_person_with_many_rows_counts_once(draw, person_schema: Schema) -> None:
    persons = draw(600, 0).assign(pid=range(600))
    elders = persons[persons["age"] > 70]
    repeated = pd.concat([persons, *[elders] * 4], ignore_index=True)  # five rows each
    found = fidelity(repeated, persons, schema=person_schema)
    assert found["tv_2way"]["value"] == pytest.approx(0.0, abs=1e-9)
    unweighted = fidelity(
        repeated.drop(columns="pid"), persons, schema=Schema(_without_person(person_schema))
    )
    assert unweighted["tv_2way"]["value"] > 0.1


def _without_person(schema: Schema) -> dict[str, object]:
    return {column.name: column for column in schema.modelled}


def test_distributions_are_shares_of_each_side(draw, schema: Schema) -> None:
    real, synthetic = draw(500, 0), draw(300, 1)
    found = fidelity(real, synthetic, schema=schema)
    for column in found["columns"]:
        for side in ("real", "synthetic"):
            assert sum(bar[side] for bar in column["distribution"]) == pytest.approx(1.0)
    by_name = {column["column"]: column["distribution"] for column in found["columns"]}
    assert by_name["income"][-1]["label"] == "(missing)"
    assert by_name["income"][-1]["real"] == pytest.approx(real["income"].isna().mean())
    assert [bar["label"] for bar in by_name["owner"]] == ["false", "true"]
    assert by_name["owner"][1]["synthetic"] == pytest.approx(synthetic["owner"].mean())
    assert by_name["joined"][0]["label"].startswith("< 2020-")


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (18, 25, "18–24"), (18, 19, "18"), (-15, -1, "-15 to -2"), (-3, 3, "-3 to 2"),
        (None, 3, "< 3"), (4, None, "≥ 4"),
    ],
)  # fmt: skip
def test_bars_of_whole_numbers_say_what_is_in_them(low: float | None, high: float | None, told: str) -> None:
    (column,) = Schema({"x": {"type": "integer", "low": -20, "high": 30}}).columns.values()
    assert interval_text(low, high, column) == told


def test_column_shapes_are_those_of_sdmetrics(draw, schema: Schema) -> None:
    real, synthetic = draw(400, 0), draw(400, 1)
    shapes = [
        KSComplement.compute(real["age"], synthetic["age"]),
        KSComplement.compute(real["income"], synthetic["income"]),
        KSComplement.compute(real["joined"].astype(int), synthetic["joined"].astype(int)),
        *(
            TVComplement.compute(real[c].astype(str), synthetic[c].astype(str))
            for c in ("region", "sex", "owner")
        ),
    ]
    found = fidelity(real, synthetic, schema=schema)
    assert found["quality"]["properties"]["Column Shapes"]["value"] == pytest.approx(np.mean(shapes))


def test_one_constant_column_is_compared(schema: Schema) -> None:
    schema = Schema({"x": {"type": "integer", "low": 0, "high": 9, "missing": True}})
    real = pd.DataFrame({"x": [3, 3, 3]})
    found = fidelity(real, pd.DataFrame({"x": [3, None, None, 3]}), schema=schema, holdout=real)
    assert found["tv_1way"]["value"] == 0.5
    assert found["tv_2way"]["value"] is None
    json.dumps(found, allow_nan=False)
