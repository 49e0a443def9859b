"""The benchmark suite itself: what it scores, resumes and compares. Its tables are not needed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from privsynth.io.tables import read_table, write_table
from privsynth.records.conform import conform
from privsynth.schema import Schema
from tests.benchmarks import scaling, tables
from tests.benchmarks.results import FIGURES, Results, compare, difference, markdown
from tests.benchmarks.scoring import ABOVE_MEDIAN, MISSING, RARE, Scorer, independent_columns
from tests.benchmarks.tables import TABLES, Table


def a_run(seed: int, auc: float, **fields: Any) -> dict[str, Any]:
    figures = {name: 1.0 for name in FIGURES if name != "worst_group_auc"} | {"auc_hgb": auc}
    run = {"table": "adult", "part": "validation", "synthesizer": "marginal", "settings": {}, "epsilon": 1.0}
    return {**run, "delta": 1e-5, "seed": seed, "figures": figures, **fields}


@pytest.fixture
def schemas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that schemas are looked for in."""
    monkeypatch.setattr(tables, "SCHEMAS", tmp_path)
    return tmp_path


# -- tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_schema_is_complete_and_says_what_is_scored(table: Table) -> None:
    table.schema.require_complete()
    assert table.schema.target is not None
    assert not table.schema.types_from_records
    target = table.schema.columns[table.schema.target]
    assert target.is_numeric if table.positive is None else table.positive in (target.categories or ())
    assert set(table.compared or table.schema.groups) <= set(table.schema.columns)


def test_every_schema_belongs_to_a_table() -> None:
    assert {path.stem for path in tables.SCHEMAS.glob("*.json")} == set(TABLES)


