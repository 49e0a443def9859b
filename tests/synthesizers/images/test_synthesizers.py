"""Image synthesizers on scikit-learn's digits: what they learn, for whom, and what they say before."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import privsynth
from privsynth import SampleGrids
from privsynth.accounting.events import Event
from privsynth.errors import ParameterError, RequestError, SchemaError, TableError
from privsynth.io.images import contact_sheet
from privsynth.ledger.ledger import Ledger
from privsynth.models.images.diffusion import DiffusionOptions
from privsynth.models.images.gan import ImageGanOptions
from privsynth.models.tables.fitting import FitOptions
from privsynth.privacy.mechanisms import vector_sums
from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages
from privsynth.synthesizers import (
    ImageDiffusionSynthesizer,
    ImageFeatureSynthesizer,
    ImageGANSynthesizer,
    MarginalSynthesizer,
)
from privsynth.synthesizers.images.diffusion import ImageDiffusionSettings
from privsynth.synthesizers.images.feature import ImageFeatureSettings
from privsynth.synthesizers.images.gan import ImageGANSettings
from privsynth.synthesizers.images.prototypes import PrototypeSettings
from privsynth.synthesizers.plan import describe_plan, plan
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings
from tests.helpers.digits import DIGITS, accuracy, digits
from tests.helpers.predictable import PredictableSourceForTests

TABLE = MarginalSettings(fit=FitOptions(n_components=64))
QUICK = ImageFeatureSettings(table=TABLE, prototypes=PrototypeSettings(max_prototypes=20))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def fitted(
    ledger,
    *,
    kind=ImageFeatureSynthesizer,
    epsilon: float | None = 10.0,
    real=None,
    schema=DIGITS,
    settings=QUICK,
    **arguments,
):
    synthesizer = kind(epsilon=epsilon, delta=1e-5, settings=settings, random_state=0, device="cpu")
    real = digits()[0] if real is None else real
    return synthesizer.fit(real, schema=schema, dataset="digits", ledger=ledger, **arguments)


def test_a_classifier_learns_digits_from_synthetic_ones(ledger):
    """1,437 images of 64 pixels: nearly all there is without noise, most of it at epsilon 10."""
    assert accuracy(fitted(ledger, epsilon=None).sample(2000, balance=["digit"])) > 0.93
    private = fitted(ledger).sample(2000, balance=["digit"], on_unsupported="warn")
    assert accuracy(private) > 0.7
    assert private.labels["digit"].value_counts().tolist() == [200] * 10


def test_labels_are_the_images_own(ledger):
    """Whatever the request, an image shows the digit that its label says."""
    synthesizer = fitted(ledger, epsilon=None)
    for asked in (
        {"conditions": {"digit": 3}},
        {"proportions": {"digit": {3: 0.9, 4: 0.1}}},
        {"balance": ["digit"]},
    ):
        drawn = synthesizer.sample(300, **asked)
        means = {
            d: drawn.images[(drawn.labels["digit"] == d).to_numpy()].mean(0)
            for d in drawn.labels["digit"].unique()
        }
        train = digits()[0]
        for digit, mean in means.items():
            distances = [
                np.abs(train.images[(train.labels["digit"] == other).to_numpy()].mean(0) - mean).mean()
                for other in range(10)
            ]
            assert int(np.argmin(distances)) == digit
    with pytest.raises(RequestError, match="no modelled column 'shape'"):
        synthesizer.sample(3, conditions={"shape": 1})


def test_groups_are_kept_apart(ledger):
    """Half of the images are negatives, by a group column: both are learnt, and sampled by request."""
    train = digits()[0]
    negative = np.arange(len(train)) % 2 == 1
    images = np.where(negative[:, None, None, None], 255 - train.images, train.images)
    labels = train.labels.assign(negative=negative)
    fields = DIGITS.to_dict()
    fields["columns"] = {**fields["columns"], "negative": {"type": "boolean", "role": "group"}}
    synthesizer = fitted(ledger, real=LabelledImages(images, labels), schema=Schema.from_dict(fields))
    drawn = synthesizer.sample(400, balance=["negative"], on_unsupported="warn")
    assert drawn.labels["negative"].sum() == 200
    pixel = drawn.images.mean((1, 2, 3))
    is_negative = drawn.labels["negative"].to_numpy(bool)
    assert (pixel[is_negative] > 127).mean() > 0.9
    assert (pixel[~is_negative] < 127).mean() > 0.9


def test_attributes_are_learnt_as_a_table_and_images_given_the_target(ledger):
    """Two columns beside the digit, one that follows it, a number that follows that: one budget for all."""
    train = digits()[0]
    rng = np.random.default_rng(0)
    even = train.labels["digit"].to_numpy() % 2 == 0
    age = np.where(even, rng.integers(60, 90, len(train)), rng.integers(20, 50, len(train)))
    fields = DIGITS.to_dict()
    fields["columns"] = {
        **fields["columns"],
        "even": {"type": "boolean"},
        "age": {"type": "integer", "low": 0, "high": 99},
    }
    real = LabelledImages(train.images, train.labels.assign(even=even, age=age))
    settings = replace(QUICK, table_share=0.5)
    synthesizer = fitted(ledger, epsilon=20.0, real=real, schema=Schema.from_dict(fields), settings=settings)
    assert synthesizer.guarantee_["epsilon_spent"] <= 20.0
    drawn = synthesizer.sample(1000, conditions={"age": (60, 99)}, on_unsupported="warn")
    assert drawn.labels["age"].min() >= 60
    assert (drawn.labels["digit"].astype(int) % 2 == 0).mean() > 0.8
    assert drawn.labels["even"].mean() > 0.8
    zeros = drawn.images[(drawn.labels["digit"] == 0).to_numpy()].mean(0)
    real_zeros = train.images[(train.labels["digit"] == 0).to_numpy()].mean(0)
    assert np.corrcoef(zeros.ravel(), real_zeros.ravel())[0, 1] > 0.9


def test_one_person_with_many_images_does_not_become_a_class(ledger):
    """A thousand images of one person against one of each other: uncut, they would be two thirds of all."""
    train = digits()[0]
    white = np.full((3000, 8, 8, 1), 255, np.uint8)
    labels = pd.DataFrame(
        {
            "digit": np.r_[train.labels["digit"], np.zeros(3000, int)],
            "who": np.r_[np.arange(len(train)), np.full(3000, 10**6)],
        }
    )
    fields = DIGITS.to_dict() | {"max_records_per_person": 5}
    fields["columns"] = {**fields["columns"], "who": {"type": "id", "role": "person_id"}}
    real = LabelledImages(np.concatenate([train.images, white]), labels)
    synthesizer = fitted(ledger, real=real, schema=Schema.from_dict(fields))
    drawn = synthesizer.sample(1000)
    zeros = drawn.images[(drawn.labels["digit"] == 0).to_numpy()]
    assert len(zeros) < 200
    assert (zeros.mean((1, 2, 3)) > 200).mean() < 0.2
    assert synthesizer.guarantee_["unit"] == "person"


def test_colour_and_odd_sizes_are_fitted(ledger):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 100, (300, 7, 5, 3), dtype=np.uint8)
    images[::2, ..., 0] += 150
    schema = Schema({"red": {"type": "boolean"}}, image={"height": 7, "width": 5, "channels": 3})
    real = LabelledImages(images, pd.DataFrame({"red": np.arange(300) % 2 == 0}))
    drawn = fitted(ledger, real=real, schema=schema).sample(200, balance=["red"], on_unsupported="warn")
    red = drawn.labels["red"].to_numpy(bool)
    assert drawn.images[red][..., 0].mean() > drawn.images[~red][..., 0].mean() + 80


def test_images_know_what_their_request_moved(ledger):
    synthesizer = fitted(ledger)
    asked = {"proportions": {"digit": {"3": 0.9, "8": 0.1}}}
    drawn = synthesizer.sample(40, random_state=0, **asked)
    cost = synthesizer.rebalancing_cost(40, **asked)
    assert drawn.labels.attrs == {"rebalancing_cost": cost}
    assert cost["columns"] == ["digit"]
    assert 0.3 < cost["total_variation"] < 0.5  # the model gives either digit half of the images
    assert synthesizer.sample(5, random_state=0).labels.attrs == {}


def test_drawn_images_are_written_and_read_back(ledger, tmp_path):
    synthesizer = fitted(ledger)
    synthesizer.save(tmp_path / "m.privsynth")
    again = privsynth.load(tmp_path / "m.privsynth")
    expected = synthesizer.sample(30, random_state=4)
    for name in ("out", "out.npz"):
        assert again.sample_to(tmp_path / name, 30, random_state=4) == 30
        records = synthesizer._read(tmp_path / name, DIGITS, "error")
        assert np.array_equal(records.images, expected.images)
        assert records.frame["digit"].astype(int).tolist() == expected.labels["digit"].tolist()
    again.contact_sheet(tmp_path / "s.png", n_columns=5)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (5 * 50 + 2, 10 * 50 + 2)
    with pytest.raises(TableError, match="exists"):
        again.sample_to(tmp_path / "out", 30)


@pytest.mark.parametrize("lost", [1, 4, 6])
def test_an_answer_lost_in_a_crash_is_paid_again_and_the_fit_goes_on(ledger, tmp_path, monkeypatch, lost):
    calls, right = [], vector_sums.sum_vectors

    def dying(*arguments, **named):
        calls.append(1)
        if len(calls) == lost:
            raise SystemExit("the process dies")
        return right(*arguments, **named)

    monkeypatch.setattr(vector_sums, "sum_vectors", dying)
    partial = tmp_path / "m.partial"
    with pytest.raises(SystemExit):
        fitted(ledger, releases_path=partial)
    synthesizer = fitted(ledger, releases_path=partial)
    assert len(calls) == 7  # six releases, of which one was paid twice
    run = ledger.datasets()[0].runs[0]
    assert run.status == "finished"
    assert run.epsilon_spent <= 10
    assert [release.lost for release in synthesizer.releases_].count(True) == 1


def test_the_plan_of_images_says_what_is_bought(ledger):
    fields = plan(DIGITS, 1437, 10.0, 1e-5, synthesizer="image-feature")
    planned, bought = Counter(), Counter()
    for counter, steps in ((planned, fields["steps"]), (bought, fitted(ledger).guarantee_["events"])):
        for step in steps:
            counter[step["purpose"]] += step["count"]
    assert planned == bought
    assert sum(step["share"] for step in fields["steps"]) <= 1 + 1e-9
    assert "prototypes of the images" in describe_plan(fields)
    steps = plan(DIGITS, 1437, 10.0, 1e-5, synthesizer="image-gan")["steps"]
    assert steps[-1]["purpose"] == "private steps of the discriminator"
    with pytest.raises(SchemaError, match="the schema describes images, and 'marginal' does not learn that"):
        plan(DIGITS, 100, 1.0, 1e-6)


def test_a_table_and_images_are_not_taken_for_one_another(ledger):
    with pytest.raises(SchemaError, match="the schema describes images, and this synthesizer learns tables"):
        MarginalSynthesizer(epsilon=1.0).fit(digits()[0].labels, schema=DIGITS, ledger=ledger)
    with pytest.raises(SchemaError, match="the schema describes a table; for images it needs"):
        fitted(ledger, schema=Schema(DIGITS.to_dict()["columns"]))
    assert not ledger.datasets()


@pytest.mark.parametrize(
    "change",
    [
        {"means_share": 0.0},
        {"moments_share": 0.5},
        {"n_rounds": 0},
        {"spread": -1.0},
        {"units_per_prototype": 0},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ParameterError, match="expected"):
        replace(PrototypeSettings(), **change)


# -- the adversarial one ---------------------------------------------------------------------------------

ADVERSARIAL = ImageGANSettings(
    table=TABLE,
    prototypes=PrototypeSettings(max_prototypes=20),
    n_steps=30,
    batch_size=400,
    gan=ImageGanOptions(
        generator_width=32, discriminator_width=32, latent_dim=8, fake_batch_size=128, averaging=0.9
    ),
)


def adversarial(ledger, *, epsilon: float | None = 10.0, **changes):
    settings = replace(ADVERSARIAL, **changes)
    return fitted(ledger, kind=ImageGANSynthesizer, epsilon=epsilon, settings=settings)


def test_an_adversary_begins_with_prototypes_and_leaves_digits(ledger):
    drawn = adversarial(ledger, epsilon=None).sample(2000, balance=["digit"])
    assert accuracy(drawn) > 0.9


def test_an_adversary_without_prototypes_learns_from_noise(ledger):
    """Against its own untrained start, which shows nothing."""
    gan = replace(ADVERSARIAL.gan, min_fake_accuracy=None, generator_rate=2e-3, discriminator_rate=2e-3)
    changes = {"prototypes_share": 0.0, "gan": gan}
    untrained = adversarial(ledger, epsilon=None, n_steps=0, **changes).sample(1000, balance=["digit"])
    trained = adversarial(ledger, epsilon=None, n_steps=200, **changes).sample(1000, balance=["digit"])
    real = digits()[0].images.mean(0)
    far, near = (np.abs(drawn.images.mean(0) - real).mean() for drawn in (untrained, trained))
    assert near < 0.5 * far


def test_convolutions_and_augmentations_take_private_steps(ledger):
    gan = replace(
        ADVERSARIAL.gan, architecture="dcgan", generator_width=8, discriminator_width=4, warm_steps=5
    )
    synthesizer = adversarial(ledger, n_steps=3, batch_size=64, gan=gan, augmentations=3, flips=True)
    assert len(synthesizer.sample(20)) == 20
    assert synthesizer.guarantee_["events"][-1]["purpose"] == "private steps of the discriminator"
    *images, steps = (
        Event.from_dict(release.event).mu_squared
        for release in synthesizer.releases_
        if release.key.startswith(("image/", "steps"))
    )
    assert steps / (steps + sum(images)) == pytest.approx(1 - ADVERSARIAL.prototypes_share, abs=0.01)
    with pytest.raises(ParameterError, match="expected 1 to 14 augmentations with flips=True"):
        replace(ADVERSARIAL, augmentations=15, flips=True)
    with pytest.raises(ParameterError, match="expected 1 to 7 augmentations with flips=False"):
        replace(ADVERSARIAL, augmentations=8)
    with pytest.raises(ParameterError, match="expected 0 <= prototypes_share < 1"):
        replace(ADVERSARIAL, prototypes_share=1.0)


# -- the denoiser ------------------------------------------------------------------------------------------

DIFFUSION = ImageDiffusionSettings(
    table=TABLE,
    prototypes=PrototypeSettings(max_prototypes=20),
    n_steps=10,
    batch_size=200,
    diffusion=DiffusionOptions(architecture="mlp", width=128, draws=2, warm_steps=400, n_levels=8),
)


def denoised(ledger, *, epsilon: float | None = 10.0, progress=None, **changes):
    settings = replace(DIFFUSION, **changes)
    return fitted(
        ledger, kind=ImageDiffusionSynthesizer, epsilon=epsilon, settings=settings, progress=progress
    )


def test_a_denoiser_draws_digits(ledger):
    drawn = denoised(ledger, epsilon=None).sample(1000, balance=["digit"])
    assert accuracy(drawn) > 0.6


def test_a_u_net_takes_private_steps(ledger):
    options = DiffusionOptions(width=4, draws=2, warm_steps=5, n_levels=3)
    told: list[str] = []
    synthesizer = denoised(
        ledger,
        n_steps=2,
        batch_size=50,
        diffusion=options,
        progress=lambda message, done, total: told.append(message),
    )
    assert any(message.startswith("training: length of the noisy gradient") for message in told)
    assert len(synthesizer.sample(10)) == 10
    assert synthesizer.guarantee_["events"][-1]["purpose"] == "private steps of the denoiser"
    assert plan(DIGITS, 1437, 10.0, 1e-5, synthesizer="image-diffusion")["seconds"] > 0


@pytest.mark.parametrize(
    "change",
    [{"architecture": "gan"}, {"draws": 0}, {"n_levels": 1}, {"averaging": 1.0}, {"learning_rate": 0.0}],
)
def test_denoisers_out_of_range_are_refused(change):
    with pytest.raises(ParameterError, match="expected"):
        DiffusionOptions(**change)


# -- sheets of what is learnt so far ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings"), [(ImageGANSynthesizer, "gan"), (ImageDiffusionSynthesizer, "")]
)
def test_grids_show_the_training_and_change_nothing_of_it(ledger, tmp_path, kind, settings):
    settings = replace(ADVERSARIAL if settings else DIFFUSION, n_steps=40)

    def fit(progress):
        secret = PredictableSourceForTests(5)
        return fitted(ledger, kind=kind, settings=settings, secret=secret, progress=progress)

    told: list[tuple[str, int, int]] = []
    plain = fit(lambda *said: told.append(said))
    said: list[tuple[str, int, int]] = []
    watched = fit(SampleGrids(tmp_path / "grids", lambda *step: said.append(step)))
    assert [step[1:] for step in said] == [step[1:] for step in told]
    first, second = (s._arrays_of(s.model_) for s in (plain, watched))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    names = sorted(file.name for file in (tmp_path / "grids").iterdir())
    assert names == [f"step-{step:06d}.png" for step in range(0, 41, 2)]
    cells = np.repeat(np.arange(10), 10)
    expected = contact_sheet(watched.model_.generator.draw(cells, np.random.default_rng(0)), n_columns=10)
    with (
        Image.open(tmp_path / "grids" / names[-1]) as last,
        Image.open(tmp_path / "grids" / names[0]) as start,
    ):
        assert np.array_equal(np.asarray(last), np.asarray(expected))
        assert not np.array_equal(np.asarray(last), np.asarray(start))


def test_a_grid_that_cannot_be_written_costs_no_paid_step(ledger, tmp_path):
    grids = tmp_path / "grids"
    progress = SampleGrids(grids)
    grids.rmdir()
    settings = replace(ADVERSARIAL, n_steps=3)
    with pytest.warns(UserWarning, match="a sheet is left out"):
        synthesizer = fitted(ledger, kind=ImageGANSynthesizer, settings=settings, progress=progress)
    assert len(synthesizer.sample(5)) == 5
    assert [run.status for run in ledger.datasets()[0].runs] == ["finished"]


def test_grids_of_another_fit_are_not_mixed_with_new_ones(ledger, tmp_path):
    grids = tmp_path / "grids"
    grids.mkdir()
    (grids / "step-000099.png").touch()
    (grids / "mine.png").touch()
    with pytest.raises(TableError, match="holds the sheets of another fit; replace them with --force"):
        SampleGrids(grids)
    settings = replace(ADVERSARIAL, n_steps=1)
    fitted(ledger, kind=ImageGANSynthesizer, settings=settings, progress=SampleGrids(grids, force=True))
    assert sorted(f.name for f in grids.iterdir()) == ["mine.png", "step-000000.png", "step-000001.png"]
    with pytest.raises(TableError, match=r"sheets cannot be written to .*mine\.png"):
        SampleGrids(grids / "mine.png")


def test_a_fit_that_goes_on_adds_to_its_grids(ledger, tmp_path):
    """After Ctrl-C in the second of six steps, from the state that was kept."""
    grids, partial = tmp_path / "grids", tmp_path / "m.partial"
    settings = replace(ADVERSARIAL, n_steps=6)

    def press_ctrl_c(message, done, total):
        if done == 2 and message.startswith("training"):
            os.kill(os.getpid(), signal.SIGINT)

    for progress, force in ((press_ctrl_c, False), (None, True)):
        with suppress(KeyboardInterrupt):
            synthesizer = fitted(
                ledger,
                kind=ImageGANSynthesizer,
                settings=settings,
                releases_path=partial,
                progress=SampleGrids(grids, progress, force=force),
            )
        written = sorted(file.name for file in grids.iterdir())
        assert written == [f"step-{step:06d}.png" for step in range(3 if progress else 7)]
    assert "interrupted" not in synthesizer.guarantee_ or not synthesizer.guarantee_["interrupted"]


def test_a_contact_sheet_has_columns(ledger, tmp_path):
    for n_columns in (0, -1):
        with pytest.raises(ParameterError, match=f"expected n_columns >= 1, got {n_columns}"):
            fitted(ledger, epsilon=None).contact_sheet(tmp_path / "s.png", n_columns=n_columns)
    assert not (tmp_path / "s.png").exists()
