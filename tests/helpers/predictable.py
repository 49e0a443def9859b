"""A seeded source in the place of secret entropy: a fit that used it states that it has no guarantee."""

from __future__ import annotations

import numpy as np


class PredictableSourceForTests:
    """A seeded source."""

    is_secret = False

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def read(self, n_bytes: int) -> bytes:
        """Return the next ``n_bytes`` of a reproducible stream."""
        return self._rng.bytes(n_bytes)

    def for_step(self, step: int) -> PredictableSourceForTests:
        """Return a source that depends on seed and step only, so that a resumed run repeats itself."""
        return PredictableSourceForTests(hash((self._seed, step)) & 0x7FFFFFFF)
