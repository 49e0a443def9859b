"""Public features of images: as convolution in the frequency domain gives them, and of one image alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from privsynth.models.images.public_features import PublicFeatures, random_shapes
from privsynth.models.images.scattering import AT_ONCE, SMALL, Scattering, morlet, smoother
from privsynth.schema.image_shape import ImageShape

SHAPE = ImageShape(height=12, width=10)


@pytest.fixture(scope="module")
def features() -> PublicFeatures:
    return PublicFeatures(SHAPE)


def correlated(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlate with zeros outside, by numpy's FFT: nothing in common with torch's convolutions."""
    size = tuple(a + b - 1 for a, b in zip(image.shape, kernel.shape, strict=True))
    full = np.fft.ifft2(np.fft.fft2(image, size) * np.fft.fft2(kernel[::-1, ::-1], size))
    edge = kernel.shape[0] // 2
    return full[edge : edge + image.shape[0], edge : edge + image.shape[1]]


def modulus(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.sqrt(np.abs(correlated(image, kernel)) ** 2 + SMALL)


def smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    padded = np.pad(image, 2, mode="edge")
    return correlated(padded, smoother(sigma)).real[2:-2:2, 2:-2:2]


def test_scattering_is_what_transforms_of_fourier_give():
    image = np.random.default_rng(0).random((12, 10))
    angles = [math.pi * i / 6 for i in range(6)]
    fine, coarse = ([morlet(*bank, a) for a in angles] for bank in ((5, 0.9, 2.2), (7, 1.035, 1.9)))
    half = smoothed(image, 1.0)
    first = [smoothed(modulus(image, kernel), 1.0) for kernel in fine]
    maps = [
        half,
        *first,
        *(modulus(half, k) for k in coarse),
        *(modulus(m, k) for m in first for k in coarse),
    ]
    expected = np.stack([smoothed(m, 1.1) for m in maps])
    scattering = Scattering(SHAPE)
    found = scattering(torch.from_numpy(image).float()[None, None])
    assert expected.shape == (scattering.n_maps, *scattering.grid) == (49, 3, 3)
    assert found.shape == (1, scattering.n_features)
    assert np.allclose(found[0].numpy(), expected.ravel(), atol=1e-5)


def test_features_of_an_image_are_those_of_that_image_alone(features):
    """To the last bit, at any place of a part and beside any others."""
    rng = torch.Generator().manual_seed(0)
    one = torch.rand(1, 1, 12, 10, generator=rng)
    expected = features.of_each(one)[0]
    for place in (0, 1, 77, AT_ONCE - 1, AT_ONCE, AT_ONCE + 40):
        images = torch.rand(AT_ONCE + 41, 1, 12, 10, generator=rng) * 10.0
        images[place] = one[0]
        assert torch.equal(features.of_each(images)[place], expected)


def test_features_are_rows_of_length_one_and_the_same_everywhere(features):
    images = torch.from_numpy(random_shapes(SHAPE, 5, seed=1))
    rows = features.of_each(images)
    assert rows.shape == (5, features.n_features)
    assert torch.allclose(rows.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.equal(PublicFeatures(SHAPE).of_each(images), rows)
    flat = features.of_each(torch.zeros(1, 1, 12, 10))
    assert torch.isfinite(flat).all()


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 1), (7, 5, 3), (40, 64, 1)])
def test_any_shape_has_features(height, width, channels):
    scattering = Scattering(ImageShape(height=height, width=width, channels=channels))
    images = torch.rand(2, channels, height, width, requires_grad=True)
    found = scattering(images)
    assert found.shape == (2, scattering.n_features)
    found.sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
