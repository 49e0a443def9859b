"""`MarginalSynthesizer`: what it promises about budget, values, replay and interruption."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privsynth.accounting.budget import Spend
from privsynth.errors import BudgetExceededError, ModelFileError, ParameterError, SchemaError
from privsynth.ledger.ledger import Ledger
from privsynth.privacy.mechanisms.discovery import discovery_threshold
from privsynth.records.conform import conform
from privsynth.releases.store import ReleaseStore
from privsynth.schema import Schema, category_text
from privsynth.synthesizers.plan import plan
from privsynth.synthesizers.tables.discoveries import Discoveries
from privsynth.synthesizers.tables.domains import one_way_parts
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.model_arrays import model_arrays
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings, pairs_per_round
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import PATIENTS, QUICK, patients


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def fitted(ledger, *, epsilon=3.0, frame=None, schema=PATIENTS, dataset="patients", settings=QUICK, **fit):
    synthesizer = MarginalSynthesizer(epsilon=epsilon, settings=settings, random_state=0)
    table = patients() if frame is None else frame
    return synthesizer.fit(table, schema=schema, dataset=dataset, ledger=ledger, **fit)


@pytest.mark.parametrize(
    ("strength", "n_bins"), [(0.0, 20), (100.0, 20), (7000.0, 20), (16 * 7000.0, 40), (math.inf, 80)]
)
def test_a_stronger_signal_gets_more_bins(strength, n_bins):
    assert MarginalSettings().adapted_to(strength).n_bins == n_bins


@pytest.mark.parametrize(
    ("strength", "n_candidates", "in_all"),
    [
        (100.0, 196, 12),  # weaker than the reference: 1 a column, at least one a round
        (7000.0, 196, 72),  # 15 columns, 5 a column in 12 rounds
        (2.7 * 7000.0, 196, 108),
        (7.4 * 7000.0, 196, 180),
        (math.inf, 196, 180),  # at most 12 a column
        (math.inf, 105, 96),  # never beyond the candidates
        (math.inf, 30, 72),  # which take nothing away either
    ],
)
def test_a_stronger_signal_gets_more_tables_if_asked_for_up_to_the_candidates(strength, n_candidates, in_all):
    settings = MarginalSettings(most_pairs_per_column=12.0).adapted_to(strength)
    assert settings.n_rounds * pairs_per_round(15, settings, n_candidates) == in_all


def test_tables_do_not_grow_in_a_fit_of_an_older_version():
    fields = MarginalSettings().to_dict()
    del fields["most_pairs_per_column"]
    settings = MarginalSettings.from_dict(fields).adapted_to(math.inf)
    assert pairs_per_round(15, settings, 196) == 6  # of 12 rounds: 5 a column, as it was then


def test_a_strong_fit_measures_as_many_tables_as_its_plan_says(ledger):
    settings = replace(QUICK, n_rounds=2, pairs_per_column=1.0, most_pairs_per_column=2.0)
    frame = patients()
    synthesizer = fitted(ledger, epsilon=None, settings=settings)
    planned = {
        step["purpose"]: step["count"]
        for step in MarginalSynthesizer.plan_for(
            PATIENTS, settings, Spend(mu_squared=1e12, added_delta=0.0), len(frame)
        ).steps
    }
    measured = [r for r in synthesizer.releases_ if r.key.startswith("round-") and r.key.endswith("/measure")]
    assert sum(len(r.facts["sets"]) for r in measured) == planned["2- and 3-way marginals"]
    weak = replace(settings, most_pairs_per_column=0.0)
    assert (
        settings.n_rounds * pairs_per_round(len(PATIENTS.modelled), weak, 99)
        < planned["2- and 3-way marginals"]
    )


# -- the budget ----------------------------------------------------------------------------------------


def test_a_run_over_the_limit_is_refused_before_anything_is_charged(ledger):
    ledger.set_limit("patients", epsilon=1.0, delta=1e-6)
    with pytest.raises(BudgetExceededError, match="above the limit epsilon=1"):
        fitted(ledger, epsilon=1.5)
    assert not ledger.datasets()[0].runs
    fitted(ledger, epsilon=1.0)  # a run of exactly the limit fits
    with pytest.raises(BudgetExceededError):
        fitted(ledger, epsilon=0.1)


def test_the_delta_of_discovery_is_booked(ledger):
    schema = Schema({"town": {"type": "categorical", "categories": "private"}, "ill": {"type": "boolean"}})
    frame = pd.DataFrame({"town": ["Ulm", "Bonn"] * 500 + ["Rome"], "ill": [True] * 1001})
    synthesizer = fitted(ledger, schema=schema, frame=frame)
    parameters = [event["parameters"] for event in synthesizer.guarantee_["events"]]
    booked = sum(p.get("delta", 0.0) for p in parameters)
    assert booked == pytest.approx(0.05 * 1e-6)  # half of what is set aside: one share is kept in reserve
    assert synthesizer.model_.domains["town"].values == ("Bonn", "Ulm")  # Rome is one record


@pytest.mark.parametrize("missing", [False, True])
def test_codes_found_under_the_budget_are_written_so_that_the_schema_takes_them(ledger, missing):
    schema = Schema({"code": {"type": "categorical", "categories": "private", "missing": missing}})
    frame = pd.DataFrame({"code": [250, 401] * 400 + list(range(1000, 1200))})
    synthesizer = fitted(ledger, schema=schema, frame=frame)
    rows = synthesizer.sample(500, random_state=0)
    codes = conform(rows, schema).frame[
        "code"
    ]  # a number that was not found is no number, and none is missing
    assert codes.isna().any() if missing else "other" in set(codes)
    assert {"250", "401"} <= {category_text(value) for value in codes.dropna()}
    only = synthesizer.sample(10, conditions={"code": 401})["code"]
    assert {category_text(value) for value in only} == {"401"}


def test_a_list_that_is_found_whole_has_no_other_and_keeps_its_numbers(ledger):
    schema = Schema({"code": {"type": "categorical", "categories": "private"}})
    frame = pd.DataFrame({"code": [2] * 600 + [10] * 300 + [1] * 1500})  # as texts: 1, 10, 2
    synthesizer = fitted(ledger, schema=schema, frame=frame)
    domain = synthesizer.model_.domains["code"]
    assert (domain.values, domain.has_other) == ((1, 2, 10), False)
    codes = synthesizer.sample(2400, random_state=0)["code"]
    assert codes.dtype == np.int64
    assert codes.value_counts().to_dict() == pytest.approx({1: 1500, 2: 600, 10: 300}, abs=100)


@pytest.mark.parametrize(
    ("n_lists", "n_bounds", "total"), [(0, 0, 0.0), (0, 3, 0.1), (1, 0, 0.125), (2, 5, 0.15), (9, 1, 0.2)]
)
def test_lists_get_four_times_what_bounds_get_and_more_of_the_whole(n_lists, n_bounds, total):
    lists, bounds = Discoveries(n_lists, n_bounds, n_wide=0).shares(0.1)
    assert lists == 4 * bounds
    assert n_lists * lists + n_bounds * bounds == pytest.approx(total)


def test_finding_lists_and_bounds_costs_what_the_plan_says(ledger):
    schema = Schema(
        {
            "town": {"type": "categorical", "categories": "private"},
            "age": {"type": "integer", "low": "private", "high": 120},
            "ill": {"type": "boolean"},
        }
    )
    frame = pd.DataFrame({"town": ["Ulm", "Bonn"] * 500, "age": [20, 30, 40, 50] * 250, "ill": [True] * 1000})
    synthesizer = fitted(ledger, schema=schema, frame=frame)
    steps = plan(schema, len(frame), 3.0, 1e-6, settings=QUICK)["steps"]
    planned = [step["noise_std"] for step in steps if step["purpose"].startswith("finding")]
    paid = [
        event["parameters"]["noise_multiplier"]
        for event in synthesizer.guarantee_["events"]
        if event["purpose"].endswith("held by many") or event["purpose"].startswith("bounds of")
    ]
    assert sorted(paid) == pytest.approx(sorted(planned), rel=1e-3)
    assert max(paid) == pytest.approx(2 * min(paid), rel=1e-3)  # lists cost four times as much


def test_a_plan_says_how_many_hold_a_category_that_is_found(ledger):
    schema = Schema({"town": {"type": "categorical", "categories": "private"}, "ill": {"type": "boolean"}})
    advice = " ".join(plan(schema, 2000, 1.0, 1e-6)["advice"])
    held = int(re.search(r"found if about (\d+) records hold it", advice).group(1))
    towns = (
        ["Ulm"] * (2 * held) + ["Bonn"] * (2 * held) + ["Rome"] * (held // 6)
    )  # four deviations of the noise off
    frame = pd.DataFrame({"town": towns, "ill": [True] * len(towns)})
    synthesizer = fitted(ledger, epsilon=1.0, schema=schema, frame=frame)
    assert synthesizer.model_.domains["town"].values == ("Bonn", "Ulm")
    noise = [e["parameters"] for e in synthesizer.guarantee_["events"] if "held by many" in e["purpose"]]
    threshold = discovery_threshold(noise[0]["noise_multiplier"], delta=noise[0]["delta"], max_records=1)
    assert held == threshold


def test_a_plan_warns_of_bounds_that_will_hardly_be_found():
    columns = {"pay": {"type": "integer", "low": 0, "high": "private"}, "ill": {"type": "boolean"}}

    def warned(n_rows, epsilon):
        advice = plan(Schema(columns), n_rows, epsilon, 1e-6)["advice"]
        return [sentence for sentence in advice if "private bounds are found if" in sentence]

    assert "declare bounds" in " ".join(warned(200, 0.3))
    assert not warned(5000, 1.0)
    columns["pay"]["high"] = 100
    assert not warned(200, 0.3)


def test_the_one_way_marginals_cost_their_share_whatever_the_sizes_of_their_tables(ledger):
    settings = replace(QUICK, one_way_share=0.2)
    many = patients(40_000)  # so many that the share stays as it is
    synthesizer = fitted(ledger, settings=settings, frame=many)
    events = [e for e in synthesizer.guarantee_["events"] if e["purpose"] == "1-way marginals"]
    noise = [e["parameters"]["noise_multiplier"] for e in events for _ in range(e["count"])]
    assert len(noise) == len(PATIENTS.modelled)
    allowance = Spend.of_budget(epsilon=3.0, delta=1e-6).mu_squared
    assert sum(n**-2.0 for n in noise) == pytest.approx(0.2 * allowance, rel=1e-4)
    steps = plan(PATIENTS, len(many), 3.0, 1e-6, settings=settings)["steps"]
    planned = next(step["noise_std"] for step in steps if step["purpose"] == "1-way marginals")
    assert max(noise) < planned < 1.5 * max(noise)  # the plan names the most that a column may get


def test_a_part_of_the_one_way_budget_is_even_and_the_rest_makes_the_noise_of_all_cells_least():
    n_cells = np.array([2, 5, 40, 300])
    parts = one_way_parts(n_cells)
    assert parts.sum() == pytest.approx(1.0)
    assert (parts > 0.5 / 4).all()
    optimal = (parts - 0.5 / 4) / 0.5

    def noise_of_all_cells(shares):
        return float((n_cells / np.sqrt(shares)).sum())

    for direction in itertools.permutations([0.01, -0.01, 0.0, 0.0]):  # no shift of budget makes it less
        moved = optimal + np.array(direction) * optimal.min()
        assert noise_of_all_cells(moved / moved.sum()) > noise_of_all_cells(optimal)


def test_a_large_delta_is_warned_about(ledger):
    synthesizer = MarginalSynthesizer(epsilon=1.0, delta=1e-3, settings=QUICK)
    with pytest.warns(UserWarning, match="delta=0.001 is above"):
        synthesizer.fit(patients(500), schema=PATIENTS, dataset="p", ledger=ledger)


# -- randomness ----------------------------------------------------------------------------------------


def test_two_fits_with_one_random_state_differ_in_their_noise(ledger):
    first, second = fitted(ledger), fitted(ledger)
    arrays = [s.releases_[-1].arrays["0"] for s in (first, second)]
    assert first.seed_ == second.seed_
    assert arrays[0].shape != arrays[1].shape or not np.array_equal(*arrays)


# -- values --------------------------------------------------------------------------------------------


def test_columns_come_back_with_their_types_inside_their_bounds(ledger):
    rows = fitted(ledger).sample(2000)
    assert list(rows.columns) == list(PATIENTS.columns)
    assert set(rows["sex"]) == {"F", "M"}
    assert set(rows["ward"].dropna()) <= {1, 2, 3}
    assert all(isinstance(v, int) for v in rows["ward"].dropna())
    assert rows["ill"].dtype == bool
    assert rows["age"].dtype == np.int64
    assert rows["age"].between(0, 99).all()
    cost = rows["cost"].dropna()
    assert cost.between(0, 100_000).all()
    assert np.array_equal(cost, cost.round(2))
    assert rows["seen"].dtype == "datetime64[s]"
    assert rows["seen"].between("2020-01-01", "2021-12-31").all()
    assert not rows[["sex", "ill", "age", "seen"]].isna().any().any()


def test_what_goes_together_stays_together(ledger):
    real, rows = patients(), fitted(ledger, epsilon=10.0).sample(20_000)
    assert rows["cost"].isna().mean() == pytest.approx(real["cost"].isna().mean(), abs=0.05)
    # missing cost means young, in the data and in the rows
    assert rows.loc[rows["cost"].isna(), "age"].mean() < 0.7 * rows.loc[rows["cost"].notna(), "age"].mean()
    for by in ("sex", "ill"):
        gap = rows.groupby(by)["age"].mean().diff().iloc[-1]
        assert gap == pytest.approx(real.groupby(by)["age"].mean().diff().iloc[-1], abs=3.0)


def test_a_column_of_zeros_and_a_tail_comes_out_right(ledger):
    rng = np.random.default_rng(0)
    pay = np.where(rng.random(5000) < 0.9, 0, rng.integers(1, 1_000_000, 5000))
    schema = Schema({"pay": {"type": "integer", "low": 0, "high": 1_000_000}, "x": {"type": "boolean"}})
    frame = pd.DataFrame({"pay": pay, "x": pay > 0})
    rows = fitted(ledger, schema=schema, frame=frame).sample(5000)
    assert (rows["pay"] == 0).mean() == pytest.approx(0.9, abs=0.03)
    assert rows.loc[rows["pay"] > 0, "pay"].mean() == pytest.approx(500_000, rel=0.25)
    assert ((rows["pay"] > 0) == rows["x"]).mean() > 0.95


def test_private_facts_are_found_and_paid_for(ledger):
    columns = {name: column.to_dict() for name, column in PATIENTS.columns.items()}
    columns["sex"]["categories"] = columns["ward"]["categories"] = "private"
    for name in ("age", "cost", "seen"):
        columns[name] |= {"low": "private", "high": "private", "missing": "private"}
    schema = Schema(columns)
    synthesizer = fitted(ledger, schema=schema, epsilon=10.0)
    domains = synthesizer.model_.domains
    assert domains["sex"].values == ("F", "M")
    assert domains["ward"].values == (1, 2, 3)
    assert not (domains["age"].has_missing and domains["seen"].has_missing)  # each by noise once in 700 fits
    assert domains["cost"].has_missing
    # the doubling bin that holds the oldest, or one further out, found in noise once in a hundred columns
    assert domains["age"].grid.high >= 127
    assert math.log2(domains["age"].grid.high + 1).is_integer()
    purposes = {event["purpose"] for event in synthesizer.guarantee_["events"]}
    assert {"bounds of 'age'", "values of 'sex' held by many"} <= purposes
    rows = synthesizer.sample(2000)
    if (domains["age"].grid.low, domains["age"].grid.high) == (8, 127):  # neither bound lies in the noise
        assert rows["age"].mean() == pytest.approx(patients()["age"].mean(), abs=3)
    assert rows["seen"].dt.year.isin([2020, 2021]).mean() > 0.5


# -- the same input state, whatever the records --------------------------------------------------------


def test_public_domains_do_not_move_with_the_records(ledger):
    frame = patients(600)
    extreme = frame.copy()
    extreme.loc[0, ["age", "cost", "sex"]] = [99, 100_000.0, "F"]
    constant = frame.assign(age=50, sex="M")
    edges = []
    for table in (frame, extreme, constant):
        # one noise for all three: grids follow the noisy number of units, and nothing else
        domains = fitted(ledger, frame=table, secret=PredictableSourceForTests(1)).model_.domains
        assert domains["sex"].labels == ["F", "M"]
        assert domains["ward"].labels == [1, 2, 3, None]
        assert (domains["age"].grid.low, domains["age"].grid.high) == (0, 99)
        edges.append(domains["cost"].grid.edges)
    assert np.array_equal(edges[0], edges[1])
    assert np.array_equal(edges[0], edges[2])


# -- replay, files, markers ----------------------------------------------------------------------------


def digest(arrays):
    return hashlib.sha256(b"".join(k.encode() + arrays[k].tobytes() for k in sorted(arrays))).hexdigest()


def test_a_model_rebuilt_from_its_releases_in_a_fresh_process_is_byte_identical(ledger, tmp_path):
    path = tmp_path / "m.privsynth"
    synthesizer = fitted(ledger)
    synthesizer.save(path)
    code = (
        "import sys, privsynth\n"
        "from tests.synthesizers.tables.test_marginal import digest\n"
        "print(digest(privsynth.load(sys.argv[1]).replay()))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == digest(model_arrays(synthesizer.model_))


# -- interruption --------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a process that dies: nothing after it runs but what the test does."""


