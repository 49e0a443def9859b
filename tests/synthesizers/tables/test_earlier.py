"""A fit that goes on from an earlier model: what it takes over, what it pays for, and what then holds."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event
from privsynth.accounting.gdp import gdp_epsilon
from privsynth.errors import LedgerError, ParameterError, SchemaError
from privsynth.ledger.ledger import Ledger
from privsynth.report.text import given_in_words, guarantee_in_words
from privsynth.schema import Schema
from privsynth.synthesizers import DPGANSynthesizer, MarginalSynthesizer
from privsynth.synthesizers.tables.beginning import measured_before
from privsynth.synthesizers.tables.earlier import FIXED_BUDGETS, PREFIX
from tests.helpers.commands import run
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import PATIENTS, QUICK, patients

PRIVATE = Schema.from_dict(
    {
        "columns": {
            **PATIENTS.to_dict()["columns"],
            "age": {"type": "integer", "low": "private", "high": "private"},
            "sex": {"type": "categorical", "categories": "private", "role": "group"},
        },
        "workload": [["sex", "age"]],
    }
)
DELTA = 1e-6


class Book:
    """A folder with a ledger, and fits that are charged to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ledger = folder, folder / "ledger.sqlite"

    def fit(
        self, epsilon: float | None, *, schema: Schema = PRIVATE, **arguments: Any
    ) -> MarginalSynthesizer:
        dataset = arguments.pop("dataset", "patients")
        model = MarginalSynthesizer(epsilon=epsilon, delta=DELTA, settings=QUICK, random_state=1)
        return model.fit(patients(2000), schema=schema, dataset=dataset, ledger=self.ledger, **arguments)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(tmp_path_factory.mktemp("earlier"))


@pytest.fixture(scope="module")
def first(book: Book) -> MarginalSynthesizer:
    return book.fit(2.0)


@pytest.fixture(scope="module")
def second(book: Book, first: MarginalSynthesizer) -> MarginalSynthesizer:
    return book.fit(1.0, start=first)


def own_events(model: MarginalSynthesizer) -> list[Event]:
    return [Event.from_dict(r.event) for r in model.releases_ if not r.key.startswith(PREFIX)]


def test_what_was_found_is_taken_over_and_not_paid_again(
    first: MarginalSynthesizer, second: MarginalSynthesizer
) -> None:
    asked = {r.key.partition("/")[0] for r in second.releases_ if not r.key.startswith(PREFIX)}
    assert asked & {"values", "bounds", "spikes", "octaves"} == set()
    assert {"values", "bounds"} <= {r.key.partition("/")[0] for r in first.releases_}
    assert not any(event.delta for event in own_events(second))
    for name, domain in first.model_.domains.items():
        assert second.model_.domains[name].size == domain.size
    assert [r.key for r in second.releases_ if r.key.startswith(PREFIX)] == [
        PREFIX + r.key for r in first.releases_
    ]


def test_only_new_releases_are_charged_and_all_of_the_budget_goes_to_them(
    book: Book, first: MarginalSynthesizer, second: MarginalSynthesizer
) -> None:
    with sqlite3.connect(book.ledger) as database:
        charged = database.execute(
            "SELECT run, count(*) FROM events GROUP BY run ORDER BY min(rowid)"
        ).fetchall()
    assert [n for _, n in charged][:2] == [len(first.releases_), len(own_events(second))]
    spent = sum(event.mu_squared for event in own_events(second))
    allowed = Spend.of_budget(epsilon=1.0, delta=DELTA).mu_squared
    assert 0.99 * allowed < spent <= allowed * (1 + 1e-9)


def test_tables_of_both_runs_are_measurements_and_their_noise_is_less_than_of_either(
    first: MarginalSynthesizer, second: MarginalSynthesizer, book: Book
) -> None:
    third = book.fit(1.0, start=second)
    assert third._earlier is not None
    of_both, of_one = measured_before(third._earlier), measured_before(second._earlier)  # type: ignore[arg-type]  # both went on from one
    assert len(of_both.tables) > len(of_one.tables) > 0
    for both, one in zip(of_both.first.domains.one_way, of_one.first.domains.one_way, strict=True):
        if both.columns != ("cost",):  # the end of a long tail is extrapolated: its spread is no noise
            assert (np.asarray(both.variance) < np.asarray(one.variance)).all()
    assert {"age", "cost", "seen"} == of_both.cells.keys()
    for name, cells in of_both.cells.items():  # number lines are counted by their finest cells again
        assert cells.counts.size == first.model_.domains[name].grid.n_cells  # type: ignore[union-attr]  # a line has a grid
        assert np.max(cells.variance) < np.min(of_one.cells[name].variance)
    stds = [model.model_.n_units_std for model in (first, second, third)]
    assert stds[0] > stds[1] > stds[2]
    assert abs(third.model_.n_units - 2000) < 5 * stds[2]
    counts = {r.key: r for r in second.releases_}
    name = "counts/one-way/ill"
    old, new = counts[PREFIX + name], counts[name]
    weights = [1 / r.noise_multiplier**2 for r in (old, new)]
    expected = np.average([old.arrays["0"], new.arrays["0"]], axis=0, weights=weights)
    merged = next(m for m in of_both.first.domains.one_way if m.columns == ("ill",))
    assert merged.counts == pytest.approx(expected)


