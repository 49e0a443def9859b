"""Files that older versions wrote are read by every newer one: models, ledger, paid releases, schema, report.

`older_files/first` holds what the first version wrote, from 1,500 made-up rows (`table`) and small settings:
two models, a ledger with two finished runs and an interrupted one, the paid releases of that one, 300 rows of
the first model, and the report of a quick audit of them. `older_files/fourth` holds models of persons with
several rows, of linked tables and of images, of the small made-up records in `tests/helpers`. Versions that
write other files add a folder, and change none.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.attacks.trade_off import allowance_of
from privsynth.cli import main
from privsynth.ledger.ledger import Ledger
from privsynth.metrics.fidelity.detection import spending
from privsynth.models.tables.fitting import FitOptions
from privsynth.report.page.page import render
from privsynth.report.sections import verdicts_of
from privsynth.synthesizers.model_file import read_model_file
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings

FIRST = Path(__file__).parent / "older_files" / "first"
SETTINGS = MarginalSettings(
    n_rounds=2, pairs_per_column=1.0, steps_per_round=5, final_steps=5, fit=FitOptions(n_components=16)
)


def table() -> pd.DataFrame:
    """Return the rows that everything was made from."""
    rng, n = np.random.default_rng(0), 1500
    sex = rng.choice(["F", "M"], n)
    ill = rng.random(n) < np.where(sex == "F", 0.3, 0.6)
    return pd.DataFrame(
        {
            "sex": sex,
            "age": rng.integers(18, 90, n),
            "town": rng.choice(["Ulm", "Bonn", "Rome"], n),
            "cost": np.round(rng.gamma(2, 100, n), 2),
            "seen": pd.to_datetime("2022-01-01") + pd.to_timedelta(rng.integers(0, 365, n), unit="D"),
            "ill": ill,
        }
    )


@pytest.mark.parametrize("name", ["marginal", "dpgan"])
def test_models_load_and_sample(name):
    model = privsynth.load(FIRST / f"{name}.privsynth")
    assert (model.guarantee_["epsilon"], model.guarantee_["delta"]) == (1, 1e-6)
    rows = model.sample(60, balance=["sex", "ill"], random_state=0)
    assert rows.groupby(["sex", "ill"]).size().tolist() == [15] * 4
    assert rows["seen"].between("2022-01-01", "2022-12-31").all()
    assert set(rows["town"]) <= {"Ulm", "Bonn", "Rome", "other"}


FOURTH = FIRST.parent / "fourth"


def test_models_of_persons_load_and_sample_whole_histories():
    model = privsynth.load(FOURTH / "histories.privsynth")
    rows = model.sample(300, random_state=0)
    assert rows["pid"].nunique() == 300
    assert rows.groupby("pid").size().between(1, 6).all()
    assert (rows.groupby("pid")["sex"].nunique() == 1).all()
    in_order = rows.sort_values(["pid", "day"])
    same = in_order["pid"].eq(in_order["pid"].shift())
    assert (in_order["ill"] == in_order["ill"].shift())[same].mean() > 0.6  # states stay, in the records


def test_models_of_linked_tables_load_and_sample_keys_without_orphans():
    tables = privsynth.load(FOURTH / "bank.privsynth").sample(3000, random_state=0)
    assert len(tables["client"]) == 3000
    assert tables["account"]["owner"].isin(tables["client"]["id"]).all()
    assert tables["trans"]["account"].isin(tables["account"]["account"]).all()
    rich = tables["account"]["owner"].map(tables["client"].set_index("id")["rich"])
    gold = tables["account"]["gold"]
    assert gold[rich].mean() > gold[~rich].mean() + 0.05  # as in the records, if less


@pytest.mark.parametrize("name", ["marginal", "histories", "bank", "image_feature"])
def test_a_model_is_rebuilt_from_its_releases_by_the_rules_that_it_was_made_by(name):
    (path,) = FIRST.parent.glob(f"*/{name}.privsynth")
    stored, rebuilt = read_model_file(path).weights, privsynth.load(path).replay()
    assert rebuilt.keys() == stored.keys()
    for key, array in stored.items():
        if "calibration" not in key:  # that is counted in drawn rows, and jumps where another machine rounds
            np.testing.assert_allclose(rebuilt[key], array, rtol=1e-3, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", ["image_feature", "image_gan", "image_diffusion"])
def test_models_of_images_load_and_sample(name):
    drawn = privsynth.load(FOURTH / f"{name}.privsynth").sample(20, balance=["digit"], random_state=0)
    assert drawn.images.shape == (20, 8, 8, 1)
    assert drawn.labels["digit"].value_counts().tolist() == [2] * 10


def test_rows_of_an_older_model_follow_the_law_that_they_did():
    before = pd.read_csv(FIRST / "synthetic.csv")
    rows = privsynth.load(FIRST / "marginal.privsynth").sample(20_000, random_state=1)
    for name in ("sex", "town", "ill"):
        shares = rows[name].value_counts(normalize=True)
        old = before[name].value_counts(normalize=True).reindex(shares.index).fillna(0.0)
        assert (shares - old).abs().max() < 5 * 0.5 / np.sqrt(len(before))
    assert rows["age"].mean() == pytest.approx(before["age"].mean(), abs=5 * 21 / np.sqrt(len(before)))


def test_the_ledger_keeps_what_was_spent(tmp_path):
    ledger = Ledger(shutil.copy(FIRST / "ledger.sqlite", tmp_path))
    (found,) = ledger.datasets()
    assert (found.dataset, found.limit) == ("clinic", (5.0, 1e-5))
    assert [run.status for run in found.runs] == ["finished", "finished", "suspended"]
    assert [run.n_events for run in found.runs] == [16, 14, 14]
    with pytest.raises(privsynth.errors.BudgetExceededError):
        privsynth.MarginalSynthesizer(epsilon=4.9, delta=1e-5, settings=SETTINGS).fit(
            table(), schema=privsynth.Schema.load(FIRST / "schema.json"), dataset="clinic", ledger=ledger
        )


def test_an_interrupted_run_goes_on_and_pays_for_nothing_twice(tmp_path):
    ledger = Ledger(shutil.copy(FIRST / "ledger.sqlite", tmp_path))
    partial = Path(shutil.copy(FIRST / "interrupted.partial", tmp_path / "m.partial"))
    with sqlite3.connect(partial) as database:  # it names its ledger by where that lay
        database.execute(
            "UPDATE meta SET value = ? WHERE name = 'ledger'", (json.dumps(str(ledger.path.resolve())),)
        )
    database.close()
    run = ledger.datasets()[0].runs[-1]
    paid = [key for _, key, _ in ledger.events(run.run)]
    model = privsynth.MarginalSynthesizer(epsilon=1, settings=SETTINGS, random_state=0).fit(
        table(),
        schema=privsynth.Schema.load(FIRST / "schema.json"),
        dataset="clinic",
        ledger=ledger,
        releases_path=partial,
    )
    keys = [key for _, key, _ in ledger.events(run.run)]
    assert keys[: len(paid)] == paid
    assert len(set(keys)) == len(keys) == len(model.releases_) > len(paid)
    assert ledger.status(run.run) == "finished"


def test_a_report_can_be_compared(tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["report", *[str(FIRST / "report.json")] * 2, "-o", str(tmp_path / "compared.html")])
    assert end.value.code == 0
    assert (tmp_path / "compared.html").stat().st_size > 10_000


def test_the_page_and_the_verdicts_of_a_report_are_as_they_were():
    content = json.loads((FIRST / "report.json").read_text(encoding="utf-8"))
    found = [(v["section"], v["verdict"]) for v in verdicts_of(content)]
    assert found == [(v["section"], v["verdict"]) for v in content["verdicts"]]
    assert "What the budget was spent on" in render(content)


@pytest.mark.parametrize("name", ["marginal", "dpgan"])
def test_statements_without_identifiers_tell_what_the_budget_was_spent_on(name):
    statement = privsynth.load(FIRST / f"{name}.privsynth").guarantee_
    assert "accountant_id" not in statement
    purposes = spending(statement)["purposes"]
    assert sum(entry["share"] for entry in purposes) == pytest.approx(1)
    allowance = allowance_of(statement)
    assert sum(entry["mu_squared"] for entry in purposes) <= allowance.mu**2 * (1 + 1e-9)
