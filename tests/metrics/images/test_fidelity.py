"""Fidelity of images between its baselines: a fresh draw at the ceiling, noise at the floor."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.metrics.common.image_features import see
from privsynth.metrics.common.images import load_images
from privsynth.metrics.fidelity.images import independent_pixels
from privsynth.metrics.fidelity.memorisation import assess_memorisation, closer_to_first
from privsynth.metrics.images import fidelity
from privsynth.report.text import way_to_floor
from privsynth.schema import Schema

DISTANCES = ("frechet_classifier_distance", "kernel_classifier_distance")


@pytest.fixture(scope="module")
def of_fresh(real, fresh, holdout, schema: Schema) -> dict:
    return fidelity(real, fresh, schema=schema, holdout=holdout)


@pytest.fixture(scope="module")
def of_noise(real, noise, holdout, schema: Schema) -> dict:
    return fidelity(real, noise, schema=schema, holdout=holdout)


def test_a_fresh_draw_is_at_the_ceiling(of_fresh: dict) -> None:
    assert of_fresh["reference"] == "holdout"
    for figure in (*(of_fresh[name] for name in DISTANCES), *of_fresh["support"].values()):
        if isinstance(figure, dict) and (way := way_to_floor(figure)) is not None:
            assert abs(way) < 0.15
    assert of_fresh["label_agreement"]["value"] > 0.85
    assert of_fresh["classifier_score"]["value"] > 6
    low, high = of_fresh["two_sample"]["auc"]["interval"]
    assert low - 0.1 < 0.5 < high + 0.1  # five standard errors and more
    assert of_fresh["nearest"]["closer_to_real"]["value"] == pytest.approx(0.5, abs=0.12)


def test_noise_is_at_the_floor(of_noise: dict) -> None:
    for name in DISTANCES:
        assert way_to_floor(of_noise[name]) > 0.5
    assert of_noise["support"]["coverage"]["value"] < 0.6 * of_noise["support"]["coverage"]["ceiling"]
    assert of_noise["label_agreement"]["value"] < 0.3
    assert of_noise["two_sample"]["auc"]["interval"][0] > 0.8
    nearest = of_noise["nearest"]
    assert nearest["mse"]["value"] > 1.5 * nearest["mse"]["ceiling"]
    assert nearest["ssim"]["value"] < nearest["ssim"]["ceiling"]


def test_copies_are_nearer_to_real_images_than_the_source_makes_them(
    real, fresh, holdout, schema: Schema, of_fresh: dict
) -> None:
    nearest = assess_memorisation(see(load_images(real, real, schema=schema, holdout=holdout)))
    assert nearest["identical"]["value"] == 1.0
    assert nearest["mse"]["value"] == 0.0
    assert nearest["psnr"]["value"] is None  # infinite
    assert nearest["closer_to_real"]["value"] > 0.95
    assert of_fresh["nearest"]["identical"]["value"] < 0.01


def test_wrong_labels_are_seen(real, fresh, holdout, schema: Schema) -> None:
    wrong = fresh[1].assign(digit=(fresh[1]["digit"] + 3) % 10)
    found = fidelity(real, (fresh[0], wrong), schema=schema, holdout=holdout)
    assert found["label_agreement"]["value"] < 0.2
    within = [g["kernel_classifier_distance"] for g in found["by_group"] if "digit" in g["group"]]
    assert all(
        figure["value"] > 3 * abs(figure["ceiling"]) for figure in within if figure["value"] is not None
    )
    assert sum(figure["value"] is not None for figure in within) > 5


def test_a_group_that_is_spoilt_is_seen_in_its_own_line(real, fresh, holdout, noise, schema: Schema) -> None:
    is_dark = (fresh[1]["ink"] == "dark").to_numpy()
    spoilt = np.where(is_dark[:, None, None, None], noise[0], fresh[0])
    found = fidelity(real, (spoilt, fresh[1]), schema=schema, holdout=holdout)
    by_ink = {g["group"]["ink"]: g for g in found["by_group"] if "ink" in g["group"]}
    dark, light = (by_ink[name]["kernel_classifier_distance"]["value"] for name in ("dark", "light"))
    assert dark > 5 * abs(light)


def test_without_a_holdout_there_is_no_ceiling(real, fresh, schema: Schema) -> None:
    found = fidelity(real, fresh, schema=schema)
    assert found["reference"] == "real"
    assert found["frechet_classifier_distance"]["ceiling"] is None
    assert found["nearest"]["closer_to_real"]["value"] is None
    assert "half of the real images" in found["feature_network"]


def test_the_floor_keeps_every_pixels_shades_and_no_shape(real) -> None:
    shuffled = independent_pixels(real[0], np.random.default_rng(0))
    assert (np.sort(shuffled, axis=0) == np.sort(real[0], axis=0)).all()
    flat = shuffled.reshape(600, -1).astype(float)
    varied = flat[:, flat.std(0) > 0]
    correlations = np.corrcoef(varied.T)[np.triu_indices(varied.shape[1], 1)]
    assert np.abs(correlations).max() < 6 / np.sqrt(600)  # six standard errors of no correlation


def test_size_alone_makes_neither_set_nearer() -> None:
    generator = np.random.default_rng(0)
    queries, few, many = (generator.normal(size=(n, 3)) for n in (2000, 200, 2000))
    for first, second in ((many, few), (few, many)):
        # 0.5 for one source; 200 points of each part are shared by all queries: 0.05 is beyond six errors
        assert closer_to_first(queries, first, second, generator) == pytest.approx(0.5, abs=0.05)
    assert closer_to_first(queries, queries, few, generator) > 0.5 + 0.04  # a tenth of the parts holds a copy
