"""From noisy sums over images to prototypes: low frequencies, second moments, and shrinkage of noise.

All of it is arithmetic on releases. Images are vectors of pixels from 0 to 1, channel after channel within
each pixel, as they lie in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import idctn

from privsynth.schema.image_shape import ImageShape

FloatArray = NDArray[np.float64]


def low_frequencies(shape: ImageShape, n: int) -> FloatArray:
    """Return the ``n`` smoothest orthonormal cosine waves of each channel, ``(n_values, n_waves)``; public.

    Example:
        >>> waves = low_frequencies(ImageShape(height=4, width=4), 3)
        >>> waves.shape, bool(np.allclose(waves.T @ waves, np.eye(3)))
        ((16, 3), True)
    """
    height, width, channels = shape.axes
    squared = (np.arange(height)[:, None] / height) ** 2 + (np.arange(width)[None] / width) ** 2
    chosen = np.argsort(squared.ravel(), kind="stable")[: max(1, min(n // channels, height * width))]
    single = np.zeros((len(chosen), height, width))
    single.reshape(len(chosen), -1)[np.arange(len(chosen)), chosen] = 1.0
    waves = idctn(single, axes=(1, 2), norm="ortho")
    spread = np.einsum("khw,cd->kchwd", waves, np.eye(channels))
    return spread.reshape(len(chosen) * channels, -1).T.copy()


@dataclass(frozen=True)
class Spread:
    """How images vary about their prototypes: a covariance in low frequencies, and a level for the rest.

    Attributes:
        waves: Orthonormal, ``(n_values, n_waves)``.
        directions: Orthonormal, ``(n_waves, n_waves)``, in columns.
        variances: Along each direction, ``(n_waves,)``, >= 0.
        rest: Variance along each direction that the waves leave out.
    """

    waves: FloatArray
    directions: FloatArray
    variances: FloatArray
    rest: float

    @classmethod
    def of_moments(cls, waves: FloatArray, moments: FloatArray, energy: float, *, noise_std: float) -> Spread:
        """Read a noisy mean of ``z z'`` and of all squares; what noise alone would make is cut off.

        Args:
            waves: As `low_frequencies` gives them.
            moments: Symmetric, ``(n_waves, n_waves)``.
            energy: Mean sum of squares over all values.
            noise_std: Of an off-diagonal entry of ``moments``.
        """
        variances, directions = np.linalg.eigh(moments)
        edge = 2.0 * noise_std * np.sqrt(len(moments))  # of the spectrum of noise (Wigner)
        kept = np.where(variances > edge, variances - np.square(edge / 2) / variances.clip(edge), 0.0)
        n_values, n_waves = waves.shape
        rest = max(energy - kept.sum(), 0.0) / max(n_values - n_waves, 1)
        return cls(waves, directions, kept, min(rest, float(kept.mean()) if kept.any() else rest))

    def shrink(self, noisy: FloatArray, towards: FloatArray, noise_variance: FloatArray) -> FloatArray:
        """Return the posterior means of vectors seen with noise, if this is how they vary about a mean.

        Args:
            noisy: ``(n, n_values)``.
            towards: Prior means, the same shape.
            noise_variance: Of each value, ``(n,)``.

        References:
            The Wiener filter; Efron and Morris, "Stein's Estimation Rule and Its Competitors", JASA 1973.
        """
        away = noisy - towards
        low = away @ self.waves
        rest = away - low @ self.waves.T
        noise = np.maximum(noise_variance, 1e-12)[:, None]
        low = (low @ self.directions) * (self.variances / (self.variances + noise)) @ self.directions.T
        return towards + low @ self.waves.T + rest * (self.rest / (self.rest + noise))

    def widened(self, noisy: FloatArray, towards: FloatArray, noise_variance: FloatArray) -> Spread:
        """Return a spread as wide as these vectors need too: their mean squares beyond the noise.

        Args are those of `shrink`.
        """
        away = noisy - towards
        low = away @ self.waves @ self.directions
        beyond = np.square(low).mean(0) - noise_variance.mean()
        n_values, n_waves = self.waves.shape
        rest = (np.square(away).sum(1).mean() - np.square(low).sum(1).mean()) / max(n_values - n_waves, 1)
        return replace(
            self,
            variances=np.maximum(self.variances, beyond),
            rest=max(self.rest, float(rest - noise_variance.mean())),
        )

    def loadings(self, scale: float) -> FloatArray:
        """Return ``scale`` times the directions of variation, each as long as its deviation, as vectors."""
        kept = self.variances > 0
        return scale * (self.waves @ (self.directions[:, kept] * np.sqrt(self.variances[kept]))).T


def symmetric(upper: FloatArray, n: int) -> FloatArray:
    """Return the symmetric matrix whose upper triangle, off-diagonals times the root of two, is given.

    Example:
        >>> symmetric(np.array([1.0, np.sqrt(8.0), 3.0]), 2).round(6).tolist()
        [[1.0, 2.0], [2.0, 3.0]]
    """
    out = np.zeros((n, n))
    out[np.triu_indices(n)] = upper / np.sqrt(2.0)
    return (out + out.T) * np.where(np.eye(n, dtype=bool), np.sqrt(0.5), 1.0)
