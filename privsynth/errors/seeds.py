"""Seeds that callers give: one check for all of them. They fix what is drawn, and never reach noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.errors import ParameterError


def random_generator(random_state: Any) -> np.random.Generator:
    """Return a generator for a seed: a whole number >= 0 of any size, None, or a generator of numpy.

    Raises:
        ParameterError: If it is something else.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint64))
    return np.random.default_rng(checked_seed(random_state))


def checked_seed(random_state: Any, *, below: int | None = None) -> int | None:
    """Return a seed as a whole number, or None.

    Args:
        random_state: The seed.
        below: What it has to be smaller than, for libraries that take no larger one.

    Raises:
        ParameterError: If it is no whole number, negative, or too large.
    """
    if random_state is None:
        return None
    is_whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if not is_whole or random_state < 0 or (below is not None and random_state >= below):
        most = "" if below is None else f" and below {below}"
        raise ParameterError(
            f"expected the seed (--seed, random_state) to be a whole number of at least 0{most}, "
            f"got {random_state!r}"
        )
    return int(random_state)
