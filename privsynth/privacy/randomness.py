"""Secret randomness: whoever could predict it could subtract the noise.

Noise, selections and the random cut of rows per person draw from the operating system's entropy, byte by
byte. Gradient steps need too much of it for that: each takes a fresh key and expands it by AES in counter
mode. No state is ever written down, and ``random_state`` never reaches this module.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_WHOLE = 2**128
_MOST_IN_PART = 2**12
_AT_ONCE = 2**15  # normals in one go: what fits into a processor's cache is drawn twice as fast


class SecureRandom(Protocol):
    """A source of secret bytes."""

    @property
    def is_secret(self) -> bool:
        """Whether the bytes are unpredictable: False voids the guarantee."""
        ...

    def read(self, n_bytes: int) -> bytes:
        """Return fresh bytes."""
        ...

    def for_step(self, step: int) -> SecureRandom:
        """Return the source of one gradient step: batch and noise."""
        ...


class OsEntropy:
    """The operating system's entropy."""

    is_secret = True

    def read(self, n_bytes: int) -> bytes:
        """Return ``n_bytes`` fresh bytes from the operating system."""
        return os.urandom(n_bytes)

    def for_step(self, step: int) -> SecureRandom:
        """Return a keystream under a fresh key."""
        return Keystream(os.urandom(32))


class Keystream:
    """The keystream of AES-256 in counter mode: as unpredictable as its key, which is used once."""

    is_secret = True

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def read(self, n_bytes: int) -> bytes:
        """Return the next ``n_bytes`` of the stream."""
        return self._encryptor.update(bytes(n_bytes))

    def for_step(self, step: int) -> SecureRandom:
        """Return a keystream under a key from this one."""
        return Keystream(self.read(32))


def uniforms(n: int, secret: SecureRandom) -> FloatArray:
    """Return ``(n,)`` secret uniforms, odd multiples of 2^-53: never 0 and never 1."""
    words = np.frombuffer(secret.read(8 * n), dtype="<u8")
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def bernoullis(n: int, rate: float, secret: SecureRandom) -> NDArray[np.int64]:
    """Return the positions, sorted, that ``n`` independent draws of probability ``rate`` hit.

    Drawn are the gaps between hits, so that what it takes grows with the hits and not with ``n``. The
    probability of a hit is ``rate``, or less by up to 2^-126, given all draws before it; of a rate below
    2^-64 there are none.
    """
    if rate >= 1.0 or rate < 2.0**-64:
        return np.arange(n if rate >= 1.0 else 0)
    unhit = _probabilities_of_no_hit(rate)
    begin = np.arange(0, n, len(unhit))  # of the next gap in each part, which ends with its part
    end = np.minimum(begin + len(unhit), n)
    hits = [begin[:0]]
    while len(begin):
        at = begin + _gaps(len(begin), unhit, secret)
        is_hit = at < end
        hits.append(at[is_hit])
        begin, end = at[is_hit] + 1, end[is_hit]
    return np.sort(np.concatenate(hits))


@lru_cache(maxsize=64)
def _probabilities_of_no_hit(rate: float) -> tuple[int, ...]:
    """Return ``2^128`` times the probability that the first ``k`` draws all miss, falling, for k = 1, 2, ...

    Whole numbers, each rounded up from the one before: a hit is never likelier than ``rate``. There are so
    few that none but the last falls below a third of ``2^128``, and rounding stays that small.
    """
    hit = int(Fraction(rate) * _WHOLE)
    left = [_WHOLE]
    for _ in range(min(int(1.0 / rate), _MOST_IN_PART)):
        left.append(left[-1] - left[-1] * hit // _WHOLE)
    return tuple(left[1:])


def _gaps(n: int, unhit: tuple[int, ...], secret: SecureRandom) -> NDArray[np.int64]:
    """Return how many draws miss before the next hit, ``(n,)``, at most ``len(unhit)``.

    By inversion of 128-bit uniforms; the lower half is drawn only where the upper one does not decide.
    """
    rising = unhit[::-1]
    upper = np.array([left >> 64 for left in rising], dtype=np.uint64)
    words = np.frombuffer(secret.read(8 * n), dtype="<u8")
    n_below = np.searchsorted(upper, words, side="right")
    for i in np.flatnonzero(n_below > np.searchsorted(upper, words, side="left")):
        n_below[i] = bisect_right(rising, (int(words[i]) << 64) + int.from_bytes(secret.read(8), "little"))
    return len(unhit) - n_below


def standard_normals(n: int, secret: SecureRandom) -> FloatArray:
    """Return ``(n,)`` secret standard normals by the polar transform of Box and Muller (1958), in doubles.

    The radius comes from 64 bits and the angle from 63 others. Doubles are dense near 0 and not near 1, so
    each half of the uniform behind a radius is measured from its own end: the least radii would else lie
    further apart than the finest grid that noise is rounded to. The tails reach 9.4 standard deviations; the
    probability beyond that is below 2^-63. Inversion would draw the same distribution twice slower.
    """
    if n > _AT_ONCE:
        return np.concatenate([standard_normals(min(_AT_ONCE, n - i), secret) for i in range(0, n, _AT_ONCE)])
    half = (n + 1) // 2
    words = np.frombuffer(secret.read(16 * half), dtype="<u8")
    far, angle = torch.from_numpy(((words >> np.uint64(1)).reshape(2, half) + 0.5) * 2.0**-64)  # up to 1/2
    is_from_one = torch.from_numpy((words[:half] & np.uint64(1)) > 0)
    radius = torch.where(is_from_one, torch.log1p(-far), far.log()).mul_(-2.0).sqrt_()
    angle.mul_(4.0 * math.pi)
    return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)])[:n].numpy()


def standard_gumbels(n: int, secret: SecureRandom) -> FloatArray:
    """Return ``(n,)`` secret standard Gumbel variables by inversion."""
    return -np.log(-np.log(uniforms(n, secret)))
