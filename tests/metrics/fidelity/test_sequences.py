"""Figures of histories on laws where they are known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import SchemaError
from privsynth.metrics import sequences
from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.fidelity.autocorrelation import correlation
from privsynth.metrics.fidelity.sequences import records_per_person, sides_of
from privsynth.report.report import plain
from privsynth.schema import Schema
from tests.helpers.histories import COLUMNS, SCHEMA, WITHOUT_ORDER, draw_histories

N = 4000
NEAR = 5 * 0.5 / np.sqrt(N)  # five standard errors of a share of persons


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    return draw_histories(N, 0)


@pytest.fixture(scope="module")
def holdout() -> pd.DataFrame:
    return draw_histories(N, 1)


@pytest.fixture(scope="module")
def found(real, holdout):
    """Return the figures of a synthetic table whose states stay less and whose numbers remember less."""
    synthetic = draw_histories(N, 2, stay=0.7, memory=0.3)
    return sequences(real, synthetic, schema=SCHEMA, holdout=holdout, n_bootstrap=100)


def pair(found, lag: int, before: str, after: str) -> dict[str, float]:
    (tv,) = (p["tv"] for p in found["lags"][lag - 1]["pairs"] if (p["before"], p["after"]) == (before, after))
    return tv


def test_distances_of_a_chain_are_those_of_its_law(found) -> None:
    # states that stay with p: 2 cells of p/2, 2 of (1 - p)/2; two steps: p² + (1 - p)²
    for lag, of_real, of_synthetic in ((1, 0.9, 0.7), (2, 0.82, 0.58)):
        tv = pair(found, lag, "ill", "ill")
        assert tv["value"] == pytest.approx(of_real - of_synthetic, abs=2 * NEAR)
        assert tv["ceiling"] < 2 * NEAR
        assert tv["floor"] == pytest.approx(of_real - 0.5, abs=2 * NEAR)
        unrelated = pair(found, lag, "ill", "cost")
        assert max(unrelated.values(), key=lambda v: v or 0.0) < 6 * NEAR  # 16 cells, all by sampling
    means = [np.mean([p["tv"][key] for p in found["lags"][0]["pairs"]]) for key in ("value", "floor")]
    assert [found["lags"][0]["tv"][key] for key in ("value", "floor")] == pytest.approx(means)


def test_correlations_are_those_of_the_law(found) -> None:
    by = {(c["column"], c["lag"]): c for c in found["autocorrelation"]["columns"]}
    assert set(by) == {("ill", 1), ("ill", 2), ("cost", 1), ("cost", 2)}
    for (column, lag), real, synthetic in (
        (("ill", 1), 0.8, 0.4), (("ill", 2), 0.64, 0.16), (("cost", 1), 0.8, 0.3), (("cost", 2), 0.64, 0.09),
    ):  # fmt: skip
        entry = by[column, lag]
        if column == "cost":  # Spearman's of a Gaussian pair: Pearson, 1907
            real, synthetic = (6 / np.pi * np.arcsin(r / 2) for r in (real, synthetic))
        near = 5 / np.sqrt(0.5 * N)
        assert entry["real"] == pytest.approx(real, abs=near)
        assert entry["holdout"] == pytest.approx(real, abs=near)
        assert entry["synthetic"]["value"] == pytest.approx(synthetic, abs=near)
        assert entry["independent"] == pytest.approx(0, abs=near)
        low, high = entry["synthetic"]["interval"]
        assert low < entry["synthetic"]["value"] < high
        assert 0.01 < high - low < 0.2


def test_the_same_law_is_as_near_as_the_holdout(real, holdout) -> None:
    same = sequences(real, draw_histories(N, 3), schema=SCHEMA, holdout=holdout, n_bootstrap=2)
    for lag in same["lags"]:
        assert lag["tv"]["value"] < 1.5 * lag["tv"]["ceiling"] < 0.5 * lag["tv"]["floor"]
    for name in ("gaps", "totals", "records_per_person"):
        assert same[name]["value"] < 1.5 * same[name]["ceiling"] + 0.01
    assert same["totals"]["ceiling"] < 0.5 * same["totals"]["floor"]
    near = 5 * np.sqrt((1 / N + 2 / N) / 12)  # of two samples of one law: Mann and Whitney, 1947
    auc = same["two_sample"]["auc"]
    assert auc["value"] == pytest.approx(0.5, abs=near)
    assert auc["ceiling"] == pytest.approx(0.5, abs=2 * near)
    assert auc["floor"] > 0.7
    assert same["n_persons"] == {"real": N, "synthetic": N, "floor": N, "ceiling": N}


def test_the_next_event_is_foreseen_as_well_as_the_law_allows(real, holdout, found) -> None:
    (next_ill,) = found["next_event"]["predicted"]
    # states that stay with 0.9 are told by the one before: AUC 0.9; a chain of 0.7 teaches the same
    assert (next_ill["column"], next_ill["score"]) == ("ill", "auc")
    score = next_ill["of_score"]
    assert score["ceiling"] == pytest.approx(0.9, abs=0.02)
    assert score["value"] == pytest.approx(0.9, abs=0.03)
    assert score["floor"] == pytest.approx(0.5, abs=0.06)
    low, high = score["interval"]
    assert low < score["value"] < high
    against = draw_histories(N, 4, stay=0.1, memory=0.8)  # states that turn teach the opposite
    turned = sequences(real, against, schema=SCHEMA, holdout=holdout, n_bootstrap=2)["next_event"]
    assert turned["predicted"][0]["of_score"]["value"] < 0.2
    numbers = sequences(
        real, draw_histories(N, 3), schema=SCHEMA, holdout=holdout, target="cost", n_bootstrap=2
    )["next_event"]["predicted"]
    assert [(p["column"], p["score"]) for p in numbers] == [("cost", "r2")]
    assert numbers[0]["of_score"]["ceiling"] == pytest.approx(0.64, abs=0.05)  # the square of 0.8
    assert numbers[0]["of_score"]["value"] == pytest.approx(0.64, abs=0.05)
    assert numbers[0]["of_score"]["floor"] < 0.05


def test_whole_histories_of_another_law_are_told_apart(found) -> None:
    test = found["two_sample"]
    assert test["p_value"] < 1e-6
    assert 0.6 < test["auc"]["interval"][0] < test["auc"]["value"]


def test_a_target_that_persons_share_gives_way_to_events(real, holdout) -> None:
    found = sequences(real, draw_histories(N, 3), schema=SCHEMA, holdout=holdout, target="sex", n_bootstrap=2)
    assert [p["column"] for p in found["next_event"]["predicted"]] == ["ill", "cost"]


def test_records_per_person_are_compared_exactly_and_top_coded() -> None:
    real = draw_histories(400, 0, n_records=4)
    half = pd.concat([draw_histories(200, 1, n_records=4), draw_histories(200, 2, n_records=2)])
    found = sequences(real, half, schema=SCHEMA, n_bootstrap=2)
    records = found["records_per_person"]
    assert [records[key] for key in ("value", "ceiling", "floor")] == [0.5, None, None]
    capped = Schema(COLUMNS, max_records_per_person=3)
    longer = sequences(real, draw_histories(400, 3, n_records=3), schema=capped, n_bootstrap=2)
    assert longer["records_per_person"]["value"] == 0.0


def test_sampling_alone_moves_records_per_person_as_far_as_said() -> None:
    pairs = [(draw_histories(300, 2 * i), draw_histories(300, 2 * i + 1)) for i in range(40)]
    found = [
        sides_of(load_tables(real, other, schema=SCHEMA), np.random.default_rng(0)) for real, other in pairs
    ]
    told = [records_per_person(compared) for compared in found]
    mean, by_chance = (np.mean([each[key] for each in told]) for key in ("value", "by_chance"))
    spread = np.std([each["value"] for each in told]) / np.sqrt(len(told))
    assert abs(mean - by_chance) < 5 * spread


def test_gaps_and_totals_of_known_tables() -> None:
    n = 200
    base = pd.DataFrame(
        {"pid": np.repeat(np.arange(n), 3), "sex": "F", "day": [0, 1, 2] * n, "ill": False, "cost": 1.0}
    )
    other = base.assign(day=[0, 1, 2] * (n // 2) + [0, 3, 6] * (n // 2), pid=base["pid"] + n)
    other["cost"] = np.repeat([1.0, 2.0], 3 * n // 2)
    found = sequences(base, other, schema=SCHEMA, n_bootstrap=2)
    assert found["gaps"]["value"] == pytest.approx(0.5)
    assert found["totals"]["value"] == pytest.approx(0.5)
    assert [t["column"] for t in found["by_total"]] == ["cost"]
    assert found["autocorrelation"]["difference"]["value"] is None  # a constant says nothing


def test_each_person_counts_once() -> None:
    # many persons whose state stays, few with three times the pairs whose state turns
    def table(first: int, n_still: int, n_turning: int) -> pd.DataFrame:
        still = pd.DataFrame({"pid": np.repeat(np.arange(n_still), 2), "day": [0, 1] * n_still, "ill": True})
        turning = pd.DataFrame(
            {"pid": n_still + np.repeat(np.arange(n_turning), 4), "day": [0, 1, 2, 3] * n_turning}
        ).assign(ill=[True, False, True, False] * n_turning)
        both = pd.concat([still, turning], ignore_index=True).assign(sex="F", cost=0.0)
        return both.assign(pid=both["pid"] + first)

    found = sequences(table(0, 100, 0), table(1000, 75, 25), schema=SCHEMA, n_bootstrap=2)
    assert pair(found, 1, "ill", "ill")["value"] == pytest.approx(0.25)


def test_how_tables_list_their_rows_changes_nothing(real, holdout) -> None:
    some = [t[t["pid"].isin(t["pid"].unique()[:300])] for t in (real, holdout)]
    synthetic = draw_histories(300, 5)
    once = sequences(some[0], synthetic, schema=SCHEMA, holdout=some[1], n_bootstrap=2)
    renamed = synthetic.assign(pid=synthetic["pid"].map(hash)).sample(frac=1, random_state=9)
    again = sequences(some[0], renamed, schema=SCHEMA, holdout=some[1], n_bootstrap=2)
    for name in ("records_per_person", "gaps", "totals"):
        assert once[name]["value"] == pytest.approx(again[name]["value"])
    assert once["lags"][0]["tv"]["value"] == pytest.approx(again["lags"][0]["tv"]["value"])


def test_ids_of_synthetic_persons_are_matched_with_nothing(real) -> None:
    some = real[real["pid"].isin(real["pid"].unique()[:100])]
    found = sequences(some, some, schema=SCHEMA, n_bootstrap=2)  # refused between real tables
    assert found["lags"][0]["tv"]["value"] == pytest.approx(0.0)


def test_without_an_order_two_rows_of_a_person_are_compared() -> None:
    n = 3000
    real = pd.DataFrame({"pid": np.repeat(np.arange(n), 4), "sex": "M", "cost": 0.0})
    real["ill"] = [False, False, True, True] * n
    turned = real.assign(ill=[True, False, True, False] * n, pid=real["pid"] + n)
    found = sequences(real, turned, schema=WITHOUT_ORDER, n_bootstrap=2)
    assert found["has_order"] is False
    assert found["gaps"] is None
    tv = pair(found, 1, "ill", "ill")
    assert tv["value"] < 0.04
    # two of four without replacement agree in 1/3, independent ones in 1/2
    assert tv["floor"] == pytest.approx(1 / 6, abs=0.03)


def test_little_is_said_of_little() -> None:
    lonely = draw_histories(30, 0, n_records=1)
    found = sequences(lonely, draw_histories(30, 1, n_records=1), schema=SCHEMA, n_bootstrap=2)
    assert [lag["tv"]["value"] for lag in found["lags"]] == [None, None]
    assert found["gaps"]["value"] is None
    assert found["next_event"]["status"] == "not_assessed"
    assert "no holdout" in found["next_event"]["reason"]
    few = draw_histories(10, 2)
    short = sequences(
        draw_histories(200, 0), few, schema=SCHEMA, holdout=draw_histories(100, 1), n_bootstrap=2
    )
    assert "needs 20 persons" in short["next_event"]["reason"]
    one = sequences(draw_histories(5, 0), draw_histories(1, 1, n_records=2), schema=SCHEMA, n_bootstrap=2)
    for content in (found, short, one):
        json.dumps(plain(content), allow_nan=False)


def test_missing_fields_are_a_value_of_their_own() -> None:
    columns = COLUMNS | {"cost": {**COLUMNS["cost"], "missing": True}}
    schema = Schema(columns, max_records_per_person=6)
    real, other = draw_histories(300, 0), draw_histories(300, 1)
    gone = sequences(real, other.assign(cost=np.nan), schema=schema, n_bootstrap=2)
    assert pair(gone, 1, "cost", "cost")["value"] == pytest.approx(1.0)
    assert gone["totals"]["value"] == pytest.approx(1.0)
    assert gone["sdmetrics"]["StatisticMSAS"]["value"] is None


def test_a_synthetic_table_without_persons_is_refused_in_words(real) -> None:
    with pytest.raises(SchemaError, match="the synthetic table has no column 'pid'"):
        sequences(real, draw_histories(20, 9).drop(columns="pid"), schema=SCHEMA)


def test_a_schema_of_rows_has_no_sequences() -> None:
    flat = {name: {k: v for k, v in f.items() if k != "per"} for name, f in COLUMNS.items()}
    flat["day"] = {"type": "integer", "low": 0, "high": 400}
    schema = Schema(flat, max_records_per_person=6)
    found = sequences(draw_histories(30, 0), draw_histories(30, 1), schema=schema)
    assert found["status"] == "not_assessed"


def test_timelines_show_released_rows_and_nothing_else(found) -> None:
    synthetic = draw_histories(N, 2, stay=0.7, memory=0.3)
    shown = found["timelines"]
    assert [c["column"] for c in shown["columns"]] == ["ill", "cost"]
    sizes = [person["n_records"] for person in shown["persons"]]
    assert sizes == sorted(sizes)
    known = {
        tuple(zip(rows["day"].astype(str), rows["ill"].astype(str).str.lower(), rows["cost"], strict=True))
        for _, rows in synthetic.sort_values("day").groupby("pid")
    }
    for person in shown["persons"]:
        told = tuple(
            (r["at"], r["values"][0]["text"].lower(), float(r["values"][1]["text"]))
            for r in person["records"]
        )
        assert told in known
        places = [r["place"] for r in person["records"]]
        assert places == sorted(places)
        assert (places[0], places[-1]) == (0.0, 1.0)
        assert all(0 <= value["level"] <= 1 for r in person["records"] for value in r["values"])


def test_a_correlation_without_spread_is_undefined() -> None:
    assert np.isnan(correlation(np.array([2.0, 2.0, 1.0, 2.0, 1.0, 1.0])))
    assert np.isnan(correlation(np.zeros(6)))
