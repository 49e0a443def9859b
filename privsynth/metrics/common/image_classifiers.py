"""The classifiers that an analyst would train on images: a small convolutional network, an MLP, a linear one.

Training is bounded by a number of steps rather than by a number of images: no image is left out, and two
sources of different size can be trained equally long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

CNN, MLP, LINEAR = "cnn", "mlp", "logistic_regression"
FAMILIES = (CNN, MLP, LINEAR)

N_FEATURES = 64
_LEARNING_RATE = {CNN: 3e-3, MLP: 2e-3, LINEAR: 1e-2}
_POOLED = 7  # largest height and width of the map behind the convolutions
_BLOCK = 1024  # images that are predicted together


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how wide a classifier is trained.

    Attributes:
        n_steps: Steps of Adam, at most.
        n_epochs: Largest number of times that each image is seen, on average: few images need fewer steps.
        batch_size: Images a step, drawn with replacement.
        width: Channels of the first convolution; the second has twice as many.
    """

    n_steps: int = 600
    n_epochs: float = 40.0
    batch_size: int = 128
    width: int = 16

    def for_images(self, n_images: int) -> Training:
        """Return the same with the number of steps that so many images are trained for, fixed.

        Example:
            >>> Training().for_images(1280).n_steps, Training().for_images(60_000).n_steps
            (400, 600)
        """
        steps = min(float(self.n_steps), self.n_epochs * n_images / self.batch_size)
        return replace(self, n_steps=max(1, math.ceil(steps)), n_epochs=math.inf)


def build(
    family: str, shape: tuple[int, int, int], n_classes: int, *, width: int, is_private: bool = False
) -> nn.Sequential:
    """Return an untrained network ``[body, head]`` from pixels in [-1, 1], ``(n, channels, height, width)``.

    The body gives `N_FEATURES` features (of the linear one: the pixels), the head one logit a class.

    Args:
        family: One of `FAMILIES`.
        shape: Height, width, channels.
        n_classes: Number of classes.
        width: See `Training`.
        is_private: For steps on clipped gradients: without dropout, with bounded activations.
    """
    height, width_pixels, channels = shape
    if family == LINEAR:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), n_classes))
    activation = nn.Tanh if is_private else nn.ReLU
    dropout: list[nn.Module] = [] if is_private else [nn.Dropout(0.25)]
    if family == MLP:
        body: list[nn.Module] = [
            nn.Flatten(),
            nn.Linear(math.prod(shape), 2 * N_FEATURES),
            activation(),
            *dropout,
            nn.Linear(2 * N_FEATURES, N_FEATURES),
        ]
    else:
        pooled = [max(1, min(_POOLED, side // 4)) for side in (height, width_pixels)]
        body = [
            nn.Conv2d(channels, width, 3, padding=1),
            activation(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            activation(),
            nn.AdaptiveMaxPool2d((pooled[0], pooled[1])),
            nn.Flatten(),
            nn.Linear(2 * width * pooled[0] * pooled[1], N_FEATURES),
        ]
    return nn.Sequential(
        nn.Sequential(*body, activation()), nn.Sequential(*dropout, nn.Linear(N_FEATURES, n_classes))
    )


@dataclass(frozen=True)
class ImageClassifier:
    """A trained network; see `build`.

    Attributes:
        network: Body and head.
        n_classes: Classes of the schema, in their order.
    """

    network: nn.Sequential
    n_classes: int

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return ``(n, n_classes)`` float32.

        Privacy:
            Not private: a function of the images given and of those it was trained on.
        """
        return _forward(self.network, images, self.n_classes)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return ``(n, n_classes)`` float64 that sum to one.

        Privacy:
            Not private: as `logits`.
        """
        return torch.from_numpy(self.logits(images)).double().softmax(1).numpy()

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return what the head sees, ``(n, n_features)`` float32.

        Privacy:
            Not private: as `logits`.
        """
        return _forward(self.network[0], images, N_FEATURES)


def train_classifier(
    family: str,
    images: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    n_classes: int,
    training: Training,
    seed: int,
) -> ImageClassifier:
    """Train on labelled images by Adam, one cycle of the learning rate.

    Args:
        family: One of `FAMILIES`.
        images: ``(n, height, width, channels)`` uint8, n >= 1.
        labels: Class codes in ``[0, n_classes)``.
        weights: Weight of each image; equal if None.
        n_classes: Classes of the schema; those never seen become improbable.
        training: How long and wide.
        seed: Of weights, batches and dropout; torch's global generator is left as it was.

    Privacy:
        Not private: fits the images given.

    References:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates", 2018.
    """
    generator = np.random.default_rng(seed)
    training = training.for_images(len(images))
    cumulative = np.cumsum(np.ones(len(labels)) if weights is None else weights)
    targets = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(family, images.shape[1:], n_classes, width=training.width)
        optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE[family] / 25)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=_LEARNING_RATE[family], total_steps=training.n_steps
        )
        network.train()
        for _ in range(training.n_steps):
            drawn = np.searchsorted(cumulative, generator.random(training.batch_size) * cumulative[-1])
            loss = nn.functional.cross_entropy(
                network(as_input(images[drawn])), targets[torch.from_numpy(drawn)]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return ImageClassifier(network.eval(), n_classes)


def as_input(images: np.ndarray) -> torch.Tensor:
    """Return ``(n, height, width, channels)`` uint8 as ``(n, channels, height, width)`` float32 in [-1, 1].

    Privacy:
        Not private: an encoding of the images given.
    """
    return torch.from_numpy(np.moveaxis(images, 3, 1).astype(np.float32)) / 127.5 - 1.0


def _forward(network: nn.Module, images: np.ndarray, n_out: int) -> np.ndarray:
    out = np.empty((len(images), n_out), dtype=np.float32)
    with torch.no_grad():
        for start in range(0, len(images), _BLOCK):
            out[start : start + _BLOCK] = network(as_input(images[start : start + _BLOCK])).numpy()
    return out