def interrupted(ledger_path, partial, after, monkeypatch, *, where):
    """Fit until the ``after``-th charge (or store), then die there; return whether it died."""
    seen = 0
    owner, name = (Ledger, "charge") if where == "before" else (ReleaseStore, "append")
    original = getattr(owner, name)

    def dying(self, *args, **kwargs):
        nonlocal seen
        if where == "lost" and name == "append" and not args[0].lost:
            seen += 1
            if seen > after:
                raise Killed
        out = original(self, *args, **kwargs)
        if where != "lost":
            seen += 1
            if seen > after:
                raise Killed
        return out

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying)
        patch.setattr(Ledger, "suspend", lambda self, run: None)  # a dead process suspends nothing
        try:
            fitted(ledger_path, releases_path=partial, frame=patients(500))
        except Killed:
            return True
    return False


@pytest.mark.parametrize("where", ["before", "lost", "stored"])
def test_killed_anywhere_the_ledger_holds_every_spend_and_the_same_call_resumes(where, tmp_path, monkeypatch):
    """``before``: after a charge, before the read. ``lost``: after the read, before it is stored."""
    n_charges = (
        12  # units, point_masses of two columns, 1-way, condition, three rounds of two: eleven, and one more
    )
    for after in range(n_charges):
        folder = tmp_path / f"{where}{after}"
        folder.mkdir()
        ledger = Ledger(folder / "ledger.sqlite")
        ledger.set_limit("patients", epsilon=3.0, delta=1e-6)
        partial = folder / "m.partial"
        died = interrupted(folder / "ledger.sqlite", partial, after, monkeypatch, where=where)
        if not died:
            assert after >= 9
            return
        run = ledger.datasets()[0].runs[0]
        assert run.status == "open"
        assert run.n_events >= after
        synthesizer = fitted(folder / "ledger.sqlite", releases_path=partial, frame=patients(500))
        after_resume = ledger.datasets()[0].runs
        assert len(after_resume) == 1
        assert after_resume[0].status == "finished"
        assert after_resume[0].epsilon_spent <= 3.0
        assert synthesizer.guarantee_["epsilon_spent"] <= 3.0
        events = [key for _, key, _ in ledger.events(run.run)]
        assert sorted(events) == sorted(release.key for release in synthesizer.releases_)
        lost = [release for release in synthesizer.releases_ if release.lost]
        assert len(lost) == (where != "stored")
        if lost:
            assert any("answer lost" in e["purpose"] for e in synthesizer.guarantee_["events"])
        arrays = synthesizer.replay()
        assert all(np.array_equal(arrays[k], v) for k, v in model_arrays(synthesizer.model_).items())


