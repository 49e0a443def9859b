"""Small fixed changes of an image that leave its label as it is: the same for every image."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from privsynth.models.images.tensors import as_planes, as_rows
from privsynth.schema.image_shape import ImageShape

_CHANGES = (  # turn in degrees, shift to the right and down in parts of the side
    (0.0, 0.0, 0.0),
    (0.0, 0.04, 0.0),
    (0.0, -0.04, 0.0),
    (0.0, 0.0, 0.04),
    (0.0, 0.0, -0.04),
    (6.0, 0.0, 0.0),
    (-6.0, 0.0, 0.0),
)


def n_augmentations(*, flips: bool) -> int:
    """Return how many versions of an image there are, itself among them."""
    return len(_CHANGES) * (1 + flips)


def augmented(images: torch.Tensor, shape: ImageShape, n: int, *, flips: bool) -> list[torch.Tensor]:
    """Return ``n`` versions of flat images, each ``(n_images, n_values)``; the first is the image itself.

    Args:
        images: Shades, ``(n_images, n_values)``.
        shape: Of each.
        n: How many versions, up to `n_augmentations`.
        flips: Whether left and right are exchanged in every other one.
    """
    out = []
    for i in range(n):
        degrees, right, down = _CHANGES[i // 2 if flips else i]
        planes = as_planes(images, shape)
        if flips and i % 2:
            planes = planes.flip(3)
        if degrees or right or down:
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            theta = torch.tensor([[cos, -sin, 2 * right], [sin, cos, 2 * down]], device=images.device)
            grid = F.affine_grid(theta.expand(len(images), 2, 3), list(planes.shape), align_corners=False)
            planes = F.grid_sample(planes, grid, padding_mode="border", align_corners=False)
        out.append(as_rows(planes))
    return out
