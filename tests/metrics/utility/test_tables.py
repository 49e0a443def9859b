from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import UnsupportedRequestError
from privsynth.metrics import utility
from privsynth.metrics.utility.downstream import unit_bootstrap
from privsynth.metrics.utility.tables import NO_HOLDOUT, NO_TARGET
from privsynth.schema import Schema

MODELS = ("hist_gradient_boosting", "logistic_regression")


def test_the_real_table_itself_scores_at_the_ceiling(draw, schema: Schema) -> None:
    real = draw(1200, 0)
    found = utility(real, real, schema=schema, holdout=draw(800, 1), n_bootstrap=30)
    assert (found["task"], found["positive"]) == ("binary", True)
    for model in MODELS:
        auc = found["models"][model]["auc"]
        assert auc["value"] == auc["ceiling"]
        assert auc["gap"]["interval"] == [0.0, 0.0]
        assert auc["ceiling"] > 0.8
        assert auc["interval"][0] < auc["value"] < auc["interval"][1]
        assert auc["floor"] == 0.5
    json.dumps(found, allow_nan=False)


def test_independent_columns_and_a_single_class_give_chance(draw, shuffled, schema: Schema) -> None:
    real, holdout = draw(1200, 0), draw(800, 1)
    broken = utility(real, shuffled(real), schema=schema, holdout=holdout, n_bootstrap=30)
    for model in MODELS:
        auc = broken["models"][model]["auc"]
        assert auc["value"] < (auc["floor"] + auc["ceiling"]) / 2  # by chance it may be well above 0.5
        assert auc["gap"]["interval"][0] > 0.05
        assert auc["gap"]["value"] == pytest.approx(auc["ceiling"] - auc["value"])
    constant = utility(real, real.assign(owner=True), schema=schema, holdout=holdout, n_bootstrap=5)
    assert constant["models"][MODELS[0]]["auc"]["value"] == 0.5


def test_swapped_labels_score_as_far_below_chance(draw, schema: Schema) -> None:
    real = draw(800, 0)
    found = utility(
        real, real.assign(owner=~real["owner"]), schema=schema, holdout=draw(500, 1), n_bootstrap=5
    )
    logistic = found["models"]["logistic_regression"]["auc"]
    assert logistic["value"] == pytest.approx(1 - logistic["ceiling"], abs=0.01)


