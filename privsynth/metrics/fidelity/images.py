"""Fidelity of images: do they look like those of the source, all together and within each class and group?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from privsynth.attacks.intervals import auc_interval, auc_p_value
from privsynth.io.image_files import ImageSource
from privsynth.metrics.common.estimates import figure, not_assessed
from privsynth.metrics.common.grouping import Grouping
from privsynth.metrics.common.image_classifiers import CNN, Training, train_classifier
from privsynth.metrics.common.image_features import Seen, see
from privsynth.metrics.common.images import load_images
from privsynth.metrics.common.tables import weighted_rows
from privsynth.metrics.fidelity.image_distances import (
    frechet_distance,
    inception_style_score,
    kernel_distance,
    require_torchmetrics,
)
from privsynth.metrics.fidelity.memorisation import MAX_QUERIES, assess_memorisation
from privsynth.metrics.fidelity.support import support_scores
from privsynth.schema import Schema

MAX_COMPARED = 10_000
"""Images of each side that distances are computed from, drawn at random, as many on each."""

MAX_NEIGHBOURHOODS = 3_000
"""Images of each side whose neighbours are searched."""

MIN_GROUP = 20
"""Images of a class or group, on each side, below which its distance is not given."""

SUPPORT = ("precision", "recall", "density", "coverage")
_TEST_TRAINING = Training(n_steps=200, n_epochs=20)
_MAX_TESTED = 10_000

READING = (
    "Beside them stand real images, as many, in the place of the synthetic ones, and images whose "
    "pixels are each drawn for themselves from the real ones, so that all shape is gone. Distances carry no "
    "interval: real images show what sampling error alone does to them, and those computed from fewer "
    "images, or from other features, are not comparable."
)


def fidelity(
    real: ImageSource,
    synthetic: ImageSource,
    *,
    schema: Schema,
    holdout: ImageSource | None = None,
    reference: ImageSource | None = None,
    target: str | None = None,
    groups: Sequence[str] | None = None,
    random_state: int = 0,
) -> dict[str, Any]:
    """Compare synthetic images with the source in the features of a stated network.

    They are compared with holdout images (without a holdout: real ones) that the network was not fitted to.

    Args:
        real: The images that the generator was fitted to; see `privsynth.metrics.common.images`.
        synthetic: The released images, of any tool.
        schema: The description of the label columns.
        holdout: Images of the same source that the generator never saw.
        reference: Further such images: the feature network is fitted to them rather than to half of the
            holdout.
        target: Column that says what is on an image; the schema's if None.
        groups: Group columns; the schema's if None.
        random_state: Seed of all draws and networks.

    Returns:
        ``feature_network``, ``network``; the figures ``frechet_NETWORK_distance``,
        ``kernel_NETWORK_distance`` and ``NETWORK_score``, where NETWORK is ``inception``, ``classifier`` or
        ``pixel`` (without classes there is no score); ``support`` (precision, recall, density, coverage);
        ``two_sample``, the test of a classifier that is to tell both apart; ``label_agreement``, the
        accuracy on the synthetic images of a classifier of the source; ``nearest`` (see
        `privsynth.metrics.fidelity.memorisation`); ``by_group``.

    Raises:
        ParameterError: If torchmetrics is not installed.
        PrivsynthError: If a set cannot be read as the schema says.

    Privacy:
        Not private: figures of real records.
    """
    images = load_images(
        real, synthetic, schema=schema, holdout=holdout, reference=reference, target=target, groups=groups
    )
    return assess_fidelity(see(images, random_state=random_state), random_state=random_state)


def assess_fidelity(
    seen: Seen,
    *,
    max_compared: int = MAX_COMPARED,
    max_neighbourhoods: int = MAX_NEIGHBOURHOODS,
    max_queries: int = MAX_QUERIES,
    random_state: int = 0,
) -> dict[str, Any]:
    """Return the section of the report; see `fidelity`.

    Privacy:
        Not private: figures of real records.
    """
    require_torchmetrics()
    generator = np.random.default_rng(random_state)
    sets = _Compared.draw(seen, max_compared, generator)
    name = seen.network.name

    near = sets.reference[:max_neighbourhoods]
    support = {
        judged: support_scores(near, features[: len(near)]) for judged, features in sets.features.items()
    }
    section: dict[str, Any] = {
        "status": "assessed",
        "kind": "images",
        "reference": seen.compared[0],
        "network": name,
        "feature_network": seen.network.description,
        "n_images": len(sets.reference),
        f"frechet_{name}_distance": _each(
            sets.features, lambda features: frechet_distance(sets.reference, features)
        ),
        f"kernel_{name}_distance": _each(
            sets.features, lambda features: kernel_distance(sets.reference, features, seed=random_state)
        ),
        "support": {
            "n_rows": len(near),
            **{score: _each(support, itemgetter(score)) for score in SUPPORT},
        },
        "two_sample": _two_sample(seen, random_state),
        "label_agreement": _label_agreement(seen, generator),
        "nearest": assess_memorisation(seen, max_queries=max_queries, random_state=random_state),
        "by_group": _by_group(seen, random_state),
        "reading": READING,
    }
    if sets.logits:
        section[f"{name}_score"] = _each(
            sets.logits, lambda logits: inception_style_score(logits, seed=random_state)
        )
    return section


def _each(judged: Mapping[str, Any], measure: Callable[[Any], float]) -> dict[str, Any]:
    """Return the figure of the synthetic images, beside that of the floor and, if any, of the ceiling."""
    found = {name: measure(held) for name, held in judged.items()}
    return figure(found["synthetic"], ceiling=found.get("ceiling"), floor=found["floor"])


@dataclass(frozen=True)
class _Compared:
    """As many images on each side.

    Attributes:
        reference: Features of the images that others are held against.
        features: Of ``synthetic``, ``floor`` and, where there is a holdout, ``ceiling``.
        logits: Of the same; empty if the network knows no classes.
    """

    reference: np.ndarray
    features: dict[str, np.ndarray]
    logits: dict[str, np.ndarray]

    @classmethod
    def draw(cls, seen: Seen, n_most: int, generator: np.random.Generator) -> _Compared:
        """Draw the images; a ceiling only where others than those compared are real."""
        pixels = seen.images.pixels
        compared = seen.take(seen.compared)
        n = min(n_most, len(compared), len(pixels["synthetic"]), len(pixels["real"]))
        real = pixels["real"][weighted_rows(seen.images.tables.real_weights, n, generator)]
        judged = {
            "synthetic": pixels["synthetic"][generator.permutation(len(pixels["synthetic"]))[:n]],
            "floor": independent_pixels(real, generator),
        }
        if seen.has_holdout:
            judged["ceiling"] = real
        features, logits = {}, {}
        for name, held in judged.items():
            features[name] = seen.network.features(held)
            known = seen.network.logits(held)
            if known is not None:
                logits[name] = known
        return cls(compared[generator.permutation(len(compared))[:n]], features, logits)


def independent_pixels(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return as many images, each value drawn for itself from that place in the images: noise, no shape.

    Privacy:
        Not private: a shuffle of the images given.
    """
    flat = images.reshape(len(images), -1)
    return generator.permuted(flat, axis=0).reshape(images.shape)


