"""The public description of images: all of a data set have one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from privsynth.errors import SchemaError

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
