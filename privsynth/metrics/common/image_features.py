"""The network in whose features images are compared, and the sets of images seen through it.

Inception where its weights are at hand; otherwise a small classifier, trained on images of the source that
are neither compared nor attacked; without classes, principal components of pixels. A figure is named after
the network, since figures of different networks cannot be compared.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from sklearn.decomposition import PCA

from privsynth.errors import TableError
from privsynth.metrics.common.image_classifiers import CNN, ImageClassifier, Training, train_classifier
from privsynth.metrics.common.images import ImageTables
from privsynth.metrics.common.tables import row_weights

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
"""The weights of torch-fidelity, which it keeps in torch's hub folder once it has fetched them."""

INCEPTION_VARIABLE = "PRIVSYNTH_INCEPTION"
"""Environment variable that names the file elsewhere."""

N_COMPONENTS = 64
_MAX_FITTED = 5_000  # images that principal components are fitted to
_FEATURE_TRAINING = Training(n_steps=400)
_BLOCK = 64  # images that Inception sees together

Network = Literal["inception", "classifier", "pixel"]


class FeatureNetwork(Protocol):
    """Turns images into features; knows nothing of which set an image is of."""

    @property
    def name(self) -> Network:
        """What figures are named after."""
        ...

    @property
    def description(self) -> str:
        """What the network is and knows, in words."""
        ...

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return ``(n, n_features)`` float32."""
        ...

    def logits(self, images: np.ndarray) -> np.ndarray | None:
        """Return ``(n, n_classes)`` float32; None if the network knows no classes."""
        ...


@dataclass(frozen=True)
class ClassifierNetwork:
    """The features before the last layer of a small classifier, over one scale for all of them.

    Attributes:
        classifier: Trained on the reference.
        description: See `FeatureNetwork`.
        scale: Root mean square of the reference's features, so that distances do not depend on how far the
            last layer happened to be trained.
    """

    classifier: ImageClassifier
    description: str
    scale: float = 1.0
    name: Network = "classifier"

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `FeatureNetwork`."""
        return self.classifier.features(images) / np.float32(self.scale)

    def logits(self, images: np.ndarray) -> np.ndarray | None:
        """See `FeatureNetwork`."""
        return self.classifier.logits(images)