def test_persons_are_scored_by_one_row_each_and_never_stand_in_two_parts(
    schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_rows = [1, 2, 3] * 40
    person = np.repeat(np.arange(len(n_rows)), n_rows)
    visits = pd.DataFrame({"person": person, "ill": person % 2})
    write_table(visits, schemas / "visits.csv")
    columns = {"person": {"type": "id", "role": "person_id"}, "ill": {"type": "boolean", "role": "target"}}
    Schema(columns, max_records_per_person=2).save(schemas / "visits.json")
    monkeypatch.setenv("PRIVSYNTH_DATA", str(schemas))
    table = Table("visits", "visits.csv", positive="true")
    train, test = table.parts(validation=False)
    inner, held = table.parts(validation=True)
    parts = [set(part["person"]) for part in (inner, held, test)]
    assert sorted(set().union(*parts), key=int) == [str(i) for i in range(len(n_rows))]
    assert sum(map(len, parts)) == len(n_rows)
    assert parts[0] | parts[1] == set(train["person"])
    assert sorted(table.scored_rows(train)["person"]) == sorted(set(train["person"]))


def test_scored_rows_are_in_random_order() -> None:
    # the scorer draws test rows and their folds by one seed: folds of a sorted table would be stretches of it
    rows = pd.DataFrame({"place": np.arange(1000)})
    scored = TABLES["california_housing"].scored_rows(rows)["place"]
    assert sorted(scored) == list(range(1000))
    assert abs(np.corrcoef(scored, rows["place"])[0, 1]) < 5 / np.sqrt(1000)  # 5 deviations: 6e-7


# -- scoring -------------------------------------------------------------------------------------------


def scorer_files(table: Table, train: pd.DataFrame, test: pd.DataFrame, folder: Path) -> Any:
    """Return what the scorer would read: meta, training part, test part."""
    Scorer(table, train, test, folder)
    meta = json.loads((folder / "meta.json").read_text())
    return meta, *(read_table(folder / f"{part}.csv") for part in ("train", "test"))


def test_gaps_and_codes_are_scored_as_what_they_are(schemas: Path) -> None:
    columns = {
        "amount": {"type": "integer", "low": 0, "high": "private", "missing": "private"},
        "code": {"type": "categorical", "categories": "private", "missing": "private", "role": "group"},
        "credit": {"type": "categorical", "categories": ["bad", "good"], "role": "target"},
    }
    train = pd.DataFrame({"amount": [1, 3, None], "code": ["01", "2", None], "credit": ["good"] * 3})
    test = pd.DataFrame({"amount": [None, 7], "code": ["2", "9"], "credit": ["bad", "good"]})
    Schema(columns).save(schemas / "loans.json")
    table = Table("loans", None, positive="bad")
    meta, coded, held = scorer_files(table, train, test, schemas)
    assert meta["numeric"] == ["amount"]
    assert meta["groups"] == ["code"]
    assert meta["categories"]["credit"] == ["=good", "=bad"]  # the positive one is last
    assert meta["categories"]["code"] == [f"={MISSING}", "=01", "=2"]
    assert meta["categories"]["amount is missing"] == ["=no", "=yes"]
    assert set(meta["columns"]) == set(coded) == set(held)
    assert coded["code"].tolist() == ["=01", "=2", f"={MISSING}"]
    assert held["amount"].astype(float).tolist() == [2.0, 7.0]  # the training part's median, not its own
    assert held["amount is missing"].tolist() == ["=yes", "=no"]
    assert held["code"].tolist() == ["=2", "=9"]  # not in the training part: the scorer counts it as invalid


def test_a_numeric_target_and_many_categories_are_scored_as_classes(schemas: Path) -> None:
    columns = {
        "code": {"type": "categorical", "categories": "private"},
        "value": {"type": "real", "low": 0, "high": "private", "role": "target"},
    }
    often = [f"often {i}" for i in range(249)] * 2
    codes = [*often, *(f"once {i}" for i in range(20))]
    train = pd.DataFrame({"code": codes, "value": np.arange(len(codes), dtype=float)})
    test = pd.DataFrame({"code": ["often 7", "once 3", "never seen"], "value": [0.0, 258.5, 259.0]})
    Schema(columns).save(schemas / "values.json")
    table = Table("values", None, positive=None)
    meta, coded, held = scorer_files(table, train, test, schemas)
    assert meta["categories"]["code"] == [*sorted(f"=often {i}" for i in range(249)), f"={RARE}"]
    assert held["code"].tolist() == ["=often 7", f"={RARE}", f"={RARE}"]
    assert meta["categories"]["value"][-1] == f"={ABOVE_MEDIAN}"
    assert held["value"].eq(f"={ABOVE_MEDIAN}").tolist() == [False, False, True]  # the median is 258.5
    assert coded["value"].eq(f"={ABOVE_MEDIAN}").mean() == 0.5


def test_independent_columns_keep_each_column_and_nothing_else() -> None:
    rows = pd.DataFrame({"a": range(1000), "b": range(1000)})
    shuffled = independent_columns(rows)
    assert sorted(shuffled["a"]) == sorted(shuffled["b"]) == list(range(1000))
    assert (shuffled["a"] == shuffled["b"]).sum() < 20  # about Poisson with mean 1


# -- results -------------------------------------------------------------------------------------------


def test_a_result_is_kept_and_a_failure_is_run_again(tmp_path: Path) -> None:
    results = Results.load(tmp_path / "results.json")
    results.add(a_run(0, 0.8))
    failed = {name: value for name, value in a_run(1, 0.0).items() if name != "figures"}
    results.add({**failed, "error": "no such column"})
    again = Results.load(tmp_path / "results.json")
    assert again.has(a_run(0, 0.0))
    assert not again.has(a_run(1, 0.0))
    assert not again.has(a_run(0, 0.8, settings={"rounds": 2}))
    assert "seed 1: no such column" in (tmp_path / "results.md").read_text()
    again.add(a_run(1, 0.9))
    assert [run["seed"] for run in Results.load(again.path).runs] == [0, 1]
    assert "no such column" not in (tmp_path / "results.md").read_text()


def test_processes_that_share_a_file_keep_each_others_results(tmp_path: Path) -> None:
    one, other = (Results.load(tmp_path / "results.json") for _ in range(2))
    one.add(a_run(0, 0.8))
    other.add(a_run(0, 0.8, table="compas"))
    one.add(a_run(1, 0.8))
    assert len(Results.load(one.path).runs) == 3


def test_the_table_has_means_deviations_and_yardsticks_first() -> None:
    yardstick = {"table": "adult", "part": "validation", "synthesizer": "real", "epsilon": None}
    runs = [a_run(0, 0.80), a_run(1, 0.84), {**yardstick, "figures": {"auc_hgb": 0.9}}]
    rows = [line for line in markdown(runs).splitlines() if line.startswith("|")][2:]
    assert rows[0].startswith("| real |  | 1 | 0.9 |  |")
    assert rows[1].startswith("| marginal | 1 | 2 | 0.82 ± 0.028 | 1 ± 0 |  |")


def test_a_difference_of_two_samples_is_welchs() -> None:
    first, second = [0.80, 0.83, 0.81], [0.86, 0.90, 0.85, 0.88]
    reference = ttest_ind(second, first, equal_var=False)
    found = difference([(first, second)])
    assert found.p == pytest.approx(reference.pvalue)
    assert found.value == pytest.approx(np.mean(second) - np.mean(first))
    assert found.value / found.error == pytest.approx(reference.statistic)


def test_tables_pooled_make_a_smaller_error() -> None:
    pair = ([0.80, 0.83], [0.86, 0.90])
    one, four = difference([pair]), difference([pair] * 4)
    assert four.value == pytest.approx(one.value)
    assert four.error == pytest.approx(one.error / 2)
    assert four.p < one.p


def test_one_run_gives_no_error() -> None:
    assert difference([([0.5], [0.7])]).error is None


def test_a_comparison_says_what_is_clear_and_which_way() -> None:
    first = [a_run(seed, 0.80 + 0.001 * seed) for seed in range(5)]
    second = [a_run(seed, 0.90 + 0.001 * seed, settings={"rounds": 2}) for seed in range(5)]
    said = compare(first, second)
    assert "**+0.1 ± 0.001** ✓" in said
    assert "**-0.1 ± 0.001** ✗" in compare(second, first)
    assert "**" not in compare(first, first).split("\n\n")[0]


def test_a_file_of_two_settings_is_not_compared() -> None:
    with pytest.raises(ValueError, match="several settings of marginal on adult"):
        compare([a_run(0, 0.8), a_run(0, 0.8, settings={"rounds": 2})], [a_run(0, 0.8)])


def test_files_that_share_nothing_are_not_compared() -> None:
    with pytest.raises(ValueError, match="in common"):
        compare([a_run(0, 0.8)], [a_run(0, 0.8, epsilon=3.0)])


# -- scaling -------------------------------------------------------------------------------------------


def test_made_tables_have_the_size_asked_for_and_columns_that_go_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scaling, "ROWS_AT_ONCE", 1500)
    scaling.write_made(tmp_path / "made.parquet", 4000, 7)
    rows = conform(read_table(tmp_path / "made.parquet"), scaling.made_schema(7)).frame
    assert rows.shape == (4000, 7)
    amounts = np.log1p(rows[["x000", "x002", "x005"]])
    assert np.abs(np.triu(amounts.corr(), 1)).max() > 6 / np.sqrt(4000)  # 6 deviations of chance


