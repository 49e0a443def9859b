"""Persons with many rows: tables of their pairs are cut to a public norm, and the releases say so."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privsynth.privacy.curator import Curator
from privsynth.releases.store import Release, ReleaseStore
from privsynth.schema import Schema
from privsynth.schema.sequences import sequence_view
from privsynth.synthesizers.arguments import whole_budget
from privsynth.synthesizers.tables.marginal import MarginalSynthesizer
from privsynth.synthesizers.tables.marginal_settings import REFERENCE_STRENGTH
from privsynth.synthesizers.tables.model_arrays import model_arrays
from privsynth.synthesizers.tables.select_measure_fit import (
    MarginalSettings,
    cut_norm,
)
from tests.helpers.predictable import PredictableSourceForTests
from tests.helpers.tables import PATIENTS, QUICK, patients

CAP = 9
EPSILON, DELTA = 3.0, 1e-6
FACTOR = MarginalSettings().norm_factor


def of_persons(cap: int | None) -> Schema:
    if cap is None:
        return PATIENTS
    who = {"who": {"type": "id", "role": "person_id"}}
    return Schema({**PATIENTS.columns, **who}, max_records_per_person=cap)


def fitted(tmp_path, cap=CAP, **settings):
    frame = patients(900)
    if cap:
        frame["who"] = np.arange(900) // 9
    synthesizer = MarginalSynthesizer(
        epsilon=EPSILON, delta=DELTA, settings=replace(QUICK, **settings), random_state=0
    )
    return synthesizer.fit(
        frame,
        schema=of_persons(cap),
        dataset="patients",
        ledger=tmp_path / "ledger.sqlite",
        secret=PredictableSourceForTests(3),
    )


def measured(synthesizer) -> list[Release]:
    found = [release for release in synthesizer.releases_ if release.key.endswith("/measure")]
    assert found
    return found


def rebuilt(synthesizer, settings, releases):
    """Return the arrays of the model that a curator without records makes of releases."""
    store = ReleaseStore()
    for release in releases:
        store.append(release)
    curator = Curator(schema=of_persons(CAP), allowance=whole_budget(EPSILON, DELTA), store=store)
    model = synthesizer._make(
        curator, settings, seed=synthesizer.random_state, device="cpu", progress=lambda *said: None
    )
    return model_arrays(model)


def same(some, others) -> bool:
    return some.keys() == others.keys() and all(np.array_equal(some[name], others[name]) for name in some)


def test_the_norm_is_a_function_of_schema_and_settings():
    pair, settings = ("ill", "age"), MarginalSettings()
    assert cut_norm(of_persons(None), pair, settings) == 1.0
    assert cut_norm(of_persons(16), pair, settings) == pytest.approx(FACTOR / 4)
    assert cut_norm(of_persons(16), pair, replace(settings, norm_factor=None)) == 1.0
    assert cut_norm(of_persons(16), pair, settings.adapted_to(REFERENCE_STRENGTH)) < 1.0
    assert cut_norm(of_persons(16), pair, settings.adapted_to(1.01 * REFERENCE_STRENGTH)) == 1.0
    assert [cut_norm(of_persons(cap), pair, settings) < 1.0 for cap in (1, 2, 3, 4, 5, 60)] == [
        False, False, False, False, True, True,
    ]  # fmt: skip


def test_tables_of_what_a_persons_rows_share_are_not_cut():
    columns = PATIENTS.to_dict()["columns"]
    visits = Schema(
        {
            "who": {"type": "id", "role": "person_id"},
            **columns,
            "sex": {**columns["sex"], "per": "person"},
            "seen": {**columns["seen"], "role": "order"},
        },
        max_records_per_person=CAP,
    )
    view, settings = sequence_view(visits), MarginalSettings()
    assert cut_norm(view, ("sex", "n_records"), settings) == 1.0
    for pair in (("sex", "first"), ("sex", "age"), ("prev.age", "age"), ("n_records", "age", "ill")):
        assert cut_norm(view, pair, settings) == pytest.approx(FACTOR / math.sqrt(CAP))


def test_cut_tables_say_their_norm_and_cost_what_others_do(tmp_path):
    (tmp_path / "cut").mkdir()
    (tmp_path / "whole").mkdir()
    cut, whole = fitted(tmp_path / "cut"), fitted(tmp_path / "whole", norm_factor=None)
    assert [release.event for release in cut.releases_] == [release.event for release in whole.releases_]
    for release in measured(cut):
        assert set(release.facts["norms"]) == {FACTOR / math.sqrt(CAP)}
        assert len(release.facts["cut_sets"]) == len(release.arrays)
    assert all(release.facts.keys() == {"sets"} for release in measured(whole))
    for one, other in zip(
        cut.releases_, whole.releases_, strict=True
    ):  # all before the first pair is as it was
        if one.key == "round-00/measure":
            break
        assert one.header() == other.header()
        assert same(one.arrays, other.arrays)


@pytest.mark.parametrize("cap", [None, 4])
def test_rows_and_persons_of_few_rows_are_measured_as_ever(tmp_path, cap):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = fitted(tmp_path / "a", cap), fitted(tmp_path / "b", cap, norm_factor=None)
    assert all(release.facts.keys() == {"sets"} for release in measured(one))
    assert same(model_arrays(one.model_), model_arrays(other.model_))


def test_a_model_of_cut_tables_is_rebuilt_from_its_releases_alone(tmp_path):
    synthesizer = fitted(tmp_path)
    arrays = model_arrays(synthesizer.model_)
    assert same(arrays, rebuilt(synthesizer, synthesizer.settings, synthesizer.releases_))
    synthesizer.save(tmp_path / "m.privsynth")
    assert same(arrays, model_arrays(MarginalSynthesizer.load(tmp_path / "m.privsynth").model_))


def test_releases_of_older_versions_make_the_model_that_they_made(tmp_path):
    synthesizer = fitted(tmp_path, norm_factor=None)
    older = {name: value for name, value in synthesizer.settings.to_dict().items() if name != "norm_factor"}
    read = MarginalSettings.from_dict(older)
    assert read.norm_factor is None
    assert read == synthesizer.settings
    assert same(model_arrays(synthesizer.model_), rebuilt(synthesizer, read, synthesizer.releases_))


def test_of_persons_with_many_rows_less_noise_shows_more():
    """The table of pairs that a fit ends with is nearer to the records', everything else being alike."""
    rng = np.random.default_rng(0)
    n_persons, codes = 600, 8
    a = rng.integers(0, codes, n_persons * CAP)
    b = np.where(rng.random(len(a)) < 0.5, a, rng.integers(0, codes, len(a)))
    frame = pd.DataFrame({"a": a, "b": b, "who": np.repeat(np.arange(n_persons), CAP)})
    categories = {"type": "categorical", "categories": list(range(codes))}
    schema = Schema(
        {"who": {"type": "id", "role": "person_id"}, "a": categories, "b": categories},
        max_records_per_person=CAP,
    )
    exact = np.histogram2d(a, b, bins=codes)[0] / len(a)

    def distance(factor: float | None) -> float:
        settings = replace(QUICK, norm_factor=factor)
        found = []
        for seed in range(4):
            synthesizer = MarginalSynthesizer(epsilon=0.3, delta=DELTA, settings=settings, random_state=0)
            synthesizer.fit(frame, schema=schema, dataset=None, secret=PredictableSourceForTests(seed))
            found.append(0.5 * np.abs(synthesizer.model_.mixture.table(("a", "b")) - exact).sum())
        return float(np.mean(found))

    assert distance(FACTOR) < 0.8 * distance(None)