def test_a_declared_table_has_the_noise_of_both_runs_together(
    first: MarginalSynthesizer, second: MarginalSynthesizer
) -> None:
    stds = {r.key: r.noise_multiplier for r in second.releases_ if r.key.endswith("workload/tables")}
    precision = stds["workload/tables"] ** -2 + stds[f"{PREFIX}workload/tables"] ** -2
    frame = second.declared_tables()["sex", "age"]
    assert frame["std"].to_numpy() == pytest.approx(precision**-0.5)
    assert frame["std"].max() < first.declared_tables()["sex", "age"]["std"].min()
    (told,) = second.guarantee_["declared_tables"]
    assert told["noise_std"] == pytest.approx(precision**-0.5)
    assert abs(frame["count"].sum() - 2000) < 5 * len(frame) ** 0.5 * precision**-0.5


def test_the_guarantee_is_that_of_both_runs_composed_by_their_events(
    first: MarginalSynthesizer, second: MarginalSynthesizer
) -> None:
    told = second.guarantee_
    spends = [Spend.of_budget(epsilon=epsilon, delta=DELTA) for epsilon in (2.0, 1.0)]
    mu = math.sqrt(sum(spend.mu_squared for spend in spends))
    assert told["epsilon"] == pytest.approx(gdp_epsilon(mu, 0.9 * DELTA), rel=1e-9)
    assert told["delta"] == pytest.approx(1.1 * DELTA)  # each run sets aside a tenth of its own
    assert 2.0 < told["epsilon"] < 3.0  # not the sum
    assert [(r["epsilon"], r["delta"]) for r in told["runs"]] == [(2.0, DELTA), (1.0, DELTA)]
    assert told["given"] == FIXED_BUDGETS
    assert FIXED_BUDGETS in given_in_words(told)
    assert "2 runs together" in told["statement"]
    assert any("rests on 2 runs on the real records" in paragraph for paragraph in guarantee_in_words(told))
    total = sum(event["mu_squared"] for event in told["events"])
    assert total <= mu**2 * (1 + 1e-9)
    assert total == pytest.approx(
        sum(e["mu_squared"] for e in first.guarantee_["events"])
        + sum(e.mu_squared for e in own_events(second))
    )
    assert {event["run"] for event in told["events"]} == {1, 2}
    assert "runs" not in first.guarantee_


def test_a_limit_that_was_fixed_first_is_what_is_claimed_and_a_later_one_is_not(tmp_path: Path) -> None:
    for at, claims in (("before", True), ("between", False)):
        (tmp_path / at).mkdir()
        book = Book(tmp_path / at)
        ledger = Ledger(book.ledger)
        if claims:
            ledger.set_limit("patients", epsilon=5.0, delta=1e-4)
        first = book.fit(1.0)
        if not claims:
            ledger.set_limit("patients", epsilon=5.0, delta=1e-4)
        told = book.fit(1.0, start=first).guarantee_
        assert (told["epsilon"], told["delta"]) == (5.0, 1e-4) if claims else told["epsilon"] < 2.0
        assert told["given"] == (None if claims else FIXED_BUDGETS)
        assert ("the limit of the data set, fixed before its first run" in told["statement"]) is claims
        assert ("nothing is claimed of them together" in told["statement"]) is not claims
        assert given_in_words(told) == ("" if claims else f", given {FIXED_BUDGETS}")
        assert len(guarantee_in_words(told)) > 1


def test_three_runs_compose_as_the_ledger_does(book: Book, second: MarginalSynthesizer) -> None:
    third = book.fit(0.5, start=second)
    told = third.guarantee_
    assert [run["epsilon"] for run in told["runs"]] == [2.0, 1.0, 0.5]
    assert {event["run"] for event in told["events"]} == {1, 2, 3}
    mu_squared = sum(Spend.of_budget(epsilon=e, delta=DELTA).mu_squared for e in (2.0, 1.0, 0.5))
    assert told["epsilon"] == pytest.approx(gdp_epsilon(math.sqrt(mu_squared), 0.9 * DELTA), rel=1e-9)
    keys = [r.key for r in third.releases_]
    assert len(set(keys)) == len(keys)
    assert sum(key.startswith(PREFIX + PREFIX) for key in keys) > 0


def test_it_is_written_read_and_made_again(second: MarginalSynthesizer, tmp_path: Path) -> None:
    second.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    assert isinstance(again, MarginalSynthesizer)
    assert again.guarantee_ == second.guarantee_
    assert again.epsilon == 1.0
    replayed, held = again.replay(), second._arrays_of(second.model_)
    assert {name: array.tobytes() for name, array in replayed.items()} == {
        name: array.tobytes() for name, array in held.items()
    }
    assert list(again.declared_tables()) == [("sex", "age")]