def _two_sample(seen: Seen, seed: int) -> dict[str, Any]:
    """Train a small convolutional network to tell synthetic from real images; test it on others.

    Held against the images that are compared: those of the holdout, where there is one.
    """
    generator = np.random.default_rng([seed, 5])
    name, rows = seen.compared
    sides = (seen.images.pixels[name][rows], seen.images.pixels["synthetic"])
    n = min(_MAX_TESTED, *(len(side) for side in sides)) // 2
    if n < MIN_GROUP:
        return not_assessed(f"needs {2 * MIN_GROUP} images on each side")
    chosen = [side[generator.permutation(len(side))[: 2 * n]] for side in sides]
    classifier = train_classifier(
        CNN,
        np.concatenate([side[:n] for side in chosen]),
        np.repeat([0, 1], n),
        n_classes=2,
        training=_TEST_TRAINING,
        seed=seed,
    )
    margins = [np.diff(classifier.logits(side[n:]), axis=1)[:, 0] for side in chosen]
    estimate = auc_interval(margins[1], margins[0])
    return {
        "status": "assessed",
        "auc": figure(estimate.auc, interval=[estimate.low, estimate.high], ceiling=0.5, floor=1.0),
        "p_value": auc_p_value(estimate.auc, n, n),
        "n_test": n,
    }


def _label_agreement(seen: Seen, generator: np.random.Generator) -> dict[str, Any]:
    """Return how often the feature network's classifier agrees with an image's label."""
    target = seen.images.target
    if target is None or seen.network.name != "classifier":
        return not_assessed("needs a column of classes, and a feature network that knows them")

    def agreement(name: str, rows: np.ndarray) -> float:
        known, labels = target.known_labels(seen.images.records(name).frame.iloc[rows])
        logits = seen.network.logits(seen.images.pixels[name][rows][known])
        assert logits is not None
        return float((logits.argmax(axis=1) == labels).mean()) if len(labels) else float("nan")

    name, rows = seen.compared
    known, labels = target.known_labels(seen.images.records(name).frame.iloc[rows])
    constant = np.bincount(labels, minlength=1).max() / max(1, known.sum())
    drawn = generator.permutation(len(seen.images.pixels["synthetic"]))[:MAX_COMPARED]
    return figure(agreement("synthetic", drawn), ceiling=agreement(name, rows), floor=float(constant))


def _by_group(seen: Seen, seed: int) -> list[dict[str, Any]]:
    """Return the kernel distance within each class and group: unbiased, so that small ones compare too."""
    images = seen.images
    key = f"kernel_{seen.network.name}_distance"
    name, rows = seen.compared
    others = np.setdiff1d(np.arange(len(images.pixels["real"])), rows if name == "real" else [])
    out: list[dict[str, Any]] = []
    for column in images.classes_and_groups:
        grouping = Grouping.of(images.tables, [column])
        members = {side: grouping.members(images.records(side).frame) for side in {"real", "synthetic", name}}
        for code, group in enumerate(grouping.groups):
            reference = seen.features[name][rows[members[name][rows] == code]]
            synthetic = seen.features["synthetic"][members["synthetic"] == code]
            real = seen.features["real"][others[members["real"][others] == code]]
            entry: dict[str, Any] = {
                "group": group,
                "n_reference": len(reference),
                "n_synthetic": len(synthetic),
                key: figure(None),
            }
            if min(len(reference), len(synthetic)) < MIN_GROUP:
                entry["reason"] = f"needs {MIN_GROUP} images on each side"
            else:
                ceiling = kernel_distance(reference, real, seed=seed) if seen.has_holdout else None
                entry[key] = figure(kernel_distance(reference, synthetic, seed=seed), ceiling=ceiling)
            out.append(entry)
    return out