def test_ctrl_c_gives_back_what_was_not_spent_and_the_same_call_resumes(tmp_path, ledger):
    def stop(message, done, total):
        if done == 2:
            raise KeyboardInterrupt

    partial = tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, releases_path=partial, progress=stop)
    run = ledger.datasets()[0].runs[0]
    assert run.status == "suspended"
    before = [key for _, key, _ in ledger.events(run.run)]
    fitted(ledger, releases_path=partial)
    after = [key for _, key, _ in ledger.events(run.run)]
    assert after[: len(before)] == before
    assert len(after) == len(set(after))  # nothing was paid twice


def test_a_run_begun_with_predictable_noise_is_not_resumed_as_a_secret_one(tmp_path, ledger):
    def stop(message, done, total):
        if done == 1:
            raise KeyboardInterrupt

    partial = tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, releases_path=partial, progress=stop, secret=PredictableSourceForTests(1))
    with pytest.raises(ModelFileError, match="secret_source"):
        fitted(ledger, releases_path=partial)


def test_restart_deletes_no_file_of_others(tmp_path, ledger):
    precious = tmp_path / "my.txt"
    precious.write_text("precious")
    with pytest.raises(ModelFileError, match="not a store"):
        fitted(ledger, releases_path=precious, restart=True)
    assert precious.read_text() == "precious"
    database = sqlite3.connect(tmp_path / "other.partial.sqlite")
    database.execute("CREATE TABLE t (x)")
    database.commit()
    with pytest.raises(ModelFileError, match="not a store"):
        fitted(ledger, releases_path=tmp_path / "other.partial.sqlite", restart=True)
    assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]
    database.close()
    assert not ledger.datasets()


