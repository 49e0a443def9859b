"""Images as tensors: flat rows of values, planes for convolutions, whole pixels out of what a model draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.schema.image_shape import ImageShape
from privsynth.schema.images import PixelArray

IntArray = NDArray[np.int64]

VALUES_AT_ONCE = 2**23  # floats that drawing keeps in memory


def as_planes(rows: torch.Tensor, shape: ImageShape) -> torch.Tensor:
    """Return flat images as ``(n, channels, height, width)``."""
    return rows.view(-1, *shape.axes).permute(0, 3, 1, 2)


def as_rows(planes: torch.Tensor) -> torch.Tensor:
    """Return the same as flat images, ``(n, n_values)``."""
    return planes.permute(0, 2, 3, 1).flatten(1)


def one_hot_cells(cells: torch.Tensor, n_cells: int) -> torch.Tensor:
    """Return ``(n, n_cells)``; a cell that is none is all zeros."""
    return (cells[:, None] == torch.arange(n_cells, device=cells.device)).float()


def draw_images(
    pixels: Callable[[IntArray, np.random.Generator], torch.Tensor],
    cells: IntArray,
    rng: np.random.Generator,
    shape: ImageShape,
    *,
    floats_per_value: int,
) -> PixelArray:
    """Draw an image for each cell, part after part, ``(n, height, width, channels)``.

    Args:
        pixels: Draws flat images for some cells; what is below 0 or above 1 is clamped.
        cells: Cell of each image.
        rng: Of the draws.
        shape: Of each image.
        floats_per_value: Floats in memory for each value drawn, at the widest layer.
    """
    images = np.empty((len(cells), *shape.axes), np.uint8)
    at_once = max(1, VALUES_AT_ONCE // floats_per_value // shape.n_values)
    for begin in range(0, len(cells), at_once):
        part = slice(begin, begin + at_once)
        whole = pixels(cells[part], rng).mul(255.0).round().clamp(0, 255).to(torch.uint8)
        images[part] = whole.cpu().numpy().reshape(-1, *shape.axes)
    return images