def test_slopes_are_the_powers_by_which_costs_grow() -> None:
    runs = [
        {"rows": n, "columns": d, "fit_seconds": 1e-6 * n * d**2, "peak_mb": 400.0}
        for n, d in [(1000, 10), (8000, 10), (2000, 10), (1000, 70), (1000, 30)]
    ]
    assert scaling.slopes(runs, "rows", "fit_seconds") == pytest.approx([1.0, 1.0])
    assert scaling.slopes(runs, "columns", "fit_seconds") == pytest.approx([2.0, 2.0])
    assert scaling.slopes(runs, "columns", "peak_mb") == pytest.approx([0.0, 0.0])


def test_scaling_is_measured_drawn_and_not_measured_twice(tmp_path: Path) -> None:
    quick = {"n_rounds": 1, "steps_per_round": 2, "final_steps": 2, "fit": {"n_components": 16}}
    arguments = [str(tmp_path), "--settings", json.dumps(quick), "--sizes", "300x4", "600x4"]
    scaling.main(arguments)
    first = (tmp_path / "scaling.json").read_text()
    assert [run["rows"] for run in json.loads(first)] == [300, 600]
    assert all(run["fit_seconds"] > 0 and run["peak_mb"] > 50 for run in json.loads(first))
    assert "| 600 | 4 |" in (tmp_path / "scaling.md").read_text()
    assert "Plotly.newPlot" in (tmp_path / "scaling.html").read_text()
    scaling.main(arguments)
    assert (tmp_path / "scaling.json").read_text() == first
