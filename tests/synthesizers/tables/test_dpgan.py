"""`DPGANSynthesizer`: what the adversary adds, where conditions come from, what it refuses."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from privsynth.errors import UnsupportedLayerError
from privsynth.ledger.ledger import Ledger
from privsynth.models.tables.discriminator import TableDiscriminator
from privsynth.models.tables.gan import Gan, GanOptions
from privsynth.privacy.curator import Curator
from privsynth.schema import Schema
from privsynth.synthesizers.plan import describe_plan, plan
from privsynth.synthesizers.tables.dpgan import DPGANSettings, DPGANSynthesizer, GanTrainer
from tests.helpers.tables import PATIENTS, patients

SMALL = DPGANSettings(
    n_steps=60, batch_size=500, gan=GanOptions(n_states=256, hidden=(8,), fake_batch_size=256, averaging=0.9)
)
LETTERS = Schema({name: {"type": "categorical", "categories": ["p", "q", "r"]} for name in "abc"})


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def letters(n=3000):
    rng = np.random.default_rng(0)
    a = rng.choice(["p", "q", "r"], n)
    return pd.DataFrame({"a": a, "b": a, "c": rng.choice(["p", "q", "r"], n)})


def fit(ledger, *, settings=SMALL, frame=None, schema=LETTERS, epsilon=3.0):
    synthesizer = DPGANSynthesizer(epsilon=epsilon, settings=settings, random_state=0, device="cpu")
    return synthesizer.fit(letters() if frame is None else frame, schema=schema, dataset="d", ledger=ledger)


@pytest.mark.parametrize(
    ("options", "at_least"),
    [({}, 0.7), ({"pairs": False, "loss": "hinge", "weight_decay": 0.0}, 0.5)],
    ids=["pairs", "perceptron"],
)
def test_the_adversary_finds_what_marginals_cannot_tell(ledger, options, at_least):
    """Two equal columns: a third of the rows agree at the start, and most once it has trained."""
    gan = replace(SMALL.gan, **options)
    untrained = fit(ledger, settings=replace(SMALL, n_steps=0, gan=gan), epsilon=10.0).sample(3000)
    trained = fit(ledger, settings=replace(SMALL, n_steps=150, gan=gan), epsilon=10.0).sample(3000)
    assert (untrained["a"] == untrained["b"]).mean() < 0.4
    assert (trained["a"] == trained["b"]).mean() > at_least
    assert (trained["a"] == trained["c"]).mean() < 0.5


def test_a_discriminator_that_is_never_trained_pays_for_no_step(ledger):
    synthesizer = fit(ledger, settings=replace(SMALL, n_steps=0))
    assert {event["mechanism"] for event in synthesizer.guarantee_["events"]} == {"gaussian"}


def test_nothing_but_steps_domains_marginals_and_the_condition_table_is_bought(ledger):
    synthesizer = fit(ledger, frame=patients(800), schema=PATIENTS)
    bought = {event["purpose"] for event in synthesizer.guarantee_["events"]}
    assert {purpose for purpose in bought if not purpose.startswith("values of")} == {
        "number of units",
        "orders of magnitude of 'cost'",  # which has wide public bounds
        "1-way marginals",
        "joint table of target and groups",
        "private steps of the discriminator",
    }
    sets = [release.facts.get("sets") for release in synthesizer.releases_]
    assert max(len(columns) for found in sets if found for columns in found) == 2  # sex and ill, declared


def conditions_follow_the_released_table(synthesizer, frame):
    """The states' conditions have the shares of the noisy table, and not those of the records."""
    released = next(r for r in synthesizer.releases_ if r.key == "counts/condition").arrays["0"]
    shares = np.maximum(released, 0) / np.maximum(released, 0).sum()
    model = synthesizer.model_.mixture.table(["sex", "ill"])
    exact = pd.crosstab(frame["sex"], frame["ill"]).to_numpy() / len(frame)
    assert np.abs(model - shares).max() < 1.5 / SMALL.gan.n_states
    assert np.abs(model - exact).max() > 2 / SMALL.gan.n_states


