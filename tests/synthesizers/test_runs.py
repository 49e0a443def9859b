"""A run reserves, then reads; a finished one reads nothing; an amended one keeps what was not touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from privsynth.accounting.budget import Spend
from privsynth.accounting.events import Event, Gaussian
from privsynth.counting.memory import RecordsInMemory
from privsynth.errors import BudgetExceededError, LedgerError, ModelFileError, SchemaError, TableError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.units import Weighting
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema
from privsynth.synthesizers import DPGANSynthesizer, MarginalSynthesizer, load
from privsynth.synthesizers.amending import allowance, amended, changed_columns
from tests.contracts.synthesizers import QUICK_SETTINGS, maker
from tests.helpers.tables import PATIENTS, QUICK, patients


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


class Spied(pd.DataFrame):
    """A frame that knows whether one of its columns was looked into."""

    _metadata = ("looks",)

    @property
    def _constructor(self):
        return Spied

    def __getitem__(self, key):
        self.looks.append(key)
        return super().__getitem__(key)


def spied(frame: pd.DataFrame) -> Spied:
    spy = Spied(frame)
    spy.looks = []
    return spy


def fitted(ledger, frame=None, *, schema=PATIENTS, epsilon=1.0, make=None, dataset="patients", **named):
    synthesizer = MarginalSynthesizer(epsilon=epsilon, settings=QUICK, random_state=0)
    if make is not None:
        synthesizer = make(epsilon=epsilon)
    source = patients(300) if frame is None else frame
    return synthesizer.fit(source, schema=schema, dataset=dataset, ledger=ledger, **named)


# -- reserve, then read --------------------------------------------------------------------------------


def test_of_a_data_set_whose_budget_is_used_up_no_field_is_read(ledger):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)
    fitted(ledger)
    too_old = spied(patients(300).assign(age=1000))
    with pytest.raises(BudgetExceededError, match="Nothing was read"):
        fitted(ledger, too_old)
    assert too_old.looks == []
    assert len(ledger.datasets()[0].runs) == 1
    assert ledger.datasets()[0].noiseless_stops == 0


def test_of_a_file_no_byte_behind_the_names_decides_what_is_said_before_the_reservation(ledger, tmp_path):
    """Bytes that no encoding knows lie right behind the header, in the block that is read with it."""
    ledger.set_limit("d", epsilon=0.5, delta=1e-6)
    schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"]}})
    (tmp_path / "t.csv").write_bytes(b"sex\n\xff\xfe\x00\n")
    with pytest.raises(BudgetExceededError):
        fitted(ledger, tmp_path / "t.csv", schema=schema, dataset="d")
    with pytest.raises(TableError):
        fitted(ledger, tmp_path / "t.csv", schema=schema, dataset="d", epsilon=0.1)
    assert ledger.datasets()[0].noiseless_stops == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda t: t.assign(sex="X"), SchemaError),
        (lambda t: t.assign(age=[*t["age"][:-1], 1000]), SchemaError),
        (lambda t: t.assign(cost=[object()] * len(t)), SchemaError),
        (lambda t: t.iloc[:0], TableError),
    ],
)
def test_a_stop_that_records_cause_keeps_the_reservation_and_is_counted(ledger, tmp_path, change, error):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)
    for partial in (tmp_path / "m.partial", None):
        with pytest.raises(error, match="privsynth ledger close"):
            fitted(ledger, change(patients(300)), releases_path=partial)
        (summary,) = ledger.datasets()
        (run,) = summary.runs  # the second call took the run over that the first had reserved
        assert (run.status, run.n_events, run.is_stopped) == ("open", 0, True)
        assert summary.epsilon == pytest.approx(1.0, rel=1e-6)
        with pytest.raises(BudgetExceededError):
            fitted(ledger, epsilon=0.5)
        (tmp_path / "m.partial").unlink(missing_ok=True)
    assert ledger.datasets()[0].noiseless_stops == 2


def test_the_same_call_resumes_the_stopped_run_and_the_guarantee_counts_the_stop(ledger, tmp_path):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)
    with pytest.raises(SchemaError):
        fitted(ledger, patients(300).assign(sex="X"), releases_path=tmp_path / "m.partial")
    mended = fitted(ledger, releases_path=tmp_path / "m.partial")
    (run,) = ledger.datasets()[0].runs
    assert (run.status, run.noiseless_stops, run.is_stopped) == ("finished", 1, False)
    assert mended.guarantee_["noiseless_stops"] == 1
    assert "happened once, each time without noise" in mended.guarantee_["not_covered"][0]


def test_the_guarantee_of_a_resumed_run_says_that_records_may_have_changed(ledger, tmp_path):
    def interrupt(message, done, total):
        if done == 1:
            raise KeyboardInterrupt

    partial = tmp_path / "m.partial"

    def fit(n, progress=None):
        synthesizer = MarginalSynthesizer(epsilon=1.0, settings=QUICK)
        return synthesizer.fit(
            patients(n),
            schema=PATIENTS,
            dataset="p",
            ledger=ledger,
            releases_path=partial,
            progress=progress,
        )

    with pytest.raises(KeyboardInterrupt):
        fit(300, interrupt)
    resumed, replayed = fit(290), fit(290)
    others = MarginalSynthesizer(epsilon=1.0, settings=QUICK).fit(
        patients(300), schema=PATIENTS, dataset="q", ledger=ledger
    )
    said = "records may have changed between releases"
    for model, is_said in ((resumed, True), (replayed, True), (others, False)):
        assert any(said in text for text in model.guarantee_["not_covered"]) == is_said


def test_what_fails_between_charge_and_answer_is_a_stop_too_and_the_run_goes_on(
    ledger, tmp_path, monkeypatch
):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)
    honest, calls, partial = RecordsInMemory.tables, [], tmp_path / "m.partial"

    def failing(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise MemoryError(f"cannot hold {len(self.frame)} rows")
        return honest(self, *arguments)

    monkeypatch.setattr(RecordsInMemory, "tables", failing)
    with pytest.raises(TableError, match=r"cannot be read \(MemoryError\).*ledger close") as stopped:
        fitted(ledger, releases_path=partial)
    assert "rows" not in str(stopped.value)
    (run,) = ledger.datasets()[0].runs
    assert (run.status, run.is_stopped, run.noiseless_stops) == ("open", True, 1)
    model = fitted(ledger, releases_path=partial)
    (run,) = ledger.datasets()[0].runs
    assert (run.status, model.guarantee_["noiseless_stops"]) == ("finished", 1)
    assert [release.lost for release in model.releases_].count(True) == 1  # charged, and again for its answer


def test_the_advice_to_clip_works_and_what_was_checked_once_stays_said(ledger, tmp_path):
    bad = patients(300).assign(sex="X")
    with pytest.raises(SchemaError, match="--on-violation clip"):
        fitted(ledger, bad, releases_path=tmp_path / "m.partial")
    clipped = fitted(ledger, bad, releases_path=tmp_path / "m.partial", on_violation="clip")
    assert len(ledger.datasets()[0].runs) == 1
    assert any("whether a record breaks the schema" in said for said in clipped.guarantee_["not_covered"])


def test_a_stopped_run_that_is_closed_gives_its_budget_back_and_stays_counted(ledger, tmp_path):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)
    with pytest.raises(SchemaError):
        fitted(ledger, patients(300).assign(sex="X"), releases_path=tmp_path / "m.partial")
    ledger.close(ledger.datasets()[0].runs[0].run)
    other = fitted(ledger, releases_path=tmp_path / "m.partial", epsilon=0.5)  # nothing was paid: all is free
    assert other.guarantee_["noiseless_stops"] == 1
    assert [run.status for run in ledger.datasets()[0].runs] == ["closed", "finished"]


def test_a_run_that_others_may_still_resume_is_not_taken_over(ledger):
    def stop(message, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, progress=stop)
    fitted(ledger)
    assert [run.status for run in ledger.datasets()[0].runs] == ["suspended", "finished"]


def test_without_privacy_no_ledger_is_asked(tmp_path):
    with pytest.raises(SchemaError, match="breaks its schema"):
        fitted(tmp_path / "none.sqlite", patients(100).assign(sex="X"), epsilon=None)
    assert not (tmp_path / "none.sqlite").exists()


def test_the_ledger_says_nothing_of_the_table(ledger):
    fitted(ledger)
    (run,) = ledger.datasets()[0].runs
    assert run.description == "MarginalSynthesizer"


# -- a finished run, a copy ----------------------------------------------------------------------------


@pytest.fixture
def draws(monkeypatch) -> list[int]:
    """Batches that were drawn from records."""
    drawn, original = [], Weighting.poisson_sample
    monkeypatch.setattr(
        Weighting, "poisson_sample", lambda self, *a, **n: drawn.append(1) or original(self, *a, **n)
    )
    return drawn


def press_ctrl_c_at(step: int):
    def progress(message, done, total):
        if done == step and message.startswith("training"):
            raise KeyboardInterrupt

    return progress


def test_copies_of_the_paid_releases_take_no_step_twice(ledger, tmp_path, draws):
    make, partial = maker(DPGANSynthesizer), tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, make=make, releases_path=partial, progress=press_ctrl_c_at(2))
    copies = [Path(shutil.copy(partial, tmp_path / f"{i}.partial")) for i in range(3)]
    fitted(ledger, make=make, releases_path=partial)
    for copy in copies:
        with pytest.raises((LedgerError, ModelFileError), match=r"older copy.*--restart"):
            fitted(ledger, make=make, releases_path=copy)
    assert len(draws) == QUICK_SETTINGS[DPGANSynthesizer].n_steps == 6
    assert [run.status for run in ledger.datasets()[0].runs] == ["finished"]


def test_a_finished_run_is_replayed_from_its_store_and_no_record_is_read(ledger, tmp_path, draws):
    for kind in (DPGANSynthesizer, MarginalSynthesizer):
        make, partial = maker(kind), tmp_path / f"{kind.name}.partial"
        whole = fitted(ledger, make=make, releases_path=partial)
        n_drawn, spy = len(draws), spied(patients(300))
        again = fitted(ledger, spy, make=make, releases_path=partial)
        assert spy.looks == []
        assert len(draws) == n_drawn
        arrays = again._arrays_of(again.model_)
        assert all((arrays[k] == v).all() for k, v in whole._arrays_of(whole.model_).items())


def test_a_copy_that_lacks_a_checkpoint_is_refused_before_anything_is_read(ledger, tmp_path, draws):
    make, partial = maker(DPGANSynthesizer), tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, make=make, releases_path=partial, progress=press_ctrl_c_at(2))
    with pytest.raises(KeyboardInterrupt):  # nothing is kept in the middle of a step: what is kept is older
        fitted(ledger, make=make, releases_path=partial, progress=press_ctrl_c_at(4))
    ledger_of_steps = ledger.blocks(ledger.datasets()[0].runs[0].run)["steps"]
    copy, n_drawn, spy = shutil.copy(partial, tmp_path / "copy.partial"), len(draws), spied(patients(300))
    store = ReleaseStore(copy)
    store.set_meta(**{"steps/kept": -1})
    store.close()
    with pytest.raises(ModelFileError, match="older copy"):
        fitted(ledger, spy, make=make, releases_path=copy)
    assert (spy.looks, len(draws)) == ([], n_drawn)
    assert ledger_of_steps == (n_drawn, store.n_kept("steps") + 1)


def test_the_ledger_counts_a_step_before_it_is_drawn(ledger, tmp_path, monkeypatch):
    counted = []

    def counting(self, *arguments, **named):
        counted.append(ledger.blocks(ledger.datasets()[0].runs[0].run)["steps"][0])
        raise RuntimeError

    monkeypatch.setattr(Weighting, "poisson_sample", counting)
    with pytest.raises(RuntimeError):
        fitted(ledger, make=maker(DPGANSynthesizer), releases_path=tmp_path / "m.partial")
    assert counted == [1]


def test_a_run_is_not_resumed_into_another_ledger(ledger, tmp_path):
    def stop(message, done, total):
        if done == 1:
            raise KeyboardInterrupt

    partial = tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, releases_path=partial, progress=stop)
    spy, other = spied(patients(300)), Ledger(tmp_path / "other.sqlite")
    with pytest.raises(LedgerError, match="charged to another ledger"):
        fitted(other, spy, releases_path=partial)
    assert not other.datasets()
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="not known in the ledger; pass --restart"):
        fitted(Ledger(ledger.path), spy, releases_path=partial)
    assert spy.looks == []


# -- an amended schema ---------------------------------------------------------------------------------

COLUMNS = {
    "town": {"type": "categorical", "categories": "private"},
    "lab": {"type": "real", "low": "private", "high": "private", "decimals": 1, "missing": True},
    "age": {"type": "integer", "low": 0, "high": 99},
}


def of_columns(**changes) -> Schema:
    return Schema({name: changes.get(name, fields) for name, fields in COLUMNS.items()})


def towns(n: int = 400) -> pd.DataFrame:
    lab = [float(i % 50) for i in range(n)]
    return pd.DataFrame({"town": ["Ulm", "Bonn"] * (n // 2), "lab": lab, "age": [i % 90 for i in range(n)]})


def stop_at(when: int):
    def progress(message, done, total):
        if done == when and message != "finding domains":
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("when", [1, 2])
def test_an_amended_schema_goes_on_from_the_releases_that_it_does_not_touch(ledger, tmp_path, when):
    ledger.set_limit("patients", epsilon=3.0, delta=1e-6)
    partial, named = tmp_path / "m.partial", {"epsilon": 3.0, "frame": towns()}
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, schema=of_columns(), releases_path=partial, progress=stop_at(when), **named)
    (run,) = ledger.datasets()[0].runs
    before = [key for _, key, _ in ledger.events(run.run)]
    amended = of_columns(lab={"type": "real", "low": 0, "high": 50, "decimals": 1, "missing": True})
    synthesizer = fitted(ledger, schema=amended, releases_path=partial, **named)
    again = [key for _, key, _ in ledger.events(run.run)][len(before) :]
    assert {"counts/units", "values/town", "counts/one-way/town", "counts/one-way/age"} <= {*before} - {
        *again
    }
    assert "counts/one-way/lab" in again
    void = {release.key for release in synthesizer.releases_ if release.void}
    assert void >= {"bounds/lab", "counts/one-way/lab"}
    assert not void & {"counts/units", "values/town", "counts/one-way/town", "counts/one-way/age"}
    (run,) = ledger.datasets()[0].runs
    assert (run.status, run.epsilon_spent <= 3.0) == ("finished", True)
    assert synthesizer.sample(100)["lab"].dropna().between(0, 50).all()
    synthesizer.save(tmp_path / "m")
    arrays = load(tmp_path / "m").replay()
    assert all((arrays[k] == v).all() for k, v in synthesizer._arrays_of(synthesizer.model_).items())
    assert any("void since the schema" in e["purpose"] for e in synthesizer.guarantee_["events"])


def test_an_amendment_that_leaves_no_budget_is_refused_and_changes_nothing(ledger, tmp_path, draws):
    """A block of gradient steps takes all that was left: without it there is nothing to go on with."""
    make, partial = maker(DPGANSynthesizer), tmp_path / "m.partial"
    named = {"make": make, "releases_path": partial, "epsilon": 5.0, "frame": towns()}
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, schema=of_columns(), progress=press_ctrl_c_at(2), **named)
    other = of_columns(age={"type": "integer", "low": 0, "high": 120})
    with pytest.raises(BudgetExceededError, match="the schema as it was resumes the run; --restart"):
        fitted(ledger, schema=other, **named)
    fitted(ledger, schema=of_columns(), **named)
    assert len(draws) == 6
    fitted(ledger, schema=other, restart=True, **named)
    assert [run.status for run in ledger.datasets()[0].runs] == ["finished", "finished"]


def test_a_change_of_whom_the_guarantee_protects_is_refused_once_something_is_paid(ledger, tmp_path):
    with_person = {"who": {"type": "id", "role": "person_id"}, **COLUMNS}
    frame, partial = towns().assign(who=range(400)), tmp_path / "m.partial"
    first, second = (Schema(with_person, max_records_per_person=cap) for cap in (5, 6))
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, frame, schema=first, releases_path=partial, progress=stop_at(0))
    with pytest.raises(LedgerError, match="fixed the unit"):
        fitted(ledger, frame, schema=second, releases_path=partial)
    fitted(ledger, frame, schema=first, releases_path=partial)
    assert not any(release.void for release in ReleaseStore(partial))


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, set()),
        ({"types_from_records": True}, set()),
        ({"columns": COLUMNS | {"age": {"type": "integer", "low": 0, "high": 98}}}, {"age"}),
        ({"columns": COLUMNS | {"new": {"type": "boolean"}}}, {"new"}),
        ({"columns": {"town": COLUMNS["town"], "lab": COLUMNS["lab"]}}, {"age"}),
        ({"columns": dict(reversed(COLUMNS.items()))}, None),
        ({"constraints": [{"kind": "inequality", "columns": ["lab", "age"]}]}, {"lab", "age"}),
        ({"workload": [["lab", "town"]]}, {"lab", "town"}),
        ({"columns": {"who": {"type": "id", "role": "person_id"}, **COLUMNS}}, None),
        ({"max_records_per_person": 3}, None),
        ({"image": {"height": 1, "width": 1, "channels": 1}}, None),
        ({"columns": COLUMNS | {"age": COLUMNS["age"] | {"role": "order"}}}, None),
        ({"columns": COLUMNS | {"age": COLUMNS["age"] | {"per": "person"}}}, None),
    ],
)
def test_which_columns_an_amendment_changes(change, changed):
    before = {"columns": COLUMNS}
    assert changed_columns(before, before | change) == (None if changed is None else frozenset(changed))


@pytest.mark.parametrize(("fields", "changed"), [({"role": "order"}, None), ({"per": "person"}, {"age"})])
def test_a_change_of_what_orders_rows_changes_all_that_is_derived(fields, changed):
    before, after = ({"columns": COLUMNS | {"age": COLUMNS["age"] | fields | {"high": n}}} for n in (90, 99))
    assert changed_columns(before, after) == changed


def test_what_a_changed_column_makes_void(tmp_path):
    gaussian = {"purpose": "p", "mechanism": "gaussian", "noise_multiplier": 2.0, "count": 1, "delta": 0.0}
    found = gaussian | {"mechanism": "thresholded_gaussian", "delta": 1e-9}
    assert Event.from_dict(found).delta
    releases = [
        Release(key="units", event=gaussian, columns=()),
        Release(key="values/a", event=found, columns=("a",)),
        Release(key="values/b", event=found, columns=("b",)),
        Release(key="combinations", event=found, columns=("a", "c")),
        Release(key="one-way", event=gaussian, columns=("a",)),
        Release(key="pair", event=gaussian, columns=("a", "c")),
        Release(key="choice", event=gaussian),
    ]
    declared = {name: {"type": "boolean"} for name in "abc"}
    store = ReleaseStore(tmp_path / "s")
    for release in releases:
        store.append(release)
    store.set_checkpoint("choice", {}, n_steps=3)
    after = {"columns": declared | {"b": {"type": "boolean", "missing": True}}}
    store.mark(amended(store, {"columns": declared}, after), seen=1)
    store.close()
    again = ReleaseStore(tmp_path / "s")
    assert [r.key for r in again if r.void] == ["values/b", "pair", "choice"]
    assert [r.key for r in again if r.kept] == ["units", "values/a", "combinations", "one-way"]
    assert (again.meta["seen"], again.checkpoint("choice"), again.n_kept("choice")) == (1, None, 0)
    assert again.stored("pair") is None
    assert again.lost("pair") == []


@pytest.mark.parametrize("name", ["x", "prev.x"])
def test_a_column_makes_its_own_tables_void_and_those_of_the_row_before(name):
    """A table may have a column called like one that is derived for sequences."""
    event = {"purpose": "p", "mechanism": "gaussian", "noise_multiplier": 2.0, "count": 1, "delta": 0.0}
    releases = [Release(key=column, event=event, columns=(column,)) for column in ("x", "prev.x", "y")]
    declared = {"x": {"type": "boolean"}, "prev.x": {"type": "boolean"}, "y": {"type": "boolean"}}
    after = {"columns": declared | {name: {"type": "boolean", "missing": True}}}
    void = [release.key for release in amended(releases, {"columns": declared}, after) if release.void]
    assert void == {"x": ["x", "prev.x"], "prev.x": ["prev.x"]}[name]


def test_declared_tables_in_another_order_are_not_taken_for_each_other():
    """They are stored by their places, and two of one shape would trade their counts."""
    event = {"purpose": "p", "mechanism": "gaussian", "noise_multiplier": 2.0, "count": 2, "delta": 0.0}
    releases = [Release(key="workload/tables", event=event, columns=("a", "b", "c", "d"))]
    declared = {"columns": {name: {"type": "boolean"} for name in "abcd"}}
    before, after = (declared | {"workload": w} for w in ([["a", "b"], ["c", "d"]], [["c", "d"], ["a", "b"]]))
    assert [release.void for release in amended(releases, before, after)] == [True]
    assert [release.void for release in amended(releases, before, before)] == [False]


def test_a_rule_that_came_changes_the_column_that_it_names_of_the_row_before():
    """Where the order stands above it, that is what gives way."""
    rule = {"kind": "inequality", "columns": ["prev.left", "day"]}
    declared = {"columns": {name: {"type": "integer"} for name in ("left", "day", "x")}}
    assert changed_columns(declared, declared | {"constraints": [rule]}) == {"left", "prev.left", "day"}


def test_what_an_amended_run_plans_with_costs_what_is_left():
    """A plan of ten equal parts has bought four, of which two are void: six and those two are to come."""

    def release(void: bool) -> Release:
        event = Gaussian(purpose="p", noise_multiplier=0.1**-0.5).to_dict()
        return Release(key="k", event=event, void=void, kept=not void)

    planned = allowance(Spend(1.0, 1e-7), [release(void) for void in (True, True, False, False)])
    assert 8 * 0.1 * planned.mu_squared == pytest.approx(1.0 - 0.4)
    assert planned.added_delta == pytest.approx(1e-7)


def test_a_ledger_that_lacks_what_the_releases_here_were_charged_is_an_older_copy(tmp_path):
    path, partial = tmp_path / "l.sqlite", tmp_path / "m.partial"

    def progress(message, done, total):
        if done == 1:  # the run is reserved and has charged something
            shutil.copy(path, tmp_path / "copy")
        if done == 2:
            raise KeyboardInterrupt

    def fit(progress=None):
        synthesizer = MarginalSynthesizer(epsilon=1.0, settings=QUICK)
        synthesizer.fit(
            patients(300), schema=PATIENTS, dataset="p", ledger=path, releases_path=partial, progress=progress
        )

    with pytest.raises(KeyboardInterrupt):
        fit(progress)
    shutil.copy(path, tmp_path / "newest")
    shutil.copy(tmp_path / "copy", path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="is an older copy: it lacks charges of this run"):
        fit()
    assert path.read_bytes() == before
    shutil.copy(tmp_path / "newest", path)
    fit()
    assert [run.status for run in Ledger(path).datasets()[0].runs] == ["finished"]
