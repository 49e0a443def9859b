"""scikit-learn's 8 x 8 digits as labelled images: real, public, and at hand everywhere."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from privsynth.schema import Schema
from privsynth.schema.images import LabelledImages

DIGITS = Schema(
    {"digit": {"type": "categorical", "categories": list(range(10)), "role": "target"}},
    image={"height": 8, "width": 8, "channels": 1},
)


@cache
def digits() -> tuple[LabelledImages, LabelledImages]:
    """Return 1,437 images to fit to and 360 to test on."""
    held = load_digits()
    images = np.rint(held.images / 16 * 255).astype(np.uint8)
    held_out = np.arange(len(images)) % 5 == 0
    train, test = (
        LabelledImages(images[rows], pd.DataFrame({"digit": held.target[rows]}))
        for rows in (~held_out, held_out)
    )
    return train, test


def accuracy(train: LabelledImages) -> float:
    """Return the share of the test images that a classifier trained on these gets right."""
    test = digits()[1]
    x, z = (both.images.reshape(len(both), -1) / 255.0 for both in (train, test))
    classifier = SVC().fit(x, train.labels["digit"].to_numpy(int))
    return float(classifier.score(z, test.labels["digit"].to_numpy(int)))