@dataclass(frozen=True)
class PixelComponents:
    """Principal components of pixels."""

    components: PCA
    description: str
    name: Network = "pixel"

    @classmethod
    def fit(cls, images: np.ndarray, *, seed: int) -> PixelComponents:
        """Fit the components; at most `_MAX_FITTED` images, drawn at random, are looked at.

        Privacy:
            Not private: a function of the images given.
        """
        drawn = np.random.default_rng(seed).permutation(len(images))[:_MAX_FITTED]
        flat = _flat(images[drawn])
        components = PCA(min(N_COMPONENTS, *flat.shape), svd_solver="randomized", random_state=seed).fit(flat)
        return cls(components, f"{components.n_components_} principal components of pixels")

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `FeatureNetwork`."""
        rotation = self.components.components_.T.astype(np.float32)
        offset = (self.components.mean_ @ self.components.components_.T).astype(np.float32)
        blocks = [_flat(images[start : start + 4096]) @ rotation for start in range(0, len(images), 4096)]
        return np.concatenate(blocks) - offset

    def logits(self, images: np.ndarray) -> np.ndarray | None:
        """See `FeatureNetwork`."""
        return None


class InceptionNetwork:
    """Inception v3 as the Fréchet inception distance is defined with, from torch-fidelity's weights."""

    name: Network = "inception"
    description = "Inception v3 (2015-12-05), 2048 features"

    def __init__(self, weights: Path) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        self._network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
        ).eval()
        self._seen: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `FeatureNetwork`."""
        return self._both(images)[0]

    def logits(self, images: np.ndarray) -> np.ndarray | None:
        """See `FeatureNetwork`."""
        return self._both(images)[1]

    def _both(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._seen is None or self._seen[0] is not images:  # one pass for both: it is the slow part
            features, logits = [], []
            with torch.no_grad():
                for start in range(0, len(images), _BLOCK):
                    block = np.moveaxis(images[start : start + _BLOCK], 3, 1)
                    colour = np.repeat(block, 3, axis=1) if block.shape[1] == 1 else block
                    seen = self._network(torch.from_numpy(np.ascontiguousarray(colour)))
                    features.append(seen[0].numpy())
                    logits.append(seen[1].numpy())
            self._seen = (images, np.concatenate(features), np.concatenate(logits))
        return self._seen[1], self._seen[2]


def inception_weights() -> Path | None:
    """Return the file of Inception's weights if it and torch-fidelity are there; nothing is fetched.

    Raises:
        TableError: If the environment variable names a file that is not there.
    """
    named = os.environ.get(INCEPTION_VARIABLE)
    path = Path(named) if named else Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if named and not path.exists():
        raise TableError(f"{INCEPTION_VARIABLE} names {named!r}, and there is no such file")
    return path if find_spec("torch_fidelity") is not None and path.exists() else None


@dataclass(frozen=True)
class Seen:
    """The sets of images through one network, and which of them are compared.

    The network and the attacker know ``reference``; what is compared and attacked is apart from it.

    Attributes:
        images: The sets.
        network: Fitted to ``reference`` (Inception: to none of the images).
        features: ``real``, ``synthetic`` and, where given, ``holdout`` and ``reference``, each ``(n,
            n_features)`` float32.
        reference: Name of the set that the reference is part of, and its positions there.
        compared: Likewise, the images of the source that synthetic ones are held against.
    """

    images: ImageTables
    network: FeatureNetwork
    features: Mapping[str, np.ndarray]
    reference: tuple[str, np.ndarray]
    compared: tuple[str, np.ndarray]

    @property
    def has_holdout(self) -> bool:
        """Whether images are compared that the generator never saw."""
        return self.compared[0] == "holdout"

    def take(self, part: tuple[str, np.ndarray]) -> np.ndarray:
        """Return the features of a part."""
        return self.features[part[0]][part[1]]

    @cached_property
    def pixel_components(self) -> dict[str, np.ndarray]:
        """Every set in principal components of pixels, fitted to the reference."""
        components = PixelComponents.fit(self.images.pixels[self.reference[0]][self.reference[1]], seed=0)
        return {name: components.features(held) for name, held in self.images.pixels.items()}


def see(images: ImageTables, *, random_state: int = 0) -> Seen:
    """Choose who knows and who is compared, fit the network, and look at every image.

    The reference is the reference set; without one a random half of the holdout's units; without a holdout,
    of the real ones.

    Raises:
        TableError: If there are no two halves.

    Privacy:
        Not private: fits and encodes real records.
    """
    generator = np.random.default_rng(random_state)
    pixels = images.pixels
    compared_set = "holdout" if "holdout" in pixels else "real"
    if "reference" in pixels:
        reference = ("reference", np.arange(len(pixels["reference"])))
        compared = (compared_set, np.arange(len(pixels[compared_set])))
    else:
        first, second = images.halves(compared_set, generator)
        if not min(len(first), len(second)):
            raise TableError(
                f"expected at least two persons or images in the {compared_set} images, half of which are "
                "only learnt from; give more of them, or a reference set"
            )
        reference, compared = (compared_set, second), (compared_set, first)
    network = _network(images, reference, random_state)
    features = {name: network.features(held) for name, held in pixels.items()}
    return Seen(images, network, features, reference, compared)


def _network(images: ImageTables, reference: tuple[str, np.ndarray], seed: int) -> FeatureNetwork:
    weights = inception_weights()
    if weights is not None:
        return InceptionNetwork(weights)
    name, rows = reference
    known_images, target = images.pixels[name][rows], images.target
    if target is not None:
        records = images.records(name)
        known, labels = target.known_labels(records.frame.iloc[rows])
        if len(np.unique(labels)) > 1:
            classifier = train_classifier(
                CNN,
                known_images[known],
                labels,
                row_weights(records)[rows][known],
                n_classes=len(target.classes),
                training=_FEATURE_TRAINING,
                seed=seed,
            )
            description = (
                f"the last hidden layer of a small convolutional classifier of {target.name!r}, trained on "
                f"{int(known.sum()):,} images ({_WHENCE[name]}) that are not compared"
            )
            scale = float(np.sqrt(np.mean(np.square(classifier.features(known_images), dtype=np.float64))))
            return ClassifierNetwork(classifier, description, max(scale, 1e-12))
    return PixelComponents.fit(known_images, seed=seed)


_WHENCE = {
    "reference": "the reference set",
    "holdout": "half of the holdout",
    "real": "half of the real images, there being no holdout",
}


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float32) / 255.0