def test_a_file_begins_a_fit_as_its_model_does_and_an_interrupted_one_resumes(
    book: Book, first: MarginalSynthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.save(tmp_path / "first.privsynth")
    partial = tmp_path / "m.partial"

    def stopped(message: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        book.fit(0.5, start=tmp_path / "first.privsynth", releases_path=partial, progress=stopped)
    with pytest.raises(privsynth.errors.ModelFileError, match=r"other settings \(start\)"):
        book.fit(0.5, releases_path=partial)
    resumed = book.fit(0.5, start=first, releases_path=partial)
    assert [run["epsilon"] for run in resumed.guarantee_["runs"]] == [2.0, 0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": {"type": "integer", "low": 0, "high": 120}}, r"another one \('age'\)"),
        ({"sex": None}, r"another one \('sex'\)"),
        ({"patient": {"type": "id", "role": "person_id"}}, r"other persons, rows of each"),
    ],
)
def test_another_schema_or_unit_is_refused(
    book: Book, first: MarginalSynthesizer, change: dict[str, Any], message: str
) -> None:
    columns = {k: v for k, v in (PRIVATE.to_dict()["columns"] | change).items() if v is not None}
    cap = 2 if "patient" in columns else None
    schema = Schema(columns, max_records_per_person=cap)
    with pytest.raises(SchemaError, match=message):
        book.fit(1.0, schema=schema, start=first)


def test_another_relation_data_set_or_kind_of_model_is_refused(
    book: Book, first: MarginalSynthesizer
) -> None:
    with pytest.raises(ParameterError, match=r"data set 'patients', and this fit names 'others'"):
        book.fit(1.0, start=first, dataset="others")
    other = MarginalSynthesizer.load(saved(first, book.folder / "other.privsynth"))
    other.guarantee_ = other.guarantee_ | {"neighbours": "replace_one"}
    with pytest.raises(ParameterError, match=r"protects against 'replace_one'"):
        book.fit(1.0, start=other)
    with pytest.raises(ParameterError, match=r"fitted by MarginalSynthesizer .* got DPGANSynthesizer"):
        book.fit(1.0, start=DPGANSynthesizer(epsilon=1.0))
    with pytest.raises(ParameterError, match=r"dpgan cannot go on from an earlier model"):
        DPGANSynthesizer(epsilon=1.0).fit(patients(50), schema=PATIENTS, start=first, ledger=book.ledger)
    sequences = Schema(
        {
            **PATIENTS.columns,
            "id": {"type": "id", "role": "person_id"},
            "year": {"type": "integer", "low": 0, "high": 9, "role": "order"},
        },
        max_records_per_person=2,
    )
    with pytest.raises(SchemaError, match=r"puts those of a person in order"):
        book.fit(1.0, schema=sequences, start=first)


def saved(model: MarginalSynthesizer, path: Path) -> Path:
    model.save(path, force=True)
    return path


def test_what_is_not_private_is_nothing_to_go_on_from(book: Book) -> None:
    for model in (
        book.fit(None),
        book.fit(1.0, secret=PredictableSourceForTests(1), dataset="tests"),
    ):
        with pytest.raises(ParameterError, match="the earlier model is not private"):
            book.fit(1.0, start=model, dataset=model.guarantee_["dataset"])


def test_a_ledger_that_lacks_the_earlier_run_is_refused(first: MarginalSynthesizer, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is not the one that the earlier model was charged to"):
        Book(tmp_path).fit(1.0, start=first)


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVSYNTH_LEDGER", str(tmp_path / "ledger.sqlite"))
    schema = Schema({"sex": PATIENTS.columns["sex"], "ill": PATIENTS.columns["ill"]})
    schema.save(tmp_path / "s.json")
    patients(500)[["sex", "ill"]].to_csv(tmp_path / "visits.csv", index=False)
    common = ("fit", tmp_path / "visits.csv", "--schema", tmp_path / "s.json", "--epsilon", 1)
    assert run(*common, "-o", tmp_path / "a.privsynth").code == 0
    done = run(*common, "--start", tmp_path / "a.privsynth", "-o", tmp_path / "b.privsynth")
    assert done.code == 0
    again = run(*common, "--start", tmp_path / "a.privsynth", "-o", tmp_path / "b.privsynth")
    assert "it is kept" in again.err
    shown = run("show", tmp_path / "b.privsynth")
    assert "asked for, run by run: epsilon 1 at delta 1e-06, then epsilon 1 at delta 1e-06" in shown.out
    assert "together: epsilon 1.4543 at delta 1.1e-06, given that the budget of each run" in shown.out
    told = json.loads(run("ledger", "show", "--json").out)
    assert json.dumps(told).count('"finished"') == 2
    wrong = run(*common, "--start", tmp_path / "none.privsynth", "-o", tmp_path / "c.privsynth")
    assert (wrong.code, "there is no model file" in wrong.error) == (2, True)
    assert len(pd.read_csv(tmp_path / "visits.csv")) == 500
    assert Ledger(tmp_path / "ledger.sqlite").datasets()
