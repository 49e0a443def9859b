"""Missing fields, rare cells, fidelity within groups, and Wasserstein distance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.metrics import fidelity
from privsynth.metrics.common.marginals import Coded
from privsynth.metrics.fidelity.rare_cells import compare_rare_cells
from privsynth.metrics.fidelity.tables import scaled_wasserstein
from privsynth.schema import Schema

TWO = Schema(
    {
        "a": {"type": "categorical", "categories": ["x", "y"], "missing": True},
        "b": {"type": "categorical", "categories": ["x", "y"], "missing": True},
    }
)


def test_patterns_of_missing_fields_worked_out_by_hand() -> None:
    real = pd.DataFrame({"a": ["x", None, "x", None], "b": ["x", None, "y", None]})  # empty together
    synthetic = pd.DataFrame({"a": ["x", None, "x", None], "b": [None, "x", None, "y"]})  # never together
    found = fidelity(real, synthetic, schema=TWO)["missingness"]
    assert [column["missing"]["value"] for column in found["columns"]] == [0.5, 0.5]
    assert [column["reference"] for column in found["columns"]] == [0.5, 0.5]
    # real: none 1/2, both 1/2; synthetic: b 1/2, a 1/2: disjoint
    assert found["patterns_tv"]["value"] == 1.0
    by_pattern = {tuple(p["missing"]): (p["reference"], p["synthetic"]) for p in found["patterns"]}
    assert by_pattern == {(): (0.5, 0.0), ("a", "b"): (0.5, 0.0), ("a",): (0.0, 0.5), ("b",): (0.0, 0.5)}


def test_tables_without_gaps_say_so(draw, schema: Schema) -> None:
    real = draw(50, 0).assign(income=5.0)
    found = fidelity(real, real, schema=schema)["missingness"]
    assert found == {"status": "not_assessed", "reason": "no field is missing in any table"}


def test_rare_cells_worked_out_by_hand() -> None:
    def table(cells: list[int]) -> Coded:  # cell = 2·x + y
        codes = np.repeat(np.arange(4), cells)
        return Coded({"x": codes // 2, "y": codes % 2}, np.full(len(codes), 1 / len(codes)))

    reference = table([0, 5, 95, 900])  # shares 0, 0.5 %, 9.5 %, 90 %
    judged = {"synthetic": table([20, 0, 80, 900]), "floor": reference}
    bands = {b["band"]: b for b in compare_rare_cells(reference, judged, ["x", "y"], {"x": 2, "y": 2})}
    assert bands["never"]["share"]["value"] == pytest.approx(0.02)
    assert bands["never"]["error"] is None
    assert bands["below 0.1 %"]["vanished"] is None  # no such cell
    some = bands["0.1 to 1 %"]
    assert (some["n_cells"], some["reference"]) == (1, pytest.approx(0.005))
    assert some["error"]["value"] == pytest.approx(1.0)
    assert some["vanished"]["value"] == 1.0
    many = bands["1 % and more"]
    assert many["error"]["value"] == pytest.approx(0.015 / 0.995)
    assert many["vanished"] == {"value": 0.0, "interval": None, "ceiling": None, "floor": 0.0}
    assert some["error"]["floor"] == 0.0


def test_a_group_that_was_spoilt_is_found(draw, schema: Schema) -> None:
    real, holdout, synthetic = draw(3000, 0), draw(2000, 1), draw(3000, 2)
    women = synthetic["sex"] == "F"
    generator = np.random.default_rng(5)
    for name in ("income", "owner", "region"):
        synthetic.loc[women, name] = generator.permutation(synthetic.loc[women, name].to_numpy())
    found = {
        g["group"]["sex"]: g for g in fidelity(real, synthetic, schema=schema, holdout=holdout)["by_group"]
    }
    women_tv, men_tv = found["F"]["tv_2way"], found["M"]["tv_2way"]
    assert women_tv["value"] > women_tv["ceiling"] + 0.05
    assert men_tv["value"] == pytest.approx(men_tv["ceiling"], abs=0.03)
    assert men_tv["value"] < (men_tv["ceiling"] + men_tv["floor"]) / 2
    few = fidelity(real[:300], synthetic[:60], schema=schema)["by_group"]
    assert few[1]["tv_2way"]["value"] is None
    assert few[1]["reason"] == "fewer than 50 rows of this group in a table"


def test_wasserstein_of_four_values_worked_out_by_hand() -> None:
    reference, ones = np.array([0.0, 0, 4, 4]), np.ones(4)  # standard deviation 2
    assert scaled_wasserstein(reference, ones, np.array([0.0, 4])) == 0.0
    assert scaled_wasserstein(reference, ones, np.array([4.0, 4, 4, 4])) == pytest.approx(2 / 2)
    assert scaled_wasserstein(reference, np.array([1.0, 1, 0, 1]), np.array([0.0, 0, 4])) == pytest.approx(
        0.0
    )
    assert scaled_wasserstein(reference, ones, np.array([0.0, 4, np.nan])) == 0.0
    assert np.isnan(scaled_wasserstein(np.zeros(4), ones, reference))


def test_a_shifted_number_is_farther_than_real_rows(draw, schema: Schema) -> None:
    real, holdout = draw(1500, 0), draw(1500, 1)
    found = fidelity(real, real.assign(age=90), schema=schema, holdout=holdout)
    by_name = {column["column"]: column.get("wasserstein") for column in found["columns"]}
    assert by_name["age"]["value"] > 1.4  # to the upper end of a uniform: half the range, sqrt(3) deviations
    assert by_name["age"]["ceiling"] < 0.15
    assert by_name["region"] is None
    assert set(found["diagnostic"]["properties"]) >= {"Data Validity", "Data Structure"}
    assert found["diagnostic"]["score"]["value"] == 1.0
