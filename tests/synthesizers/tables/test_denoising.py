"""`DenoisingSynthesizer` beyond the contract of every synthesizer: what it learns, and what it buys."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ParameterError
from privsynth.schema import Schema
from privsynth.synthesizers import DenoisingSynthesizer
from privsynth.synthesizers.tables.denoising import DenoisingSettings
from tests.helpers.tables import PATIENTS, patients

QUICK = {"n_bins": 16, "n_components": 4096}


def fitted(frame, schema, ledger, *, epsilon: float | None = 3.0, **settings):
    synthesizer = DenoisingSynthesizer(
        epsilon=epsilon, settings=DenoisingSettings(**(QUICK | settings)), random_state=0, device="cpu"
    )
    return synthesizer.fit(frame, schema=schema, ledger=ledger)


def test_it_learns_what_its_untrained_start_does_not_know(tmp_path):
    frame = patients(4000)
    gaps = {}
    for n_steps in (0, 60):
        rows = fitted(frame, PATIENTS, tmp_path / f"{n_steps}.sqlite", n_steps=n_steps).sample(4000)
        gaps[n_steps] = rows["age"][rows["ill"]].mean() - rows["age"][~rows["ill"]].mean()
    real = frame["age"][frame["ill"]].mean() - frame["age"][~frame["ill"]].mean()
    assert abs(gaps[0]) < 2.0  # independent columns: ages apart by sampling error alone (sd 0.5)
    assert gaps[60] == pytest.approx(real, rel=0.3)


def test_the_hidden_layer_learns_what_no_pair_of_columns_shows():
    """A parity of two columns: independent of each of them, so a linear prediction cannot see it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(2000) < 0.5, "b": rng.random(2000) < 0.5})
    frame["parity"] = frame["a"] ^ frame["b"]
    schema = Schema({name: {"type": "boolean"} for name in frame})
    agreement = {}
    for hidden in (0, 8):
        rows = fitted(frame, schema, None, epsilon=None, hidden=hidden, n_steps=150).sample(2000)
        agreement[hidden] = (rows["parity"] == (rows["a"] ^ rows["b"])).mean()
    assert agreement[0] == pytest.approx(0.5, abs=0.1)
    assert agreement[8] > 0.85


def test_one_way_marginals_and_the_condition_table_are_those_released(tmp_path):
    synthesizer = fitted(patients(4000), PATIENTS, tmp_path / "ledger.sqlite")
    released = {r.key: r for r in synthesizer.releases_}
    mixture = synthesizer.model_.mixture
    table = np.maximum(released["counts/condition"].arrays["0"], 0.0)
    assert mixture.table(("sex", "ill")) == pytest.approx(table / table.sum(), abs=1e-3)
    counts = np.maximum(released["counts/one-way/ward"].arrays["0"], 0.0)
    assert mixture.table(("ward",)) == pytest.approx(counts / counts.sum(), abs=0.02)


def test_the_steps_are_one_charged_block_with_what_is_left(tmp_path):
    synthesizer = fitted(patients(2000), PATIENTS, tmp_path / "ledger.sqlite", n_steps=10, batch_size=500)
    event = next(r.event for r in synthesizer.releases_ if r.key == "steps")
    assert event["mechanism"] == "sampled_gaussian"
    assert event["count"] == 10
    assert event["sample_rate"] == pytest.approx(500 / 2000, rel=0.1)  # the noisy number of records
    assert synthesizer.guarantee_["epsilon_spent"] <= 3.0


@pytest.mark.parametrize("settings", [{"averaging": 1.0}, {"soft_share": -0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ParameterError, match=next(iter(settings))):
        DenoisingSettings(**settings)
