"""Classifiers trained on synthetic images, beside real-trained and directly trained ones; and by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from privsynth.metrics.common.image_classifiers import FAMILIES, Training, train_classifier
from privsynth.metrics.common.images import load_images
from privsynth.metrics.images import fairness, utility
from privsynth.metrics.utility import dp_classifier as direct
from privsynth.metrics.utility.dp_classifier import SCATTERING, DirectTraining
from privsynth.metrics.utility.images import SCORES, predict_holdout
from privsynth.schema import Schema
from tests.metrics.images.conftest import SHAPE

SHORT = Training(n_epochs=25)
FEW = DirectTraining(n_steps=30, batch_size=512, learning_rate=0.02, width=8)


@pytest.fixture(scope="module")
def of_fresh(real, fresh, holdout, schema: Schema) -> dict:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(direct, "SETTINGS", direct.SETTINGS | dict.fromkeys(FAMILIES, FEW))
        return utility(real, fresh, schema=schema, holdout=holdout, budget=(10.0, 1e-5))


def test_a_fresh_draw_teaches_as_much_as_the_real_images(of_fresh: dict) -> None:
    assert tuple(of_fresh["models"]) == FAMILIES
    for model, scores in of_fresh["models"].items():
        accuracy = scores["accuracy"]
        assert accuracy["ceiling"] > 0.85, model
        assert accuracy["value"] > accuracy["ceiling"] - 0.06, model
        assert accuracy["floor"] < 0.15
        assert accuracy["interval"][0] < accuracy["value"] < accuracy["interval"][1]


def test_classifiers_trained_directly_stand_beside(of_fresh: dict) -> None:
    found = of_fresh["direct"]
    assert tuple(found["models"]) == (*FAMILIES, SCATTERING)
    assert tuple(found["scores"]) == SCORES
    best = max(found["models"], key=lambda family: found["models"][family]["accuracy"]["value"])
    assert found["scores"] == found["models"][best]
    assert found["scores"]["accuracy"]["value"] > 0.5


def test_wrong_labels_teach_nothing(real, fresh, holdout, schema: Schema) -> None:
    wrong = fresh[1].assign(digit=(fresh[1]["digit"] + 3) % 10)
    found = utility(
        real,
        (fresh[0], wrong),
        schema=schema,
        holdout=holdout,
        training=SHORT,
        families=["logistic_regression"],
    )
    accuracy = found["models"]["logistic_regression"]["accuracy"]
    assert accuracy["value"] < 0.1 < accuracy["ceiling"]
    assert found["direct"]["status"] == "not_assessed"


def test_what_is_lacking_is_said(real, fresh, schema: Schema) -> None:
    assert "no holdout images" in utility(real, fresh, schema=schema)["reason"]
    ink = Schema({"ink": {"type": "categorical", "categories": ["light", "dark"]}}, image=SHAPE)
    sets = [(pixels, frame[["ink"]]) for pixels, frame in (real, fresh)]
    assert "no column of classes" in utility(*sets, schema=ink, holdout=sets[0])["reason"]
    assert "no column of classes or groups" in fairness(*sets, schema=ink, holdout=sets[0])["reason"]


def test_training_is_repeatable_and_leaves_the_global_generator_alone(real) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    labels = real[1]["digit"].to_numpy()
    short = Training(n_steps=10)
    one, again, other = (
        train_classifier("cnn", real[0], labels, n_classes=10, training=short, seed=seed).logits(real[0][:9])
        for seed in (4, 4, 5)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert (one == again).all()
    assert not (one == other).any()


def test_an_image_of_weight_zero_teaches_nothing(real) -> None:
    labels = real[1]["digit"].to_numpy()
    weights = (labels < 5).astype(float)
    spoilt = np.where(labels < 5, labels, 0)  # what has no weight is labelled wrongly
    trained = train_classifier(
        "logistic_regression", real[0], spoilt, weights, n_classes=10, training=SHORT, seed=0
    )
    predicted = trained.logits(real[0]).argmax(1)
    assert (predicted[labels < 5] == labels[labels < 5]).mean() > 0.9
    assert (predicted[labels >= 5] == 0).mean() < 0.7


def test_images_of_other_shapes_are_learnt_too() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 200)
    images = generator.integers(0, 100, (200, 5, 33, 3), dtype=np.uint8)
    images[labels == 1, :, :10] += 100
    for family in FAMILIES:
        trained = train_classifier(family, images, labels, n_classes=3, training=SHORT, seed=0)
        assert trained.probabilities(images).sum(1) == pytest.approx(1.0)
        assert (trained.logits(images).argmax(1) == labels).mean() > 0.95, family


def by_group(found: dict) -> dict:
    return {tuple(entry["group"].items()): entry for entry in found["by_group"]}


def test_a_class_that_is_spoilt_loses_accuracy_and_no_other(real, fresh, noise, holdout, schema) -> None:
    is_three = (fresh[1]["digit"] == 3).to_numpy()
    spoilt = (np.where(is_three[:, None, None, None], noise[0], fresh[0]), fresh[1])
    found = fairness(real, spoilt, schema=schema, holdout=holdout, training=SHORT)
    groups = by_group(found)
    assert groups[("digit", 3),]["accuracy"]["gap"]["interval"][1] < -0.5
    assert groups[("digit", 0),]["accuracy"]["gap"]["value"] > -0.2
    digits = next(entry for entry in found["by_columns"] if entry["columns"] == ["digit"])
    assert digits["accuracy_difference"]["value"] > 0.7
    assert digits["accuracy_difference"]["excess"]["interval"][0] > 0.3
    sizes = holdout[1].groupby(["digit", "ink"]).size()
    digit, ink = sizes[sizes < 20].index[0]
    small = groups[("digit", digit), ("ink", ink)]
    assert small["accuracy"]["real"] is None
    assert "needs 20 holdout units" in small["accuracy"]["reason"]


def test_a_class_that_is_missing_is_seen_in_its_share(real, fresh, schema: Schema) -> None:
    kept = (fresh[1]["digit"] != 7).to_numpy()
    found = fairness(real, (fresh[0][kept], fresh[1][kept]), schema=schema)
    share = by_group(found)[("digit", 7),]["share"]
    assert share["synthetic"] == 0.0
    assert share["gap"]["interval"][1] < 0
    assert "accuracy" not in by_group(found)[("digit", 7),]
    assert "no holdout" in found["models_reason"]


def test_two_classes_and_groups_have_the_rates_of_tables(real, fresh, holdout) -> None:
    schema = Schema(
        {
            "large": {"type": "boolean", "role": "target"},
            "ink": {"type": "categorical", "categories": ["light", "dark"], "role": "group"},
        },
        image=SHAPE,
    )
    sets = [
        (pixels, pd.DataFrame({"large": frame["digit"] > 4, "ink": frame["ink"]}))
        for pixels, frame in (real, fresh, holdout)
    ]
    images = load_images(sets[0], sets[1], schema=schema, holdout=sets[2])
    assert predict_holdout(images, training=Training(n_steps=1), families=["mlp"]) is not None
    found = fairness(sets[0], sets[1], schema=schema, holdout=sets[2], training=SHORT)
    dark = by_group(found)[("ink", "dark"),]
    assert dark["models"]["real"]["accuracy"] == pytest.approx(dark["accuracy"]["real"])
    assert dark["target_rate"]["gap"]["interval"] is not None
    ink = next(entry for entry in found["by_columns"] if entry["columns"] == ["ink"])
    assert ink["equalized_odds_difference"]["value"] is not None
    assert found["target_reason"] is None