def test_other_settings_do_not_resume_and_restart_does(tmp_path, ledger):
    def stop(message, done, total):
        raise KeyboardInterrupt

    partial = tmp_path / "m.partial"
    with pytest.raises(KeyboardInterrupt):
        fitted(ledger, releases_path=partial, progress=stop)
    with pytest.raises(ModelFileError, match=r"other settings \(epsilon\)"):
        fitted(ledger, epsilon=2.0, releases_path=partial)
    fitted(ledger, epsilon=2.0, releases_path=partial, restart=True)
    assert [run.status for run in ledger.datasets()[0].runs] == ["closed", "finished"]


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"epsilon": 0.0}, ParameterError, "epsilon > 0"),
        ({"epsilon": -1.0}, ParameterError, "epsilon > 0"),
        ({"epsilon": 1.0, "delta": 1.0}, ParameterError, "0 < delta < 1"),
        ({"epsilon": 1.0, "random_state": "x"}, ParameterError, "random_state"),
        ({"epsilon": 1.0, "device": "tpu"}, ParameterError, "expected device 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_bad_parameters_are_refused_and_nothing_is_charged(ledger, arguments, error, text):
    with pytest.raises(error, match=text):
        MarginalSynthesizer(**arguments).fit(patients(100), schema=PATIENTS, dataset="p", ledger=ledger)
    assert not ledger.datasets()


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.assign(sex="X"),
        lambda t: t.assign(age=200),
        lambda t: t.assign(age=None),
        lambda t: t.iloc[:1],
    ],
)
def test_clipping_fits_what_is_left(ledger, change):
    rows = fitted(ledger, frame=change(patients(300)), on_violation="clip").sample(50)
    assert rows["age"].between(0, 99).all()
    assert set(rows["sex"]) <= {"F", "M"}


