"""Gaussian noise on counts, rounded to the public grid on which the counts lie.

Counts are held as whole multiples of a grid step (1 for records; 2^-16 for persons, whose rows weigh a
fraction each). ``c + round(Z)`` equals ``round(c + Z)`` because ``c`` is on the grid: rounding is
post-processing of the Gaussian mechanism, so the release is exactly as private as the Gaussian one, and no
bits beyond the grid leak. What is not covered: ``Z`` itself comes from doubles, two of them from
127 random bits, so its distribution differs from the Gaussian by about 2^-53 relative, cell by cell.

Proved in Lemma 3 of ``PROOF.md``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from privsynth.errors import ParameterError
from privsynth.privacy.randomness import SecureRandom, standard_normals

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

LARGEST_STD = 2.0**59  # grid steps: beyond it, noise of 9.3 deviations is no 64-bit integer any more


def add_gaussian_noise(
    counts: IntArray, *, noise_multiplier: float, units_per_one: int, secret: SecureRandom
) -> FloatArray:
    """Add rounded Gaussian noise to a vector of L2 sensitivity 1.

    Args:
        counts: Counts in grid steps, any shape, int64.
        noise_multiplier: Noise standard deviation over sensitivity, so in units (records or persons).
        units_per_one: Grid steps in one unit; public.
        secret: Source of the noise.

    Returns:
        Noisy counts in units, same shape, float64 multiples of ``1 / units_per_one``.

    Raises:
        ParameterError: If the noise is not above 0, or does not fit into 64-bit integers.

    Privacy:
        Accounted: one Gaussian event with this ``noise_multiplier``.
    """
    if not 0 < noise_multiplier * units_per_one <= LARGEST_STD:
        raise ParameterError(
            f"expected a noise_multiplier above 0 that 64-bit integers can hold, got {noise_multiplier!r}"
        )
    noise = standard_normals(counts.size, secret).reshape(counts.shape) * (noise_multiplier * units_per_one)
    return (counts + np.rint(noise).astype(np.int64)) / units_per_one