def test_conditions_have_released_shares_never_exact_ones(ledger, monkeypatch):
    frame = patients(400)
    settings = replace(SMALL, n_steps=2)
    # epsilon 0.3: noise of about 160 on 400 records, so that noisy and exact shares cannot agree
    conditions_follow_the_released_table(
        fit(ledger, settings=settings, frame=frame, schema=PATIENTS, epsilon=0.3), frame
    )
    exact = pd.crosstab(frame["sex"], frame["ill"]).to_numpy().astype(float)
    monkeypatch.setattr(
        "privsynth.synthesizers.tables.base_measurements.BaseMeasurements.conditions",
        lambda self, schema: (("sex", "ill"), exact),
    )
    with pytest.raises(AssertionError):
        conditions_follow_the_released_table(
            fit(ledger, settings=settings, frame=frame, schema=PATIENTS, epsilon=0.3), frame
        )


def test_a_discriminator_that_mixes_records_is_refused_before_it_sees_one(ledger, monkeypatch):
    class Packed(TableDiscriminator):
        def forward(self, rows):
            return super().forward(rows + rows.mean(0))

    class Normed(TableDiscriminator):
        def __init__(self, *args, **named):
            super().__init__(*args, **named)
            self.norm = nn.BatchNorm1d(sum(self.sizes), affine=False)

    def drawn(*args, **named):
        raise AssertionError("records were drawn")

    monkeypatch.setattr("privsynth.privacy.units.Weighting.poisson_sample", drawn)
    for kind, text in ((Packed, "mixes records"), (Normed, "'discriminator.norm' is BatchNorm1d")):
        monkeypatch.setattr("privsynth.models.tables.gan.TableDiscriminator", kind)
        with pytest.raises(UnsupportedLayerError, match=text):
            fit(ledger)


def test_the_discriminator_takes_one_private_step_a_ledger_step(ledger, monkeypatch):
    steps = []
    original = torch.optim.Adam.step

    def counting(self, *args, **named):
        steps.append(len(self.param_groups[0]["params"]))
        return original(self, *args, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", counting)
    synthesizer = fit(ledger, settings=replace(SMALL, n_steps=7))
    event = next(e for e in synthesizer.guarantee_["events"] if e["mechanism"] == "sampled_gaussian")
    n_discriminator = sum(n > 1 for n in steps)  # the generator has one tensor of logits
    assert event["count"] == n_discriminator == 7


def test_weights_draws_and_rows_do_not_follow_each_other(ledger):
    """With one stream for all three, conditions would be drawn together with rows (a seed of both is 0)."""
    frame = patients(2000)
    synthesizer = fit(ledger, settings=replace(SMALL, n_steps=0), frame=frame, schema=PATIENTS, epsilon=10.0)
    rows = synthesizer.sample(20_000)
    table = pd.crosstab(rows["sex"], rows["ill"]).to_numpy() / len(rows)
    assert np.abs(table - synthesizer.model_.mixture.table(["sex", "ill"])).max() < 0.02


def test_the_public_half_takes_no_record():
    for function in (Gan.__init__, Gan.generator_step, Gan.fakes, GanTrainer.__init__, GanTrainer.step):
        names = set(inspect.signature(function).parameters)
        assert not {"real", "records", "frame", "table", "codes"} & names
    assert "tape" not in inspect.signature(Curator.__init__).parameters


def test_plan_says_steps_noise_batch_memory_and_time():
    fields = plan(PATIENTS, 20_000, 1.0, 1e-6, synthesizer="dpgan")
    steps = fields["steps"][-1]
    assert steps["count"] == DPGANSettings().n_steps
    assert steps["batch_size"] == DPGANSettings().batch_size
    assert steps["noise_multiplier"] > 1
    assert fields["seconds"] > 0
    assert fields["memory_mb"] > 0
    assert sum(step["share"] for step in fields["steps"]) == pytest.approx(1.0)
    words = describe_plan(fields)
    assert "private steps of the discriminator" in words
    assert "batches of about 2048" in words
    less = plan(PATIENTS, 20_000, 0.1, 1e-6, synthesizer="dpgan")["steps"][-1]
    assert less["noise_multiplier"] > 5 * steps["noise_multiplier"]
