"""The random order and choice of rows that is drawn while records are read, from the system's entropy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from privsynth.privacy.randomness import OsEntropy, uniforms


class SecretOrder:
    """Uniforms as the cut of rows in `privsynth.privacy` takes them: secret, and never repeated.

    Example:
        >>> SecretOrder().random(3).shape
        (3,)
    """

    def random(self, n: int, /) -> NDArray[np.float64]:
        """Return ``(n,)`` secret uniforms, never 0 and never 1."""
        return uniforms(n, OsEntropy())
