"""scikit-learn's handwritten digits, 8 x 8 pixels: real, holdout, and a fresh draw as if of a generator."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from privsynth.metrics.common.images import ImageTables, load_images
from privsynth.schema import Schema

SHAPE = {"height": 8, "width": 8}
Set = tuple[np.ndarray, pd.DataFrame]

COLUMNS = {
    "digit": {"type": "categorical", "categories": list(range(10)), "role": "target"},
    "ink": {"type": "categorical", "categories": ["light", "dark"], "role": "group"},
}


@pytest.fixture(scope="session")
def schema() -> Schema:
    return Schema(COLUMNS, image=SHAPE)


@pytest.fixture(scope="session")
def digits() -> Set:
    """All 1,797 digits in a random order that is always the same."""
    order = np.random.default_rng(20).permutation(1797)
    held = load_digits()
    pixels = (held.images[order] * (255 / 16)).astype(np.uint8)[..., None]
    ink = np.where(pixels.mean(axis=(1, 2, 3)) > 78, "dark", "light")
    return pixels, pd.DataFrame({"digit": held.target[order], "ink": ink})


def part(digits: Set, first: int, last: int) -> Set:
    return digits[0][first:last], digits[1][first:last].reset_index(drop=True)


@pytest.fixture(scope="session")
def real(digits: Set) -> Set:
    return part(digits, 0, 600)


@pytest.fixture(scope="session")
def fresh(digits: Set) -> Set:
    """Other digits of the same source: the perfect generator."""
    return part(digits, 600, 1200)


@pytest.fixture(scope="session")
def holdout(digits: Set) -> Set:
    return part(digits, 1200, 1797)


@pytest.fixture(scope="session")
def noise(real: Set) -> Set:
    """Shades of the real images without any shape."""
    generator = np.random.default_rng(1)
    return generator.permuted(real[0].reshape(-1)).reshape(real[0].shape), real[1]


@pytest.fixture(scope="session")
def images(real: Set, fresh: Set, holdout: Set, schema: Schema) -> ImageTables:
    return load_images(real, fresh, schema=schema, holdout=holdout)
