"""The critic of public features: what it sees of a record, what a step costs, and what a checkpoint holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from privsynth.errors import ParameterError
from privsynth.ledger.ledger import Ledger
from privsynth.models.images.feature_gan import FeatureGan
from privsynth.models.images.gan import GeneratedImages
from privsynth.models.images.mixture import Deformation, ImageMixture
from privsynth.models.tables.fitting import FitOptions
from privsynth.privacy.mechanisms.clipping import STEPS_PER_NORM, RecordClipper
from privsynth.schema import Schema
from privsynth.schema.image_shape import ImageShape
from privsynth.synthesizers import ImageGANSynthesizer
from privsynth.synthesizers.images.feature_gan import FeatureGanTrainer, Remembered
from privsynth.synthesizers.images.gan import CRITIC_OF_FEATURES, ImageGANSettings
from privsynth.synthesizers.images.prototypes import PrototypeSettings
from privsynth.synthesizers.plan import describe_plan, plan
from privsynth.synthesizers.tables.select_measure_fit import MarginalSettings
from tests.helpers.digits import DIGITS, accuracy, digits

SHAPE = ImageShape(height=8, width=8)
OPTIONS = replace(CRITIC_OF_FEATURES, generator_width=4, fake_batch_size=32, latent_dim=4, warm_steps=10)
SETTINGS = ImageGANSettings(
    table=MarginalSettings(fit=FitOptions(n_components=64)),
    prototypes=PrototypeSettings(max_prototypes=20, n_rounds=1, n_frequencies=32),
    n_steps=8,
    gan=OPTIONS,
)


def game(seed: int = 0) -> FeatureGan:
    rng = np.random.default_rng(0)
    start = ImageMixture(
        shape=SHAPE,
        prototypes=rng.random((6, 64)).astype(np.float32),
        weights=np.ones(6),
        cells=np.arange(6) % 3,
        loadings=np.zeros((0, 64), np.float32),
        deformation=Deformation(),
    )
    generated = GeneratedImages.untrained(SHAPE, 3, OPTIONS, start, torch.Generator().manual_seed(0))
    return FeatureGan(generated, OPTIONS, shares=np.ones(3) / 3, wait=1, device="cpu", seed=seed)


class Trainer(FeatureGanTrainer):
    """One without a table."""

    def __init__(self) -> None:
        self.game = game()
        self._remembered = Remembered(self.game)

        class Cells:
            domains = {"label": None}  # noqa: RUF012  never written

            @staticmethod
            def split(records: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return records[:, 0].long(), records[:, 1:].float()

        self._cells = Cells()  # type: ignore[assignment]  # all that the trainer asks of them


def records(n: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 64), generator=rng)
    return torch.cat([torch.arange(n)[:, None] % 3, pixels], dim=1).to(torch.int16)


def test_a_fit_pays_for_every_step_and_leaves_digits(tmp_path) -> None:
    synthesizer = ImageGANSynthesizer(
        epsilon=10.0, delta=1e-5, settings=SETTINGS, random_state=0, device="cpu"
    ).fit(digits()[0], schema=DIGITS, dataset="digits", ledger=Ledger(tmp_path / "l.sqlite"))
    event = synthesizer.guarantee_["events"][-1]
    assert event["purpose"] == "private steps of the discriminator"
    assert event["count"] == SETTINGS.n_steps
    assert event.get("sample_rate", 1.0) == 1.0  # unwritten: no sampling
    assert synthesizer.guarantee_["epsilon_spent"] <= 10.0
    assert accuracy(synthesizer.sample(1500, balance=["digit"], on_unsupported="warn")) > 0.7
    # Of what was drawn at random on the way, nothing is a record: arrays of the model are the generator's.
    assert not [
        name for name in synthesizer._arrays_of(synthesizer.model_) if "critic" in name or "rem" in name
    ]


def test_one_record_moves_the_sum_by_its_bound_at_most_and_one_of_no_class_by_nothing() -> None:
    trainer = Trainer()
    clipper = RecordClipper(trainer.game.discriminator, trainer._record_loss, max_grad_norm=0.3)
    all_of_them = records(33)
    fewer, more = (clipper.clipped_steps(part, at_once=48)[0] for part in (all_of_them[:32], all_of_them))
    moved = float((more - fewer).double().norm()) / STEPS_PER_NORM
    assert 0.9 < moved <= 1.0
    none = all_of_them.clone()
    none[32, 0] = -1
    assert torch.equal(clipper.clipped_steps(none, at_once=48)[0], fewer)


def test_what_is_remembered_is_what_would_be_computed() -> None:
    trainer = Trainer()
    remembered, pixels = trainer._remembered, records(5)[:, 1:]
    fresh = trainer.game.features.of_each(trainer.game.planes(pixels.float() / 255.0))
    assert torch.equal(remembered.of(pixels), fresh)
    assert torch.equal(remembered.of(pixels), fresh)
    other = pixels.clone()
    other[2, 7] = 255 - other[2, 7]
    changed = remembered.of(other)
    assert not torch.equal(changed[2], fresh[2])
    assert torch.equal(changed[[0, 1, 3, 4]], fresh[[0, 1, 3, 4]])


def test_a_checkpoint_holds_no_feature_of_a_record_and_goes_on_where_it_was() -> None:
    trainer, again = Trainer(), Trainer()
    trainer._remembered.of(records(500)[:, 1:])
    first, second = trainer.game, again.game
    first.warm_up()
    for _ in range(3):
        first.generator_step(first.fakes())
    arrays = trainer.to_arrays()
    assert not any(500 in array.shape for array in arrays.values())
    second.from_arrays(arrays)
    for of in (first, second):
        for _ in range(2):
            of.generator_step(of.fakes())
    assert all(np.array_equal(a, second.to_arrays()[name]) for name, a in first.to_arrays().items())


def test_the_generator_waits_then_follows_and_images_lie_between() -> None:
    of = game()
    of.warm_up()
    before = of.averaged().draw(np.arange(30) % 3, np.random.default_rng(1))
    of.generator_step(of.fakes())
    assert np.array_equal(of.averaged().draw(np.arange(30) % 3, np.random.default_rng(1)), before)
    losses = [-of.generator_step(of.fakes()) for _ in range(30)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    after = of.averaged()
    cells = np.arange(300) % 3
    begun, made = after._begun_and_made(cells, np.random.default_rng(1))
    between = after._between(cells, np.random.default_rng(1))
    assert begun is not None
    assert torch.all(between >= torch.minimum(begun, made) - 1e-6)
    assert torch.all(between <= torch.maximum(begun, made) + 1e-6)
    assert 0.4 < float((between - begun).abs().mean() / (made - begun).abs().mean()) < 0.6
    with pytest.raises(ParameterError, match="expected 0 <= least_refined <= 1"):
        replace(OPTIONS, least_refined=1.5)


def test_the_plan_says_how_far_a_step_stands_out_of_its_noise() -> None:
    fields = plan(DIGITS, 50_000, 1.0, 1e-5, synthesizer="image-gan")
    step = fields["steps"][-1]
    n_parameters = step["n_parameters"]
    expected = 50_000 / (step["noise_multiplier"] * np.sqrt(n_parameters))
    assert n_parameters == (49 * 4 + 1) * 11  # maps and places of 8 x 8 pixels, a constant; classes and fakes
    assert step["signal_to_noise_norm"] == pytest.approx(expected)
    assert f"at most {step['signal_to_noise_norm']:.2g} times" in describe_plan(fields)


def test_labels_that_are_true_or_false_or_missing_are_counted_among_the_cells() -> None:
    image = {"height": 8, "width": 8}
    for column, n_cells in (
        ({"type": "boolean", "role": "target"}, 2),
        ({"type": "boolean", "role": "target", "missing": True}, 3),
        ({"type": "categorical", "categories": "private", "role": "target"}, None),
    ):
        step = plan(Schema({"ill": column}, image=image), 50_000, 1.0, synthesizer="image-gan")["steps"][-1]
        assert step.get("n_parameters") == (n_cells and (49 * 4 + 1) * (n_cells + 1))


def test_every_step_takes_all_records_unless_a_batch_is_asked_for() -> None:
    whole = plan(DIGITS, 50_000, 1.0, synthesizer="image-gan")["steps"][-1]
    assert (whole["sample_rate"], whole["batch_size"]) == (1.0, 50_000)
    some = ImageGANSettings(batch_size=500)
    part = plan(DIGITS, 50_000, 1.0, synthesizer="image-gan", settings=some)["steps"][-1]
    assert (part["sample_rate"], part["batch_size"]) == (0.01, 500)


def test_augmentations_are_for_other_architectures() -> None:
    with pytest.raises(ParameterError, match="'mlp' or 'dcgan' where there are augmentations"):
        ImageGANSettings(augmentations=2)
