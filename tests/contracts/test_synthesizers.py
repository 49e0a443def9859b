"""What every synthesizer promises: budget, ledger, replay, randomness, values, files, interruption."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.exceptions
import torch
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

import privsynth
from privsynth.accounting.budget import Spend
from privsynth.attacks.trade_off import allowance_of
from privsynth.errors import (
    BudgetExceededError,
    ParameterError,
    PrivsynthError,
    SchemaError,
    StoreInUseError,
    TableError,
)
from privsynth.errors.termination import terminations_raised
from privsynth.ledger.ledger import Ledger
from privsynth.metrics.fidelity.detection import spending
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from privsynth.synthesizers import SYNTHESIZERS, MarginalSynthesizer
from privsynth.synthesizers.arguments import whole_budget
from privsynth.synthesizers.base import Synthesizer
from privsynth.synthesizers.fitting import door_to_table
from privsynth.synthesizers.guarantee import guarantee_statement
from privsynth.synthesizers.interruption import FitInterrupted
from tests.contracts.synthesizers import QUICK_SETTINGS, Make, as_records, maker
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import PATIENTS, patients

PRIVATE_PATIENTS = Schema.from_dict(
    {
        "columns": {
            **PATIENTS.to_dict()["columns"],
            "age": {"type": "integer", "low": "private", "high": "private"},
            "sex": {"type": "categorical", "categories": "private", "role": "group"},
        }
    }
)
SECONDS_LEFT = re.compile(r", \d+ s left")
TRAINED = [kind for kind in QUICK_SETTINGS if hasattr(QUICK_SETTINGS[kind], "n_steps")]


@pytest.fixture(params=list(QUICK_SETTINGS), ids=lambda kind: kind.name)
def make(request) -> Make:
    return maker(request.param)


@pytest.fixture(params=TRAINED, ids=lambda kind: kind.name)
def make_trained(request) -> Make:
    return maker(request.param)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def fit(synthesizer, ledger, *, frame=None, schema=PATIENTS, dataset="patients", **arguments):
    source, schema = as_records(synthesizer, patients(600) if frame is None else frame, schema)
    return synthesizer.fit(source, schema=schema, dataset=dataset, ledger=ledger, **arguments)


def sample(synthesizer, *arguments, **asked):
    """Draw rows, or of images the labels."""
    drawn = synthesizer.sample(*arguments, **asked)
    if isinstance(drawn, LabelledImages):
        assert drawn.images.shape[1:] == synthesizer.schema_.image.axes
        return drawn.labels
    return drawn


def arrays(synthesizer):
    return synthesizer._arrays_of(synthesizer.model_)


def same(first, second) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_every_synthesizer_is_in_this_suite():
    assert set(QUICK_SETTINGS) == set(SYNTHESIZERS.values())


# -- the budget ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 10.0])
def test_epsilon_spent_never_passes_epsilon_asked(make, ledger, epsilon):
    synthesizer = fit(make(epsilon=epsilon), ledger)
    run = ledger.datasets()[0].runs[0]
    assert synthesizer.guarantee_["epsilon_spent"] <= epsilon
    assert run.status == "finished"
    assert 0.9 * epsilon < run.epsilon_spent <= epsilon  # the plan is used, and not passed


def test_every_release_is_one_ledger_entry_and_the_other_way_round(make, ledger):
    synthesizer = fit(make(), ledger)
    run = ledger.datasets()[0].runs[0]
    events = [(key, event.to_dict()) for _, key, event in ledger.events(run.run)]
    assert events == [(release.key, dict(release.event)) for release in synthesizer.releases_]
    stated = sum(event["count"] for event in synthesizer.guarantee_["events"])
    assert stated == sum(event["count"] for _, event in events)


def test_what_the_budget_was_spent_on_adds_up_and_names_everything_that_was_bought(make, ledger):
    synthesizer = fit(make(epsilon=3.0), ledger, schema=PRIVATE_PATIENTS)
    statement = synthesizer.guarantee_
    assert statement["accountant_id"] == "gdp"
    found = spending(statement)["purposes"]
    assert math.fsum(entry["share"] for entry in found) == pytest.approx(1)
    assert min(entry["share"] for entry in found) > 0
    allowed = Spend.of_budget(epsilon=3.0, delta=statement["delta"]).mu_squared
    bought = math.fsum(entry["mu_squared"] for entry in found)
    assert 0.9 * allowed < bought <= allowed * (1 + 1e-9)
    if type(synthesizer) in TRAINED:
        assert any(event["mechanism"] == "sampled_gaussian" for event in statement["events"])


def test_older_statements_without_identifiers_read_alike(make, ledger):
    statement = fit(make(), ledger, schema=PRIVATE_PATIENTS).guarantee_
    added = ("purpose_id", "mu_squared")
    events = [{k: v for k, v in event.items() if k not in added} for event in statement["events"]]
    older = {k: v for k, v in statement.items() if k != "accountant_id"} | {"events": events}
    (old, new) = (spending(read)["purposes"] for read in (older, statement))
    assert [(e["purpose"], e["count"]) for e in old] == [(e["purpose"], e["count"]) for e in new]
    assert [e["mu_squared"] for e in old] == pytest.approx([e["mu_squared"] for e in new])
    assert allowance_of(older) == allowance_of(statement)


def test_a_run_over_the_limit_is_refused_before_anything_is_read(make, ledger, monkeypatch):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)

    def read(*arguments, **named):
        raise AssertionError("records were read")

    monkeypatch.setattr("privsynth.synthesizers.fitting.Curator", read)
    with pytest.raises(BudgetExceededError, match="above the limit epsilon=1"):
        fit(make(epsilon=1.5), ledger)
    assert not ledger.datasets()[0].runs


def test_without_privacy_is_asked_for_by_name_and_said_first(make, ledger):
    statement = fit(make(epsilon=None), ledger).guarantee_
    assert statement["private"] is False
    assert statement["statement"].startswith("none")
    assert statement["epsilon"] is None
    assert not ledger.datasets()


def test_the_guarantee_is_json(make, ledger):
    statement = fit(make(), ledger).guarantee_
    assert json.loads(json.dumps(statement, allow_nan=False)) == statement
    assert statement["private"] is True


def test_a_check_that_stops_without_noise_is_said_not_to_be_covered(ledger):
    said = "whether a record breaks the schema: the check before the run stops without noise"
    for on_violation, is_said in (("error", True), ("clip", False)):
        synthesizer = fit(maker(MarginalSynthesizer)(), ledger, on_violation=on_violation)
        assert (said in synthesizer.guarantee_["not_covered"]) == is_said


def test_whose_rows_are_taken_for_one_person_is_said():
    schema = Schema(
        {"who": {"type": "id", "role": "person_id"}, "sex": {"type": "boolean"}}, max_records_per_person=2
    )
    for on_violation, is_said in (("error", False), ("clip", True)):
        said = guarantee_statement(
            schema=schema,
            epsilon=1.0,
            delta=1e-6,
            releases=(),
            dataset="d",
            on_violation=on_violation,
            is_secret=True,
        )["not_covered"]
        assert any("'who' is empty: each such row counts as a person of its own" in one for one in said)
        assert any("'who' cannot be read: all such rows count as one" in one for one in said) == is_said


# -- randomness ----------------------------------------------------------------------------------------


def test_two_fits_with_one_random_state_differ(make, ledger):
    first, second = (fit(make(), ledger) for _ in range(2))
    assert first.seed_ == second.seed_
    assert not same(arrays(first), arrays(second))


def test_a_predictable_source_repeats_itself_and_voids_the_guarantee(make, ledger):
    first, second = (fit(make(), ledger, secret=PredictableSourceForTests(1)) for _ in range(2))
    assert same(arrays(first), arrays(second))
    assert first.guarantee_["private"] is False
    assert "predictable" in first.guarantee_["not_covered"][0]


def test_global_seeds_are_left_alone(make, ledger):
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002  # the point
    sample(fit(make(), ledger), 10)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002  # the point
    assert torch.equal(torch_before, torch.get_rng_state())


# -- replay: the model is a function of what was released ------------------------------------------------


def test_the_model_is_rebuilt_from_what_was_released_alone(make, ledger):
    """Releases, and for trained models the noisy gradients, in another curator that holds no records."""
    synthesizer = make(epsilon=10.0)
    store, tape = ReleaseStore(), []
    source, schema = as_records(synthesizer, patients(600), PRIVATE_PATIENTS)
    records = synthesizer._read(source, schema, "error")

    def made(**source):
        curator = door_to_table(
            schema=schema,
            allowance=whole_budget(synthesizer.epsilon, synthesizer.delta),
            store=store,
            **source,
        )
        curator.tape = tape
        told = []
        model = synthesizer._make(
            curator, synthesizer.settings, seed=3, device="cpu", progress=lambda *said: told.append(said)
        )
        return synthesizer._arrays_of(model), [
            (SECONDS_LEFT.sub("", text), *counts) for text, *counts in told
        ]

    first, told = made(records=records, charge=lambda event, key: None)
    store.set_meta(**{key: 0 for key in store.meta if key.endswith("/begun")})
    again, told_again = made()
    assert same(first, again)
    assert told == told_again  # nor does the progress line know more, but for the time


def test_a_network_is_checked_before_it_sees_a_record(make_trained, ledger, monkeypatch):
    class Checked(Exception):
        pass

    def check(clipper, rows):
        raise Checked

    def drawn(*arguments, **named):
        raise AssertionError("records were drawn")

    for name, module in list(sys.modules.items()):
        if name.startswith("privsynth.synthesizers.") and hasattr(module, "check_records_do_not_mix"):
            monkeypatch.setattr(module, "check_records_do_not_mix", check)
    monkeypatch.setattr("privsynth.privacy.units.Weighting.poisson_sample", drawn)
    with pytest.raises(Checked):
        fit(make_trained(), ledger)


@pytest.mark.filterwarnings("ignore:not found under the budget")  # of 300 lone texts none is
def test_planted_markers_leave_nothing_behind(make, tmp_path, capfd):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghijklmnop"), 32)) for _ in range(300)]
    numbers = rng.integers(10**11, 10**12, 300)
    frame = pd.DataFrame({"name": texts, "number": numbers, "ward": ["a", "b"] * 150})
    schema = Schema(
        {
            "name": {"type": "categorical", "categories": "private"},
            "number": {"type": "integer", "low": 0, "high": 10**12},
            "ward": {"type": "categorical", "categories": ["a", "b"]},
        }
    )
    synthesizer = fit(
        make(),
        tmp_path / "ledger.sqlite",
        schema=schema,
        frame=frame,
        releases_path=tmp_path / "m.partial",
        progress=lambda message, done, total: print(message, done, total),
    )
    synthesizer.save(tmp_path / "m.privsynth")
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    printed = "".join(capfd.readouterr()).encode() + repr(vars(synthesizer)).encode()
    assert len(written) > 10_000
    source, _ = as_records(synthesizer, frame, schema)
    for image in source.images if isinstance(source, LabelledImages) else ():
        assert image.tobytes() not in written
    for text, number in zip(texts, numbers, strict=True):
        encodings = [text.encode(), str(number).encode(), int(number).to_bytes(8, "little")]
        encodings.append(np.float64(number).tobytes())
        assert not any(encoding in written or encoding in printed for encoding in encodings)


def test_the_lint_would_find_a_marker(tmp_path):
    store = ReleaseStore(tmp_path / "s")
    store.set_meta(note="abcdefghijklmnopabcdefghijklmnop")
    store.close()
    assert b"abcdefghijklmnopabcdefghijklmnop" in (tmp_path / "s").read_bytes()


# -- values and requests -------------------------------------------------------------------------------


def test_columns_come_back_with_their_types_inside_their_bounds(make, ledger):
    rows = sample(fit(make(), ledger), 500)
    assert list(rows.columns) == list(PATIENTS.columns)
    assert set(rows["sex"]) <= {"F", "M"}
    assert set(rows["ward"].dropna()) <= {1, 2, 3}
    assert rows["ill"].dtype == bool
    assert rows["age"].between(0, 99).all()
    assert rows["cost"].dropna().between(0, 100_000).all()
    assert rows["seen"].between("2020-01-01", "2021-12-31").all()
    assert not rows[["sex", "ill", "age", "seen"]].isna().any().any()


def test_conditions_hold_in_every_row_and_balance_is_exact(make, ledger):
    synthesizer = fit(make(), ledger)
    rows = sample(synthesizer, 200, conditions={"sex": "F", "age": (30, 60)}, on_unsupported="warn")
    assert len(rows) == 200
    assert (rows["sex"] == "F").all()
    assert rows["age"].between(30, 60).all()
    balanced = sample(synthesizer, 400, balance=["sex", "ill"])
    assert balanced.groupby(["sex", "ill"]).size().tolist() == [100] * 4


def test_groups_keep_their_shares(make, ledger):
    frame = patients(4000)
    rows = sample(fit(make(epsilon=10.0), ledger, frame=frame), 4000)
    for name in ("sex", "ill"):
        assert rows[name].value_counts(normalize=True).sub(
            frame[name].value_counts(normalize=True)
        ).abs().max() == pytest.approx(0, abs=0.06)


def test_a_saved_model_is_the_same_model(make, ledger, tmp_path):
    synthesizer = fit(make(), ledger)
    synthesizer.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    assert type(again) is type(synthesizer)
    assert again.guarantee_ == synthesizer.guarantee_
    assert again.settings_ == synthesizer.settings_
    pd.testing.assert_frame_equal(
        sample(again, 100, balance=["sex", "ill"], random_state=3),
        sample(synthesizer, 100, balance=["sex", "ill"], random_state=3),
    )
    with pytest.raises(TableError, match="exists"):
        synthesizer.save(tmp_path / "m.privsynth")


# -- edges ---------------------------------------------------------------------------------------------


def test_persons_are_the_unit_and_count_once(make, ledger):
    # One person with 4,000 rows of ward 2 against 400 with one row each: unweighted, ward 2 would win.
    frame = pd.DataFrame(
        {
            "who": np.r_[np.arange(400), np.full(4000, 999)],
            "ward": np.r_[[1] * 400, [2] * 4000],
            "ill": np.r_[[True] * 400, [False] * 4000],
        }
    )
    schema = Schema(
        {
            "who": {"type": "id", "role": "person_id"},
            "ward": {"type": "categorical", "categories": [1, 2]},
            "ill": {"type": "boolean"},
        },
        max_records_per_person=5,
    )
    synthesizer = fit(make(), ledger, schema=schema, frame=frame)
    rows = sample(synthesizer, 1000)
    assert (rows["ward"] == 2).mean() < 0.25
    assert synthesizer.model_.n_units == pytest.approx(401, abs=60)
    assert synthesizer.guarantee_["unit"] == "person"
    assert rows["who"].tolist() == list(range(1, 1001))


def test_one_row_a_missing_column_and_a_constant_one_are_fitted(make, ledger):
    assert len(sample(fit(make(), ledger, frame=patients(1)), 20)) == 20
    frame = patients(200).assign(cost=np.nan, age=50)
    assert len(sample(fit(make(), ledger, frame=frame), 20)) == 20


def test_a_single_column_is_fitted(make, ledger):
    schema = Schema({"ill": {"type": "boolean"}})
    frame = pd.DataFrame({"ill": [True] * 900 + [False] * 100})
    rows = sample(fit(make(), ledger, schema=schema, frame=frame), 1000)
    assert rows["ill"].mean() == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda t: t.drop(columns="age"), SchemaError),
        (lambda t: t.assign(sex="X"), SchemaError),
        (lambda t: t.assign(age=200), SchemaError),
        (lambda t: t.assign(age=None), SchemaError),
        (lambda t: t.iloc[:0], TableError),
        (lambda t: t.set_axis(["sex", "sex", *t.columns[2:]], axis=1), TableError),
    ],
)
def test_a_table_that_breaks_the_schema_is_refused_and_nothing_is_charged(make, ledger, change, error):
    """A column that is not there is seen by its name; what records show keeps the reservation."""
    frame = change(patients(100))
    with pytest.raises(error):
        fit(make(), ledger, frame=frame)
    runs = [run for summary in ledger.datasets() for run in summary.runs]
    assert [(run.status, run.n_events, run.is_stopped) for run in runs] == (
        [("open", 0, True)] if set(frame) == set(PATIENTS.columns) else []
    )


@pytest.mark.parametrize("arguments", [{"epsilon": 0.0}, {"delta": 1.0}, {"device": "tpu"}])
def test_bad_parameters_are_refused_and_nothing_is_charged(make, ledger, arguments):
    with pytest.raises(ParameterError):
        fit(make(**arguments), ledger)
    assert not ledger.datasets()


def test_an_unfitted_synthesizer_says_so(make):
    with pytest.raises(PrivsynthError, match="not fitted"):
        sample(make(), 3)


# -- conventions of scikit-learn -------------------------------------------------------------------------


def test_it_is_cloned_shown_and_set_like_an_estimator(make, ledger):
    synthesizer = fit(make(epsilon=4.0, schema=PATIENTS), ledger)
    copy = clone(synthesizer)
    assert type(copy) is type(synthesizer)
    assert {**copy.get_params(deep=False)} == synthesizer.get_params(deep=False)
    assert not hasattr(copy, "model_")
    shown = repr(copy)
    assert "epsilon=4.0" in shown
    assert "object at 0x" not in shown
    name = next(iter(vars(copy.settings)))
    other = copy.get_params()[f"settings__{name}"]
    assert clone(copy).set_params(epsilon=2.0, **{f"settings__{name}": other}).settings == copy.settings
    with pytest.raises(ParameterError, match="has no parameter 'settings__nothing'"):
        copy.set_params(settings__nothing=1)


def test_settings_inside_settings_are_read_and_set_by_name():
    synthesizer = privsynth.DPGANSynthesizer(epsilon=1.0)
    before = synthesizer.get_params()
    synthesizer.set_params(settings__gan__n_states=64, settings__n_steps=7)
    changed = {name for name, value in synthesizer.get_params().items() if value != before[name]}
    assert changed == {"settings", "settings__n_steps", "settings__gan", "settings__gan__n_states"}
    assert (synthesizer.settings.n_steps, synthesizer.settings.gan.n_states) == (7, 64)
    other = replace(synthesizer.settings.gan, n_states=32)
    synthesizer.set_params(settings__gan=other, settings__gan__averaging=0.5)
    assert synthesizer.settings.gan == replace(other, averaging=0.5)
    assert clone(synthesizer).get_params() == synthesizer.get_params()
    with pytest.raises(ParameterError, match="has no parameter 'settings__gan__nothing'"):
        synthesizer.set_params(settings__gan__nothing=1)


def test_the_schema_of_the_constructor_is_that_of_the_fit(make, ledger):
    synthesizer = make()
    source, schema = as_records(synthesizer, patients(600), PATIENTS)
    with pytest.raises(SchemaError, match=r"expected a schema.*got NoneType: .*draft_schema"):
        synthesizer.fit(source, ledger=ledger)
    assert not ledger.datasets()
    synthesizer.set_params(schema=schema).fit(source, dataset="patients", ledger=ledger)
    assert synthesizer.schema_ == schema
    assert list(synthesizer.feature_names_in_) == list(schema.columns)
    assert synthesizer.n_features_in_ == len(schema.columns)


def test_before_the_fit_it_raises_what_scikit_learn_raises(make):
    for kind in (PrivsynthError, sklearn.exceptions.NotFittedError):
        with pytest.raises(kind, match="not fitted"):
            sample(make(), 3)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(make())


NUMBERS = [
    ({"epsilon": "1"}, r"expected epsilon to be a number, got '1'; float\('1'\) makes a number of a text"),
    ({"epsilon": True}, "expected epsilon to be a number, got True"),
    ({"epsilon": [1.0]}, "expected epsilon to be a number"),
    ({"delta": "1e-6"}, "expected delta to be a number, got '1e-6'"),
    ({"delta": None}, "expected delta to be a number, got None"),
    ({"random_state": -1}, "to be a whole number of at least 0"),
    ({"random_state": 2**63}, "to be a whole number of at least 0 and below"),
    ({"random_state": np.random.RandomState(0)}, "to be a whole number"),  # what users pass
    ({"random_state": "0"}, "to be a whole number"),
    ({"settings": {"n_bins": 8}}, "expected settings to be .*Settings"),
]


@pytest.mark.parametrize(("arguments", "text"), NUMBERS)
def test_an_argument_of_another_kind_is_named_and_nothing_is_charged(make, ledger, arguments, text):
    with pytest.raises(ParameterError, match=text):
        fit(make(**arguments), ledger)
    assert not ledger.datasets()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_numbers_of_numpy_are_numbers(ledger, tmp_path, kind):
    synthesizer = fit(maker(MarginalSynthesizer)(epsilon=kind(2), random_state=np.uint8(3)), ledger)
    synthesizer.save(tmp_path / "m.privsynth")
    assert privsynth.load(tmp_path / "m.privsynth").guarantee_["epsilon"] == 2.0
    assert ledger.datasets()[0].runs[0].epsilon == 2.0


# -- interruption of a training --------------------------------------------------------------------------


def press_ctrl_c_at(step, sent=signal.SIGINT):
    """Return a progress callback that sends this process an interrupt once ``step`` steps are done."""

    def progress(message, done, total):
        if done == step and message.startswith("training"):
            os.kill(os.getpid(), sent)

    return progress


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal")
def test_a_terminated_training_leaves_a_usable_model_as_after_ctrl_c(ledger, tmp_path):
    synthesizer = maker(TRAINED[0])()
    with terminations_raised(as_exit_code=True), pytest.raises(FitInterrupted, match="after 2 of 6"):
        fit(synthesizer, ledger, progress=press_ctrl_c_at(2, signal.SIGHUP), releases_path=tmp_path / "m")
    assert len(sample(synthesizer, 10)) == 10
    assert ledger.datasets()[0].runs[0].status == "suspended"


def test_ctrl_c_leaves_a_usable_model_and_the_same_call_ends_where_it_would_have(
    make_trained, ledger, tmp_path
):
    whole = fit(make_trained(), ledger, dataset="whole", secret=PredictableSourceForTests(5))
    partial, synthesizer = tmp_path / "m.partial", make_trained()
    again = {"dataset": "cut", "releases_path": partial, "secret": PredictableSourceForTests(5)}
    with pytest.raises(KeyboardInterrupt, match="after 2 of 6 private steps"):
        fit(synthesizer, ledger, progress=press_ctrl_c_at(2), **again)
    assert len(sample(synthesizer, 10)) == 10
    assert "2 of 6" in synthesizer.guarantee_["interrupted"]
    assert next(d for d in ledger.datasets() if d.dataset == "cut").runs[0].status == "suspended"
    resumed = fit(make_trained(), ledger, **(again | {"secret": PredictableSourceForTests(5)}))
    assert same(arrays(resumed), arrays(whole))
    first, second = (d.runs for d in ledger.datasets())
    assert len(first) == len(second) == 1
    assert [e for *_, e in ledger.events(first[0].run)] == [e for *_, e in ledger.events(second[0].run)]


def test_steps_behind_the_last_checkpoint_are_spent_and_not_repeated(
    make_trained, ledger, tmp_path, monkeypatch
):
    partial = tmp_path / "m.partial"
    drawn = []
    from privsynth.privacy.units import Weighting

    original = Weighting.poisson_sample

    def counting(self, *arguments, **named):
        drawn.append(1)
        if len(drawn) == 4:
            raise RuntimeError("the process dies in its fourth step")
        return original(self, *arguments, **named)

    monkeypatch.setattr(Weighting, "poisson_sample", counting)
    with pytest.raises(RuntimeError):
        fit(make_trained(), ledger, releases_path=partial)
    fit(make_trained(), ledger, releases_path=partial)
    assert len(drawn) == 6  # four begun, of which one died, and the two that were left: six were paid for
    run = ledger.datasets()[0].runs[0]
    assert run.epsilon_spent <= 3.0
    assert [key for _, key, _ in ledger.events(run.run)].count("steps") <= 1


def test_a_fit_that_is_running_is_not_resumed_beside_itself(make_trained, ledger, tmp_path):
    """Else each of the two would take the steps that were paid for once."""
    partial, refused = tmp_path / "m.partial", []

    def beside(message, done, total):
        if message.startswith("training") and not refused:
            for again in ({}, {"restart": True}):
                with pytest.raises(StoreInUseError, match="belongs to a fit that is running"):
                    fit(make_trained(), ledger, releases_path=partial, **again)
                refused.append(again)

    fit(make_trained(), ledger, releases_path=partial, progress=beside)
    assert len(refused) == 2
    assert [run.status for run in ledger.datasets()[0].runs] == ["finished"]


def test_what_fails_after_the_training_is_repeated_from_its_end(make_trained, ledger, tmp_path, monkeypatch):
    partial, models = tmp_path / "m.partial", []
    original = Synthesizer._adopt

    def failing(self, settings, seed, releases, model, statement):
        models.append(model)
        if len(models) == 1:
            raise RuntimeError("the disk is full")
        original(self, settings, seed, releases, model, statement)

    monkeypatch.setattr(Synthesizer, "_adopt", failing)
    synthesizer = make_trained()
    with pytest.raises(RuntimeError):
        fit(synthesizer, ledger, releases_path=partial)
    fit(synthesizer, ledger, releases_path=partial)
    assert same(*(synthesizer._arrays_of(model) for model in models))


@pytest.mark.parametrize("change", [{"n_steps": -1}, {"batch_size": 0}, {"max_grad_norm": 0.0}])
def test_bad_steps_are_refused_before_anything_is_charged(make_trained, change):
    with pytest.raises(ParameterError, match="expected n_steps >= 0"):
        replace(make_trained().settings, **change)


@pytest.mark.parametrize("change", [{"one_way_share": 0.0}, {"discovery_share": 0.9}, {"n_bins": 0}])
def test_shares_that_leave_nothing_are_refused_before_anything_is_charged(make, change):
    settings = make().settings
    with pytest.raises(ParameterError, match="expected shares above 0"):
        replace(getattr(settings, "table", settings), **change)