def test_no_schema_says_how_to_draft_one():
    with pytest.raises(SchemaError, match="privsynth schema TABLE"):
        MarginalSynthesizer(epsilon=1.0).fit(patients(10), schema=None)


def test_private_bounds_lost_in_the_noise_name_the_column_and_end_no_fit(ledger):
    schema = Schema({"x": {"type": "integer", "low": "private", "high": "private"}})
    frame = pd.DataFrame({"x": [3, 4, 5]})

    def several_fits():
        for _ in range(5):  # a bound is found in noise about once in a hundred
            fitted(ledger, schema=schema, frame=frame, epsilon=0.1)

    with pytest.warns(UserWarning, match="column 'x': its private bounds"):
        several_fits()
    assert {run.status for run in ledger.datasets()[0].runs} == {"finished"}


def test_pairs_that_go_together_are_chosen_first(ledger):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.random(4000) < 0.5 for name in "abcdefg"})
    frame["g"] = frame["a"]
    schema = Schema({name: {"type": "boolean"} for name in frame.columns})
    synthesizer = fitted(ledger, schema=schema, frame=frame, epsilon=10.0)
    first = next(r for r in synthesizer.releases_ if r.key == "round-00/measure")
    assert ["a", "g"] in first.facts["sets"]
    rows = synthesizer.sample(4000)
    assert (rows["a"] == rows["g"]).mean() > 0.97


