"""Labelled images, as they are handed in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.errors import TableError
from privsynth.schema.image_shape import ImageShape

PixelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and what is known of each: classes, groups, persons.

    Attributes:
        images: ``(n, height, width, channels)`` uint8; ``(n, height, width)`` is taken as one channel.
        labels: One row an image, in the same order.

    Raises:
        TableError: If the arrays are of another kind, or differ in length.

    Example:
        >>> both = LabelledImages(np.zeros((2, 8, 8), np.uint8), pd.DataFrame({"digit": [3, 7]}))
        >>> len(both), both.images.shape
        (2, (2, 8, 8, 1))
    """

    images: PixelArray
    labels: pd.DataFrame

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.dtype != np.uint8:
            raise TableError(
                "expected images as uint8 of shape (n, height, width) or (n, height, width, channels), got "
                f"{images.dtype} of shape {('n', *images.shape[1:])}; multiply pixels from 0 to 1 by 255"
            )
        if not isinstance(self.labels, pd.DataFrame):
            raise TableError(f"expected the labels as a pandas DataFrame, got {type(self.labels).__name__}")
        if len(images) != len(self.labels):
            raise TableError("expected one row of labels for each image; their numbers differ")
        object.__setattr__(self, "images", images)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> ImageShape:
        """Shape of each image."""
        height, width, channels = self.images.shape[1:]
        return ImageShape(height=height, width=width, channels=channels)
