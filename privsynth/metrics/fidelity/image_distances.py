"""Distances of two sets of images in the features of a stated network, and how clear and varied a set is.

The arithmetic is torchmetrics'. Its names speak of Inception; a figure carries the name of the network that
it was computed with, since only figures of one network can be compared.

References:
    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (FID), NeurIPS 2017; Bińkowski et al.,
    "Demystifying MMD GANs" (KID), ICLR 2018; Salimans et al., "Improved Techniques for Training GANs"
    (Inception score), NeurIPS 2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import torch
from torch import nn

from privsynth.errors import ParameterError

N_SUBSETS, SUBSET_SIZE = 20, 500
_SPLITS = 5


def require_torchmetrics() -> None:
    """Refuse with the way out where torchmetrics is not installed.

    Raises:
        ParameterError: As said.
    """
    if find_spec("torchmetrics") is None:
        raise ParameterError(
            "figures of images need torchmetrics: install it with pip install 'privsynth[images]'"
        )


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared Fréchet distance of the normal distributions of two sets of features.

    Biased upwards, the more the fewer images and the more features: compare at equal numbers. NaN with fewer
    than two images on a side.

    Args:
        first: ``(n_first, n_features)``.
        second: ``(n_second, n_features)``.

    Privacy:
        Not private: a figure of the images given.
    """
    if min(len(first), len(second)) < 2:
        return float("nan")
    from torchmetrics.image.fid import FrechetInceptionDistance

    with _quiet():
        metric = FrechetInceptionDistance(feature=_Given(first.shape[1]))
        # sums of squares in double precision lose less around the common mean
        centre = first.mean(axis=0, dtype=np.float64)
        metric.update(torch.from_numpy(first - centre), real=True)
        metric.update(torch.from_numpy(second - centre), real=False)
        return max(0.0, float(metric.compute()))


def kernel_distance(first: np.ndarray, second: np.ndarray, *, seed: int) -> float:
    """Return the kernel distance: the squared maximum mean discrepancy under a cubic kernel.

    Unbiased, so that equal distributions score around zero, below it too; the mean over random subsets of
    equal size. NaN with fewer than two images on a side.

    Args:
        first: ``(n_first, n_features)``.
        second: ``(n_second, n_features)``.
        seed: Of the subsets; torch's global generator is left as it was.

    Privacy:
        Not private: a figure of the images given.
    """
    size = min(len(first), len(second), SUBSET_SIZE)
    if size < 2:
        return float("nan")
    from torchmetrics.image.kid import KernelInceptionDistance

    with _quiet(), _seeded(seed):
        metric = KernelInceptionDistance(feature=_Given(first.shape[1]), subsets=N_SUBSETS, subset_size=size)
        for features, is_real in ((first, True), (second, False)):
            metric.update(torch.from_numpy(features.astype(np.float64)), real=is_real)
        return float(metric.compute()[0])


def inception_style_score(logits: np.ndarray, *, seed: int) -> float:
    """Return exp of the mean divergence of each image's predicted classes from those of all: 1 is the floor.

    High where each image is clearly of one class and all classes are there; the number of classes is the
    ceiling. NaN with fewer than ten images.

    Args:
        logits: ``(n, n_classes)``, of the network that gives the score its name.
        seed: Of the order in which images fall into parts.

    Privacy:
        Not private: a figure of the images given.
    """
    if len(logits) < 2 * _SPLITS:
        return float("nan")
    from torchmetrics.image.inception import InceptionScore

    with _quiet(), _seeded(seed):
        metric = InceptionScore(feature=_Given(logits.shape[1]), splits=_SPLITS)
        metric.update(torch.from_numpy(logits.astype(np.float64)))
        return float(metric.compute()[0])


class _Given(nn.Module):
    """The network of features that are computed already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        message = ".*will save all extracted features in buffer.*"
        warnings.filterwarnings("ignore", message=message)  # they lie in memory already
        yield


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