def test_dependence_that_only_the_classes_of_the_target_show_is_found(ledger):
    # ill is the exclusive or of the other two, so any two columns are independent
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"smokes": rng.random(4000) < 0.5, "treated": rng.random(4000) < 0.5})
    frame["ill"] = frame["smokes"] ^ frame["treated"]
    columns = {name: {"type": "boolean"} for name in frame}
    held = {}
    for role in ({}, {"role": "target"}):
        schema = Schema(columns | {"ill": {"type": "boolean"} | role})
        rows = fitted(ledger, schema=schema, frame=frame, dataset=f"ill-{role}").sample(2000)
        held[bool(role)] = (rows["ill"] == (rows["smokes"] ^ rows["treated"])).mean()
    assert held[False] == pytest.approx(0.5, abs=0.1)
    assert held[True] > 0.9


def test_bounds_between_two_decimals_are_not_left(ledger):
    schema = Schema({"x": {"type": "real", "low": 0.25, "high": 3.96, "decimals": 1}})
    frame = pd.DataFrame({"x": [0.3, 0.25, 3.9, 3.96] * 300})
    rows = fitted(ledger, schema=schema, frame=frame).sample(2000)
    assert rows["x"].between(0.25, 3.96).all()
    with pytest.raises(SchemaError, match="no number with 1 decimals"):
        Schema({"x": {"type": "real", "low": 0.21, "high": 0.24, "decimals": 1}})
