"""Inequalities with the row before, end to end: fit, files, replay, amended schemas, and the guarantee."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.counting.memory import RecordsInMemory
from privsynth.errors import SchemaError
from privsynth.ledger.ledger import Ledger
from privsynth.records.conform import conform
from privsynth.records.sequence_view import as_sequences
from privsynth.schema import Schema
from privsynth.synthesizers import MarginalSynthesizer
from privsynth.synthesizers.amending import amended
from privsynth.synthesizers.plan import plan
from tests.contracts.synthesizers import maker
from tests.helpers.commands import run
from tests.helpers.predictable import PredictableSourceForTests

COLUMNS = {
    "who": {"type": "id", "role": "person_id"},
    "sex": {"type": "categorical", "categories": ["F", "M"], "per": "person"},
    "day": {"type": "integer", "low": 0, "high": 60, "role": "order"},
    "left": {"type": "integer", "low": 0, "high": 70},
    "age": {"type": "integer", "low": 17, "high": 65},
}
RULES = [
    {"kind": "inequality", "columns": ["prev.age", "age"]},
    {"kind": "inequality", "columns": ["prev.left", "day", "left"]},
]


def schema(rules=RULES) -> Schema:
    return Schema(COLUMNS, max_records_per_person=4, constraints=rules)


def stays(n_persons: int = 500, seed: int = 0) -> pd.DataFrame:
    """Return stays of persons who are a year older at each, none of which overlaps the next."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 5, n_persons)
    who = np.repeat(np.arange(n_persons), size)
    place = np.arange(len(who)) - np.repeat(np.cumsum(size) - size, size)
    day = place * 15 + rng.integers(0, 8, len(who))
    table = pd.DataFrame(
        {
            "who": who,
            "sex": np.where(who % 3 == 0, "F", "M"),
            "day": day,
            "left": day + rng.integers(0, 7, len(who)),
            "age": rng.integers(17, 61, n_persons)[who] + place,
        }
    )
    return table.sample(frac=1.0, random_state=seed).reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> MarginalSynthesizer:
    ledger = tmp_path_factory.mktemp("rules") / "l.sqlite"
    return maker(MarginalSynthesizer)(epsilon=20.0).fit(
        stays(), schema=schema(), dataset="stays", ledger=ledger
    )


def check_rules(rows: pd.DataFrame) -> None:
    before = rows.groupby("who")[["age", "left"]].shift()
    later = before["age"].notna()
    assert later.any()
    assert (rows["age"] >= before["age"])[later].all()
    assert (rows["day"] >= before["left"])[later].all()
    assert (rows["left"] >= rows["day"]).all()


def test_drawn_persons_keep_to_their_rules(fitted, tmp_path) -> None:
    rows = fitted.sample(400, random_state=0, balance=["sex"], conditions={"n_records": [2, 3, 4]})
    check_rules(rows)
    assert rows.groupby("who")["sex"].first().value_counts().to_dict() == {"F": 200, "M": 200}
    steps = rows["age"] - rows.groupby("who")["age"].shift()
    assert steps.dropna().le(3).mean() > 0.8  # ages move on by one year, and not by decades
    assert "constraint: prev.age <= age" in fitted.guarantee_["public"]
    fitted.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    assert again.schema_ == schema()
    pd.testing.assert_frame_equal(
        again.sample(50, random_state=1), fitted.sample(50, random_state=1), check_like=False
    )
    arrays = fitted._arrays_of(fitted.model_)
    assert all(array.tobytes() == arrays[name].tobytes() for name, array in again.replay().items())


def test_persons_go_on_at_the_command_line(fitted, tmp_path) -> None:
    fitted.save(tmp_path / "m.privsynth")
    known = stays(20).query("day < 20 and age < 60").sort_values(["who", "day"])
    known.to_csv(tmp_path / "known.csv", index=False)
    flags = ("sample", tmp_path / "m.privsynth", "--complete", tmp_path / "known.csv", "--seed", 1)
    done = run(*flags, "--next", 2, "-o", tmp_path / "next.csv")
    n = 2 * known["who"].nunique()
    assert f"{n} rows that follow written to" in done.out
    assert "not covered: the frame that was completed" in done.out
    rows = pd.read_csv(tmp_path / "next.csv")
    assert len(rows) == n
    check_rules(pd.concat([known, rows]).sort_values(["who", "day"], ignore_index=True))
    assert run(*flags, "-o", tmp_path / "all.csv").code == 0
    alone = run("sample", tmp_path / "m.privsynth", "--next", 2, "-o", tmp_path / "x.csv")
    assert (alone.code, "goes on with the persons of --complete TABLE" in alone.error) == (2, True)


def test_broken_rules_are_a_counted_stop_and_are_settled_under_clip(tmp_path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    falling = stays().assign(age=lambda t: 60 - t["day"] % 15)
    how = {"schema": schema(), "dataset": "stays", "ledger": ledger}
    with pytest.raises(SchemaError, match=r"column 'age': a row does not keep to prev\.age <= age"):
        maker(MarginalSynthesizer)().fit(falling, **how)
    model = maker(MarginalSynthesizer)().fit(falling, **how, on_violation="clip")
    check_rules(model.sample(200, random_state=0))
    assert model.guarantee_["noiseless_stops"] == 1


def test_a_person_moves_every_table_of_the_view_by_at_most_one_under_rules() -> None:
    whole = stays(8, seed=3).assign(age=lambda t: (t["age"] * 7) % 49 + 17)
    for left_out in range(8):
        totals = []
        for table in (whole, whole[whole["who"] != left_out].reset_index(drop=True)):
            records = as_sequences(
                conform(table, schema(), on_violation="clip"), schema(), np.random.default_rng(0)
            )
            held = RecordsInMemory(records, max_records_per_person=4, secret=PredictableSourceForTests(0))
            counted = held.frame.assign(weight=held.weighting.weights / held.weighting.units_per_one)
            totals.append(
                counted.groupby(["prev.age", "age", "gap.age", "prev.left"], dropna=False)["weight"].sum()
            )
        assert totals[0].sub(totals[1], fill_value=0).abs().sum() <= 1.0 + 8 * 2**-14


def test_the_plan_counts_how_far_columns_move() -> None:
    def count(rules) -> int:
        steps = plan(schema(rules), 1000, 1.0, 1e-6)["steps"]
        return next(s["count"] for s in steps if s["purpose"] == "1-way marginals")

    assert count(RULES) == count([]) + 1


def test_a_rule_that_came_or_went_voids_what_speaks_of_its_columns(fitted) -> None:
    kept = {
        release.key
        for release in amended(fitted.releases_, schema().to_dict(), schema(RULES[1:]).to_dict())
        if release.kept
    }
    assert "counts/one-way/sex" in kept
    assert not kept & {f"counts/one-way/{name}" for name in ("age", "prev.age", "gap.age")}
    narrower = schema().to_dict()
    narrower["columns"]["age"]["high"] = 64
    assert "counts/one-way/gap.age" not in {
        release.key for release in amended(fitted.releases_, schema().to_dict(), narrower) if release.kept
    }
