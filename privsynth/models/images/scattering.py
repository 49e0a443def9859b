"""Scattering: what edges there are, of which direction, and how they are arranged; public and fixed.

Moduli of Morlet wavelets at two scales and six directions, of the image and of the finer moduli again, each
averaged over a coarse grid. No constant comes from an image, and the features of an image are a function of
that image alone: images go through in filled parts of one size, so that none is rounded by its place.

References:
    Bruna and Mallat, "Invariant Scattering Convolution Networks", PAMI 2013. Tramer and Boneh,
    "Differentially Private Learning Needs Better Features (or Much More Data)", ICLR 2021.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from privsynth.schema.image_shape import ImageShape

N_DIRECTIONS = 6
LARGEST_SIDE = 32  # of the images that wavelets see; larger ones are averaged down
AT_ONCE = 128  # images in a part
SLANT = 0.7  # of the envelope: wavelets are longer along an edge than across
SMALL = 1e-6  # added to squares, so that a modulus has a slope at zero


def morlet(size: int, sigma: float, frequency: float, angle: float) -> NDArray[np.complex128]:
    """Return a Morlet wavelet of mean zero whose moduli sum to one, ``(size, size)``; public.

    Example:
        >>> wavelet = morlet(5, 0.9, 2.2, 0.5)
        >>> bool(abs(wavelet.sum()) < 1e-12), round(float(np.abs(wavelet).sum()), 6)
        (True, 1.0)
    """
    x, y = np.meshgrid(np.arange(size) - size // 2, np.arange(size) - size // 2)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = (y * math.cos(angle) - x * math.sin(angle)) * SLANT
    envelope = np.exp(-(along**2 + across**2) / (2 * sigma**2))
    wave = np.exp(1j * frequency * along)
    wavelet: NDArray[np.complex128] = envelope * (wave - (envelope * wave).sum() / envelope.sum())
    return wavelet / np.abs(wavelet).sum()


def smoother(sigma: float) -> NDArray[np.float64]:
    """Return a Gaussian window of sum one, ``(5, 5)``; public."""
    one = np.exp(-(np.arange(-2, 3) ** 2) / (2 * sigma**2))
    return np.outer(one, one) / one.sum() ** 2


class Scattering(nn.Module):
    """The features of images, all channels alike.

    Args:
        shape: Of the images.
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    halving: torch.Tensor
    pooling: torch.Tensor

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.shape = shape
        self._side = (min(shape.height, LARGEST_SIDE), min(shape.width, LARGEST_SIDE))
        angles = [math.pi * i / N_DIRECTIONS for i in range(N_DIRECTIONS)]
        for name, size, sigma, frequency in (("fine", 5, 0.9, 2.2), ("coarse", 7, 1.035, 1.9)):
            bank = np.stack([morlet(size, sigma, frequency, angle) for angle in angles])
            parts = np.concatenate([bank.real, bank.imag])[:, None]
            self.register_buffer(name, torch.from_numpy(parts.astype(np.float32)))
        for name, sigma in (("halving", 1.0), ("pooling", 1.1)):
            window = smoother(sigma).astype(np.float32)[None, None]
            self.register_buffer(name, torch.from_numpy(window))

    @property
    def n_maps(self) -> int:
        """Number of maps of one channel: average, moduli at both scales, moduli of moduli."""
        return 1 + 2 * N_DIRECTIONS + N_DIRECTIONS**2

    @property
    def grid(self) -> tuple[int, int]:
        """Places, down and across, over which moduli are averaged."""
        height, width = (-(-side // 4) for side in self._side)
        return height, width

    @property
    def n_features(self) -> int:
        """Number of features of one image."""
        return self.shape.channels * self.n_maps * math.prod(self.grid)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the features of ``(n, channels, height, width)``, values from 0 to 1: ``(n, n_features)``.

        Gradients pass through. See `of_each` for records.
        """
        n = len(planes)
        if planes.shape[-2:] != self._side:
            planes = F.adaptive_avg_pool2d(planes, self._side)
        image = planes.reshape(-1, 1, *self._side)
        half = _smoothed(image, self.halving)
        first = _smoothed(_moduli(image, self.fine), self.halving)
        second = _moduli(first.reshape(-1, 1, *first.shape[2:]), self.coarse)
        maps = torch.cat(
            [
                _smoothed(half, self.pooling),
                _smoothed(first, self.pooling),
                _smoothed(_moduli(half, self.coarse), self.pooling),
                _smoothed(second.reshape(len(image), -1, *second.shape[2:]), self.pooling),
            ],
            dim=1,
        )
        return maps.reshape(n, -1)

    @torch.no_grad()
    def of_each(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the features of each image by itself, whatever stands before and behind it.

        Privacy:
            Not private: a function of one record a row.
        """
        return in_filled_parts(self, planes, self.n_features)


def in_filled_parts(network: nn.Module, planes: torch.Tensor, n_out: int) -> torch.Tensor:
    """Return ``(n, n_out)`` of a network that sees images in parts of one size, filled up with zeros.

    Privacy:
        Not private: a function of one record a row.
    """
    out = planes.new_empty(len(planes), n_out)
    for begin in range(0, len(planes), AT_ONCE):
        part = planes[begin : begin + AT_ONCE]
        filled = torch.cat([part, part.new_zeros(AT_ONCE - len(part), *part.shape[1:])])
        out[begin : begin + AT_ONCE] = network(filled)[: len(part)]
    return out


def _moduli(maps: torch.Tensor, bank: torch.Tensor) -> torch.Tensor:
    """Return the moduli of one map's wavelet coefficients, ``(n, n_directions, height, width)``."""
    real, imaginary = F.conv2d(maps, bank, padding=bank.shape[-1] // 2).chunk(2, dim=1)
    return torch.sqrt(real.square() + imaginary.square() + SMALL)


def _smoothed(maps: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Return each map smoothed, of half its height and width."""
    n_maps = maps.shape[1]
    padded = F.pad(maps, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(padded, window.expand(n_maps, 1, 5, 5), stride=2, groups=n_maps)