class Model:
    """Draws rows of the source, balanced as asked for."""

    def __init__(self, draw) -> None:
        self.draw, self.asked = draw, None

    def sample(self, n=None, *, random_state=None, balance=(), on_unsupported="error") -> pd.DataFrame:
        self.asked = (n, random_state, list(balance), on_unsupported)
        cells = self.draw(8 * n, 5).groupby(list(balance))
        return cells.sample(n // 4, random_state=random_state).reset_index(drop=True)


def test_balanced_rows_are_drawn_from_a_model_that_is_given(draw, schema: Schema) -> None:
    real, rare, holdout = draw(800, 0), draw(800, 1), draw(600, 2)
    rare = rare[(~rare["owner"]) | (np.arange(len(rare)) % 8 == 0)].reset_index(drop=True)
    model = Model(draw)
    settings = {"schema": schema, "holdout": holdout, "n_bootstrap": 5, "random_state": 3}
    drawn = utility(real, rare, model=model, **settings)
    assert model.asked == (len(rare), 3, ["sex", "owner"], "drop")
    weighted = utility(real, rare, **settings)
    assert (drawn["balanced_rows"], weighted["balanced_rows"]) == ("drawn", "weighted")
    scores = [found["models"][MODELS[0]]["balanced_accuracy"] for found in (drawn, weighted)]
    assert scores[0]["value"] == scores[1]["value"]
    assert scores[0]["balanced"]["value"] > scores[0]["value"] + 0.05
    number = utility(real, rare, model=model, target="income", **settings)
    assert number["balanced_rows"] is None


def test_a_model_that_knows_no_cell_leaves_rows_weighted(draw, schema: Schema) -> None:
    class Ignorant:
        def sample(self, *_, **__) -> pd.DataFrame:
            raise UnsupportedRequestError("the model has less than one unit behind every cell asked for")

    found = utility(
        draw(300, 0), draw(300, 1), schema=schema, holdout=draw(200, 2), n_bootstrap=5, model=Ignorant()
    )
    assert found["balanced_rows"] == "weighted"


def test_a_numeric_target_is_scored_by_r2_and_rmse(draw, schema: Schema) -> None:
    real, holdout = draw(900, 0), draw(600, 1)
    found = utility(real, real, schema=schema, holdout=holdout, target="income", n_bootstrap=20)
    assert found["task"] == "regression"
    assert found["n_holdout_rows"] == holdout["income"].notna().sum()
    for model in ("hist_gradient_boosting", "ridge"):
        scores = found["models"][model]
        assert 0.2 < scores["r2"]["value"] <= 1
        assert scores["r2"]["floor"] == pytest.approx(0.0, abs=0.02)
        spread = holdout["income"].std(ddof=0)
        assert scores["rmse"]["value"] == pytest.approx(spread * np.sqrt(1 - scores["r2"]["value"]), rel=1e-6)


def test_a_target_of_several_classes_is_scored_one_against_the_rest(draw, schema: Schema) -> None:
    found = utility(
        draw(900, 0), draw(900, 2), schema=schema, holdout=draw(600, 1), target="region", n_bootstrap=5
    )
    assert found["task"] == "multiclass"
    assert found["positive"] is None
    assert found["models"]["hist_gradient_boosting"]["auc"]["value"] > 0.8


def test_a_class_of_one_row_does_not_stop_training(schema: Schema) -> None:
    schema = Schema(
        {
            "x": {"type": "real", "low": 0, "high": 1},
            "y": {"type": "categorical", "categories": ["a", "b", "c"], "role": "target"},
        }
    )
    x = np.random.default_rng(0).random(10_100)
    table = pd.DataFrame({"x": x, "y": np.where(x > 0.5, "a", "b")})
    table.loc[0, "y"] = "c"
    found = utility(table, table, schema=schema, holdout=table[1:400], n_bootstrap=2)
    assert found["models"]["hist_gradient_boosting"]["auc"]["value"] == pytest.approx(1.0, abs=1e-3)


def test_without_holdout_or_target_it_is_not_assessed(draw, schema: Schema) -> None:
    real = draw(30, 0)
    assert utility(real, real, schema=schema) == {"status": "not_assessed", "reason": NO_HOLDOUT}
    columns = {name: {**c.to_dict(), "role": None} for name, c in schema.columns.items()}
    found = utility(real, real, schema=Schema(columns), holdout=draw(30, 1))
    assert found == {"status": "not_assessed", "reason": NO_TARGET}


def test_a_holdout_with_one_class_is_not_assessed(draw, schema: Schema) -> None:
    real = draw(100, 0)
    found = utility(real, real, schema=schema, holdout=real[real["owner"]], n_bootstrap=2)
    assert found["status"] == "not_assessed"
    assert "too few known values of 'owner'" in found["reason"]


def test_the_bootstrap_draws_whole_persons() -> None:
    units = np.array([0, 0, 1, 2, 2, 2])
    draws = unit_bootstrap(units, 200, np.random.default_rng(0))
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, 3] == draws[:, 5]).all()
    assert (draws[:, [0, 2, 3]].sum(axis=1) == 3).all()  # as many persons as there are
    assert len({tuple(draw) for draw in draws}) > 5


def test_the_interval_is_wider_when_rows_come_in_persons(draw, schema: Schema, person_schema: Schema) -> None:
    real, holdout = draw(600, 0), draw(200, 1)
    repeated = pd.concat([holdout] * 5, ignore_index=True)

    def width(schema: Schema, **ids: object) -> float:
        rows, test = real.assign(pid=range(1000, 1600)), repeated.assign(**ids)
        found = utility(rows, real, schema=schema, holdout=test, n_bootstrap=100)
        low, high = found["models"]["logistic_regression"]["auc"]["interval"]
        return high - low

    persons = width(person_schema, pid=list(range(200)) * 5)
    assert persons > 1.6 * width(schema)  # the square root of five, within bootstrap error


def test_a_holdout_person_with_many_rows_counts_once(draw, person_schema: Schema) -> None:
    real, holdout = draw(400, 0).assign(pid=range(1000, 1400)), draw(200, 1).assign(pid=range(200))
    repeated = pd.concat([holdout, *[holdout[holdout["sex"] == "M"]] * 4], ignore_index=True)
    once, often = (
        utility(real, real, schema=person_schema, holdout=test, n_bootstrap=2)["models"][
            "logistic_regression"
        ]
        for test in (holdout, repeated)
    )
    assert often["auc"]["value"] == pytest.approx(once["auc"]["value"])
