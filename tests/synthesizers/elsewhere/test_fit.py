"""A model of noisy tables that were released elsewhere: what it holds, and whose word its guarantee is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.accounting.gdp import gdp_epsilon
from privsynth.attacks.trade_off import allowance_of
from privsynth.ledger.ledger import Ledger
from privsynth.report.sections.guarantee import guarantee_verdict
from privsynth.report.text import guarantee_in_words
from privsynth.schema import Schema
from privsynth.synthesizers import ReleasesSynthesizer
from privsynth.synthesizers.elsewhere import cells, statement
from privsynth.synthesizers.elsewhere.cells import cells_of_release
from privsynth.synthesizers.elsewhere.domains import domains_of, measurement_of
from tests.helpers.commands import run
from tests.helpers.elsewhere import EDGES, QUICK, VISITS, counted, pairs_released, state, table, visits

DOCUMENT = Path(__file__).parent.parent.parent.parent / "docs" / "releases-made-elsewhere.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pairs_released(tmp_path_factory.mktemp("elsewhere") / "released")


@pytest.fixture(scope="module")
def model(folder: Path) -> ReleasesSynthesizer:
    return ReleasesSynthesizer(settings=QUICK, random_state=1).fit(folder, schema=VISITS)


def fitted(folder: Path, schema: Schema) -> ReleasesSynthesizer:
    return ReleasesSynthesizer(settings=QUICK, random_state=1).fit(folder, schema=schema)


def part(*names: str, **changed: Any) -> Schema:
    fields = VISITS.to_dict()["columns"]
    return Schema({name: fields[name] | changed.get(name, {}) for name in names})


# -- what the model holds ------------------------------------------------------------------------------


def test_the_model_holds_what_the_tables_hold(model: ReleasesSynthesizer) -> None:
    real, rows = visits(), model.sample(20_000, random_state=0)
    assert abs(model.model_.n_units - len(real)) < 4 * model.model_.n_units_std < 200
    for columns in (["age", "ill"], ["ill", "ward"], ["sex", "age"]):
        binned = rows.assign(age=pd.cut(rows["age"], [*EDGES[:-1], 100], right=False, labels=EDGES[:-1]))
        shares = [counted(f, columns)["count"] / len(f) for f in (real, binned.astype(object))]
        assert 0.5 * (shares[0] - shares[1]).abs().sum() < 0.04
    assert rows["age"].between(0, 99).all()
    assert rows["age"].nunique() == 100  # drawn within bins


def test_the_model_is_made_again_from_its_releases_and_read_from_its_file(
    model: ReleasesSynthesizer, tmp_path: Path
) -> None:
    model.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    assert isinstance(again, ReleasesSynthesizer)
    assert again.guarantee_ == model.guarantee_
    assert (again.epsilon, again.delta) == (model.epsilon, model.delta)
    replayed = again.replay()
    assert {name: array.tobytes() for name, array in replayed.items()} == {
        name: array.tobytes() for name, array in model._arrays_of(model.model_).items()
    }
    pd.testing.assert_frame_equal(again.sample(50, random_state=3), model.sample(50, random_state=3))
    assert again.sample(6, balance=["sex"])["sex"].value_counts().to_dict() == {"F": 3, "M": 3}


def test_tables_of_the_same_columns_are_weighed_by_their_variance(tmp_path: Path) -> None:
    for name, counts in (("a", [100.0, 300.0]), ("b", [-50.0, 450.0])):
        pd.DataFrame({"sex": ["F", "M"], "count": counts}).to_csv(tmp_path / f"{name}.csv", index=False)
    both = [
        table(["sex"], std, cells=f"{name}.csv", cost={"mu": 1.0}) for name, std in (("a", 10.0), ("b", 20.0))
    ]
    model = fitted(state(tmp_path, both), part("sex"))
    tables = [cells_of_release(release) for release in model.releases_]
    (merged,) = domains_of(part("sex"), tables).one_way
    # precisions 1/100 and 1/400: four fifths of the first
    assert merged.counts.tolist() == pytest.approx([0.8 * 100 - 0.2 * 50, 0.8 * 300 + 0.2 * 450])
    assert np.asarray(merged.variance).tolist() == pytest.approx([80.0, 80.0])
    assert model.model_.n_units == pytest.approx(400.0)
    assert model.model_.n_units_std == pytest.approx(np.sqrt(2 * 80.0))
    assert model.sample(1000)["sex"].value_counts()["M"] == pytest.approx(825, abs=30)


def test_noise_may_be_laplace_by_variance_and_differ_by_cell(tmp_path: Path) -> None:
    cells = counted(visits(), ["sex", "ill"]).assign(noise=[50.0, 60.0, 70.0, 80.0])
    cells.to_parquet(tmp_path / "cells.parquet")
    laplace = table(
        ["sex", "ill"],
        1.0,
        std=None,
        variance="noise",
        mechanism="laplace",
        cells="cells.parquet",
        cost={"epsilon": 0.2},
    )
    model = fitted(state(tmp_path, [laplace], delta=None), part("sex", "ill"))
    assert model.releases_[0].arrays["variance"].ravel().tolist() == [50.0, 60.0, 70.0, 80.0]
    assert (model.epsilon, model.delta) == (0.2, 0.0)  # a pure epsilon needs no delta
    (event,) = model.guarantee_["events"]
    assert event["mechanism"] == "stated_laplace"
    assert guarantee_in_words(model.guarantee_)


def test_a_finer_table_gives_the_shape_within_coarser_bins(tmp_path: Path) -> None:
    ages = np.r_[np.full(900, 10), np.full(100, 30), np.full(1000, 70)]
    fine = {"age": list(range(0, 100, 10))}
    counted(pd.DataFrame({"age": ages}), ["age"], fine).to_csv(tmp_path / "age.csv", index=False)
    both = pd.DataFrame({"sex": np.resize(["F", "M"], 2000), "age": np.where(ages < 40, 0, 40)})
    counted(both, ["sex", "age"], {"sex": ["F", "M"], "age": [0, 40]}).to_csv(
        tmp_path / "both.csv", index=False
    )
    tables = [
        table(["age"], 5.0, edges={"age": [*fine["age"], 100]}),
        table(["sex", "age"], 5.0, cells="both.csv", edges={"age": [0, 40, 99]}),
    ]
    model = fitted(state(tmp_path, tables), part("sex", "age"))
    domain = model.model_.domains["age"]
    assert domain.size == 2
    rows = model.sample(4000, random_state=0)["age"]
    assert (
        rows.between(10, 19).mean(),
        rows.between(30, 39).mean(),
        rows.between(70, 79).mean(),
    ) == pytest.approx((0.45, 0.05, 0.5), abs=0.03)


def test_without_edges_every_value_is_a_cell(tmp_path: Path) -> None:
    schema = Schema({"children": {"type": "integer", "low": 0, "high": 4}})
    pd.DataFrame({"children": range(5), "count": [40, 30, 20, 10, 0]}).to_csv(
        tmp_path / "children.csv", index=False
    )
    model = fitted(state(tmp_path, [table(["children"], 1.0, cost={"mu": 1.0})]), schema)
    shares = model.sample(5000, random_state=0)["children"].value_counts(normalize=True)
    assert shares.reindex(range(4)).tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.03)


def test_private_lists_and_bounds_are_those_of_the_tables(tmp_path: Path) -> None:
    cells = pd.DataFrame({"ward": ["x", "y", "x", "y"], "age": [0, 0, 50, 50], "count": [400, 20, 20, 400]})
    cells.drop(index=1).to_csv(tmp_path / "both.csv", index=False)
    pd.DataFrame({"ward": ["x", "y", "z"], "count": [400, 440, 60]}).to_csv(
        tmp_path / "ward.csv", index=False
    )
    loose = {"keys": "thresholded", "threshold_delta": 1e-8, "threshold": 15.0, "cost": {"rho": 0.05}}
    tables = [
        table(["ward", "age"], 4.0, cells="both.csv", edges={"age": [0, 50, 110]}, **loose),
        table(["ward"], 4.0, **loose),
    ]
    schema = part(
        "ward",
        "age",
        ward={"categories": "private", "missing": "private"},
        age={"low": "private", "high": "private"},
    )
    model = fitted(state(tmp_path, tables), schema)
    assert model.model_.domains["ward"].labels == ["x", "y", "z"]
    rows = model.sample(4000, random_state=0)
    assert rows["age"].between(0, 110).all()
    assert (rows["ward"] == "z").mean() == pytest.approx(60 / 900, abs=0.03)
    assert rows.loc[rows["ward"] == "x", "age"].lt(50).mean() > 0.85
    left_out = measurement_of(
        cells_of_release(model.releases_[0]),
        domains_of(schema, [cells_of_release(r) for r in model.releases_]),
    )
    assert np.asarray(left_out.variance)[1, 0] == 15.0**2  # below the threshold: little is known
    assert left_out.counts[1, 0] == 0.0
    assert any("below a threshold" in sentence for sentence in model.guarantee_["not_covered"])


def test_a_large_table_tells_of_its_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privsynth.synthesizers.elsewhere.synthesizer.MOST_FITTED", 10)
    counted(visits(), ["sex", "age", "ill"]).to_csv(tmp_path / "sex-age-ill.csv", index=False)
    model = fitted(state(tmp_path, [table(["sex", "age", "ill"], 5.0)]), part("sex", "age", "ill"))
    rows = model.sample(4000, random_state=0)
    assert rows.groupby(rows["age"] >= 40)["ill"].mean().tolist() == pytest.approx([0.1, 0.8], abs=0.05)


# -- whose word it is ----------------------------------------------------------------------------------


def test_the_guarantee_is_somebodys_word_wherever_epsilon_stands(model: ReleasesSynthesizer) -> None:
    guarantee = model.guarantee_
    assert {
        "private",
        "epsilon",
        "epsilon_spent",
        "delta",
        "unit",
        "neighbours",
        "accountant",
        "events",
        "public",
        "not_covered",
    } <= guarantee.keys()
    # six tables with noise of 10: mu is the root of 6 over 10
    assert guarantee["epsilon"] == pytest.approx(gdp_epsilon(np.sqrt(6) / 10, 1e-6))
    assert guarantee["delta"] == 1e-6
    assert "given what is stated by the office of data, not checked by privsynth" in guarantee["statement"]
    assert guarantee["stated_by"] == "the office of data"
    assert sum(event["mu_squared"] for event in guarantee["events"]) == pytest.approx(0.06)
    for event in guarantee["events"]:
        assert {"purpose", "mechanism", "parameters", "count"} <= event.keys()
    verdict = guarantee_verdict(guarantee, 4000)
    assert verdict["verdict"] == "not_assessed"
    assert "not checked by privsynth" in verdict["evidence"]
    words = guarantee_in_words(guarantee)
    assert words[0].startswith("What follows is the word of the office of data")
    allowed = allowance_of(guarantee)
    assert allowed is not None
    assert allowed.mu is None  # no curve beyond what (epsilon, delta) says


def test_the_larger_epsilon_of_the_whole_and_of_the_parts_is_carried(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fields = json.loads((folder / "releases.json").read_text(encoding="utf-8"))
    for stated, carried in ((0.1, gdp_epsilon(np.sqrt(6) / 10, 1e-6)), (3.0, 3.0)):
        (tmp_path / "releases.json").write_text(json.dumps(fields | {"epsilon": stated}), encoding="utf-8")
        assert fitted(tmp_path, VISITS).epsilon == pytest.approx(carried)
    fields["tables"][0].pop("cost")  # what is known of the others is above the whole
    (tmp_path / "releases.json").write_text(json.dumps(fields | {"epsilon": 0.1}), encoding="utf-8")
    assert fitted(tmp_path, VISITS).epsilon == pytest.approx(gdp_epsilon(np.sqrt(5) / 10, 1e-6))
    for each in fields["tables"]:
        each.pop("cost", None)
    (tmp_path / "releases.json").write_text(json.dumps(fields | {"epsilon": 0.1}), encoding="utf-8")
    model = fitted(tmp_path, VISITS)
    assert (model.epsilon, model.delta) == (0.1, 1e-6)
    assert model.guarantee_["events"][0]["mu_squared"] is None


@pytest.mark.parametrize("counts", ["records", "persons"])
def test_persons_are_the_unit_and_rows_are_what_the_tables_count(tmp_path: Path, counts: str) -> None:
    counted(visits(), ["sex"]).to_csv(tmp_path / "sex.csv", index=False)
    schema = Schema(
        {"patient": {"type": "id", "role": "person_id"}, "sex": VISITS.columns["sex"]},
        max_records_per_person=3,
    )
    state(
        tmp_path,
        [table(["sex"], 5.0)],
        unit="person",
        max_records_per_person=3,
        counts=counts,
        neighbours="replace_one",
    )
    model = fitted(tmp_path, schema)
    assert "replacing one person (up to 3 rows of each are used)" in model.guarantee_["statement"]
    told = model.rows_of_persons
    assert told is not None
    assert told.startswith(
        "each synthetic row stands for one " + ("record" if counts == "records" else "person")
    )
    assert any("replacing one person" in paragraph for paragraph in guarantee_in_words(model.guarantee_))


# -- the command line ----------------------------------------------------------------------------------


def test_the_commands_take_it_and_no_ledger_is_touched(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    monkeypatch.setenv("PRIVSYNTH_LEDGER", str(ledger))
    monkeypatch.setattr(Ledger, "__init__", lambda *_, **__: pytest.fail("no ledger is opened"))
    schema, output = tmp_path / "schema.json", tmp_path / "m.privsynth"
    VISITS.save(schema)
    done = run("fit", "--releases", folder, "--schema", schema, "-o", output)
    assert (done.code, ledger.exists()) == (0, False)
    assert "stated by the office of data" in done.out
    again = run("fit", "--releases", folder, "--schema", schema, "-o", output)
    assert (again.code, "it is kept" in again.err) == (0, True)
    shown = run("show", output)
    assert re.search(
        r"stated: epsilon 1.\d+ at delta 1e-06, given what is stated by the office of data", shown.out
    )
    assert "spent here: nothing; it is in no ledger of privsynth" in shown.out
    assert "released elsewhere:" in shown.out
    assert "read from the records" not in shown.out
    assert run("sample", output, "-n", 20, "-o", tmp_path / "rows.csv", "--balance", "sex").code == 0
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 20


@pytest.mark.parametrize(
    "flags",
    [
        ("visits.csv",),
        ("--epsilon", 1),
        ("--ledger", "l.sqlite"),
        ("--dataset", "visits"),
        ("--restart",),
        ("--delta", 1e-5),
        ("--synthesizer", "dpgan"),
        ("--on-violation", "clip"),
        ("--stream",),
        ("--start", "m.privsynth"),
    ],
)
def test_what_means_nothing_without_records_is_refused(
    folder: Path, tmp_path: Path, flags: tuple[object, ...]
) -> None:
    refused = run(
        "fit", *flags, "--releases", folder, "--schema", tmp_path / "s.json", "-o", tmp_path / "m.privsynth"
    )
    assert refused.code == 2
    assert "means nothing beside --releases" in refused.error


def test_a_fit_without_a_table_says_what_it_may_be(tmp_path: Path) -> None:
    assert "--releases FOLDER" in run("fit", "-o", tmp_path / "m.privsynth").err


# -- the document --------------------------------------------------------------------------------------


def test_the_document_names_every_key_and_every_choice() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in (*statement._STATEMENT, *statement._TABLE, *statement._COST, *statement.MECHANISMS):
        assert f"`{name}`" in text or f'"{name}"' in text, name
    for limit in (statement.MAX_TABLES, cells.MAX_CELLS, cells.MAX_CELLS_IN_ALL):
        assert f"{limit:,}" in text
    assert f"{cells.MAX_FILE_BYTES // 2**20} MB" in text


def test_the_first_example_of_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    code = text.partition("## From plain counts")[2].partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["rows"]) == 1000
    is_old = names["rows"]["age"] > 50
    assert names["rows"].loc[is_old, "ill"].mean() > names["rows"].loc[~is_old, "ill"].mean() + 0.2
    assert "the office of data" in names["model"].guarantee_["statement"]
