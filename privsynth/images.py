"""Labelled pictures as they are handed in and out, and the public description of their shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from privsynth.errors import SchemaError, TableError

PixelArray = npt.NDArray[np.uint8]

MAX_SIDE = 256
CHANNELS = (1, 3)  # grey, or red, green and blue


@dataclass(frozen=True, kw_only=True)
class ImageShape:
    """Height and width in pixels and number of channels of every image of a data set; public.

    Attributes:
        height: In pixels, 1 to 256.
        width: In pixels, 1 to 256.
        channels: 1 for grey, 3 for red, green and blue.

    Raises:
        SchemaError: If a number is out of range.
    """

    height: int
    width: int
    channels: int = 1

    def __post_init__(self) -> None:
        for side in ("height", "width"):
            value = getattr(self, side)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
                raise SchemaError(f"expected an image {side} of 1 to {MAX_SIDE} pixels, got {value!r}")
        if isinstance(self.channels, bool) or self.channels not in CHANNELS:
            raise SchemaError(f"expected 1 image channel (grey) or 3 (colour), got {self.channels!r}")

    @property
    def n_values(self) -> int:
        """Numbers in one image."""
        return self.height * self.width * self.channels

    @property
    def axes(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return self.height, self.width, self.channels

    def __str__(self) -> str:
        return f"{self.height} x {self.width} pixels, {'grey' if self.channels == 1 else 'colour'}"

    def to_dict(self) -> dict[str, int]:
        """Return the fields as in schema JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Any) -> ImageShape:
        """Read the ``image`` of schema JSON.

        Raises:
            SchemaError: If a key is unknown or lacking, or a number out of range.
        """
        known = ("height", "width", "channels")
        if not isinstance(fields, Mapping) or not {"height", "width"} <= set(fields) <= set(known):
            raise SchemaError(f"expected 'image' to have the keys {', '.join(known)}, got {fields!r}")
        return cls(**fields)


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
                f"{images.dtype} of shape {('n', *images.shape[1:])}; multiply shades from 0 to 1 by 255"
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
