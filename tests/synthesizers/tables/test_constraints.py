"""Constraints through a fit: declared or found under the budget, kept in the file, in every row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.schema import Schema
from privsynth.synthesizers import TABLE_SYNTHESIZERS
from privsynth.synthesizers.plan import plan
from privsynth.synthesizers.tables.model_arrays import model_arrays, model_facts, model_from
from tests.contracts.synthesizers import maker
from tests.helpers.models import model_of

KINDS = pytest.mark.parametrize("kind", list(TABLE_SYNTHESIZERS.values()), ids=lambda kind: kind.__name__)
COLUMNS = {
    "region": {"type": "categorical", "categories": ["N", "S"]},
    "town": {"type": "categorical", "categories": "private"},
    "ward": {"type": "categorical", "categories": [1, 2, 3], "missing": True},
    "begin": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31"},
    "end": {"type": "datetime", "low": "2020-01-01", "high": "2020-12-31", "missing": True},
    "days": {"type": "integer", "low": 0, "high": 50},
    "fee": {"type": "integer", "low": 10, "high": 20},
    "cost": {"type": "integer"},
}
CONSTRAINTS = [
    {"kind": "functional_dependency", "columns": ["town", "region"], "combinations": "private"},
    {"kind": "inequality", "columns": ["begin", "end"]},
    {"kind": "sum", "columns": ["cost", "days", "fee"], "weights": [3, 1]},
]
TOWNS = {"Kiel": "N", "Bonn": "N", "Ulm": "S"}


def records(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    town = rng.choice(list(TOWNS), n, p=[0.5, 0.2, 0.3])
    begin = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    end = (begin + pd.to_timedelta(rng.integers(0, 60, n), unit="D")).to_series(index=range(n))
    return pd.DataFrame(
        {
            "region": [TOWNS[t] for t in town],
            "town": town,
            "ward": pd.array(rng.integers(1, 4, n), dtype="Int64"),
            "begin": begin,
            "end": end.mask(rng.random(n) < 0.1),
            "days": rng.integers(0, 51, n),
            "fee": rng.integers(10, 21, n),
        }
    )


@KINDS
def test_constraints_hold_after_a_fit_and_after_a_round_trip(kind, tmp_path):
    schema = Schema(COLUMNS, constraints=CONSTRAINTS)
    model = maker(kind)().fit(records(), schema=schema, ledger=tmp_path / "ledger.sqlite")
    assert dict(model.model_.combinations[("town", "region")]) == TOWNS
    model.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    rows = model.sample(2000, random_state=1)
    pd.testing.assert_frame_equal(again.sample(2000, random_state=1), rows)
    assert list(rows.columns) == list(COLUMNS)
    known = rows["town"].isin(list(TOWNS))
    assert known.all()  # what was not found among the combinations is not drawn
    assert (rows["region"] == rows["town"].map(TOWNS)).all()
    assert (rows["end"].isna() | (rows["begin"] <= rows["end"])).all()
    assert (rows["cost"] == 3 * rows["days"] + rows["fee"]).all()
    purposes = [event["purpose"] for event in model.guarantee_["events"]]
    assert "combinations of town, region held by many" in purposes
    assert "constraint: begin <= end" in model.guarantee_["public"]


def test_a_model_with_found_combinations_is_rebuilt_from_its_releases(tmp_path):
    schema = Schema(COLUMNS, constraints=CONSTRAINTS)
    model = maker(privsynth.MarginalSynthesizer)().fit(
        records(), schema=schema, ledger=tmp_path / "ledger.sqlite"
    )
    model.save(tmp_path / "m.privsynth")
    stored = privsynth.load(tmp_path / "m.privsynth")
    for name, array in stored.replay().items():
        assert array.tobytes() == model_arrays(model.model_)[name].tobytes()


def test_a_dependency_that_does_not_hold_is_given_up_without_a_value(tmp_path):
    frame = records()
    frame.loc[::2, "region"] = "N"
    model = maker(privsynth.MarginalSynthesizer)()
    with pytest.warns(UserWarning, match="town decides on region: the budget found nothing") as told:
        model.fit(frame, schema=Schema(COLUMNS, constraints=CONSTRAINTS), ledger=tmp_path / "ledger.sqlite")
    assert not any(town in str(warning.message) for warning in told for town in TOWNS)
    assert set(model.sample(500, random_state=0)["region"]) == {"N", "S"}


def test_combinations_that_no_many_hold_leave_their_columns_free(tmp_path):
    constraint = {"kind": "fixed_combinations", "columns": ["town", "ward"], "combinations": "private"}
    frame = records(30)
    model = maker(privsynth.MarginalSynthesizer)(epsilon=0.1)
    columns = {name: COLUMNS[name] for name in ("town", "ward", "days")}
    with pytest.warns(UserWarning, match="not found under the budget"):
        model.fit(frame, schema=Schema(columns, constraints=[constraint]), ledger=tmp_path / "ledger.sqlite")
    assert "fixed combinations of town, ward: the budget" in " ".join(model.guarantee_["not_found"])
    assert len(model.sample(100, random_state=0)) == 100


def test_the_plan_counts_what_is_found_for_constraints():
    def count(constraints):
        steps = plan(Schema(COLUMNS, constraints=constraints), 1000, 1.0, 1e-6)["steps"]
        return next(s["count"] for s in steps if "combinations" in s["purpose"])

    assert count(CONSTRAINTS) == count(CONSTRAINTS[1:]) + 1


def test_files_without_combinations_still_load(tmp_path):
    model = model_of(["sex", "age"])
    facts = model_facts(model)
    del facts["combinations"]
    again = model_from(facts, model_arrays(model), model.schema)
    assert again.combinations == {}
